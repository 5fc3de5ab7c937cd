// Books each execution into the position ledger, once.
#pragma once

#include "p33/fills.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

// In:      execution results. Results without an executed quantity are acked.
// Writes:  quantum:position:ledger:<SYM>, both field sets from one value, and
//          quantum:ledger:seen:<client order id>, how much of the order is booked: a result that
//          comes twice adds nothing, a total after a partial fill adds the rest. Fills may come in
//          another order than the exchange's: see balance_after.
// Reject:  something was executed but cannot be booked; the dead letter keeps it for an operator.
// Threads: [worker]; one worker, or order_by symbol: two fills of a symbol at once cost a retry.
// Source:  reference contract, sections 5.4 and 8.3.
class LedgerStage {
 public:
  static constexpr Info kInfo{.kind = "ledger", .doc = "Adds fills up to the position ledger."};

  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Results of the execution stage.", .fields = kFillFields},
      kEntryInput,
      kFillInput};

  static constexpr sluice_param kSettings[] = {kLedgerTtlSetting, kSeenTtlSetting};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:position:ledger:{symbol}",
       .doc = "Position by our own fills.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      kSeenKey};

  static constexpr sluice_time kTimes[] = {kLedgerTime, kSeenTime};

  static constexpr sluice_metric kMetrics[] = {kLedgerMetric};

  static constexpr const char* kReasons[] = {"invalid_result", "unreadable_ledger", nullptr};

  explicit LedgerStage(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  const Duration ledger_ttl_;
  const Duration seen_ttl_;
};

}  // namespace sluice::p33
