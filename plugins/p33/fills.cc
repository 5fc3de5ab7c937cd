#include "p33/fills.h"

#include <algorithm>

#include "common/json.h"
#include "common/text.h"

namespace sluice::p33 {

namespace {

using trade::decimal_text;
using trade::JsonObject;

std::optional<KnownFill> read_known_fill(std::string_view symbol, const trade::Json& json) {
  const auto text = [&json](std::string_view name) { return std::string(json.text_of(name)); };
  const auto qty = Decimal::parse(json.text_of("qty"));
  const auto at = trade::read_integer(json.number_of("at_us"));
  const auto executed = trade::read_integer(json.number_of("executed_us"));
  const trade::Json* reduce_only = json.find("reduce_only");
  if (!qty || !qty->is_positive() || !at || reduce_only == nullptr) return std::nullopt;
  return KnownFill{{text("client_order_id"), text("order_id"), text("plan_id"), std::string(symbol),
                    text("side"), *qty, reduce_only->is_true(), executed.value_or(0)},
                   *at};
}

}  // namespace

std::optional<Fill> read_fill(const Record& result, std::string& why) {
  const auto text = [&result](std::string_view name) {
    return std::string(result.find(name).value_or(""));
  };
  why.clear();
  const std::string executed = text("executed_qty");
  const auto qty = Decimal::parse(executed);
  if (text("status") != "FILLED" && (executed.empty() || (qty && qty->is_zero())))
    return std::nullopt;
  Fill fill{text("client_order_id"),
            text("order_id"),
            text("plan_id"),
            text("symbol"),
            text("side"),
            qty.value_or(Decimal()),
            text("reduceOnly") == "true"};
  for (const char* name : {"sent_us", "executed_us"})
    fill.executed_us = trade::read_integer(text(name)).value_or(fill.executed_us);
  if (!fill.qty.is_positive()) why = "executed_qty is " + executed;
  if (fill.side != "BUY" && fill.side != "SELL") why = "side is " + fill.side;
  if (fill.symbol.empty()) why = "symbol is missing";
  if (fill.client_order_id.empty()) why = "client_order_id is missing";
  if (!why.empty()) return std::nullopt;
  return fill;
}

std::string booked_key(std::string_view client_order_id) {
  return "quantum:ledger:seen:" + std::string(client_order_id);
}

Decimal unbooked_qty(const Fill& fill, const Value& booked) {
  if (!booked.present()) return fill.qty;
  const auto qty = Decimal::parse(booked.text());
  const auto rest = qty ? fill.qty.minus(*qty) : std::nullopt;
  return rest ? std::max(*rest, Decimal()) : Decimal();
}

std::optional<Balance> balance_after(const Balance& before, int64_t changed_us, const Fill& fill,
                                     const Decimal& qty) {
  const bool sells = fill.side == "SELL";
  const auto add = [sells](const Decimal& amount, const Decimal& part) {
    return sells ? amount.minus(part) : amount.plus(part);
  };
  const bool awaited = sells ? before.carried.is_positive() : before.carried.is_negative();
  const Decimal consumed = awaited ? std::min(qty, before.carried.abs()) : Decimal();
  const auto left = qty.minus(consumed);
  const auto carried = add(before.carried, consumed);
  const auto sum = left ? add(before.amount, *left) : std::nullopt;
  if (!carried || !sum) return std::nullopt;
  if (!fill.reduce_only || fill.executed_us <= changed_us) return Balance{*sum, *carried};

  const bool reduces = sells ? before.amount.is_positive() : before.amount.is_negative();
  const Decimal reduced = reduces ? std::min(*left, before.amount.abs()) : Decimal();
  const auto amount = add(before.amount, reduced);
  const auto beyond = left->minus(reduced);
  const auto owed = beyond ? add(*carried, *beyond) : std::nullopt;
  if (!amount || !owed) return std::nullopt;
  return Balance{*amount, *owed};
}

Record ledger_record(const LedgerEntry& entry, Time now) {
  const Decimal& balance = entry.balance.amount;
  const std::string amount = decimal_text(balance);
  Record record{{"last_known_amt", amount},
                {"last_order_id", entry.last.order_id},
                {"last_result_plan_id", entry.last.plan_id},
                {"last_executed_qty", decimal_text(entry.last.qty)},
                {"last_side", entry.last.side.empty() ? "UNKNOWN" : entry.last.side},
                {"updated_at", std::to_string(entry.filled_at)},
                {"ledger_amt", amount},
                {"ledger_side", trade::side_of(balance)},
                {"ts_epoch", trade::epoch_text(now)},
                {"source", entry.source},
                {"version", std::to_string(entry.version)},
                {"ts_us", trade::micros_text(now)}};
  if (!entry.balance.carried.is_zero())
    record.add("carried_amt", decimal_text(entry.balance.carried));
  return record;
}

Fill last_fill(const trade::Look& ledger) {
  const auto text = [&ledger](std::string_view name) {
    return std::string(ledger(name).value_or(""));
  };
  Fill fill;
  fill.order_id = text("last_order_id");
  fill.plan_id = text("last_result_plan_id");
  fill.qty = Decimal::parse(text("last_executed_qty")).value_or(Decimal());
  fill.side = text("last_side");
  return fill;
}

int64_t ledger_changed_us(const trade::Look& ledger) {
  constexpr int64_t kSecond = 1'000'000;
  int64_t changed = trade::read_integer(ledger("ts_us").value_or("")).value_or(0);
  for (const char* name : {"updated_at", "ts_epoch"}) {
    const auto seconds = trade::read_integer(ledger(name).value_or(""));
    if (!seconds || *seconds < changed / kSecond + 1 || *seconds > INT64_MAX / kSecond - 1)
      continue;
    changed = (*seconds + 1) * kSecond - 1;
  }
  return changed;
}

std::string known_fills_key(std::string_view symbol) {
  return "quantum:reconcile:fills:" + std::string(symbol);
}

std::string known_fills_text(const std::vector<KnownFill>& fills) {
  std::string text = "[";
  for (const KnownFill& known : fills) {
    if (text.size() > 1) text += ", ";
    text += JsonObject()
                .text("client_order_id", known.fill.client_order_id)
                .text("order_id", known.fill.order_id)
                .text("plan_id", known.fill.plan_id)
                .text("side", known.fill.side)
                .text("qty", known.fill.qty.text())
                .boolean("reduce_only", known.fill.reduce_only)
                .integer("executed_us", known.fill.executed_us)
                .integer("at_us", known.at_us)
                .str();
  }
  return text + "]";
}

std::vector<KnownFill> read_known_fills(std::string_view symbol, const Value& value) {
  std::vector<KnownFill> fills;
  std::string why;
  const auto json = trade::Json::parse(value.text(), why);
  if (!json) return fills;
  for (const trade::Json& item : json->items()) {
    if (auto fill = read_known_fill(symbol, item)) fills.push_back(std::move(*fill));
  }
  return fills;
}

}  // namespace sluice::p33
