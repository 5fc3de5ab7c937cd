// An operator's repair of a ledger, with a reason.
#pragma once

#include "p33/fills.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

// In:      operator commands {command: repair_ledger, symbol, amount, reason, by, at_us}; other
//          commands are for others and acked.
// Out:     event: MANUAL_REPAIR, in the unit that changes the ledger.
// Writes:  quantum:position:ledger:<SYM>, both field sets, source p34_manual. The fills reconcile
//          knows of count as booked from then on: the operator's amount has them in it.
// Claims:  quantum:reconcile:command:<SYM>:<at_us>, so a command given twice is done once.
// Reject:  invalid_command: no reason, no name, no symbol, an amount or time that cannot be read;
//          stale_command: older than `command_age_max`, or from the future; ledger_changed: the
//          ledger changed after the command was given, so it is about another ledger.
// Threads: [worker]; nothing changes after construction.
class Repair {
 public:
  static constexpr Info kInfo{.kind = "repair",
                              .doc = "Writes a ledger as an operator says, with a reason."};

  static constexpr const char* kCommandFields[] = {"command", nullptr};
  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Commands of operators.", .fields = kCommandFields}};
  static constexpr const char* kEventFields[] = {"event", "symbol", "ts",   "reason",
                                                 "by",    "at_us",  nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "event", .doc = "Repairs.", .fields = kEventFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "command_age_max",
       .doc = "Oldest command obeyed. More obeys one that waited through a stop, when the amount "
              "may long be another.",
       .type = SLUICE_DURATION,
       .default_text = "10m",
       .min_text = "1s",
       .max_text = "1d"},
      kLedgerTtlSetting,
      kSeenTtlSetting};

  static constexpr sluice_key kKeys[] = {{.pattern = "quantum:position:ledger:{symbol}",
                                          .doc = "Position by our own fills.",
                                          .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
                                         kSeenKey,
                                         {.pattern = "quantum:reconcile:fills:{symbol}",
                                          .doc = "Newest fills.",
                                          .access = SLUICE_KEY_READS},
                                         {.pattern = "quantum:reconcile:command:{symbol}:{at_us}",
                                          .doc = "Commands that were done.",
                                          .access = SLUICE_KEY_WRITES}};

  static constexpr sluice_time kTimes[] = {
      {.source = "command_age_max", .role = SLUICE_TIME_AGE_MAX}, kLedgerTime, kSeenTime};

  static constexpr sluice_metric kMetrics[] = {kLedgerMetric};

  static constexpr const char* kReasons[] = {"invalid_command", "stale_command", "ledger_changed",
                                             nullptr};

  explicit Repair(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  const Duration command_age_max_;
  const Duration ledger_ttl_;
  const Duration seen_ttl_;
};

}  // namespace sluice::p33
