#include "cli/print_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/engine.h"
#include "cli/findings_output.h"
#include "cli/json_writer.h"
#include "cli/pipeline_file.h"
#include "graph/effective.h"
#include "graph/file_keys.h"
#include "graph/findings.h"
#include "plugin/nearest.h"

namespace sluice::cli {

namespace {

using graph::Effective;
using graph::Origin;

struct PrintOptions {
  std::string file;
  bool plain = false;
  std::vector<std::string> why;
};

// JSON
// ----------------------------------------------------------------------------------------------

std::string_view source_of(Origin::Kind kind) {
  switch (kind) {
    case Origin::Kind::kFile:
      return "file";
    case Origin::Kind::kDefaults:
      return "defaults";
    case Origin::Kind::kPlugin:
      return "plugin";
    case Origin::Kind::kHost:
      break;
  }
  return "host";
}

void add_value(JsonWriter& json, const Effective& value) {
  if (value.type == Effective::Type::kMap) {
    json.begin_object();
    for (const Effective& member : value.members) {
      json.key(member.key);
      add_value(json, member);
    }
    json.end_object();
    return;
  }
  if (value.type == Effective::Type::kList) {
    json.begin_array();
    for (const Effective& item : value.members) add_value(json, item);
    json.end_array();
    return;
  }
  const std::string& text = value.text;
  const char* const end = text.data() + text.size();
  uint64_t count = 0;
  double number = 0;
  if (value.type == Effective::Type::kText)
    json.value(text);
  else if (text == "true" || text == "false")
    json.value(text == "true");
  else if (std::from_chars(text.data(), end, count).ptr == end && !text.empty())
    json.value(count);
  else if (std::from_chars(text.data(), end, number).ptr == end && !text.empty())
    json.value(number);
  else
    json.value(text);
}

void add_origin(JsonWriter& json, const Origin& origin) {
  json.begin_object().member("source", source_of(origin.kind));
  if (origin.place.line > 0) {
    json.member("file", origin.place.file).member("line", origin.place.line);
    json.member("column", origin.place.column);
  }
  if (!origin.written.empty()) json.member("written", origin.written);
  if (!origin.plugin.empty()) json.member("plugin", origin.plugin);
  if (!origin.variables.empty()) {
    json.key("variables").begin_array();
    for (const graph::Variable& variable : origin.variables)
      json.begin_object().member("name", variable.name).member("set", variable.set).end_object();
    json.end_array();
  }
  json.end_object();
}

void add_why(JsonWriter& json, const std::string& path, const Effective& value) {
  json.begin_object().member("path", path).key("value");
  add_value(json, value);
  json.key("origin");
  add_origin(json, value.origin);
  if (value.otherwise) {
    json.key("otherwise").begin_object().member("value", value.otherwise->text).key("origin");
    add_origin(json, value.otherwise->origin);
    json.end_object();
  }
  json.end_object();
}

void add_origins(JsonWriter& json, const Effective& value, const std::string& path) {
  if (value.type != Effective::Type::kMap) {
    json.key(path);
    add_origin(json, value.origin);
    return;
  }
  for (const Effective& member : value.members)
    add_origins(json, member, path.empty() ? member.key : path + '.' + member.key);
}

std::string effective_json(const std::string& file, const Effective& root) {
  JsonWriter json;
  json.begin_object().member("file", file).key("pipeline");
  add_value(json, root);
  json.key("origins").begin_object();
  add_origins(json, root, "");
  json.end_object().end_object();
  return std::string(json.text()) + '\n';
}

// Why
// -----------------------------------------------------------------------------------------------

std::string place_text(const graph::Place& place) {
  return fmt::format("{}:{}:{}", place.file, place.line, place.column);
}

std::string shown(const Effective& value) {
  if (value.is_scalar()) return value.text.empty() ? "\"\"" : value.text;
  std::string text;
  for (const Effective& member : value.members)
    text += (text.empty() ? "" : ", ") +
            (value.type == Effective::Type::kMap ? member.key : member.text);
  return value.type == Effective::Type::kMap ? "a map of " + text : '[' + text + ']';
}

std::string default_text(const Origin& origin) {
  switch (origin.kind) {
    case Origin::Kind::kDefaults:
      return "from `defaults`, " + place_text(origin.place);
    case Origin::Kind::kPlugin:
      return "default of plugin " + origin.plugin;
    default:
      return "default of the host";
  }
}

std::string variable_text(const graph::Variable& variable) {
  if (variable.set) return fmt::format("  variable {} is set in the environment\n", variable.name);
  return fmt::format("  variable {} is not set, or empty: its default in the file holds: \"{}\"\n",
                     variable.name, graph::without_passwords(variable.default_text.value_or("")));
}

std::string why_text(const std::string& path, const Effective& value) {
  const Origin& origin = value.origin;
  std::string out = fmt::format("{} = {}\n", path, shown(value));
  if (origin.place.line > 0) {
    out +=
        fmt::format("  {}{}\n", origin.kind == Origin::Kind::kDefaults ? "from `defaults`, " : "",
                    place_text(origin.place));
    out += graph::without_passwords(graph::source_excerpt(origin.place));
  } else if (value.type != Effective::Type::kMap) {
    out += "  " + default_text(origin) + '\n';
  } else {
    out += "  not in the file: its values are defaults\n";
  }
  if (origin.variables.empty() && !origin.written.empty())
    out += fmt::format("  written \"{}\"; relative paths start at the pipeline's base folder\n",
                       origin.written);
  for (const graph::Variable& variable : origin.variables) out += variable_text(variable);
  if (value.otherwise)
    out += fmt::format("  {} {}, {}\n",
                       value.otherwise->text == value.text ? "the same as" : "instead of",
                       value.otherwise->text.empty() ? "\"\"" : value.otherwise->text,
                       default_text(value.otherwise->origin));
  if (value.type == Effective::Type::kMap && value.find("file") != nullptr &&
      value.members.size() == 1)
    out += "  a secret: the text of that file, never shown\n";
  return out;
}

void collect_paths(const Effective& value, const std::string& path,
                   std::vector<std::string>& paths) {
  for (const Effective& member : value.members) {
    const std::string own = path.empty() ? member.key : path + '.' + member.key;
    paths.push_back(own);
    collect_paths(member, own, paths);
  }
}

// The section that a path names a key of: "stages.gate" for "stages.gate.policy".
std::optional<graph::Section> section_of(std::string_view parent) {
  if (parent.empty()) return graph::Section::kTop;
  if (parent == "engine") return graph::Section::kEngine;
  if (parent.starts_with("streams."))
    return parent.ends_with(".account") ? graph::Section::kAccount : graph::Section::kStream;
  if (parent.starts_with("stages.")) return graph::Section::kStage;
  return std::nullopt;
}

// "stages.gate.policy" and "permit_wait".
std::pair<std::string, std::string> split_last(const std::string& path) {
  const size_t dot = path.rfind('.');
  if (dot == path.npos) return {"", path};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

// What holds for a known key that is neither written nor has a default.
std::optional<std::string> unset_text(const Effective& root, const std::string& path) {
  const auto [parent, name] = split_last(path);
  const auto section = section_of(parent);
  const Effective* owner = root.find(parent);
  if (!section || owner == nullptr || owner->type != Effective::Type::kMap) return std::nullopt;
  const graph::FileKey* key = graph::find_key(*section, name);
  if (key == nullptr) return std::nullopt;
  return fmt::format("{} is not set\n  {}\n", path, key->doc);
}

// Line of the first mention of `hook` in a policy outside comments, from 1; 0: none.
int line_of_hook(std::string_view text, std::string_view hook) {
  const auto is_word = [](char c) {
    return c == '_' || std::isalnum(static_cast<unsigned char>(c));
  };
  int line = 1;
  for (size_t start = 0; start < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view content = text.substr(start, end - start);
    content = content.substr(0, content.find("--"));
    const size_t at = content.find(hook);
    const bool whole = at != content.npos && (at == 0 || !is_word(content[at - 1])) &&
                       (at + hook.size() == content.size() || !is_word(content[at + hook.size()]));
    if (whole) return line;
    start = end + 1;
  }
  return 0;
}

// "default 1200ms, from 10ms to 1h".
std::string result_text(const plugin::Param& result) {
  std::string text = "default " + result.default_text.value_or("");
  if (result.min_text) text += ", from " + *result.min_text;
  if (result.max_text) text += (result.min_text ? " to " : ", at most ") + *result.max_text;
  return text;
}

// What answers a hook: "stages.gate.policy.permit_wait".
std::optional<std::string> hook_text(const Common& common, const graph::Pipeline& pipeline,
                                     const std::string& path) {
  constexpr uint64_t kPolicyBytesMax = 1 << 20;
  const auto [parent, name] = split_last(path);
  for (const graph::StageSpec& stage : pipeline.stages) {
    if (parent != "stages." + stage.name + ".policy") continue;
    const plugin::Hook* hook = stage.kind->find_hook(name);
    if (hook == nullptr) return std::nullopt;
    int line = 0;
    if (!stage.policy_path.empty()) {
      const auto text = read_file(common.disk, stage.policy_path, kPolicyBytesMax);
      if (text) line = line_of_hook(*text, name);
    }
    std::string out = line > 0
                          ? fmt::format("{} is answered by {}:{}\n", path, stage.policy_path, line)
                          : fmt::format("{} is the hook's default\n", path);
    if (line > 0) out += graph::source_excerpt({stage.policy_path, line, 1});
    for (const plugin::Param& result : hook->results)
      out += fmt::format("  {}{}\n", hook->results.size() > 1 ? result.name + ": " : "",
                         result_text(result));
    return out + "  " + hook->doc + '\n';
  }
  return std::nullopt;
}

std::vector<std::string> hook_paths(const graph::Pipeline& pipeline) {
  std::vector<std::string> paths;
  for (const graph::StageSpec& stage : pipeline.stages)
    for (const plugin::Hook& hook : stage.kind->hooks)
      paths.push_back("stages." + stage.name + ".policy." + hook.name);
  return paths;
}

Status unknown_path(const Effective& root, const graph::Pipeline& pipeline,
                    const std::string& path) {
  std::vector<std::string> paths = hook_paths(pipeline);
  collect_paths(root, "", paths);
  const auto nearest = plugin::nearest(path, paths);
  if (nearest)
    return Status(Code::kInvalid,
                  fmt::format("--why {}: no such value; did you mean {}?", path, *nearest));
  // The nearest part that is there helps more than nothing.
  std::string known = path;
  while (!known.empty() && root.find(known) == nullptr) known = split_last(known).first;
  return Status(Code::kInvalid,
                fmt::format("--why {}: no such value; {} is {}", path,
                            known.empty() ? "the file" : known, shown(*root.find(known))));
}

int print_why(Common& common, const graph::Pipeline& pipeline, const Effective& root,
              const PrintOptions& options) {
  JsonWriter json;
  json.begin_array();
  for (const std::string& path : options.why) {
    const Effective* value = path.empty() ? nullptr : root.find(path);
    std::optional<std::string> text;
    if (value == nullptr) text = hook_text(common, pipeline, path);
    if (value == nullptr && !text) text = unset_text(root, path);
    if (value == nullptr && !text) return fail(common, kUsage, unknown_path(root, pipeline, path));
    if (common.format == Format::kHuman)
      common.out << (value == nullptr ? *text : why_text(path, *value));
    else if (value != nullptr)
      add_why(json, path, *value);
    else
      json.begin_object()
          .member("path", path)
          .key("value")
          .null()
          .member("text", *text)
          .end_object();
  }
  json.end_array();
  if (common.format == Format::kJson) common.out << json.text() << '\n';
  return kFine;
}

int run_print(Common& common, const PrintOptions& options) {
  const auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) return fail(common, kInvalidInput, catalog.status());
  const graph::Loaded loaded = graph::load_pipeline(options.file, *catalog, load_options());
  if (!loaded.pipeline) {
    common.err << (common.format == Format::kJson ? findings_json(loaded.findings)
                                                  : findings_text(loaded.findings));
    return kInvalidInput;
  }
  const Effective root = graph::effective_file(*loaded.pipeline, *loaded.tree);
  if (!options.why.empty()) return print_why(common, *loaded.pipeline, root, options);
  common.out << (common.format == Format::kJson ? effective_json(options.file, root)
                                                : graph::effective_yaml(root, !options.plain));
  return kFine;
}

}  // namespace

void add_print(CLI::App& app, Common& common) {
  auto options = std::make_shared<PrintOptions>();
  CLI::App* command = app.add_subcommand(
      "print", "The effective file: defaults filled in, variables replaced, secrets masked");
  command->add_option("FILE", options->file, "Pipeline file")->required();
  command->add_flag("--plain", options->plain, "Without comments on where values come from");
  command
      ->add_option("--why", options->why,
                   "Where one value comes from, such as stages.gate.retry.min; may be repeated")
      ->option_text("PATH")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->callback([&common, options] {
    common.action = [&common, options] { return run_print(common, *options); };
  });
}

}  // namespace sluice::cli
