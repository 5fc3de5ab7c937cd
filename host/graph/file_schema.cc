#include "graph/file_schema.h"

#include <fmt/format.h>
#include <rapidjson/prettywriter.h>
#include <rapidjson/stringbuffer.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "graph/file_keys.h"
#include "graph/values.h"

namespace sluice::graph {
namespace {

using plugin::ValueType;

// Texts that hold a ${NAME} or ${NAME:-default}. Anchors stand only at both ends of a whole
// pattern: not every validator takes them elsewhere.
constexpr std::string_view kVariable = R"(.*\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}.*)";
constexpr std::string_view kDuration = "[0-9]+(us|ms|s|m|h|d)";
constexpr std::string_view kName = "[A-Za-z][A-Za-z0-9_.-]{0,63}";
constexpr std::string_view kCount = "0|[1-9][0-9]*";
constexpr std::string_view kNumber = "[-+]?[0-9.]+([eE][-+]?[0-9]+)?";

class SchemaWriter {
 public:
  explicit SchemaWriter(const plugin::Catalog& catalog) : catalog_(catalog) {
    json_.SetIndent(' ', 2);
    json_.SetFormatOptions(rapidjson::kFormatSingleLineArray);
  }

  std::string whole() {
    begin();
    text("$schema", "http://json-schema.org/draft-07/schema#");
    text("title", "Pipeline file of sluice");
    section_body(Section::kTop);
    key("definitions");
    begin();
    key("target");
    target();
    key("secret");
    secret();
    for (const FileKey& each : keys_of(Section::kStage)) {
      if (depends_on_kind(each)) continue;
      key(each.name);
      file_key(each);
    }
    end();
    end();
    return std::string(out_.GetString(), out_.GetSize()) + '\n';
  }

 private:
  // JSON
  // ---------------------------------------------------------------------------------------

  void begin() { json_.StartObject(); }
  void end() { json_.EndObject(); }
  void key(std::string_view name) {
    json_.Key(name.data(), static_cast<rapidjson::SizeType>(name.size()));
  }
  void value(std::string_view text) {
    json_.String(text.empty() ? "" : text.data(), static_cast<rapidjson::SizeType>(text.size()));
  }
  void text(std::string_view name, std::string_view content) {
    key(name);
    value(content);
  }
  void number(std::string_view name, uint64_t content) {
    key(name);
    json_.Uint64(content);
  }
  template <typename Texts>
  void texts(std::string_view name, const Texts& all) {
    key(name);
    json_.StartArray();
    for (const auto& each : all) value(each);
    json_.EndArray();
  }
  void types(std::initializer_list<std::string_view> names) { texts("type", names); }
  void closed() {
    key("additionalProperties");
    json_.Bool(false);
  }
  void reference(std::string_view definition) {
    text("$ref", fmt::format("#/definitions/{}", definition));
  }
  void described(std::string_view doc) {
    if (!doc.empty()) text("description", doc);
  }
  // Any of these forms, or a text with a variable in it.
  void pattern(std::string_view forms) {
    text("pattern", fmt::format("^({}|{})$", forms, kVariable));
  }
  template <typename Texts>
  void choice(const Texts& names) {
    key("anyOf");
    json_.StartArray();
    begin();
    texts("enum", names);
    end();
    begin();
    text("type", "string");
    text("pattern", fmt::format("^{}$", kVariable));
    end();
    json_.EndArray();
  }

  // A value as JSON has it; durations and decimals are texts.
  void json_value(ValueType type, std::string_view content) {
    int64_t integer = 0;
    double real = 0;
    const char* const stop = content.data() + content.size();
    if (type == ValueType::kBoolean) {
      json_.Bool(content == "true");
    } else if (type == ValueType::kInteger &&
               std::from_chars(content.data(), stop, integer).ptr == stop) {
      json_.Int64(integer);
    } else if (type == ValueType::kNumber &&
               std::from_chars(content.data(), stop, real).ptr == stop) {
      json_.Double(real);
    } else {
      value(content);
    }
  }

  void default_value(ValueType type, std::string_view content) {
    key("default");
    json_value(type, content);
  }

