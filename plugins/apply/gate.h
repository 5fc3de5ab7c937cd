// The gate: no order without both permits, each bound to the plan and used once.
#pragma once

#include "apply/hooks.h"
#include "common/permit.h"
#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::apply {

// In:      plans. Plans whose decision is not EXECUTE already have their terminal record.
// Waits:   for both permits or the governor's block record, from the plan's first delivery.
// Out:     order: what execution shall send; or result: why nothing is sent. Exactly one of both.
// Takes:   both permits, in the same unit as the order; a pair that is refused is used up as well.
// Gives back: what the governor reserved, when nothing is sent and its permit was there.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, section 6.7; checks of permit content and the kill switch are ours.
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
      {.name = "result", .doc = "Plans that end here.", .fields = kResultFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "account",
       .doc = "Goes into client order ids, so that two accounts never share one.",
       .type = SLUICE_TEXT,
       .default_text = "paper"}};

  static constexpr const auto& kHooks = kApplyHooks;

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:kill", .doc = "Kill switch.", .access = SLUICE_KEY_READS},
      {.pattern = "quantum:global:kill_switch", .doc = "Kill switch.", .access = SLUICE_KEY_READS},
      {.pattern = "quantum:position:snapshot:{symbol}",
       .doc = "Whether there is a position to close.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:permit:{plan_id}",
       .doc = "The governor's permit.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_TAKES},
      {.pattern = "quantum:permit:p33:{plan_id}",
       .doc = "P3.3's permit.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_TAKES},
      {.pattern = "quantum:governor:block:{plan_id}",
       .doc = "Why the governor gave none.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:governor:{counter}",
       .doc = "Reservations given back.",
       .access = SLUICE_KEY_COUNTER}};

  static constexpr sluice_time kTimes[] = {{.source = "permit_wait", .role = SLUICE_TIME_WAIT},
                                           {.source = "plan_age", .role = SLUICE_TIME_AGE_MAX}};

  static constexpr const char* kReasons[] = {"invalid_plan",
                                             "kill_switch_active",
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
                                             "not_implemented",
                                             nullptr};

  explicit Gate(const Settings& settings) : account_(settings.text("account")) {}

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  struct Keys;
  Verdict judge(const trade::Plan& plan, const Keys& keys, Unit& unit) const;
  Verdict order(const trade::Plan& plan, const trade::Judgement& judgement, const Keys& keys,
                Unit& unit) const;

  const std::string account_;
};

}  // namespace sluice::apply
