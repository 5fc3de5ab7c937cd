#include "graph/effective.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "graph/engine_reader.h"
#include "graph/file_keys.h"
#include "graph/paths.h"
#include "graph/text.h"

namespace sluice::graph {
namespace {

using Type = Effective::Type;

Type type_of(Form form) {
  switch (form) {
    case Form::kCount:
    case Form::kDuration:
    case Form::kFlag:
    case Form::kChoice:
    case Form::kDurability:
      return Type::kWord;
    default:
      return Type::kText;
  }
}

std::string absolute_path(const std::string& path) {
  if (path.empty()) return path;
  std::error_code error;
  const auto whole = std::filesystem::absolute(path, error);
  return error ? path : whole.lexically_normal().string();
}

class Builder {
 public:
  Builder(const Pipeline& pipeline, const Node& tree)
      : pipeline_(pipeline), tree_(tree), paths_(pipeline.file) {
    if (const Node::Member* defaults = tree.find("defaults")) defaults_ = &defaults->value;
  }

  Effective build() const {
    Effective root;
    for (const FileKey& key : keys_of(Section::kTop)) {
      if (key.form == Form::kEngine) {
        root.members.push_back(engine());
      } else if (key.form == Form::kStreams) {
        root.members.push_back(streams());
      } else if (key.form == Form::kStages) {
        root.members.push_back(stages());
      } else if (key.form != Form::kDefaults) {
        add(root, key, tree_);
      }
    }
    return root;
  }

 private:
  Place place(Spot spot) const { return {pipeline_.file, spot.line, spot.column}; }

  Origin written_at(const Node& node) const {
    Origin origin{.kind = Origin::Kind::kFile, .place = place(node.spot)};
    origin.written = without_passwords(node.written);
    origin.variables = node.variables;
    return origin;
  }

  // A scalar that stands in the file.
  Effective scalar(std::string_view key, Type type, const Node& node) const {
    Effective value{.type = type, .key = std::string(key), .origin = written_at(node)};
    value.text = without_passwords(node.text);
    if (node.resolved && (value.text != node.text || node.text.find("${") != node.text.npos))
      value.printed = node.written;
    return value;
  }

  // A path: as written it would mean another place from another folder.
  Effective path(std::string_view key, const Node& node, const std::string& resolved) const {
    Effective value = scalar(key, Type::kText, node);
    if (!value.printed.empty()) return value;
    value.text = absolute_path(resolved);
    if (value.origin.written.empty() && value.text != node.text) value.origin.written = node.text;
    return value;
  }

  Effective map(std::string_view key, const Node::Member* member) const {
    Effective value{.type = Type::kMap, .key = std::string(key)};
    if (member != nullptr)
      value.origin = {.kind = Origin::Kind::kFile, .place = place(member->spot)};
    return value;
  }

  static Effective host_default(std::string_view key, Type type, std::string text) {
    return {.type = type, .key = std::string(key), .text = std::move(text)};
  }

  // A key with a fixed default, or none: then it is left out unless written.
  void add(Effective& to, const FileKey& key, const Node& section) const {
    if (const Node::Member* member = section.find(key.name)) {
      Effective value = scalar(key.name, type_of(key.form), member->value);
      if (!key.default_text.empty()) value.otherwise = {std::string(key.default_text), {}};
      to.members.push_back(std::move(value));
    } else if (!key.default_text.empty()) {
      to.members.push_back(
          host_default(key.name, type_of(key.form), std::string(key.default_text)));
    }
  }

  // Maps and lists whose values stand for themselves: wiring.
  Effective as_written(std::string_view key, Spot spot, const Node& node) const {
    if (node.is_text()) {
      const bool flag = key == "feedback";
      return scalar(key, flag ? Type::kWord : Type::kText, node);
    }
    Effective value{.type = Type::kMap, .key = std::string(key)};
    value.origin = {.kind = Origin::Kind::kFile, .place = place(spot)};
    for (const Node::Member& member : node.members)
      value.members.push_back(as_written(member.key, member.spot, member.value));
    return value;
  }

  static const Node& empty_node() {
    static const Node node;
    return node;
  }
  static const Node& value_of(const Node::Member* member) {
    return member == nullptr ? empty_node() : member->value;
  }

