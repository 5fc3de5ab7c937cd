// `sluice graph`: a drawing of a pipeline.
#pragma once

#include <string>

#include "base/status.h"
#include "cli/common.h"

namespace sluice::cli {

void add_graph(CLI::App& app, Common& common);

// Runs `dot` of graphviz over a drawing in its language.
//
// Errors: kNotFound with what to install when there is no `dot`; kInvalid with its exit status.
Result<std::string> dot_to_svg(const std::string& dot, const std::string& program = "dot");

}  // namespace sluice::cli
