// `sluice schema`: the JSON Schema of pipeline files, for editors.
#pragma once

#include "cli/common.h"

namespace sluice::cli {

void add_schema(CLI::App& app, Common& common);

}  // namespace sluice::cli
