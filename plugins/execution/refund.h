// Gives back what was reserved for orders that died before execution could end them.
#pragma once

#include <string>

#include "sluice/plugin.h"

namespace sluice::execution {

// In:      the dead letters of a pipeline; all but orders of the execution stage are acked unseen.
// Gives back: the governor's reservations of an order whose policy failed, or that ran out of
//          deliveries, before it was taken up. The dead letter stays its only terminal record.
// Claims:  quantum:exec:processed:<client order id>, as execution does: an order whose share is
//          given back is never sent, also when its dead letter is replayed, so limits still hold.
// Kept:    shares of orders that are not sound (their content cannot be trusted), and of orders
//          that were taken up (they may be at the exchange).
// Threads: [worker].
class Refund {
 public:
  static constexpr Info kInfo{.kind = "refund",
                              .doc = "Gives back what was reserved for orders that died unsent."};
  static constexpr sluice_port kInputs[] = {{.name = "in", .doc = "Dead letters."}};
  static constexpr sluice_param kSettings[] = {
      {.name = "account",
       .doc = "Name of the account, as in the execution stage.",
       .type = SLUICE_TEXT,
       .default_text = "paper"},
      {.name = "stage",
       .doc = "Name of the execution stage in the pipeline file.",
       .type = SLUICE_TEXT,
       .default_text = "execution"}};
  static constexpr sluice_key kKeys[] = {
      {"quantum:exec:processed:{client_order_id}", "Orders that were taken up; 86400 s.",
       SLUICE_KEY_WRITES, 0},
      {"quantum:governor:{counter}", "Reservations given back.", SLUICE_KEY_COUNTER, 0}};

  explicit Refund(const Settings& settings)
      : account_(settings.text("account")), stage_(settings.text("stage")) {}

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  const std::string account_, stage_;
};

}  // namespace sluice::execution
