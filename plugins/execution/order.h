// The order entry as execution reads it, checked once more where it leaves the pipeline.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/permit.h"
#include "sluice/plugin.h"

namespace sluice::execution {

// An entry of quantum:stream:apply.order that is sound: every field that decides what is sent is
// there and readable, and both permits it consumed name this plan.
struct OrderEntry {
  std::string plan_id, plan_hash, client_order_id, symbol, side;
  Decimal quantity;
  bool reduce_only = false;
  std::optional<Decimal> mark_price;
  int64_t valid_until_us = 0;  // of the permit that ends first
  int64_t intent_us = 0;       // when the intent was made; when the order was, without an intent
  std::vector<trade::Reservation> reservations;  // of the governor's counters only
};

using Fields = std::function<std::optional<std::string_view>(std::string_view)>;

// Errors: nullopt, and `why` names field, value and rule.
std::optional<OrderEntry> read_order(const Fields& fields, std::string& why);

}  // namespace sluice::execution
