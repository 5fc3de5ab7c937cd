// The gate: no order without both permits, each bound to the plan and used once.
#pragma once

#include <optional>
#include <string>

#include "apply/hooks.h"
#include "common/control.h"
#include "common/permit.h"
#include "common/permit_trail.h"
#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::apply {

// What speaks against an order, in this order; the first one ends the plan:
//
//   |    | condition                                      | error                             |
//   |----|------------------------------------------------|-----------------------------------|
//   | 0  | the plan ended before, under another entry     | none; reason duplicate_plan (SKIP)|
//   | 1  | kill switch set or unreadable                  | kill_switch_active                |
//   | 2  | disarmed, but see `disarm_lets_closes`         | disarmed                          |
//   | 3  | the governor blocked the plan                  | governor_blocked:<reason>         |
//   | 4  | plan older than plan_age                       | plan_expired                      |
//   | 5  | a close, and |position| < 0.001                | no_position (SKIP)                |
//   | 6  | permit_wait is over, a permit is not there     | permit_timeout_or_missing:<which> |
//   | 7  | P3.3's permit: no object, no allow, no qty     | 6.7.1 of the contract             |
//   | 8  | governor's permit: no object, not granted      | invalid_governor_permit_format,   |
//   |    |                                                | governor_permit_denied            |
//   | 9  | a permit of other content, or over             | permit_not_bound, permit_expired  |
//   | 10 | UPDATE_SL without a price that can be a stop   | see stop.h (ERROR)                |
//
// 7 to 10 use both permits up; before that those present stay, the governor's as a consumed one.
//
// In:      plans. Plans whose decision is not EXECUTE already have their terminal record.
// Waits:   for both permits or the governor's block record, from the plan's first delivery.
// Out:     order: what execution shall send; or result: why nothing is sent. Exactly one of both.
//          audit: what became of each permit; two entries for each plan to be executed.
// Orders:  MARKET of leg 0; for UPDATE_SL STOP_MARKET of leg sl, reduce-only, for the position.
// Takes:   both permits, in the same unit as the order, while kill switch and disarm key stand as
//          they were read.
// Claims:  quantum:apply:ended:<P> with the order or the record: a plan id ends once, and the
//          governor grants nothing under it any more. A second entry of the plan has a record that
//          names the first in `earlier`, without a decision_id: the decision has its end already.
// Gives back: what the governor reserved, once, when nothing is sent, also when its permit has run
//          out meanwhile. One that comes while the plan ends is met as a change of its key.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, section 6.7; 2, 3, 4, 8 and 9 are ours.
class Gate {
 public:
  static constexpr Info kInfo{.kind = "gate",
                              .doc = "Orders a plan once both permits for its content are there."};

  static constexpr sluice_port kInputs[] = {{.name = "in", .doc = "Plans of apply.plan."}};

