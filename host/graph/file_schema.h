// The JSON Schema of a pipeline file for the plugins that are installed: editors complete with it
// and underline what `check` would refuse.
#pragma once

#include <string>

#include "plugin/catalog.h"

namespace sluice::graph {

// Draft 7, with two blanks of indentation and a line end behind it.
//
// Each stage is described by what its `use` names: ports, settings with type, range and default.
// What a schema cannot say is left to `check`: streams that are not declared, cycles, bounds of
// durations, policies. A ${...} may stand wherever a single value can.
std::string file_schema(const plugin::Catalog& catalog);

}  // namespace sluice::graph
