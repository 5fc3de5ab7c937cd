#include "cli/plugin_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>

#include "cli/json_writer.h"

namespace sluice::cli {

namespace {

std::string_view type_of(plugin::KindType type) {
  switch (type) {
    case plugin::KindType::kSource:
      return "source";
    case plugin::KindType::kExternal:
      return "external";
    case plugin::KindType::kStage:
      break;
  }
  return "stage";
}

// "duration in ms, 10ms to 1h, default 1200ms"; what is not said is left out.
std::string param_text(const plugin::Param& param) {
  std::string text(plugin::type_name(param.type));
  if (!param.unit.empty()) text += " in " + param.unit;
  if (param.min_text && param.max_text)
    text += fmt::format(", {} to {}", *param.min_text, *param.max_text);
  else if (param.min_text)
    text += ", at least " + *param.min_text;
  else if (param.max_text)
    text += ", at most " + *param.max_text;
  if (!param.choices.empty()) text += fmt::format(", one of {}", fmt::join(param.choices, ", "));
  if (!param.default_text)
    text += ", required";
  else if (!param.default_text->empty())
    text += ", default " + *param.default_text;
  return text;
}

std::string port_text(const plugin::Port& port) {
  std::string text = port.many ? "any name" : port.optional ? "optional" : "required";
  if (!port.fields.empty()) text += fmt::format(": {}", fmt::join(port.fields, ", "));
  return text;
}

std::string hook_text(const plugin::Hook& hook) {
  std::vector<std::string> args, results;
  for (const plugin::HookArg& arg : hook.args) args.push_back(arg.name);
  for (const plugin::Param& result : hook.results)
    results.push_back(hook.results.size() == 1 ? param_text(result)
                                               : result.name + ": " + param_text(result));
  return fmt::format("({}) -> {}", fmt::join(args, ", "), fmt::join(results, "; "));
}

std::string keys_text(const plugin::KeyFamily& keys) {
  std::string text = keys.reads && keys.writes ? "reads, writes" : keys.writes ? "writes" : "reads";
  if (keys.counter) text += ", counter";
  return text;
}

std::string_view type_of(plugin::MetricType type) {
  return type == plugin::MetricType::kCounter ? "counter" : "gauge";
}

std::string metric_text(const plugin::Metric& metric) {
  std::string text(type_of(metric.type));
  if (!metric.labels.empty()) text += fmt::format(" by {}", fmt::join(metric.labels, ", "));
  return text;
}

// One titled block of three columns; nothing when there are no rows.
template <typename Items, typename Text>
void add_block(std::string& out, const char* title, const Items& items, Text text) {
  if (items.empty()) return;
  out += fmt::format("  {}\n", title);
  Table table({{""}, {""}, {""}});
  for (const auto& item : items) {
    const auto& [name, what, doc] = text(item);
    table.add_row({"    " + name, what, doc});
  }
  out += table.text();
}

using Line = std::tuple<std::string, std::string, std::string>;

void add_param(JsonWriter& json, const plugin::Param& param) {
  json.begin_object().member("name", param.name).member("doc", param.doc);
  json.member("type", plugin::type_name(param.type)).member("unit", param.unit);
  json.member("default", param.default_text);
  json.member("min", param.min_text).member("max", param.max_text);
  json.key("choices").begin_array();
  for (const std::string& choice : param.choices) json.value(choice);
  json.end_array().end_object();
}

void add_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.value(text);
  json.end_array();
}

void add_ports(JsonWriter& json, std::string_view name, const std::vector<plugin::Port>& ports) {
  json.key(name).begin_array();
  for (const plugin::Port& port : ports) {
    json.begin_object().member("name", port.name).member("doc", port.doc);
    json.member("optional", port.optional).member("many", port.many);
    add_texts(json, "fields", port.fields);
    json.end_object();
  }
  json.end_array();
}

void add_hook(JsonWriter& json, const plugin::Hook& hook) {
  json.begin_object().member("name", hook.name).member("doc", hook.doc);
  json.key("args").begin_array();
  for (const plugin::HookArg& arg : hook.args) {
    json.begin_object().member("name", arg.name).member("type", plugin::type_name(arg.type));
    add_texts(json, "fields", arg.fields);
    json.end_object();
  }
  json.end_array().key("results").begin_array();
  for (const plugin::Param& result : hook.results) add_param(json, result);
  json.end_array().end_object();
}

void add_kind(JsonWriter& json, const plugin::Kind& kind) {
  json.begin_object().member("name", kind.name).member("doc", kind.doc);
  json.member("type", type_of(kind.type));
  add_ports(json, "inputs", kind.inputs);
  add_ports(json, "outputs", kind.outputs);
  json.key("settings").begin_array();
  for (const plugin::Param& setting : kind.settings) add_param(json, setting);
  json.end_array().key("hooks").begin_array();
  for (const plugin::Hook& hook : kind.hooks) add_hook(json, hook);
  json.end_array().key("keys").begin_array();
  for (const plugin::KeyFamily& keys : kind.keys) {
    json.begin_object().member("pattern", keys.pattern).member("doc", keys.doc);
    json.member("reads", keys.reads).member("writes", keys.writes);
    json.member("counter", keys.counter).end_object();
  }
  json.end_array().key("metrics").begin_array();
  for (const plugin::Metric& metric : kind.metrics) {
    json.begin_object().member("name", metric.name).member("doc", metric.doc);
    json.member("type", type_of(metric.type));
    add_texts(json, "labels", metric.labels);
    json.end_object();
  }
  json.end_array();
  add_texts(json, "reasons", kind.reasons);
  json.end_object();
}

void add_description(JsonWriter& json, const plugin::Description& plugin) {
  json.begin_object().member("name", plugin.name).member("version", plugin.version);
  json.member("doc", plugin.doc).member("path", plugin.path);
  json.member("abi", fmt::format("{}.{}", plugin.abi_major, plugin.abi_minor_min));
  json.key("kinds").begin_array();
  for (const plugin::Kind& kind : plugin.kinds) add_kind(json, kind);
  json.end_array().end_object();
}

int run_ls(Common& common) {
  const auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) return fail(common, kInvalidInput, catalog.status());
  const int exit = catalog->refusals().empty() ? kFine : kFindings;
  if (common.format == Format::kJson) {
    JsonWriter json;
    json.begin_object().member("folder", catalog->folder()).key("plugins").begin_array();
    for (const plugin::Description& plugin : catalog->plugins()) add_description(json, plugin);
    json.end_array().key("refused").begin_array();
    for (const plugin::Refusal& refusal : catalog->refusals())
      json.begin_object().member("path", refusal.path).member("text", refusal.text).end_object();
    json.end_array().end_object();
    common.out << json.text() << '\n';
    return exit;
  }
  Table table({{"plugin"}, {"version"}, {"use"}, {"type"}, {"what it does"}});
  for (const plugin::Description& plugin : catalog->plugins()) {
    std::string name = plugin.name, version = plugin.version;
    for (const plugin::Kind& kind : plugin.kinds) {
      table.add_row({name, version, plugin.name + '.' + kind.name, std::string(type_of(kind.type)),
                     kind.doc});
      name.clear();  // the plugin is named once
      version.clear();
    }
  }
  common.out << (table.empty() ? "no plugins in " + catalog->folder() + '\n'
                               : table.text(common.out_style));
  for (const plugin::Refusal& refusal : catalog->refusals())
    fail(common, kFindings, Status(Code::kInvalid, refusal.path + ": " + refusal.text));
  return exit;
}

