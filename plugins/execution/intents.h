// The judge of the entry lane: which trade intents become orders.
#pragma once

#include <string>

#include "execution/execution.h"
#include "execution/intent.h"
#include "sluice/plugin.h"

namespace sluice::execution {

// Makes an order of each sound trade intent, or says why not. Stage execution.entries sends it.
//
// In:      trade intents; JSON in `payload`, or `data` as older producers write.
// Out:     order: openings marked `permits: none`, at most one for each intent key. Nothing but
//          execution.entries takes them.
//          result, legacy: the terminal record of an intent that ends here.
//          duplicate: the terminal record of an intent whose key was taken; `earlier` is the entry
//          id of the intent that took it.
// Guards:  in this order, the first that fails decides:
//
//   | guard                                         | outcome                                  |
//   |-----------------------------------------------|------------------------------------------|
//   | sound                                         | dead letter invalid_intent               |
//   | not older than intent_age_max, nor as far in  | EXPIRED stale_intent                     |
//   | the future                                    |                                          |
//   | intent key not taken before                   | duplicate                                |
//   | kill switch unset and readable                | REJECTED kill_switch_active              |
//   | an opening                                    | REJECTED exit_in_entry_lane              |
//   | within the risk bounds, which are clamps      | REJECTED with the word of judge_risk     |
//   | a fresh snapshot of the symbol, waited for    | REJECTED with the word of size_entry     |
//   | price in its band, quantity above the minimum | REJECTED with the word of size_entry     |
//
//          Lock, rates and margin are execution.entries' guards: there an order waits instead of
//          being lost.
// Claims:  quantum:exec:processed:<SYM>_<timestamp>, in the same unit as what became of it.
// Threads: [worker].
// Source:  reference contract, sections 7.1, 7.2 and 4.3.
class Intents {
 public:
  static constexpr Info kInfo{.kind = "intents",
                              .doc =
                                  "Makes orders without permits of trade intents: the entry "
                                  "lane of the reference system."};
  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Trade intents: JSON in `payload` or `data`."}};
  static constexpr const char* kDuplicateFields[] = {
      "decision_id", "intent_id",   "key",   "earlier", "trace_id",
      "symbol",      "decision_us", "state", "reason",  nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "order", .doc = "Orders for execution.entries.", .fields = kEntryOrderFields},
      {.name = "result", .doc = "Intents that end here.", .fields = kResultFields},
      {.name = "legacy",
       .doc = "The same envelope without the flat fields, for older readers.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kEnvelopeFields},
      {.name = "duplicate",
       .doc = "One record for each intent whose key was taken.",
       .fields = kDuplicateFields}};
  static constexpr sluice_param kSettings[] = {
      {.name = "account",
       .doc = "Name of the account, as in the stage that sends the orders.",
       .type = SLUICE_TEXT,
       .default_text = "paper"},
      {.name = "intent_age_max",
       .doc = "An older intent becomes no order.",
       .type = SLUICE_DURATION,
       .default_text = "600s",
       .min_text = "1s",
       .max_text = "1d"},
      {.name = "order_ttl",
       .doc = "How long an order may wait for lock and rate windows. More trades on older "
              "decisions; less ends more orders as EXPIRED. Never longer than the intent is young.",
       .type = SLUICE_DURATION,
       .default_text = "60s",
       .min_text = "1s",
       .max_text = "1d"},
      {.name = "snapshot_age_max",
       .doc = "Oldest snapshot an order is priced and rounded by.",
       .type = SLUICE_DURATION,
       .default_text = "10s",
       .min_text = "1s",
       .max_text = "10m"},
      {.name = "snapshot_wait",
       .doc = "How long an intent waits for a usable snapshot. A little more than one round of the "
              "snapshot source; 0 answers at once.",
       .type = SLUICE_DURATION,
       .default_text = "6s",
       .min_text = "0s",
       .max_text = "5m"},
      {.name = "price_band",
       .doc = "How far an intent's entry price may be off the mark price. More lets prices "
              "nobody trades at decide the quantity.",
       .type = SLUICE_DECIMAL,
       .unit = "percent",
       .default_text = "5",
       .min_text = "0",
       .max_text = "100"},
      {.name = "size_min",
       .doc = "Smaller sizes are raised to it.",
       .type = SLUICE_DECIMAL,
       .unit = "USD",
       .default_text = "50",
       .min_text = "0"},
      {.name = "size_max",
       .doc = "Larger sizes are cut to it.",
       .type = SLUICE_DECIMAL,
       .unit = "USD",
       .default_text = "10000",
       .min_text = "0"},
      {.name = "leverage_min",
       .doc = "Smaller leverages are raised to it.",
       .type = SLUICE_DECIMAL,
       .default_text = "5",
       .min_text = "1",
       .max_text = "125"},
      {.name = "leverage_max",
       .doc = "Larger leverages are cut to it.",
       .type = SLUICE_DECIMAL,
       .default_text = "80",
       .min_text = "1",
       .max_text = "125"},
      {.name = "notional_max",
       .doc = "Size times leverage; above it the intent is rejected.",
       .type = SLUICE_DECIMAL,
       .unit = "USD",
       .default_text = "100000",
       .min_text = "0"},
      {.name = "min_confidence",
       .doc = "Intents below are rejected; 0: no floor.",
       .type = SLUICE_NUMBER,
       .default_text = "0",
       .min_text = "0",
       .max_text = "1"}};
  static constexpr sluice_key kKeys[] = {
      trade::kKillSwitch,
      trade::kGlobalKillSwitch,
      {"quantum:exec:processed:{intent_key}",
       "Entry id of the intent that was taken up; 3600 s, or twice intent_age_max.",
       SLUICE_KEY_READS | SLUICE_KEY_WRITES, 0},
      {"quantum:position:snapshot:{symbol}", "Price and filters.", SLUICE_KEY_READS, 0}};
  static constexpr sluice_time kTimes[] = {
      {.source = "intent_age_max", .role = SLUICE_TIME_AGE_MAX},
      {.source = "snapshot_wait", .role = SLUICE_TIME_WAIT}};
  // Of reject; and of intents that end here.
  static constexpr const char* kReasons[] = {"invalid_intent",       "stale_intent",
                                             "duplicate_intent",     "kill_switch_active",
                                             "exit_in_entry_lane",   "missing_position_size",
                                             "NOTIONAL_EXCEEDED",    "CONFIDENCE_BELOW_FLOOR",
                                             "EXCEEDS_RISK_BUDGET",  "no_exchange_snapshot",
                                             "stale_exchange_state", "entry_price_out_of_band",
                                             "qty_below_min",        nullptr};

  // Throws SettingError when a least value is above its largest.
  static void check(const Settings& settings);

  explicit Intents(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit);

 private:
  struct Case;

  Verdict judge(const Case& c);
  Verdict order(const Case& c, const Risk& risk, const EntrySize& size) const;
  Verdict duplicate(const Case& c, const Failure& failure) const;
  Verdict end(const Case& c, std::string status, std::string_view reason) const;

  const std::string account_;
  const Duration intent_age_max_, order_ttl_, snapshot_age_max_, snapshot_wait_;
  const Decimal price_band_;
  const RiskBounds bounds_;

  StaleIntents stale_;
};

}  // namespace sluice::execution
