#include "execution/result.h"

#include <utility>

#include "common/json.h"
#include "common/text.h"

namespace sluice::execution {
namespace {

// How much worse than the mark price the fill was, in per cent; 0 when either is missing.
Decimal slippage_percent(const Told& told, const Decimal& price) {
  if (!told.mark_price || !told.mark_price->is_positive() || !price.is_positive()) return {};
  const auto worse =
      told.side == "BUY" ? price.minus(*told.mark_price) : told.mark_price->minus(price);
  const auto hundredfold = worse ? worse->times(Decimal(100)) : std::nullopt;
  return hundredfold ? hundredfold->divided_by(*told.mark_price, 6).value_or(Decimal()) : Decimal();
}

std::string payload_text(const Told& told, const Terminal& terminal, Time now) {
  const bool traded = terminal.executed.is_positive();
  const Decimal entry_price = traded ? terminal.price : told.mark_price.value_or(Decimal());
  const Decimal size = terminal.price.times(terminal.executed).value_or(Decimal());
  const Decimal slippage = traded ? slippage_percent(told, terminal.price) : Decimal();
  const Decimal leverage = Decimal::parse(told.leverage).value_or(Decimal());
  trade::JsonObject payload;
  payload.text("symbol", told.symbol)
      .text("action", told.action)
      .number("entry_price", trade::decimal_text(entry_price))
      .number("position_size_usd", trade::decimal_text(size))
      .number("leverage", trade::decimal_text(leverage))
      .text("timestamp", trade::iso_z(now))
      .text("order_id",
            terminal.order_id.empty() ? trade::upper(terminal.status) : terminal.order_id)
      .text("status", trade::lower(terminal.status))
      .number("slippage_pct", trade::decimal_text(slippage))
      .number("fee_usd", trade::decimal_text(terminal.fee));
  return payload.str();
}

}  // namespace

Terminal not_sent(std::string status, std::string reason) {
  Terminal terminal;
  terminal.status = std::move(status);
  terminal.reason = std::move(reason);
  return terminal;
}

Record result_record(const Told& told, const Terminal& terminal, Time now) {
  Record result{{"event_type", "execution.result"},
                {"payload", payload_text(told, terminal, now)},
                {"timestamp", trade::iso_z(now)},
                {"source", "execution-service"},
                {"plan_id", told.plan_id},
                {"plan_hash", told.plan_hash},
                {"leg", told.leg},
                {"type", told.type},
                {"client_order_id", told.client_order_id},
                {"order_id", terminal.order_id},
                {"symbol", told.symbol},
                {"side", told.side},
                {"action", told.action},
                {"status", terminal.status},
                {"reason", terminal.reason},
                {"detail", terminal.detail},
                {"quantity", told.quantity},
                {"executed_qty", terminal.executed.text()},
                {"avg_price", terminal.price.text()},
                {"fee", terminal.fee.text()},
                {"trace_id", told.trace_id},
                {"decision_id", told.decision_id},
                {"decision_us", told.decision_us},
                {"sent_us", terminal.sent_us},
                {"result_us", trade::micros_text(now)},
                {"reduceOnly", told.reduce_only ? "true" : "false"},
                {"policy", told.policy}};
  if (!told.intent_id.empty()) result.add("intent_id", told.intent_id);
  return result;
}

Record envelope_of(const Record& result) {
  Record envelope;
  for (const char* name : {"event_type", "payload", "timestamp", "source"})
    envelope.add(name, result.find(name).value_or(""));
  return envelope;
}

std::string terminal_line(const Told& told, const Terminal& terminal) {
  const std::string state =
      terminal.reason == "margin_insufficient" ? "REJECTED_MARGIN" : terminal.status;
  const std::string what =
      terminal.reason.empty() ? "OrderID=" + terminal.order_id : "Reason: " + terminal.reason;
  return "TERMINAL STATE: " + state + " | " + told.symbol + " " + told.action + " | " + what +
         " | trace_id=" + told.trace_id;
}

std::string seconds_text(Duration duration) {
  return std::to_string(duration / std::chrono::seconds(1)) + "s";
}

void StaleIntents::drop(std::string_view symbol, Duration age, Duration age_max, const Unit& unit) {
  constexpr Duration kLineEvery = std::chrono::seconds(30);
  int64_t total = 0;
  {
    const std::scoped_lock lock(mutex_);
    total = ++total_;
    if (total > 1 && unit.now() < told_ + kLineEvery) return;
    told_ = unit.now();
  }
  unit.log(SLUICE_LOG_WARNING, "STALE_INTENT_DROP: " + std::string(symbol) +
                                   " age=" + seconds_text(age) + " (>" + seconds_text(age_max) +
                                   ") | Total stale: " + std::to_string(total));
}

}  // namespace sluice::execution
