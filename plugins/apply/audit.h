// The gate's part of the permit audit trail: what became of each of the two permits of a plan.
#pragma once

#include <string>
#include <string_view>

#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::apply {

inline constexpr const char* kAuditFields[] = {
    "event",  "permit", "plan_id",        "plan_hash", "symbol",   "action", "reason",
    "inputs", "policy", "valid_until_us", "at_us",     "trace_id", nullptr};

// One permit as the gate met it.
struct PermitUse {
  std::string_view permit;  // governor or p33
  std::string_view event;   // consumed, refused, expired or missing
  std::string_view text;    // the permit's JSON; empty when there was none
};

// An entry for the output `audit`. `inputs` is a JSON object: what the gate looked at.
Record audit_record(const trade::Plan& plan, const PermitUse& use, std::string_view reason,
                    std::string_view inputs, const Unit& unit);

}  // namespace sluice::apply
