#include "sim/exchange.h"

#include <algorithm>

namespace sluice::sim {
namespace {

Decimal half_of(const Decimal& quantity) {
  const auto half = quantity.times(Decimal::from_scaled(5, 1));
  return half->towards_zero_to(Decimal::from_scaled(1, 3)).value_or(Decimal());
}

}  // namespace

bool Order::same_content(const Order& other) const {
  return symbol == other.symbol && side == other.side && quantity == other.quantity &&
         stop_price == other.stop_price && reduce_only == other.reduce_only;
}

Decimal Truth::position(const std::string& symbol) const {
  const auto at = positions.find(symbol);
  return at == positions.end() ? Decimal() : at->second;
}

void Truth::execute(Order& order, const Decimal& quantity) {
  order.executed = quantity;
  Decimal& held = positions[order.symbol];
  held = *(order.side == "BUY" ? held.plus(quantity) : held.minus(quantity));
}

const Order* Exchange::find(const std::string& client_id) const {
  const auto at = truth_.orders.find(client_id);
  return at == truth_.orders.end() ? nullptr : &at->second;
}

const Order& Exchange::take(const std::string& client_id, Order order, int64_t now_us) {
  if (const Order* known = find(client_id); known != nullptr) {
    if (!known->same_content(order))
      truth_.faults.push_back(client_id + " was sent again with other content");
    return *known;
  }
  order.id = static_cast<int64_t>(truth_.orders.size()) + 1;
  order.accepted_us = now_us;
  fill(order);
  return truth_.orders.emplace(client_id, std::move(order)).first->second;
}

std::string Exchange::trigger(int pick) {
  std::vector<std::string> resting;
  for (const auto& [id, order] : truth_.orders)
    if (order.rests()) resting.push_back(id);
  if (resting.empty()) return {};
  const std::string id = resting[static_cast<size_t>(pick) % resting.size()];
  Order& stop = truth_.orders.at(id);
  const Decimal held = truth_.position(stop.symbol);
  const bool reduces = held.is_positive() == (stop.side == "SELL") && !held.is_zero();
  if (!reduces) {
    stop.status = "EXPIRED";
    stop.reason = "reduce_only_excess";
  } else {
    stop.status = "FILLED";
    truth_.execute(stop, std::min(held.abs(), *Decimal::parse(stop.quantity)));
  }
  return id;
}

void Exchange::fill(Order& order) {
  const Decimal quantity = *Decimal::parse(order.quantity);
  const Decimal held = truth_.position(order.symbol);
  const bool reduces = !held.is_zero() && held.is_positive() == (order.side == "SELL");
  if (mood == Mood::kRefuses || (order.reduce_only && !reduces)) {
    order.status = "REJECTED";
    order.reason = mood == Mood::kRefuses ? "new_order_rejected" : "reduce_only";
    return;
  }
  if (!order.stop_price.empty()) {
    order.status = "PLACED";
    return;
  }
  const Decimal most = order.reduce_only ? std::min(held.abs(), quantity) : quantity;
  const Decimal half = half_of(most);
  const bool in_part = mood == Mood::kFillsInPart && half.is_positive();
  const Decimal executed = in_part ? half : most;
  order.status = executed == quantity ? "FILLED" : "EXPIRED";
  if (order.status == "EXPIRED") order.reason = in_part ? "partial_fill" : "reduce_only_excess";
  truth_.execute(order, executed);
}

const Truth& PaperWitness::truth() {
  for (const paper::JournalLine& line : journal_.poll().lines) add(line);
  return truth_;
}

// A market order's fills stand in its first line, those of a stop in its last.
void PaperWitness::add(const paper::JournalLine& line) {
  const paper::Order& told = line.order;
  if (line.kind == paper::JournalLine::Kind::kEnd) {
    Order& order = truth_.orders[told.client_order_id];
    order.status = told.status;
    order.reason = told.reason;
    if (told.is_stop()) truth_.execute(order, told.executed);
    return;
  }
  if (line.kind != paper::JournalLine::Kind::kOrder) {
    truth_.faults.push_back("the journal was compacted in a case of an hour");
    return;
  }
  Order order;
  order.symbol = told.symbol;
  order.side = told.is_buy ? "BUY" : "SELL";
  order.quantity = told.quantity.text();
  order.stop_price = told.is_stop() ? told.stop_price.text() : "";
  order.reduce_only = told.reduce_only;
  order.id = told.order_id;
  order.accepted_us = told.accepted_us;
  order.status = told.status;
  order.reason = told.reason;
  if (!told.is_stop()) truth_.execute(order, told.executed);
  if (!truth_.orders.emplace(told.client_order_id, std::move(order)).second)
    truth_.faults.push_back(told.client_order_id + " was taken twice");
}

}  // namespace sluice::sim
