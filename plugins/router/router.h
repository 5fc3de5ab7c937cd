// Turns AI decisions into trade intents, each once.
#pragma once

#include "router/decision.h"
#include "sluice/plugin.h"

namespace sluice::router {

// The decision an intent goes back to.
struct Origin {
  std::string_view id;  // entry id; a view of the entry
  std::string us;       // when it was met first
};

// In:      decision {payload} with trace_id and correlation_id, or the decision's own fields.
// Out:     intent, the envelope of trade.intent; its form is judged by the stream's schema.
//          duplicate, when an earlier decision has the same dedup id: `conflict` when the id is the
//          producer's and the two differ in what an intent would say, else `duplicate`.
//          refused and fault, when a decision exceeds a rate of the safety kernel; wire `refused`
//          wherever `safety` is on, it is the end of that decision.
// Claims:  the dedup key, in the same unit as the intent: a decision that is refused, here or by
//          the schema, takes no key.
// Safety:  with `safety`, each intent is counted in both rates in the same unit, and nothing passes
//          while quantum:safety:safe_mode is set or nobody can read it. A rate that is exceeded
//          sets it.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, sections 2.1 to 2.4 and 2.8.
class Router {
 public:
  static constexpr Info kInfo{.kind = "router",
                              .doc = "Publishes each sound AI decision once as a trade intent."};

  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "AI decisions: JSON in `payload` or `data`, or flat fields."}};

  static constexpr const char* kIntentFields[] = {
      "event_type",     "payload",     "timestamp",   "source", "trace_id",
      "correlation_id", "decision_id", "decision_us", "policy", nullptr};
  static constexpr const char* kDuplicateFields[] = {"decision_id", "key",    "earlier",
                                                     "trace_id",    "symbol", "decision_us",
                                                     "state",       "reason", nullptr};
  static constexpr const char* kRefusedFields[] = {
      "decision_id", "trace_id", "symbol", "decision_us", "state", "reason", nullptr};
  static constexpr const char* kFaultFields[] = {
      "timestamp",    "reason",     "symbol",      "side",           "global_count",
      "symbol_count", "global_max", "symbol_max",  "window_sec",     "cooldown_sec",
      "router_pid",   "trace_id",   "decision_id", "correlation_id", nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "intent",
       .doc = "Trade intents, envelope and payload v1.1.",
       .fields = kIntentFields},
      {.name = "duplicate",
       .doc = "One record for each decision whose dedup id was taken; `earlier` is the entry id of "
              "the decision that took it, and `reason` is conflict when that one says otherwise.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kDuplicateFields},
      {.name = "refused",
       .doc = "One record for each decision that exceeded a rate of the safety kernel.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kRefusedFields},
      {.name = "fault",
       .doc = "What put the router into safe mode, for operators; `router_pid` is the stage.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kFaultFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "min_confidence",
       .doc = "Decisions below are rejected. More lets fewer through.",
       .type = SLUICE_NUMBER,
       .default_text = "0",
       .min_text = "0",
       .max_text = "1"},
      kSizeSetting,
      kLeverageSetting,
      {.name = "safety",
       .doc = "True: the safety kernel limits how many intents pass in a short time, and stops all "
              "of them for a while when more come.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"},
      {.name = "selected",
       .doc = "True: entries come from router.select and bring `decision_id` and `decision_us` of "
              "the decision they go back to. False: such fields are a producer's and are ignored.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"}};

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
  static constexpr sluice_param kApproveResults[] = {
      {.name = "approved",
       .doc = "False: the decision becomes no intent.",
       .type = SLUICE_BOOLEAN,
       .default_text = "true"},
      {.name = "reason", .doc = "Why not.", .type = SLUICE_TEXT, .default_text = ""}};
  static constexpr sluice_param kSafetyResults[] = {
      {.name = "window",
       .doc = "What both rates count over. More slows long bursts down, less short ones.",
       .type = SLUICE_DURATION,
       .default_text = "10s",
       .min_text = "1s",
       .max_text = "1h"},
      {.name = "global_max",
       .doc = "Intents in one window. More lets a strategy that runs away go further.",
       .type = SLUICE_INTEGER,
       .default_text = "20",
       .min_text = "0",
       .max_text = "1000000"},
      {.name = "symbol_max",
       .doc = "Intents of one symbol in one window.",
       .type = SLUICE_INTEGER,
       .default_text = "5",
       .min_text = "0",
       .max_text = "1000000"},
      {.name = "cooldown",
       .doc = "How long nothing passes once a rate was exceeded.",
       .type = SLUICE_DURATION,
       .default_text = "300s",
       .min_text = "1s",
       .max_text = "1d"}};
  static constexpr sluice_hook kHooks[] = {
      {.name = "approve",
       .doc = "Whether a strategy may act on the decision; the reference asks a service.",
       .args = kDecisionArg,
       .arg_count = 1,
       .results = kApproveResults,
       .result_count = 2},
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
       .result_count = 1},
      {.name = "safety_limits",
       .doc = "How many intents the safety kernel lets through, where the stage has it on.",
       .args = kDecisionArg,
       .arg_count = 1,
       .results = kSafetyResults,
       .result_count = 4}};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:dedup:trade_intent:{dedup_id}",
       .doc = "Entry id of the decision that was published under this id and, where the id is the "
              "producer's, a digest of its content.",
       .access = SLUICE_KEY_WRITES},
      {.pattern = "quantum:safety:safe_mode",
       .doc = "While it is set, to anything but a word for no, no intent passes.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "quantum:safety:rate:global:{window}",
       .doc = "Intents in one window.",
       .access = SLUICE_KEY_COUNTER},
      {.pattern = "quantum:safety:rate:symbol:{symbol}:{window}",
       .doc = "Intents of one symbol in one window.",
       .access = SLUICE_KEY_COUNTER}};

  static constexpr sluice_time kTimes[] = {{.source = "dedup_ttl",
                                            .role = SLUICE_TIME_TTL,
                                            .pattern = "quantum:dedup:trade_intent:{dedup_id}"}};

  // Of reject; and of records on `duplicate` and `refused`.
  static constexpr const char* kReasons[] = {"invalid_decision",
                                             "hold_signal",
                                             "low_confidence",
                                             "strategy_denied",
                                             "SAFE_MODE_ENABLED",
                                             "GLOBAL_RATE_EXCEEDED",
                                             "SYMBOL_RATE_EXCEEDED",
                                             "duplicate",
                                             "conflict",
                                             nullptr};

  static constexpr sluice_metric kMetrics[] = {
      {.name = "quantum_router_conflicts_total",
       .doc = "Decisions that came under the id of another one and said otherwise."}};

  explicit Router(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  Origin origin_of(const Entry& entry, const Unit& unit) const;
  Verdict route(const Decision& decision, const Origin& origin, Unit& unit) const;
  Verdict duplicate(const Decision& decision, const Origin& origin, const Failure& failure,
                    Unit& unit) const;
  Verdict enter_safe_mode(const Decision& decision, const Origin& origin, const Failure& failure,
                          const PolicyResult& limits, Unit& unit) const;

  const double min_confidence_;
  const Defaults defaults_;
  const bool safety_;
  const bool selected_;
  const std::string stage_;
};

}  // namespace sluice::router
