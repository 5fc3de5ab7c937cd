// Control data the trade stages obey: kill switch, position snapshot, ledger. Anything missing,
// unreadable or late means no; what the no is called is up to the stage.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/mutant.h"
#include "sluice/plugin.h"

namespace sluice::trade {

// The kill switch, as the kinds that obey it describe it.
inline constexpr sluice_key kKillSwitch{
    .pattern = "quantum:kill", .doc = "Kill switch.", .access = SLUICE_KEY_READS};
inline constexpr sluice_key kGlobalKillSwitch{
    .pattern = "quantum:global:kill_switch", .doc = "Kill switch.", .access = SLUICE_KEY_READS};
inline constexpr std::string_view kKillKey = kKillSwitch.pattern;
inline constexpr std::string_view kGlobalKillKey = kGlobalKillSwitch.pattern;

// There: no plan becomes an order until an operator erases it. Text: a JSON object with `reason`,
// `context`, `timestamp` and `by`; it never expires.
inline constexpr std::string_view kDisarmKey = "quantum:apply:disarmed";

// "quantum:governor:disarm:<YYYY-MM-DD>", UTC: claimed by the one automatic disarm of that day.
std::string disarm_day_key(Time now);

// Looks up a field of a hash; the view must outlive the look-up's user.
using Look = std::function<std::optional<std::string_view>(std::string_view)>;

inline Look look(const Value& value) {
  return [&value](std::string_view name) { return value.find(name); };
}

// False for "", 0, false, no and off in any case; true for everything else, also for what nobody
// can read.
bool kill_word_set(std::string_view text);

template <typename Source>
bool read_kill_switch(const Source& source) {
  for (const std::string_view key : {kKillKey, kGlobalKillKey}) {
    const Value value = source.get(key);
    if (!value.is_text() && SLUICE_MUTANT(unreadable_kill_is_off)) continue;
    if (value.present() && (!value.is_text() || kill_word_set(value.text()))) return true;
  }
  return false;
}

// What the mutant kill_switch_cached asks instead.
template <typename Source>
bool cached_kill_switch(const Source& source) {
  static thread_local Time seen_at{};
  static thread_local bool seen = false;
  if (std::chrono::abs(source.now() - seen_at) >= std::chrono::seconds(1)) {
    seen_at = source.now();
    seen = read_kill_switch(source);
  }
  return seen;
}

// Reads both kill switch keys. `Source` is a Unit (the unit's own moment) or a World (live).
template <typename Source>
bool kill_switch_set(const Source& source) {
  return SLUICE_MUTANT(kill_switch_cached) ? cached_kill_switch(source) : read_kill_switch(source);
}

std::string snapshot_key(std::string_view symbol);
std::string ledger_key(std::string_view symbol);

// What the exchange accepts for a symbol, from the snapshot hash.
struct SymbolFilters {
  Decimal price_tick, qty_step, qty_min, notional_min;
};

// A symbol's position on the exchange when the snapshot was taken.
struct Position {
  Decimal amount;                        // signed: negative is short
  std::optional<Decimal> mark_price;     // > 0
  int64_t ts_epoch = 0;                  // whole seconds
  std::optional<SymbolFilters> filters;  // none unless all four are there and step > 0
};

// Fields position_amt, mark_price, ts_epoch, price_tick, qty_step, qty_min, notional_min of
// quantum:position:snapshot:<SYM>. nullopt unless amount and time are readable.
std::optional<Position> read_position(const Look& look);

// Whole seconds from the snapshot's second to this one.
int64_t age_seconds(const Position& position, Time now);
// Older than `age_max`, or as far in the future: a clock nobody can trust.
bool is_stale(const Position& position, Time now, Duration age_max);

// Why nothing can be opened by this snapshot: no_exchange_snapshot (none, or without price or
// filters), stale_exchange_state; or empty.
std::string_view refuse_snapshot(const std::optional<Position>& position, Time now,
                                 Duration age_max);

// How much of a symbol `usd` buys at `price`.
struct Opening {
  Decimal qty, notional;  // base asset, quote currency
};

// usd / price, cut to the symbol's quantity step; nullopt below the smallest quantity, or out of
// range.
std::optional<Opening> size_opening(const Decimal& usd, const Decimal& price,
                                    const SymbolFilters& filters);

// What fills have added up to.
struct Ledger {
  Decimal amount;          // signed; last_known_amt, or ledger_amt where that is absent
  int64_t updated_at = 0;  // whole seconds; 0 when nobody wrote it
  int64_t version = 0;
  // Signed: what reduce-only fills executed beyond zero, until the fills they reduced are booked.
  Decimal carried = {};
};

// nullopt when a field that is there cannot be read, or no amount is. What is carried counts only
// where both amounts agree: who writes one by hand has all fills in it.
std::optional<Ledger> read_ledger(const Look& look);

// "LONG", "SHORT" or "NONE".
std::string_view side_of(const Decimal& amount);

// Part of a position an action closes: 1, 0.75 or 0.5. nullopt for actions that close nothing.
std::optional<Decimal> close_factor(std::string_view action);

}  // namespace sluice::trade
