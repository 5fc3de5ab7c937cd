// The external stage that turns an order into exactly one trade and exactly one terminal record.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/control.h"
#include "execution/order.h"
#include "execution/paper_exchange.h"
#include "execution/paper_settings.h"
#include "execution/result.h"
#include "sluice/plugin.h"

namespace sluice::execution {

inline constexpr const char* kOrderFields[] = {"plan_id",
                                               "plan_hash",
                                               "leg",
                                               "symbol",
                                               "side",
                                               "type",
                                               "quantity",
                                               "reduceOnly",
                                               "client_order_id",
                                               "p33_permit",
                                               "governor_permit",
                                               "permit_valid_until_us",
                                               nullptr};
inline constexpr const char* kEntryOrderFields[] = {
    "permits",  "intent_key", "intent_id",       "symbol",         "side", "type",
    "quantity", "reduceOnly", "client_order_id", "valid_until_us", nullptr};
inline constexpr const char* kEnvelopeFields[] = {"event_type", "payload", "timestamp", "source",
                                                  nullptr};
inline constexpr const char* kIntentFields[] = {"symbol",  "action",   "side",        "reduce_only",
                                                "plan_id", "quantity", "age_seconds", nullptr};

// Sends orders, once each, and says what became of them.
//
// In:      orders of the gate, with the permits they consumed.
// Out:     one terminal record for each client order id: FILLED; PLACED (a stop rests; `fills`
// tells
//          what comes of it); REJECTED (kill switch, limits, exchange); EXPIRED (permit over, stale
//          intent, rate limit, part of the order not filled); FAILED. Quantity and price are those
//          of all parts that were filled. An order id met a second time is acked without a record:
//          it is the same order.
// Guards:  in this order, the first that fails decides:
//
//   | guard                                            | outcome                                |
//   |--------------------------------------------------|----------------------------------------|
//   | sound, both permits say yes to this very order   | dead letter invalid_order              |
//   | order id not taken up before                     | acked, IDEMPOTENCY_SKIP                |
//   | kill switch unset and readable                   | REJECTED kill_switch_active            |
//   | permits valid                                    | EXPIRED permit_expired_before_send     |
//   | intent not from beyond clock_ahead_max           | REJECTED future_intent                 |
//   | intent younger than intent_age_max               | EXPIRED stale_intent                   |
//   | openings: notional x leverage <= notional_max    | REJECTED notional_exceeded             |
//   | no order of this symbol and action under way     | waits as long as its permits hold      |
//   | room in the symbol's window, then the common one | waits for it, or EXPIRED rate_limited  |
//   | the first four that can change, at the send      | as above                               |
//   | openings: money for 1.25 times the margin        | REJECTED margin_insufficient           |
//
// Reject:  an order that is not sound, before anything is sent.
// Unknown: an exchange answer that leaves the outcome open is asked for by client order id until it
//          is known. The order is sent again only when the exchange cannot have it any more: three
//          queries without it, and the last send `recv_window` and a second ago.
// Follows: an order filled in part, until it is done or, after `fill_wait`, cancelled.
// Stops:   STOP_MARKET. The new one is placed, then older ones of the symbol are cancelled: a
//          position is never without one in between, and both only reduce.
// Host:    `batch` orders are looked at in one commit, `concurrency` are at the exchange at once:
//          keys of the stage in the pipeline file.
// Threads: `process` and `settle` as every stage; `act` [any].
// Source:  reference contract, sections 4.3, 7 and 11.6; binance_usdm.md, sections 7 and 8.
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
      {.name = "recv_window",
       .doc = "How long after its sending the exchange may still take an order.",
       .type = SLUICE_DURATION,
       .default_text = "2s",
       .min_text = "0s",
       .max_text = "60s"},
      {.name = "fill_wait",
       .doc = "How long an order may be open until its rest is cancelled.",
       .type = SLUICE_DURATION,
       .default_text = "30s",
       .min_text = "0s",
       .max_text = "1h"},
      {.name = "clock_ahead_max",
       .doc = "How far in the future an intent's time may lie. More tolerates producers whose "
              "clocks are ahead, and lets intents live longer than intent_age_max by as much.",
       .type = SLUICE_DURATION,
       .default_text = "5s",
       .min_text = "0s",
       .max_text = "10m"},
      {.name = "notional_max",
       .doc = "Notional of an opening, times its leverage (taken as 5 to 80).",
       .type = SLUICE_DECIMAL,
       .unit = "USDT",
       .default_text = "100000",
       .min_text = "0"},
      {.name = "diag",
       .doc = "Logs every step of every order, and a heartbeat with counts every 30 s.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"},
  };
  static constexpr auto kSettings = paper::joined(paper::kExchangeSettings, kOwnSettings);
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
      trade::kKillSwitch,
      trade::kGlobalKillSwitch,
      {"quantum:exec:processed:{client_order_id}", "Orders that were taken up; 86400 s.",
       SLUICE_KEY_READS | SLUICE_KEY_WRITES, 0},
      {"quantum:exec:lock:{symbol}:{action}", "The order under way; 30 s, erased at its end.",
       SLUICE_KEY_READS | SLUICE_KEY_WRITES, 0},
      {"quantum:exec:rate:symbol:{symbol}", "Orders in the symbol's window.", SLUICE_KEY_COUNTER,
       0},
      {"quantum:exec:rate:global", "Orders in the common window.", SLUICE_KEY_COUNTER, 0},
      {"quantum:exec:margin_fails", "Orders without margin; 300 s after the last one.",
       SLUICE_KEY_READS | SLUICE_KEY_WRITES, 0},
      {"quantum:safety:cooldown_global", "Orders came too fast, or without margin; 300 s.",
       SLUICE_KEY_WRITES, 0},
      {"quantum:safety:cooldown_symbol:{symbol}", "An order was without margin; 300 s.",
       SLUICE_KEY_WRITES, 0},
      {"quantum:safety:safe_mode", "Five orders without margin in 300 s; 900 s.", SLUICE_KEY_WRITES,
       0},
      {"quantum:exec:stop:{client_order_id}", "Plan and trace of a stop that rests; 90 d.",
       SLUICE_KEY_WRITES, 0},
      {"quantum:governor:{counter}", "Reservations given back when nothing was executed.",
       SLUICE_KEY_COUNTER, 0}};
  static constexpr sluice_time kTimes[] = {
      {.source = "intent_age_max", .role = SLUICE_TIME_AGE_MAX},
      {.source = "rate_limit.global_window", .role = SLUICE_TIME_WAIT},
      {.source = "rate_limit.symbol_window", .role = SLUICE_TIME_WAIT},
      {.source = "fill_wait", .role = SLUICE_TIME_WAIT}};
  static constexpr const char* kReasons[] = {"invalid_order",
                                             "kill_switch_active",
                                             "permit_expired_before_send",
                                             "order_expired_before_send",
                                             "future_intent",
                                             "stale_intent",
                                             "rate_limited",
                                             "notional_exceeded",
                                             "margin_insufficient",
                                             "partial_fill",
                                             "fill_timeout",
                                             "reduce_only_excess",
                                             "client_order_id_conflict",
                                             "client_order_id",
                                             "symbol",
                                             "quantity",
                                             "qty_min",
                                             "qty_max",
                                             "qty_step",
                                             "notional_min",
                                             "stop_price",
                                             "would_trigger",
                                             "timestamp",
                                             "new_order_rejected",
                                             "reduce_only",
                                             nullptr};

  // Pure: opens nothing.
  static void check(const Settings& settings);

  explicit Execution(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit);
  Act act(const Request& request, World& world);
  Verdict settle(const Entry& entry, const Request& request, const Outcome& outcome, Unit& unit);

 protected:
  Execution(const Settings& settings, Lane lane);

 private:
  // What this process knows of an order it is busy with.
  struct Attempt {
    Time uncertain_since;  // of a send that may have reached the exchange; the epoch: there is none
    int queries = 0;       // since then, all without the order
    int back_offs = 0;
    int resyncs = 0;
    bool cancel_sent = false;
  };
  struct Counts {
    int64_t taken = 0, filled = 0, placed = 0, rejected = 0, expired = 0, failed = 0;
    Time heartbeat;
  };

  Attempt& attempt(const Request& request, Time now);
  bool may_be_under_way(const Request& request, Time now);
  Act send(const Request& request, const World& world);
  Act refused(const Request& request, const World& world, const paper::Placed& placed);
  Act report(const Request& request, const World& world, const paper::Order& known);
  Act report_stop(const Request& request, const World& world, const paper::Order& known);
  Act follow(const Request& request, const World& world, const paper::Order& known);
  paper::Placed cancel(const Request& request, const World& world, const std::string& id);
  Act end_act(const Request& request, Record outcome);
  bool has_margin(const Request& request) const;
  void diag(const Request& request, const World& world, const std::string& text) const;
  void tell_config(Duration age_max, const Unit& unit);
  void tell_heartbeat(const Unit& unit);
  void count(std::string_view status);

  const Lane lane_;
  const std::string account_;
  const Duration query_wait_, recv_window_, fill_wait_, clock_ahead_max_;
  const Decimal notional_max_;
  const bool diag_;
  const std::shared_ptr<paper::Exchange> exchange_;
  std::atomic<bool> source_told_ = false;
  std::atomic<bool> config_told_ = false;
  StaleIntents stale_;

  std::mutex mutex_;                                      // guards all below
  std::map<std::string, Attempt, std::less<>> attempts_;  // at most one for each order in `act`
  Counts counts_;
};

// The same for orders of execution.intents, which have no permits.
//
// In:      orders marked `permits: none`; an order with a plan or a permit, or one that reduces, is
//          a dead letter invalid_order, as an order without both permits is at `execution`.
// Guards:  those of Execution; the order's own `valid_until_us` stands for the permits' end.
// Setting: `permits` has no default, so that a file says in words what it gives up.
class Entries : public Execution {
 public:
  static constexpr Info kInfo{.kind = "entries",
                              .doc =
                                  "Sends orders WITHOUT permits: for the entry lane of the "
                                  "reference system, fed by execution.intents.",
                              .type = SLUICE_EXTERNAL};
  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Orders of execution.intents.", .fields = kEntryOrderFields}};
  static constexpr const char* kPermitWords[] = {"none", nullptr};
  static constexpr sluice_param kPermitsSetting[] = {
      {.name = "permits",
       .doc = "Write none: this stage sends orders that no governor and no P3.3 has permitted.",
       .type = SLUICE_TEXT,
       .choices = kPermitWords}};
  static constexpr auto kSettings = paper::joined(Execution::kSettings, kPermitsSetting);

  explicit Entries(const Settings& settings) : Execution(settings, Lane::kIntents) {}
};

}  // namespace sluice::execution
