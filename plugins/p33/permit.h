// Decides whether a plan fits what is really held, and permits it.
#pragma once

#include <string>
#include <vector>

#include "common/permit_trail.h"
#include "common/plan.h"
#include "p33/checks.h"
#include "p33/hooks.h"
#include "sluice/plugin.h"

namespace sluice::p33 {

// In:      plans. Plans whose decision is not EXECUTE are none of its business.
// Writes:  quantum:permit:p33:<P>, an allowing or a denying permit; one that is there stays.
// Claims:  quantum:p33:issued:<P>, together with the permit and for longer: a plan is decided once,
//          also when it is met again after its permit was used or has run out.
// Out:     audit: one entry for each decision, with what it was made on.
// Waits:   for a snapshot when there is none or a stale one, at most `snapshot_wait`.
// Several: instances with groups of their own, in one pipeline or in several processes, decide each
//          plan once between them; the others find the mark.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, section 5; the checks are in p33/checks.h.
class Permit {
 public:
  static constexpr Info kInfo{.kind = "permit",
                              .doc = "Permits plans that fit exchange position and ledger."};

  static constexpr sluice_port kInputs[] = {{.name = "in", .doc = "Plans of apply.plan."}};

  static constexpr sluice_port kOutputs[] = {{.name = "audit",
                                              .doc = "Each decision and what it was made on.",
                                              .flags = SLUICE_PORT_OPTIONAL,
                                              .fields = trade::kTrailFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "symbols",
       .doc = "Symbols that may get a permit; plans of others get none. Empty: all.",
       .type = SLUICE_LIST,
       .default_text = ""},
      {.name = "issued_ttl",
       .doc = "How long a plan is remembered as decided. Older plans get no permit at all, so "
              "less ends plans that waited through a long stop.",
       .type = SLUICE_DURATION,
       .default_text = "6h",
       .min_text = "10m",
       .max_text = "30d"},
      trade::kForeignPlansSetting,
      {.name = "snapshot_wait",
       .doc = "How long a plan waits for a snapshot to arrive before it is denied for want of "
              "one. More helps after a start and holds the gate's window up.",
       .type = SLUICE_DURATION,
       .default_text = "1s",
       .min_text = "0s",
       .max_text = "1m"}};

  static constexpr sluice_arg kPlanArg[] = {
      {.name = "plan", .type = SLUICE_RECORD, .fields = trade::kPlanPolicyFields}};
  static constexpr sluice_param kToleranceResult[] = {
      {.name = "tolerance",
       .doc = "How far ledger and exchange may differ; never less than 0.001 of the base asset.",
       .type = SLUICE_DECIMAL,
       .unit = "percent",
       .default_text = "1",
       .min_text = "0",
       .max_text = "100"}};
  static constexpr sluice_param kCooldownResult[] = {{.name = "cooldown",
                                                      .doc = "Quiet time after a fill.",
                                                      .type = SLUICE_DURATION,
                                                      .default_text = "15s",
                                                      .min_text = "0s",
                                                      .max_text = "1h"}};
  static constexpr sluice_param kPermitTtlResult[] = {{.name = "permit_ttl",
                                                       .doc = "How long a permit lives.",
                                                       .type = SLUICE_DURATION,
                                                       .default_text = "60s",
                                                       .min_text = "100ms",
                                                       .max_text = "1h"}};
  static constexpr sluice_hook kHooks[] = {
      {.name = "tolerance",
       .doc = "Tolerance between ledger and exchange for a symbol.",
       .args = kSymbolArg,
       .arg_count = 1,
       .results = kToleranceResult,
       .result_count = 1},
      {.name = "snapshot_age_max",
       .doc = "Oldest position snapshot a plan is checked against.",
       .results = kSnapshotAgeResult,
       .result_count = 1},
      {.name = "cooldown",
       .doc = "How long after a fill the symbol's next plan is denied.",
       .results = kCooldownResult,
       .result_count = 1},
      {.name = "permit_ttl",
       .doc = "How long the permit of a plan can be used.",
       .args = kPlanArg,
       .arg_count = 1,
       .results = kPermitTtlResult,
       .result_count = 1}};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:position:snapshot:{symbol}",
       .doc = "Position on the exchange.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:position:ledger:{symbol}",
       .doc = "Position by our own fills.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:reconcile:hold:{symbol}",
       .doc = "Any value holds the symbol.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:permit:p33:{plan_id}", .doc = "Permits.", .access = SLUICE_KEY_WRITES},
      {.pattern = "quantum:p33:issued:{plan_id}",
       .doc = "Plans that were decided.",
       .access = SLUICE_KEY_WRITES}};

  static constexpr sluice_time kTimes[] = {
      {.source = "snapshot_wait", .role = SLUICE_TIME_WAIT},
      {.source = "permit_ttl", .role = SLUICE_TIME_TTL, .pattern = "quantum:permit:p33:{plan_id}"},
      {.source = "issued_ttl", .role = SLUICE_TIME_TTL, .pattern = "quantum:p33:issued:{plan_id}"}};

  static constexpr const char* kSymbolLabel[] = {"symbol", nullptr};
  static constexpr const char* kDenyLabels[] = {"symbol", "reason", nullptr};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "p33_permit_allow_total", .doc = "Plans allowed.", .labels = kSymbolLabel},
      {.name = "p33_permit_deny_total", .doc = "Plans denied.", .labels = kDenyLabels},
      {.name = "p33_snapshot_age_seconds",
       .doc = "Age of the snapshot the last plan was decided on.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel}};

  static constexpr const char* kReasons[] = {"no_exchange_snapshot",
                                             "stale_exchange_state",
                                             "no_position",
                                             "reconcile_required_side_mismatch",
                                             "reconcile_required_qty_mismatch",
                                             "cooldown_in_flight",
                                             "quantity_error",
                                             "reconcile_hold_active",
                                             "plan_expired",
                                             nullptr};

  explicit Permit(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  bool has_outlived_its_mark(const trade::Plan& plan, Time now) const;
  Verdict expire(const trade::Plan& plan, Unit& unit) const;

  const std::vector<std::string> symbols_;
  const Duration snapshot_wait_;
  const Duration issued_ttl_;
  const bool foreign_plans_;
};

}  // namespace sluice::p33
