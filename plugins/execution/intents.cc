#include "execution/intents.h"

#include <algorithm>
#include <utility>

#include "common/plan.h"
#include "common/text.h"
#include "execution/order.h"
#include "execution/result.h"

namespace sluice::execution {
namespace {

constexpr Duration kProcessedTtl = std::chrono::seconds(3600);

RiskBounds risk_bounds(const Settings& settings) {
  return {settings.decimal("size_min"),     settings.decimal("size_max"),
          settings.decimal("leverage_min"), settings.decimal("leverage_max"),
          settings.decimal("notional_max"), settings.number("min_confidence")};
}

bool lacks_snapshot(const EntrySize& size) {
  return size.refusal == "no_exchange_snapshot" || size.refusal == "stale_exchange_state";
}

}  // namespace

// An intent and where it came from.
struct Intents::Case {
  Duration age() const { return unit.now() - intent.made; }
  // The reference has no other id that lasts from the intent to its record.
  std::string trace_id() const {
    const std::string_view given = entry["trace_id"];
    return given.empty() ? intent.key() : std::string(given);
  }
  std::string decision_us() const {
    const std::string_view given = entry["decision_us"];
    return given.empty() ? trade::micros_text(intent.made) : std::string(given);
  }

  const TradeIntent& intent;
  const Entry& entry;
  Unit& unit;
  const std::string client_order_id;
};

void Intents::check(const Settings& settings) {
  const RiskBounds bounds = risk_bounds(settings);
  if (bounds.size_min > bounds.size_max) throw SettingError("size_min", "is above size_max");
  if (bounds.leverage_min > bounds.leverage_max)
    throw SettingError("leverage_min", "is above leverage_max");
  paper::account_setting(settings);
}

Intents::Intents(const Settings& settings)
    : account_(settings.text("account")),
      intent_age_max_(settings.duration("intent_age_max")),
      order_ttl_(settings.duration("order_ttl")),
      snapshot_age_max_(settings.duration("snapshot_age_max")),
      snapshot_wait_(settings.duration("snapshot_wait")),
      price_band_(settings.decimal("price_band")),
      bounds_(risk_bounds(settings)) {}

Verdict Intents::process(const Entry& entry, Unit& unit) {
  std::string why;
  const auto intent = read_trade_intent(entry.fields(), why);
  if (!intent) return reject("invalid_intent", why);
  const Case c{*intent, entry, unit,
               trade::client_order_id(account_, intent->key(), kIntentLeg, intent->symbol,
                                      intent->action, "MARKET")};
  const Duration age = c.age();
  if (age > intent_age_max_ || age < -intent_age_max_) {
    stale_.drop(intent->symbol, age, intent_age_max_, unit);
    return end(c, "EXPIRED", "stale_intent");
  }
  const auto failure = unit.failure();
  if (failure && failure->condition == Failure::Condition::kClaim) return duplicate(c, *failure);
  return judge(c);
}

Verdict Intents::judge(const Case& c) {
  Unit& unit = c.unit;
  // Outlives the age of any intent with this key, so it is executed once at most.
  unit.claim("quantum:exec:processed:" + c.intent.key(), c.entry.id(),
             std::max(kProcessedTtl, 2 * intent_age_max_));
  if (trade::kill_switch_set(unit)) {
    unit.log(SLUICE_LOG_WARNING, "[KILL_SWITCH] intent not executed: " + c.intent.key());
    return end(c, "REJECTED", "kill_switch_active");
  }
  if (c.intent.reduces) return end(c, "REJECTED", "exit_in_entry_lane");
  const Risk risk = judge_risk(c.intent, bounds_);
  if (!risk.refusal.empty()) return end(c, "REJECTED", risk.refusal);
  const Value snapshot = unit.get(trade::snapshot_key(c.intent.symbol));
  const EntrySize size =
      size_entry(c.intent, risk.size, trade::read_position(trade::look(snapshot)), unit.now(),
                 snapshot_age_max_, price_band_);
  const Time wait_end = c.entry.first_delivered() + snapshot_wait_;
  if (lacks_snapshot(size) && unit.now() < wait_end)
    return wait({trade::snapshot_key(c.intent.symbol)}, wait_end);
  if (!size.refusal.empty()) return end(c, "REJECTED", size.refusal);
  return order(c, risk, size);
}

Verdict Intents::order(const Case& c, const Risk& risk, const EntrySize& size) const {
  // What nobody may have changed between this look and the order's emission.
  c.unit.unchanged(trade::kKillKey);
  c.unit.unchanged(trade::kGlobalKillKey);
  const Time until = std::min(c.unit.now() + order_ttl_, c.intent.made + intent_age_max_);
  c.unit.emit("order", {{"permits", "none"},
                        {"intent_key", c.intent.key()},
                        {"intent_id", c.entry.id()},
                        {"client_order_id", c.client_order_id},
                        {"symbol", c.intent.symbol},
                        {"side", c.intent.action},
                        {"type", "MARKET"},
                        {"quantity", size.quantity.text()},
                        {"reduceOnly", "false"},
                        {"mark_price", size.price.text()},
                        {"notional", size.notional.text()},
                        {"leverage", risk.leverage.text()},
                        {"intent_timestamp", c.intent.timestamp},
                        {"created_us", trade::micros_text(c.unit.now())},
                        {"valid_until_us", trade::micros_text(until)},
                        {"trace_id", c.trace_id()},
                        {"decision_id", c.entry["decision_id"]},
                        {"decision_us", c.decision_us()},
                        {"action", c.intent.action}});
  return ack();
}

Verdict Intents::duplicate(const Case& c, const Failure& failure) const {
  c.unit.emit("duplicate", {{"decision_id", c.entry["decision_id"]},
                            {"intent_id", c.entry.id()},
                            {"key", failure.key},
                            {"earlier", failure.met_text},
                            {"trace_id", c.trace_id()},
                            {"symbol", c.intent.symbol},
                            {"decision_us", c.decision_us()},
                            {"state", "DUPLICATE"},
                            {"reason", "duplicate_intent"}});
  c.unit.log(SLUICE_LOG_INFO, "IDEMPOTENCY_SKIP: " + c.intent.key());
  return ack();
}

// The one terminal record of an intent that became no order.
Verdict Intents::end(const Case& c, std::string status, std::string_view reason) const {
  Told told;
  told.leg = kIntentLeg;
  told.type = "MARKET";
  told.client_order_id = c.client_order_id;
  told.symbol = c.intent.symbol;
  told.side = c.intent.action == "CLOSE" ? "" : c.intent.action;
  told.action = c.intent.action;
  told.leverage = c.intent.leverage.value_or(Decimal()).text();
  told.trace_id = c.trace_id();
  told.decision_id = c.entry["decision_id"];
  told.decision_us = c.decision_us();
  told.intent_id = c.entry.id();
  told.reduce_only = c.intent.reduces;
  told.mark_price = c.intent.entry_price;
  const Terminal terminal = not_sent(std::move(status), std::string(reason));
  const Record result = result_record(told, terminal, c.unit.now());
  c.unit.emit("result", result);
  c.unit.emit("legacy", envelope_of(result));
  c.unit.log(SLUICE_LOG_INFO, terminal_line(told, terminal));
  return ack();
}

}  // namespace sluice::execution
