// `sluice check`: reads and checks pipeline files; opens nothing but files.
#pragma once

#include "cli/common.h"

namespace sluice::cli {

void add_check(CLI::App& app, Common& common);

}  // namespace sluice::cli