int run_describe(Common& common, const std::string& name) {
  const auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) return fail(common, kInvalidInput, catalog.status());
  const plugin::Description* found = nullptr;
  for (const plugin::Description& plugin : catalog->plugins())
    if (plugin.name == name) found = &plugin;
  if (found == nullptr) {
    // `find` knows "plugin.kind" and names the nearest one otherwise.
    const auto choice = catalog->find(name);
    if (!choice) return fail(common, kInvalidInput, choice.status());
    found = choice->plugin;
  }
  common.out << (common.format == Format::kJson ? description_json(*found)
                                                : description_text(*found, common.out_style));
  return kFine;
}

}  // namespace

std::string description_text(const plugin::Description& plugin, const Style& style) {
  std::string out = fmt::format("{} {}\n", bold(plugin.name, style.color), plugin.version);
  if (!plugin.doc.empty()) out += plugin.doc + '\n';
  out += fmt::format("{} (table {}.{})\n", plugin.path, plugin.abi_major, plugin.abi_minor_min);
  const auto port = [](const plugin::Port& p) { return Line(p.name, port_text(p), p.doc); };
  for (const plugin::Kind& kind : plugin.kinds) {
    out += fmt::format("\n{} ({})\n", bold(plugin.name + '.' + kind.name, style.color),
                       type_of(kind.type));
    if (!kind.doc.empty()) out += "  " + kind.doc + '\n';
    add_block(out, "inputs", kind.inputs, port);
    add_block(out, "outputs", kind.outputs, port);
    add_block(out, "settings", kind.settings,
              [](const plugin::Param& p) { return Line(p.name, param_text(p), p.doc); });
    add_block(out, "policy hooks", kind.hooks,
              [](const plugin::Hook& h) { return Line(h.name, hook_text(h), h.doc); });
    add_block(out, "keys", kind.keys,
              [](const plugin::KeyFamily& k) { return Line(k.pattern, keys_text(k), k.doc); });
    add_block(out, "metrics", kind.metrics,
              [](const plugin::Metric& m) { return Line(m.name, metric_text(m), m.doc); });
    if (!kind.reasons.empty()) out += fmt::format("  reasons: {}\n", fmt::join(kind.reasons, ", "));
  }
  return out;
}

std::string description_json(const plugin::Description& plugin) {
  JsonWriter json;
  add_description(json, plugin);
  return std::string(json.text()) + '\n';
}

void add_plugin(CLI::App& app, Common& common) {
  CLI::App* command = app.add_subcommand("plugin", "Plugins: what is there and what each offers");
  command->require_subcommand(1);
  command->add_subcommand("ls", "Plugins of the folder, and those refused")->callback([&common] {
    common.action = [&common] { return run_ls(common); };
  });
  auto name = std::make_shared<std::string>();
  CLI::App* describe = command->add_subcommand(
      "describe", "Ports, settings, hooks, keys, metrics and reasons of a plugin");
  describe->add_option("NAME", *name, "Plugin")->required();
  describe->callback(
      [&common, name] { common.action = [&common, name] { return run_describe(common, *name); }; });
}

}  // namespace sluice::cli
