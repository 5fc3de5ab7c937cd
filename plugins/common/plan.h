// The plan: what apply.plan decides, what both permits are bound to, what the gate orders.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/plugin.h"

namespace sluice::trade {

inline constexpr std::string_view kOpenAction = "ENTRY_PROPOSED";
inline constexpr std::string_view kFullCloseAction = "FULL_CLOSE_PROPOSED";

// An entry of quantum:stream:apply.plan. Everything is text as it stands in the entry; numbers are
// read where they are used, so that the hash is over what was written.
struct Plan {
  std::string plan_id, symbol, action;
  std::string kill_score = "0.0", k_regime_flip = "0.0", k_sigma_spike = "0.0", k_ts_drop = "0.0",
              k_age_penalty = "0.0";
  std::string new_sl_proposed, r_net;  // empty: absent
  std::string decision;                // EXECUTE, SKIP, BLOCKED, ERROR
  std::string reason_codes;            // joined by ","
  std::string steps = "[]";            // JSON array
  std::string timestamp;               // epoch seconds
  std::string side;                    // BUY, SELL, or close until P3.3 has looked
  std::string qty;                     // decimal; empty for closes
  std::string reduce_only = "false";   // true or false
  std::string notional, mark_price;    // decimals; openings only
  std::string leverage = "1";
  std::string confidence, risk_budget_usd;  // openings only; empty: the intent said nothing
  std::string source;                       // intent_bridge or harvest
  std::string intent_id, decision_id, decision_us, trace_id, intent_timestamp, policy;
  std::string created_us;
  std::string dedupe_id;  // what the dedupe key is named by: for proposals the plan id
  std::string plan_hash;

  bool is_opening() const { return action == kOpenAction; }
};

// Every field of an entry, in the order of the contract; `plan_hash` is computed.
Record plan_record(const Plan& plan);

// Full SHA-256 over every field that says what shall be done. Ids for tracing are not in it.
std::string plan_hash(const Plan& plan);

// Reads an entry back.
//
// Errors: nullopt, and `why` says which field is missing or that the hash does not fit the content.
std::optional<Plan> read_plan(const Record& fields, std::string& why);

// The same, and also a closing plan of the reference's Apply Layer, which has no hash, side or
// creation time: those are what any such plan has, and the hash is over the whole.
//
// Errors: as above; a plan without a hash that does not only make a position smaller.
std::optional<Plan> read_any_plan(const Record& fields, std::string& why);

// Of stages that issue permits: whether they read plans by `read_any_plan`.
inline constexpr sluice_param kForeignPlansSetting{
    .name = "foreign_plans",
    .doc =
        "True: closing plans of the reference's Apply Layer, which carry no hash, get permits too.",
    .type = SLUICE_BOOLEAN,
    .default_text = "false"};

// First 16 hex digits over `<symbol>:<action>:<kill score, six decimals>:<new stop>:<computed at>`;
// the new stop as float text, or None.
std::string proposal_plan_id(std::string_view symbol, std::string_view action, double kill_score,
                             std::optional<double> new_sl, std::string_view computed_at);

// First 16 hex digits over `<symbol>:ENTRY_PROPOSED:<action>:<confidence, six decimals>:<id>`: the
// same for every copy of an intent.
std::string intent_digest(std::string_view symbol, std::string_view action, double confidence,
                          std::string_view id);

// First 16 hex digits over `<digest>:<entry id>`: an intent that is accepted again, long after its
// first copy, is another plan and another order.
std::string intent_plan_id(std::string_view digest, std::string_view entry_id);

// Claimed by planning a plan for execution, for dedupe_ttl. Text: id of the entry it was made of.
std::string dedupe_key(const Plan& plan);

// Claimed by the gate with the end of a plan, an order or a terminal record: nothing is ordered and
// nothing permitted under this id any more. Text: id of the plan's entry.
std::string plan_end_key(std::string_view plan_id);

// "sl1-" and 26 hex digits: the same plan and leg always make the same order.
std::string client_order_id(std::string_view account, std::string_view plan_id, int leg,
                            std::string_view symbol, std::string_view side, std::string_view type);
// The same for a leg that has a name, such as "sl".
std::string client_order_id(std::string_view account, std::string_view plan_id,
                            std::string_view leg, std::string_view symbol, std::string_view side,
                            std::string_view type);

// FULL_CLOSE_PROPOSED, PARTIAL_75 or PARTIAL_50: an action that only makes a position smaller.
bool is_reducing(std::string_view action);

// The `steps` of an action, a JSON array; "[]" for actions without steps.
std::string plan_steps(std::string_view action, std::string_view side, std::string_view new_sl);

// Name of the step an action consists of: OPEN, CLOSE_FULL, CLOSE_PARTIAL_75, CLOSE_PARTIAL_50 or
// UPDATE_SL; empty for actions without steps.
std::string_view step_of(std::string_view action);

// What a policy may read of a plan.
inline constexpr const char* kPlanPolicyFields[] = {
    "plan_id",    "symbol", "action",   "side",       "qty",      "notional",
    "reduceOnly", "source", "leverage", "kill_score", "trace_id", nullptr};

// Those fields; `qty`, `notional`, `leverage` and `kill_score` as numbers, absent when empty.
// `plan` must outlive the call the record is given to.
PolicyRecord plan_policy_record(const Plan& plan);

// An entry of quantum:stream:apply.result.
struct PlanOutcome {
  std::string decision;  // BLOCKED, SKIP, ERROR; EXECUTE: the plan's own, though nothing was sent
  std::string error;     // error code, may be empty
  std::string reason;    // why, in one word and perhaps a second after ": "
  std::string steps_results = "[]";
  bool would_execute = false;
  std::string state = {};  // in the account of a run; empty: the decision
};
Record outcome_record(const Plan& plan, const PlanOutcome& outcome, Time now);

// A JSON array with one step result.
std::string step_result(std::string_view step, std::string_view status, std::string_view details);

}  // namespace sluice::trade
