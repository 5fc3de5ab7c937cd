// The trade pipeline a case runs: as shipped, but for what the case varies.
#pragma once

#include <string>

#include "base/random.h"
#include "graph/pipeline.h"
#include "sim/nemesis.h"

namespace sluice::sim {

// Loads pipelines/trade.yaml and the plugins, once. Errors end the program: there is nothing to
// try.
const graph::Pipeline& shipped_pipeline();

// With batches, workers and bounds as `random` has them; the paper exchange keeps its journal in
// the folder `state`. With `on_paper` it is the exchange, which loses and delays answers with
// `answers`; without, nobody asks it, and the sources that look at it are left out.
graph::Pipeline varied_pipeline(Random& random, const std::string& state, bool on_paper,
                                bool answers);

// Lets the streams that stages read keep a few entries, as `random` has it. Those of operators and
// of dead letters are left alone: what they say is needed to the end.
void shorten_streams(Random& random, graph::Pipeline& pipeline);

}  // namespace sluice::sim
