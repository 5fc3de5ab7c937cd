#include "p33/permit.h"

#include "common/control.h"
#include "common/permit.h"
#include "common/text.h"

namespace sluice::p33 {

namespace {

std::string hold_key(std::string_view symbol) {
  return "quantum:reconcile:hold:" + std::string(symbol);
}

Rules rules_of(const trade::Plan& plan, const Unit& unit) {
  Rules rules;
  rules.tolerance_percent = unit.policy("tolerance", {policy_text(plan.symbol)}).decimal();
  rules.snapshot_age_max = unit.policy("snapshot_age_max").duration();
  rules.cooldown = unit.policy("cooldown").duration();
  return rules;
}

Seen look_at(const trade::Plan& plan, const Unit& unit) {
  Seen seen;
  seen.now = unit.now();
  const Value snapshot = unit.get(trade::snapshot_key(plan.symbol));
  seen.position = trade::read_position(trade::look(snapshot));
  const Value ledger = unit.get(trade::ledger_key(plan.symbol));
  seen.has_ledger = ledger.present();
  seen.ledger = trade::read_ledger(trade::look(ledger));
  const Value hold = unit.get(hold_key(plan.symbol));
  seen.is_held = hold.present() && (!hold.is_text() || !hold.text().empty());
  return seen;
}

bool lacks_snapshot(const Finding& finding) {
  return finding.reason == "no_exchange_snapshot" || finding.reason == "stale_exchange_state";
}

std::string permit_text(const trade::Plan& plan, const Finding& finding, Duration ttl,
                        const Unit& unit) {
  const std::string policy(unit.policy_version());
  if (!finding.reason.empty())
    return trade::p33_denial_text(plan, finding.reason, finding.context, unit.now(), policy);
  return trade::p33_permit_text(
      plan, {finding.side, finding.safe_qty, finding.exchange_amount, finding.ledger_amount,
             unit.now(), unit.now() + ttl, policy});
}

void log_finding(const trade::Plan& plan, const Finding& finding, const Unit& unit) {
  const std::string id = plan.plan_id.substr(0, 8);
  if (finding.reason.empty()) {
    unit.log(SLUICE_LOG_INFO, "P3.3 ALLOW plan " + id + " (safe_qty=" + finding.safe_qty.text() +
                                  ", exchange_amt=" + finding.exchange_amount.text() + ")");
  } else {
    unit.log(SLUICE_LOG_INFO,
             "P3.3 DENY plan " + id + " reason=" + finding.reason + " context=" + finding.context);
  }
}

}  // namespace

Permit::Permit(const Settings& settings) : snapshot_wait_(settings.duration("snapshot_wait")) {}

Verdict Permit::process(const Entry& entry, Unit& unit) const {
  if (entry["decision"] != "EXECUTE") return ack();
  // The only condition is the claim of the permit: it is there already.
  if (unit.failure()) return ack();
  std::string why;
  const auto plan = trade::read_plan(entry.fields(), why);
  if (!plan) {
    // The gate puts the entry among the dead letters, once; here it just gets no permit.
    unit.log(SLUICE_LOG_WARNING,
             "no permit for unsound plan " + std::string(entry.id()) + ": " + why);
    return ack();
  }
  const Finding finding = check_plan(*plan, look_at(*plan, unit), rules_of(*plan, unit));
  const Time wait_end = entry.first_delivered() + snapshot_wait_;
  if (lacks_snapshot(finding) && unit.now() < wait_end)
    return wait({trade::snapshot_key(plan->symbol)}, wait_end);

  const PolicyRecord record = trade::plan_policy_record(*plan);
  const Duration ttl = unit.policy("permit_ttl", {record.raw()}).duration();
  unit.claim(trade::p33_permit_key(plan->plan_id), permit_text(*plan, finding, ttl, unit), ttl);
  log_finding(*plan, finding, unit);
  return ack();
}

}  // namespace sluice::p33
