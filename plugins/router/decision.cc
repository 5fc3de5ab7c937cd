#include "router/decision.h"

#include <array>

#include "common/digest.h"
#include "common/json.h"
#include "common/text.h"

namespace sluice::router {

namespace {

using trade::Json;

// What a decision is made of, in either form. Numbers from kStopLossPct to kQuantity are passed
// through, in this order.
enum class Name : size_t {
  kSymbol,
  kSide,
  kAction,
  kConfidence,
  kPositionSizeUsd,
  kLeverage,
  kStopLossPct,
  kTakeProfitPct,
  kEntryPrice,
  kStopLoss,
  kTakeProfit,
  kQuantity,
  kTimestamp,
  kModel,
  kStrategy,
  kRegime,
  kRlGatePass
};
constexpr std::array<std::string_view, 17> kNames = {
    "symbol",      "side",          "action",          "confidence",  "position_size_usd",
    "leverage",    "stop_loss_pct", "take_profit_pct", "entry_price", "stop_loss",
    "take_profit", "quantity",      "timestamp",       "model",       "strategy",
    "regime",      "rl_gate_pass"};

constexpr std::string_view name_of(Name name) { return kNames[static_cast<size_t>(name)]; }
static_assert(name_of(Name::kQuantity) == "quantity" &&
              name_of(Name::kRlGatePass) == "rl_gate_pass");

std::string_view view(sluice_text text) { return {text.data, text.size}; }

// The fields of an entry, looked at many times. Views of them last as long as the entry's.
class EntryFields {
 public:
  explicit EntryFields(std::vector<sluice_field> fields) : fields_(std::move(fields)) {}

  const std::vector<sluice_field>& all() const { return fields_; }
  std::optional<std::string_view> find(std::string_view name) const {
    for (const sluice_field& field : fields_) {
      if (view(field.name) == name) return view(field.value);
    }
    return std::nullopt;
  }

 private:
  std::vector<sluice_field> fields_;
};

// Where the JSON of a decision is; `data` is what older producers call it.
struct PayloadText {
  std::string_view field, json;
};
std::optional<PayloadText> payload_of(const EntryFields& entry) {
  for (const std::string_view field : {"payload", "data"}) {
    if (const auto json = entry.find(field)) return PayloadText{field, *json};
  }
  return std::nullopt;
}

// As which a number of the flat form is written on: 00.5 and 1. are none.
bool is_json_number(std::string_view text) {
  std::string why;
  const auto json = Json::parse(text, why);
  return json && json->is_number();
}

// Field values of either form. A number in the flat form is text, as everything there is.
class Fields {
 public:
  // All are found in one pass: most names are not there.
  Fields(const EntryFields& entry, const Json* payload) {
    if (payload != nullptr) {
      for (const Json& member : payload->items())
        meet(member.name(), {.there = true, .json = &member});
    } else {
      for (const sluice_field& field : entry.all())
        meet(view(field.name), {.there = true, .flat = view(field.value)});
    }
  }

  bool has(Name name) const { return at(name).there; }
  // Whether something is there that is no JSON number.
  bool is_other_json(Name name) const {
    return at(name).json != nullptr && !at(name).json->is_number();
  }
  std::string_view text(Name name) const {
    const Met& met = at(name);
    if (met.json == nullptr) return met.flat;
    return met.json->is_text() ? met.json->text() : "";
  }

  // True, a number that is not 0, or a text that says neither no nor nothing.
  bool truthy(Name name) const {
    const Json* json = at(name).json;
    if (json != nullptr && json->is_true()) return true;
    if (json != nullptr && json->is_number())
      return trade::read_double(json->text()).value_or(0) != 0;
    const std::string word = trade::lower(trade::trim(text(name)));
    for (const std::string_view no : {"", "0", "false", "no", "off", "none", "null"}) {
      if (word == no) return false;
    }
    return true;
  }

