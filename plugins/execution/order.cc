#include "execution/order.h"

#include "common/json.h"
#include "common/mutant.h"
#include "common/plan.h"
#include "common/text.h"

namespace sluice::execution {
namespace {

using trade::Json;
using trade::JsonDocument;

constexpr std::string_view kGovernorCounters = "quantum:governor:";

// Thrown inside this file only, and caught in it.
struct Fault {
  std::string text;
};

[[noreturn]] void fail(std::string_view field, std::string_view value, std::string_view rule) {
  throw Fault{std::string(field) + " \"" + std::string(value.substr(0, 80)) + "\": expected " +
              std::string(rule)};
}

std::string need(const Fields& fields, std::string_view name) {
  const auto value = fields(name);
  if (!value || value->empty()) fail(name, "", "a value");
  return std::string(*value);
}

int64_t need_time(const Fields& fields, std::string_view name) {
  const std::string text = need(fields, name);
  const auto value = trade::read_integer(text);
  if (!value || *value <= 0) fail(name, text, "microseconds since the epoch");
  return *value;
}

void check_choice(std::string_view field, std::string_view value, std::string_view a,
                  std::string_view b) {
  if (value != a && value != b) fail(field, value, std::string(a) + " or " + std::string(b));
}

JsonDocument parse(std::string_view field, std::string_view text) {
  std::string why;
  auto json = Json::parse(text, why);
  if (!json) fail(field, text, "JSON; " + why);
  return std::move(*json);
}

// A consumed permit must say yes (`word` is true) to this very plan.
JsonDocument need_permit(const Fields& fields, std::string_view name, std::string_view word,
                         const OrderEntry& order) {
  const std::string text = need(fields, name);
  JsonDocument permit = parse(name, text);
  const Json* yes = permit.find(word);
  if (yes == nullptr || !yes->is_true()) fail(name, text, std::string(word) + " to be true");
  if (permit.text_of("plan_id") != order.plan_id || permit.text_of("symbol") != order.symbol ||
      (permit.text_of("plan_hash") != order.plan_hash && !SLUICE_MUTANT(permit_not_bound)))
    fail(name, text, "plan_id, symbol and plan_hash of this order");
  return permit;
}

void check_quantity(const Json& permit, const OrderEntry& order) {
  std::string_view text = permit.number_of("safe_qty");
  if (text.empty()) text = permit.text_of("safe_qty");
  const auto most = Decimal::parse(text);
  if (!most || order.quantity > *most)
    fail("quantity", order.quantity.text(), "at most the permitted " + std::string(text));
}

std::vector<trade::Reservation> read_reservations(const Fields& fields) {
  const auto text = fields("reservations");
  if (!text || text->empty()) return {};
  const JsonDocument list = parse("reservations", *text);
  if (list.type() != Json::Type::kArray) fail("reservations", *text, "a JSON array");
  std::vector<trade::Reservation> reservations;
  for (const Json& item : list.items()) {
    const auto amount = trade::read_integer(item.number_of("amount"));
    const auto at_us = trade::read_integer(item.number_of("at_us"));
    const std::string_view counter = item.text_of("counter");
    if (!amount || !at_us || *amount < 0 || !counter.starts_with(kGovernorCounters))
      fail("reservations", *text, "counter of the governor, amount and at_us");
    reservations.push_back({std::string(counter), *amount, *at_us});
  }
  return reservations;
}

// When the intent was made. Orders that come from no intent count from their own making.
int64_t intent_time(const Fields& fields) {
  const std::string_view text = fields("intent_timestamp").value_or("");
  if (text.empty()) return need_time(fields, "created_us");
  const auto time = trade::parse_iso(text);
  if (!time) fail("intent_timestamp", text, "an ISO 8601 time");
  return trade::micros(*time);
}

Decimal need_positive(const Fields& fields, std::string_view name) {
  const std::string text = need(fields, name);
  const auto value = Decimal::parse(text);
  if (!value || !value->is_positive()) fail(name, text, "a decimal above 0");
  return *value;
}

void check_client_order_id(const OrderEntry& order, std::string_view type,
                           std::string_view account) {
  const std::string& of = order.plan_id.empty() ? order.intent_key : order.plan_id;
  const std::string id = trade::client_order_id(account, of, std::string_view(order.leg),
                                                order.symbol, order.side, type);
  if (order.client_order_id != id)
    fail("client_order_id", order.client_order_id, id + ", from account, plan, leg and order");
}

// STOP_MARKET orders only make a position smaller, and only they have a stop price.
void read_type(const Fields& fields, OrderEntry& order, std::string_view account) {
  const std::string type = need(fields, "type");
  check_choice("type", type, "MARKET", "STOP_MARKET");
  if (type == "STOP_MARKET") {
    order.stop_price = need_positive(fields, "stop_price");
    if (!order.reduce_only) fail("reduceOnly", "false", "true for STOP_MARKET");
  } else if (const auto given = fields("stop_price"); given && !given->empty()) {
    fail("stop_price", *given, "none for MARKET");
  }
  check_client_order_id(order, type, account);
}

// What orders of both lanes have.
void read_common(const Fields& fields, OrderEntry& order) {
  order.client_order_id = need(fields, "client_order_id");
  order.symbol = need(fields, "symbol");
  order.side = need(fields, "side");
  check_choice("side", order.side, "BUY", "SELL");
  order.quantity = need_positive(fields, "quantity");
  order.mark_price = Decimal::parse(fields("mark_price").value_or(""));
  if (const auto leverage = Decimal::parse(fields("leverage").value_or(""));
      leverage && leverage->is_positive())
    order.leverage = *leverage;
  order.intent_us = intent_time(fields);
}

void need_nothing(const Fields& fields, std::string_view name) {
  if (const auto given = fields(name); given && !given->empty())
    fail(name, *given, "none in an order of a trade intent");
}

// An opening that says of itself that it has no permits, and has none.
OrderEntry read_intents_order(const Fields& fields, std::string_view account) {
  const std::string permits = need(fields, "permits");
  if (permits != "none") fail("permits", permits, "none");
  for (const char* name : {"plan_id", "plan_hash", "governor_permit", "p33_permit", "reservations",
                           "permit_valid_until_us", "stop_price"})
    need_nothing(fields, name);
  OrderEntry order;
  order.intent_key = need(fields, "intent_key");
  order.intent_id = need(fields, "intent_id");
  order.leg = kIntentLeg;
  const std::string reduce_only = need(fields, "reduceOnly");
  if (reduce_only != "false") fail("reduceOnly", reduce_only, "false: exits need permits");
  const std::string type = need(fields, "type");
  if (type != "MARKET") fail("type", type, "MARKET");
  read_common(fields, order);
  check_client_order_id(order, type, account);
  order.valid_until_us = need_time(fields, "valid_until_us");
  return order;
}

OrderEntry read_plans_order(const Fields& fields, std::string_view account) {
  if (const auto permits = fields("permits"); permits && *permits != "both")
    fail("permits", *permits, "both: an order without them is for execution.entries");
  OrderEntry order;
  order.plan_id = need(fields, "plan_id");
  order.plan_hash = need(fields, "plan_hash");
  order.leg = need(fields, "leg");
  read_common(fields, order);
  const std::string reduce_only = need(fields, "reduceOnly");
  check_choice("reduceOnly", reduce_only, "true", "false");
  order.reduce_only = reduce_only == "true";
  read_type(fields, order, account);
  order.valid_until_us = need_time(fields, "permit_valid_until_us");
  if (SLUICE_MUTANT(missing_permit_is_yes)) return order;
  need_permit(fields, "governor_permit", "granted", order);
  check_quantity(need_permit(fields, "p33_permit", "allow", order), order);
  order.reservations = read_reservations(fields);
  return order;
}

}  // namespace

std::optional<OrderEntry> read_order(const Fields& fields, std::string_view account,
                                     std::string& why, Lane lane) {
  try {
    return lane == Lane::kIntents ? read_intents_order(fields, account)
                                  : read_plans_order(fields, account);
  } catch (const Fault& fault) {
    why = fault.text;
    return std::nullopt;
  }
}

}  // namespace sluice::execution
