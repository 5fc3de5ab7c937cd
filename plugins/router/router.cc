#include "router/router.h"

#include "common/text.h"

namespace sluice::router {

namespace {

PolicyRecord policy_record(const Decision& decision, std::string_view entry_id) {
  PolicyRecord record;
  record.text("entry_id", entry_id)
      .text("correlation_id", decision.correlation_id)
      .text("trace_id", decision.trace_id)
      .text("source", decision.source)
      .text("symbol", decision.symbol)
      .text("side", decision.side)
      .text("action", decision.action)
      .number("confidence", decision.confidence_value)
      .text("model", decision.model)
      .text("strategy", decision.strategy)
      .text("regime", decision.regime)
      .text("timestamp", decision.timestamp)
      .number("position_size_usd", trade::read_double(decision.position_size_usd).value_or(0))
      .number("leverage", trade::read_double(decision.leverage).value_or(0));
  return record;
}

Record intent_record(const Decision& decision, std::string_view entry_id, const Unit& unit) {
  return {{"event_type", "trade.intent"},
          {"payload", intent_payload(decision, unit.now())},
          {"timestamp", trade::iso_z(unit.now())},
          {"source", "ai_strategy_router"},
          {"trace_id", decision.trace_id},
          {"correlation_id", decision.correlation_id},
          {"decision_id", entry_id},
          {"decision_us", trade::micros_text(unit.now())},
          {"policy", unit.policy_version()}};
}

Record duplicate_record(const Decision& decision, std::string_view entry_id, const Failure& failure,
                        Time now) {
  return {{"decision_id", entry_id},     {"key", failure.key},
          {"earlier", failure.met_text}, {"trace_id", decision.trace_id},
          {"symbol", decision.symbol},   {"decision_us", trade::micros_text(now)},
          {"state", "DUPLICATE"},        {"reason", "duplicate"}};
}

}  // namespace

Router::Router(const Settings& settings)
    : min_confidence_(settings.number("min_confidence")),
      defaults_{trade::decimal_text(settings.decimal("position_size_usd")),
                trade::decimal_text(settings.decimal("leverage"))} {}

Verdict Router::process(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto decision = read_decision(entry.fields(), defaults_, why);
  if (!decision) return reject("invalid_decision", why);
  if (decision->action == "HOLD") return reject("hold_signal", decision->symbol + " HOLD");
  if (decision->confidence_value < min_confidence_)
    return reject("low_confidence", "confidence " + decision->confidence + " is below " +
                                        trade::float_text(min_confidence_));

  if (const auto failure = unit.failure()) {
    unit.emit("duplicate", duplicate_record(*decision, entry.id(), *failure, unit.now()));
    return ack();
  }
  const PolicyRecord record = policy_record(*decision, entry.id());
  const std::string answer(unit.policy("dedup_id", {record.raw()}).text());
  const Duration ttl = unit.policy("dedup_ttl", {record.raw()}).duration();
  unit.claim(dedup_key(dedup_id(answer, *decision, entry.id())), entry.id(), ttl);
  unit.emit("intent", intent_record(*decision, entry.id(), unit));
  return ack();
}

}  // namespace sluice::router
