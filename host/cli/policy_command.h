// `sluice policy`: checks policy files as a run would before it takes them.
#pragma once

#include "cli/common.h"

namespace sluice::cli {

void add_policy(CLI::App& app, Common& common);

}  // namespace sluice::cli
