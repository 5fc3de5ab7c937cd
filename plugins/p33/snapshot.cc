#include "p33/snapshot.h"

#include "common/control.h"
#include "common/text.h"

namespace sluice::p33 {
namespace {

constexpr Duration kSnapshotTtl = std::chrono::hours(1);

Record snapshot_record(const paper::Position& position, const Decimal& price,
                       const paper::Filters& filters, int64_t leverage, Time now) {
  const auto profit = position.unrealized(price);
  if (!profit) throw std::runtime_error("profit out of range");
  return {{"position_amt", trade::decimal_text(position.amount)},
          {"side", trade::side_of(position.amount)},
          {"entry_price", trade::decimal_text(position.entry_price())},
          {"mark_price", trade::decimal_text(price)},
          {"unrealized_pnl", trade::decimal_text(*profit)},
          {"leverage", std::to_string(leverage)},
          {"ts_epoch", trade::epoch_text(now)},
          {"source", "paper"},
          {"ts_us", trade::micros_text(now)},
          {"price_tick", filters.price_tick.text()},
          {"qty_step", filters.qty_step.text()},
          {"qty_min", filters.qty_min.text()},
          {"notional_min", filters.notional_min.text()}};
}

}  // namespace

void Snapshot::check(const Settings& settings) {
  paper::price_settings(settings);
  paper::account_setting(settings);
  if (settings.list("symbols").empty()) throw SettingError("symbols", "expected at least one");
}

Snapshot::Snapshot(const Settings& settings)
    : symbols_(settings.list("symbols")),
      interval_(settings.duration("interval")),
      leverage_(settings.integer("leverage")),
      prices_(paper::price_settings(settings)),
      account_(settings.text("state"), paper::account_setting(settings)) {}

Poll Snapshot::poll(Unit& unit) {
  const Time now = unit.now();
  const paper::Account& account = account_.at(trade::micros(now));
  std::vector<std::string> unpriced;
  for (const std::string& symbol : symbols_) {
    const auto price = prices_.price(symbol, trade::micros(now));
    const auto filters = prices_.filters(symbol);
    if (!price || !filters) {
      unpriced.push_back(symbol);
      continue;
    }
    const paper::Position& position = account.position(symbol);
    unit.put(trade::snapshot_key(symbol),
             snapshot_record(position, *price, *filters, leverage_, now), kSnapshotTtl);
    unit.gauge("p33_exchange_position_amt", {{"symbol", symbol}}, position.amount.to_double());
  }
  if (!told_) tell(unit, unpriced);
  told_ = true;
  return idle(interval_);
}

void Snapshot::tell(const Unit& unit, const std::vector<std::string>& unpriced) {
  // Whoever looks at results should know that their prices are not those of any market.
  unit.log(prices_.are_invented() ? SLUICE_LOG_WARNING : SLUICE_LOG_INFO,
           "paper exchange prices: " + prices_.source());
  std::string names;
  for (const std::string& symbol : unpriced) names += " " + symbol;
  if (!names.empty()) unit.log(SLUICE_LOG_WARNING, "no price, hence no snapshot, for" + names);
}

}  // namespace sluice::p33
