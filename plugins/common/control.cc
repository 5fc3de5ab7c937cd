#include "common/control.h"

#include <array>
#include <limits>

#include "common/mutant.h"
#include "common/text.h"

namespace sluice::trade {

namespace {

std::optional<Decimal> decimal_at(const Look& look, std::string_view name) {
  const auto text = look(name);
  return text ? Decimal::parse(trim(*text)) : std::nullopt;
}

std::optional<SymbolFilters> read_filters(const Look& look) {
  const auto tick = decimal_at(look, "price_tick");
  const auto step = decimal_at(look, "qty_step");
  const auto qty_min = decimal_at(look, "qty_min");
  const auto notional_min = decimal_at(look, "notional_min");
  if (!tick || !step || !qty_min || !notional_min) return std::nullopt;
  if (!step->is_positive() || qty_min->is_negative()) return std::nullopt;
  return SymbolFilters{*tick, *step, *qty_min, *notional_min};
}

// Absent counts as 0; unreadable is nullopt.
std::optional<int64_t> seconds_at(const Look& look, std::string_view name) {
  const auto text = look(name);
  if (!text || text->empty()) return 0;
  const auto value = Decimal::parse(trim(*text));
  return value ? value->truncated(0).scaled(0) : std::nullopt;
}

}  // namespace

bool kill_word_set(std::string_view text) {
  const std::string word = lower(trim(text));
  for (const std::string_view off : {"", "0", "false", "no", "off"}) {
    if (word == off) return false;
  }
  return true;
}

std::string disarm_day_key(Time now) { return "quantum:governor:disarm:" + utc_date(now); }

std::string snapshot_key(std::string_view symbol) {
  return "quantum:position:snapshot:" + std::string(symbol);
}
std::string ledger_key(std::string_view symbol) {
  return "quantum:position:ledger:" + std::string(symbol);
}

std::optional<Position> read_position(const Look& look) {
  const auto amount = decimal_at(look, "position_amt");
  const auto ts = look("ts_epoch");
  const auto seconds = ts ? read_integer(trim(*ts)) : std::nullopt;
  if (!amount || !seconds) return std::nullopt;
  Position position{*amount, decimal_at(look, "mark_price"), *seconds, read_filters(look)};
  if (position.mark_price && !position.mark_price->is_positive()) position.mark_price.reset();
  return position;
}

int64_t age_seconds(const Position& position, Time now) {
  int64_t age = 0;
  // A second that far away is a time nobody can have meant.
  if (__builtin_sub_overflow(epoch_seconds(now), position.ts_epoch, &age))
    return std::numeric_limits<int64_t>::max();
  return age;
}

bool is_stale(const Position& position, Time now, Duration age_max) {
  if (SLUICE_MUTANT(snapshot_age_ignored)) return false;
  const int64_t age = age_seconds(position, now);
  const int64_t max = std::chrono::floor<std::chrono::seconds>(age_max).count();
  return age > max || age < -max;
}

std::string_view refuse_snapshot(const std::optional<Position>& position, Time now,
                                 Duration age_max) {
  if (!position || !position->mark_price || !position->filters) return "no_exchange_snapshot";
  return is_stale(*position, now, age_max) ? "stale_exchange_state" : "";
}

std::optional<Opening> size_opening(const Decimal& usd, const Decimal& price,
                                    const SymbolFilters& filters) {
  const auto exact = usd.divided_by(price, Decimal::kScaleMax);
  auto qty = exact ? exact->towards_zero_to(filters.qty_step) : std::nullopt;
  if (SLUICE_MUTANT(quantity_rounded_up) && qty && *qty != *exact)
    qty = qty->plus(filters.qty_step);
  const auto notional = qty ? qty->times(price) : std::nullopt;
  if (!qty || !notional || !qty->is_positive() || *qty < filters.qty_min) return std::nullopt;
  return Opening{*qty, *notional};
}

std::optional<Ledger> read_ledger(const Look& look) {
  const bool own = look("last_known_amt").has_value();
  const auto amount = decimal_at(look, own ? "last_known_amt" : "ledger_amt");
  const auto updated = seconds_at(look, look("updated_at") ? "updated_at" : "ts_epoch");
  const auto version = seconds_at(look, "version");
  // The next version is one more.
  if (!amount || !updated || !version || *version == std::numeric_limits<int64_t>::max())
    return std::nullopt;
  Ledger ledger{*amount, *updated, *version};
  if (!look("carried_amt")) return ledger;
  const auto carried = decimal_at(look, "carried_amt");
  if (!carried) return std::nullopt;
  const auto other = decimal_at(look, "ledger_amt");
  if (other && *other == *amount) ledger.carried = *carried;
  return ledger;
}

std::string_view side_of(const Decimal& amount) {
  if (amount.is_zero()) return "NONE";
  return amount.is_positive() ? "LONG" : "SHORT";
}

std::optional<Decimal> close_factor(std::string_view action) {
  if (action == "FULL_CLOSE_PROPOSED") return Decimal(1);
  if (action == "PARTIAL_75") return Decimal::from_scaled(75, 2);
  if (action == "PARTIAL_50") return Decimal::from_scaled(5, 1);
  return std::nullopt;
}

}  // namespace sluice::trade
