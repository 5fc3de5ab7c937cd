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

// What stands behind an order. An order of one lane is unsound in the other.
enum class Lane {
  kPlans,    // the gate's orders: a plan and both permits it consumed
  kIntents,  // orders of execution.intents: a trade intent, no permits, openings only
};

// Leg of the one order an intent can become.
inline constexpr std::string_view kIntentLeg = "entry";

// An order entry that is sound: every field that decides what is sent is there and readable, and
// both permits it consumed name this plan, or it is of an intent and has none.
struct OrderEntry {
  std::string plan_id, plan_hash, leg, client_order_id, symbol, side;  // the first two: kPlans
  std::string intent_key, intent_id;                                   // kIntents
  Decimal quantity;
  Decimal stop_price;  // 0: a market order
  bool reduce_only = false;
  std::optional<Decimal> mark_price;
  int64_t valid_until_us = 0;  // of the permit that ends first; kIntents: of the order
  int64_t intent_us = 0;       // when the intent was made; when the order was, without an intent
  Decimal leverage = Decimal(1);
  std::vector<trade::Reservation> reservations;  // of the governor's counters only

  bool is_stop() const { return stop_price.is_positive(); }
};

using Fields = std::function<std::optional<std::string_view>(std::string_view)>;

// The client order id is computed anew from `account`, plan (or intent key), leg, symbol, side and
// type: one that differs would let the same plan be sent twice.
//
// Errors: nullopt, and `why` names field, value and rule.
std::optional<OrderEntry> read_order(const Fields& fields, std::string_view account,
                                     std::string& why, Lane lane = Lane::kPlans);

}  // namespace sluice::execution
