// What a plan would use of a symbol's limits, and which reason belongs to which limit. Plain
// values, no host.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/control.h"
#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::governor {

// Counters hold money and quantities as whole numbers of 10^-8.
inline constexpr int kScale = 8;

inline constexpr Duration kHour = std::chrono::hours(1);
inline constexpr Duration kBurst = std::chrono::minutes(5);
inline constexpr Duration kDay = std::chrono::hours(24);

struct Limits {
  int64_t per_hour = 0;
  int64_t per_5min = 0;
  Decimal notional_per_day;  // USD
  Decimal qty_per_day;       // base asset
};

// What one plan asks for.
struct Amounts {
  Decimal qty;
  Decimal notional;  // 0 when no mark price is known: then the quantity limit applies
};

// A share of one limit that has to be there.
struct Share {
  std::string counter;
  int64_t amount = 0;
  int64_t limit = 0;
  WindowKind kind = WindowKind::kFixed;
  Duration window{0};
};

// Quantity and notional of a plan: an opening's own, a close's part of the position.
//
// Errors: nullopt, and `reason` is position_fetch_failed (no readable, fresh snapshot for a close)
//         or limit_computation_error (the plan's own numbers, or an action nobody knows).
std::optional<Amounts> plan_amounts(const trade::Plan& plan,
                                    const std::optional<trade::Position>& position, Time now,
                                    Duration snapshot_age_max, std::string& reason);

// The shares in gate order: hour, five minutes, day. nullopt: limit_computation_error.
std::optional<std::vector<Share>> shares(std::string_view symbol, const Amounts& amounts,
                                         const Limits& limits, Time now);

// hourly_limit_exceeded, burst_limit_exceeded or daily_limit_exceeded.
std::string_view reason_of_counter(std::string_view counter);

// A critical kill score lets only actions through that make a position smaller.
bool blocks_critical(const trade::Plan& plan, double critical);

std::string hour_counter(std::string_view symbol);
std::string burst_counter(std::string_view symbol);
std::string daily_counter(std::string_view symbol, Time now);
std::string daily_qty_counter(std::string_view symbol, Time now);

}  // namespace sluice::governor
