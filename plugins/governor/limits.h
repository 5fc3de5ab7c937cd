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
// A day's counter has the UTC date in its name, so the next day begins with none; the window only
// says when the old one is forgotten, never before its day is over.
inline constexpr Duration kDay = std::chrono::hours(24);

// Limits of one symbol and side.
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
// Errors: nullopt: limit_computation_error. A number that is missing or no number, or an action
//         nobody knows.
std::optional<Amounts> opening_amounts(const trade::Plan& plan);
std::optional<Amounts> closing_amounts(const trade::Plan& plan, const trade::Position& position);

// The shares in gate order: hour, five minutes, day, and for openings the day's trades.
std::vector<Share> rate_shares(std::string_view symbol, const Limits& limits);
// Of the notional or, where there is none, of the quantity: two counters, because USD and base
// asset do not add up. nullopt: limit_computation_error.
std::optional<Share> day_share(std::string_view symbol, const Amounts& amounts,
                               const Limits& limits, Time now);
Share trades_share(int64_t daily_trades_max, Time now);

// hourly_limit_exceeded, burst_limit_exceeded, daily_limit_exceeded or DAILY_TRADE_LIMIT_REACHED.
std::string_view reason_of_counter(std::string_view counter);

// A critical kill score lets only actions through that make a position smaller.
bool blocks_critical(const trade::Plan& plan, double critical);

std::string hour_counter(std::string_view symbol);
std::string burst_counter(std::string_view symbol);
std::string daily_counter(std::string_view symbol, Time now);
std::string daily_qty_counter(std::string_view symbol, Time now);
std::string daily_trades_counter(Time now);
// Errors of the governor's own, of one UTC day.
std::string error_counter(Time now);

}  // namespace sluice::governor