  // Absent or null leaves `out` alone; false when there is something else than a number.
  template <typename Text>
  bool number(Name name, Text& out, std::string& why) const {
    const Met& met = at(name);
    std::string_view text;
    if (met.json != nullptr) {
      if (met.json->is_null()) return true;
      if (met.json->is_number()) text = met.json->text();
    } else {
      text = trade::trim(met.flat);
      if (text.empty()) return true;
    }
    if (trade::read_double(text) && (met.json != nullptr || is_json_number(text))) {
      out = text;
      return true;
    }
    why = std::string(name_of(name)) + " is not a number";
    if (!text.empty()) why.append(": ").append(text);
    return false;
  }

 private:
  struct Met {
    bool there = false;
    const Json* json = nullptr;
    std::string_view flat = {};
  };

  const Met& at(Name name) const { return met_[static_cast<size_t>(name)]; }
  // The first of a name counts; an entry may have several.
  void meet(std::string_view name, const Met& met) {
    for (size_t i = 0; i < kNames.size(); ++i) {
      if (kNames[i] != name) continue;
      if (!met_[i].there) met_[i] = met;
      return;
    }
  }

  std::array<Met, kNames.size()> met_{};
};

std::optional<std::string_view> action_of(std::string_view side) {
  const std::string word = trade::upper(side);
  if (word == "LONG") return "BUY";
  if (word == "SHORT") return "SELL";
  for (const std::string_view action : {"BUY", "SELL", "CLOSE", "HOLD"}) {
    if (word == action) return action;
  }
  return std::nullopt;
}

bool read_words(const Fields& fields, Decision& decision, std::string& why) {
  const Name side = fields.has(Name::kSide) ? Name::kSide : Name::kAction;
  decision.symbol = trade::trim(fields.text(Name::kSymbol));
  decision.side = trade::trim(fields.text(side));
  if (decision.symbol.empty()) {
    why = "symbol is missing, blank or not text";
    return false;
  }
  if (decision.side.empty()) {
    why = std::string(name_of(side)) + " is missing, blank or not text";
    return false;
  }
  const auto action = action_of(decision.side);
  if (!action) {
    why = std::string(name_of(side)) + " is " + std::string(decision.side) +
          ", expected BUY, SELL, CLOSE, HOLD, LONG or SHORT";
    return false;
  }
  decision.action = *action;
  return true;
}

bool read_numbers(const Fields& fields, Decision& decision, std::string& why) {
  if (!fields.number(Name::kConfidence, decision.confidence, why) ||
      !fields.number(Name::kPositionSizeUsd, decision.position_size_usd, why) ||
      !fields.number(Name::kLeverage, decision.leverage, why))
    return false;
  decision.confidence_value = *trade::read_double(decision.confidence);
  if (decision.confidence_value < 0 || decision.confidence_value > 1) {
    why = "confidence is " + std::string(decision.confidence) + ", expected 0 to 1";
    return false;
  }
  for (auto i = static_cast<size_t>(Name::kStopLossPct); i <= static_cast<size_t>(Name::kQuantity);
       ++i) {
    std::string_view value;
    if (!fields.number(static_cast<Name>(i), value, why)) return false;
    if (!value.empty()) decision.extras.emplace_back(kNames[i], value);
  }
  return true;
}

// Reads the document in `payload` or `data`, where there is one.
bool read_payload(const EntryFields& entry, Decision& decision, std::string& why) {
  const auto text = payload_of(entry);
  if (!text) return true;
  decision.payload = Json::parse(text->json, why);
  if (!decision.payload) {
    why = std::string(text->field) + " is not JSON: " + why;
    return false;
  }
  if (!decision.payload->is_object()) {
    why = std::string(text->field) + " is not a JSON object";
    return false;
  }
  return true;
}

// JSON has none, and what is made of the decision would not be read back.
bool has_zero_byte(const EntryFields& entry, std::string& why) {
  for (const sluice_field& field : entry.all()) {
    if (view(field.value).find('\0') == std::string_view::npos) continue;
    why = std::string(view(field.name)) + " holds a zero byte";
    return true;
  }
  return false;
}

std::optional<Decision> read(const EntryFields& entry, const Defaults& defaults, std::string& why) {
  std::optional<Decision> decision(std::in_place);
  if (!read_payload(entry, *decision, why)) return std::nullopt;
  const Json* payload = decision->payload ? &*decision->payload : nullptr;
  if (payload == nullptr && has_zero_byte(entry, why)) return std::nullopt;
  const Fields fields(entry, payload);
  if (fields.is_other_json(Name::kConfidence)) {
    why = "confidence is not a number";
    return std::nullopt;
  }
  decision->position_size_usd = defaults.position_size_usd;
  decision->leverage = defaults.leverage;
  if (!read_words(fields, *decision, why) || !read_numbers(fields, *decision, why))
    return std::nullopt;
  decision->timestamp = fields.text(Name::kTimestamp);
  decision->model = fields.text(Name::kModel);
  decision->strategy = fields.text(Name::kStrategy);
  decision->regime = fields.text(Name::kRegime);
  decision->rl_gate_pass = fields.truthy(Name::kRlGatePass);
  decision->correlation_id = entry.find("correlation_id").value_or("");
  decision->trace_id = entry.find("trace_id").value_or("");
  decision->source = entry.find("source").value_or("");
  return decision;
}

}  // namespace

std::optional<Decision> read_decision(const Entry& entry, const Defaults& defaults,
                                      std::string& why) {
  return read(EntryFields(entry.raw()), defaults, why);
}

std::optional<Decision> read_decision(const Record& entry, const Defaults& defaults,
                                      std::string& why) {
  return read(EntryFields(entry.raw()), defaults, why);
}

std::string dedup_id(std::string_view policy_answer, const Decision& decision,
                     std::string_view entry_id) {
  constexpr size_t kIdBytesMax = 256;
  std::string_view id = trade::trim(policy_answer);
  if (id.empty()) id = trade::first_usable(decision.correlation_id, decision.trace_id, entry_id);
  return id.size() <= kIdBytesMax ? std::string(id) : "sha256-" + trade::sha256_hex(id);
}

std::string dedup_key(std::string_view id) {
  constexpr std::string_view kFamily = "quantum:dedup:trade_intent:";
  std::string key;
  key.reserve(kFamily.size() + id.size());
  key.append(kFamily).append(id);
  return key;
}

std::string content_digest(const Decision& decision, bool sized) {
  constexpr size_t kDigits = 16;
  std::string content;
  content.reserve(256);
  const auto append_number = [&](std::string_view text) {
    if (const auto exact = Decimal::parse(text))
      content += trade::decimal_text(*exact);
    else
      content += text;
  };
  content.append(decision.symbol).append(1, '\n').append(decision.action).append(1, '\n');
  append_number(decision.confidence);
  content += '\n';
  if (sized) append_number(decision.position_size_usd);
  content += '\n';
  append_number(decision.leverage);
  for (const auto& [name, value] : decision.extras) {
    content.append(1, '\n').append(name).append(1, '=');
    append_number(value);
  }
  return trade::sha256_hex(content, kDigits);
}

std::string decision_payload(const Decision& decision) {
  trade::JsonObject payload;
  payload.text("symbol", decision.symbol)
      .text("side", decision.side)
      .number("confidence", decision.confidence)
      .number("position_size_usd", decision.position_size_usd)
      .number("leverage", decision.leverage);
  for (const auto& [name, value] : decision.extras) payload.number(name, value);
  payload.text("timestamp", decision.timestamp)
      .text("model", decision.model)
      .text("strategy", decision.strategy)
      .text("regime", decision.regime)
      .boolean("rl_gate_pass", decision.rl_gate_pass);
  return std::move(payload).str();
}

std::string intent_payload(const Decision& decision, std::string_view timestamp) {
  trade::JsonObject payload;
  payload.text("symbol", decision.symbol)
      .text("action", decision.action)
      .number("confidence", decision.confidence)
      .number("position_size_usd", decision.position_size_usd)
      .number("leverage", decision.leverage)
      .text("timestamp", timestamp)
      .text("source", "ai_strategy_router");
  for (const auto& [name, value] : decision.extras) payload.number(name, value);
  return std::move(payload).str();
}

}  // namespace sluice::router
