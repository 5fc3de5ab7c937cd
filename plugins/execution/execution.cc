#include "execution/execution.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "common/control.h"
#include "common/mutant.h"
#include "common/text.h"
#include "execution/exchange_errors.h"
#include "execution/result.h"

namespace sluice::execution {
namespace {

constexpr std::string_view kGlobalRate = "quantum:exec:rate:global";
constexpr std::string_view kMarginFails = "quantum:exec:margin_fails";
constexpr std::string_view kCooldownGlobal = "quantum:safety:cooldown_global";
constexpr std::string_view kSafeMode = "quantum:safety:safe_mode";
constexpr Duration kProcessedTtl = std::chrono::hours(24);
constexpr Duration kLockTtl = std::chrono::seconds(30);
constexpr Duration kLockLook = std::chrono::milliseconds(100);
constexpr Duration kCooldownTtl = std::chrono::seconds(300);
constexpr Duration kSafeModeTtl = std::chrono::seconds(900);
constexpr int64_t kMarginFailsMax = 5;
constexpr Duration kLineEvery = std::chrono::seconds(30);
constexpr Duration kFillPoll = std::chrono::milliseconds(500);
constexpr Duration kBackOffMax = std::chrono::seconds(60);
constexpr int kQueriesMin = 3;

std::string lock_key(const Entry& entry, const OrderEntry& order) {
  const std::string_view action = entry["action"];
  return "quantum:exec:lock:" + order.symbol + ":" +
         (action.empty() ? order.side : std::string(action));
}

std::string symbol_rate(std::string_view symbol) {
  return "quantum:exec:rate:symbol:" + std::string(symbol);
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

Told told_of(const Entry& entry, const OrderEntry& order, std::string_view policy) {
  Told told;
  told.plan_id = order.plan_id;
  told.plan_hash = order.plan_hash;
  told.leg = order.leg;
  told.type = order.is_stop() ? "STOP_MARKET" : "MARKET";
  told.client_order_id = order.client_order_id;
  told.symbol = order.symbol;
  told.side = order.side;
  told.quantity = order.quantity.text();
  told.action = entry["action"];
  told.leverage = entry["leverage"];
  told.trace_id = entry["trace_id"];
  told.decision_id = entry["decision_id"];
  told.decision_us = entry["decision_us"];
  told.policy = policy;
  told.intent_id = order.intent_id;
  told.reduce_only = order.reduce_only;
  told.mark_price = order.mark_price;
  return told;
}

// Whether the order used what was reserved for it: it traded, or may still do so.
bool is_used(const Terminal& terminal) {
  return terminal.executed.is_positive() || terminal.status == "PLACED";
}

// Emits the one terminal record and, when nothing was executed, gives the governor's share back.
void finish(const Entry& entry, const OrderEntry& order, const Terminal& terminal,
            std::string_view policy, Unit& unit) {
  const Told told = told_of(entry, order, policy);
  const Record result = result_record(told, terminal, unit.now());
  unit.emit("result", result);
  unit.emit("legacy", envelope_of(result));
  if (!is_used(terminal) && !SLUICE_MUTANT(share_not_released)) {
    for (const trade::Reservation& share : order.reservations)
      unit.release(share.counter, share.amount, Time(Duration(share.at_us)));
  }
  unit.log(SLUICE_LOG_INFO, terminal_line(told, terminal));
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

// The reference takes leverages from 5 to 80 and cuts what lies outside.
Decimal used_leverage(const Decimal& leverage) {
  return std::clamp(leverage, Decimal(5), Decimal(80));
}

// Whether an opening stays within the limit; false when that cannot be known.
bool fits_notional(const OrderEntry& order, const Decimal& notional_max) {
  if (order.reduce_only) return true;
  const auto notional = order.mark_price ? order.quantity.times(*order.mark_price) : std::nullopt;
  const auto exposed = notional ? notional->times(used_leverage(order.leverage)) : std::nullopt;
  return exposed && *exposed <= notional_max;
}

// Why an order whose time is over is not sent.
std::string_view expiry_of(const OrderEntry& order) {
  return order.intent_key.empty() ? "permit_expired_before_send" : "order_expired_before_send";
}

// What `act` needs to decide again right before the send, and `settle` to report.
Record request_of(const OrderEntry& order, Duration age_max, std::string_view policy) {
  return {{"symbol", order.symbol},
          {"side", order.side},
          {"quantity", order.quantity.text()},
          {"stop_price", order.stop_price.text()},
          {"reduce_only", order.reduce_only ? "true" : "false"},
          {"mark_price", order.mark_price ? order.mark_price->text() : ""},
          {"leverage", order.leverage.text()},
          {"valid_until_us", std::to_string(order.valid_until_us)},
          {"expiry", expiry_of(order)},
          {"stale_at_us", std::to_string(order.intent_us + age_max.count())},
          {"policy", policy}};
}

// What `execution.fills` will say of a stop, long after this entry is gone.
Record trace_of(const Entry& entry, const OrderEntry& order, std::string_view policy) {
  const Told told = told_of(entry, order, policy);
  return {{"plan_id", told.plan_id},
          {"plan_hash", told.plan_hash},
          {"leg", told.leg},
          {"action", told.action},
          {"leverage", told.leverage},
          {"trace_id", told.trace_id},
          {"decision_id", told.decision_id},
          {"decision_us", told.decision_us},
          {"policy", told.policy}};
}

void reserve_rates(const OrderEntry& order, Unit& unit, int64_t count = 1) {
  const PolicyResult limit = unit.policy("rate_limit", {policy_text(order.symbol)}, 4);
  unit.reserve(symbol_rate(order.symbol), count, limit.integer(2), WindowKind::kFixed,
               limit.duration(3));
  unit.reserve(kGlobalRate, count, limit.integer(0), WindowKind::kFixed, limit.duration(1));
}

paper::NewOrder new_order(const Request& request) {
  return {std::string(request.idempotency_key()),
          std::string(request["symbol"]),
          request["side"] == "BUY",
          request["reduce_only"] == "true" && !SLUICE_MUTANT(reduce_only_ignored),
          decimal_or_zero(request["quantity"]),
          decimal_or_zero(request["stop_price"])};
}

// Whether an order the exchange knows is the one that was asked for.
bool is_same(const paper::Order& known, const paper::NewOrder& asked) {
  return known.symbol == asked.symbol && known.is_buy == asked.is_buy &&
         known.reduce_only == asked.reduce_only && known.quantity == asked.quantity &&
         known.stop_price == asked.stop_price;
}

// The last look before the send: what held in `process` may have changed while the order waited.
std::optional<Terminal> refused_now(const Request& request, const World& world) {
  if (SLUICE_MUTANT(send_not_rechecked)) return std::nullopt;
  if (trade::kill_switch_set(world)) return not_sent("REJECTED", "kill_switch_active");
  const int64_t now_us = trade::micros(world.now());
  if (now_us >= trade::read_integer(request["valid_until_us"]).value_or(0))
    return not_sent("EXPIRED", std::string(request["expiry"]));
  if (now_us > trade::read_integer(request["stale_at_us"]).value_or(0))
    return not_sent("EXPIRED", "stale_intent");
  return std::nullopt;
}

// Keys that say that orders went out without margin, for operators and the safety kernel.
void note_margin_failure(const OrderEntry& order, Unit& unit) {
  const int64_t fails = trade::read_integer(unit.get(kMarginFails).text()).value_or(0) + 1;
  unit.put(kMarginFails, std::to_string(fails), kCooldownTtl);
  unit.put(kCooldownGlobal, "1", kCooldownTtl);
  unit.put("quantum:safety:cooldown_symbol:" + order.symbol, "1", kCooldownTtl);
  if (fails >= kMarginFailsMax) unit.put(kSafeMode, "1", kSafeModeTtl);
}

// A window without room, as operators search for it: which, how full, until when.
std::string rate_text(const OrderEntry& order, const Failure& failure, Time now) {
  return order.symbol + " " + std::string(failure.key) +
         " count=" + std::to_string(failure.met_count) +
         " resets_in=" + seconds_text(failure.met_until - now);
}

}  // namespace

void Execution::check(const Settings& settings) { paper::exchange_settings(settings); }

Execution::Execution(const Settings& settings) : Execution(settings, Lane::kPlans) {}

Execution::Execution(const Settings& settings, Lane lane)
    : lane_(lane),
      account_(paper::account_setting(settings)),
      query_wait_(settings.duration("query_wait")),
      recv_window_(settings.duration("recv_window")),
      fill_wait_(settings.duration("fill_wait")),
      clock_ahead_max_(settings.duration("clock_ahead_max")),
      notional_max_(settings.decimal("notional_max")),
      diag_(settings.boolean("diag")),
      exchange_(paper::Exchange::shared(paper::exchange_settings(settings))) {}

// --- Before the send ---

Verdict Execution::process(const Entry& entry, Unit& unit) {
  std::string why;
  const auto order = read_order([&entry](std::string_view name) { return entry.find(name); },
                                account_, why, lane_);
  if (!order) return reject("invalid_order", why);
  tell_heartbeat(unit);
  const std::string processed = "quantum:exec:processed:" + order->client_order_id;
  const auto failure = unit.failure();
  if (failure && failure->key == processed) {
    unit.log(SLUICE_LOG_INFO, "IDEMPOTENCY_SKIP: " + order->symbol + " " + order->client_order_id);
    return ack();
  }

  // The claim stands in every unit that ends or sends the order, so there is one record for it.
  unit.claim(processed, entry.id(), kProcessedTtl);
  const auto end = [&](std::string status, std::string reason) {
    count(status);
    finish(entry, *order, not_sent(std::move(status), std::move(reason)), unit.policy_version(),
           unit);
    return ack();
  };
  const Time now = unit.now();
  const Time valid_until = Time(Duration(order->valid_until_us));
  if (trade::kill_switch_set(unit)) {
    unit.log(SLUICE_LOG_WARNING, "[KILL_SWITCH] order not sent: " + order->client_order_id);
    return end("REJECTED", "kill_switch_active");
  }
  if (now >= valid_until) return end("EXPIRED", std::string(expiry_of(*order)));
  if (age_of(*order, now) < -clock_ahead_max_) {
    unit.log(SLUICE_LOG_WARNING, "FUTURE_INTENT_DROP: " + order->symbol +
                                     " ahead=" + seconds_text(-age_of(*order, now)) + " (>" +
                                     seconds_text(clock_ahead_max_) + ")");
    return end("REJECTED", "future_intent");
  }
  const Duration age_max = intent_age_max(*order, entry, unit);
  tell_config(age_max, unit);
  if (age_of(*order, now) > age_max && SLUICE_MUTANT(stale_drop_silent)) return ack();
  if (age_of(*order, now) > age_max) {
    stale_.drop(order->symbol, age_of(*order, now), age_max, unit);
    return end("EXPIRED", "stale_intent");
  }
  if (!fits_notional(*order, notional_max_)) return end("REJECTED", "notional_exceeded");

  const std::string lock = lock_key(entry, *order);
  if (failure && failure->key == lock) {
    unit.log(diag_ ? SLUICE_LOG_INFO : SLUICE_LOG_DEBUG, "LOCK_WAIT: " + order->symbol);
    // Its text says until when it holds at most; it goes earlier when its order ends. Orders that
    // wait for it get it in turn, and whoever takes one that is gone by now has it no longer.
    const Value held = unit.get(lock);
    const std::string_view text = held.text();
    const auto until = trade::read_integer(text.substr(text.find(' ') + 1));
    const Time free = until ? Time(Duration(*until)) : held ? valid_until : now + kLockTtl;
    // One that should be gone and is not was made under a clock that was ahead of this one.
    const Time at = free > now ? free : now + kLockLook;
    return wait({lock}, std::min(at, valid_until));
  }
  if (failure) {  // a rate window is full
    const bool is_global = failure->key == kGlobalRate;
    // To the moment there is room, so that a restart in between changes nothing.
    if (failure->met_until > now && failure->met_until < valid_until) {
      unit.log(diag_ ? SLUICE_LOG_INFO : SLUICE_LOG_DEBUG,
               "RATE_LIMIT_WAIT: " + rate_text(*order, *failure, now));
      return wait({}, failure->met_until);
    }
    unit.log(SLUICE_LOG_WARNING,
             std::string(is_global ? "GLOBAL_RATE_LIMIT: " : "RATE_LIMIT_SKIP: ") +
                 rate_text(*order, *failure, now));
    if (is_global) unit.put(kCooldownGlobal, "1", kCooldownTtl);
    return end("EXPIRED", "rate_limited");
  }
  unit.claim(lock, order->client_order_id + " " + trade::micros_text(now + kLockTtl), kLockTtl);
  reserve_rates(*order, unit, SLUICE_MUTANT(counter_after_send) ? 0 : 1);
  if (order->is_stop())
    unit.put("quantum:exec:stop:" + order->client_order_id,
             trace_of(entry, *order, unit.policy_version()), std::chrono::hours(24 * 90));
  return sluice::act(order->client_order_id, request_of(*order, age_max, unit.policy_version()));
}

// --- At the exchange ---

// Notes what this process knows of the order. What it knows nothing of may have been sent by a
// process that died a moment ago.
Execution::Attempt& Execution::attempt(const Request& request, Time now) {
  const auto [found, is_new] = attempts_.try_emplace(std::string(request.idempotency_key()));
  if (is_new && request.recovered()) found->second.uncertain_since = now;
  return found->second;
}

// Counts a query that did not find the order: whether the exchange may still get it.
bool Execution::may_be_under_way(const Request& request, Time now) {
  const std::scoped_lock lock(mutex_);
  Attempt& known = attempt(request, now);
  if (known.uncertain_since == Time{}) return false;
  ++known.queries;
  const bool is_late = now < known.uncertain_since + recv_window_ + std::chrono::seconds(1);
  return is_late || known.queries < kQueriesMin;
}

Act Execution::end_act(const Request& request, Record outcome) {
  const std::scoped_lock lock(mutex_);
  const auto found = attempts_.find(request.idempotency_key());
  if (found != attempts_.end()) attempts_.erase(found);
  return done(std::move(outcome));
}

Act Execution::act(const Request& request, World& world) {
  if (!source_told_.exchange(true))
    world.log(SLUICE_LOG_INFO, "paper exchange prices: " + exchange_->price_source());
  const Time now = world.now();
  exchange_->advance(trade::micros(now));
  if (!request.recovered() || SLUICE_MUTANT(order_sent_again)) return send(request, world);
  if (const auto known = exchange_->find(request.idempotency_key()))
    return report(request, world, *known);
  if (trade::micros(request.requested_at()) < exchange_->remembered_from())
    throw std::runtime_error("order " + std::string(request.idempotency_key()) +
                             " is older than what the exchange remembers: nobody knows whether it "
                             "was executed");
  if (!may_be_under_way(request, now)) return send(request, world);
  diag(request, world, "not at the exchange yet");
  return later(query_wait_);
}

// The exchange does not have the order, for certain: send it, if it may still be sent.
Act Execution::send(const Request& request, const World& world) {
  if (const auto refused = refused_now(request, world))
    return end_act(request, outcome_record(*refused));
  if (!has_margin(request))
    return end_act(request, outcome_record(not_sent("REJECTED", "margin_insufficient")));
  paper::NewOrder order = new_order(request);
  const Time now = world.now();
  if (SLUICE_MUTANT(client_id_random))
    order.client_order_id += std::to_string(trade::micros(now) % 100'000);
  {
    // Whatever happens from here on, even an exception, the exchange may have it.
    const std::scoped_lock lock(mutex_);
    Attempt& known = attempt(request, now);
    known.uncertain_since = now;
    known.queries = 0;
  }
  const paper::Placed placed = exchange_->place(order, trade::micros(now), request.recovered());
  switch (placed.kind) {
    case paper::Placed::Kind::kUnknown:
      diag(request, world, "outcome unknown");
      return later(query_wait_);
    case paper::Placed::Kind::kAccepted:
      return report(request, world, placed.order);
    case paper::Placed::Kind::kRefused:
      break;
  }
  return refused(request, world, placed);
}

Act Execution::refused(const Request& request, const World& world, const paper::Placed& placed) {
  const paper::Refusal& refusal = placed.refusal;
  diag(request, world, "refused with " + std::to_string(refusal.code));
  Terminal terminal = not_sent("REJECTED", std::string(reason_word(refusal.code, refusal.word)));
  terminal.detail = std::to_string(refusal.code) + " " + refusal.text;
  terminal.sent_us = trade::micros_text(world.now());
  const Reaction reaction = reaction_to(refusal.code);
  if (reaction == Reaction::kReject) return end_act(request, outcome_record(terminal));
  if (reaction == Reaction::kQuery) {
    // A known id means that an earlier try of this order is there: it is adopted, never sent anew.
    const auto known = exchange_->find(request.idempotency_key());
    return known ? report(request, world, *known) : later(query_wait_);
  }
  Duration wait = query_wait_;
  {
    const std::scoped_lock lock(mutex_);
    Attempt& known = attempt(request, world.now());
    known.uncertain_since = Time{};
    if (reaction == Reaction::kBackOff)
      wait = std::max(
          Duration(placed.retry_after_us),
          std::min<Duration>(kBackOffMax, query_wait_ * (1 << std::min(known.back_offs++, 6))));
    if (reaction == Reaction::kResync && ++known.resyncs > 1) wait = Duration(0);
  }
  if (wait == Duration(0)) return end_act(request, outcome_record(terminal));
  return later(wait);
}

// Answers with what became of an accepted order as soon as that shows.
Act Execution::report(const Request& request, const World& world, const paper::Order& known) {
  if (!is_same(known, new_order(request)))
    return end_act(request, outcome_record(not_sent("FAILED", "client_order_id_conflict")));
  if (known.is_stop()) return report_stop(request, world, known);
  if (known.is_open()) return follow(request, world, known);
  const int64_t now_us = trade::micros(world.now());
  const int64_t hidden_us = known.visible_us - now_us;
  if (hidden_us > 0) return later(Duration(hidden_us));
  const paper::Part executed = known.executed_at(now_us);
  const bool is_cancelled = known.status == "CANCELED";
  return end_act(request,
                 outcome_record({is_cancelled ? "EXPIRED" : known.status,
                                 is_cancelled ? "fill_timeout" : known.reason, "",
                                 std::to_string(known.order_id), executed.quantity, executed.price,
                                 executed.fee, std::to_string(known.accepted_us)}));
}

// A part is filled and the rest is open: watched, and cancelled when it takes too long.
Act Execution::follow(const Request& request, const World& world, const paper::Order& known) {
  const Time now = world.now();
  const Time deadline = Time(Duration(known.accepted_us)) + fill_wait_;
  diag(request, world,
       known.status + " executed=" + known.executed_at(trade::micros(now)).quantity.text());
  if (now < deadline) return later(std::min<Duration>(kFillPoll, deadline - now));
  const paper::Placed cancelled = cancel(request, world, known.client_order_id);
  if (cancelled.kind == paper::Placed::Kind::kAccepted)
    return report(request, world, cancelled.order);
  return later(query_wait_);  // unknown, or ended meanwhile: the query tells
}

// The new stop stands; older ones of the symbol go. What comes of it is told by `fills`.
Act Execution::report_stop(const Request& request, const World& world, const paper::Order& known) {
  for (const paper::Order& older : exchange_->open_stops(known.symbol)) {
    if (older.order_id >= known.order_id) continue;
    const paper::Placed cancelled = cancel(request, world, older.client_order_id);
    if (cancelled.kind == paper::Placed::Kind::kUnknown) return later(query_wait_);
  }
  const int64_t hidden_us = known.accepted_us +
                            (known.is_open() ? known.visible_us - known.accepted_us : 0) -
                            trade::micros(world.now());
  if (hidden_us > 0) return later(Duration(hidden_us));
  Terminal terminal = not_sent("PLACED", "");
  terminal.order_id = std::to_string(known.order_id);
  terminal.sent_us = std::to_string(known.accepted_us);
  return end_act(request, outcome_record(terminal));
}

paper::Placed Execution::cancel(const Request& request, const World& world, const std::string& id) {
  bool again = false;
  {
    const std::scoped_lock lock(mutex_);
    again = std::exchange(attempt(request, world.now()).cancel_sent, true);
  }
  diag(request, world, "cancels " + id);
  return exchange_->cancel(id, trade::micros(world.now()), again);
}

// The reference's margin guard: 1.25 times what the position needs must be free.
bool Execution::has_margin(const Request& request) const {
  if (request["reduce_only"] == "true") return true;
  const auto mark = Decimal::parse(request["mark_price"]);
  const auto notional = mark ? decimal_or_zero(request["quantity"]).times(*mark) : std::nullopt;
  const auto needed = notional ? notional->times(Decimal::from_scaled(125, 2)) : std::nullopt;
  const auto margin =
      needed ? needed->divided_by(used_leverage(decimal_or_zero(request["leverage"])), 8)
             : std::nullopt;
  return margin && *margin <= exchange_->available();
}

// --- After the send ---

Verdict Execution::settle(const Entry& entry, const Request& request, const Outcome& outcome,
                          Unit& unit) {
  std::string why;
  const auto order = read_order([&entry](std::string_view name) { return entry.find(name); },
                                account_, why, lane_);
  if (!order) return retry(std::chrono::seconds(1), "order cannot be read again: " + why);
  const Terminal terminal = read_outcome(outcome);
  count(terminal.status);
  finish(entry, *order, terminal, request["policy"], unit);
  if (SLUICE_MUTANT(counter_after_send)) reserve_rates(*order, unit);
  if (terminal.reason == "margin_insufficient") note_margin_failure(*order, unit);
  if (!is_used(terminal)) {
    unit.release(symbol_rate(order->symbol), 1, request.requested_at());
    unit.release(kGlobalRate, 1, request.requested_at());
  }
  if (order->is_stop() && terminal.status != "PLACED")
    unit.erase("quantum:exec:stop:" + order->client_order_id);
  // A lock that ran out may be another order's by now.
  const std::string lock = lock_key(entry, *order);
  const Value held = unit.get(lock);
  if (!unit.failure() && held.text().starts_with(order->client_order_id + " ")) {
    unit.unchanged(lock);
    unit.erase(lock);
  }
  return ack();
}

// --- Log lines ---

void Execution::count(std::string_view status) {
  const std::scoped_lock lock(mutex_);
  ++counts_.taken;
  if (status == "FILLED") ++counts_.filled;
  if (status == "PLACED") ++counts_.placed;
  if (status == "REJECTED") ++counts_.rejected;
  if (status == "EXPIRED") ++counts_.expired;
  if (status == "FAILED") ++counts_.failed;
}

void Execution::diag(const Request& request, const World& world, const std::string& text) const {
  if (!diag_) return;
  world.log(SLUICE_LOG_INFO, "[DIAG] " + std::string(request["symbol"]) + " " +
                                 std::string(request.idempotency_key()) + ": " + text);
}

void Execution::tell_config(Duration age_max, const Unit& unit) {
  if (config_told_.exchange(true)) return;
  unit.log(SLUICE_LOG_INFO, "P0.D.5 Config: TTL=" + seconds_text(age_max) +
                                ", COUNT=batch, CONCURRENCY=concurrency of the stage");
}

void Execution::tell_heartbeat(const Unit& unit) {
  if (!diag_) return;
  Counts counts;
  size_t at_exchange = 0;
  {
    const std::scoped_lock lock(mutex_);
    if (unit.now() < counts_.heartbeat + kLineEvery) return;
    counts_.heartbeat = unit.now();
    counts = counts_;
    at_exchange = attempts_.size();
  }
  unit.log(SLUICE_LOG_INFO, "[DIAG] heartbeat: ended=" + std::to_string(counts.taken) +
                                " filled=" + std::to_string(counts.filled) +
                                " placed=" + std::to_string(counts.placed) +
                                " rejected=" + std::to_string(counts.rejected) +
                                " expired=" + std::to_string(counts.expired) +
                                " failed=" + std::to_string(counts.failed) +
                                " stale=" + std::to_string(stale_.total()) +
                                " at_exchange=" + std::to_string(at_exchange));
}

}  // namespace sluice::execution
