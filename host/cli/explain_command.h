// `sluice explain`: what a finding's code means and how to mend it.
#pragma once

#include <optional>
#include <string_view>

#include "cli/common.h"
#include "graph/findings.h"

namespace sluice::cli {

// The number in "S0311", "s0311", "0311" or "311"; nullopt for anything else.
std::optional<int> code_number(std::string_view text);

// The fault whose code is nearest to `number`, the lower of two.
const graph::FaultInfo& nearest_fault(int number);

void add_explain(CLI::App& app, Common& common);

}  // namespace sluice::cli
