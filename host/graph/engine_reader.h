// The `engine` section of a pipeline file.
#pragma once

#include "graph/paths.h"
#include "graph/pipeline.h"
#include "graph/values.h"

namespace sluice::graph {

// Reads `member` into `engine`, which holds the defaults.
void read_engine(Findings& findings, const FilePaths& paths, const Node::Member& member,
                 const LoadOptions& options, EngineSpec& engine);

}  // namespace sluice::graph
