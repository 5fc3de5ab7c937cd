#include "p33/ledger.h"

#include "common/mutant.h"
#include "common/text.h"

namespace sluice::p33 {

LedgerStage::LedgerStage(const Settings& settings)
    : ledger_ttl_(settings.duration("ledger_ttl")), seen_ttl_(settings.duration("seen_ttl")) {}

Verdict LedgerStage::process(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto fill = read_fill(entry.fields(), why);
  if (!fill) return why.empty() ? ack() : reject("invalid_result", why);
  const std::string seen_key = booked_key(fill->client_order_id);
  const Value seen = unit.get(seen_key);
  const Decimal qty = SLUICE_MUTANT(fills_applied_twice) ? fill->qty : unbooked_qty(*fill, seen);
  if (qty.is_zero()) return ack();

  const std::string key = trade::ledger_key(fill->symbol);
  const Value stored = unit.get(key);
  const auto ledger = stored ? trade::read_ledger(trade::look(stored)) : trade::Ledger{};
  if (!ledger) return reject("unreadable_ledger", key);
  const auto balance = balance_after({ledger->amount, ledger->carried},
                                     ledger_changed_us(trade::look(stored)), *fill, qty);
  if (!balance)
    return reject("invalid_result", "executed_qty is " + fill->qty.text() + ", out of range");

  // Reconcile and repair book as well: both values must be those the sum was made from.
  if (!SLUICE_MUTANT(fill_not_guarded)) {
    unit.unchanged(seen_key);
    unit.unchanged(key);
  }
  unit.put(seen_key, fill->qty.text(), seen_ttl_);
  unit.put(key,
           ledger_record(
               {*balance, ledger->version + 1, *fill, "apply", trade::epoch_seconds(unit.now())},
               unit.now()),
           ledger_ttl_);
  unit.gauge(kLedgerMetric.name, {{"symbol", fill->symbol}}, balance->amount.to_double());
  return ack();
}

}  // namespace sluice::p33
