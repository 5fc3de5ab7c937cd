// `sluice why`: the whole story of one decision, plan or order.
#pragma once

#include <string>

#include "audit/story.h"
#include "cli/common.h"

namespace sluice::cli {

void add_why(CLI::App& app, Common& common);

// What happened, one line each with its distance from the beginning, and below it what was seen.
std::string why_text(const audit::Story& story, const Style& style);

// {asked, decisions, plans, orders, endings, happenings: [{at, at_us, who, text, values, policy,
// stream, id}]}.
std::string why_json(const audit::Story& story);

}  // namespace sluice::cli
