// From intents and proposals to plans: what to do and whether. Plain values, no host.
//
// Source: reference contract, sections 6.2 to 6.6, with the changes of its section 15.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/control.h"
#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::apply {

struct Rules {
  std::vector<std::string> symbols;  // the allowlist
  double kill_score_critical = 0.80;
  double kill_score_warning = 0.60;
  // The reference blocks closes at a critical kill score too; a replacement lets them through.
  bool critical_blocks_closes = false;
};

// decision is EXECUTE, SKIP, BLOCKED or ERROR.
struct Decision {
  std::string decision;
  std::vector<std::string> reason_codes;

  bool executes() const { return decision == "EXECUTE"; }
  // The code that decided: the last one. Empty when nothing spoke against it.
  std::string reason() const { return reason_codes.empty() ? "" : reason_codes.back(); }
};

// Rows 1 to 6 of the decision table. A plan that comes out as EXECUTE takes the dedupe key.
Decision decide(std::string_view symbol, std::string_view action, double kill_score,
                bool kill_switch_set, const Rules& rules);

// Row 7: the dedupe key was taken before.
Decision as_duplicate(Decision decision);

// Rows 8 to 10: whether the action can be done at all. `has_new_sl`: present and not zero.
Decision check_action(Decision decision, std::string_view action, bool has_new_sl);

// A harvest proposal, read.
struct Proposal {
  std::string symbol, action;
  double kill_score = 0;
  double k_regime_flip = 0, k_sigma_spike = 0, k_ts_drop = 0, k_age_penalty = 0;
  std::optional<double> new_sl, r_net;
  std::string computed_at;
};

// nullopt, and `why` names the field: no symbol, action or readable kill score.
std::optional<Proposal> read_proposal(const Record& fields, std::string& why);

// A trade intent, read from the JSON in `payload`.
struct Intent {
  std::string symbol, action;  // BUY, SELL or CLOSE
  double confidence = 0;
  std::optional<Decimal> size_usd;
  std::string leverage = "1.0";
  std::optional<Decimal> risk_budget_usd;
  std::string timestamp;
};

// nullopt, and `why` names field and value.
std::optional<Intent> read_intent(const Record& fields, std::string& why);

// Quantity, notional and mark price of an opening, or why there is none.
struct Sizing {
  std::string error;  // reason code, or empty
  Decimal qty, notional, mark_price;
};

// size / mark price, cut to the symbol's quantity step.
//
// Errors (reason codes): no_exchange_snapshot (none, or without price or filters),
//   stale_exchange_state, missing_position_size, qty_below_min.
Sizing size_opening(const Intent& intent, const std::optional<trade::Position>& position, Time now,
                    Duration snapshot_age_max);

// Everything of a plan but decision, ids for tracing and times.
trade::Plan plan_of(const Proposal& proposal);
trade::Plan plan_of(const Intent& intent, const Sizing& sizing, std::string_view id);

}  // namespace sluice::apply
