#include "execution/fills.h"

#include "common/text.h"

namespace sluice::execution {
namespace {

constexpr size_t kFillsMax = 100;  // in one unit
constexpr Duration kLineEvery = std::chrono::seconds(30);

Told told_of(const paper::Order& order, const Value& trace) {
  Told told;
  told.plan_id = trace["plan_id"];
  told.plan_hash = trace["plan_hash"];
  told.leg = trace["leg"];
  told.type = "STOP_MARKET";
  told.client_order_id = order.client_order_id;
  told.symbol = order.symbol;
  told.side = order.is_buy ? "BUY" : "SELL";
  told.quantity = order.quantity.text();
  told.action = trace["action"];
  told.leverage = trace["leverage"];
  told.trace_id = trace["trace_id"];
  told.decision_id = trace["decision_id"];
  told.decision_us = trace["decision_us"];
  told.policy = trace["policy"];
  told.reduce_only = order.reduce_only;
  told.mark_price = order.stop_price;
  return told;
}

}  // namespace

Fills::Fills(const Settings& settings)
    : state_(settings.text("state")),
      account_(settings.text("account")),
      position_key_("quantum:exec:fills:" + account_),
      interval_(settings.duration("interval")),
      diag_(settings.boolean("diag")) {}

Poll Fills::poll(Unit& unit) {
  if (exchange_ == nullptr) exchange_ = paper::Exchange::open_already(state_, account_);
  if (exchange_ == nullptr) return idle(interval_);
  const int64_t now_us = trade::micros(unit.now());
  exchange_->advance(now_us);
  const Value stored = unit.get(position_key_);
  const int64_t told = trade::read_integer(stored.text()).value_or(0);
  exchange_->told(told);
  const std::vector<paper::Order> ended = exchange_->ended_since(told, now_us);
  const size_t count = std::min(ended.size(), kFillsMax);
  for (size_t i = 0; i < count; ++i) tell(ended[i], unit);
  tell_heartbeat(unit, told);
  if (count == 0) return idle(interval_);
  unit.unchanged(position_key_);
  unit.put(position_key_, std::to_string(ended[count - 1].end_no), Duration(0));
  return count < ended.size() ? more() : idle(interval_);
}

void Fills::tell(const paper::Order& order, Unit& unit) const {
  const std::string key = "quantum:exec:stop:" + order.client_order_id;
  const Terminal terminal{order.status,
                          order.reason,
                          "stop " + order.stop_price.text(),
                          std::to_string(order.order_id),
                          order.executed,
                          order.price,
                          order.fee,
                          std::to_string(order.accepted_us)};
  Record fill = result_record(told_of(order, unit.get(key)), terminal, unit.now());
  // A stop trades long after it was sent: what the ledger orders fills by.
  fill.add("executed_us", std::to_string(order.visible_us));
  unit.emit("fill", fill);
  unit.erase(key);
  unit.log(SLUICE_LOG_INFO, "STOP " + order.status + " | " + order.symbol +
                                " | OrderID=" + std::to_string(order.order_id) +
                                " executed=" + order.executed.text() + " " + order.reason);
}

void Fills::tell_heartbeat(const Unit& unit, int64_t told) {
  if (!diag_ || unit.now() < heartbeat_ + kLineEvery) return;
  heartbeat_ = unit.now();
  unit.log(SLUICE_LOG_INFO, "[DIAG] fills heartbeat: account=" + account_ + " told=" +
                                std::to_string(told) + " free=" + exchange_->available().text());
}

}  // namespace sluice::execution
