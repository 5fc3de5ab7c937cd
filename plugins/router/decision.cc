#include "router/decision.h"

#include <functional>

#include "common/digest.h"
#include "common/json.h"
#include "common/text.h"

namespace sluice::router {

namespace {

using trade::Json;

constexpr std::string_view kExtras[] = {"stop_loss_pct", "take_profit_pct", "entry_price",
                                        "stop_loss",     "take_profit",     "quantity"};

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
  Fields(const EntryFields& entry, const Json* payload) : entry_(entry), payload_(payload) {}

  bool has(std::string_view name) const {
    return payload_ != nullptr ? payload_->find(name) != nullptr : entry_.find(name).has_value();
  }
  std::string_view text(std::string_view name) const {
    return payload_ != nullptr ? payload_->text_of(name) : entry_.find(name).value_or("");
  }

  // True, a number that is not 0, or a text that says neither no nor nothing.
  bool truthy(std::string_view name) const {
    std::string_view said;
    if (payload_ != nullptr) {
      const Json* member = payload_->find(name);
      if (member == nullptr) return false;
      if (member->is_true()) return true;
      if (member->is_text()) said = member->text();
      if (member->is_number())
        said = trade::read_double(member->text()).value_or(0) == 0 ? "0" : "1";
    } else {
      said = entry_.find(name).value_or("");
    }
    const std::string word = trade::lower(trade::trim(said));
    for (const std::string_view no : {"", "0", "false", "no", "off", "none", "null"}) {
      if (word == no) return false;
    }
    return true;
  }

  // Absent or null leaves `out` alone; false when there is something else than a number.
  template <typename Text>
  bool number(std::string_view name, Text& out, std::string& why) const {
    std::string_view text;
    if (payload_ != nullptr) {
      const Json* member = payload_->find(name);
      if (member == nullptr || member->is_null()) return true;
      if (member->is_number()) text = member->text();
    } else {
      const auto value = entry_.find(name);
      if (!value || trade::trim(*value).empty()) return true;
      text = trade::trim(*value);
    }
    if (trade::read_double(text) && (payload_ != nullptr || is_json_number(text))) {
      out = text;
      return true;
    }
    why = std::string(name) + " is not a number";
    if (!text.empty()) why.append(": ").append(text);
    return false;
  }

 private:
  const EntryFields& entry_;
  const Json* payload_;
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
  const char* side_field = fields.has("side") ? "side" : "action";
  decision.symbol = trade::trim(fields.text("symbol"));
  decision.side = trade::trim(fields.text(side_field));
  if (decision.symbol.empty()) {
    why = "symbol is missing, blank or not text";
    return false;
  }
  if (decision.side.empty()) {
    why = std::string(side_field) + " is missing, blank or not text";
    return false;
  }
  const auto action = action_of(decision.side);
  if (!action) {
    why = std::string(side_field) + " is " + std::string(decision.side) +
          ", expected BUY, SELL, CLOSE, HOLD, LONG or SHORT";
    return false;
  }
  decision.action = *action;
  return true;
}

bool read_numbers(const Fields& fields, Decision& decision, std::string& why) {
  if (!fields.number("confidence", decision.confidence, why) ||
      !fields.number("position_size_usd", decision.position_size_usd, why) ||
      !fields.number("leverage", decision.leverage, why))
    return false;
  decision.confidence_value = *trade::read_double(decision.confidence);
  if (decision.confidence_value < 0 || decision.confidence_value > 1) {
    why = "confidence is " + std::string(decision.confidence) + ", expected 0 to 1";
    return false;
  }
  for (const std::string_view name : kExtras) {
    std::string_view value;
    if (!fields.number(name, value, why)) return false;
    if (!value.empty()) decision.extras.emplace_back(name, value);
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
  const Json* confidence = decision.payload->find("confidence");
  if (confidence != nullptr && !confidence->is_number()) {
    why = "confidence is not a number";
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
  decision->position_size_usd = defaults.position_size_usd;
  decision->leverage = defaults.leverage;
  if (!read_words(fields, *decision, why) || !read_numbers(fields, *decision, why))
    return std::nullopt;
  decision->timestamp = fields.text("timestamp");
  decision->model = fields.text("model");
  decision->strategy = fields.text("strategy");
  decision->regime = fields.text("regime");
  decision->rl_gate_pass = fields.truthy("rl_gate_pass");
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
