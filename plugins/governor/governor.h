// Grants or refuses each plan a permit, within rates and daily limits.
#pragma once

#include "common/control.h"
#include "common/permit.h"
#include "common/permit_trail.h"
#include "common/plan.h"
#include "governor/review.h"
#include "sluice/plugin.h"

namespace sluice::governor {

// In:      plans. Plans whose decision is not EXECUTE are none of its business.
// Grants:  claims quantum:permit:<P> in the same unit as the reservations it names, so a permit
//          without its share of the limits cannot exist. A plan gets one permit, ever, and none
//          once the gate has ended it: nobody would give the share back.
// Refuses: writes quantum:governor:block:<P>; the gate ends its wait on it.
// Disarms: puts quantum:apply:disarmed, at most once a UTC day, when a strategy runs away (burst)
//          or the governor cannot do its sums (errors). Only an operator takes it back.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, sections 4.1 to 4.3; README.md beside this file has the table of
//          gates and what of the reference is left out.
class Governor {
 public:
  static constexpr Info kInfo{.kind = "governor",
                              .doc = "Grants permits for plans within rate and daily limits."};

  static constexpr sluice_port kInputs[] = {{.name = "in", .doc = "Plans of apply.plan."}};

  static constexpr const char* kEventFields[] = {"event",     "plan_id",     "symbol", "reason",
                                                 "timestamp", "decision_id", nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "event",
       .doc = "BLOCKED, one for each plan blocked; AUTO_DISARM, with `context` and `action_taken`.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = kEventFields},
      {.name = "audit",
       .doc = "Each permit issued or denied, and what was looked at.",
       .flags = SLUICE_PORT_OPTIONAL,
       .fields = trade::kTrailFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "kill_score_critical",
       .doc = "From this kill score on only closing actions pass.",
       .type = SLUICE_NUMBER,
       .default_text = "0.8",
       .min_text = "0",
       .max_text = "1"},
      {.name = "snapshot_age_max",
       .doc = "Oldest position snapshot a close is measured by. More tolerates a slower exchange "
              "and risks charging the wrong quantity.",
       .type = SLUICE_DURATION,
       .default_text = "10s",
       .min_text = "1s",
       .max_text = "10m"},
      {.name = "block_ttl",
       .doc = "How long a block record stays for operators to see.",
       .type = SLUICE_DURATION,
       .default_text = "1h",
       .min_text = "1m",
       .max_text = "7d"},
      {.name = "granted_ttl",
       .doc = "How long a plan that got its permit gets no other; older plans get none. As long as "
              "the gate's plan_age, or plans that may still pass there get none; not above "
              "apply's dedupe_ttl, or a plan made anew waits for a permit in vain.",
       .type = SLUICE_DURATION,
       .default_text = "10m",
       .min_text = "1m",
       .max_text = "1d"},
      trade::kForeignPlansSetting,
      {.name = "enable_auto_disarm",
       .doc = "Whether the governor may stop all orders by itself.",
       .type = SLUICE_BOOLEAN,
       .default_text = "true"},
      {.name = "disarm_on_burst_breach",
       .doc = "Disarm when a plan is above its symbol's limit of five minutes.",
       .type = SLUICE_BOOLEAN,
       .default_text = "true"},
      {.name = "disarm_on_error_count",
       .doc = "Disarm at so many plans of a UTC day that could not be computed. 0: never.",
       .type = SLUICE_INTEGER,
       .unit = "errors",
       .default_text = "5",
       .min_text = "0",
       .max_text = "100000"}};

