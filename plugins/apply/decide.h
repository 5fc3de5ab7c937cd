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

// The decision table of contract 6.5. The first row that fits decides; 7 to 10 are asked of what is
// EXECUTE so far, and add their code to those there are.
//
//   |    | condition                               | decision | reason code                      |
//   |----|-----------------------------------------|----------|----------------------------------|
//   | 1  | kill switch set or unreadable           | BLOCKED  | kill_switch_active               |
//   | 2  | symbol not in the allowlist             | SKIP     | not_in_allowlist                 |
//   | 2a | proposal too old, or of unknown age     | BLOCKED  | stale_proposal                   |
//   | 3  | kill score critical, action adds risk   | BLOCKED  | kill_score_critical              |
//   | 4  | kill score warns, action closes         | EXECUTE  | kill_score_warning_close_ok      |
//   | 5  | kill score warns, any other action      | BLOCKED  | kill_score_warning_risk_increase |
//   | 6  | else                                    | EXECUTE  | -                                |
//   | 7  | dedupe key taken before                 | SKIP     | duplicate_plan                   |
//   | 8  | HOLD                                    | SKIP     | action_hold                      |
//   | 9  | UPDATE_SL without a new stop, or with 0 | ERROR    | missing_new_sl                   |
//   | 10 | unknown action                          | ERROR    | unknown_action_<ACTION>          |
//
// Ours: 2a, and that row 3 lets closes through. Only what stays EXECUTE to the end takes the key.

// Rows 1 to 6.
Decision decide(std::string_view symbol, std::string_view action, double kill_score,
                bool kill_switch_set, const Rules& rules, bool is_stale = false);

// Row 7.
Decision as_duplicate(Decision decision);

// Rows 8 to 10. `has_new_sl`: present and not zero.
Decision check_action(Decision decision, std::string_view action, bool has_new_sl);

// A harvest proposal, read.
struct Proposal {
  std::string symbol, action;
  double kill_score = 0;
  double k_regime_flip = 0, k_sigma_spike = 0, k_ts_drop = 0, k_age_penalty = 0;
  std::optional<double> new_sl, r_net;
  std::string computed_at;
  std::optional<std::string> updated_at;  // last_update_epoch as it stands; may be unreadable
};

// nullopt, and `why` names the field: no symbol, action or readable kill score.
std::optional<Proposal> read_proposal(const Record& fields, std::string& why);

// Whether the proposal is older than `age_max`, as far in the future, or says a time nobody can
// read. One that says none is as old as its entry. The publisher refreshes last_update_epoch at
// each of its rounds, so a proposal whose publisher has stopped grows old.
bool is_stale(const Proposal& proposal, std::string_view entry_id, Time now, Duration age_max);

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

// What the exchange lets the account do, from the snapshot; a field that is not there limits
// nothing, one that cannot be read allows nothing.
//
// Errors (reason codes): leverage_above_max (snapshot field leverage_max), rejected_margin (field
//   available_balance is below notional / leverage * `margin_factor`); empty: fine.
std::string refuse_account(const Intent& intent, const Sizing& sizing, const trade::Look& snapshot,
                           const Decimal& margin_factor);

// Everything of a plan but decision, ids for tracing and times.
trade::Plan plan_of(const Proposal& proposal);
// `id`: what the intent is told apart from others by; `entry_id`: of the entry it came in.
trade::Plan plan_of(const Intent& intent, const Sizing& sizing, std::string_view id,
                    std::string_view entry_id);

// What tells intents of one symbol, action and confidence apart: the correlation id, else the trace
// id, else a digest of the payload, which says when it was made. Two entries with the same are the
// same intent for dedupe_ttl, and the later one is not executed: a producer that sends twice cannot
// be told from one that wants twice. Who wants the same again sends another id or, without ids,
// another timestamp. One without ids and timestamp, which the schema of intents refuses, is told
// apart by its entry.
std::string intent_id_of(const Intent& intent, const Record& fields, std::string_view entry_id);

}  // namespace sluice::apply
