#include "graph/graph_diff.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/disk.h"
#include "graph/key_flow.h"
#include "plugin/catalog.h"
#include "policy/policy.h"

namespace sluice::graph {
namespace {

// In front of a value that is compared and never shown.
constexpr char kSecretMark = '\0';

std::string shown(const std::string& value) {
  return value.starts_with(kSecretMark) ? "(secret)" : value;
}

// What can be compared of one stream, stage or pipeline: parts as the file names them, and values.
using Parts = std::vector<std::pair<std::string, std::string>>;

struct Item {
  std::string id;  // tells items of one kind apart
  std::string name;
  Parts parts;
};

std::string yes_no(bool value) { return value ? "true" : "false"; }

std::string time_text(milliseconds time) { return plugin::duration_text(time.count() * 1000); }

// A path of the file as the file writes it, without the folder it was resolved against.
std::string path_text(const Pipeline& pipeline, const std::string& path) {
  if (path.empty()) return "";
  std::error_code ignored;
  const auto file = std::filesystem::absolute(pipeline.file, ignored).lexically_normal();
  const auto folder = file.parent_path();
  const auto base = folder.filename() == "pipelines" ? folder.parent_path() : folder;
  const auto whole = std::filesystem::absolute(path, ignored).lexically_normal();
  const std::string inside = whole.lexically_relative(base).string();
  return inside.empty() || inside.starts_with("..") ? path : inside;
}

std::string joined(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

// Pipelines
// ----------------------------------------------------------------------------------------

std::string durability_text(const EngineSpec& engine) {
  if (engine.durability == Durability::kCommit) return "commit";
  if (engine.durability == Durability::kOs) return "os";
  return "group " + time_text(engine.group_interval);
}

Parts pipeline_parts(const Pipeline& pipeline) {
  constexpr std::string_view kClocks[] = {"auto", "wall", "recorded"};
  const bool redis = pipeline.engine.kind == EngineKind::kRedis;
  return {
      {"pipeline", pipeline.name},
      {"clock", std::string(kClocks[static_cast<size_t>(pipeline.clock)])},
      {"seed", std::to_string(pipeline.seed)},
      {"engine.kind", redis ? "redis" : "embedded"},
      {"engine.path", path_text(pipeline, pipeline.engine.path)},
      // The user part of a url may hold a password.
      {"engine.url", pipeline.engine.url.substr(pipeline.engine.url.rfind('@') + 1)},
      {"engine.durability", redis ? "" : durability_text(pipeline.engine)},
      {"engine.segment_bytes", redis ? "" : std::to_string(pipeline.engine.segment_bytes)},
      {"engine.checkpoint_bytes", redis ? "" : std::to_string(pipeline.engine.checkpoint_bytes)},
      {"engine.shards", std::to_string(pipeline.engine.shards)},
      {"engine.shard_by", pipeline.engine.shard_by},
      {"engine.per_shard", joined(pipeline.engine.per_shard)},
      {"engine.consumer", pipeline.engine.consumer},
      {"engine.min_replicas", std::to_string(pipeline.engine.min_replicas)},
      {"drain_timeout", time_text(pipeline.drain_timeout)},
  };
}

// Streams
// ------------------------------------------------------------------------------------------

std::string account_text(const AccountSpec& account) {
  if (account.as == AccountSpec::As::kNone) return "";
  std::string text = account.as == AccountSpec::As::kTerminal ? "terminal" : "milestone";
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format(", {} {}", name, value);
  };
  add("label", account.label);
  add("state", account.state_field);
  add("reason", account.reason_field);
  add("since", account.since_field);
  return text;
}

Parts stream_parts(const StreamSpec& stream) {
  Parts parts{
      {"name", stream.name},
      {"schema", stream.schema == nullptr ? "" : stream.schema->version()},
      {"external", yes_no(stream.external)},
      {"unread", yes_no(stream.unread)},
      {"keep", std::to_string(stream.keep)},
      {"trim", stream.trim_hard ? "hard" : "acked"},
      {"lag_max", std::to_string(stream.lag_max)},
      {"account", account_text(stream.account)},
  };
  if (stream.schema != nullptr) {
    parts.emplace_back("schema.properties", joined(stream.schema->properties()));
    parts.emplace_back("schema.required", joined(stream.schema->required()));
  }
  return parts;
}

// Stages
// -------------------------------------------------------------------------------------------

// "lua/apply.lua@3f9a1c2e": another text is another policy, also under the same name.
std::string policy_text(const Pipeline& pipeline, const StageSpec& stage) {
  if (stage.policy_path.empty()) return "";
  std::string path = path_text(pipeline, stage.policy_path);
  if (stage.kind == nullptr) return path;
  const auto script =
      policy::Script::load(stage.policy_path, stage.kind->hooks, policy::Limits{}, system_disk());
  if (!script) return path + " (cannot be read)";
  const std::string& version = (*script)->version();
  return path + version.substr(version.rfind('@'));
}

std::string setting_text(const Pipeline& pipeline, const StageSpec& stage, const std::string& name,
                         const plugin::Value& value) {
  if (stage.secrets.contains(name)) return kSecretMark + value.text;
  if (value.type == plugin::ValueType::kList) return "[" + joined(value.list) + "]";
  for (const plugin::Param& param : stage.kind->settings)
    if (param.name == name && param.unit == "path") return path_text(pipeline, value.text);
  return value.text;
}

Parts stage_parts(const Pipeline& pipeline, const StageSpec& stage) {
  Parts parts{{"use", stage.use()}};
  for (const Wire& wire : stage.inputs)
    parts.emplace_back("from." + wire.port,
                       pipeline.streams[wire.stream].key + (wire.feedback ? " (feedback)" : ""));
  for (const Wire& wire : stage.outputs)
    parts.emplace_back("to." + wire.port, pipeline.streams[wire.stream].key);
  parts.emplace_back("policy", policy_text(pipeline, stage));
  if (!stage.inputs.empty()) {
    parts.insert(parts.end(), {{"group", stage.group},
                               {"order_by", stage.order_by.value_or("")},
                               {"batch", std::to_string(stage.batch)},
                               {"workers", std::to_string(stage.workers)},
                               {"deliveries_max", std::to_string(stage.deliveries_max)},
                               {"claim_idle", time_text(stage.claim_idle)},
                               {"retry.min", time_text(stage.retry_min)},
                               {"retry.max", time_text(stage.retry_max)},
                               {"parked_max", std::to_string(stage.parked_max)}});
  }
  parts.emplace_back("call_slow", time_text(stage.call_slow));
  parts.emplace_back("call_max", time_text(stage.call_max));
  parts.emplace_back("dead_letter", pipeline.streams[stage.dead_letter].key);
  if (stage.kind != nullptr && stage.kind->type == plugin::KindType::kExternal)
    parts.emplace_back("concurrency", std::to_string(stage.concurrency));
  for (const auto& [name, value] : stage.settings)
    parts.emplace_back("with." + name, setting_text(pipeline, stage, name, value));
  return parts;
}

// Keys
// ---------------------------------------------------------------------------------------------

Parts key_parts(const Pipeline& pipeline, const KeyFlow& flow) {
  const auto names = [&](const std::vector<size_t>& stages) {
    std::vector<std::string> out;
    out.reserve(stages.size());
    for (const size_t stage : stages) out.push_back(pipeline.stages[stage].name);
    std::ranges::sort(out);  // the order of stages follows the wires, and is no difference
    return joined(out);
  };
  return {{flow.counter ? "counters" : "writers", names(flow.writers)},
          {"readers", names(flow.readers)}};
}

// What each host has for itself
// ---------------------------------------------------------------------------

bool is_path(const StageSpec& stage, std::string_view setting) {
  return std::ranges::any_of(stage.kind->settings, [&](const plugin::Param& param) {
    return param.name == setting && param.unit.ends_with("path");
  });
}

bool is_own_part(std::string_view part) {
  constexpr std::string_view kOwn[] = {"engine.consumer",
                                       "engine.url",
                                       "engine.path",
                                       "engine.durability",
                                       "drain_timeout",
                                       "batch",
                                       "workers",
                                       "parked_max",
                                       "concurrency",
                                       "call_slow",
                                       "call_max",
                                       "policy",
                                       "engine.segment_bytes",
                                       "engine.checkpoint_bytes"};
  return std::ranges::find(kOwn, part) != std::end(kOwn);
}

bool is_own_setting(const StageSpec& stage, std::string_view part) {
  constexpr std::string_view kWith = "with.";
  if (!part.starts_with(kWith)) return false;
  const std::string_view setting = part.substr(kWith.size());
  return stage.secrets.contains(setting) || is_path(stage, setting);
}

// ------------------------------------------------------------------------------------------------

std::vector<Item> items_of(const Pipeline& pipeline, Difference::Of of) {
  std::vector<Item> items;
  switch (of) {
    case Difference::Of::kPipeline:
      return {{"", pipeline.name, pipeline_parts(pipeline)}};
    case Difference::Of::kStream:
      for (const StreamSpec& stream : pipeline.streams)
        items.push_back({stream.key, stream.key, stream_parts(stream)});
      break;
    case Difference::Of::kStage:
      for (const StageSpec& stage : pipeline.stages)
        items.push_back({stage.name, stage.name, stage_parts(pipeline, stage)});
      break;
    case Difference::Of::kKey:
      for (const KeyFlow& flow : key_flows(pipeline))
        items.push_back({flow.id, flow.pattern, key_parts(pipeline, flow)});
      break;
  }
  return items;
}

const Item* find_item(const std::vector<Item>& items, std::string_view id) {
  const auto found = std::ranges::find(items, id, &Item::id);
  return found == items.end() ? nullptr : &*found;
}

std::string find_part(const Parts& parts, std::string_view name) {
  for (const auto& [known, value] : parts)
    if (known == name) return value;
  return "";
}

void compare_parts(Difference::Of of, const Item& before, const Item& after,
                   std::vector<Difference>& out) {
  const auto add = [&](const std::string& part, const std::string& from, const std::string& to) {
    const Change change = from.empty() ? Change::kAdded
                          : to.empty() ? Change::kRemoved
                                       : Change::kChanged;
    out.push_back({change, of, after.name, part, shown(from), shown(to)});
  };
  for (const auto& [part, value] : after.parts)
    if (std::string was = find_part(before.parts, part); was != value) add(part, was, value);
  for (const auto& was : before.parts) {
    const bool still_there =
        std::ranges::any_of(after.parts, [&](const auto& now) { return now.first == was.first; });
    if (!still_there && !was.second.empty()) add(was.first, was.second, "");
  }
}

void compare(Difference::Of of, const std::vector<Item>& before, const std::vector<Item>& after,
             std::vector<Difference>& out) {
  for (const Item& item : after) {
    if (const Item* was = find_item(before, item.id); was != nullptr) {
      compare_parts(of, *was, item, out);
    } else {
      out.push_back({Change::kAdded, of, item.name, "", "", item.parts.front().second});
    }
  }
  for (const Item& item : before) {
    if (find_item(after, item.id) == nullptr)
      out.push_back({Change::kRemoved, of, item.name, "", item.parts.front().second, ""});
  }
}

}  // namespace

std::string_view change_name(Change change) {
  constexpr std::string_view kNames[] = {"same", "added", "removed", "changed"};
  return kNames[static_cast<size_t>(change)];
}

std::string_view of_name(Difference::Of of) {
  constexpr std::string_view kNames[] = {"pipeline", "stream", "stage", "key"};
  return kNames[static_cast<size_t>(of)];
}

std::vector<Difference> differences(const Pipeline& before, const Pipeline& after) {
  std::vector<Difference> out;
  for (const auto of : {Difference::Of::kPipeline, Difference::Of::kStream, Difference::Of::kStage,
                        Difference::Of::kKey})
    compare(of, items_of(before, of), items_of(after, of), out);
  return out;
}

std::vector<Compared> common_parts(const Pipeline& pipeline) {
  std::vector<Compared> all;
  all.push_back({Difference::Of::kPipeline, pipeline.name, pipeline_parts(pipeline)});
  for (const StreamSpec& stream : pipeline.streams)
    all.push_back({Difference::Of::kStream, stream.key, stream_parts(stream)});
  for (const StageSpec& stage : pipeline.stages) {
    Parts parts = stage_parts(pipeline, stage);
    std::erase_if(parts, [&](const auto& part) { return is_own_setting(stage, part.first); });
    all.push_back({Difference::Of::kStage, stage.name, std::move(parts)});
  }
  for (Compared& one : all)
    std::erase_if(one.parts, [](const auto& part) { return is_own_part(part.first); });
  return all;
}

}  // namespace sluice::graph
