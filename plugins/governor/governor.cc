#include "governor/governor.h"

#include "common/control.h"
#include "common/text.h"

namespace sluice::governor {

Governor::Governor(const Settings& settings)
    : kill_score_critical_(settings.number("kill_score_critical")),
      snapshot_age_max_(settings.duration("snapshot_age_max")),
      block_ttl_(settings.duration("block_ttl")) {}

Verdict Governor::process(const Entry& entry, Unit& unit) const {
  if (entry["decision"] != "EXECUTE") return ack();
  std::string why;
  const auto plan = trade::read_plan(entry.fields(), why);
  if (!plan) {
    // The gate puts the entry among the dead letters, once; here it just gets no permit.
    unit.log(SLUICE_LOG_WARNING,
             "no permit for unsound plan " + std::string(entry.id()) + ": " + why);
    return ack();
  }
  if (const auto failure = unit.failure()) {
    // The permit is there already: granted when this plan came before.
    if (failure->condition == Failure::Condition::kClaim) return ack();
    return block(*plan, reason_of_counter(failure->key), unit);
  }
  Amounts amounts;
  if (const auto reason = refusal(*plan, unit, amounts)) return block(*plan, *reason, unit);
  return grant(*plan, amounts, unit);
}

std::optional<std::string> Governor::refusal(const trade::Plan& plan, const Unit& unit,
                                             Amounts& amounts) const {
  if (trade::kill_switch_set(unit)) return "kill_switch_active";
  if (blocks_critical(plan, kill_score_critical_)) return "kill_score_critical_non_close";
  std::optional<trade::Position> position;
  if (!plan.is_opening()) {
    const Value snapshot = unit.get(trade::snapshot_key(plan.symbol));
    position = trade::read_position(trade::look(snapshot));
  }
  std::string reason;
  const auto computed = plan_amounts(plan, position, unit.now(), snapshot_age_max_, reason);
  if (!computed) return reason;
  amounts = *computed;
  return std::nullopt;
}

Verdict Governor::block(const trade::Plan& plan, std::string_view reason, Unit& unit) const {
  unit.put(trade::governor_block_key(plan.plan_id), trade::block_text(plan, reason, unit.now()),
           block_ttl_);
  unit.emit("event", {{"event", "BLOCKED"},
                      {"plan_id", plan.plan_id},
                      {"symbol", plan.symbol},
                      {"reason", reason},
                      {"timestamp", trade::epoch_fraction_text(unit.now())},
                      {"decision_id", plan.decision_id}});
  unit.log(SLUICE_LOG_INFO,
           "BLOCKED plan " + plan.plan_id.substr(0, 8) + " - " + std::string(reason));
  return ack();
}

Verdict Governor::grant(const trade::Plan& plan, const Amounts& amounts, Unit& unit) const {
  const PolicyResult answer = unit.policy("limits", {policy_text(plan.symbol)}, 4);
  // Read at once: a second call of the policy ends the life of these texts.
  const Limits limits{answer.integer(0), answer.integer(1), answer.decimal(2), answer.decimal(3)};
  const auto needed = shares(plan.symbol, amounts, limits, unit.now());
  if (!needed) return block(plan, "limit_computation_error", unit);

  const PolicyRecord record = trade::plan_policy_record(plan);
  const Duration ttl = unit.policy("permit_ttl", {record.raw()}).duration();
  trade::GovernorPermit permit{amounts.qty,
                               amounts.notional,
                               unit.now(),
                               unit.now() + ttl,
                               std::string(unit.policy_version()),
                               {}};
  for (const Share& share : *needed)
    permit.reservations.push_back({share.counter, share.amount, trade::micros(unit.now())});

  unit.claim(trade::governor_permit_key(plan.plan_id), trade::governor_permit_text(plan, permit),
             ttl);
  for (const Share& share : *needed)
    unit.reserve(share.counter, share.amount, share.limit, share.kind, share.window);
  unit.log(SLUICE_LOG_INFO, "ALLOW plan " + plan.plan_id.substr(0, 8));
  return ack();
}

}  // namespace sluice::governor
