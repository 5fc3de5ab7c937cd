#include "execution/refund.h"

#include "execution/order.h"

namespace sluice::execution {

Verdict Refund::process(const Entry& entry, Unit& unit) const {
  if (entry["sluice.stage"] != stage_ || unit.failure()) return ack();
  std::string why;
  const auto order =
      read_order([&entry](std::string_view name) { return entry.find(name); }, account_, why);
  if (!order) return ack();
  unit.claim("quantum:exec:processed:" + order->client_order_id, entry.id(),
             std::chrono::hours(24));
  for (const trade::Reservation& share : order->reservations)
    unit.release(share.counter, share.amount, Time(Duration(share.at_us)));
  unit.log(SLUICE_LOG_INFO, "gave back what was reserved for " + order->client_order_id +
                                ", dead with reason " + std::string(entry["sluice.reason"]));
  return ack();
}

}  // namespace sluice::execution
