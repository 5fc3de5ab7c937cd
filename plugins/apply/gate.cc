#include "apply/gate.h"

#include "apply/stop.h"
#include "common/control.h"
#include "common/json.h"
#include "common/mutant.h"
#include "common/text.h"

namespace sluice::apply {

using trade::Plan;
using trade::PlanOutcome;

// A plan and everything the gate looks at for it, read in this call.
struct Gate::Case {
  Case(const Plan& plan_in, const Entry& entry, Unit& unit_in, bool adopts)
      : plan(plan_in),
        unit(unit_in),
        entry_id(entry.id()),
        first_delivered(entry.first_delivered()),
        governor_key(trade::governor_permit_key(plan.plan_id)),
        p33_key(trade::p33_permit_key(plan.plan_id)),
        block_key(trade::governor_block_key(plan.plan_id)),
        end_key(trade::plan_end_key(plan.plan_id)),
        granted_key(trade::governor_granted_key(plan.plan_id)),
        ended(unit.get(end_key)),
        governor(unit.get(governor_key)),
        p33(unit.get(p33_key)),
        block(unit.get(block_key)),
        disarm(unit.get(trade::kDisarmKey)),
        is_killed(trade::kill_switch_set(unit)),
        governor_permit(adopts ? trade::adopt_governor_permit(plan, governor.text(), unit.now())
                               : std::string(governor.text())),
        p33_permit(adopts ? trade::adopt_p33_permit(plan, p33.text(), unit.now())
                          : std::string(p33.text())) {
    if (plan.is_opening()) return;  // sized and priced already
    const Value snapshot = unit.get(trade::snapshot_key(plan.symbol));
    position = trade::read_position(trade::look(snapshot));
  }

  bool has_both() const { return governor.present() && p33.present(); }
  Duration waited() const { return unit.now() - first_delivered; }