  // `side`: BUY or SELL of an opening, close of everything else.
  static constexpr sluice_arg kSideArgs[] = {{.name = "symbol", .type = SLUICE_TEXT},
                                             {.name = "side", .type = SLUICE_TEXT}};
  static constexpr sluice_arg kPlanArg[] = {
      {.name = "plan", .type = SLUICE_RECORD, .fields = trade::kPlanPolicyFields}};
  static constexpr sluice_param kLimitsResults[] = {
      {.name = "per_hour",
       .doc = "Permits of one symbol in any hour.",
       .type = SLUICE_INTEGER,
       .unit = "permits",
       .default_text = "3",
       .min_text = "0",
       .max_text = "100000"},
      {.name = "per_5min",
       .doc = "Permits of one symbol in any five minutes.",
       .type = SLUICE_INTEGER,
       .unit = "permits",
       .default_text = "2",
       .min_text = "0",
       .max_text = "100000"},
      {.name = "notional_per_day",
       .doc = "Notional of one symbol's permits in one UTC day.",
       .type = SLUICE_DECIMAL,
       .unit = "USD",
       .default_text = "5000",
       .min_text = "0",
       .max_text = "1000000000"},
      {.name = "qty_per_day",
       .doc = "Quantity of one symbol's permits in one UTC day, counted where no price is known.",
       .type = SLUICE_DECIMAL,
       .unit = "base asset",
       .default_text = "0.02",
       .min_text = "0",
       .max_text = "1000000000"}};
  static constexpr sluice_param kBoundsResults[] = {{.name = "size_max",
                                                     .doc = "Size of one opening.",
                                                     .type = SLUICE_DECIMAL,
                                                     .unit = "USD",
                                                     .default_text = "10000",
                                                     .min_text = "0",
                                                     .max_text = "1000000000"},
                                                    {.name = "leverage_max",
                                                     .doc = "Leverage of one opening.",
                                                     .type = SLUICE_DECIMAL,
                                                     .unit = "times",
                                                     .default_text = "80",
                                                     .min_text = "0",
                                                     .max_text = "125"},
                                                    {.name = "notional_max",
                                                     .doc = "Size times leverage of one opening.",
                                                     .type = SLUICE_DECIMAL,
                                                     .unit = "USD",
                                                     .default_text = "100000",
                                                     .min_text = "0",
                                                     .max_text = "1000000000"},
                                                    {.name = "confidence_min",
                                                     .doc = "Confidence an opening needs; 0: none.",
                                                     .type = SLUICE_NUMBER,
                                                     .default_text = "0",
                                                     .min_text = "0",
                                                     .max_text = "1"}};
  static constexpr sluice_param kTradesResult[] = {
      {.name = "daily_trades_max",
       .doc = "Openings of all symbols in one UTC day.",
       .type = SLUICE_INTEGER,
       .unit = "permits",
       .default_text = "200",
       .min_text = "0",
       .max_text = "1000000"}};
  static constexpr sluice_param kPermitTtlResult[] = {{.name = "permit_ttl",
                                                       .doc = "How long a permit lives.",
                                                       .type = SLUICE_DURATION,
                                                       .default_text = "60s",
                                                       .min_text = "100ms",
                                                       .max_text = "1h"}};
  static constexpr sluice_hook kHooks[] = {{.name = "limits",
                                            .doc = "Limits of one symbol and side.",
                                            .args = kSideArgs,
                                            .arg_count = 2,
                                            .results = kLimitsResults,
                                            .result_count = 4},
                                           {.name = "risk_bounds",
                                            .doc = "Bounds of a single opening.",
                                            .args = kSideArgs,
                                            .arg_count = 2,
                                            .results = kBoundsResults,
                                            .result_count = 4},
                                           {.name = "daily_trades_max",
                                            .doc = "Openings a day, of all symbols together.",
                                            .results = kTradesResult,
                                            .result_count = 1},
                                           {.name = "permit_ttl",
                                            .doc = "How long the permit of a plan can be used.",
                                            .args = kPlanArg,
                                            .arg_count = 1,
                                            .results = kPermitTtlResult,
                                            .result_count = 1}};

