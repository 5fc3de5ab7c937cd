#include "p33/hold.h"

#include "common/json.h"
#include "common/text.h"

namespace sluice::p33 {

std::string hold_key(std::string_view symbol) {
  return "quantum:reconcile:hold:" + std::string(symbol);
}

bool is_holding(const Value& value) {
  return value.present() && (!value.is_text() || !value.text().empty());
}

std::string own_hold_text(const OwnHold& hold) {
  return trade::JsonObject()
      .text("by", "reconcile")
      .text("reason", hold.reason)
      .integer("until_us", hold.until_us)
      .str();
}

std::optional<OwnHold> read_own_hold(const Value& value) {
  std::string why;
  const auto json = trade::Json::parse(value.text(), why);
  if (!json || json->text_of("by") != "reconcile") return std::nullopt;
  const auto until = trade::read_integer(json->number_of("until_us"));
  const std::string_view reason = json->text_of("reason");
  if (!until || reason.empty()) return std::nullopt;
  return OwnHold{std::string(reason), *until};
}

}  // namespace sluice::p33
