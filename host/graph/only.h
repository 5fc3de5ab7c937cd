// A part of a pipeline, run alone beside other programs that do the rest.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "graph/pipeline.h"

namespace sluice::graph {

// Keeps the stages `names` of a checked pipeline and takes the others out.
//
// Streams stay as they are, but count as external where a kept stage reads what none of them
// writes: others fill them, and their entries are held to the stream's schema before a stage sees
// them. External streams that no kept stage reads are nobody's input any more.
// Errors:  kInvalid for a name that is no stage, with the nearest one; nothing is changed then.
Status keep_only(Pipeline& pipeline, const std::vector<std::string>& names);

}  // namespace sluice::graph
