#include "common/permit.h"

#include <algorithm>
#include <cmath>

#include "common/json.h"
#include "common/mutant.h"
#include "common/text.h"

namespace sluice::trade {

namespace {

std::string json_number(const Decimal& value) { return decimal_text(value); }

Judgement refusal(std::string error, std::string reason = {}, std::string steps = "[]") {
  Judgement judgement;
  judgement.error = std::move(error);
  judgement.reason = std::move(reason);
  judgement.steps_results = std::move(steps);
  return judgement;
}

std::optional<Decimal> decimal_of(const Json& json, std::string_view name) {
  const std::string_view text = json.number_of(name);
  return text.empty() ? std::nullopt : Decimal::parse(text);
}

// What a permit must name to be about this plan and nothing else.
bool is_bound(const Json& permit, const Plan& plan) {
  return permit.text_of("plan_id") == plan.plan_id &&
         (permit.text_of("plan_hash") == plan.plan_hash || SLUICE_MUTANT(permit_not_bound)) &&
         permit.text_of("symbol") == plan.symbol;
}

std::optional<int64_t> valid_until(const Json& permit) {
  return read_integer(permit.number_of("valid_until_us"));
}

Judgement judge_p33_form(const std::optional<JsonDocument>& permit) {
  if (!permit)
    return refusal("p33_permit_denied", "unknown",
                   step_result("P33_CHECK", "denied", "P3.3 denied: unknown"));
  if (!permit->is_object())
    return refusal("invalid_p33_permit_format", {},
                   step_result("P33_PERMIT", "invalid_format", "permit is not an object"));
  const Json* allow = permit->find("allow");
  if (allow != nullptr && allow->is_true()) return {};
  const std::string said(permit->text_of("reason"));
  const std::string reason = said.empty() ? "unknown" : said;
  return refusal("p33_permit_denied", reason,
                 step_result("P33_CHECK", "denied", "P3.3 denied: " + reason));
}

Judgement bad_qty(const Json& permit, std::string_view name) {
  const Json* value = permit.find(name);
  const std::string shown = value == nullptr ? "None" : std::string(value->text());
  return refusal("invalid_safe_close_qty", {},
                 step_result("P33_VALIDATE", "invalid_qty", std::string(name) + "=" + shown));
}

// Openings may use up to the plan's quantity, closes up to the position.
Judgement judge_qty(const Plan& plan, const Json& permit) {
  const char* name = plan.is_opening() ? "safe_qty" : "safe_close_qty";
  const auto qty = decimal_of(permit, name);
  if (!qty || !qty->is_positive()) return bad_qty(permit, name);
  const auto most =
      plan.is_opening() ? Decimal::parse(plan.qty) : decimal_of(permit, "exchange_position_amt");
  if (!most || *qty > most->abs()) return bad_qty(permit, name);
  Judgement judgement;
  judgement.qty = *qty;
  judgement.side = permit.text_of("side");
  return judgement;
}

Judgement judge_governor_form(const std::optional<JsonDocument>& permit) {
  if (!permit || !permit->is_object())
    return refusal("invalid_governor_permit_format", {},
                   step_result("GOVERNOR_PERMIT", "invalid_format", "permit is not a JSON object"));
  const Json* granted = permit->find("granted");
  const Json* consumed = permit->find("consumed");
  const bool is_granted = granted != nullptr && granted->is_true();
  const bool is_fresh = consumed != nullptr && consumed->is_false();
  if (is_granted && is_fresh) return {};
  const std::string reason = is_granted ? "consumed" : "not_granted";
  return refusal("governor_permit_denied", reason,
                 step_result("GOVERNOR_PERMIT", "denied", reason));
}

bool side_fits(const Plan& plan, std::string_view side) {
  return plan.is_opening() ? side == plan.side : side == "BUY" || side == "SELL";
}

// How long an adopted permit holds, and how long from the moment it is met.
constexpr Duration kForeignLife = std::chrono::seconds(60);
constexpr Duration kForeignUse = std::chrono::seconds(10);

// The end of an unbound permit that may be adopted for `plan`; nullopt when it may not.
std::optional<Time> foreign_end(const std::optional<JsonDocument>& permit, std::string_view yes,
                                const Plan& plan, Time now) {
  if (!permit || !permit->is_object()) return std::nullopt;
  if (!is_reducing(plan.action) && !SLUICE_MUTANT(foreign_permit_opens)) return std::nullopt;
  const Json* said = permit->find(yes);
  const Json* consumed = permit->find("consumed");
  if (said == nullptr || !said->is_true() || (consumed != nullptr && !consumed->is_false()))
    return std::nullopt;
  if (permit->find("plan_hash") != nullptr || permit->find("valid_until_us") != nullptr)
    return std::nullopt;
  for (const auto& [name, own] : {std::pair("plan_id", &plan.plan_id), {"symbol", &plan.symbol}}) {
    if (permit->find(name) != nullptr && permit->text_of(name) != *own) return std::nullopt;
  }
  if (permit->find("created_at") == nullptr) return now + kForeignUse;
  const auto created = read_double(permit->number_of("created_at"));
  if (!created || std::abs(*created) > 1e12) return std::nullopt;
  const Time end = Time(Duration(static_cast<int64_t>(*created * 1e6))) + kForeignLife;
  return std::min(end, now + kForeignUse);
}

}  // namespace

std::string governor_permit_key(std::string_view plan_id) {
  return "quantum:permit:" + std::string(plan_id);
}
std::string p33_permit_key(std::string_view plan_id) {
  return "quantum:permit:p33:" + std::string(plan_id);
}
std::string governor_block_key(std::string_view plan_id) {
  return "quantum:governor:block:" + std::string(plan_id);
}

std::string governor_granted_key(std::string_view plan_id) {
  return "quantum:governor:granted:" + std::string(plan_id);
}

std::string reservations_text(const std::vector<Reservation>& reservations) {
  std::string text = "[";
  for (const Reservation& reservation : reservations) {
    if (text.size() > 1) text += ", ";
    text += JsonObject()
                .text("counter", reservation.counter)
                .integer("amount", reservation.amount)
                .integer("at_us", reservation.at_us)
                .str();
  }
  return text + "]";
}

std::string governor_permit_text(const Plan& plan, const GovernorPermit& permit) {
  return JsonObject()
      .boolean("granted", true)
      .text("symbol", plan.symbol)
      .text("decision", plan.decision)
      .number("computed_qty", json_number(permit.qty))
      .number("computed_notional", json_number(permit.notional))
      .number("created_at", epoch_fraction_text(permit.created))
      .boolean("consumed", false)
      .text("plan_id", plan.plan_id)
      .text("plan_hash", plan.plan_hash)
      .integer("valid_until_us", micros(permit.valid_until))
      .text("policy", permit.policy)
      .raw("reservations", reservations_text(permit.reservations))
      .str();
}

std::string p33_permit_text(const Plan& plan, const P33Permit& permit) {
  const Decimal close_qty = plan.is_opening() ? Decimal() : permit.safe_qty;
  return JsonObject()
      .boolean("allow", true)
      .text("symbol", plan.symbol)
      .number("safe_close_qty", json_number(close_qty))
      .number("exchange_position_amt", json_number(permit.exchange_amount))
      .number("ledger_amt", json_number(permit.ledger_amount))
      .number("created_at", epoch_fraction_text(permit.created))
      .text("reason", "sanity_checks_passed")
      .text("plan_id", plan.plan_id)
      .text("plan_hash", plan.plan_hash)
      .text("side", permit.side)
      .number("safe_qty", json_number(permit.safe_qty))
      .integer("valid_until_us", micros(permit.valid_until))
      .text("policy", permit.policy)
      .str();
}

std::string p33_denial_text(const Plan& plan, std::string_view reason, std::string_view context,
                            Time created, std::string_view policy) {
  return JsonObject()
      .boolean("allow", false)
      .text("symbol", plan.symbol)
      .text("reason", reason)
      .raw("context", context)
      .number("created_at", epoch_fraction_text(created))
      .text("plan_id", plan.plan_id)
      .text("plan_hash", plan.plan_hash)
      .text("policy", policy)
      .str();
}

std::string block_text(const Plan& plan, std::string_view reason, Time now) {
  return JsonObject()
      .text("reason", reason)
      .number("timestamp", epoch_fraction_text(now))
      .text("symbol", plan.symbol)
      .text("plan_id", plan.plan_id)
      .text("plan_hash", plan.plan_hash)
      .str();
}

Judgement judge_permits(const Plan& plan, std::string_view governor_text, std::string_view p33_text,
                        Time now) {
  std::string why;
  const auto p33 = Json::parse(p33_text, why);
  if (Judgement bad = judge_p33_form(p33); !bad.error.empty()) return bad;
  Judgement judgement = judge_qty(plan, *p33);
  if (!judgement.error.empty()) return judgement;
  const auto governor = Json::parse(governor_text, why);
  if (Judgement bad = judge_governor_form(governor); !bad.error.empty()) return bad;

  if (!is_bound(*p33, plan)) return refusal("permit_not_bound", "p33");
  if (!is_bound(*governor, plan)) return refusal("permit_not_bound", "governor");
  if (!side_fits(plan, judgement.side)) return refusal("permit_not_bound", "side");

  const auto p33_until = valid_until(*p33);
  const auto governor_until = valid_until(*governor);
  const int64_t least_us = SLUICE_MUTANT(expired_permit_counts) ? 0 : micros(now);
  if (!p33_until || *p33_until <= least_us) return refusal("permit_expired", "p33");
  if (!governor_until || *governor_until <= least_us) return refusal("permit_expired", "governor");
  judgement.valid_until_us = std::min(*p33_until, *governor_until);
  return judgement;
}

std::vector<Reservation> permit_reservations(const Plan& plan, std::string_view governor) {
  std::string why;
  const auto permit = Json::parse(governor, why);
  if (!permit || !permit->is_object() || !is_bound(*permit, plan)) return {};
  const Json* list = permit->find("reservations");
  if (list == nullptr) return {};
  std::vector<Reservation> reservations;
  for (const Json& item : list->items()) {
    const auto amount = read_integer(item.number_of("amount"));
    const auto at = read_integer(item.number_of("at_us"));
    const std::string_view counter = item.text_of("counter");
    if (!amount || *amount < 0 || !at || !counter.starts_with("quantum:governor:")) return {};
    reservations.push_back({std::string(counter), *amount, *at});
  }
  return reservations;
}

std::string adopt_governor_permit(const Plan& plan, std::string_view governor, Time now) {
  std::string why;
  const auto permit = Json::parse(governor, why);
  const auto end = foreign_end(permit, "granted", plan, now);
  if (!end) return std::string(governor);
  return governor_permit_text(
      plan, {.qty = decimal_of(*permit, "computed_qty").value_or(Decimal()),
             .notional = decimal_of(*permit, "computed_notional").value_or(Decimal()),
             .created = now,
             .valid_until = *end,
             .policy = std::string(kForeignPolicy),
             .reservations = {}});
}

std::string adopt_p33_permit(const Plan& plan, std::string_view p33, Time now) {
  std::string why;
  const auto permit = Json::parse(p33, why);
  const auto end = foreign_end(permit, "allow", plan, now);
  const auto qty = end ? decimal_of(*permit, "safe_close_qty") : std::nullopt;
  const auto position = end ? decimal_of(*permit, "exchange_position_amt") : std::nullopt;
  if (!qty || !position) return std::string(p33);
  return p33_permit_text(plan,
                         {.side = position->is_positive() ? "SELL" : "BUY",
                          .safe_qty = *qty,
                          .exchange_amount = *position,
                          .ledger_amount = decimal_of(*permit, "ledger_amt").value_or(Decimal()),
                          .created = now,
                          .valid_until = *end,
                          .policy = std::string(kForeignPolicy)});
}

std::string block_reason(std::string_view text) {
  std::string why;
  const auto block = Json::parse(text, why);
  const std::string reason = block ? std::string(block->text_of("reason")) : std::string();
  return reason.empty() ? "unknown" : reason;
}

}  // namespace sluice::trade
