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
      snapshot_wait_(settings.duration("snapshot_wait")),
      published_ttl_(settings.duration("published_ttl")),
      margin_factor_(settings.decimal("margin_factor")) {}

Verdict PlanStage::process(const Entry& entry, Unit& unit) const {
  return entry.input() == "proposal" ? plan_proposal(entry, unit) : plan_intent(entry, unit);
}

Verdict PlanStage::plan_proposal(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto proposal = read_proposal(entry.fields(), why);
  if (!proposal) return reject("invalid_proposal", why);
  PolicyRecord record;
  record.text("symbol", proposal->symbol)
      .text("action", proposal->action)
      .number("kill_score", proposal->kill_score);
  const Duration age_max = unit.policy("proposal_age_max", {record.raw()}).duration();
  const bool stale = is_stale(*proposal, entry.id(), unit.now(), age_max);
  return finish(plan_of(*proposal),
                decide(proposal->symbol, proposal->action, proposal->kill_score,
                       trade::kill_switch_set(unit), rules_, stale),
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
    sizing = size(*intent, decision, unit);
    const Time wait_end = entry.first_delivered() + snapshot_wait_;
    if (lacks_snapshot(sizing) && unit.now() < wait_end)
      return wait({trade::snapshot_key(intent->symbol)}, wait_end);
  }
  const std::string id = intent_id_of(*intent, entry.fields(), entry.id());
  return finish(plan_of(*intent, sizing, id, entry.id()), std::move(decision), entry, unit);
}

Sizing PlanStage::size(const Intent& intent, Decision& decision, Unit& unit) const {
  const Value snapshot = unit.get(trade::snapshot_key(intent.symbol));
  Sizing sizing = size_opening(intent, trade::read_position(trade::look(snapshot)), unit.now(),
                               snapshot_age_max_);
  if (!sizing.error.empty()) {
    decision = {"ERROR", {sizing.error}};
    return sizing;
  }
  sizing.error = refuse_account(intent, sizing, trade::look(snapshot), margin_factor_);
  if (!sizing.error.empty()) decision = {"BLOCKED", {sizing.error}};
  return sizing;
}

Verdict PlanStage::finish(trade::Plan plan, Decision decision, const Entry& entry,
                          Unit& unit) const {
  stamp(plan, entry, unit);
  if (decision.executes()) decision = decide_rest(std::move(decision), plan, entry, unit);
  plan.decision = decision.decision;
  plan.reason_codes = joined(decision.reason_codes);
  if (decision.executes())
    plan.steps = trade::plan_steps(plan.action, plan.side, plan.new_sl_proposed);
  if (decision.reason() == "duplicate_plan") unit.count("quantum_apply_dedupe_hits_total");
  const bool published = publish(plan, decision.executes(), unit);
  if (decision.executes()) return ack();
  Record result = trade::outcome_record(
      plan, {.decision = decision.decision, .reason = decision.reason()}, unit.now());
  result.add("intent_id", plan.intent_id);
  result.add("plan_published", published ? "true" : "false");
  unit.emit("result", result);
  unit.log(SLUICE_LOG_INFO, "Result published (executed=False, error=)");
  return ack();
}

Decision PlanStage::decide_rest(Decision decision, trade::Plan& plan, const Entry& entry,
                                Unit& unit) const {
  const std::string key = trade::dedupe_key(plan);
  const bool is_proposal = plan.dedupe_id == plan.plan_id;
  if (const Value earlier = unit.get(key); earlier.present()) {
    if (!is_proposal) plan.plan_id = trade::intent_plan_id(plan.dedupe_id, earlier.text());
    return as_duplicate(std::move(decision));
  }
  Decision checked = check_action(std::move(decision), plan.action, !plan.new_sl_proposed.empty());
  if (!checked.executes()) return checked;
  const PolicyRecord record = trade::plan_policy_record(plan);
  const Duration ttl = unit.policy("dedupe_ttl", {record.raw()}).duration();
  const auto computed = trade::parse_iso(plan.intent_timestamp);
  if (is_proposal && computed && unit.now() - *computed >= ttl)
    return {"BLOCKED", {"stale_proposal"}};
  unit.claim(key, entry.id(), ttl);
  return checked;
}

bool PlanStage::publish(const trade::Plan& plan, bool executes, Unit& unit) const {
  const std::string mark = "quantum:apply:stream_published:" + plan.plan_id;
  if (!executes && unit.get(mark).present()) return false;
  unit.emit("plan", trade::plan_record(plan));
  unit.count("quantum_apply_plan_total", {{"symbol", plan.symbol}, {"decision", plan.decision}});
  unit.put(mark, "1", published_ttl_);
  unit.log(SLUICE_LOG_INFO, "Plan " + plan.plan_id + " published (decision=" + plan.decision +
                                ", steps=" + (executes ? "1" : "0") + ")");
  return true;
}

}  // namespace sluice::apply
