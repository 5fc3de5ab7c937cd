// `sluice run`: a pipeline as a service, or over a file until everything is drained.
#pragma once

#include "cli/common.h"

namespace sluice::cli {

void add_run(CLI::App& app, Common& common);

}  // namespace sluice::cli
