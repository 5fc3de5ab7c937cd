#include "execution/intent.h"

#include <algorithm>

#include "common/json.h"
#include "common/text.h"

namespace sluice::execution {
namespace {

using trade::Json;

// Thrown inside this file only, and caught in it.
struct Fault {
  std::string text;
};

[[noreturn]] void fail(std::string_view name, std::string_view rule, const Json* met = nullptr) {
  std::string text = std::string(name) + ": expected " + std::string(rule);
  if (met != nullptr && !met->text().empty())
    text += ", got " + std::string(met->text().substr(0, 80));
  throw Fault{std::move(text)};
}

std::string need_text(const Json& payload, std::string_view name) {
  const Json* value = payload.find(name);
  if (value == nullptr || !value->is_text() || value->text().empty())
    fail(name, "a text that is not empty", value);
  return std::string(value->text());
}

std::optional<Decimal> read_amount(const Json& payload, std::string_view name, bool positive) {
  const Json* value = payload.find(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  const auto amount = value->is_number() ? Decimal::parse(value->text()) : std::nullopt;
  if (!amount || (positive && !amount->is_positive()))
    fail(name, positive ? "a number above 0" : "a number", value);
  return amount;
}

std::optional<Decimal> first_amount(const Json& payload, std::string_view a, std::string_view b) {
  const auto first = read_amount(payload, a, true), second = read_amount(payload, b, true);
  return first ? first : second;
}

bool reads_as_reducing(const Json& payload) {
  const Json* flag = payload.find("reduce_only");
  if (flag == nullptr || flag->is_null() || flag->is_false()) return false;
  if (!flag->is_true()) fail("reduce_only", "true or false", flag);
  return true;
}

TradeIntent read(const Json& payload) {
  TradeIntent intent;
  intent.symbol = need_text(payload, "symbol");
  const bool has_action = payload.find("action") != nullptr;
  intent.action = need_text(payload, has_action ? "action" : "side");
  if (intent.action != "BUY" && intent.action != "SELL" && intent.action != "CLOSE")
    fail(has_action ? "action" : "side", "BUY, SELL or CLOSE",
         payload.find(has_action ? "action" : "side"));
  const auto confidence = trade::read_double(payload.number_of("confidence"));
  if (!confidence || *confidence < 0 || *confidence > 1)
    fail("confidence", "a number from 0 to 1", payload.find("confidence"));
  intent.confidence = *confidence;
  intent.timestamp = need_text(payload, "timestamp");
  const auto made = trade::parse_iso(intent.timestamp);
  if (!made) fail("timestamp", "an ISO 8601 time", payload.find("timestamp"));
  intent.made = *made;
  intent.size_usd = first_amount(payload, "ai_size_usd", "position_size_usd");
  intent.leverage = first_amount(payload, "ai_leverage", "leverage");
  intent.entry_price = read_amount(payload, "entry_price", true);
  intent.risk_budget = read_amount(payload, "risk_budget_usd", false);
  intent.reduces = reads_as_reducing(payload) || intent.action == "CLOSE";
  return intent;
}

// Whether `price` is within `band` per cent of `mark`; false when that cannot be computed.
bool is_near(const Decimal& price, const Decimal& mark, const Decimal& band) {
  const auto off = price.minus(mark);
  const auto hundredfold = off ? off->abs().times(Decimal(100)) : std::nullopt;
  const auto allowed = mark.times(band);
  return hundredfold && allowed && *hundredfold <= *allowed;
}

}  // namespace

std::optional<TradeIntent> read_trade_intent(const Record& fields, std::string& why) {
  const char* name = fields.find("payload") ? "payload" : "data";
  const auto text = fields.find(name);
  if (!text) {
    why = "payload is missing";
    return std::nullopt;
  }
  const auto payload = Json::parse(*text, why);
  if (!payload || !payload->is_object()) {
    why = std::string(name) + " is not a JSON object" + (payload ? "" : ": " + why);
    return std::nullopt;
  }
  try {
    return read(*payload);
  } catch (const Fault& fault) {
    why = fault.text;
    return std::nullopt;
  }
}

Risk judge_risk(const TradeIntent& intent, const RiskBounds& bounds) {
  if (!intent.size_usd) return {"missing_position_size", {}, {}};
  Risk risk;
  risk.size = std::clamp(*intent.size_usd, bounds.size_min, bounds.size_max);
  risk.leverage =
      std::clamp(intent.leverage.value_or(Decimal(10)), bounds.leverage_min, bounds.leverage_max);
  const auto notional = risk.size.times(risk.leverage);
  if (!notional || *notional > bounds.notional_max)
    risk.refusal = "NOTIONAL_EXCEEDED";
  else if (bounds.confidence_min > 0 && intent.confidence < bounds.confidence_min)
    risk.refusal = "CONFIDENCE_BELOW_FLOOR";
  else if (intent.risk_budget && risk.size > *intent.risk_budget)
    risk.refusal = "EXCEEDS_RISK_BUDGET";
  return risk;
}

EntrySize size_entry(const TradeIntent& intent, const Decimal& size,
                     const std::optional<trade::Position>& position, Time now,
                     Duration snapshot_age_max, const Decimal& price_band) {
  if (const auto refusal = trade::refuse_snapshot(position, now, snapshot_age_max);
      !refusal.empty())
    return {refusal, {}, {}, {}};
  const Decimal price = intent.entry_price.value_or(*position->mark_price);
  if (!is_near(price, *position->mark_price, price_band))
    return {"entry_price_out_of_band", {}, {}, {}};
  const auto opening = trade::size_opening(size, price, *position->filters);
  if (!opening) return {"qty_below_min", {}, {}, {}};
  return {"", opening->qty, price, opening->notional};
}

}  // namespace sluice::execution
