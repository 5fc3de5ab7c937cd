// Books each execution into the position ledger, once.
#pragma once

#include "p33/fills.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

// In:      execution results. Results without an executed quantity are acked.
// Writes:  quantum:position:ledger:<SYM>, both field sets from one value, and
//          quantum:ledger:seen:<client order id>, how much of the order is booked: a result that
//          comes twice adds nothing, a total after a partial fill adds the rest.
// Reject:  something was executed but cannot be booked; the dead letter keeps it for an operator.
// Threads: [worker]; one worker, or order_by symbol: two fills of a symbol at once cost a retry.
// Source:  reference contract, sections 5.4 and 8.3.
class LedgerStage {
 public:
  static constexpr Info kInfo{.kind = "ledger", .doc = "Adds fills up to the position ledger."};

  static constexpr const char* kResultFields[] = {"client_order_id", "symbol",       "side",
                                                  "status",          "executed_qty", nullptr};
  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Results of the execution stage.", .fields = kResultFields},
      {.name = "fill",
       .doc = "Fills that come after the result: stops that triggered.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kResultFields}};

  static constexpr sluice_param kSettings[] = {kLedgerTtlSetting, kSeenTtlSetting};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:position:ledger:{symbol}",
       .doc = "Position by our own fills.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      {.pattern = "quantum:ledger:seen:{client_order_id}",
       .doc = "How much of an order is booked.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES}};

  static constexpr const char* kReasons[] = {"invalid_result", "unreadable_ledger", nullptr};

  explicit LedgerStage(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  const Duration ledger_ttl_;
  const Duration seen_ttl_;
};

}  // namespace sluice::p33
