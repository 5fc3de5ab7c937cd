#include "router/router.h"

#include "common/control.h"
#include "common/text.h"

namespace sluice::router {

namespace {

constexpr std::string_view kSafeModeKey = "quantum:safety:safe_mode";
// Beyond a window its counters only cost memory; two seconds forgive clocks that differ.
constexpr Duration kWindowSlack = std::chrono::seconds(2);

PolicyRecord policy_record(const Decision& decision, std::string_view decision_id) {
  PolicyRecord record;
  record.text("entry_id", decision_id)
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

void emit_intent(const Decision& decision, const Origin& origin, Unit& unit) {
  const std::string now = trade::iso_z(unit.now());
  unit.emit("intent", {{"event_type", "trade.intent"},
                       {"payload", intent_payload(decision, now)},
                       {"timestamp", now},
                       {"source", "ai_strategy_router"},
                       {"trace_id", decision.trace_id},
                       {"correlation_id", decision.correlation_id},
                       {"decision_id", origin.id},
                       {"decision_us", origin.us},
                       {"policy", unit.policy_version()}});
}

// The end of a decision that becomes no intent.
Record ending(const Decision& decision, const Origin& origin, std::string_view state,
              std::string_view reason) {
  return {{"decision_id", origin.id},
          {"trace_id", decision.trace_id},
          {"symbol", decision.symbol},
          {"decision_us", origin.us},
          {"state", state},
          {"reason", reason}};
}

// What stands under a dedup key: the entry id of the decision that took it and, where the id is the
// producer's, the digest of its content.
struct Taken {
  std::string_view id;
  std::string_view digest;  // empty: what has the key is the same, whatever it says
};

Taken read_taken(std::string_view value) {
  const size_t space = value.find(' ');
  if (space == value.npos) return {value, {}};
  return {value.substr(0, space), value.substr(space + 1)};
}

// "all" or "symbol": which of the two rates `key` counts.
bool counts_all(std::string_view key) { return key.starts_with("quantum:safety:rate:global:"); }

// Windows follow each other without gaps, as the keys of other writers do.
std::string bucket(Time now, Duration window) {
  return std::to_string(now.time_since_epoch() / window);
}

}  // namespace

Router::Router(const Settings& settings)
    : min_confidence_(settings.number("min_confidence")),
      defaults_{trade::decimal_text(settings.decimal("position_size_usd")),
                trade::decimal_text(settings.decimal("leverage"))},
      safety_(settings.boolean("safety")),
      selected_(settings.boolean("selected")),
      stage_(settings.stage()) {}

Origin Router::origin_of(const Entry& entry, const Unit& unit) const {
  Origin origin{entry.id(), trade::micros_text(unit.now())};
  if (!selected_) return origin;
  if (const std::string_view id = entry["decision_id"]; !id.empty()) origin.id = id;
  if (const std::string_view us = entry["decision_us"]; !us.empty()) origin.us = us;
  return origin;
}

Verdict Router::process(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto decision = read_decision(entry, defaults_, why);
  if (!decision) {
    unit.log(SLUICE_LOG_INFO,
             "INVALID_DECISION_DROP msg_id=" + std::string(entry.id()) + " " + why);
    return reject("invalid_decision", why);
  }
  if (decision->action == "HOLD")
    return reject("hold_signal", std::string(decision->symbol) + " HOLD");
  if (decision->confidence_value < min_confidence_)
    return reject("low_confidence", "confidence " + std::string(decision->confidence) +
                                        " is below " + trade::float_text(min_confidence_));
  return route(*decision, origin_of(entry, unit), unit);
}

Verdict Router::route(const Decision& decision, const Origin& origin, Unit& unit) const {
  const auto failure = unit.failure();
  if (failure && failure->condition == Failure::Condition::kClaim)
    return duplicate(decision, origin, *failure, unit);

  const PolicyRecord record = policy_record(decision, origin.id);
  const PolicyResult approval = unit.policy("approve", {record.raw()}, 2);
  if (!approval.boolean(0))
    return reject("strategy_denied", "Strategy denied: " + std::string(approval.text(1)));

  std::optional<PolicyResult> limits;
  if (safety_) {
    const Value mode = unit.get(kSafeModeKey);
    if (mode.present() && (!mode.is_text() || trade::kill_word_set(mode.text())))
      return reject("SAFE_MODE_ENABLED", std::string(kSafeModeKey) + " is set");
    limits = unit.policy("safety_limits", {record.raw()}, 4);
    if (failure && failure->condition == Failure::Condition::kReserve)
      return enter_safe_mode(decision, origin, *failure, *limits, unit);
  }
  const std::string answer(unit.policy("dedup_id", {record.raw()}).text());
  const Duration ttl = unit.policy("dedup_ttl", {record.raw()}).duration();
  // A policy that composes ids says itself what makes two decisions the same.
  const bool is_composed = !trade::trim(answer).empty();
  std::string taken;
  taken.reserve(64);
  taken += origin.id;
  if (!is_composed) taken.append(" ").append(content_digest(decision, !selected_));
  unit.claim(dedup_key(dedup_id(answer, decision, origin.id)), taken, ttl);
  if (limits) {
    const Duration window = limits->duration(0);
    const std::string now = bucket(unit.now(), window);
    unit.reserve("quantum:safety:rate:global:" + now, 1, limits->integer(1), WindowKind::kFixed,
                 window + kWindowSlack);
    unit.reserve("quantum:safety:rate:symbol:" + std::string(decision.symbol) + ":" + now, 1,
                 limits->integer(2), WindowKind::kFixed, window + kWindowSlack);
    unit.unchanged(kSafeModeKey);
  }
  emit_intent(decision, origin, unit);
  return ack();
}

Verdict Router::duplicate(const Decision& decision, const Origin& origin, const Failure& failure,
                          Unit& unit) const {
  const Taken taken = read_taken(failure.met_text);
  const bool conflicts =
      !taken.digest.empty() && taken.digest != content_digest(decision, !selected_);
  Record record = conflicts ? ending(decision, origin, "CONFLICT", "conflict")
                            : ending(decision, origin, "DUPLICATE", "duplicate");
  record.add("key", failure.key);
  record.add("earlier", taken.id);
  unit.emit("duplicate", record);
  const std::string ids =
      " key=" + std::string(failure.key) + " corr=" + std::string(decision.correlation_id) +
      " trace=" + std::string(decision.trace_id) + " msg_id=" + std::string(origin.id);
  if (conflicts) {
    unit.count("quantum_router_conflicts_total");
    unit.log(SLUICE_LOG_WARNING, "CONFLICT_SKIP" + ids + " earlier=" + std::string(taken.id));
  } else {
    unit.log(SLUICE_LOG_INFO, "DUPLICATE_SKIP" + ids);
  }
  return ack();
}

Verdict Router::enter_safe_mode(const Decision& decision, const Origin& origin,
                                const Failure& failure, const PolicyResult& limits,
                                Unit& unit) const {
  const bool all = counts_all(failure.key);
  const std::string_view reason = all ? "GLOBAL_RATE_EXCEEDED" : "SYMBOL_RATE_EXCEEDED";
  const std::string met = std::to_string(failure.met_count);
  const auto seconds = [](Duration time) {
    return trade::decimal_text(Decimal::from_scaled(time.count(), 6));
  };
  unit.put(kSafeModeKey, "1", limits.duration(3));
  unit.emit("fault", Record{{"timestamp", trade::iso_z(unit.now())},
                            {"reason", reason},
                            {"symbol", decision.symbol},
                            {"side", decision.side},
                            {"global_count", all ? met : ""},
                            {"symbol_count", all ? "" : met},
                            {"global_max", std::to_string(limits.integer(1))},
                            {"symbol_max", std::to_string(limits.integer(2))},
                            {"window_sec", seconds(limits.duration(0))},
                            {"cooldown_sec", seconds(limits.duration(3))},
                            {"router_pid", stage_},
                            {"correlation_id", decision.correlation_id},
                            {"trace_id", decision.trace_id},
                            {"decision_id", origin.id}});
  unit.emit("refused", ending(decision, origin, "REFUSED", reason));
  unit.log(SLUICE_LOG_ERROR, std::string(reason) + " " + std::string(decision.symbol) + ": " + met +
                                 " in " + std::string(failure.key) + ", safe mode is on");
  return ack();
}

}  // namespace sluice::router
