// `sluice completion`: what a shell needs to complete commands and options.
#pragma once

#include <string>

#include "cli/common.h"

namespace sluice::cli {

void add_completion(CLI::App& app, Common& common);

// A script for bash, made from the commands and options `app` knows.
std::string bash_completion(const CLI::App& app);

}  // namespace sluice::cli
