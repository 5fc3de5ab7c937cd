// The result entry: what became of an order, in the reference's envelope and in flat fields.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/plugin.h"

namespace sluice::execution {

// Fields of every result.
inline constexpr const char* kResultFields[] = {
    "event_type", "payload",    "timestamp",       "source",      "plan_id",     "plan_hash",
    "leg",        "type",       "client_order_id", "order_id",    "symbol",      "side",
    "action",     "status",     "reason",          "detail",      "quantity",    "executed_qty",
    "avg_price",  "fee",        "trace_id",        "decision_id", "decision_us", "sent_us",
    "result_us",  "reduceOnly", "policy",          nullptr};

// How an order ended.
struct Terminal {
  std::string status, reason, detail;
  std::string order_id;
  Decimal executed, price, fee;
  std::string sent_us;  // empty when nothing was sent
};

Terminal not_sent(std::string status, std::string reason);

// Whose end it is. Texts as they stand in the order entry.
struct Told {
  std::string plan_id, plan_hash, leg, type, client_order_id, symbol, side, quantity, action;
  std::string leverage, trace_id, decision_id, decision_us, policy;
  std::string intent_id;  // entry id of the intent, where no plan stands in between
  bool reduce_only = false;
  std::optional<Decimal> mark_price;  // that the plan was made by
};

// The entry, with the payload of contract 7.5. Numbers are exact decimals. The field `intent_id`
// stands in it only where `told` has one.
Record result_record(const Told& told, const Terminal& terminal, Time now);

// The part of it that older readers know.
Record envelope_of(const Record& result);

// "TERMINAL STATE: ...", as operators search for it.
std::string terminal_line(const Told& told, const Terminal& terminal);

// Whole seconds: "601s".
std::string seconds_text(Duration duration);

// "STALE_INTENT_DROP: ...", at most one line in half a minute, with how many there were.
//
// Threads: [any].
class StaleIntents {
 public:
  // Counts one, and says it on the log of `unit` when a line is due.
  void drop(std::string_view symbol, Duration age, Duration age_max, const Unit& unit);

  int64_t total() const {
    const std::scoped_lock lock(mutex_);
    return total_;
  }

 private:
  mutable std::mutex mutex_;  // guards all below
  int64_t total_ = 0;
  Time told_;
};

}  // namespace sluice::execution
