// The `engine` section of a pipeline file.
#pragma once

#include "graph/paths.h"
#include "graph/pipeline.h"
#include "graph/values.h"

namespace sluice::graph {

// Reads `member` into `engine`, which holds the defaults. `has_redis`: this program has that
// engine.
void read_engine(Findings& findings, const FilePaths& paths, const Node::Member& member,
                 bool has_redis, EngineSpec& engine);

}  // namespace sluice::graph