  static constexpr const char* kOrderFields[] = {"plan_id",
                                                 "plan_hash",
                                                 "leg",
                                                 "client_order_id",
                                                 "symbol",
                                                 "side",
                                                 "type",
                                                 "quantity",
                                                 "stop_price",
                                                 "reduceOnly",
                                                 "mark_price",
                                                 "notional",
                                                 "leverage",
                                                 "intent_timestamp",
                                                 "created_us",
                                                 "permit_valid_until_us",
                                                 "governor_permit",
                                                 "p33_permit",
                                                 "reservations",
                                                 "trace_id",
                                                 "decision_id",
                                                 "decision_us",
                                                 "action",
                                                 "policy",
                                                 nullptr};
  static constexpr const char* kResultFields[] = {
      "plan_id",   "symbol", "decision", "executed",    "would_execute", "steps_results", "error",
      "timestamp", "state",  "reason",   "decision_id", "trace_id",      nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "order", .doc = "Orders to send.", .fields = kOrderFields},
      {.name = "result", .doc = "Plans that end here.", .fields = kResultFields},
      {.name = "audit",
       .doc = "What became of each permit.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = trade::kTrailFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "account",
       .doc = "Goes into client order ids, so that two accounts never share one.",
       .type = SLUICE_TEXT,
       .default_text = "paper"},
      {.name = "disarm_lets_closes",
       .doc = "True: while disarmed, plans that only make a position smaller still pass.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"},
      {.name = "ended_ttl",
       .doc =
           "How long a plan is remembered as ended. An entry of it that comes later has a second "
           "record, and is too old for an order.",
       .type = SLUICE_DURATION,
       .default_text = "7d",
       .min_text = "25h",  // the governor grants nothing to plans older than a day
       .max_text = "365d"},
      {.name = "foreign_permits",
       .doc = "True: closing plans also take permits that name no plan content, as the reference's "
              "services write and operators inject them. Whoever may write keys may then close.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"},
      {.name = "dry_run",
       .doc = "True: nothing is ordered; plans that both permits allow end with what would be.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"}};

  static constexpr const auto& kHooks = kApplyHooks;

  static constexpr sluice_key kKeys[] = {
      trade::kKillSwitch,
      trade::kGlobalKillSwitch,
      {.pattern = "quantum:apply:disarmed",
       .doc = "Nothing is ordered while it is there. Only an operator erases it.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:position:snapshot:{symbol}",
       .doc = "Whether there is a position to close, and its price.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:apply:dedupe:{dedupe_id}",
       .doc = "Erased by a dry run, which uses no plan up.",
       .access = SLUICE_KEY_WRITES},
      {.pattern = "quantum:apply:ended:{plan_id}",
       .doc = "Entry id of the plan that ended.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      {.pattern = "quantum:permit:{plan_id}",
       .doc = "The governor's permit; left as a consumed one once its share went back.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_TAKES},
      {.pattern = "quantum:permit:p33:{plan_id}",
       .doc = "P3.3's permit.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_TAKES},
      {.pattern = "quantum:governor:granted:{plan_id}",
       .doc = "The governor's permit as it was granted, also when it has run out; erased by a dry "
              "run.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "quantum:governor:block:{plan_id}",
       .doc = "Why the governor gave none.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:governor:{counter}",
       .doc = "Reservations given back.",
       .access = SLUICE_KEY_COUNTER}};

  static constexpr sluice_time kTimes[] = {
      {.source = "ended_ttl", .role = SLUICE_TIME_TTL, .pattern = "quantum:apply:ended:{plan_id}"},
      {.source = "permit_wait", .role = SLUICE_TIME_WAIT},
      {.source = "plan_age", .role = SLUICE_TIME_AGE_MAX}};

  static constexpr const char* kReasonLabel[] = {"reason", nullptr};
  static constexpr const char* kDecisionLabel[] = {"decision", nullptr};
  static constexpr const char* kStatusLabel[] = {"status", nullptr};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "p33_permit_allow_total", .doc = "Plans with a permit of P3.3 that held."},
      {.name = "p33_permit_deny_total",
       .doc = "Plans ended by P3.3's permit.",
       .labels = kReasonLabel},
      {.name = "governor_block_total",
       .doc = "Plans ended by the governor's word, or for want of a permit.",
       .labels = kReasonLabel},
      {.name = "apply_executed_total",
       .doc = "Plans executed, by status; kill_switch: stopped by it.",
       .labels = kStatusLabel},
      {.name = "apply_plan_processed_total",
       .doc = "Plans the gate is done with; EXECUTE: ordered.",
       .labels = kDecisionLabel},
      {.name = "permit_wait_ms",
       .doc = "How long the last plan with both permits waited for them.",
       .type = SLUICE_GAUGE}};

  static constexpr const char* kReasons[] = {"invalid_plan",
                                             "duplicate_plan",
                                             "kill_switch_active",
                                             "disarmed",
                                             "plan_expired",
                                             "no_position",
                                             "governor_blocked",
                                             "permit_timeout_or_missing",
                                             "p33_permit_denied",
                                             "invalid_p33_permit_format",
                                             "invalid_safe_close_qty",
                                             "governor_permit_denied",
                                             "invalid_governor_permit_format",
                                             "permit_not_bound",
                                             "permit_expired",
                                             "missing_new_sl",
                                             "no_exchange_snapshot",
                                             "stop_would_trigger",
                                             "dry_run",
                                             nullptr};

  explicit Gate(const Settings& settings)
      : account_(settings.text("account")),
        disarm_lets_closes_(settings.boolean("disarm_lets_closes")),
        ended_ttl_(settings.duration("ended_ttl")),
        foreign_permits_(settings.boolean("foreign_permits")),
        dry_run_(settings.boolean("dry_run")) {}

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  struct Case;
  struct Ending;
  // What the permits allow.
  struct Order {
    std::string type, leg, side;
    Decimal quantity;
    std::optional<Decimal> stop_price;
  };

  bool is_disarmed(const Case& c) const;
  Verdict judge(const Case& c) const;
  Verdict rehearse(const Case& c, const Order& order) const;
  Verdict send(const Case& c, const Order& order, int64_t valid_until_us) const;
  Verdict end(const Case& c, Ending ending) const;
  Verdict end_repeated(const Case& c) const;
  void give_back(const Case& c, bool took_permits) const;
  void audit(const Case& c, std::string_view permit, std::string_view event,
             std::string_view reason) const;

  const std::string account_;
  const bool disarm_lets_closes_;
  const Duration ended_ttl_;
  const bool foreign_permits_;
  const bool dry_run_;
};

}  // namespace sluice::apply
