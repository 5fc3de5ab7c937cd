// The source that shows the pipeline what the exchange says of each position.
#pragma once

#include <string>
#include <vector>

#include "execution/paper_settings.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

// Writes `quantum:position:snapshot:<SYM>` for each symbol, at every interval.
//
// Fields:  those of the reference system, and price_tick, qty_step, qty_min, notional_min (the
//          symbol's filters, so no stage guesses) and ts_us.
// Missing: a symbol without a price gets no snapshot, and stages deny what needs one.
// Errors:  a journal that cannot be read fails the poll: old snapshots grow stale, which is a no.
// Threads: [worker].
class Snapshot {
 public:
  static constexpr Info kInfo{.kind = "snapshot",
                              .doc = "Positions and prices of the exchange, on a timer.",
                              .type = SLUICE_SOURCE};
  static constexpr sluice_param kOwnSettings[] = {
      {.name = "symbols",
       .doc = "Symbols to show, such as [BTCUSDT, ETHUSDT].",
       .type = SLUICE_LIST},
      {.name = "interval",
       .doc = "Between two rounds. Snapshots must stay younger than the stages' limit.",
       .type = SLUICE_DURATION,
       .default_text = "5s",
       .min_text = "10ms",
       .max_text = "60s"},
      {.name = "leverage",
       .doc = "Of the paper account's positions, for readers that show it.",
       .type = SLUICE_INTEGER,
       .default_text = "10",
       .min_text = "1",
       .max_text = "125"},
  };
  static constexpr auto kSettings = paper::joined(paper::kAccountSettings, kOwnSettings);
  static constexpr sluice_key kKeys[] = {{"quantum:position:snapshot:{symbol}",
                                          "Position on the exchange; 3600 s.", SLUICE_KEY_WRITES,
                                          0}};

  static constexpr const char* kSymbolLabel[] = {"symbol", nullptr};
  static constexpr sluice_metric kMetrics[] = {{.name = "p33_exchange_position_amt",
                                                .doc = "Position on the exchange.",
                                                .type = SLUICE_GAUGE,
                                                .labels = kSymbolLabel}};

  // Pure: opens nothing.
  static void check(const Settings& settings);

  explicit Snapshot(const Settings& settings);

  Poll poll(Unit& unit);

 private:
  void tell(const Unit& unit, const std::vector<std::string>& unpriced);

  const std::vector<std::string> symbols_;
  const Duration interval_;
  const int64_t leverage_;
  paper::Prices prices_;
  paper::AccountView account_;
  bool told_ = false;
};

}  // namespace sluice::p33
