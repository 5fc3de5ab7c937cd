#include "p33/permit.h"

#include <algorithm>

#include "common/control.h"
#include "common/json.h"
#include "common/permit.h"
#include "common/text.h"
#include "p33/hold.h"

namespace sluice::p33 {

namespace {

using trade::decimal_text;
using trade::JsonObject;

std::string issued_key(std::string_view plan_id) {
  return "quantum:p33:issued:" + std::string(plan_id);
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
  seen.is_held = is_holding(hold);
  return seen;
}

bool lacks_snapshot(const Finding& finding) {
  return finding.reason == "no_exchange_snapshot" || finding.reason == "stale_exchange_state";
}

std::string permit_text(const trade::Plan& plan, const Finding& finding, Time valid_until,
                        const Unit& unit) {
  const std::string policy(unit.policy_version());
  if (!finding.reason.empty())
    return trade::p33_denial_text(plan, finding.reason, finding.context, unit.now(), policy);
  return trade::p33_permit_text(plan, {finding.side, finding.safe_qty, finding.exchange_amount,
                                       finding.ledger_amount, unit.now(), valid_until, policy});
}

// What the decision was made on, as JSON. Amounts that nobody could read are texts that say so.
std::string inputs_text(const trade::Plan& plan, const Seen& seen, const Rules& rules,
                        const Finding& finding) {
  const auto seconds = [](Duration d) {
    return std::chrono::floor<std::chrono::seconds>(d).count();
  };
  JsonObject inputs;
  if (seen.position) {
    inputs.number("exchange_amt", decimal_text(seen.position->amount))
        .integer("snapshot_age_sec", trade::age_seconds(*seen.position, seen.now));
    if (seen.position->filters) inputs.text("qty_step", seen.position->filters->qty_step.text());
  } else {
    inputs.text("exchange_amt", "missing");
  }
  if (seen.ledger) {
    inputs.number("ledger_amt", decimal_text(seen.ledger->amount))
        .integer("ledger_age_sec", trade::epoch_seconds(seen.now) - seen.ledger->updated_at);
  } else {
    inputs.text("ledger_amt", seen.has_ledger ? "unreadable" : "missing");
  }
  if (const auto tolerance = qty_tolerance(seen, rules))
    inputs.number("tolerance", decimal_text(*tolerance));
  inputs.number("tolerance_pct", decimal_text(rules.tolerance_percent))
      .integer("snapshot_age_max_sec", seconds(rules.snapshot_age_max))
      .integer("cooldown_sec", seconds(rules.cooldown))
      .boolean("hold", seen.is_held);
  if (plan.is_opening()) inputs.text("asked_qty", plan.qty);
  if (finding.reason.empty()) inputs.text("safe_qty", finding.safe_qty.text());
  return inputs.str();
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

void count(const trade::Plan& plan, const Seen& seen, const Finding& finding, Unit& unit) {
  if (finding.reason.empty())
    unit.count("p33_permit_allow_total", {{"symbol", plan.symbol}});
  else
    unit.count("p33_permit_deny_total", {{"symbol", plan.symbol}, {"reason", finding.reason}});
  if (!seen.position) return;
  unit.gauge("p33_snapshot_age_seconds", {{"symbol", plan.symbol}},
             static_cast<double>(trade::age_seconds(*seen.position, seen.now)));
}

}  // namespace

Permit::Permit(const Settings& settings)
    : symbols_(settings.list("symbols")),
      snapshot_wait_(settings.duration("snapshot_wait")),
      issued_ttl_(settings.duration("issued_ttl")),
      foreign_plans_(settings.boolean("foreign_plans")) {}

Verdict Permit::process(const Entry& entry, Unit& unit) const {
  if (entry["decision"] != "EXECUTE") return ack();
  // Both conditions say the same: this plan was decided before, here or by another instance.
  if (unit.failure()) return ack();
  std::string why;
  const auto plan = foreign_plans_ ? trade::read_any_plan(entry.fields(), why)
                                   : trade::read_plan(entry.fields(), why);
  if (!plan) {
    // The gate puts the entry among the dead letters, once; here it just gets no permit.
    unit.log(SLUICE_LOG_WARNING,
             "no permit for unsound plan " + std::string(entry.id()) + ": " + why);
    return ack();
  }
  if (!symbols_.empty() && std::ranges::find(symbols_, plan->symbol) == symbols_.end())
    return ack();
  if (has_outlived_its_mark(*plan, unit.now())) return expire(*plan, unit);
  const Rules rules = rules_of(*plan, unit);
  const Seen seen = look_at(*plan, unit);
  const Finding finding = check_plan(*plan, seen, rules);
  const Time wait_end = entry.first_delivered() + snapshot_wait_;
  if (lacks_snapshot(finding) && unit.now() < wait_end)
    return wait({trade::snapshot_key(plan->symbol)}, wait_end);

  const PolicyRecord record = trade::plan_policy_record(*plan);
  const Duration ttl = unit.policy("permit_ttl", {record.raw()}).duration();
  const Time valid_until = unit.now() + ttl;
  // The mark outlives the permit and its use, so that no plan is decided twice.
  unit.claim(issued_key(plan->plan_id), entry.id(), issued_ttl_);
  unit.claim(trade::p33_permit_key(plan->plan_id), permit_text(*plan, finding, valid_until, unit),
             ttl);
  const bool allowed = finding.reason.empty();
  unit.emit("audit", trade::trail_record(*plan,
                                         {.permit = "p33",
                                          .event = allowed ? "issued" : "denied",
                                          .reason = allowed ? "sanity_checks_passed"
                                                            : std::string_view(finding.reason),
                                          .inputs = inputs_text(*plan, seen, rules, finding),
                                          .valid_until_us = trade::micros_text(valid_until)},
                                         unit));
  count(*plan, seen, finding, unit);
  log_finding(*plan, finding, unit);
  return ack();
}

bool Permit::has_outlived_its_mark(const trade::Plan& plan, Time now) const {
  const auto created = trade::read_integer(plan.created_us);
  return !created || trade::micros(now) - *created >= issued_ttl_.count();
}

// Whether such a plan was decided before can no longer be known.
Verdict Permit::expire(const trade::Plan& plan, Unit& unit) const {
  const JsonObject inputs =
      JsonObject()
          .text("created_us", plan.created_us)
          .integer("issued_ttl_sec", std::chrono::floor<std::chrono::seconds>(issued_ttl_).count());
  unit.emit("audit", trade::trail_record(plan,
                                         {.permit = "p33",
                                          .event = "expired",
                                          .reason = "plan_expired",
                                          .inputs = inputs.str(),
                                          .valid_until_us = trade::micros_text(unit.now())},
                                         unit));
  unit.log(SLUICE_LOG_WARNING, "no permit for plan " + plan.plan_id + ": too old");
  return ack();
}

}  // namespace sluice::p33
