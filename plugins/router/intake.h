// The gate for trade intents that other producers write themselves.
#pragma once

#include "sluice/plugin.h"

namespace sluice::router {

// In:      trade intents of any producer: JSON in `payload`, or in `data` as older ones write.
// Out:     intent, the same in the present envelope, and nothing a rule of v1.1 refuses.
// Reject:  invalid_intent with every rule that is broken; side_removed for an intent that has
//          `side` and no `action` after the date the policy gives.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, section 3.
class Intake {
 public:
  static constexpr Info kInfo{
      .kind = "intake", .doc = "Lets sound trade intents of other producers into the pipeline."};

  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Trade intents: JSON in `payload` or `data`."}};
  static constexpr const char* kIntentFields[] = {
      "event_type",     "payload",     "timestamp",   "source", "trace_id",
      "correlation_id", "decision_id", "decision_us", "policy", nullptr};
  static constexpr sluice_port kOutputs[] = {{.name = "intent",
                                              .doc = "Trade intents, envelope and payload v1.1.",
                                              .fields = kIntentFields}};

  static constexpr const char* kIntentArgFields[] = {"entry_id", "source", "symbol", "side",
                                                     nullptr};
  static constexpr sluice_arg kIntentArg[] = {
      {.name = "intent", .type = SLUICE_RECORD, .fields = kIntentArgFields}};
  static constexpr sluice_param kSideUntilResult[] = {
      {.name = "side_until",
       .doc = "UTC date; from its first moment on `side` no longer stands for `action`. What is no "
              "date means no longer, too.",
       .type = SLUICE_TEXT,
       .default_text = "2026-02-20"}};
  static constexpr sluice_hook kHooks[] = {
      {.name = "side_until",
       .doc = "How long an intent may name its action by the deprecated `side`.",
       .args = kIntentArg,
       .arg_count = 1,
       .results = kSideUntilResult,
       .result_count = 1}};

  static constexpr sluice_metric kMetrics[] = {
      {.name = "trade_intent_validation_failures", .doc = "Intents that break a rule of v1.1."},
      {.name = "trade_intent_schema_mismatches",
       .doc = "Intents of an older form: `side` stands for `action`."},
      {.name = "trade_intent_parse_errors",
       .doc = "Intents without a payload, or whose payload is no JSON object."}};

  static constexpr const char* kReasons[] = {"invalid_intent", "side_removed", nullptr};

  explicit Intake(const Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) const;
};

}  // namespace sluice::router
