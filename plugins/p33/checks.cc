#include "p33/checks.h"

#include <algorithm>

#include "common/json.h"
#include "common/mutant.h"
#include "common/text.h"

namespace sluice::p33 {

namespace {

using trade::decimal_text;
using trade::JsonObject;

// Below this a position counts as none.
constexpr Decimal kDust = Decimal::from_scaled(1, 4);
// Least tolerance between exchange and ledger.
constexpr Decimal kToleranceMin = Decimal::from_scaled(1, 3);

Finding denial(std::string reason, const JsonObject& context = {}) {
  Finding finding;
  finding.reason = std::move(reason);
  finding.context = context.str();
  return finding;
}

std::optional<Finding> check_snapshot(const Seen& seen, const Rules& rules) {
  if (!seen.position || !seen.position->filters) return denial("no_exchange_snapshot");
  if (!trade::is_stale(*seen.position, seen.now, rules.snapshot_age_max)) return std::nullopt;
  const int64_t age = trade::age_seconds(*seen.position, seen.now);
  return denial("stale_exchange_state", JsonObject().integer("age_seconds", age));
}

JsonObject qty_context(const Seen& seen, const Decimal& diff, const Decimal& tolerance) {
  JsonObject context;
  context.number("exchange_amt", decimal_text(seen.position->amount));
  if (seen.ledger) {
    context.number("ledger_amt", decimal_text(seen.ledger->amount));
  } else {
    context.text("ledger_amt", seen.has_ledger ? "unreadable" : "missing");
  }
  return context.number("diff", decimal_text(diff)).number("tolerance", decimal_text(tolerance));
}

// Without a readable ledger nobody can say the position is ours: only none at all is fine, and only
// where there is no ledger yet.
std::optional<Finding> check_qty(const Seen& seen, const Rules& rules) {
  const auto tolerance = qty_tolerance(seen, rules);
  const Decimal exchange = seen.position->amount.abs();
  const auto diff = exchange.minus(seen.ledger ? seen.ledger->amount.abs() : Decimal());
  if (!tolerance || !diff) return denial("quantity_error");
  const bool fits = seen.ledger ? diff->abs() <= *tolerance
                                : (!seen.has_ledger || SLUICE_MUTANT(unreadable_ledger_is_none)) &&
                                      exchange < kDust;
  if (fits) return std::nullopt;
  return denial("reconcile_required_qty_mismatch", qty_context(seen, diff->abs(), *tolerance));
}

std::optional<Finding> check_side(const Seen& seen) {
  const std::string_view exchange_side = trade::side_of(seen.position->amount);
  const std::string_view ledger_side = trade::side_of(seen.ledger->amount);
  if (exchange_side == "NONE" || ledger_side == "NONE" || exchange_side == ledger_side)
    return std::nullopt;
  return denial("reconcile_required_side_mismatch",
                JsonObject().text("exchange_side", exchange_side).text("ledger_side", ledger_side));
}

std::optional<Finding> check_cooldown(const Seen& seen, const Rules& rules) {
  const int64_t since = trade::epoch_seconds(seen.now) - seen.ledger->updated_at;
  const int64_t cooldown = std::chrono::floor<std::chrono::seconds>(rules.cooldown).count();
  if (since >= cooldown) return std::nullopt;
  return denial(
      "cooldown_in_flight",
      JsonObject().integer("seconds_since_last", since).integer("cooldown_sec", cooldown));
}

std::optional<Finding> check_ledger(const Seen& seen, const Rules& rules) {
  if (!seen.ledger) return check_qty(seen, rules);
  if (auto finding = check_side(seen)) return finding;
  if (auto finding = check_qty(seen, rules)) return finding;
  return check_cooldown(seen, rules);
}

std::optional<Decimal> permitted_qty(const trade::Plan& plan, const trade::Position& position) {
  const Decimal& step = position.filters->qty_step;
  if (!plan.is_opening()) return safe_close_qty(plan.action, position.amount, step);
  const auto qty = Decimal::parse(plan.qty);
  if (!qty || !qty->is_positive()) return std::nullopt;
  return qty->towards_zero_to(step);
}

}  // namespace

Finding check_plan(const trade::Plan& plan, const Seen& seen, const Rules& rules) {
  if (auto finding = check_snapshot(seen, rules)) return *finding;
  const Decimal& exchange = seen.position->amount;
  if (!plan.is_opening() && exchange.abs() < kDust)
    return denial("no_position", JsonObject().number("exchange_amt", decimal_text(exchange)));
  if (auto finding = check_ledger(seen, rules)) return *finding;

  Finding finding;
  finding.exchange_amount = exchange;
  if (seen.ledger) finding.ledger_amount = seen.ledger->amount;
  const auto qty = permitted_qty(plan, *seen.position);
  if (!qty) return denial("quantity_error", JsonObject().text("action", plan.action));
  finding.safe_qty = *qty;
  finding.side = plan.is_opening() ? plan.side : (exchange.is_positive() ? "SELL" : "BUY");
  if (!seen.is_held) return finding;
  return denial("reconcile_hold_active",
                JsonObject()
                    .number("exchange_amt", decimal_text(exchange))
                    .number("ledger_amt", decimal_text(finding.ledger_amount))
                    .text("p34_hold", "active"));
}

std::optional<Decimal> safe_close_qty(std::string_view action, const Decimal& position,
                                      const Decimal& qty_step) {
  // A moved stop guards the whole position.
  const auto factor = action == "UPDATE_SL" ? Decimal(1) : trade::close_factor(action);
  if (!factor) return std::nullopt;
  const auto requested = position.abs().times(*factor);
  return requested ? requested->towards_zero_to(qty_step) : std::nullopt;
}

std::optional<Decimal> qty_tolerance(const Seen& seen, const Rules& rules) {
  if (!seen.position) return std::nullopt;
  const auto share = rules.tolerance_percent.times(Decimal::from_scaled(1, 2));
  const auto relative = share ? seen.position->amount.abs().times(*share) : std::nullopt;
  return relative ? std::optional(std::max(kToleranceMin, *relative)) : std::nullopt;
}

}  // namespace sluice::p33
