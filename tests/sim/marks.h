// What seeds must meet: a simulation that never gets there proves nothing.
#pragma once

#include <string_view>

namespace sluice::sim {

inline constexpr std::string_view kMarks[] = {
    "duplicate",
    "plan-repeated",
    "fill-repeated",
    "restart",
    "power-cut",
    "tail-truncated",
    "died-in-recovery",
    "crash-in-write",
    "crash-between-steps",
    "crash-before-send",
    "crash-after-send",
    "unknown-then-found",
    "unknown-then-missing",
    "kill-between-intent-and-send",
    "fenced-commit",
    "killed-by-an-entry",
    "dead: crashed",  // and given up on
    "dead: schema",
    "disk-failed-once",
    "slow-sync",
    "clock-back",
    "midnight",
    "suspended",
    "race",
    "stop-met",
    "early",
    "trimmed",
    "permit-exchanged",
    "kill-at-gate",
    "ends: kill_switch_active",
    "ends: disarmed",
    "ends: duplicate_plan",
    "ends: permit_timeout_or_missing",
    "ends: permit_not_bound",
    "ends: permit_expired_before_send",
    "ends: p33_permit_denied",
    "ends: governor_blocked",
};

}  // namespace sluice::sim
