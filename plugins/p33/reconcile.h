// Compares ledger and exchange, holds symbols they do not agree on, books fills the ledger missed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "p33/drift.h"
#include "p33/hold.h"
#include "p33/hooks.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

// Says for each symbol, at the start and at every interval, that it is time to look.
//
// A source has no policy and reads no stream; what to do is up to the reconcile stage.
// Threads: [worker].
class ReconcileTimer {
 public:
  static constexpr Info kInfo{.kind = "reconcile_timer",
                              .doc = "Makes the reconcile stage look at each symbol.",
                              .type = SLUICE_SOURCE};
  static constexpr const char* kTickFields[] = {"symbol", "at_us", nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "tick", .doc = "One entry for each symbol and round.", .fields = kTickFields}};
  static constexpr sluice_param kSettings[] = {
      {.name = "symbols",
       .doc = "Symbols to compare, such as [BTCUSDT, ETHUSDT].",
       .type = SLUICE_LIST},
      {.name = "interval",
       .doc = "Between two rounds. More finds a drift later and writes fewer entries.",
       .type = SLUICE_DURATION,
       .default_text = "1s",
       .min_text = "10ms",
       .max_text = "60s"}};

  static void check(const Settings& settings);

  explicit ReconcileTimer(const Settings& settings)
      : symbols_(settings.list("symbols")), interval_(settings.duration("interval")) {}

  Poll poll(Unit& unit) const;

 private:
  const std::vector<std::string> symbols_;
  const Duration interval_;
};

// In:      tick: symbols to look at now; result: execution results, kept as evidence.
// Out:     event: every hold that begins, changes its reason or ends, and every change of a ledger.
//          It has no other output: nothing here can lead to an order.
// Writes:  quantum:reconcile:hold:<SYM> while there is something wrong, renewed at half its time; a
//          hold that is not its own is left alone. quantum:reconcile:state:<SYM>, when it changes
//          and every ten seconds. quantum:reconcile:fills:<SYM>, the newest fills.
//          quantum:position:ledger:<SYM> and quantum:ledger:seen:<client order id>, to book fills
//          the ledger stage missed, to begin a flat ledger, and hourly to keep an open one alive.
// Waits:   for a snapshot before it holds for want of one, at most `snapshot_wait`.
// Reject:  invalid_tick.
// Threads: [worker]; order_by symbol with several workers.
// Source:  reference contract, section 8; the steps are in p33/drift.h.
class Reconcile {
 public:
  static constexpr Info kInfo{
      .kind = "reconcile",
      .doc = "Holds symbols whose ledger and exchange position differ; repairs from known fills."};

  static constexpr sluice_port kInputs[] = {
      {.name = "tick",
       .doc = "Symbols to look at, of p33.reconcile_timer.",
       .fields = ReconcileTimer::kTickFields},
      {.name = "result", .doc = "Results of the execution stage.", .fields = kFillFields},
      kEntryInput,
      kFillInput};

