// Turns AI decisions into trade intents, each once.
#pragma once

#include "router/decision.h"
#include "sluice/plugin.h"

namespace sluice::router {

// In:      decision {payload} with trace_id and correlation_id, or the decision's own fields.
// Out:     intent, the envelope of trade.intent; its form is judged by the stream's schema.
//          duplicate, when an earlier decision has the same dedup id.
// Claims:  the dedup key, in the same unit as the intent: a decision that is refused, here or by
//          the schema, takes no key.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, section 2.
class Router {
 public:
  static constexpr Info kInfo{.kind = "router",
                              .doc = "Publishes each sound AI decision once as a trade intent."};

  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "AI decisions: JSON in `payload`, or flat fields."}};

  static constexpr const char* kIntentFields[] = {
      "event_type",     "payload",     "timestamp",   "source", "trace_id",
      "correlation_id", "decision_id", "decision_us", "policy", nullptr};
  static constexpr const char* kDuplicateFields[] = {"decision_id", "key",    "earlier",
                                                     "trace_id",    "symbol", "decision_us",
                                                     "state",       "reason", nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "intent",
       .doc = "Trade intents, envelope and payload v1.1.",
       .fields = kIntentFields},
      {.name = "duplicate",
       .doc = "One record for each decision whose dedup id was taken; `earlier` is the entry id of "
              "the decision that took it.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kDuplicateFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "min_confidence",
       .doc = "Decisions below are rejected. More lets fewer through.",
       .type = SLUICE_NUMBER,
       .default_text = "0",
       .min_text = "0",
       .max_text = "1"},
      {.name = "position_size_usd",
       .doc = "Size of a decision that names none.",
       .type = SLUICE_DECIMAL,
       .unit = "USD",
       .default_text = "100",
       .min_text = "0"},
      {.name = "leverage",
       .doc = "Leverage of a decision that names none.",
       .type = SLUICE_DECIMAL,
       .default_text = "1",
       .min_text = "1",
       .max_text = "125"}};

  static constexpr const char* kDecisionFields[] = {
      "entry_id", "correlation_id", "trace_id",          "source",   "symbol",
      "side",     "action",         "confidence",        "model",    "strategy",
      "regime",   "timestamp",      "position_size_usd", "leverage", nullptr};
  static constexpr sluice_arg kDecisionArg[] = {
      {.name = "decision", .type = SLUICE_RECORD, .fields = kDecisionFields}};
  static constexpr sluice_param kDedupIdResult[] = {
      {.name = "dedup_id",
       .doc = "Empty text: the first usable of correlation id, trace id and entry id.",
       .type = SLUICE_TEXT,
       .default_text = ""}};
  static constexpr sluice_param kDedupTtlResult[] = {{.name = "dedup_ttl",
                                                      .doc = "How long an id is remembered.",
                                                      .type = SLUICE_DURATION,
                                                      .default_text = "300s",
                                                      .min_text = "1s",
                                                      .max_text = "30d"}};
  static constexpr sluice_hook kHooks[] = {
      {.name = "dedup_id",
       .doc = "What makes two decisions the same.",
       .args = kDecisionArg,
       .arg_count = 1,
       .results = kDedupIdResult,
       .result_count = 1},
      {.name = "dedup_ttl",
       .doc = "How long after a decision another with the same id is a duplicate.",
       .args = kDecisionArg,
       .arg_count = 1,
       .results = kDedupTtlResult,
       .result_count = 1}};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:dedup:trade_intent:{dedup_id}",
       .doc = "Entry id of the decision that was published under this id.",
       .access = SLUICE_KEY_WRITES}};

  static constexpr const char* kReasons[] = {"invalid_decision", "hold_signal", "low_confidence",
                                             "duplicate", nullptr};

  explicit Router(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  const double min_confidence_;
  const Defaults defaults_;
};

}  // namespace sluice::router
