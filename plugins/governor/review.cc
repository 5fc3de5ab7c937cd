#include "governor/review.h"

#include "common/json.h"
#include "common/text.h"

namespace sluice::governor {

namespace {

using trade::decimal_text;
using trade::JsonObject;

std::string position_text(const trade::Position& position, Time now) {
  JsonObject json;
  json.number("amount", decimal_text(position.amount));
  if (position.mark_price) json.number("mark_price", decimal_text(*position.mark_price));
  return json.integer("age_seconds", trade::age_seconds(position, now)).str();
}

std::string bounds_text(const RiskBounds& bounds) {
  return JsonObject()
      .number("size_max", decimal_text(bounds.size_max))
      .number("leverage_max", decimal_text(bounds.leverage_max))
      .number("notional_max", decimal_text(bounds.notional_max))
      .number("confidence_min", trade::float_text(bounds.confidence_min))
      .str();
}

std::string shares_text(const std::vector<Share>& shares) {
  std::string text = "[";
  for (const Share& share : shares) {
    if (text.size() > 1) text += ", ";
    text += JsonObject()
                .text("counter", share.counter)
                .integer("amount", share.amount)
                .integer("limit", share.limit)
                .str();
  }
  return text + "]";
}

}  // namespace

std::string inputs_text(const trade::Plan& plan, const Review& review, Time now) {
  JsonObject json;
  json.boolean("kill_switch", review.kill_switch).text("kill_score", plan.kill_score);
  if (review.position) json.raw("position", position_text(*review.position, now));
  if (review.amounts) {
    json.number("qty", decimal_text(review.amounts->qty))
        .number("notional", decimal_text(review.amounts->notional));
  }
  if (review.bounds) {
    json.text("leverage", plan.leverage)
        .text("confidence", plan.confidence)
        .text("risk_budget_usd", plan.risk_budget_usd)
        .raw("bounds", bounds_text(*review.bounds));
  }
  if (!review.shares.empty()) json.raw("limits", shares_text(review.shares));
  if (!review.met_counter.empty()) {
    json.raw(
        "met",
        JsonObject().text("counter", review.met_counter).integer("count", review.met_count).str());
  }
  return json.str();
}

}  // namespace sluice::governor
