#include "apply/gate.h"

#include "common/control.h"
#include "common/text.h"

namespace sluice::apply {

// The three keys of one plan, read in this call.
struct Gate::Keys {
  Keys(const trade::Plan& plan, const Unit& unit)
      : governor_key(trade::governor_permit_key(plan.plan_id)),
        p33_key(trade::p33_permit_key(plan.plan_id)),
        block_key(trade::governor_block_key(plan.plan_id)),
        governor(unit.get(governor_key)),
        p33(unit.get(p33_key)),
        block(unit.get(block_key)) {}

  bool has_both() const { return governor.present() && p33.present(); }

  const std::string governor_key, p33_key, block_key;
  const Value governor, p33, block;
};

namespace {

using trade::Plan;
using trade::PlanOutcome;

// Smallest position the reference calls one, at this place.
constexpr Decimal kPositionMin = Decimal::from_scaled(1, 3);

// Ends the plan without an order; what the governor reserved for it goes back.
Verdict end(const Plan& plan, PlanOutcome outcome, const Value& governor, Unit& unit) {
  for (const trade::Reservation& reservation : trade::permit_reservations(plan, governor.text()))
    unit.release(reservation.counter, reservation.amount, Time(Duration(reservation.at_us)));
  if (outcome.reason.empty()) outcome.reason = outcome.error;
  unit.log(SLUICE_LOG_INFO, "[PERMIT_WAIT] BLOCK plan=" + plan.plan_id + " symbol=" + plan.symbol +
                                " error=" + outcome.error);
  unit.emit("result", trade::outcome_record(plan, outcome, unit.now()));
  return ack();
}

PlanOutcome blocked(std::string error, std::string steps = "[]") {
  return {.decision = "BLOCKED", .error = std::move(error), .steps_results = std::move(steps)};
}

// "" unless the position of a closing plan is known to be flat.
std::string flat_position(const Plan& plan, const Unit& unit) {
  if (plan.is_opening()) return {};
  const Value snapshot = unit.get(trade::snapshot_key(plan.symbol));
  const auto position = trade::read_position(trade::look(snapshot));
  if (!position || position->amount.abs() >= kPositionMin) return {};
  return position->amount.text();
}

std::optional<Decimal> mark_price(const Plan& plan, const Unit& unit) {
  if (plan.is_opening()) return Decimal::parse(plan.mark_price);
  const Value snapshot = unit.get(trade::snapshot_key(plan.symbol));
  const auto position = trade::read_position(trade::look(snapshot));
  return position ? position->mark_price : std::nullopt;
}

bool is_older(const Plan& plan, Time now, Duration age_max) {
  const auto created = trade::read_integer(plan.created_us);
  return !created || trade::micros(now) - *created > age_max.count();
}

std::string_view missing(bool governor, bool p33) {
  if (!governor && !p33) return "missing_both";
  return governor ? "missing_p33" : "missing_governor";
}

Verdict timed_out(const Plan& plan, std::string_view reason, const Value& governor, Unit& unit) {
  return end(plan,
             blocked("permit_timeout_or_missing:" + std::string(reason),
                     trade::step_result("PERMIT_WAIT", reason, "permits did not come in time")),
             governor, unit);
}

}  // namespace

Verdict Gate::process(const Entry& entry, Unit& unit) const {
  if (entry["decision"] != "EXECUTE") return ack();
  std::string why;
  const auto plan = trade::read_plan(entry.fields(), why);
  if (!plan) return reject("invalid_plan", why);
  const Keys keys(*plan, unit);

  if (trade::kill_switch_set(unit)) {
    PlanOutcome outcome = blocked("kill_switch_active");
    outcome.would_execute = true;
    return end(*plan, std::move(outcome), keys.governor, unit);
  }
  if (keys.block.present()) {
    const std::string reason = trade::block_reason(keys.block.text());
    return end(*plan, blocked("governor_blocked:" + reason), keys.governor, unit);
  }
  const PolicyRecord record = trade::plan_policy_record(*plan);
  if (is_older(*plan, unit.now(), unit.policy("plan_age", {record.raw()}).duration()))
    return end(*plan, blocked("plan_expired"), keys.governor, unit);
  if (const std::string amount = flat_position(*plan, unit); !amount.empty()) {
    PlanOutcome outcome{.decision = "SKIP", .error = "no_position"};
    outcome.steps_results = trade::step_result("POSITION_CHECK", "no_position", "amount " + amount);
    return end(*plan, std::move(outcome), keys.governor, unit);
  }
  const Duration window = unit.policy("permit_wait", {record.raw()}).duration();
  if (window <= Duration(0)) return timed_out(*plan, "init", keys.governor, unit);
  if (keys.has_both()) return judge(*plan, keys, unit);

  const Time deadline = entry.first_delivered() + window;
  if (unit.now() < deadline)
    return wait({keys.governor_key, keys.p33_key, keys.block_key}, deadline);
  return timed_out(*plan, missing(keys.governor.present(), keys.p33.present()), keys.governor,
                   unit);
}

// Both are there: whatever comes of it, they are used up, and only as they were read.
Verdict Gate::judge(const Plan& plan, const Keys& keys, Unit& unit) const {
  unit.unchanged(keys.governor_key);
  unit.unchanged(keys.p33_key);
  unit.take(keys.governor_key);
  unit.take(keys.p33_key);
  const trade::Judgement judgement =
      trade::judge_permits(plan, keys.governor.text(), keys.p33.text(), unit.now());
  if (!judgement.error.empty()) {
    PlanOutcome outcome = blocked(judgement.error, judgement.steps_results);
    outcome.reason = judgement.error;
    if (!judgement.reason.empty()) outcome.reason += ": " + judgement.reason;
    return end(plan, std::move(outcome), keys.governor, unit);
  }
  if (plan.action == "UPDATE_SL") {
    PlanOutcome outcome{.decision = "ERROR", .error = "not_implemented"};
    outcome.steps_results =
        trade::step_result("UPDATE_SL", "not_implemented", "stop orders are not placed");
    return end(plan, std::move(outcome), keys.governor, unit);
  }
  return order(plan, judgement, keys, unit);
}

Verdict Gate::order(const Plan& plan, const trade::Judgement& judgement, const Keys& keys,
                    Unit& unit) const {
  constexpr std::string_view kType = "MARKET";
  constexpr int kLeg = 0;
  const auto price = mark_price(plan, unit);
  const auto notional = price ? judgement.qty.times(*price) : std::nullopt;
  const std::string id =
      trade::client_order_id(account_, plan.plan_id, kLeg, plan.symbol, judgement.side, kType);
  const auto reservations = trade::permit_reservations(plan, keys.governor.text());
  unit.emit("order", {{"plan_id", plan.plan_id},
                      {"plan_hash", plan.plan_hash},
                      {"leg", std::to_string(kLeg)},
                      {"client_order_id", id},
                      {"symbol", plan.symbol},
                      {"side", judgement.side},
                      {"type", kType},
                      {"quantity", judgement.qty.text()},
                      {"reduceOnly", plan.reduce_only},
                      {"mark_price", price ? price->text() : ""},
                      {"notional", notional ? notional->text() : ""},
                      {"leverage", plan.leverage},
                      {"intent_timestamp", plan.intent_timestamp},
                      {"created_us", trade::micros_text(unit.now())},
                      {"permit_valid_until_us", std::to_string(judgement.valid_until_us)},
                      {"governor_permit", keys.governor.text()},
                      {"p33_permit", keys.p33.text()},
                      {"reservations", trade::reservations_text(reservations)},
                      {"trace_id", plan.trace_id},
                      {"decision_id", plan.decision_id},
                      {"decision_us", plan.decision_us},
                      {"action", plan.action},
                      {"policy", unit.policy_version()}});
  unit.log(SLUICE_LOG_INFO, "[PERMIT_WAIT] OK plan=" + plan.plan_id + " symbol=" + plan.symbol +
                                " safe_qty=" + judgement.qty.text());
  return ack();
}

}  // namespace sluice::apply
