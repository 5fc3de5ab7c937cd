// The external stage that turns an order into exactly one trade and exactly one terminal record.
#pragma once

#include <atomic>
#include <memory>

#include "execution/order.h"
#include "execution/paper_exchange.h"
#include "execution/paper_settings.h"
#include "sluice/plugin.h"

namespace sluice::execution {

inline constexpr const char* kOrderFields[] = {
    "plan_id",  "plan_hash",  "client_order_id",       "symbol",          "side",       "type",
    "quantity", "reduceOnly", "permit_valid_until_us", "governor_permit", "p33_permit", nullptr};
inline constexpr const char* kResultFields[] = {
    "event_type",      "payload",      "timestamp", "source",     "plan_id",  "plan_hash",
    "client_order_id", "order_id",     "symbol",    "side",       "action",   "status",
    "reason",          "executed_qty", "avg_price", "fee",        "trace_id", "decision_id",
    "decision_us",     "sent_us",      "result_us", "reduceOnly", "policy",   nullptr};
inline constexpr const char* kEnvelopeFields[] = {"event_type", "payload", "timestamp", "source",
                                                  nullptr};
inline constexpr const char* kIntentFields[] = {"symbol",  "action",   "side",        "reduce_only",
                                                "plan_id", "quantity", "age_seconds", nullptr};

// Sends orders, once each, and says what became of them.
//
// In:      orders of the gate, with the permits they consumed.
// Out:     one terminal record for each client order id: FILLED; REJECTED (kill switch, exchange);
//          EXPIRED (permit over, stale intent, rate limit, part of the order not filled); FAILED.
//          An order id met a second time is acked without a record: it is the same order.
// Reject:  an order that is not sound, before anything is sent.
// Unknown: an exchange answer that leaves the outcome open is asked for by client order id until it
//          is known; the order is sent again only when the exchange never had it.
// Threads: `process` and `settle` as every stage; `act` [any].
class Execution {
 public:
  static constexpr Info kInfo{.kind = "execution",
                              .doc = "Sends orders to the exchange, once each, and reports.",
                              .type = SLUICE_EXTERNAL};
  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Orders with both consumed permits.", .fields = kOrderFields}};
  static constexpr sluice_port kOutputs[] = {
      {.name = "result", .doc = "One terminal record for each order.", .fields = kResultFields},
      {.name = "legacy",
       .doc = "The same envelope without the flat fields, for older readers.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kEnvelopeFields}};
  static constexpr sluice_param kOwnSettings[] = {
      {.name = "query_wait",
       .doc = "Pause before an order of unknown outcome is asked for.",
       .type = SLUICE_DURATION,
       .default_text = "1s",
       .min_text = "1ms",
       .max_text = "60s"},
      {.name = "balance",
       .doc = "Money of a new paper account; later starts read it from the journal.",
       .type = SLUICE_DECIMAL,
       .unit = "USDT",
       .default_text = "10000",
       .min_text = "0"},
      {.name = "fee_rate",
       .doc = "Fee of a fill as a share of its notional.",
       .type = SLUICE_DECIMAL,
       .default_text = "0.0004",
       .min_text = "0",
       .max_text = "0.1"},
      {.name = "slippage",
       .doc = "How much worse than the mark price orders fill.",
       .type = SLUICE_DECIMAL,
       .unit = "hundredths of a per cent",
       .default_text = "0",
       .min_text = "0",
       .max_text = "1000"},
      {.name = "latency",
       .doc = "From acceptance of an order until its fill shows.",
       .type = SLUICE_DURATION,
       .default_text = "20ms",
       .min_text = "0s",
       .max_text = "60s"},
      {.name = "reject_rate",
       .doc = "Share of orders the paper exchange refuses. Decided by client order id.",
       .type = SLUICE_NUMBER,
       .default_text = "0",
       .min_text = "0",
       .max_text = "1"},
      {.name = "timeout_rate",
       .doc = "Share of orders whose outcome stays unknown at first; half of them are placed.",
       .type = SLUICE_NUMBER,
       .default_text = "0",
       .min_text = "0",
       .max_text = "1"},
      {.name = "partial_fill_rate",
       .doc = "Share of orders filled in part; the rest expires.",
       .type = SLUICE_NUMBER,
       .default_text = "0",
       .min_text = "0",
       .max_text = "1"},
      {.name = "sync",
       .doc = "Whether an accepted order is on the disk before it counts. Off: it survives kill -9 "
              "but not a power cut.",
       .type = SLUICE_BOOLEAN,
       .default_text = "true"},
  };
  static constexpr auto kSettings = paper::joined(paper::kAccountSettings, kOwnSettings);
  static constexpr sluice_arg kIntentArgs[] = {
      {.name = "intent", .type = SLUICE_RECORD, .fields = kIntentFields}};
  static constexpr sluice_arg kSymbolArgs[] = {{.name = "symbol", .type = SLUICE_TEXT}};
  static constexpr sluice_param kIntentAge[] = {{.name = "intent_age_max",
                                                 .doc = "An older intent is not sent any more.",
                                                 .type = SLUICE_DURATION,
                                                 .default_text = "600s",
                                                 .min_text = "1s",
                                                 .max_text = "1d"}};
  static constexpr sluice_param kRateLimit[] = {
      {.name = "global_max",
       .doc = "Orders of all symbols in one window.",
       .type = SLUICE_INTEGER,
       .default_text = "5",
       .min_text = "0",
       .max_text = "100000"},
      {.name = "global_window",
       .doc = "Counts from the first order in it.",
       .type = SLUICE_DURATION,
       .default_text = "60s",
       .min_text = "1s",
       .max_text = "1d"},
      {.name = "symbol_max",
       .doc = "Orders of this symbol in one window.",
       .type = SLUICE_INTEGER,
       .default_text = "1",
       .min_text = "0",
       .max_text = "100000"},
      {.name = "symbol_window",
       .doc = "Counts from the first order in it.",
       .type = SLUICE_DURATION,
       .default_text = "30s",
       .min_text = "1s",
       .max_text = "1d"},
  };
  static constexpr sluice_hook kHooks[] = {
      {.name = "intent_age_max",
       .doc = "How old an intent may be when its order is sent.",
       .args = kIntentArgs,
       .arg_count = 1,
       .results = kIntentAge,
       .result_count = 1},
      {.name = "rate_limit",
       .doc =
           "How many orders may be sent. A full window makes an order wait until its permit ends.",
       .args = kSymbolArgs,
       .arg_count = 1,
       .results = kRateLimit,
       .result_count = 4}};
  static constexpr sluice_key kKeys[] = {
      {"quantum:kill", "Kill switch.", SLUICE_KEY_READS, 0},
      {"quantum:global:kill_switch", "Kill switch.", SLUICE_KEY_READS, 0},
      {"quantum:exec:processed:{client_order_id}", "Orders that were taken up; 86400 s.",
       SLUICE_KEY_READS | SLUICE_KEY_WRITES, 0},
      {"quantum:exec:rate:symbol:{symbol}", "Orders in the symbol's window.", SLUICE_KEY_COUNTER,
       0},
      {"quantum:exec:rate:global", "Orders in the common window.", SLUICE_KEY_COUNTER, 0},
      {"quantum:governor:{counter}", "Reservations given back when nothing was executed.",
       SLUICE_KEY_COUNTER, 0}};
  static constexpr sluice_time kTimes[] = {
      {.source = "intent_age_max", .role = SLUICE_TIME_AGE_MAX},
      {.source = "rate_limit.global_window", .role = SLUICE_TIME_WAIT},
      {.source = "rate_limit.symbol_window", .role = SLUICE_TIME_WAIT}};
  static constexpr const char* kReasons[] = {"invalid_order",
                                             "kill_switch_active",
                                             "permit_expired_before_send",
                                             "stale_intent",
                                             "rate_limited",
                                             "partial_fill",
                                             "reduce_only_excess",
                                             "client_order_id_conflict",
                                             "client_order_id",
                                             "symbol",
                                             "quantity",
                                             "qty_min",
                                             "qty_max",
                                             "qty_step",
                                             "notional_min",
                                             "new_order_rejected",
                                             "reduce_only",
                                             nullptr};

  // Pure: opens nothing.
  static void check(const Settings& settings);

  explicit Execution(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit);
  Act act(const Request& request, World& world);
  Verdict settle(const Entry& entry, const Request& request, const Outcome& outcome, Unit& unit);

 private:
  Act not_found(const Request& request, const World& world);

  const Duration query_wait_;
  const std::shared_ptr<paper::Exchange> exchange_;
  std::atomic<bool> source_told_ = false;
};

}  // namespace sluice::execution
