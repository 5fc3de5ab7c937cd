// Makes plans of trade intents and harvest proposals.
#pragma once

#include "apply/decide.h"
#include "apply/hooks.h"
#include "sluice/plugin.h"

namespace sluice::apply {

// In:      intent: trade intents; proposal: harvest proposals (both optional to wire one alone).
// Out:     plan: every plan, whatever its decision, unless it is marked (below).
//          result: the terminal record of each plan that is not to be executed, in the same unit;
//          intent_id is the entry it was made of, and plan_published says whether the plan is its
//          own entry or one that was in the stream before.
// Ids:     of proposals as in the contract. Those of intents are of the entry too: a redelivered
//          entry gives the same plan, a later one with the same ids its own.
// Claims:  quantum:apply:dedupe:<P>, for intents <digest> (see intent_id_of), in the same unit as a
//          plan to be executed; taken: SKIP, duplicate_plan, under the id of the earlier plan. A
//          plan that ends here does not use its id up.
// Forgets: nothing within dedupe_ttl. A proposal computed longer ago may have been executed and
//          forgotten since: BLOCKED, stale_proposal.
// Marks:   quantum:apply:stream_published:<P>: a plan that ends here is not published a second time
//          while the mark lives; its result is. A plan to be executed always is: the gate reads it.
// Waits:   for a snapshot of the symbol when an opening finds none or a stale one.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, sections 6.2 to 6.6; margin is that of 7.2, guard 5.
class PlanStage {
 public:
  static constexpr Info kInfo{.kind = "plan",
                              .doc = "Decides what to do about intents and proposals."};

  static constexpr const char* kIntentFields[] = {"payload", nullptr};
  static constexpr const char* kProposalFields[] = {"symbol", "harvest_action", "kill_score",
                                                    nullptr};
  static constexpr sluice_port kInputs[] = {{.name = "intent",
                                             .doc = "Trade intents.",
                                             .flags = SLUICE_PORT_OPTIONAL,
                                             .fields = kIntentFields},
                                            {.name = "proposal",
                                             .doc = "Harvest proposals.",
                                             .flags = SLUICE_PORT_OPTIONAL,
                                             .fields = kProposalFields}};

  static constexpr const char* kPlanFields[] = {
      "plan_id",      "symbol",      "action",    "kill_score", "decision",
      "reason_codes", "steps",       "side",      "qty",        "reduceOnly",
      "notional",     "mark_price",  "leverage",  "source",     "trace_id",
      "decision_id",  "decision_us", "plan_hash", "created_us", nullptr};
  static constexpr const char* kResultFields[] = {
      "plan_id",       "symbol",   "decision",  "executed",       "would_execute",
      "steps_results", "error",    "timestamp", "state",          "reason",
      "decision_id",   "trace_id", "intent_id", "plan_published", nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "plan", .doc = "Plans.", .fields = kPlanFields},
      {.name = "result", .doc = "Plans that end here.", .fields = kResultFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "symbols",
       .doc = "Symbols that may be traded; others are skipped.",
       .type = SLUICE_LIST,
       .default_text = "BTCUSDT"},
      {.name = "kill_score_critical",
       .doc = "From here on only closing actions pass.",
       .type = SLUICE_NUMBER,
       .default_text = "0.8",
       .min_text = "0",
       .max_text = "1"},
      {.name = "kill_score_warning",
       .doc = "From here on nothing that adds risk passes.",
       .type = SLUICE_NUMBER,
       .default_text = "0.6",
       .min_text = "0",
       .max_text = "1"},
      {.name = "critical_blocks_closes",
       .doc = "True: a critical kill score blocks closes as well, as the reference does.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"},
      {.name = "snapshot_age_max",
       .doc = "Oldest snapshot an opening is priced by. More tolerates a slower exchange and "
              "prices orders by an older market.",
       .type = SLUICE_DURATION,
       .default_text = "10s",
       .min_text = "1s",
       .max_text = "10m"},
      {.name = "snapshot_wait",
       .doc = "How long an opening waits for a usable snapshot. A little more than one round of "
              "the snapshot source; 0 answers at once.",
       .type = SLUICE_DURATION,
       .default_text = "6s",
       .min_text = "0s",
       .max_text = "5m"},
      {.name = "published_ttl",
       .doc = "How long a plan that ends here is not published again. More keeps repeated plans "
              "out of the stream for longer.",
       .type = SLUICE_DURATION,
       .default_text = "300s",
       .min_text = "1s",
       .max_text = "1d"},
      {.name = "margin_factor",
       .doc = "Free balance an opening needs, in shares of notional / leverage. Asked where the "
              "snapshot has available_balance. More keeps a reserve for losses.",
       .type = SLUICE_DECIMAL,
       .default_text = "1.25",
       .min_text = "0",
       .max_text = "100"}};

  static constexpr const auto& kHooks = kApplyHooks;

  static constexpr sluice_key kKeys[] = {
      trade::kKillSwitch,
      trade::kGlobalKillSwitch,
      {.pattern = "quantum:position:snapshot:{symbol}",
       .doc = "Price and filters of an opening; leverage and balance where they are there.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:apply:dedupe:{dedupe_id}",
       .doc = "Entry id of the proposal or intent that was planned; plan id of the proposal, or "
              "what copies of the intent have in common.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "quantum:apply:stream_published:{plan_id}",
       .doc = "The plan is in the stream.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES}};

  static constexpr sluice_time kTimes[] = {
      {.source = "proposal_age_max", .role = SLUICE_TIME_AGE_MAX},
      {.source = "snapshot_wait", .role = SLUICE_TIME_WAIT}};

  static constexpr const char* kPlanLabels[] = {"symbol", "decision", nullptr};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "quantum_apply_plan_total", .doc = "Plans published.", .labels = kPlanLabels},
      {.name = "quantum_apply_dedupe_hits_total", .doc = "Plans whose id was used up."}};

  // Of reject; and of plans that end here.
  static constexpr const char* kReasons[] = {"invalid_intent",
                                             "invalid_proposal",
                                             "kill_switch_active",
                                             "not_in_allowlist",
                                             "stale_proposal",
                                             "kill_score_critical",
                                             "kill_score_warning_risk_increase",
                                             "duplicate_plan",
                                             "action_hold",
                                             "missing_new_sl",
                                             "unknown_action_<ACTION>",
                                             "no_exchange_snapshot",
                                             "stale_exchange_state",
                                             "missing_position_size",
                                             "qty_below_min",
                                             "leverage_above_max",
                                             "rejected_margin",
                                             nullptr};

  // Throws SettingError when the warning level is above the critical one.
  static void check(const Settings& settings);

  explicit PlanStage(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  Verdict plan_intent(const Entry& entry, Unit& unit) const;
  Verdict plan_proposal(const Entry& entry, Unit& unit) const;
  // Sizes an opening; `decision` becomes why it cannot be done, where it cannot.
  Sizing size(const Intent& intent, Decision& decision, Unit& unit) const;
  // Asks the rest of the table, and emits.
  Verdict finish(trade::Plan plan, Decision decision, const Entry& entry, Unit& unit) const;
  // Rows 7 to 10; claims the dedupe key of what is to be executed.
  Decision decide_rest(Decision decision, trade::Plan& plan, const Entry& entry, Unit& unit) const;
  // Emits the plan unless it is in the stream already and has nothing new to say: false.
  bool publish(const trade::Plan& plan, bool executes, Unit& unit) const;

  const Rules rules_;
  const Duration snapshot_age_max_;
  const Duration snapshot_wait_;
  const Duration published_ttl_;
  const Decimal margin_factor_;
};

}  // namespace sluice::apply
