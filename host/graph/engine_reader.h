// The `engine` section of a pipeline file.
#pragma once

#include "graph/paths.h"
#include "graph/pipeline.h"
#include "graph/values.h"

namespace sluice::graph {

// Reads `member` into `engine`, which holds the defaults.
void read_engine(Findings& findings, const FilePaths& paths, const Node::Member& member,
                 const LoadOptions& options, EngineSpec& engine);

// A key of this section that says nothing to an engine of kind redis.
bool is_of_embedded(std::string_view engine_key);

}  // namespace sluice::graph