  Effective engine() const {
    const Node::Member* member = tree_.find("engine");
    const Node& node = value_of(member);
    const bool redis = pipeline_.engine.kind == EngineKind::kRedis;
    Effective engine = map("engine", member);
    for (const FileKey& key : keys_of(Section::kEngine)) {
      const bool of_embedded = is_of_embedded(key.name);
      if (key.name != "kind" && of_embedded == redis) continue;  // no effect
      if (key.form == Form::kPath) {
        engine.members.push_back(engine_path(node));
      } else if (const Node::Member* list = node.find(key.name); key.form == Form::kTexts) {
        if (list == nullptr) continue;
        engine.members.push_back(scalar(key.name, Type::kText, list->value));
        add_items(engine.members.back(), pipeline_.engine.per_shard);
      } else {
        add(engine, key, node);
      }
      if (key.form == Form::kDurability && engine.members.back().text == "group")
        engine.members.back().text += fmt::format(" {}ms", pipeline_.engine.group_interval.count());
    }
    return engine;
  }

  Effective engine_path(const Node& node) const {
    const std::string fallback = absolute_path(paths_.resolved("var/" + pipeline_.name));
    const Node::Member* member = node.find("path");
    if (member == nullptr) return host_default("path", Type::kText, fallback);
    Effective value = path("path", member->value, pipeline_.engine.path);
    value.otherwise = {fallback, {}};
    return value;
  }

  Effective streams() const {
    const Node::Member* member = tree_.find("streams");
    Effective streams = map("streams", member);
    for (const Node::Member& stream : value_of(member).members)
      streams.members.push_back(this->stream(stream));
    return streams;
  }

  Effective stream(const Node::Member& member) const {
    const Node& node = member.value;
    Effective stream = map(member.key, &member);
    for (const FileKey& key : keys_of(Section::kStream)) {
      const Node::Member* given = node.find(key.name);
      if (key.name == "name") {
        stream.members.push_back(named(key.name, given, member.key));
      } else if (key.form == Form::kPath && given != nullptr) {
        stream.members.push_back(path(key.name, given->value, paths_.schema(given->value)));
      } else if (key.form == Form::kAccount) {
        if (given != nullptr)
          stream.members.push_back(as_written(key.name, given->spot, given->value));
      } else {
        add(stream, key, node);
      }
    }
    return stream;
  }

  // A name that is the key of its map unless written.
  Effective named(std::string_view key, const Node::Member* given, const std::string& owner) const {
    if (given == nullptr) return host_default(key, Type::kText, owner);
    Effective value = scalar(key, Type::kText, given->value);
    value.otherwise = {owner, {}};
    return value;
  }

  Effective stages() const {
    const Node::Member* member = tree_.find("stages");
    Effective stages = map("stages", member);
    for (const Node::Member& stage : value_of(member).members)
      if (const StageSpec* spec = pipeline_.find_stage(stage.key))
        stages.members.push_back(this->stage(stage, *spec));
    return stages;
  }

  // Whether a key that is not written in the stage says anything to its kind.
  static bool has_effect(std::string_view key, const StageSpec& spec) {
    if (key == "concurrency") return spec.kind->type == plugin::KindType::kExternal;
    return spec.kind->type != plugin::KindType::kSource ||
           (key != "group" && key != "claim_idle" && key != "workers" && key != "parked_max");
  }

  Effective stage(const Node::Member& member, const StageSpec& spec) const {
    const Node& node = member.value;
    Effective stage = map(member.key, &member);
    for (const FileKey& key : keys_of(Section::kStage)) {
      const Node::Member* given = node.find(key.name);
      if (given == nullptr && !has_effect(key.name, spec)) continue;
      if (key.name == "group") {
        stage.members.push_back(named(key.name, given, member.key));
      } else if (key.form == Form::kFrom || key.form == Form::kTo) {
        if (given != nullptr)
          stage.members.push_back(as_written(key.name, given->spot, given->value));
      } else if (key.form == Form::kPath) {
        if (given != nullptr)
          stage.members.push_back(path(key.name, given->value, spec.policy_path));
      } else if (key.form == Form::kWith) {
        if (!spec.kind->settings.empty()) stage.members.push_back(settings(given, spec));
      } else if (key.form == Form::kRetry) {
        stage.members.push_back(retry(given));
      } else {
        add_common(stage, key, node);
      }
    }
    return stage;
  }

