#include "p33/ledger.h"

#include "common/control.h"

namespace sluice::p33 {

LedgerStage::LedgerStage(const Settings& settings)
    : ledger_ttl_(settings.duration("ledger_ttl")), seen_ttl_(settings.duration("seen_ttl")) {}

Verdict LedgerStage::process(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto fill = read_fill(entry.fields(), why);
  if (!fill) return why.empty() ? ack() : reject("invalid_result", why);
  const auto failure = unit.failure();
  if (failure && failure->condition == Failure::Condition::kClaim) return ack();  // booked before

  const std::string key = trade::ledger_key(fill->symbol);
  const Value stored = unit.get(key);
  const auto ledger = stored ? trade::read_ledger(trade::look(stored)) : trade::Ledger{};
  if (!ledger) return reject("unreadable_ledger", key);
  const auto amount = amount_after(ledger->amount, *fill);
  if (!amount)
    return reject("invalid_result", "executed_qty is " + fill->qty.text() + ", out of range");

  unit.claim("quantum:ledger:seen:" + fill->client_order_id, entry.id(), seen_ttl_);
  unit.unchanged(key);
  unit.put(key, ledger_record(*amount, ledger->version + 1, *fill, unit.now()), ledger_ttl_);
  return ack();
}

}  // namespace sluice::p33
