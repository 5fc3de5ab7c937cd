// Whether ledger and exchange agree on a symbol, and what to do when not. Plain values, no host.
//
// Steps in order, the first that fits decides:
//
//   | # | condition                                             | then                           |
//   |---|-------------------------------------------------------|--------------------------------|
//   | 1 | no readable snapshot                                  | hold missing_exchange          |
//   | 2 | snapshot older than snapshot_age_max, or as far ahead | hold stale_exchange            |
//   | 3 | no ledger, and the exchange is flat (or the setting   | the ledger is written from the |
//   |   | adopt_position)                                       | snapshot                       |
//   | – | the ledger changed after the snapshot was taken       | nothing; a newer one will tell |
//   | – | a ledger that cannot be read                          | hold unreadable_ledger         |
//   | – | known fills that are not booked explain everything    | they are booked; younger than  |
//   |   | from row 4 or 6                                       | repair_after: nothing yet      |
//   | 4 | sides differ and either amount is above 0.0001        | hold side_mismatch             |
//   | 5 | amounts differ by less than 0.0001                    | they agree                     |
//   | 6 | they differ by more than tolerance % of the larger    | hold qty_mismatch_no_evidence  |
//   | 7 | else                                                  | they agree                     |
//
// A position without a ledger counts as a ledger of 0.
// Source: reference contract, section 8.2. Rows without a number are ours, and row 3 no longer
// takes
//         over a position nobody can account for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/control.h"
#include "p33/fills.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

struct DriftRules {
  Decimal tolerance_percent;
  Duration snapshot_age_max{0};
  Duration evidence_window{0};  // older fills explain nothing
  Duration repair_after{0};     // younger ones are still on their way to the ledger
  bool adopt_position = false;
};

// A known fill and how much of it is not in the ledger; `qty` > 0.
struct Evidence {
  KnownFill known;
  Decimal qty;
};

// What is looked at, as read from the keys.
struct Sight {
  std::optional<trade::Position> position;
  int64_t taken_us = 0;  // when the snapshot was taken
  bool has_ledger = false;
  std::optional<trade::Ledger> ledger;
  int64_t changed_us = 0;          // when the ledger last changed
  std::vector<Evidence> evidence;  // oldest first
  Time now;
};

// One fill to book.
struct Booking {
  Evidence evidence;
  Decimal before, after;  // ledger amounts
  Decimal carried;        // see Balance; after it
};

struct Drift {
  enum class Kind { kAgrees, kUnsettled, kInit, kRepair, kHold };
  Kind kind = Kind::kUnsettled;
  std::string reason;           // kHold
  Decimal exchange, ledger;     // 0 when unknown
  Decimal diff, percent;        // of the larger amount, at least 0.0001
  std::vector<Booking> repair;  // kRepair: in this order
};

Drift find_drift(const Sight& sight, const DriftRules& rules);

// `diff` in per cent of `base`, which counts as 0.0001 at least; six decimals, cut.
Decimal percent_of(const Decimal& diff, const Decimal& base);

}  // namespace sluice::p33
