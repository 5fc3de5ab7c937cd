// Grants or refuses each plan a permit, within rates and daily limits.
#pragma once

#include "common/permit.h"
#include "common/plan.h"
#include "governor/limits.h"
#include "sluice/plugin.h"

namespace sluice::governor {

// In:      plans. Plans whose decision is not EXECUTE are none of its business.
// Grants:  claims quantum:permit:<P> in the same unit as the reservations it names, so a permit
//          without its share of the limits cannot exist. A permit that is already there stays.
// Refuses: writes quantum:governor:block:<P>; the gate ends its wait on it.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, section 4.2.
class Governor {
 public:
  static constexpr Info kInfo{.kind = "governor",
                              .doc = "Grants permits for plans within rate and daily limits."};

  static constexpr sluice_port kInputs[] = {{.name = "in", .doc = "Plans of apply.plan."}};

  static constexpr const char* kEventFields[] = {"event",     "plan_id",     "symbol", "reason",
                                                 "timestamp", "decision_id", nullptr};
  static constexpr sluice_port kOutputs[] = {{.name = "event",
                                              .doc = "One record for each plan blocked.",
                                              .flags = SLUICE_PORT_OPTIONAL,
                                              .fields = kEventFields}};

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
       .max_text = "7d"}};

  static constexpr sluice_arg kSymbolArg[] = {{.name = "symbol", .type = SLUICE_TEXT}};
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
  static constexpr sluice_param kPermitTtlResult[] = {{.name = "permit_ttl",
                                                       .doc = "How long a permit lives.",
                                                       .type = SLUICE_DURATION,
                                                       .default_text = "60s",
                                                       .min_text = "100ms",
                                                       .max_text = "1h"}};
  static constexpr sluice_hook kHooks[] = {{.name = "limits",
                                            .doc = "Limits of one symbol.",
                                            .args = kSymbolArg,
                                            .arg_count = 1,
                                            .results = kLimitsResults,
                                            .result_count = 4},
                                           {.name = "permit_ttl",
                                            .doc = "How long the permit of a plan can be used.",
                                            .args = kPlanArg,
                                            .arg_count = 1,
                                            .results = kPermitTtlResult,
                                            .result_count = 1}};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:kill", .doc = "Kill switch.", .access = SLUICE_KEY_READS},
      {.pattern = "quantum:global:kill_switch", .doc = "Kill switch.", .access = SLUICE_KEY_READS},
      {.pattern = "quantum:position:snapshot:{symbol}",
       .doc = "What a close is measured by.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:permit:{plan_id}",
       .doc = "Permits.",
       .access = SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      {.pattern = "quantum:governor:block:{plan_id}",
       .doc = "Why a plan got no permit.",
       .access = SLUICE_KEY_WRITES},
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
       .access = SLUICE_KEY_COUNTER | SLUICE_KEY_OWNS}};

  static constexpr sluice_time kTimes[] = {
      {.source = "permit_ttl", .role = SLUICE_TIME_TTL, .pattern = "quantum:permit:{plan_id}"}};

  static constexpr const char* kReasons[] = {
      "kill_switch_active",    "kill_score_critical_non_close",
      "hourly_limit_exceeded", "burst_limit_exceeded",
      "position_fetch_failed", "limit_computation_error",
      "daily_limit_exceeded",  nullptr};

  explicit Governor(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  // The reason of a refusal, or nothing and `amounts`.
  std::optional<std::string> refusal(const trade::Plan& plan, const Unit& unit,
                                     Amounts& amounts) const;
  Verdict block(const trade::Plan& plan, std::string_view reason, Unit& unit) const;
  Verdict grant(const trade::Plan& plan, const Amounts& amounts, Unit& unit) const;

  const double kill_score_critical_;
  const Duration snapshot_age_max_;
  const Duration block_ttl_;
};

}  // namespace sluice::governor
