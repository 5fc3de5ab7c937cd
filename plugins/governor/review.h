// What the governor saw of one plan: what its decision rests on, and what the audit trail shows.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/control.h"
#include "common/plan.h"
#include "governor/limits.h"
#include "governor/risk.h"
#include "sluice/plugin.h"

namespace sluice::governor {

struct Review {
  std::string reason;  // why not; empty: only a counter can still refuse
  bool kill_switch = false;
  std::optional<trade::Position> position;  // closes, when one could be read
  std::optional<Amounts> amounts;
  std::optional<RiskBounds> bounds;  // openings
  std::vector<Share> shares;         // of the gates passed so far, in gate order

  // The counter that refused, and what it held.
  std::string met_counter;
  int64_t met_count = 0;
};

// `inputs` of the audit trail: a JSON object with what was looked at and nothing else.
std::string inputs_text(const trade::Plan& plan, const Review& review, Time now);

}  // namespace sluice::governor
