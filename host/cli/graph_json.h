// Pipelines and their differences as JSON, for programs that draw or check them.
#pragma once

#include <string>
#include <vector>

#include "graph/draw.h"

namespace sluice::cli {

// {"pipeline", "file", "engine", "stages": [...], "streams": [...], "edges": [...], "keys": [...]},
// in one line without its end. An edge is one wire: {"stage", "direction": "in" or "out", "port",
// "stream", "group", "feedback"}; a group stands on the edges of direction in only.
std::string graph_json(const graph::Pipeline& pipeline, graph::KeysShown keys);

// {"before", "after", "differences": [{"change", "of", "name", "part", "before", "after"}]}; part,
// before and after are null where there is none.
std::string differences_json(const graph::Pipeline& before, const graph::Pipeline& after,
                             const std::vector<graph::Difference>& differences);

}  // namespace sluice::cli