  // A key that `defaults` may give as well.
  void add_common(Effective& to, const FileKey& key, const Node& node) const {
    add_between(to, key, node, find_key(Section::kDefaults, key.name) ? *defaults_ : empty_node());
  }

  void add_between(Effective& to, const FileKey& key, const Node& node,
                   const Node& defaults) const {
    const Node::Member* common = defaults.find(key.name);
    if (common == nullptr) return add(to, key, node);
    Effective general = scalar(key.name, type_of(key.form), common->value);
    general.origin.kind = Origin::Kind::kDefaults;
    if (node.find(key.name) != nullptr) {
      add(to, key, node);
      to.members.back().otherwise = {general.text, general.origin};
      return;
    }
    if (!key.default_text.empty()) general.otherwise = {std::string(key.default_text), {}};
    to.members.push_back(std::move(general));
  }

  Effective retry(const Node::Member* given) const {
    const Node::Member* common = defaults_->find("retry");
    Effective retry = map("retry", given);
    if (given == nullptr && common != nullptr)
      retry.origin = {.kind = Origin::Kind::kDefaults, .place = place(common->spot)};
    for (const FileKey& key : keys_of(Section::kRetry))
      add_between(retry, key, value_of(given), value_of(common));
    return retry;
  }

  // Settings
  // ---------------------------------------------------------------------------------------

  Effective settings(const Node::Member* with, const StageSpec& spec) const {
    Effective settings = map("with", with);
    for (const plugin::Param& param : spec.kind->settings) {
      const auto value = spec.settings.find(param.name);
      if (value == spec.settings.end()) continue;  // cannot be: settings are complete
      const Node::Member* given = value_of(with).find(param.name);
      Effective fallback = plugin_default(param, spec);
      if (given == nullptr) {
        settings.members.push_back(std::move(fallback));
        continue;
      }
      settings.members.push_back(setting(param, *given, value->second));
      if (param.default_text)
        settings.members.back().otherwise = {shown(fallback), fallback.origin};
    }
    return settings;
  }

  static std::string shown(const Effective& value) {
    if (value.type != Type::kList) return value.text;
    std::string text;
    for (const Effective& item : value.members) text += (text.empty() ? "" : ", ") + item.text;
    return '[' + text + ']';
  }

  static bool is_path(const plugin::Param& param) {
    return param.type == plugin::ValueType::kText && param.unit == "path";
  }

  static Type type_of_param(const plugin::Param& param) {
    return param.type == plugin::ValueType::kText ? Type::kText : Type::kWord;
  }

  static void add_items(Effective& list, const std::vector<std::string>& items) {
    list.type = Type::kList;
    list.text.clear();
    for (const std::string& item : items)
      list.members.push_back({.type = Type::kText,
                              .key = std::to_string(list.members.size()),
                              .text = without_passwords(item),
                              .origin = list.origin});
  }

  Effective plugin_default(const plugin::Param& param, const StageSpec& spec) const {
    Effective value{.type = type_of_param(param), .key = param.name};
    value.origin.kind = Origin::Kind::kPlugin;
    value.origin.plugin =
        fmt::format("{}.{} {}", spec.plugin->name, spec.kind->name, spec.plugin->version);
    if (!param.default_text) return value;
    value.text = *param.default_text;
    const auto parsed = plugin::parse_value(param, *param.default_text);
    if (parsed && param.type == plugin::ValueType::kList) add_items(value, parsed->list);
    if (parsed && param.type == plugin::ValueType::kDuration)
      value.text = plugin::duration_text(parsed->integer);
    if (is_path(param) && !value.text.empty()) {
      value.origin.written = value.text;
      value.text = absolute_path(paths_.resolved(value.text));
    }
    return value;
  }

  Effective setting(const plugin::Param& param, const Node::Member& given,
                    const plugin::Value& value) const {
    const Node& node = given.value;
    if (node.is_map()) {  // a secret: its file, never its text
      Effective secret = map(param.name, &given);
      if (const Node::Member* file = node.find("file"))
        secret.members.push_back(path("file", file->value, paths_.resolved(file->value)));
      return secret;
    }
    if (is_path(param) && !node.text.empty()) return path(param.name, node, value.text);
    Effective out = scalar(param.name, type_of_param(param), node);
    if (param.type == plugin::ValueType::kList && out.printed.empty()) add_items(out, value.list);
    return out;
  }

