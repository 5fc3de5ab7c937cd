#include "governor/limits.h"

#include <algorithm>

#include "common/text.h"

namespace sluice::governor {

namespace {

constexpr std::string_view kHourPrefix = "quantum:governor:rate:hour:";
constexpr std::string_view kBurstPrefix = "quantum:governor:rate:5min:";
constexpr std::string_view kDailyPrefix = "quantum:governor:daily:";
constexpr std::string_view kDailyQtyPrefix = "quantum:governor:daily_qty:";
constexpr std::string_view kTradesPrefix = "quantum:governor:daily_trades:";
constexpr std::string_view kErrorPrefix = "quantum:governor:errors:";

std::string keyed(std::string_view prefix, std::string_view name) {
  return std::string(prefix) + std::string(name);
}

// In units of 10^-8, away from zero, so that what is counted is never less than what is used.
std::optional<int64_t> scaled_up(const Decimal& value) {
  const Decimal cut = value.truncated(kScale);
  const auto whole = cut.scaled(kScale);
  if (!whole || cut == value) return whole;
  return *whole + 1;
}

}  // namespace

std::optional<Amounts> opening_amounts(const trade::Plan& plan) {
  const auto qty = Decimal::parse(plan.qty);
  const auto price = Decimal::parse(plan.mark_price);
  const auto said = Decimal::parse(plan.notional);
  if (!qty || !qty->is_positive() || !price || !price->is_positive() || !said) return std::nullopt;
  // What the plan says of itself may make it larger, never smaller.
  const auto notional = qty->times(*price);
  if (!notional) return std::nullopt;
  return Amounts{*qty, std::max(*notional, *said)};
}

std::optional<Amounts> closing_amounts(const trade::Plan& plan, const trade::Position& position) {
  // A stop moved commits no quantity of its own; it is charged like the largest part it protects.
  const auto part = trade::close_factor(plan.action);
  const auto factor = part
                          ? part
                          : (plan.action == "UPDATE_SL" ? std::optional(Decimal::from_scaled(75, 2))
                                                        : std::nullopt);
  const auto qty = factor ? position.amount.abs().times(*factor) : std::nullopt;
  if (!qty) return std::nullopt;
  if (!position.mark_price) return Amounts{*qty, Decimal()};
  const auto notional = qty->times(*position.mark_price);
  if (!notional) return std::nullopt;
  return Amounts{*qty, *notional};
}

std::vector<Share> rate_shares(std::string_view symbol, const Limits& limits) {
  return {{hour_counter(symbol), 1, limits.per_hour, WindowKind::kSliding, kHour},
          {burst_counter(symbol), 1, limits.per_5min, WindowKind::kSliding, kBurst}};
}

std::optional<Share> day_share(std::string_view symbol, const Amounts& amounts,
                               const Limits& limits, Time now) {
  const bool in_usd = amounts.notional.is_positive();
  const auto amount = scaled_up(in_usd ? amounts.notional : amounts.qty);
  const auto limit =
      (in_usd ? limits.notional_per_day : limits.qty_per_day).truncated(kScale).scaled(kScale);
  if (!amount || *amount < 0 || !limit) return std::nullopt;
  return Share{in_usd ? daily_counter(symbol, now) : daily_qty_counter(symbol, now), *amount,
               *limit, WindowKind::kFixed, kDay};
}

Share trades_share(int64_t daily_trades_max, Time now) {
  return {daily_trades_counter(now), 1, daily_trades_max, WindowKind::kFixed, kDay};
}

std::string_view reason_of_counter(std::string_view counter) {
  if (counter.starts_with(kHourPrefix)) return "hourly_limit_exceeded";
  if (counter.starts_with(kBurstPrefix)) return "burst_limit_exceeded";
  if (counter.starts_with(kTradesPrefix)) return "DAILY_TRADE_LIMIT_REACHED";
  return "daily_limit_exceeded";
}

bool blocks_critical(const trade::Plan& plan, double critical) {
  const auto score = trade::read_double(plan.kill_score);
  return (!score || *score >= critical) && !trade::is_reducing(plan.action);
}

std::string hour_counter(std::string_view symbol) { return keyed(kHourPrefix, symbol); }
std::string burst_counter(std::string_view symbol) { return keyed(kBurstPrefix, symbol); }
std::string daily_counter(std::string_view symbol, Time now) {
  return keyed(kDailyPrefix, symbol) + ":" + trade::utc_date(now);
}
std::string daily_qty_counter(std::string_view symbol, Time now) {
  return keyed(kDailyQtyPrefix, symbol) + ":" + trade::utc_date(now);
}
std::string daily_trades_counter(Time now) {
  std::string day = trade::utc_date(now);
  std::erase(day, '-');
  return keyed(kTradesPrefix, day);
}
std::string error_counter(Time now) { return keyed(kErrorPrefix, trade::utc_date(now)); }

}  // namespace sluice::governor
