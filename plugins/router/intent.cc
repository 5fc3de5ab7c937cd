#include "router/intent.h"

#include <algorithm>
#include <limits>

#include "common/text.h"

namespace sluice::router {

namespace {

using trade::Json;

// JSON of a value as it was read. Recursion ends at the depth the parser allows.
std::string json_text(const Json& value) {
  switch (value.type()) {
    case Json::Type::kNull:
      return "null";
    case Json::Type::kBoolean:
      return value.is_true() ? "true" : "false";
    case Json::Type::kNumber:
      return std::string(value.text());
    case Json::Type::kText:
      return trade::json_quoted(value.text());
    case Json::Type::kArray: {
      std::string list;
      for (const Json& item : value.items()) list += (list.empty() ? "" : ", ") + json_text(item);
      return "[" + list + "]";
    }
    default: {
      trade::JsonObject object;
      for (const Json& member : value.items()) object.raw(member.name(), json_text(member));
      return object.str();
    }
  }
}

constexpr double kAny = std::numeric_limits<double>::max();

// As a message shows it: a text without its quotes.
std::string shown(const Json& value) {
  return value.is_text() ? std::string(value.text()) : json_text(value);
}

bool is_symbol(std::string_view text) {
  constexpr std::string_view kQuote = "USDT";
  if (!text.ends_with(kQuote)) return false;
  const std::string_view base = text.substr(0, text.size() - kQuote.size());
  return base.size() >= 3 && base.size() <= 10 &&
         std::all_of(base.begin(), base.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

bool is_action(std::string_view text) { return text == "BUY" || text == "SELL" || text == "CLOSE"; }

// Numbers are compared as the doubles they read as, like the schema does.
bool is_number_in(const Json& value, double least, double most, bool above_least = false) {
  const auto number = value.is_number() ? trade::read_double(value.text()) : std::nullopt;
  return number && *number <= most && (above_least ? *number > least : *number >= least);
}

}  // namespace

std::vector<std::string> intent_faults(const Json& payload, IntentVersion version) {
  std::vector<std::string> faults;
  std::vector<const char*> required = {"symbol", "action", "confidence", "timestamp"};
  if (version == IntentVersion::k1_0)
    required.insert(required.end(), {"position_size_usd", "leverage"});
  for (const char* name : required) {
    if (payload.find(name) == nullptr)
      faults.push_back(std::string("Missing required field: ") + name);
  }
  // `sound` is asked of members that are there; null counts as absent where null may stand.
  const auto check = [&](const char* name, const char* message, bool null_too, auto sound) {
    const Json* value = payload.find(name);
    if (value == nullptr || (null_too && value->is_null()) || sound(*value)) return;
    faults.push_back(std::string(message) + ": " + shown(*value));
  };
  const auto text = [](const Json& value) { return value.is_text(); };
  check("symbol", "Invalid symbol format", false,
        [&](const Json& value) { return text(value) && is_symbol(value.text()); });
  check("action", "Invalid action", false,
        [&](const Json& value) { return text(value) && is_action(value.text()); });
  check("confidence", "Invalid confidence range", false,
        [](const Json& value) { return is_number_in(value, 0, 1); });
  check("position_size_usd", "Invalid position_size_usd", true,
        [](const Json& value) { return is_number_in(value, 0, kAny, true); });
  check("leverage", "Invalid leverage range", true,
        [](const Json& value) { return is_number_in(value, 1, 125); });
  // The reference does not look at the types of what follows; its consumers fall over them.
  check("timestamp", "Invalid timestamp", false, text);
  for (const char* name :
       {"entry_price", "stop_loss", "take_profit", "stop_loss_pct", "take_profit_pct", "quantity",
        "ai_size_usd", "ai_leverage", "risk_budget_usd"}) {
    check(name, (std::string("Invalid ") + name).c_str(), true,
          [](const Json& value) { return is_number_in(value, -kAny, kAny); });
  }
  for (const char* name : {"source", "reason"})
    check(name, (std::string("Invalid ") + name).c_str(), true, text);
  for (const char* name : {"ai_harvest_policy", "harvest_policy"})
    check(name, (std::string("Invalid ") + name).c_str(), true,
          [](const Json& value) { return value.is_object(); });
  check("reduce_only", "Invalid reduce_only", true,
        [](const Json& value) { return value.is_true() || value.is_false(); });
  return faults;
}

std::string with_action(const Json& payload) {
  trade::JsonObject object;
  for (const Json& member : payload.items())
    object.raw(member.name() == "side" ? "action" : member.name(), json_text(member));
  return object.str();
}

}  // namespace sluice::router
