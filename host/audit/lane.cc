#include "audit/lane.h"

#include <algorithm>

namespace sluice::audit {

namespace {

void add(Streams& streams, size_t stream) {
  const auto at = std::lower_bound(streams.begin(), streams.end(), stream);
  if (at == streams.end() || *at != stream) streams.insert(at, stream);
}

void add_port(Streams& streams, const std::vector<graph::Wire>& wires, std::string_view port) {
  for (const graph::Wire& wire : wires)
    if (wire.port == port) add(streams, wire.stream);
}

void add_all(Streams& streams, const std::vector<graph::Wire>& wires) {
  for (const graph::Wire& wire : wires) add(streams, wire.stream);
}

bool feeds(const graph::StageSpec& from, const graph::StageSpec& to) {
  for (const graph::Wire& out : from.outputs)
    for (const graph::Wire& in : to.inputs)
      if (in.stream == out.stream && !in.feedback) return true;
  return false;
}

}  // namespace

Streams joined(Streams a, const Streams& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

bool contains(const Streams& streams, size_t stream) {
  return std::binary_search(streams.begin(), streams.end(), stream);
}

Lane::Lane(const graph::Pipeline& file) : pipeline(file) {
  for (size_t i = 0; i < file.streams.size(); ++i)
    if (file.streams[i].account.as == graph::AccountSpec::As::kTerminal) terminals.push_back(i);
  for (const graph::StageSpec& stage : file.stages) {
    const std::string& plugin = stage.plugin->name;
    if (stage.kind->type != plugin::KindType::kSource) add(dead, stage.dead_letter);
    if (plugin == "router") {
      // Other kinds of the plugin stand in front of the router or beside it.
      if (stage.kind->find_output("duplicate") != nullptr) add_all(decisions, stage.inputs);
      add_port(duplicates, stage.outputs, "duplicate");
    } else if (plugin == "apply") {
      add_port(plans, stage.outputs, "plan");
      add_port(orders, stage.outputs, "order");
      if (stage.kind->find_output("plan") != nullptr) add_all(intents, stage.inputs);
    } else if (plugin == "execution") {
      add_port(results, stage.outputs, "result");
      add_port(duplicates, stage.outputs, "duplicate");
      add_port(intent_orders, stage.outputs, "order");
      if (stage.kind->name == "intents") add_all(trade_intents, stage.inputs);
    } else if (plugin == "governor" && stage.kind->find_hook("limits") != nullptr) {
      governors.push_back(&stage);
    } else if (plugin == "p33" && (stage.kind->name == "ledger" || stage.kind->name == "repair")) {
      ledgers.push_back(&stage);
    }
    add_port(permits, stage.outputs, "audit");
  }
  for (const graph::StageSpec* ledger : ledgers)
    for (const graph::Wire& in : ledger->inputs)
      if (!contains(results, in.stream)) add(fills, in.stream);
  // Stages stand in topological order: from the end backwards each is known when it is asked for.
  for (size_t i = file.stages.size(); i-- > 0;) {
    const graph::StageSpec& stage = file.stages[i];
    const bool ends = std::any_of(stage.outputs.begin(), stage.outputs.end(),
                                  [&](const auto& out) { return contains(terminals, out.stream); });
    const bool leads_on = std::any_of(on_lane.begin(), on_lane.end(),
                                      [&](const auto* below) { return feeds(stage, *below); });
    if (ends || leads_on) on_lane.push_back(&stage);
  }
}

bool Lane::has(const graph::StageSpec& stage) const {
  return std::find(on_lane.begin(), on_lane.end(), &stage) != on_lane.end();
}

bool Lane::has_stage(std::string_view name) const {
  return std::any_of(on_lane.begin(), on_lane.end(),
                     [&](const auto* stage) { return stage->name == name; });
}

}  // namespace sluice::audit