  // The file's own keys
  // ------------------------------------------------------------------------------------------

  static std::vector<std::string> split(std::string_view words) {
    std::vector<std::string> out;
    while (!words.empty()) {
      const size_t blank = std::min(words.find(' '), words.size());
      out.emplace_back(words.substr(0, blank));
      words.remove_prefix(std::min(blank + 1, words.size()));
    }
    return out;
  }

  void section(Section section, std::string_view doc) {
    begin();
    described(doc);
    section_body(section);
    end();
  }

  void section_body(Section section) {
    std::vector<std::string_view> needed;
    for (const FileKey& each : keys_of(section))
      if (each.needed) needed.push_back(each.name);
    if (needed.empty()) {
      types({"object", "null"});  // nothing written is an empty map
    } else {
      types({"object"});
      texts("required", needed);
    }
    closed();
    key("properties");
    begin();
    for (const FileKey& each : keys_of(section)) {
      key(each.name);
      file_key(each);
    }
    end();
  }

  // A map whose keys are names.
  template <typename Member>
  void names_map(std::string_view doc, bool may_be_empty, Member member) {
    begin();
    described(doc);
    types({"object"});
    if (!may_be_empty) number("minProperties", 1);
    key("propertyNames");
    begin();
    text("pattern", fmt::format("^{}$", kName));
    end();
    key("additionalProperties");
    member();
    end();
  }

  void file_key(const FileKey& each) {
    switch (each.form) {
      case Form::kEngine:
        return section(Section::kEngine, each.doc);
      case Form::kAccount:
        return section(Section::kAccount, each.doc);
      case Form::kRetry:
        return section(Section::kRetry, each.doc);
      case Form::kDefaults:
        return section(Section::kDefaults, each.doc);
      case Form::kStreams:
        return names_map(each.doc, true, [&] { section(Section::kStream, ""); });
      case Form::kStages:
        return names_map(each.doc, false, [&] { stage(); });
      default:
        break;
    }
    begin();
    single(each);
    end();
  }

  void single(const FileKey& each) {
    std::string doc(each.doc);
    switch (each.form) {
      case Form::kCount:
        types({"integer", "string"});
        number("minimum", each.min);
        number("maximum", each.max);
        pattern(kCount);
        break;
      case Form::kDuration:
        doc += fmt::format("; from {} to {}", milliseconds_text(each.min),
                           milliseconds_text(each.max));
        text("type", "string");
        pattern(kDuration);
        break;
      case Form::kFlag:
        types({"boolean", "string"});
        pattern("true|false");
        break;
      case Form::kChoice:
        choice(split(each.choices));
        break;
      case Form::kDurability:
        text("type", "string");
        texts("examples", std::initializer_list<std::string_view>{"commit", "group 5ms", "os"});
        pattern(fmt::format("commit|os|group( {})?", kDuration));
        break;
      case Form::kName:
        text("type", "string");
        pattern(kName);
        break;
      case Form::kTexts:
        text("type", "array");
        key("items");
        begin();
        text("type", "string");
        end();
        break;
      default:
        types({"string", "number"});  // an unquoted 5 is a text as well
        break;
    }
    described(doc);
    if (!each.default_text.empty())
      default_value(each.form == Form::kCount  ? ValueType::kInteger
                    : each.form == Form::kFlag ? ValueType::kBoolean
                                               : ValueType::kText,
                    each.default_text);
  }

  static std::string milliseconds_text(uint64_t ms) {
    return plugin::duration_text(static_cast<int64_t>(ms) * 1000);
  }

  // Stages
  // ---------------------------------------------------------------------------------------

  // The rest of a stage's keys is the same for every kind, and stands under `definitions`.
  static bool depends_on_kind(const FileKey& each) {
    return each.form == Form::kUse || each.form == Form::kFrom || each.form == Form::kTo ||
           each.form == Form::kWith;
  }

  // A stage is one of the installed kinds; the `use` in each alternative tells them apart.
  void stage() {
    begin();
    key("anyOf");
    json_.StartArray();
    for (const plugin::Description& library : catalog_.plugins())
      for (const plugin::Kind& kind : library.kinds) stage_of(library, kind);
    stage_of_variable();
    json_.EndArray();
    end();
  }

