#include "p33/drift.h"

#include <algorithm>

#include "common/text.h"

namespace sluice::p33 {

namespace {

// Amounts closer than this are the same; smaller ones are none.
constexpr Decimal kDust = Decimal::from_scaled(1, 4);

Drift& hold(Drift& drift, std::string_view reason) {
  drift.kind = Drift::Kind::kHold;
  drift.reason = reason;
  return drift;
}

bool is_same(const Decimal& a, const Decimal& b) {
  const auto diff = a.minus(b);
  return diff && diff->abs() < kDust;
}

bool sides_differ(const Decimal& exchange, const Decimal& ledger) {
  return trade::side_of(exchange) != trade::side_of(ledger) &&
         (exchange.abs() > kDust || ledger.abs() > kDust);
}

// "" when they agree.
std::string_view mismatch(const Drift& drift, const DriftRules& rules) {
  if (sides_differ(drift.exchange, drift.ledger)) return "side_mismatch";
  if (drift.diff < kDust) return "";
  return drift.percent > rules.tolerance_percent ? "qty_mismatch_no_evidence" : "";
}

// The fewest fills, oldest first, that make the ledger what the exchange says; empty when none do.
std::vector<Booking> explain(const Sight& sight, const DriftRules& rules, const Drift& drift) {
  std::vector<Booking> bookings;
  Balance balance{drift.ledger, sight.ledger ? sight.ledger->carried : Decimal()};
  int64_t changed_us = sight.changed_us;
  for (const Evidence& evidence : sight.evidence) {
    if (trade::micros(sight.now) - evidence.known.at_us > rules.evidence_window.count()) continue;
    const KnownFill& known = evidence.known;
    const auto after = balance_after(balance, changed_us, known.fill, evidence.qty);
    if (!after) return {};
    bookings.push_back({evidence, balance.amount, after->amount, after->carried});
    balance = *after;
    changed_us = std::max(changed_us, known.at_us);
    if (is_same(balance.amount, drift.exchange)) return bookings;
  }
  return {};
}

bool is_on_its_way(const Booking& booking, const Sight& sight, const DriftRules& rules) {
  return trade::micros(sight.now) - booking.evidence.known.at_us < rules.repair_after.count();
}

}  // namespace

Decimal percent_of(const Decimal& diff, const Decimal& base) {
  const auto hundredfold = diff.times(Decimal(100));
  const auto percent =
      hundredfold ? hundredfold->divided_by(std::max(base.abs(), kDust), 6) : std::nullopt;
  // Out of range is more than any tolerance.
  return percent.value_or(Decimal(INT64_MAX));
}

Drift find_drift(const Sight& sight, const DriftRules& rules) {
  Drift drift;
  if (!sight.position) return hold(drift, "missing_exchange");
  drift.exchange = sight.position->amount;
  if (trade::is_stale(*sight.position, sight.now, rules.snapshot_age_max))
    return hold(drift, "stale_exchange");
  if (sight.ledger) drift.ledger = sight.ledger->amount;
  const auto diff = drift.exchange.minus(drift.ledger);
  if (!diff || (sight.has_ledger && !sight.ledger)) return hold(drift, "unreadable_ledger");
  drift.diff = diff->abs();
  drift.percent = percent_of(drift.diff, std::max(drift.exchange.abs(), drift.ledger.abs()));

  const bool is_flat = drift.exchange.abs() < kDust;
  if (!sight.has_ledger && (is_flat || rules.adopt_position)) {
    drift.kind = Drift::Kind::kInit;
    return drift;
  }
  if (sight.has_ledger && sight.changed_us >= sight.taken_us) return drift;

  const std::string_view reason = mismatch(drift, rules);
  if (reason.empty()) {
    drift.kind = Drift::Kind::kAgrees;
    return drift;
  }
  drift.repair = explain(sight, rules, drift);
  if (drift.repair.empty()) return hold(drift, reason);
  const bool waits = std::ranges::any_of(
      drift.repair, [&](const Booking& booking) { return is_on_its_way(booking, sight, rules); });
  if (!waits) drift.kind = Drift::Kind::kRepair;
  return drift;
}

}  // namespace sluice::p33
