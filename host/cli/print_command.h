// `sluice print`: the effective file, and where each of its values comes from.
#pragma once

#include "cli/common.h"

namespace sluice::cli {

void add_print(CLI::App& app, Common& common);

}  // namespace sluice::cli
