#include "execution/execution.h"

#include <utility>

#include "common/control.h"
#include "common/json.h"
#include "common/text.h"

namespace sluice::execution {
namespace {

using trade::JsonObject;

constexpr std::string_view kGlobalRate = "quantum:exec:rate:global";
constexpr Duration kProcessedTtl = std::chrono::hours(24);

std::string symbol_rate(std::string_view symbol) {
  return "quantum:exec:rate:symbol:" + std::string(symbol);
}

// How an order ended. Texts as they stand in the record.
struct Terminal {
  std::string status, reason, detail;
  std::string order_id;
  Decimal executed, price, fee;
  std::string sent_us;  // empty when nothing was sent
};

Terminal not_sent(std::string status, std::string reason) {
  Terminal terminal;
  terminal.status = std::move(status);
  terminal.reason = std::move(reason);
  return terminal;
}

Record outcome_record(const Terminal& terminal) {
  return {{"status", terminal.status},
          {"reason", terminal.reason},
          {"detail", terminal.detail},
          {"order_id", terminal.order_id},
          {"executed_qty", terminal.executed.text()},
          {"avg_price", terminal.price.text()},
          {"fee", terminal.fee.text()},
          {"sent_us", terminal.sent_us}};
}

Decimal decimal_or_zero(std::string_view text) { return Decimal::parse(text).value_or(Decimal()); }

Terminal read_outcome(const Outcome& outcome) {
  return {std::string(outcome["status"]),           std::string(outcome["reason"]),
          std::string(outcome["detail"]),           std::string(outcome["order_id"]),
          decimal_or_zero(outcome["executed_qty"]), decimal_or_zero(outcome["avg_price"]),
          decimal_or_zero(outcome["fee"]),          std::string(outcome["sent_us"])};
}

// How much worse than the mark price the fill was, in per cent; 0 when either is missing.
Decimal slippage_percent(const OrderEntry& order, const Decimal& price) {
  if (!order.mark_price || !order.mark_price->is_positive() || !price.is_positive()) return {};
  const auto worse =
      order.side == "BUY" ? price.minus(*order.mark_price) : order.mark_price->minus(price);
  const auto hundredfold = worse ? worse->times(Decimal(100)) : std::nullopt;
  return hundredfold ? hundredfold->divided_by(*order.mark_price, 6).value_or(Decimal())
                     : Decimal();
}

// The payload of contract 7.5. Numbers are exact decimals.
std::string payload_text(const Entry& entry, const OrderEntry& order, const Terminal& terminal,
                         Time now) {
  const bool traded = terminal.executed.is_positive();
  const Decimal entry_price = traded ? terminal.price : order.mark_price.value_or(Decimal());
  const Decimal size = terminal.price.times(terminal.executed).value_or(Decimal());
  const Decimal slippage = traded ? slippage_percent(order, terminal.price) : Decimal();
  JsonObject payload;
  payload.text("symbol", order.symbol)
      .text("action", entry["action"])
      .number("entry_price", trade::decimal_text(entry_price))
      .number("position_size_usd", trade::decimal_text(size))
      .number("leverage", trade::decimal_text(decimal_or_zero(entry["leverage"])))
      .text("timestamp", trade::iso_z(now))
      .text("order_id",
            terminal.order_id.empty() ? trade::upper(terminal.status) : terminal.order_id)
      .text("status", trade::lower(terminal.status))
      .number("slippage_pct", trade::decimal_text(slippage))
      .number("fee_usd", trade::decimal_text(terminal.fee));
  return payload.str();
}

Record result_record(const Entry& entry, const OrderEntry& order, const Terminal& terminal,
                     std::string_view policy, Time now) {
  return {{"event_type", "execution.result"},
          {"payload", payload_text(entry, order, terminal, now)},
          {"timestamp", trade::iso_z(now)},
          {"source", "execution-service"},
          {"plan_id", order.plan_id},
          {"plan_hash", order.plan_hash},
          {"client_order_id", order.client_order_id},
          {"order_id", terminal.order_id},
          {"symbol", order.symbol},
          {"side", order.side},
          {"action", entry["action"]},
          {"status", terminal.status},
          {"reason", terminal.reason},
          {"detail", terminal.detail},
          {"executed_qty", terminal.executed.text()},
          {"avg_price", terminal.price.text()},
          {"fee", terminal.fee.text()},
          {"trace_id", entry["trace_id"]},
          {"decision_id", entry["decision_id"]},
          {"decision_us", entry["decision_us"]},
          {"sent_us", terminal.sent_us},
          {"result_us", trade::micros_text(now)},
          {"reduceOnly", order.reduce_only ? "true" : "false"},
          {"policy", policy}};
}

// Emits the one terminal record and, when nothing was executed, gives the governor's share back.
void finish(const Entry& entry, const OrderEntry& order, const Terminal& terminal,
            std::string_view policy, Unit& unit) {
  const Record result = result_record(entry, order, terminal, policy, unit.now());
  unit.emit("result", result);
  Record envelope;
  for (const char* name : {"event_type", "payload", "timestamp", "source"})
    envelope.add(name, result.find(name).value_or(""));
  unit.emit("legacy", envelope);
  if (!terminal.executed.is_positive()) {
    for (const trade::Reservation& share : order.reservations)
      unit.release(share.counter, share.amount, Time(Duration(share.at_us)));
  }
  const std::string what =
      terminal.reason.empty() ? "OrderID=" + terminal.order_id : "Reason: " + terminal.reason;
  unit.log(SLUICE_LOG_INFO, "TERMINAL STATE: " + terminal.status + " | " + order.symbol + " " +
                                std::string(entry["action"]) + " | " + what +
                                " | trace_id=" + std::string(entry["trace_id"]));
}

std::optional<OrderEntry> order_of(const Entry& entry, std::string& why) {
  return read_order([&entry](std::string_view name) { return entry.find(name); }, why);
}

Duration age_of(const OrderEntry& order, Time now) {
  return Duration(trade::micros(now) - order.intent_us);
}

Duration intent_age_max(const OrderEntry& order, const Entry& entry, Unit& unit) {
  PolicyRecord intent;
  intent.text("symbol", order.symbol)
      .text("action", entry["action"])
      .text("side", order.side)
      .boolean("reduce_only", order.reduce_only)
      .text("plan_id", order.plan_id)
      .number("quantity", order.quantity.to_double())
      .number("age_seconds", std::chrono::duration<double>(age_of(order, unit.now())).count());
  return unit.policy("intent_age_max", {intent.raw()}).duration();
}

// What `act` needs to decide again right before the send, and `settle` to report.
Record request_of(const OrderEntry& order, Duration age_max, std::string_view policy) {
  return {{"symbol", order.symbol},
          {"side", order.side},
          {"quantity", order.quantity.text()},
          {"reduce_only", order.reduce_only ? "true" : "false"},
          {"valid_until_us", std::to_string(order.valid_until_us)},
          {"stale_at_us", std::to_string(order.intent_us + age_max.count())},
          {"policy", policy}};
}

void reserve_rates(const OrderEntry& order, Unit& unit) {
  const PolicyResult limit = unit.policy("rate_limit", {policy_text(order.symbol)}, 4);
  unit.reserve(symbol_rate(order.symbol), 1, limit.integer(2), WindowKind::kFixed,
               limit.duration(3));
  unit.reserve(kGlobalRate, 1, limit.integer(0), WindowKind::kFixed, limit.duration(1));
}

paper::NewOrder new_order(const Request& request) {
  return {std::string(request.idempotency_key()), std::string(request["symbol"]),
          request["side"] == "BUY", request["reduce_only"] == "true",
          decimal_or_zero(request["quantity"])};
}

// Whether an order the exchange knows is the one that was asked for.
bool is_same(const paper::Order& known, const paper::NewOrder& asked) {
  return known.symbol == asked.symbol && known.is_buy == asked.is_buy &&
         known.reduce_only == asked.reduce_only && known.quantity == asked.quantity;
}

// Answers with what became of an accepted order as soon as that shows.
Act report(const paper::Order& known, const paper::NewOrder& asked, Time now) {
  if (!is_same(known, asked))
    return done(outcome_record(not_sent("FAILED", "client_order_id_conflict")));
  const int64_t hidden_us = known.visible_us - trade::micros(now);
  if (hidden_us > 0) return later(Duration(hidden_us));
  return done(
      outcome_record({known.status, known.reason, "", std::to_string(known.order_id),
                      known.executed, known.price, known.fee, std::to_string(known.accepted_us)}));
}

// The last look before the send: what held in `process` may have changed while the order waited.
std::optional<Terminal> refused_now(const Request& request, const World& world) {
  if (trade::kill_switch_set(world)) return not_sent("REJECTED", "kill_switch_active");
  const int64_t now_us = trade::micros(world.now());
  if (now_us >= trade::read_integer(request["valid_until_us"]).value_or(0))
    return not_sent("EXPIRED", "permit_expired_before_send");
  if (now_us > trade::read_integer(request["stale_at_us"]).value_or(0))
    return not_sent("EXPIRED", "stale_intent");
  return std::nullopt;
}

paper::ExchangeSettings exchange_settings(const Settings& settings) {
  paper::ExchangeSettings exchange;
  exchange.account = paper::account_setting(settings);
  exchange.prices = paper::price_settings(settings);
  exchange.balance = settings.decimal("balance");
  exchange.fee_rate = settings.decimal("fee_rate");
  exchange.slippage_bps = settings.decimal("slippage");
  exchange.latency_us = settings.duration("latency").count();
  exchange.reject_rate = settings.number("reject_rate");
  exchange.timeout_rate = settings.number("timeout_rate");
  exchange.partial_fill_rate = settings.number("partial_fill_rate");
  exchange.sync = settings.boolean("sync");
  return exchange;
}

}  // namespace

void Execution::check(const Settings& settings) { exchange_settings(settings); }

Execution::Execution(const Settings& settings)
    : query_wait_(settings.duration("query_wait")),
      exchange_(paper::Exchange::shared(exchange_settings(settings))) {}

Verdict Execution::process(const Entry& entry, Unit& unit) {
  std::string why;
  const auto order = order_of(entry, why);
  if (!order) return reject("invalid_order", why);
  const auto failure = unit.failure();
  if (failure && failure->condition == Failure::Condition::kClaim) return ack();

  // The claim stands in every unit that ends or sends the order, so there is one record for it.
  unit.claim("quantum:exec:processed:" + order->client_order_id, entry.id(), kProcessedTtl);
  const auto end = [&](std::string status, std::string reason) {
    finish(entry, *order, not_sent(std::move(status), std::move(reason)), unit.policy_version(),
           unit);
    return ack();
  };
  const Time now = unit.now();
  const Time valid_until = Time(Duration(order->valid_until_us));
  if (trade::kill_switch_set(unit)) return end("REJECTED", "kill_switch_active");
  if (now >= valid_until) return end("EXPIRED", "permit_expired_before_send");
  const Duration age_max = intent_age_max(*order, entry, unit);
  if (age_of(*order, now) > age_max) {
    const auto seconds = [](Duration d) { return std::to_string(d / std::chrono::seconds(1)); };
    unit.log(SLUICE_LOG_WARNING, "STALE_INTENT_DROP: " + order->symbol +
                                     " age=" + seconds(age_of(*order, now)) + "s (>" +
                                     seconds(age_max) + "s)");
    return end("EXPIRED", "stale_intent");
  }
  if (failure) {  // a rate window is full
    // To the moment there is room, so that a restart in between changes nothing.
    if (failure->met_until <= now || failure->met_until >= valid_until)
      return end("EXPIRED", "rate_limited");
    return wait({}, failure->met_until);
  }
  reserve_rates(*order, unit);
  return sluice::act(order->client_order_id, request_of(*order, age_max, unit.policy_version()));
}

Act Execution::act(const Request& request, World& world) {
  if (!source_told_.exchange(true))
    world.log(SLUICE_LOG_INFO, "paper exchange prices: " + exchange_->price_source());
  if (!request.recovered()) return not_found(request, world);
  const auto known = exchange_->find(request.idempotency_key());
  return known ? report(*known, new_order(request), world.now()) : not_found(request, world);
}

// The exchange does not have the order, for certain: send it, if it may still be sent.
Act Execution::not_found(const Request& request, const World& world) {
  if (const auto refused = refused_now(request, world)) return done(outcome_record(*refused));
  const paper::NewOrder order = new_order(request);
  const Time now = world.now();
  const paper::Placed placed = exchange_->place(order, trade::micros(now), request.recovered());
  switch (placed.kind) {
    case paper::Placed::Kind::kUnknown:
      return later(query_wait_);
    case paper::Placed::Kind::kAccepted:
      return report(placed.order, order, now);
    case paper::Placed::Kind::kRefused:
      break;
  }
  // A known id means that an earlier try of this order is there: it is adopted, never sent anew.
  if (const auto known = exchange_->find(order.client_order_id)) return report(*known, order, now);
  Terminal terminal = not_sent("REJECTED", placed.refusal.word);
  terminal.detail = std::to_string(placed.refusal.code) + " " + placed.refusal.text;
  terminal.sent_us = trade::micros_text(now);
  return done(outcome_record(terminal));
}

Verdict Execution::settle(const Entry& entry, const Request& request, const Outcome& outcome,
                          Unit& unit) {
  std::string why;
  const auto order = order_of(entry, why);
  if (!order) return retry(std::chrono::seconds(1), "order cannot be read again: " + why);
  const Terminal terminal = read_outcome(outcome);
  finish(entry, *order, terminal, request["policy"], unit);
  if (!terminal.executed.is_positive()) {
    unit.release(symbol_rate(order->symbol), 1, request.requested_at());
    unit.release(kGlobalRate, 1, request.requested_at());
  }
  return ack();
}

}  // namespace sluice::execution
