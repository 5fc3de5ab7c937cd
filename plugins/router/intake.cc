#include "router/intake.h"

#include "common/text.h"
#include "router/intent.h"

namespace sluice::router {

namespace {

// No date is long ago.
Time first_moment(std::string_view date) {
  const auto time = trade::parse_iso(std::string(trade::trim(date)) + "T00:00:00Z");
  return time.value_or(Time());
}

std::string joined(const std::vector<std::string>& faults) {
  std::string text;
  for (const std::string& fault : faults) text += (text.empty() ? "" : "; ") + fault;
  return text;
}

Verdict unparsed(const std::string& why, Unit& unit) {
  unit.count("trade_intent_parse_errors");
  return reject("invalid_intent", why);
}

}  // namespace

Verdict Intake::process(const Entry& entry, Unit& unit) const {
  const auto payload = entry.find("payload");
  const auto text = payload ? payload : entry.find("data");
  if (!text) return unparsed("payload is missing", unit);
  std::string why;
  auto intent = trade::Json::parse(*text, why);
  if (!intent) return unparsed("payload is not JSON: " + why, unit);
  if (!intent->is_object()) return unparsed("payload is not a JSON object", unit);

  std::string json(*text);
  if (intent->find("action") == nullptr && intent->find("side") != nullptr) {
    unit.count("trade_intent_schema_mismatches");
    PolicyRecord record;
    record.text("entry_id", entry.id())
        .text("source", entry["source"])
        .text("symbol", intent->text_of("symbol"))
        .text("side", intent->text_of("side"));
    const std::string until(unit.policy("side_until", {record.raw()}).text());
    if (unit.now() >= first_moment(until)) {
      unit.count("trade_intent_validation_failures");
      return reject("side_removed",
                    "Missing required field: action; side stood for it until " + until);
    }
    json = with_action(*intent);
    intent = trade::Json::parse(json, why);
    unit.log(SLUICE_LOG_WARNING, "intent " + std::string(entry.id()) + " of " +
                                     std::string(entry["source"]) + " has side for action, until " +
                                     until);
  }
  const std::vector<std::string> faults = intent_faults(*intent);
  if (!faults.empty()) {
    unit.count("trade_intent_validation_failures");
    return reject("invalid_intent", joined(faults));
  }

  const std::string source(entry.find("source").value_or(intent->text_of("source")));
  const std::string now = trade::iso_z(unit.now());
  unit.emit("intent", Record{{"event_type", "trade.intent"},
                             {"payload", json},
                             {"timestamp", entry.find("timestamp").value_or(now)},
                             {"source", source.empty() ? "unknown" : source},
                             {"trace_id", entry["trace_id"]},
                             {"correlation_id", entry["correlation_id"]},
                             {"decision_id", entry.id()},
                             {"decision_us", trade::micros_text(unit.now())},
                             {"policy", unit.policy_version()}});
  return ack();
}

}  // namespace sluice::router
