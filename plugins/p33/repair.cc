#include "p33/repair.h"

#include <algorithm>
#include <cctype>

#include "common/text.h"

namespace sluice::p33 {

namespace {

using trade::decimal_text;

// Operators' clocks may be this far ahead.
constexpr Duration kClockAheadMax = std::chrono::seconds(5);

struct Command {
  std::string symbol, reason, by;
  Decimal amount;
  int64_t at_us = 0;
};

bool is_symbol(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '-';
  });
}

// nullopt, and `why` names the field.
std::optional<Command> read_command(const Entry& entry, std::string& why) {
  const auto amount = Decimal::parse(entry["amount"]);
  const auto at = trade::read_integer(entry["at_us"]);
  Command command{std::string(entry["symbol"]), std::string(trade::trim(entry["reason"])),
                  std::string(trade::trim(entry["by"])), amount.value_or(Decimal()),
                  at.value_or(0)};
  if (!is_symbol(command.symbol)) why = "symbol is \"" + command.symbol + "\"";
  if (!amount) why = "amount is \"" + std::string(entry["amount"]) + "\", not a decimal";
  if (!at) why = "at_us is \"" + std::string(entry["at_us"]) + "\", not microseconds";
  if (command.by.empty()) why = "by is empty: who says so?";
  if (command.reason.empty()) why = "reason is empty: a repair needs one";
  if (!why.empty()) return std::nullopt;
  return command;
}

Record event_of(const Command& command, const Value& stored,
                const std::optional<trade::Ledger>& ledger, const Unit& unit) {
  const Decimal old = ledger ? ledger->amount : Decimal();
  const Decimal diff = command.amount.minus(old).value_or(Decimal()).abs();
  std::string old_text = "missing";
  if (stored.present()) old_text = ledger ? decimal_text(old) : "unreadable";
  return {{"event", "MANUAL_REPAIR"},
          {"symbol", command.symbol},
          {"ts", trade::epoch_text(unit.now())},
          {"old_ledger_amt", old_text},
          {"new_ledger_amt", decimal_text(command.amount)},
          {"diff_amt", decimal_text(diff)},
          {"reason", command.reason},
          {"by", command.by},
          {"command_us", std::to_string(command.at_us)},
          {"at_us", trade::micros_text(unit.now())},
          {"policy", unit.policy_version()}};
}

}  // namespace

Repair::Repair(const Settings& settings)
    : command_age_max_(settings.duration("command_age_max")),
      ledger_ttl_(settings.duration("ledger_ttl")),
      seen_ttl_(settings.duration("seen_ttl")) {}

Verdict Repair::process(const Entry& entry, Unit& unit) const {
  if (entry["command"] != "repair_ledger") return ack();
  std::string why;
  const auto command = read_command(entry, why);
  if (!command) return reject("invalid_command", why);
  const auto failure = unit.failure();
  if (failure && failure->condition == Failure::Condition::kClaim) return ack();  // done before

  const int64_t age_us = trade::micros(unit.now()) - command->at_us;
  if (age_us > command_age_max_.count() || age_us < -kClockAheadMax.count())
    return reject("stale_command", "given " + std::to_string(age_us / 1'000'000) + " s ago");
  const std::string key = trade::ledger_key(command->symbol);
  const Value stored = unit.get(key);
  const auto ledger = trade::read_ledger(trade::look(stored));
  const auto changed = trade::read_integer(stored["ts_us"]);
  if (changed && *changed > command->at_us)
    return reject("ledger_changed", key + " changed after the command was given");

  unit.claim("quantum:reconcile:command:" + command->symbol + ":" + std::to_string(command->at_us),
             entry.id(), command_age_max_ + kClockAheadMax);
  unit.unchanged(key);
  const Value known = unit.get(known_fills_key(command->symbol));
  for (const KnownFill& fill : read_known_fills(command->symbol, known)) {
    const std::string booked = booked_key(fill.fill.client_order_id);
    if (unbooked_qty(fill.fill, unit.get(booked)).is_zero()) continue;
    unit.unchanged(booked);
    unit.put(booked, fill.fill.qty.text(), seen_ttl_);
  }
  // No fill: cooldowns go on counting from the last one.
  unit.put(key,
           ledger_record({{command->amount, {}},
                          ledger ? ledger->version + 1 : 1,
                          last_fill(trade::look(stored)),
                          "p34_manual",
                          ledger ? ledger->updated_at : 0},
                         unit.now()),
           ledger_ttl_);
  unit.gauge(kLedgerMetric.name, {{"symbol", command->symbol}}, command->amount.to_double());
  unit.emit("event", event_of(*command, stored, ledger, unit));
  unit.log(SLUICE_LOG_WARNING, "P3.4 MANUAL_REPAIR " + command->symbol + " to " +
                                   command->amount.text() + " by " + command->by + ": " +
                                   command->reason);
  return ack();
}

}  // namespace sluice::p33