  const Plan& plan;
  Unit& unit;
  const std::string_view entry_id;
  const Time first_delivered;
  const std::string governor_key, p33_key, block_key, end_key, granted_key;
  const Value ended, governor, p33, block, disarm;
  const bool is_killed;
  const std::string governor_permit, p33_permit;  // as they are judged
  std::optional<trade::Position> position;        // closing plans only
};

// What becomes of a plan that is not ordered.
struct Gate::Ending {
  PlanOutcome outcome;
  std::string_view expired = {};  // governor or p33: the permit that was over
  bool took_permits = false;
  bool frees_plan_id = false;  // the same id may be planned and executed later
};

namespace {

// Smallest position the reference calls one, at this place.
constexpr Decimal kPositionMin = Decimal::from_scaled(1, 3);

PlanOutcome blocked(std::string error, std::string steps = "[]") {
  return {.decision = "BLOCKED", .error = std::move(error), .steps_results = std::move(steps)};
}

// Nothing was looked at yet, so all that can be said is that the plan would have been tried.
PlanOutcome halted(const Plan& plan, std::string error) {
  return {.decision = plan.decision,
          .error = std::move(error),
          .would_execute = true,
          .state = "BLOCKED"};
}

PlanOutcome timed_out(std::string_view reason) {
  return blocked("permit_timeout_or_missing:" + std::string(reason),
                 trade::step_result("PERMIT_WAIT", reason, "permits did not come in time"));
}

bool is_older(const Plan& plan, Time now, Duration age_max) {
  const auto created = trade::read_integer(plan.created_us);
  return !created || trade::micros(now) - *created > age_max.count();
}

std::string_view missing(bool governor, bool p33) {
  if (!governor && !p33) return "missing_both";
  return governor ? "missing_p33" : "missing_governor";
}

std::string milliseconds(Duration duration) {
  return std::to_string(duration / std::chrono::milliseconds(1));
}

// The permit as it must stand once its reservations went back: of no more use to anybody. Empty
// when it cannot be written so.
std::string spent_text(std::string_view permit) {
  constexpr std::string_view kFresh = "\"consumed\": false";
  const size_t at = permit.find(kFresh);
  if (at == std::string_view::npos) return {};
  return std::string(permit).replace(at, kFresh.size(), "\"consumed\": true");
}

// Its share of the limits is still held: a consumed permit's was given back, or went to an order.
bool holds_share(std::string_view permit) {
  std::string why;
  const auto json = trade::Json::parse(permit, why);
  const trade::Json* consumed = json ? json->find("consumed") : nullptr;
  return consumed != nullptr && consumed->is_false();
}

void release(const std::vector<trade::Reservation>& reservations, Unit& unit) {
  for (const trade::Reservation& reservation : reservations)
    unit.release(reservation.counter, reservation.amount, Time(Duration(reservation.at_us)));
}

int64_t valid_until_us(std::string_view permit) {
  std::string why;
  const auto json = trade::Json::parse(permit, why);
  const auto until = json ? trade::read_integer(json->number_of("valid_until_us")) : std::nullopt;
  return until.value_or(0);
}

// Both permits are there: counted for whoever's it is that speaks against the order.
void count_judgement(const trade::Judgement& judgement, Duration waited, Unit& unit) {
  unit.gauge("permit_wait_ms", {}, std::chrono::duration<double, std::milli>(waited).count());
  const std::string& error = judgement.error;
  if (error.empty()) return unit.count("p33_permit_allow_total");
  const bool is_denial = error == "p33_permit_denied";
  const bool is_p33 = is_denial || error == "invalid_p33_permit_format" ||
                      error == "invalid_safe_close_qty" || judgement.reason == "p33";
  unit.count(is_p33 ? "p33_permit_deny_total" : "governor_block_total",
             {{"reason", is_denial ? judgement.reason : error}});
}

}  // namespace

Verdict Gate::process(const Entry& entry, Unit& unit) const {
  if (entry["decision"] != "EXECUTE") return ack();
  std::string why;
  const auto plan = trade::read_plan(entry.fields(), why);
  if (!plan) return reject("invalid_plan", why);
  const Case c(*plan, entry, unit, foreign_permits_);

  if (c.ended.present()) return end_repeated(c);
  if (c.is_killed) {
    unit.count("apply_executed_total", {{"status", "kill_switch"}});
    unit.log(SLUICE_LOG_WARNING, "[KILL_SWITCH] plan=" + plan->plan_id + " is not executed");
    return end(c, {halted(*plan, "kill_switch_active")});
  }
  if (is_disarmed(c)) return end(c, {blocked("disarmed")});
  if (c.block.present()) {
    const std::string reason = trade::block_reason(c.block.text());
    unit.count("governor_block_total", {{"reason", reason}});
    return end(c, {blocked("governor_blocked:" + reason)});
  }
  const PolicyRecord record = trade::plan_policy_record(*plan);
  if (is_older(*plan, unit.now(), unit.policy("plan_age", {record.raw()}).duration()))
    return end(c, {blocked("plan_expired")});
  if (c.position && c.position->amount.abs() < kPositionMin) {
    PlanOutcome outcome{.decision = "SKIP", .error = "no_position"};
    outcome.steps_results =
        trade::step_result("POSITION_CHECK", "no_position", "amount " + c.position->amount.text());
    return end(c, {std::move(outcome)});
  }
  const Duration window = unit.policy("permit_wait", {record.raw()}).duration();
  if (window <= Duration(0)) return end(c, {timed_out("init")});
  if (c.has_both()) return judge(c);

  const Time deadline = c.first_delivered + window;
  if (unit.now() < deadline) return wait({c.governor_key, c.p33_key, c.block_key}, deadline);
  if (SLUICE_MUTANT(missing_permit_is_yes) && plan->is_opening())
    return send(c, {"MARKET", "0", plan->side, *Decimal::parse(plan->qty), std::nullopt},
                trade::micros(deadline + window));
  const std::string_view which = missing(c.governor.present(), c.p33.present());
  unit.count("governor_block_total", {{"reason", which}});
  return end(c, {timed_out(which)});
}

bool Gate::is_disarmed(const Case& c) const {
  if (!c.disarm.present()) return false;
  return !disarm_lets_closes_ || !trade::is_reducing(c.plan.action);
}

// Both are there: whatever comes of it, they are used up, and only as they were read.
Verdict Gate::judge(const Case& c) const {
  if (c.position) {
    c.unit.log(SLUICE_LOG_INFO, "Current position: " + c.position->amount.text() + " (" +
                                    std::string(trade::side_of(c.position->amount)) + ")");
  }
  c.unit.unchanged(c.governor_key);
  c.unit.unchanged(c.p33_key);
  if (!SLUICE_MUTANT(permit_not_taken)) {
    c.unit.take(c.governor_key);
    c.unit.take(c.p33_key);
  }
  const trade::Judgement judgement =
      trade::judge_permits(c.plan, c.governor_permit, c.p33_permit, c.unit.now());
  count_judgement(judgement, c.waited(), c.unit);
  if (!judgement.error.empty()) {
    Ending ending{.outcome = blocked(judgement.error, judgement.steps_results),
                  .took_permits = true};
    ending.outcome.reason = judgement.error;
    if (!judgement.reason.empty()) ending.outcome.reason += ": " + judgement.reason;
    if (judgement.error == "permit_expired") ending.expired = judgement.reason;
    return end(c, std::move(ending));
  }
  Order order{"MARKET", "0", judgement.side, judgement.qty, std::nullopt};
  if (c.plan.action == "UPDATE_SL") {
    const Stop stop = shape_stop(c.plan.new_sl_proposed, judgement.side, c.position);
    if (!stop.error.empty()) {
      PlanOutcome outcome{.decision = "ERROR", .error = stop.error};
      outcome.steps_results = trade::step_result("UPDATE_SL", "error", stop.error);
      return end(c, {.outcome = std::move(outcome), .took_permits = true});
    }
    order = {"STOP_MARKET", "sl", judgement.side, judgement.qty, stop.price};
  }
  return dry_run_ ? rehearse(c, order) : send(c, order, judgement.valid_until_us);
}

// Says what would be ordered. The plan's id is free again: the same plan may be executed later.
Verdict Gate::rehearse(const Case& c, const Order& order) const {
  PlanOutcome outcome{.decision = c.plan.decision, .reason = "dry_run", .would_execute = true};
  outcome.state = "DRY_RUN";
  const std::string price = order.stop_price ? order.stop_price->text() : "MARKET";
  outcome.steps_results =
      trade::step_result(trade::step_of(c.plan.action), "would_execute",
                         "DRY_RUN: " + order.side + " " + order.quantity.text() + " @ " + price);
  c.unit.erase(trade::dedupe_key(c.plan));
  c.unit.erase(c.granted_key);
  return end(c, {.outcome = std::move(outcome), .took_permits = true, .frees_plan_id = true});
}

Verdict Gate::send(const Case& c, const Order& order, int64_t valid_until) const {
  c.unit.claim(c.end_key, c.entry_id, ended_ttl_);
  // What nobody may have changed between this look and the order's emission.
  if (!SLUICE_MUTANT(kill_switch_unguarded)) {
    c.unit.unchanged(trade::kKillKey);
    c.unit.unchanged(trade::kGlobalKillKey);
  }
  c.unit.unchanged(trade::kDisarmKey);
  const Plan& plan = c.plan;
  const auto price = plan.is_opening() ? Decimal::parse(plan.mark_price)
                                       : (c.position ? c.position->mark_price : std::nullopt);
  const auto notional = price ? order.quantity.times(*price) : std::nullopt;
  const auto reservations = trade::permit_reservations(plan, c.governor.text());
  c.unit.emit("order", {{"plan_id", plan.plan_id},
                        {"plan_hash", plan.plan_hash},
                        {"leg", order.leg},
                        {"client_order_id",
                         trade::client_order_id(account_, plan.plan_id, std::string_view(order.leg),
                                                plan.symbol, order.side, order.type)},
                        {"symbol", plan.symbol},
                        {"side", order.side},
                        {"type", order.type},
                        {"quantity", order.quantity.text()},
                        {"stop_price", order.stop_price ? order.stop_price->text() : ""},
                        {"reduceOnly", plan.reduce_only},
                        {"mark_price", price ? price->text() : ""},
                        {"notional", notional ? notional->text() : ""},
                        {"leverage", plan.leverage},
                        {"intent_timestamp", plan.intent_timestamp},
                        {"created_us", trade::micros_text(c.unit.now())},
                        {"permit_valid_until_us", std::to_string(valid_until)},
                        {"governor_permit", c.governor_permit},
                        {"p33_permit", c.p33_permit},
                        {"reservations", trade::reservations_text(reservations)},
                        {"trace_id", plan.trace_id},
                        {"decision_id", plan.decision_id},
                        {"decision_us", plan.decision_us},
                        {"action", plan.action},
                        {"policy", c.unit.policy_version()}});
  c.unit.count("apply_plan_processed_total", {{"decision", "EXECUTE"}});
  const auto whose = [](const Value& found, std::string_view judged) {
    return found.text() == judged ? std::string_view() : trade::kForeignPolicy;
  };
  audit(c, "governor", "consumed", whose(c.governor, c.governor_permit));
  audit(c, "p33", "consumed", whose(c.p33, c.p33_permit));
  c.unit.log(SLUICE_LOG_INFO, "[PERMIT_WAIT] OK plan=" + plan.plan_id + " symbol=" + plan.symbol +
                                  " wait_ms=" + milliseconds(c.waited()) +
                                  " safe_qty=" + order.quantity.text());
  return ack();
}

Verdict Gate::end(const Case& c, Ending ending) const {
  if (!ending.frees_plan_id) c.unit.claim(c.end_key, c.entry_id, ended_ttl_);
  // A permit granted since the look holds a share that must go back with this end.
  if (!ending.took_permits) c.unit.unchanged(c.governor_key);
  give_back(c, ending.took_permits);
  PlanOutcome& outcome = ending.outcome;
  if (outcome.reason.empty()) outcome.reason = outcome.error;
  const auto event = [&](std::string_view permit, const Value& value) -> std::string_view {
    if (!value.present()) return "missing";
    return ending.expired == permit ? "expired" : "refused";
  };
  audit(c, "governor", event("governor", c.governor), outcome.reason);
  audit(c, "p33", event("p33", c.p33), outcome.reason);
  c.unit.log(SLUICE_LOG_INFO,
             "[PERMIT_WAIT] BLOCK plan=" + c.plan.plan_id + " symbol=" + c.plan.symbol +
                 " wait_ms=" + milliseconds(c.waited()) + " error=" + outcome.error);
  c.unit.emit("result", trade::outcome_record(c.plan, outcome, c.unit.now()));
  c.unit.count("apply_plan_processed_total", {{"decision", outcome.decision}});
  c.unit.log(SLUICE_LOG_INFO, "Result published (executed=False, error=" + outcome.error + ")");
  return ack();
}

// Neither permits nor shares are this entry's: they went with the end of the plan.
Verdict Gate::end_repeated(const Case& c) const {
  Record record = trade::outcome_record(
      c.plan, {.decision = "SKIP", .error = "", .reason = "duplicate_plan"}, c.unit.now());
  record.set("decision_id", "");
  record.add("earlier", c.ended.text());
  c.unit.emit("result", record);
  c.unit.log(SLUICE_LOG_WARNING,
             "plan " + c.plan.plan_id + " ended before, as entry " + std::string(c.ended.text()));
  return ack();
}

// What the governor reserved goes back, once. A permit that stays would let the plan act on a share
// it no longer has, so it stays as a consumed one.
void Gate::give_back(const Case& c, bool took_permits) const {
  if (!c.governor.present()) {
    // It may have run out while nobody was here to use it.
    const Value granted = c.unit.get(c.granted_key);
    return release(trade::permit_reservations(c.plan, granted.text()), c.unit);
  }
  const auto reservations = trade::permit_reservations(c.plan, c.governor.text());
  if (reservations.empty() || !holds_share(c.governor.text())) return;
  release(reservations, c.unit);
  if (took_permits) return;
  const std::string spent = spent_text(c.governor.text());
  const Duration left(valid_until_us(c.governor.text()) - trade::micros(c.unit.now()));
  if (spent.empty() || left <= Duration(0)) {
    c.unit.erase(c.governor_key);
  } else {
    c.unit.put(c.governor_key, spent, left);
  }
}

void Gate::audit(const Case& c, std::string_view permit, std::string_view event,
                 std::string_view reason) const {
  trade::JsonObject inputs;
  inputs.boolean("kill_switch", c.is_killed)
      .boolean("disarmed", c.disarm.present())
      .boolean("governor_permit", c.governor.present())
      .boolean("p33_permit", c.p33.present())
      .boolean("governor_block", c.block.present())
      .integer("waited_us", c.waited().count());
  if (const auto created = trade::read_integer(c.plan.created_us))
    inputs.integer("plan_age_us", trade::micros(c.unit.now()) - *created);
  if (c.position) {
    inputs.number("position_amt", trade::decimal_text(c.position->amount))
        .integer("snapshot_age_seconds", trade::age_seconds(*c.position, c.unit.now()));
  }
  std::string why;
  const auto json = trade::Json::parse(permit == "p33" ? c.p33.text() : c.governor.text(), why);
  const auto valid_until = json ? json->number_of("valid_until_us") : std::string_view();
  c.unit.emit("audit", trade::trail_record(
                           c.plan, {permit, event, reason, inputs.str(), valid_until}, c.unit));
}

}  // namespace sluice::apply
