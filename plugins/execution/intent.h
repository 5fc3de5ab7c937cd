// Trade intents as the entry lane executes them: what they say, whether risk allows it, how much it
// is. Plain values, no host.
//
// Source: reference contract, sections 3.3, 4.3, 7.1 and 7.2.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/control.h"
#include "sluice/plugin.h"

namespace sluice::execution {

// A sound intent, read from the JSON in `payload`, or in `data` as older producers write.
struct TradeIntent {
  std::string symbol;
  std::string action;  // BUY, SELL or CLOSE
  double confidence = 0;
  std::string timestamp;                            // as written
  Time made;                                        // the same, read
  std::optional<Decimal> size_usd, leverage;        // of the AI (ai_*) before the plain ones; > 0
  std::optional<Decimal> entry_price, risk_budget;  // the first > 0
  bool reduces = false;                             // CLOSE, or says reduce_only

  // "<SYM>_<timestamp>": what the reference knows an intent by.
  std::string key() const { return symbol + "_" + timestamp; }
};

// A `side` stands for an `action` that is absent; null stands for an optional number that is.
//
// Errors: nullopt, and `why` names field and value.
std::optional<TradeIntent> read_trade_intent(const Record& fields, std::string& why);

// Bounds of one order, USD where nothing else is said.
struct RiskBounds {
  Decimal size_min, size_max;
  Decimal leverage_min, leverage_max;  // times
  Decimal notional_max;                // size times leverage
  double confidence_min = 0;           // 0: no floor
};

// Size and leverage cut to their bounds, which are what is ordered, or why nothing is.
struct Risk {
  std::string_view refusal;  // empty: allowed
  Decimal size, leverage;
};

// The risk check of contract 4.3. An intent without leverage has 10; one without size is refused,
// for nobody knows what it would be.
//
// Refusals: missing_position_size, NOTIONAL_EXCEEDED, CONFIDENCE_BELOW_FLOOR, EXCEEDS_RISK_BUDGET.
Risk judge_risk(const TradeIntent& intent, const RiskBounds& bounds);

// What is ordered, or why nothing is.
struct EntrySize {
  std::string_view refusal;  // empty: sized
  Decimal quantity, price, notional;
};

// size / entry price, cut to the symbol's quantity step. An intent without entry price is priced by
// the mark price; an entry price more than `price_band` per cent off the mark price is refused, for
// it would order many times what the size says.
//
// Refusals: no_exchange_snapshot (none, or without price or filters), stale_exchange_state,
//   entry_price_out_of_band, qty_below_min.
EntrySize size_entry(const TradeIntent& intent, const Decimal& size,
                     const std::optional<trade::Position>& position, Time now,
                     Duration snapshot_age_max, const Decimal& price_band);

}  // namespace sluice::execution
