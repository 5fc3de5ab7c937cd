#include "p33/checks.h"

#include <algorithm>

#include "common/json.h"
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

std::optional<Finding> qty_mismatch(const Decimal& exchange, const Decimal& ledger,
                                    const Rules& rules) {
  const auto relative =
      exchange.abs().times(rules.tolerance_percent.times(Decimal::from_scaled(1, 2)).value());
  const auto diff = exchange.abs().minus(ledger.abs());
  if (!relative || !diff) return denial("quantity_error");
  const Decimal tolerance = std::max(kToleranceMin, *relative);
  if (diff->abs() <= tolerance) return std::nullopt;
  return denial("reconcile_required_qty_mismatch",
                JsonObject()
                    .number("exchange_amt", decimal_text(exchange))
                    .number("ledger_amt", decimal_text(ledger))
                    .number("diff", decimal_text(diff->abs()))
                    .number("tolerance", decimal_text(tolerance)));
}

std::optional<Finding> check_ledger(const Seen& seen, const Rules& rules) {
  const Decimal& exchange = seen.position->amount;
  if (!seen.ledger) {
    // Without a ledger nobody can say the position is ours. An unreadable one is no better.
    if (!seen.has_ledger && exchange.abs() < kDust) return std::nullopt;
    return denial("reconcile_required_qty_mismatch",
                  JsonObject()
                      .number("exchange_amt", decimal_text(exchange))
                      .text("ledger_amt", seen.has_ledger ? "unreadable" : "missing"));
  }
  const Decimal& ledger = seen.ledger->amount;
  const std::string_view exchange_side = trade::side_of(exchange);
  const std::string_view ledger_side = trade::side_of(ledger);
  if (exchange_side != "NONE" && ledger_side != "NONE" && exchange_side != ledger_side)
    return denial(
        "reconcile_required_side_mismatch",
        JsonObject().text("exchange_side", exchange_side).text("ledger_side", ledger_side));
  if (auto finding = qty_mismatch(exchange, ledger, rules)) return finding;
  const int64_t since = trade::epoch_seconds(seen.now) - seen.ledger->updated_at;
  const int64_t cooldown = std::chrono::floor<std::chrono::seconds>(rules.cooldown).count();
  if (since >= cooldown) return std::nullopt;
  return denial(
      "cooldown_in_flight",
      JsonObject().integer("seconds_since_last", since).integer("cooldown_sec", cooldown));
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

std::optional<Fill> read_fill(const Record& result, std::string& why) {
  const auto text = [&result](std::string_view name) {
    return std::string(result.find(name).value_or(""));
  };
  why.clear();
  const std::string executed = text("executed_qty");
  const auto qty = Decimal::parse(executed);
  if (text("status") != "FILLED" && (executed.empty() || (qty && qty->is_zero())))
    return std::nullopt;
  Fill fill{text("client_order_id"),
            text("order_id"),
            text("plan_id"),
            text("symbol"),
            text("side"),
            qty.value_or(Decimal()),
            text("reduceOnly") == "true"};
  if (!fill.qty.is_positive()) why = "executed_qty is " + executed;
  if (fill.side != "BUY" && fill.side != "SELL") why = "side is " + fill.side;
  if (fill.symbol.empty()) why = "symbol is missing";
  if (fill.client_order_id.empty()) why = "client_order_id is missing";
  if (!why.empty()) return std::nullopt;
  return fill;
}

std::optional<Decimal> amount_after(const Decimal& amount, const Fill& fill) {
  const bool sells = fill.side == "SELL";
  const auto sum = sells ? amount.minus(fill.qty) : amount.plus(fill.qty);
  if (!fill.reduce_only || !sum) return sum;
  if (sells && amount.is_positive()) return std::max(*sum, Decimal());
  if (!sells && amount.is_negative()) return std::min(*sum, Decimal());
  return amount;
}

Record ledger_record(const Decimal& amount, int64_t version, const Fill& fill, Time now) {
  return {{"last_known_amt", decimal_text(amount)},
          {"last_order_id", fill.order_id},
          {"last_result_plan_id", fill.plan_id},
          {"last_executed_qty", decimal_text(fill.qty)},
          {"last_side", fill.side},
          {"updated_at", trade::epoch_text(now)},
          {"ledger_amt", decimal_text(amount)},
          {"ledger_side", trade::side_of(amount)},
          {"ts_epoch", trade::epoch_text(now)},
          {"source", "apply"},
          {"version", std::to_string(version)}};
}

}  // namespace sluice::p33
