// Which streams and stages of a pipeline file play which part in trading.
#pragma once

#include <string_view>
#include <vector>

#include "graph/pipeline.h"

namespace sluice::audit {

using Streams = std::vector<size_t>;  // indexes into Pipeline::streams, ascending, each once

// Found by plugin and port; empty where the pipeline has none.
struct Lane {
  explicit Lane(const graph::Pipeline& pipeline);

  // The stage lies on the way of an entry to a terminal stream.
  bool has(const graph::StageSpec& stage) const;
  bool has_stage(std::string_view name) const;

  const graph::Pipeline& pipeline;
  std::vector<const graph::StageSpec*> on_lane;

  Streams decisions;   // the router reads them
  Streams duplicates;  // port `duplicate` of the router, and of what judges trade intents
  Streams intents;     // the planner reads them: intents and proposals
  Streams plans;
  Streams orders;
  Streams results;  // of the execution stages
  // The lane without permits: what execution.intents reads, and the orders it makes.
  Streams trade_intents, intent_orders;
  Streams fills;      // what else the ledger reads: what became of stops that rested
  Streams terminals;  // `account: { as: terminal }`
  Streams dead;
  Streams permits;  // ports `audit`: what became of each permit

  std::vector<const graph::StageSpec*> governors;  // stages with the hook `limits`
  std::vector<const graph::StageSpec*> ledgers;    // stages that write the ledger: p33's
};

bool contains(const Streams& streams, size_t stream);
Streams joined(Streams a, const Streams& b);

}  // namespace sluice::audit
