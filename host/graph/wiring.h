// Checks of the graph as a whole, once every stage and stream has been read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/findings.h"

namespace sluice::graph {

// What the file says of a stage beside its spec, as far as the checks need it.
struct StageFacts {
  std::vector<size_t> writes;    // streams, also those on ports the plugin does not have
  std::vector<size_t> reads;     // the same for inputs
  bool has_dead_letter = false;  // spec.dead_letter is set
  // It reads or writes a stream that could not be told from the file, which was found.
  bool reads_unknown = false;
  bool writes_unknown = false;
};

// Checks streams, groups, fitting fields and loops of `pipeline`; `facts` go with its stages.
void check_wiring(const Pipeline& pipeline, const std::vector<StageFacts>& facts,
                  Findings& findings);

// Indices of the stages so that each comes after all that feed it, in the file's order where that
// leaves a choice. Feedback wires do not count. Loops are reported; their stages come last.
std::vector<size_t> topological_order(const Pipeline& pipeline, Findings& findings);

}  // namespace sluice::graph
