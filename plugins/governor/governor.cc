#include "governor/governor.h"

#include <algorithm>
#include <new>

#include "common/control.h"
#include "common/json.h"
#include "common/text.h"

namespace sluice::governor {

namespace {

using trade::JsonObject;
using trade::Plan;

constexpr std::string_view kBurstExceeded = "burst_limit_exceeded";
constexpr std::string_view kComputationError = "limit_computation_error";
constexpr std::string_view kEvaluationError = "evaluation_error";

// Errors of the governor's own. A snapshot that is late is the world's.
bool is_error(std::string_view reason) {
  return reason == kComputationError || reason == kEvaluationError;
}

bool is_claim(const std::optional<Failure>& failure, std::string_view key) {
  return failure && failure->condition == Failure::Condition::kClaim && failure->key == key;
}

// It has its permit already, or somebody else put one there, which stays.
bool is_granted(const Plan& plan, const std::optional<Failure>& failure, const Unit& unit) {
  return is_claim(failure, trade::governor_granted_key(plan.plan_id)) ||
         is_claim(failure, trade::governor_permit_key(plan.plan_id)) ||
         unit.get(trade::governor_granted_key(plan.plan_id)).present();
}

// What the failed condition says about the gates: its counter's gate refuses.
void note(const Failure& failure, Review& review) {
  const auto met =
      std::find_if(review.shares.begin(), review.shares.end(),
                   [&failure](const Share& share) { return share.counter == failure.key; });
  // Not there when the day has changed since: the plan is judged by the new one.
  if (met == review.shares.end()) return;
  review.reason = reason_of_counter(failure.key);
  review.met_counter = failure.key;
  review.met_count = failure.met_count;
}

void audit(const Plan& plan, const Review& review, std::string_view valid_until_us, Unit& unit) {
  unit.emit("audit", trade::trail_record(plan,
                                         {.permit = "governor",
                                          .event = review.reason.empty() ? "issued" : "denied",
                                          .reason = review.reason,
                                          .inputs = inputs_text(plan, review, unit.now()),
                                          .valid_until_us = valid_until_us},
                                         unit));
}

Limits limits_of(const Plan& plan, const Unit& unit) {
  // Read at once: a second call of the policy ends the life of these texts.
  const PolicyResult answer =
      unit.policy("limits", {policy_text(plan.symbol), policy_text(plan.side)}, 4);
  return {answer.integer(0), answer.integer(1), answer.decimal(2), answer.decimal(3)};
}

RiskBounds bounds_of(const Plan& plan, const Unit& unit) {
  const PolicyResult answer =
      unit.policy("risk_bounds", {policy_text(plan.symbol), policy_text(plan.side)}, 4);
  return {answer.decimal(0), answer.decimal(1), answer.decimal(2), answer.number(3)};
}

// Read from the counters at each look: they go down without a plan as well.
void show_rates(const Plan& plan, Unit& unit) {
  unit.gauge_reserved("quantum_govern_exec_count_hour", {{"symbol", plan.symbol}},
                      hour_counter(plan.symbol));
  unit.gauge_reserved("quantum_govern_exec_count_5min", {{"symbol", plan.symbol}},
                      burst_counter(plan.symbol));
}

}  // namespace

Governor::Governor(const Settings& settings)
    : kill_score_critical_(settings.number("kill_score_critical")),
      snapshot_age_max_(settings.duration("snapshot_age_max")),
      block_ttl_(settings.duration("block_ttl")),
      granted_ttl_(settings.duration("granted_ttl")),
      disarm_on_burst_(settings.boolean("enable_auto_disarm") &&
                       settings.boolean("disarm_on_burst_breach")),
      foreign_plans_(settings.boolean("foreign_plans")),
      disarm_errors_(
          settings.boolean("enable_auto_disarm") ? settings.integer("disarm_on_error_count") : 0) {}

Verdict Governor::process(const Entry& entry, Unit& unit) const {
  if (entry["decision"] != "EXECUTE") return ack();
  std::string why;
  const auto plan = foreign_plans_ ? trade::read_any_plan(entry.fields(), why)
                                   : trade::read_plan(entry.fields(), why);
  if (!plan) {
    // The gate puts the entry among the dead letters, once; here it just gets no permit.
    unit.log(SLUICE_LOG_WARNING,
             "no permit for unsound plan " + std::string(entry.id()) + ": " + why);
    return ack();
  }
  const auto failure = unit.failure();
  Review seen;
  if (const std::string_view over = find_over(*plan, unit); !over.empty()) {
    if (is_granted(*plan, failure, unit)) return ack();
    // No block record: nobody waits for an answer.
    seen.reason = over;
    audit(*plan, seen, "", unit);
    unit.log(SLUICE_LOG_INFO, "no permit for plan " + plan->plan_id + ": " + std::string(over));
    return ack();
  }
  seen.kill_switch = trade::kill_switch_set(unit);
  if (seen.kill_switch) {
    seen.reason = "kill_switch_active";
  } else {
    if (is_granted(*plan, failure, unit)) return ack();
    seen = review(*plan, unit);
  }
  if (failure && failure->condition == Failure::Condition::kReserve) note(*failure, seen);
  // Somebody else disarmed meanwhile. Errors are found again by every review, a burst is not.
  if (is_claim(failure, trade::disarm_day_key(unit.now())) && seen.reason.empty())
    seen.reason = kBurstExceeded;
  return seen.reason.empty() ? grant(*plan, seen, unit) : refuse(*plan, seen, failure, unit);
}

std::string_view Governor::find_over(const Plan& plan, const Unit& unit) const {
  if (unit.get(trade::plan_end_key(plan.plan_id)).present()) return "plan_ended";
  // Whether such a plan had its permit before can no longer be known.
  const auto created = trade::read_integer(plan.created_us);
  const bool is_old = !created || trade::micros(unit.now()) - *created >= granted_ttl_.count();
  return is_old ? "plan_expired" : "";
}

Review Governor::review(const Plan& plan, const Unit& unit) const {
  Review review;
  try {
    review.reason = judge(plan, unit, review);
  } catch (const std::bad_alloc&) {
    throw;  // a shortage says nothing about the plan, which is tried again
  } catch (const std::exception& error) {
    unit.log(SLUICE_LOG_ERROR, "plan " + plan.plan_id + ": " + error.what());
    review.reason = kEvaluationError;
  }
  return review;
}

std::string_view Governor::judge(const Plan& plan, const Unit& unit, Review& review) const {
  if (blocks_critical(plan, kill_score_critical_)) return "kill_score_critical_non_close";
  const Limits limits = limits_of(plan, unit);
  review.shares = rate_shares(plan.symbol, limits);
  if (plan.is_opening()) {
    review.amounts = opening_amounts(plan);
  } else {
    const Value snapshot = unit.get(trade::snapshot_key(plan.symbol));
    review.position = trade::read_position(trade::look(snapshot));
    if (!review.position || trade::is_stale(*review.position, unit.now(), snapshot_age_max_))
      return "position_fetch_failed";
    review.amounts = closing_amounts(plan, *review.position);
  }
  if (!review.amounts) return kComputationError;
  const auto day = day_share(plan.symbol, *review.amounts, limits, unit.now());
  if (!day) return kComputationError;
  review.shares.push_back(*day);
  if (!plan.is_opening()) return {};

  review.bounds = bounds_of(plan, unit);
  const std::string_view broken = broken_bound(plan, review.amounts->notional, *review.bounds);
  if (!broken.empty()) return broken;
  review.shares.push_back(trades_share(unit.policy("daily_trades_max").integer(), unit.now()));
  return {};
}

Verdict Governor::grant(const Plan& plan, const Review& review, Unit& unit) const {
  const PolicyRecord record = trade::plan_policy_record(plan);
  const Duration ttl = unit.policy("permit_ttl", {record.raw()}).duration();
  trade::GovernorPermit permit{review.amounts->qty, review.amounts->notional,           unit.now(),
                               unit.now() + ttl,    std::string(unit.policy_version()), {}};
  for (const Share& share : review.shares)
    permit.reservations.push_back({share.counter, share.amount, trade::micros(unit.now())});

  // The gate may have given up since the look.
  unit.unchanged(trade::plan_end_key(plan.plan_id));
  const std::string text = trade::governor_permit_text(plan, permit);
  unit.claim(trade::governor_granted_key(plan.plan_id), text, granted_ttl_);
  unit.claim(trade::governor_permit_key(plan.plan_id), text, ttl);
  for (const Share& share : review.shares)
    unit.reserve(share.counter, share.amount, share.limit, share.kind, share.window);
  audit(plan, review, trade::micros_text(permit.valid_until), unit);
  unit.count("quantum_govern_allow_total", {{"symbol", plan.symbol}});
  show_rates(plan, unit);
  unit.log(SLUICE_LOG_INFO, "ALLOW plan " + plan.plan_id.substr(0, 8));
  return ack();
}

Verdict Governor::refuse(const Plan& plan, const Review& review,
                         const std::optional<Failure>& failure, Unit& unit) const {
  unit.put(trade::governor_block_key(plan.plan_id),
           trade::block_text(plan, review.reason, unit.now()), block_ttl_);
  unit.emit("event", {{"event", "BLOCKED"},
                      {"plan_id", plan.plan_id},
                      {"symbol", plan.symbol},
                      {"reason", review.reason},
                      {"timestamp", trade::epoch_fraction_text(unit.now())},
                      {"decision_id", plan.decision_id}});
  audit(plan, review, "", unit);
  unit.count("quantum_govern_block_total", {{"symbol", plan.symbol}, {"reason", review.reason}});
  show_rates(plan, unit);
  unit.log(SLUICE_LOG_INFO, "BLOCKED plan " + plan.plan_id.substr(0, 8) + " - " + review.reason);

  const std::string errors = error_counter(unit.now());
  const bool counts = is_error(review.reason) && disarm_errors_ > 0;
  if (!failure) {
    // Gates that count come first where the contract has them first: room for the share must be
    // there, but none is taken. Without it the counter's reason is the one given.
    for (const Share& share : review.shares)
      unit.reserve(share.counter, 0, share.limit - share.amount, share.kind, share.window);
    if (counts) unit.reserve(errors, 1, disarm_errors_ - 1, WindowKind::kFixed, kDay);
  } else if (counts && failure->key == errors) {
    unit.release(errors, failure->met_count, unit.now());  // it counts from 0 again
    disarm(plan, "repeated_errors",
           JsonObject()
               .integer("error_count", failure->met_count + 1)
               .integer("threshold", disarm_errors_)
               .str(),
           unit);
  } else if (disarm_on_burst_ && review.met_counter == burst_counter(plan.symbol)) {
    disarm(plan, "burst_limit_breach",
           JsonObject()
               .text("symbol", plan.symbol)
               .integer("exec_5min", review.met_count)
               .integer("limit", limits_of(plan, unit).per_5min)
               .str(),
           unit);
  }
  return ack();
}

void Governor::disarm(const Plan& plan, std::string_view reason, const std::string& context,
                      Unit& unit) const {
  const std::string day_key = trade::disarm_day_key(unit.now());
  if (unit.get(day_key).present() || unit.get(trade::kDisarmKey).present()) return;
  const std::string timestamp = trade::epoch_fraction_text(unit.now());
  JsonObject record;
  record.text("reason", reason).raw("context", context).number("timestamp", timestamp);
  unit.claim(day_key, record.str(), kDay);
  unit.put(trade::kDisarmKey, record.text("by", "governor").str(), Duration(0));
  unit.emit("event", {{"event", "AUTO_DISARM"},
                      {"plan_id", plan.plan_id},
                      {"symbol", plan.symbol},
                      {"reason", reason},
                      {"context", context},
                      {"timestamp", timestamp},
                      {"action_taken", "quantum:apply:disarmed set"},
                      {"decision_id", plan.decision_id}});
  unit.count("quantum_govern_disarm_total", {{"reason", reason}});
  unit.log(SLUICE_LOG_WARNING, "AUTO_DISARM " + std::string(reason) + " " + context);
}

}  // namespace sluice::governor
