// Says of each plan that was ordered what its order came to, in the form of apply.result.
#pragma once

#include <optional>
#include <string>

#include "sluice/plugin.h"

namespace sluice::apply {

// What execution says of one order. Texts as they stand in the entry.
struct OrderResult {
  std::string plan_id, symbol, action, side, type;
  std::string client_order_id, order_id;
  std::string status, reason;
  std::string quantity;  // as ordered; empty when execution does not say
  Decimal executed;
  std::string price, stop_price;
  bool reduce_only = false;

  bool has_fill() const { return executed.is_positive(); }
  // A stop order that waits on the exchange: done as planned, without a fill.
  bool is_placed_stop() const;
};

// nullopt, and `why` names the field that is missing or unsound.
std::optional<OrderResult> read_order_result(const Record& fields, std::string& why);

// The JSON array `steps_results`, one element of the contract's form:
//   {"step", "status", "details", "order_id", "side", "quantity", "executed_qty", "reduce_only"}
// status: success (filled whole, or a stop that was placed), partial (filled in part), error.
std::string order_steps(const OrderResult& result);

// In:      results of the execution stage.
// Out:     result: one entry for each order, `executed` True only when something was filled; state
//          and reason are those of execution, so that a run accounts for a plan by its order's end.
//          `ordered_since_us`, the decision's time, stands in entries of ordered plans alone.
// Claims:  quantum:apply:result_published:<client order id>: one entry for an order reported twice.
// Reject:  a result nobody can read; it is kept for an operator.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, sections 6.7.2 and 6.8; that the order's status counts is ours.
class ResultStage {
 public:
  static constexpr Info kInfo{.kind = "result",
                              .doc = "Reports what became of plans that were ordered."};

  static constexpr const char* kNeeded[] = {"plan_id", "client_order_id", "symbol", "side",
                                            "status",  "executed_qty",    nullptr};
  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Results of the execution stage.", .fields = kNeeded}};

  static constexpr const char* kResultFields[] = {
      "plan_id",       "symbol",   "decision",    "executed", "would_execute",
      "steps_results", "error",    "timestamp",   "state",    "reason",
      "decision_id",   "trace_id", "decision_us", "order_id", "client_order_id",
      "executed_qty",  nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "result", .doc = "One entry for each order.", .fields = kResultFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "seen_ttl",
       .doc = "How long an order is remembered as reported.",
       .type = SLUICE_DURATION,
       .default_text = "1d",
       .min_text = "1h",
       .max_text = "365d"}};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:apply:result_published:{client_order_id}",
       .doc = "Orders that are reported.",
       .access = SLUICE_KEY_WRITES}};

  static constexpr const char* kStepLabels[] = {"symbol", "step", "status", nullptr};
  static constexpr const char* kStatusLabel[] = {"status", nullptr};
  static constexpr const char* kSymbolLabel[] = {"symbol", nullptr};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "quantum_apply_execute_total",
       .doc = "Steps executed; status success or error, a part filled is a success.",
       .labels = kStepLabels},
      {.name = "apply_executed_total",
       .doc = "Plans executed, by status; kill_switch: stopped by it.",
       .labels = kStatusLabel},
      {.name = "quantum_apply_last_success_epoch",
       .doc = "When a step last succeeded, seconds since the epoch.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel}};

  static constexpr const char* kReasons[] = {"invalid_result", nullptr};

  explicit ResultStage(const Settings& settings) : seen_ttl_(settings.duration("seen_ttl")) {}

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  const Duration seen_ttl_;
};

}  // namespace sluice::apply
