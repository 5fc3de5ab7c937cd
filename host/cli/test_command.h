// `sluice test`: runs the tests beside pipelines, on a store in memory and a virtual clock.
#pragma once

#include "cli/common.h"

namespace sluice::cli {

void add_test(CLI::App& app, Common& common);

}  // namespace sluice::cli