  const Pipeline& pipeline_;
  const Node& tree_;
  const FilePaths paths_;
  const Node* defaults_ = &empty_node();
};

// YAML
// --------------------------------------------------------------------------------------------

// Whether a plain `text` is the same text to every YAML reader, also between brackets.
bool is_plain(std::string_view text, bool in_list) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (text.empty() || !(is_letter(text[0]) || text[0] == '/' || text[0] == '_')) return false;
  if (!ambiguous_meaning(text).empty() || text.back() == ':') return false;
  for (const std::string_view null : {"null", "Null", "NULL"})
    if (text == null) return false;
  return std::ranges::all_of(text, [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == '/' ||
           (c == ':' && !in_list);
  });
}

std::string quoted_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string yaml_text(std::string_view text, bool in_list = false) {
  return is_plain(text, in_list) ? std::string(text) : quoted_text(text);
}

std::string yaml_scalar(const Effective& value, bool in_list = false) {
  if (!value.printed.empty()) return quoted_text(value.printed);
  return value.type == Type::kWord ? value.text : yaml_text(value.text, in_list);
}

std::string comment_of(const Effective& value) {
  const Origin& origin = value.origin;
  if (!value.printed.empty()) return "masked: " + printable(value.text);
  switch (origin.kind) {
    case Origin::Kind::kFile:
      return printable(origin.written);
    case Origin::Kind::kDefaults:
      return origin.written.empty() ? "from defaults"
                                    : "from defaults: " + printable(origin.written);
    case Origin::Kind::kPlugin:
      return "default of " + origin.plugin.substr(0, origin.plugin.find(' '));
    case Origin::Kind::kHost:
      break;
  }
  return "default";
}

void write_yaml(std::string& out, const Effective& map, size_t indent, bool comments) {
  for (const Effective& value : map.members) {
    out += std::string(indent, ' ') + yaml_text(value.key) + ':';
    if (value.type == Type::kMap && !value.members.empty()) {
      out += '\n';
      write_yaml(out, value, indent + 2, comments);
      continue;
    }
    if (value.type == Type::kMap) {
      out += " {}\n";
      continue;
    }
    if (value.type == Type::kList) {
      std::string items;
      for (const Effective& item : value.members)
        items += (items.empty() ? "" : ", ") + yaml_scalar(item, true);
      out += " [" + items + ']';
    } else {
      out += ' ' + yaml_scalar(value);
    }
    const std::string comment = comments ? comment_of(value) : "";
    out += (comment.empty() ? "" : "  # " + comment) + '\n';
  }
}

}  // namespace

const Effective* Effective::find(std::string_view path) const {
  if (path.empty()) return this;
  for (const Effective& member : members) {
    if (!path.starts_with(member.key)) continue;
    const std::string_view rest = path.substr(member.key.size());
    if (rest.empty()) return &member;
    if (!rest.starts_with('.') || rest.size() == 1) continue;
    if (const Effective* found = member.find(rest.substr(1))) return found;
  }
  return nullptr;
}

Effective effective_file(const Pipeline& pipeline, const Node& tree) {
  return Builder(pipeline, tree).build();
}

std::string effective_yaml(const Effective& root, bool comments) {
  std::string out;
  write_yaml(out, root, 0, comments);
  return out;
}

std::string without_passwords(std::string_view text) {
  std::string out;
  for (size_t at = text.find("://"); at != text.npos; at = text.find("://")) {
    const size_t start = at + 3;
    out += text.substr(0, start);
    text.remove_prefix(start);
    const std::string_view authority = text.substr(0, text.find_first_of("/ \"'"));
    const size_t sign = authority.rfind('@');
    const size_t colon = authority.substr(0, sign).find(':');
    if (sign == authority.npos || colon == authority.npos) continue;
    out += fmt::format("{}:***", authority.substr(0, colon));
    text.remove_prefix(sign);
  }
  return out += text;
}

}  // namespace sluice::graph