  static constexpr sluice_key kKeys[] = {
      trade::kKillSwitch,
      trade::kGlobalKillSwitch,
      {.pattern = "quantum:position:snapshot:{symbol}",
       .doc = "What a close is measured by.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:permit:{plan_id}",
       .doc = "Permits.",
       .access = SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:granted:{plan_id}",
       .doc = "The permit as it was granted.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:block:{plan_id}",
       .doc = "Why a plan got no permit.",
       .access = SLUICE_KEY_WRITES},
      {.pattern = "quantum:apply:ended:{plan_id}",
       .doc = "The gate is done with the plan.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:apply:disarmed",
       .doc = "Stops the gate until an operator erases it.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "quantum:governor:disarm:{day}",
       .doc = "The automatic disarm of a UTC day.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:rate:hour:{symbol}",
       .doc = "Permits of the last hour.",
       .access = SLUICE_KEY_COUNTER | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:rate:5min:{symbol}",
       .doc = "Permits of the last five minutes.",
       .access = SLUICE_KEY_COUNTER | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:daily:{symbol}:{day}",
       .doc = "Notional of the UTC day, USD times 10^8.",
       .access = SLUICE_KEY_COUNTER | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:daily_qty:{symbol}:{day}",
       .doc = "Quantity of the UTC day, times 10^8.",
       .access = SLUICE_KEY_COUNTER | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:daily_trades:{day}",
       .doc = "Openings permitted in the UTC day, YYYYMMDD.",
       .access = SLUICE_KEY_COUNTER | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:errors:{day}",
       .doc = "Plans of the UTC day that could not be computed.",
       .access = SLUICE_KEY_COUNTER | SLUICE_KEY_OWNS}};

  static constexpr sluice_time kTimes[] = {
      {.source = "permit_ttl", .role = SLUICE_TIME_TTL, .pattern = "quantum:permit:{plan_id}"},
      {.source = "block_ttl",
       .role = SLUICE_TIME_TTL,
       .pattern = "quantum:governor:block:{plan_id}"},
      {.source = "granted_ttl",
       .role = SLUICE_TIME_TTL,
       .pattern = "quantum:governor:granted:{plan_id}"}};

  static constexpr const char* kSymbolLabel[] = {"symbol", nullptr};
  static constexpr const char* kBlockLabels[] = {"symbol", "reason", nullptr};
  static constexpr const char* kReasonLabel[] = {"reason", nullptr};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "quantum_govern_allow_total", .doc = "Permits granted.", .labels = kSymbolLabel},
      {.name = "quantum_govern_block_total", .doc = "Plans blocked.", .labels = kBlockLabels},
      {.name = "quantum_govern_disarm_total", .doc = "Automatic disarms.", .labels = kReasonLabel},
      {.name = "quantum_govern_exec_count_hour",
       .doc = "Permits granted in the last hour.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel},
      {.name = "quantum_govern_exec_count_5min",
       .doc = "Permits granted in the last five minutes.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel}};

  // In the order of the gates.
  static constexpr const char* kReasons[] = {"kill_switch_active",
                                             "kill_score_critical_non_close",
                                             "hourly_limit_exceeded",
                                             "burst_limit_exceeded",
                                             "position_fetch_failed",
                                             "limit_computation_error",
                                             "daily_limit_exceeded",
                                             "SIZE_OUT_OF_BOUNDS",
                                             "LEVERAGE_OUT_OF_BOUNDS",
                                             "NOTIONAL_EXCEEDED",
                                             "CONFIDENCE_BELOW_FLOOR",
                                             "EXCEEDS_RISK_BUDGET",
                                             "DAILY_TRADE_LIMIT_REACHED",
                                             "evaluation_error",
                                             nullptr};

  explicit Governor(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  // Why the plan is not judged any more, for `audit`: plan_ended or plan_expired; or empty.
  std::string_view find_over(const trade::Plan& plan, const Unit& unit) const;
  // Goes through the gates; counters are only looked up here, they are asked by the commit.
  Review review(const trade::Plan& plan, const Unit& unit) const;
  // The reason of the first gate that refuses, or empty.
  std::string_view judge(const trade::Plan& plan, const Unit& unit, Review& review) const;
  Verdict grant(const trade::Plan& plan, const Review& review, Unit& unit) const;
  Verdict refuse(const trade::Plan& plan, const Review& review,
                 const std::optional<Failure>& failure, Unit& unit) const;
  // `context` is a JSON object.
  void disarm(const trade::Plan& plan, std::string_view reason, const std::string& context,
              Unit& unit) const;

  const double kill_score_critical_;
  const Duration snapshot_age_max_;
  const Duration block_ttl_;
  const Duration granted_ttl_;
  const bool disarm_on_burst_;
  const bool foreign_plans_;
  const int64_t disarm_errors_;  // 0: never
};

}  // namespace sluice::governor