  std::vector<std::string> uses(const plugin::Description& library,
                                const plugin::Kind& kind) const {
    std::vector<std::string> names;
    const auto shorter = catalog_.find(library.name);
    if (shorter && shorter->kind == &kind) names.push_back(library.name);
    names.push_back(library.name + "." + kind.name);
    return names;
  }

  static bool is_needed(const plugin::Port& port) { return !port.optional && !port.many; }

  void stage_of(const plugin::Description& library, const plugin::Kind& kind) {
    std::vector<std::string_view> needed{"use"};
    if (!kind.inputs.empty()) needed.push_back("from");
    if (std::ranges::any_of(kind.outputs, is_needed)) needed.push_back("to");
    if (std::ranges::any_of(kind.settings, [](const auto& p) { return !p.default_text; }))
      needed.push_back("with");
    begin();
    described(kind.doc);
    types({"object"});
    texts("required", needed);
    closed();
    key("properties");
    begin();
    for (const FileKey& each : keys_of(Section::kStage)) {
      if (each.form == Form::kFrom && kind.inputs.empty()) continue;
      key(each.name);
      if (each.form == Form::kUse) {
        begin();
        described(kind.doc.empty() ? library.doc : kind.doc);
        texts("enum", uses(library, kind));
        end();
      } else if (each.form == Form::kFrom) {
        inputs(each, kind);
      } else if (each.form == Form::kTo) {
        outputs(each, kind);
      } else if (each.form == Form::kWith) {
        settings(each, kind);
      } else {
        begin();
        reference(each.name);
        end();
      }
    }
    end();
    end();
  }

  // `use: "${KIND}"`: nobody knows the ports and settings.
  void stage_of_variable() {
    begin();
    types({"object"});
    texts("required", std::initializer_list<std::string_view>{"use"});
    closed();
    key("properties");
    begin();
    for (const FileKey& each : keys_of(Section::kStage)) {
      key(each.name);
      begin();
      if (each.form == Form::kUse) {
        text("type", "string");
        text("pattern", fmt::format("^{}$", kVariable));
      } else if (depends_on_kind(each)) {
        described(each.doc);
      } else {
        reference(each.name);
      }
      end();
    }
    end();
    end();
  }

  // A stream, or the end of a declared loop.
  void target() {
    begin();
    types({"string", "number", "object"});
    texts("required", std::initializer_list<std::string_view>{"stream"});
    closed();
    key("properties");
    begin();
    key("stream");
    begin();
    types({"string", "number"});
    described("a key of `streams`");
    end();
    key("feedback");
    begin();
    types({"boolean", "string"});
    pattern("true|false");
    described("this edge closes a loop");
    end();
    end();
    end();
  }

  void ports(const std::vector<plugin::Port>& all, bool are_inputs) {
    types({"object"});
    std::vector<std::string_view> needed;
    for (const plugin::Port& port : all)
      if (is_needed(port)) needed.push_back(port.name);
    if (!needed.empty()) texts("required", needed);
    const auto many = std::ranges::find_if(all, &plugin::Port::many);
    key("additionalProperties");
    if (many == all.end()) {
      json_.Bool(false);
    } else {
      port_value(*many, are_inputs);
    }
    key("properties");
    begin();
    for (const plugin::Port& port : all) {
      if (port.many) continue;
      key(port.name);
      port_value(port, are_inputs);
    }
    end();
  }

  void port_value(const plugin::Port& port, bool is_input) {
    begin();
    if (is_input) {  // siblings of a $ref do not count in draft 7
      key("allOf");
      json_.StartArray();
      begin();
      reference("target");
      end();
      json_.EndArray();
    } else {
      types({"string", "number"});
    }
    described(port.doc);
    end();
  }

  void inputs(const FileKey& each, const plugin::Kind& kind) {
    begin();
    described(each.doc);
    if (kind.main_input() != nullptr) {
      key("anyOf");
      json_.StartArray();
      begin();
      reference("target");
      end();
      begin();
      ports(kind.inputs, true);
      end();
      json_.EndArray();
    } else {
      ports(kind.inputs, true);
    }
    end();
  }

