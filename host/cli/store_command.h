// `sluice store`: verifies and repairs the folder of an embedded store.
#pragma once

#include "cli/common.h"

namespace sluice::cli {

void add_store(CLI::App& app, Common& common);

}  // namespace sluice::cli
