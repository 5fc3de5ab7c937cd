#include "apply/result.h"

#include "common/json.h"
#include "common/plan.h"
#include "common/text.h"

namespace sluice::apply {

namespace {

std::string details_of(const OrderResult& result) {
  if (!result.has_fill() && !result.is_placed_stop())
    return result.reason.empty() ? "order " + trade::lower(result.status) : result.reason;
  const bool stop = result.is_placed_stop();
  std::string text = "Order " + result.order_id + ": " + result.side + " ";
  text += stop ? result.quantity : result.executed.text();
  text += stop ? " @ STOP" : " @ MARKET";
  if (stop && !result.stop_price.empty()) text += " " + result.stop_price;
  if (result.reduce_only) text += " (reduceOnly)";
  return text;
}

std::string_view status_of(const OrderResult& result) {
  if (result.is_placed_stop()) return "success";
  if (!result.has_fill()) return "error";
  return result.status == "FILLED" ? "success" : "partial";
}

Record outcome_of(const OrderResult& result, const Entry& entry, Time now) {
  const bool done = result.has_fill() || result.is_placed_stop();
  const std::string why = result.reason.empty() ? trade::lower(result.status) : result.reason;
  return {{"plan_id", result.plan_id},
          {"symbol", result.symbol},
          {"decision", "EXECUTE"},
          {"executed", result.has_fill() ? "True" : "False"},
          {"would_execute", "False"},
          {"steps_results", order_steps(result)},
          {"error", done ? "" : why},
          {"timestamp", trade::epoch_text(now)},
          {"state", result.status},
          {"reason", result.reason},
          {"action", result.action},
          {"decision_id", entry["decision_id"]},
          {"decision_us", entry["decision_us"]},
          {"result_us", trade::micros_text(now)},
          {"trace_id", entry["trace_id"]},
          {"policy", entry["policy"]},
          {"client_order_id", result.client_order_id},
          {"order_id", result.order_id},
          {"executed_qty", result.executed.text()},
          {"avg_price", result.price},
          {"ordered_since_us", entry["decision_us"]}};
}

void count(const OrderResult& result, Unit& unit) {
  const bool done = result.has_fill() || result.is_placed_stop();
  unit.count("quantum_apply_execute_total", {{"symbol", result.symbol},
                                             {"step", trade::step_of(result.action)},
                                             {"status", done ? "success" : "error"}});
  if (!done) return;
  unit.count("apply_executed_total", {{"status", "success"}});
  unit.gauge("quantum_apply_last_success_epoch", {{"symbol", result.symbol}},
             static_cast<double>(trade::epoch_seconds(unit.now())));
}

}  // namespace

bool OrderResult::is_placed_stop() const {
  if (type != "STOP_MARKET" || order_id.empty() || has_fill()) return false;
  for (const std::string_view dead : {"REJECTED", "EXPIRED", "FAILED", "CANCELED", "CANCELLED"}) {
    if (status == dead) return false;
  }
  return true;
}

std::optional<OrderResult> read_order_result(const Record& fields, std::string& why) {
  const auto text = [&fields](std::string_view name) {
    return std::string(fields.find(name).value_or(""));
  };
  for (const char* name : {"plan_id", "client_order_id", "symbol", "status"}) {
    if (!text(name).empty()) continue;
    why = std::string(name) + " is missing";
    return std::nullopt;
  }
  OrderResult result{text("plan_id"),
                     text("symbol"),
                     text("action"),
                     text("side"),
                     text("type"),
                     text("client_order_id"),
                     text("order_id"),
                     text("status"),
                     text("reason"),
                     text("quantity"),
                     {},
                     text("avg_price"),
                     text("stop_price"),
                     text("reduceOnly") == "true"};
  const std::string executed = text("executed_qty");
  const auto qty = executed.empty() ? Decimal() : Decimal::parse(executed);
  if (!qty || qty->is_negative()) why = "executed_qty is " + executed;
  if (result.side != "BUY" && result.side != "SELL") why = "side is " + result.side;
  if (result.status == "FILLED" && qty && qty->is_zero()) why = "FILLED without executed_qty";
  if (!why.empty()) return std::nullopt;
  result.executed = *qty;
  // What is filled whole was ordered so.
  if (result.quantity.empty() && result.status == "FILLED") result.quantity = qty->text();
  return result;
}

std::string order_steps(const OrderResult& result) {
  return "[" +
         trade::JsonObject()
             .text("step", trade::step_of(result.action))
             .text("status", status_of(result))
             .text("details", details_of(result))
             .text("order_id", result.order_id)
             .text("side", result.side)
             .text("quantity", result.quantity)
             .text("executed_qty", result.executed.text())
             .boolean("reduce_only", result.reduce_only)
             .str() +
         "]";
}

Verdict ResultStage::process(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto result = read_order_result(entry.fields(), why);
  if (!result) return reject("invalid_result", why);
  if (unit.failure()) return ack();  // reported before
  unit.claim("quantum:apply:result_published:" + result->client_order_id, entry.id(), seen_ttl_);
  const Record outcome = outcome_of(*result, entry, unit.now());
  unit.emit("result", outcome);
  count(*result, unit);
  if (result->has_fill())
    unit.log(SLUICE_LOG_INFO, "Order " + result->order_id + " executed plan=" + result->plan_id);
  unit.log(SLUICE_LOG_INFO,
           "Result published (executed=" + std::string(outcome.find("executed").value_or("")) +
               ", error=" + std::string(outcome.find("error").value_or("")) + ")");
  return ack();
}

}  // namespace sluice::apply
