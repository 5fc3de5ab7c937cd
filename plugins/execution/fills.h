// The source that tells what became of orders that rest at the exchange.
#pragma once

#include <memory>
#include <string>

#include "execution/paper_exchange.h"
#include "execution/result.h"
#include "sluice/plugin.h"

namespace sluice::execution {

// Asks the exchange, on a timer, which stops have ended, and emits each end once.
//
// Out:     the fields of a result. status FILLED or EXPIRED with what was executed, or CANCELED
//          (reason cancelled: another stop took its place; position_closed). client_order_id is
//          that of the order whose result was PLACED, so that a ledger books it once.
//          These are no terminal records: an order that was placed has its own.
// Once:    the number of the last end told stands in a key, written in the same unit.
// Shares:  the exchange that the execution stage of the same process has open under this state and
//          account; while there is none, there is nothing to tell.
// Errors:  an exchange that cannot be asked fails the poll, which is repeated.
// Threads: [worker].
class Fills {
 public:
  static constexpr Info kInfo{.kind = "fills",
                              .doc = "What became of stops that rest at the exchange.",
                              .type = SLUICE_SOURCE};
  static constexpr sluice_port kOutputs[] = {
      {.name = "fill", .doc = "One entry for each stop that ended.", .fields = kResultFields}};
  static constexpr sluice_param kSettings[] = {
      {.name = "state",
       .doc = "Folder of the paper exchange, as the execution stage has it.",
       .type = SLUICE_TEXT,
       .unit = "path"},
      {.name = "account",
       .doc = "Name of the account in that folder.",
       .type = SLUICE_TEXT,
       .default_text = "paper"},
      {.name = "interval",
       .doc =
           "Between two looks. Stops trigger on time whatever it is; their fills are told later.",
       .type = SLUICE_DURATION,
       .default_text = "1s",
       .min_text = "10ms",
       .max_text = "60s"},
      {.name = "diag",
       .doc = "Logs a heartbeat every 30 s.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"}};
  static constexpr sluice_key kKeys[] = {
      {"quantum:exec:fills:{account}", "Number of the last end that was told.",
       SLUICE_KEY_READS | SLUICE_KEY_WRITES, 0},
      {"quantum:exec:stop:{client_order_id}", "Plan and trace of a stop; erased at its end.",
       SLUICE_KEY_READS | SLUICE_KEY_WRITES, 0}};

  explicit Fills(const Settings& settings);

  Poll poll(Unit& unit);

 private:
  void tell(const paper::Order& order, Unit& unit) const;
  void tell_heartbeat(const Unit& unit, int64_t told);

  const std::string state_;
  const std::string account_;
  const std::string position_key_;
  const Duration interval_;
  const bool diag_;
  std::shared_ptr<paper::Exchange> exchange_;  // shared with the execution stage; null until found
  Time heartbeat_;
};

}  // namespace sluice::execution
