// Executions and the ledger they add up to: what ledger, reconcile and repair agree on.
//
// An order's results say how much of it was executed in all. How much of that is in the ledger
// stands under quantum:ledger:seen:<client order id>, and changes only in one unit with the ledger.
// So a fill is booked once, whoever books it and however often it is reported.
//
// Source: reference contract, sections 5.4 and 8.3.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/control.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

// One order's executions so far.
struct Fill {
  std::string client_order_id, order_id, plan_id, symbol;
  std::string side;  // BUY or SELL
  Decimal qty;       // > 0, in all
  bool reduce_only = false;
  int64_t executed_us = 0;  // not before then, epoch microseconds; 0: not known
};

// Reads an execution.result entry.
//
// Shape:  a Fill, or nullopt with empty `why` when nothing was executed.
// Errors: nullopt, and `why` names the field: something was executed but cannot be booked.
std::optional<Fill> read_fill(const Record& result, std::string& why);

// Key of the part of an order that is in the ledger: decimal text.
std::string booked_key(std::string_view client_order_id);

// Part of the fill that is not in the ledger yet; 0 when all of it is. What cannot be read counts
// as all: who does not know what was booked must not book it again.
Decimal unbooked_qty(const Fill& fill, const Value& booked);

// What fills add up to: `amount` is the position by the ledger; amount and carried together are the
// plain sum of the fills.
struct Balance {
  Decimal amount;
  Decimal carried;  // signed; 0 once every fill of the past is booked
};

// The balance after `qty` more of the order was executed, whatever order fills are booked in.
//
// On the exchange a reduce-only fill never crosses zero. When it would in the ledger, and all of
// the ledger was known before it was executed (`changed_us`, see ledger_changed_us), then fills
// before it are still to be booked: the amount stops at zero, the rest is carried and those fills
// consume it. Of one that is booked after later fills, or at a time nobody knows, only the sum is
// certain, so it is added as it is. Either way the amount ends as the sum of all fills.
//
// Errors: nullopt when the sum is out of range.
std::optional<Balance> balance_after(const Balance& before, int64_t changed_us, const Fill& fill,
                                     const Decimal& qty);

// A ledger hash: both field sets from one value.
struct LedgerEntry {
  Balance balance;
  int64_t version = 0;
  Fill last;                // the last fill in it; empty when there is none
  std::string_view source;  // apply, p34_init, p34_auto, p34_manual
  int64_t filled_at = 0;    // of the last fill, epoch seconds; cooldowns count from here
};
Record ledger_record(const LedgerEntry& entry, Time now);

// Fields last_order_id, last_result_plan_id, last_executed_qty and last_side of a ledger.
Fill last_fill(const trade::Look& ledger);

// When the ledger last changed, in microseconds; the end of the second when no more is known.
int64_t ledger_changed_us(const trade::Look& ledger);

// A fill reconcile has read in the results.
struct KnownFill {
  Fill fill;
  int64_t at_us = 0;
};

std::string known_fills_key(std::string_view symbol);
// A JSON array, oldest first.
std::string known_fills_text(const std::vector<KnownFill>& fills);
// Empty when there is none or the value cannot be read: no evidence.
std::vector<KnownFill> read_known_fills(std::string_view symbol, const Value& value);

inline constexpr sluice_param kLedgerTtlSetting{
    .name = "ledger_ttl",
    .doc =
        "How long a ledger lives after it was last written. Less forgets open positions, which "
        "are then denied until someone writes the ledger.",
    .type = SLUICE_DURATION,
    .default_text = "1d",
    .min_text = "1h",
    .max_text = "365d"};
inline constexpr sluice_param kSeenTtlSetting{.name = "seen_ttl",
                                              .doc =
                                                  "How long an order is remembered as booked. "
                                                  "A fill told again after that is booked twice.",
                                              .type = SLUICE_DURATION,
                                              .default_text = "7d",
                                              .min_text = "1h",
                                              .max_text = "365d"};
inline constexpr sluice_time kLedgerTime{
    .source = "ledger_ttl", .role = SLUICE_TIME_TTL, .pattern = "quantum:position:ledger:{symbol}"};
inline constexpr sluice_time kSeenTime{.source = "seen_ttl",
                                       .role = SLUICE_TIME_TTL,
                                       .pattern = "quantum:ledger:seen:{client_order_id}"};
inline constexpr sluice_key kSeenKey{.pattern = "quantum:ledger:seen:{client_order_id}",
                                     .doc = "How much of an order is booked.",
                                     .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES};

inline constexpr const char* kFillFields[] = {"client_order_id", "symbol",       "side",
                                              "status",          "executed_qty", nullptr};
inline constexpr sluice_port kEntryInput{
    .name = "entry",
    .doc = "Results of a second execution stage, where a lane of entries has its own.",
    .flags = SLUICE_PORT_OPTIONAL,
    .fields = kFillFields};
inline constexpr sluice_port kFillInput{
    .name = "fill",
    .doc = "Fills that come after the result: stops that triggered.",
    .flags = SLUICE_PORT_OPTIONAL,
    .fields = kFillFields};

inline constexpr const char* kSymbolLabel[] = {"symbol", nullptr};
inline constexpr sluice_metric kLedgerMetric{.name = "p33_ledger_position_amt",
                                             .doc = "Position by the ledger, as last written.",
                                             .type = SLUICE_GAUGE,
                                             .labels = kSymbolLabel};

}  // namespace sluice::p33