  void outputs(const FileKey& each, const plugin::Kind& kind) {
    begin();
    described(each.doc);
    ports(kind.outputs, false);
    end();
  }

  // Settings
  // ---------------------------------------------------------------------------------------

  void settings(const FileKey& each, const plugin::Kind& kind) {
    std::vector<std::string_view> needed;
    for (const plugin::Param& param : kind.settings)
      if (!param.default_text) needed.push_back(param.name);
    begin();
    described(each.doc);
    if (needed.empty()) {
      types({"object", "null"});
    } else {
      types({"object"});
      texts("required", needed);
    }
    closed();
    key("properties");
    begin();
    for (const plugin::Param& param : kind.settings) {
      key(param.name);
      begin();
      setting(param);
      end();
    }
    end();
    end();
  }

  static std::string setting_doc(const plugin::Param& param) {
    std::string doc = param.doc;
    const auto add = [&](const std::string& more) { doc += (doc.empty() ? "" : "; ") + more; };
    if (!param.unit.empty()) add("in " + param.unit);
    const bool bounds_are_said =
        param.type == ValueType::kInteger || param.type == ValueType::kNumber;
    if (!bounds_are_said && param.min_text) add("at least " + *param.min_text);
    if (!bounds_are_said && param.max_text) add("at most " + *param.max_text);
    return doc;
  }

  void setting(const plugin::Param& param) {
    described(setting_doc(param));
    if (param.default_text && param.type != ValueType::kList)
      default_value(param.type, *param.default_text);
    switch (param.type) {
      case ValueType::kInteger:
        types({"integer", "string"});
        pattern("-?[0-9]+");
        bounds(param);
        return;
      case ValueType::kNumber:
        types({"number", "string"});
        pattern(kNumber);
        bounds(param);
        return;
      case ValueType::kDecimal:
        types({"number", "string"});
        pattern(kNumber);
        return;
      case ValueType::kBoolean:
        types({"boolean", "string"});
        pattern("true|false");
        return;
      case ValueType::kDuration:
        text("type", "string");
        pattern(kDuration);
        return;
      case ValueType::kList:
        return list(param);
      default:
        return text_setting(param);
    }
  }

  void bound(std::string_view name, const plugin::Param& param,
             const std::optional<std::string>& content) {
    if (!content) return;
    key(name);
    json_value(param.type, *content);
  }
  void bounds(const plugin::Param& param) {
    bound("minimum", param, param.min_text);
    bound("maximum", param, param.max_text);
  }

  void list(const plugin::Param& param) {
    types({"array", "string"});
    text("pattern", fmt::format("^{}$", kVariable));
    key("items");
    begin();
    if (param.choices.empty()) {
      types({"string", "number", "boolean"});
    } else {
      choice(param.choices);
    }
    end();
  }

  void text_setting(const plugin::Param& param) {
    if (is_secret_name(param.name)) {  // never written in the file
      key("anyOf");
      json_.StartArray();
      begin();
      reference("secret");
      end();
      begin();
      texts("enum", std::initializer_list<std::string_view>{""});
      end();
      json_.EndArray();
    } else if (!param.choices.empty()) {
      choice(param.choices);
    } else {
      types({"string", "number", "boolean", "object"});
      secret_body();
    }
  }

  void secret() {
    begin();
    types({"object"});
    secret_body();
    end();
  }

  void secret_body() {
    texts("required", std::initializer_list<std::string_view>{"file"});
    closed();
    key("properties");
    begin();
    key("file");
    begin();
    types({"string"});
    described("the text is in this file");
    end();
    end();
  }

  const plugin::Catalog& catalog_;
  rapidjson::StringBuffer out_;
  rapidjson::PrettyWriter<rapidjson::StringBuffer> json_{out_};
};

}  // namespace

std::string file_schema(const plugin::Catalog& catalog) { return SchemaWriter(catalog).whole(); }

}  // namespace sluice::graph
