// Invariants 2, 3 and 4: what may be sent, and that it is sent once.
#include <algorithm>

#include "audit/judge.h"
#include "audit/times.h"
#include "base/iso_time.h"
#include "runtime/operator_command.h"

namespace sluice::audit {

namespace {

std::string subject_of(const Order& order) {
  return order.intent_key.empty() ? "plan " + order.plan_id : "intent " + order.intent_id;
}
std::string subject_of(const Execution& result) {
  return result.plan_id.empty() ? "order " + result.client_order_id : "plan " + result.plan_id;
}

std::string time_text(int64_t us) { return us == 0 ? "never" : iso_time_text(from_us(us)); }

// What is wrong with one permit of an order; empty when nothing is.
std::string fault_of(const Permit& permit, const Order& order) {
  if (!permit.readable) return "is missing or cannot be read";
  if (!permit.grants) return "does not grant";
  if (permit.plan_id != order.plan_id) return "is for plan " + permit.plan_id;
  if (permit.plan_hash != order.plan_hash)
    return "is for content " + permit.plan_hash + ", the order for " + order.plan_hash;
  if (permit.symbol != order.symbol) return "is for " + permit.symbol;
  if (permit.valid_until_us <= order.created_us)
    return "was valid until " + time_text(permit.valid_until_us) + ", the order was made " +
           time_text(order.created_us);
  return {};
}

// The order's own hash must be that of a plan that was to be executed. Of a plan that is trimmed
// the trail still says that the governor saw it.
void judge_plan_of(const Evidence& evidence, const Order& order, Bench& bench) {
  const auto plans = evidence.plans.find(order.plan_id);
  const bool is_known = plans != evidence.plans.end();
  if (is_known)
    for (const Plan& plan : plans->second)
      if (plan.executes && plan.plan_hash == order.plan_hash) return;
  const StreamState* why = nullptr;
  const uint64_t after = evidence.complete_after_ms(evidence.lane.plans, &why);
  if (why != nullptr && (order.place.id.ms <= after ||
                         evidence.granted.contains(order.plan_id + ' ' + order.plan_hash)))
    return;
  bench.offend(
      subject_of(order), order.place,
      is_known ? "no plan of this id has content " + order.plan_hash : "there is no such plan");
}

void judge_order(const Evidence& evidence, const Order& order, Bench& bench) {
  for (const auto& [name, permit] :
       {std::pair<const char*, const Permit&>{"governor", order.governor}, {"P3.3", order.p33}}) {
    if (const std::string fault = fault_of(permit, order); !fault.empty())
      bench.offend(subject_of(order), order.place, "permit of " + std::string(name) + " " + fault);
  }
  if (order.p33.safe_qty && (!order.quantity || *order.quantity > *order.p33.safe_qty))
    bench.offend(subject_of(order), order.place,
                 "quantity " + (order.quantity ? order.quantity->text() : "unreadable") +
                     " is above the permitted " + order.p33.safe_qty->text());
  judge_plan_of(evidence, order, bench);
}

// A permit that went with an order is gone from its key.
void judge_used_up(const Evidence& evidence, const Order& order, Bench& bench) {
  const auto governor = evidence.governor_keys.find(order.plan_id);
  if (governor != evidence.governor_keys.end() && governor->second.digest == order.governor.digest)
    bench.offend(subject_of(order), order.place,
                 "permit of governor went with this order and can still be used");
  const auto p33 = evidence.p33_keys.find(order.plan_id);
  if (p33 != evidence.p33_keys.end() && p33->second == order.p33.digest)
    bench.offend(subject_of(order), order.place,
                 "permit of P3.3 went with this order and can still be used");
}

// What the audit trail says of the two permits.
void judge_trail(const Evidence& evidence, const Order& order, Bench& bench) {
  const StreamState* why = nullptr;
  const uint64_t after = evidence.complete_after_ms(evidence.lane.permits, &why);
  if (why != nullptr && order.place.id.ms <= after) return;
  for (const char* permit : {"governor", "p33"}) {
    const auto consumed = evidence.consumed.find(std::string(permit) + ' ' + order.plan_id);
    if (consumed == evidence.consumed.end())
      bench.offend(subject_of(order), order.place,
                   "the permit trail has no `consumed` of " + std::string(permit));
  }
}

bool was_replayed(const Evidence& evidence, const Place& place) {
  return evidence.replayed.contains(*place.stream + ' ' + place.id.text());
}

// An order without permits needs an intent, and may not look like one that has permits.
void judge_intent_order(const Evidence& evidence, const EntryIds& intents, const Order& order,
                        Bench& bench) {
  if (order.intent_key.empty() || !order.plan_id.empty() || order.governor.readable ||
      order.p33.readable)
    bench.offend(subject_of(order), order.place,
                 "the lane without permits takes orders of trade intents alone");
  const StreamState* why = nullptr;
  const uint64_t after = evidence.complete_after_ms(evidence.lane.trade_intents, &why);
  if (!intents.contains(order.intent_id) && (why == nullptr || order.place.id.ms > after))
    bench.offend(subject_of(order), order.place, "there is no such intent");
}

void judge_intent_orders(const Evidence& evidence, Bench& bench) {
  if (evidence.lane.intent_orders.empty()) return;
  EntryIds intents;
  for (const Place& intent : evidence.trade_intents) intents.insert(intent.id.text());
  for (const Order& order : evidence.intent_orders)
    judge_intent_order(evidence, intents, order, bench);
  const size_t count = evidence.intent_orders.size();
  bench.note("entry lane: no permits by design, " + std::to_string(count) +
             (count == 1 ? " order" : " orders"));
}

// Ids of the entries that sent an order after its permits ended.
void judge_sends(const Evidence& evidence, Bench& bench) {
  std::unordered_map<std::string, const Order*> orders;
  for (const Order& order : evidence.orders) orders.emplace(order.client_order_id, &order);
  for (const Order& order : evidence.intent_orders) orders.emplace(order.client_order_id, &order);
  const StreamState* why = nullptr;
  const uint64_t after =
      evidence.complete_after_ms(joined(evidence.lane.orders, evidence.lane.intent_orders), &why);
  for (const Execution& result : evidence.results) {
    if (result.sent_us == 0) continue;
    const auto order = orders.find(result.client_order_id);
    if (order == orders.end()) {
      // An order may be sent long after younger ones were made, and be trimmed before them. That it
      // was made shows in the permits that it used; one without permits leaves no other trace.
      const bool may_be_trimmed =
          why != nullptr &&
          (static_cast<uint64_t>(result.sent_us / 1000) <= after || result.plan_id.empty() ||
           evidence.consumed.contains("governor " + result.plan_id));
      if (!may_be_trimmed)
        bench.offend(subject_of(result), result.place,
                     "order " + result.client_order_id + " was sent, and no gate ordered it");
      continue;
    }
    const bool has_permits = order->second->intent_key.empty();
    const int64_t until = has_permits ? std::min(order->second->governor.valid_until_us,
                                                 order->second->p33.valid_until_us)
                                      : order->second->valid_until_us;
    if (result.sent_us >= until)
      bench.offend(subject_of(result), result.place,
                   "sent " + time_text(result.sent_us) +
                       (has_permits ? ", its permits were" : ", it was") + " valid until " +
                       time_text(until));
  }
}

// A span in which the switch was set, in milliseconds; both ends are open, since what happened in
// the same millisecond has no order.
struct Span {
  uint64_t from_ms = 0, to_ms = UINT64_MAX;
  EntryId by;  // the command that began it
};

std::vector<Span> kill_spans(const Evidence& evidence) {
  std::vector<Span> spans;
  bool set = false;
  for (const Act& act : evidence.acts) {
    if (act.command == "kill_on" && !set)
      spans.push_back({act.place.id.ms, UINT64_MAX, act.place.id});
    if (act.command == "kill_off" && set) spans.back().to_ms = act.place.id.ms;
    if (act.command == "kill_on") set = true;
    if (act.command == "kill_off") set = false;
  }
  return spans;
}

void judge_moment(const std::vector<Span>& spans, uint64_t ms, const char* what,
                  const std::string& subject, const Place& place, Bench& bench) {
  // The last span that begins before this moment.
  auto span = std::partition_point(spans.begin(), spans.end(),
                                   [&](const Span& s) { return s.from_ms < ms; });
  if (span == spans.begin()) return;
  --span;
  if (ms >= span->to_ms) return;
  bench.offend(subject, place,
               std::string(what) + " at " + iso_time_text(time_of_id({ms, 0})) +
                   ", with the kill switch set since " + iso_time_text(time_of_id(span->by)) +
                   " (command " + span->by.text() + ")");
}

// nullopt: not there.
Result<std::optional<bool>> switch_now(const stream::Store& store, std::string_view key) {
  SLUICE_ASSIGN(value, store.get(key));
  if (!value) return std::optional<bool>();
  return std::optional<bool>(value->is_fields || runtime::says_on(value->bytes));
}

}  // namespace

Finding judge_orders_per_leg(const Evidence& evidence, const Options& options) {
  Bench bench(2, "at most one order per plan and leg", "orders", options);
  if (evidence.lane.orders.empty() && evidence.lane.intent_orders.empty())
    bench.note("the pipeline has no gate");
  std::unordered_map<std::string, const Order*> legs, clients;
  const auto judge = [&](const Order& order) {
    bench.look();
    if (was_replayed(evidence, order.place)) return;  // its copy stands for it
    const std::string& of = order.intent_key.empty() ? order.plan_id : order.intent_key;
    const auto [leg, is_first_leg] = legs.emplace(of + ' ' + order.leg, &order);
    const auto [client, is_new_client] = clients.emplace(order.client_order_id, &order);
    if (!is_first_leg)
      bench.offend(subject_of(order), order.place,
                   (order.leg.empty() ? "" : "leg " + order.leg + " ") + "was ordered before, by " +
                       place_text(leg->second->place));
    else if (!is_new_client)
      bench.offend(subject_of(order), order.place,
                   "client order id " + order.client_order_id + " was used before, by " +
                       place_text(client->second->place));
  };
  for (const Order& order : evidence.orders) judge(order);
  for (const Order& order : evidence.intent_orders) judge(order);
  return bench.done();
}

Finding judge_permits(const Evidence& evidence, const Options& options) {
  Bench bench(3, "no order without both permits, bound to its plan, valid, used once", "orders",
              options);
  if (evidence.lane.orders.empty()) bench.note("the pipeline has no gate");
  judge_intent_orders(evidence, bench);
  std::unordered_map<uint64_t, const Order*> used;
  for (const Order& order : evidence.orders) {
    bench.look();
    if (was_replayed(evidence, order.place)) continue;
    judge_order(evidence, order, bench);
    judge_used_up(evidence, order, bench);
    if (!evidence.lane.permits.empty()) judge_trail(evidence, order, bench);
    for (const Permit* permit : {&order.governor, &order.p33}) {
      if (!permit->readable) continue;
      // Legs of one plan are ordered in one unit and share a pair.
      const auto [first, is_new] = used.emplace(permit->digest, &order);
      const Order& before = *first->second;
      if (!is_new && (before.plan_id != order.plan_id || before.leg == order.leg))
        bench.offend(subject_of(order), order.place,
                     std::string(permit == &order.p33 ? "permit of P3.3" : "permit of governor") +
                         " was used before, by " + place_text(before.place));
    }
  }
  judge_sends(evidence, bench);
  return bench.done();
}

Result<Finding> judge_kill_switch(const Evidence& evidence, const stream::Store& store,
                                  const Options& options) {
  Bench bench(4, "no order while the kill switch was set", "orders and sends", options);
  const std::vector<Span> spans = kill_spans(evidence);
  for (const Order& order : evidence.orders) {
    bench.look();
    judge_moment(spans, order.place.id.ms, "ordered", subject_of(order), order.place, bench);
  }
  for (const Order& order : evidence.intent_orders) {
    bench.look();
    judge_moment(spans, order.place.id.ms, "ordered", subject_of(order), order.place, bench);
  }
  for (const Execution& result : evidence.results) {
    if (result.sent_us == 0) continue;
    bench.look();
    judge_moment(spans, static_cast<uint64_t>(result.sent_us / 1000), "sent", subject_of(result),
                 result.place, bench);
  }
  SLUICE_ASSIGN(kill, switch_now(store, runtime::kKillKey));
  SLUICE_ASSIGN(global, switch_now(store, runtime::kGlobalKillKey));
  const bool set_by_command = !spans.empty() && spans.back().to_ms == UINT64_MAX;
  if (kill.value_or(false) && !set_by_command)
    bench.note(std::string(runtime::kKillKey) +
               " is set, and no command of an operator set it: since when is not known");
  if (global.value_or(false))
    bench.note(std::string(runtime::kGlobalKillKey) + " is set: since when is not known");
  if (set_by_command && !kill.value_or(false))
    bench.note(
        std::string(runtime::kKillKey) +
        " was cleared by someone else than `sluice ctl`: when is not known, and orders after "
        "that are counted as made with the switch set");
  return bench.done();
}

}  // namespace sluice::audit
