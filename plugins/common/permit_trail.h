// The permit audit trail: one entry for everything that happens to a permit.
#pragma once

#include <string_view>

#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::trade {

inline constexpr const char* kTrailFields[] = {
    "event",  "permit", "plan_id",        "plan_hash", "symbol",   "action",      "reason",
    "inputs", "policy", "valid_until_us", "at_us",     "trace_id", "decision_id", nullptr};

struct TrailEvent {
  std::string_view permit;  // governor or p33
  std::string_view event;   // issued, denied, consumed, refused, expired or missing
  std::string_view reason;
  std::string_view inputs;          // a JSON object: what was looked at; empty: nothing
  std::string_view valid_until_us;  // empty when there is no permit to be valid
};

// An entry for the output `audit` of governor, P3.3 and gate, fields as kTrailFields has them.
Record trail_record(const Plan& plan, const TrailEvent& event, const Unit& unit);

}  // namespace sluice::trade
