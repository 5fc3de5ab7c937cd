#include "apply/plan_stage.h"

#include "common/text.h"

namespace sluice::apply {

namespace {

std::string joined(const std::vector<std::string>& codes) {
  std::string text;
  for (const std::string& code : codes) text += (text.empty() ? "" : ",") + code;
  return text;
}

// Ids and times the plan carries on for tracing.
void stamp(trade::Plan& plan, const Entry& entry, const Unit& unit) {
  plan.timestamp = trade::epoch_text(unit.now());
  plan.created_us = trade::micros_text(unit.now());
  plan.intent_id = entry.id();
  plan.decision_id = entry["decision_id"];
  plan.decision_us = entry["decision_us"];
  if (plan.decision_us.empty()) plan.decision_us = plan.created_us;
  plan.trace_id = entry["trace_id"];
  plan.policy = unit.policy_version();
  if (!trade::parse_iso(plan.intent_timestamp)) plan.intent_timestamp = trade::iso_z(unit.now());
}

bool lacks_snapshot(const Sizing& sizing) {
  return sizing.error == "no_exchange_snapshot" || sizing.error == "stale_exchange_state";
}

}  // namespace

void PlanStage::check(const Settings& settings) {
  if (settings.number("kill_score_warning") > settings.number("kill_score_critical"))
    throw SettingError("kill_score_warning", "must not be above kill_score_critical");
}

PlanStage::PlanStage(const Settings& settings)
    : rules_{settings.list("symbols"), settings.number("kill_score_critical"),
             settings.number("kill_score_warning"), settings.boolean("critical_blocks_closes")},
      snapshot_age_max_(settings.duration("snapshot_age_max")),
      snapshot_wait_(settings.duration("snapshot_wait")) {}

Verdict PlanStage::process(const Entry& entry, Unit& unit) const {
  return entry.input() == "proposal" ? plan_proposal(entry, unit) : plan_intent(entry, unit);
}

Verdict PlanStage::plan_proposal(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto proposal = read_proposal(entry.fields(), why);
  if (!proposal) return reject("invalid_proposal", why);
  return finish(plan_of(*proposal),
                decide(proposal->symbol, proposal->action, proposal->kill_score,
                       trade::kill_switch_set(unit), rules_),
                entry, unit);
}

Verdict PlanStage::plan_intent(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto intent = read_intent(entry.fields(), why);
  if (!intent) return reject("invalid_intent", why);
  const bool opens = intent->action != "CLOSE";
  const std::string_view action = opens ? trade::kOpenAction : trade::kFullCloseAction;
  Decision decision = decide(intent->symbol, action, 0, trade::kill_switch_set(unit), rules_);

  Sizing sizing;
  if (opens && decision.executes()) {
    const std::string key = trade::snapshot_key(intent->symbol);
    const Value snapshot = unit.get(key);
    sizing = size_opening(*intent, trade::read_position(trade::look(snapshot)), unit.now(),
                          snapshot_age_max_);
    const Time wait_end = entry.first_delivered() + snapshot_wait_;
    if (lacks_snapshot(sizing) && unit.now() < wait_end) return wait({key}, wait_end);
    if (!sizing.error.empty()) decision = {"ERROR", {sizing.error}};
  }
  const std::string_view id =
      trade::first_usable(entry["correlation_id"], entry["trace_id"], entry.id());
  return finish(plan_of(*intent, sizing, id), std::move(decision), entry, unit);
}

Verdict PlanStage::finish(trade::Plan plan, Decision decision, const Entry& entry,
                          Unit& unit) const {
  stamp(plan, entry, unit);
  if (decision.executes() && unit.failure()) {
    decision = as_duplicate(std::move(decision));
  } else if (decision.executes()) {
    const PolicyRecord record = trade::plan_policy_record(plan);
    const Duration ttl = unit.policy("dedupe_ttl", {record.raw()}).duration();
    unit.claim("quantum:apply:dedupe:" + plan.plan_id, entry.id(), ttl);
    decision = check_action(std::move(decision), plan.action, !plan.new_sl_proposed.empty());
  }
  plan.decision = decision.decision;
  plan.reason_codes = joined(decision.reason_codes);
  if (decision.executes())
    plan.steps = trade::plan_steps(plan.action, plan.side, plan.new_sl_proposed);
  unit.emit("plan", trade::plan_record(plan));
  if (!decision.executes()) {
    unit.emit("result",
              trade::outcome_record(
                  plan, {.decision = decision.decision, .reason = decision.reason()}, unit.now()));
  }
  unit.log(SLUICE_LOG_INFO, "Plan " + plan.plan_id + " published (decision=" + plan.decision + ")");
  return ack();
}

}  // namespace sluice::apply
