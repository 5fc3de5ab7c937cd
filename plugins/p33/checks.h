// What P3.3 checks before it allows a plan. Plain values, no host.
//
// Checks in order, the first that fails denies. "both" means openings and closes.
//
//   | # | denies                                             | reason                           |
//   |---|----------------------------------------------------|----------------------------------|
//   | 1 | both: no readable snapshot, or one without filters | no_exchange_snapshot             |
//   | 2 | both: snapshot older than snapshot_age_max         | stale_exchange_state             |
//   | 3 | closes: |position| < 0.0001                        | no_position                      |
//   | 4 | both: ledger and exchange on different sides       | reconcile_required_side_mismatch |
//   | 5 | both: amounts differ by more than the tolerance,   | reconcile_required_qty_mismatch  |
//   |   | or there is a position and no readable ledger      |                                  |
//   | 6 | both: the ledger changed less than cooldown ago    | cooldown_in_flight               |
//   | 7 | both: an action that is neither opening nor close, | quantity_error                   |
//   |   | or numbers that cannot be computed                 |                                  |
//   | 8 | both: the hold key has a value                     | reconcile_hold_active            |
//
// A missing ledger with a flat position is fine: nothing was filled yet.
// Source: reference contract, section 5.2; what a missing ledger means is ours (fail closed). What
//         the checks mean for openings: docs/trade/p33.md.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/control.h"
#include "common/permit.h"
#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

struct Rules {
  Decimal tolerance_percent;
  Duration snapshot_age_max{0};
  Duration cooldown{0};
};

// What the checks look at, as read from the keys.
struct Seen {
  std::optional<trade::Position> position;
  bool has_ledger = false;              // the key is there
  std::optional<trade::Ledger> ledger;  // and readable
  bool is_held = false;
  Time now;
};

struct Finding {
  std::string reason;          // empty: allowed
  std::string context = "{}";  // JSON object, of a denial
  std::string side;            // BUY or SELL
  Decimal safe_qty;
  Decimal exchange_amount, ledger_amount;
};

Finding check_plan(const trade::Plan& plan, const Seen& seen, const Rules& rules);

// How far ledger and exchange may be apart: max(0.001, |exchange| x tolerance / 100). nullopt
// without a position, or when that cannot be computed.
std::optional<Decimal> qty_tolerance(const Seen& seen, const Rules& rules);

// Part of the position an action closes, cut to the symbol's quantity step: never above what was
// asked for. nullopt when the action closes nothing.
std::optional<Decimal> safe_close_qty(std::string_view action, const Decimal& position,
                                      const Decimal& qty_step);

}  // namespace sluice::p33
