// `sluice ctl`: what an operator tells a trade pipeline, running or not.
#pragma once

#include <string>

#include "cli/common.h"

namespace sluice::cli {

void add_ctl(CLI::App& app, Common& common);

// Who runs this program, for records: the name of the user, or "uid 1000".
std::string user_name();

}  // namespace sluice::cli
