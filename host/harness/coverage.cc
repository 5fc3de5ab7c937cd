#include "harness/coverage.h"

#include <rapidjson/document.h>

#include <algorithm>

namespace sluice::harness {

namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool is_reason(std::string_view described, std::string_view said) {
  const size_t open = described.find('<');
  if (open == std::string_view::npos) return said == described;
  return said.size() > open && said.starts_with(described.substr(0, open));
}

}  // namespace

void Coverage::add(const graph::Pipeline& pipeline) {
  const auto [found, is_new] = pipelines_.try_emplace(pipeline.file);
  if (!is_new) return;
  for (const graph::StageSpec& stage : pipeline.stages) {
    StageItems items{stage.name, stage.plugin->name, {}, {}, {}};
    for (const graph::Wire& wire : stage.outputs) items.ports.all.emplace_back(wire.port, false);
    for (const std::string& reason : stage.kind->reasons)
      items.reasons.all.emplace_back(reason, false);
    for (const plugin::Hook& hook : stage.kind->hooks)
      items.hooks.all.emplace_back(hook.name, false);
    found->second.push_back(std::move(items));
  }
}

void Coverage::committed(std::string_view pipeline_file, std::string_view stage,
                         const stream::Unit& unit, std::span<const std::string> ports) {
  StageItems* items = find(pipeline_file, stage);
  if (items == nullptr) return;
  for (const std::string& port : ports) items->ports.reach(port);
  const auto said_in_fields = [&](std::string_view encoded) {
    for (const stream::FieldView& field : stream::FieldsView(encoded))
      said(items->reasons, field.value);
  };
  for (const stream::Condition& condition : unit.conditions) {
    if (condition.kind == stream::ConditionKind::kClaim) said(items->reasons, condition.value);
  }
  for (const stream::Effect& effect : unit.effects) {
    if (effect.kind == stream::EffectKind::kEmit || effect.kind == stream::EffectKind::kPutFields)
      said_in_fields(effect.bytes);
    if (effect.kind == stream::EffectKind::kPut) said(items->reasons, effect.bytes);
  }
}

void Coverage::called(std::string_view pipeline_file, std::string_view stage,
                      std::string_view hook) {
  const StageItems* caller = find(pipeline_file, stage);
  if (caller == nullptr) return;
  for (StageItems& items : pipelines_.find(pipeline_file)->second) {
    if (items.plugin == caller->plugin) items.hooks.reach(hook);
  }
}

std::vector<Coverage::Report> Coverage::reports() const {
  std::vector<Report> reports;
  for (const auto& [file, stages] : pipelines_) {
    Report report{file, {}};
    for (const StageItems& stage : stages) {
      Line line{stage.stage, stage.ports.part(), stage.reasons.part(), stage.hooks.part()};
      if (line.all() > 0) report.lines.push_back(std::move(line));
    }
    reports.push_back(std::move(report));
  }
  return reports;
}

double Coverage::percent() const {
  size_t reached = 0, all = 0;
  for (const Report& report : reports()) {
    for (const Line& line : report.lines) {
      reached += line.reached();
      all += line.all();
    }
  }
  return all == 0 ? 100.0 : 100.0 * static_cast<double>(reached) / static_cast<double>(all);
}

void Coverage::Items::reach(std::string_view name) {
  for (auto& [item, reached] : all) reached = reached || item == name;
}

Coverage::Part Coverage::Items::part() const {
  Part part;
  part.all = all.size();
  for (const auto& [item, reached] : all) {
    if (reached)
      ++part.reached;
    else
      part.missing.push_back(item);
  }
  return part;
}

Coverage::StageItems* Coverage::find(std::string_view pipeline_file, std::string_view stage) {
  const auto pipeline = pipelines_.find(pipeline_file);
  if (pipeline == pipelines_.end()) return nullptr;
  const auto found = std::ranges::find(pipeline->second, stage, &StageItems::stage);
  return found == pipeline->second.end() ? nullptr : &*found;
}

void Coverage::said(Items& reasons, std::string_view value) {
  if (value.starts_with('{')) return said_in_json(reasons, value);
  while (!value.empty()) {
    const size_t comma = std::min(value.find(','), value.size());
    const std::string_view word = trimmed(value.substr(0, comma).substr(0, value.find(':')));
    for (auto& [reason, reached] : reasons.all) reached = reached || is_reason(reason, word);
    value.remove_prefix(std::min(comma + 1, value.size()));
  }
}

void Coverage::said_in_json(Items& reasons, std::string_view text) {
  rapidjson::Document json;
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag;
  if (json.Parse<kFlags>(text.data(), text.size()).HasParseError() || !json.IsObject()) return;
  for (const auto& member : json.GetObject()) {
    const std::string_view value =
        member.value.IsString()
            ? std::string_view(member.value.GetString(), member.value.GetStringLength())
            : std::string_view();
    if (!value.starts_with('{')) said(reasons, value);
  }
}

}  // namespace sluice::harness