  static constexpr const char* kEventFields[] = {"event", "symbol", "ts",
                                                 "at_us", "policy", nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "event", .doc = "Holds and repairs.", .fields = kEventFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "adopt_position",
       .doc = "Takes a position without a ledger as ours. false holds the symbol until fills or an "
              "operator explain it.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"},
      {.name = "repair_after",
       .doc = "How long the ledger stage has for a fill before it is booked here.",
       .type = SLUICE_DURATION,
       .default_text = "5s",
       .min_text = "0s",
       .max_text = "1m"},
      {.name = "snapshot_wait",
       .doc = "How long a look waits for a snapshot before the symbol is held for want of one, for "
              "example after a start.",
       .type = SLUICE_DURATION,
       .default_text = "1s",
       .min_text = "0s",
       .max_text = "1m"},
      {.name = "fills_max",
       .doc = "Fills kept for each symbol. Less forgets evidence of busy symbols.",
       .type = SLUICE_INTEGER,
       .default_text = "50",
       .min_text = "1",
       .max_text = "500"},
      kLedgerTtlSetting,
      kSeenTtlSetting};

  static constexpr sluice_param kToleranceResult[] = {
      {.name = "tolerance",
       .doc = "How far ledger and exchange may differ, of the larger amount.",
       .type = SLUICE_DECIMAL,
       .unit = "percent",
       .default_text = "1",
       .min_text = "0",
       .max_text = "100"}};
  static constexpr sluice_param kWindowResult[] = {{.name = "evidence_window",
                                                    .doc = "Oldest fill that explains anything.",
                                                    .type = SLUICE_DURATION,
                                                    .default_text = "300s",
                                                    .min_text = "1s",
                                                    .max_text = "1d"}};
  static constexpr sluice_param kHoldTtlResult[] = {{.name = "hold_ttl",
                                                     .doc = "How long a hold lives by itself.",
                                                     .type = SLUICE_DURATION,
                                                     .default_text = "300s",
                                                     .min_text = "10s",
                                                     .max_text = "1d"}};
  static constexpr sluice_hook kHooks[] = {
      {.name = "tolerance",
       .doc = "Tolerance between ledger and exchange for a symbol.",
       .args = kSymbolArg,
       .arg_count = 1,
       .results = kToleranceResult,
       .result_count = 1},
      {.name = "snapshot_age_max",
       .doc = "Oldest position snapshot a ledger is compared with.",
       .results = kSnapshotAgeResult,
       .result_count = 1},
      {.name = "evidence_window",
       .doc = "How long a fill can still be booked as the explanation of a difference.",
       .results = kWindowResult,
       .result_count = 1},
      {.name = "hold_ttl",
       .doc = "How long a hold outlives the stage that set it; it is renewed while it lasts.",
       .args = kSymbolArg,
       .arg_count = 1,
       .results = kHoldTtlResult,
       .result_count = 1}};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:position:snapshot:{symbol}",
       .doc = "Position on the exchange.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:position:ledger:{symbol}",
       .doc = "Position by our own fills.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      kSeenKey,
      {.pattern = "quantum:reconcile:hold:{symbol}",
       .doc = "Any value holds the symbol.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "quantum:reconcile:state:{symbol}",
       .doc = "What the last look came to.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      {.pattern = "quantum:reconcile:fills:{symbol}",
       .doc = "Newest fills, as evidence.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS}};

  static constexpr sluice_time kTimes[] = {
      {.source = "hold_ttl", .role = SLUICE_TIME_TTL, .pattern = "quantum:reconcile:hold:{symbol}"},
      {.source = "evidence_window",
       .role = SLUICE_TIME_TTL,
       .pattern = "quantum:reconcile:fills:{symbol}"},
      kLedgerTime,
      kSeenTime};

  static constexpr const char* kDriftLabels[] = {"symbol", "reason", nullptr};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "p34_reconcile_drift_total",
       .doc = "Times ledger and exchange were found apart, or the reason for it changed.",
       .labels = kDriftLabels},
      {.name = "p34_reconcile_auto_repair_total",
       .doc = "Fills booked that the ledger missed.",
       .labels = kSymbolLabel},
      {.name = "p34_reconcile_hold_active",
       .doc = "1 while the symbol is held, whoever holds it.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel},
      {.name = "p34_reconcile_diff_amt",
       .doc = "How far ledger and exchange were apart at the last look.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel},
      {.name = "p34_reconcile_last_fix_age_sec",
       .doc = "Since the last repair, for as long as the ledger is as repaired.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel},
      kLedgerMetric};

  static constexpr const char* kReasons[] = {
      "invalid_tick",      "missing_exchange",         "stale_exchange", "side_mismatch",
      "unreadable_ledger", "qty_mismatch_no_evidence", nullptr};

  explicit Reconcile(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  class Look;
  Verdict keep_evidence(const Entry& entry, Unit& unit) const;

  const bool adopt_position_;
  const Duration repair_after_;
  const Duration snapshot_wait_;
  const size_t fills_max_;
  const Duration ledger_ttl_;
  const Duration seen_ttl_;
};

}  // namespace sluice::p33
