#include "common/plan.h"

#include <array>

#include "common/control.h"
#include "common/digest.h"
#include "common/json.h"
#include "common/text.h"

namespace sluice::trade {

namespace {

struct PlanField {
  const char* name;
  std::string Plan::*value;
  bool hashed;    // part of what permits are bound to
  bool required;  // a plan entry without it, or with it empty, is unsound
};

// The order is that of the entry, and of the hashed text: never reordered.
constexpr PlanField kFields[] = {
    {"plan_id", &Plan::plan_id, true, true},
    {"symbol", &Plan::symbol, true, true},
    {"action", &Plan::action, true, true},
    {"kill_score", &Plan::kill_score, true, true},
    {"k_regime_flip", &Plan::k_regime_flip, false, false},
    {"k_sigma_spike", &Plan::k_sigma_spike, false, false},
    {"k_ts_drop", &Plan::k_ts_drop, false, false},
    {"k_age_penalty", &Plan::k_age_penalty, false, false},
    {"new_sl_proposed", &Plan::new_sl_proposed, true, false},
    {"R_net", &Plan::r_net, false, false},
    {"decision", &Plan::decision, true, true},
    {"reason_codes", &Plan::reason_codes, false, false},
    {"steps", &Plan::steps, true, true},
    {"timestamp", &Plan::timestamp, false, true},
    {"side", &Plan::side, true, true},
    {"qty", &Plan::qty, true, false},
    {"reduceOnly", &Plan::reduce_only, true, true},
    {"notional", &Plan::notional, true, false},
    {"mark_price", &Plan::mark_price, true, false},
    {"leverage", &Plan::leverage, true, true},
    {"source", &Plan::source, false, false},
    {"intent_id", &Plan::intent_id, false, false},
    {"decision_id", &Plan::decision_id, false, false},
    {"decision_us", &Plan::decision_us, false, false},
    {"trace_id", &Plan::trace_id, false, false},
    {"intent_timestamp", &Plan::intent_timestamp, false, false},
    {"created_us", &Plan::created_us, false, true},
    {"policy", &Plan::policy, false, false},
    {"confidence", &Plan::confidence, true, false},
    {"risk_budget_usd", &Plan::risk_budget_usd, true, false},
    {"dedupe_id", &Plan::dedupe_id, false, false},
};

std::string close_step(std::string_view step, std::string_view pct) {
  return JsonObject()
      .text("step", step)
      .text("type", "market_reduce_only")
      .text("side", "close")
      .number("pct", pct)
      .str();
}

std::optional<Plan> read_fields(const Record& fields, std::string& why) {
  Plan plan;
  for (const PlanField& field : kFields) {
    plan.*field.value = fields.find(field.name).value_or("");
    if (field.required && (plan.*field.value).empty()) {
      why = std::string(field.name) + " is missing";
      return std::nullopt;
    }
  }
  plan.plan_hash = plan_hash(plan);
  return plan;
}

}  // namespace

Record plan_record(const Plan& plan) {
  Record record;
  for (const PlanField& field : kFields) record.add(field.name, plan.*field.value);
  // Two fields of the reference's entry that never carry anything.
  record.add("close_qty", "0.0");
  record.add("price", "");
  record.add("plan_hash", plan_hash(plan));
  return record;
}

std::string plan_hash(const Plan& plan) {
  std::string text = "sluice plan 1\n";
  for (const PlanField& field : kFields) {
    if (!field.hashed) continue;
    // The size in front keeps one field's text from passing for the next field.
    const std::string& value = plan.*field.value;
    text += std::string(field.name) + ":" + std::to_string(value.size()) + ":" + value + "\n";
  }
  return sha256_hex(text);
}

std::optional<Plan> read_plan(const Record& fields, std::string& why) {
  auto plan = read_fields(fields, why);
  if (!plan) return std::nullopt;
  const std::string_view given = fields.find("plan_hash").value_or("");
  if (given == plan->plan_hash) return plan;
  why = "plan_hash is " + std::string(given) + ", the content gives " + plan->plan_hash;
  return std::nullopt;
}

std::optional<Plan> read_any_plan(const Record& fields, std::string& why) {
  if (fields.find("plan_hash")) return read_plan(fields, why);
  const std::string action(fields.find("action").value_or(""));
  if (!is_reducing(action)) {
    why = "action is " + action + ": without a plan_hash only closing plans are read";
    return std::nullopt;
  }
  Record whole = fields;
  whole.set("side", "close");
  whole.set("qty", "");
  whole.set("reduceOnly", "true");
  whole.set("leverage", "1");
  whole.set("created_us", std::string(fields.find("timestamp").value_or("")) + "000000");
  whole.set("dedupe_id", std::string(fields.find("plan_id").value_or("")));
  auto plan = read_fields(whole, why);
  if (plan && !read_integer(plan->timestamp)) {
    why = "timestamp is " + plan->timestamp + ", expected epoch seconds";
    return std::nullopt;
  }
  return plan;
}

std::string proposal_plan_id(std::string_view symbol, std::string_view action, double kill_score,
                             std::optional<double> new_sl, std::string_view computed_at) {
  std::string text(symbol);
  text += ":" + std::string(action) + ":" + fixed6(kill_score) + ":";
  text += new_sl ? float_text(*new_sl) : "None";
  text += ":" + std::string(computed_at);
  return sha256_hex(text, 16);
}

std::string intent_digest(std::string_view symbol, std::string_view action, double confidence,
                          std::string_view id) {
  std::string text(symbol);
  text += ":" + std::string(kOpenAction) + ":" + std::string(action) + ":" + fixed6(confidence);
  text += ":" + std::string(id);
  return sha256_hex(text, 16);
}

std::string intent_plan_id(std::string_view digest, std::string_view entry_id) {
  return sha256_hex(std::string(digest) + ":" + std::string(entry_id), 16);
}

std::string dedupe_key(const Plan& plan) {
  return "quantum:apply:dedupe:" + (plan.dedupe_id.empty() ? plan.plan_id : plan.dedupe_id);
}

std::string plan_end_key(std::string_view plan_id) {
  return "quantum:apply:ended:" + std::string(plan_id);
}

std::string client_order_id(std::string_view account, std::string_view plan_id, int leg,
                            std::string_view symbol, std::string_view side, std::string_view type) {
  return client_order_id(account, plan_id, std::string_view(std::to_string(leg)), symbol, side,
                         type);
}

std::string client_order_id(std::string_view account, std::string_view plan_id,
                            std::string_view leg, std::string_view symbol, std::string_view side,
                            std::string_view type) {
  std::string text = "v1|" + std::string(account) + "|" + std::string(plan_id);
  text += "|leg=" + std::string(leg) + "|" + std::string(symbol) + "|" + std::string(side);
  text += "|" + std::string(type);
  return "sl1-" + sha256_hex(text, 26);
}

bool is_reducing(std::string_view action) { return close_factor(action).has_value(); }

std::string plan_steps(std::string_view action, std::string_view side, std::string_view new_sl) {
  if (action == kOpenAction) {
    const JsonObject step =
        JsonObject().text("step", "OPEN").text("type", "market").text("side", side);
    return "[" + step.str() + "]";
  }
  if (action == kFullCloseAction) return "[" + close_step("CLOSE_FULL", "100.0") + "]";
  if (action == "PARTIAL_75") return "[" + close_step("CLOSE_PARTIAL_75", "75.0") + "]";
  if (action == "PARTIAL_50") return "[" + close_step("CLOSE_PARTIAL_50", "50.0") + "]";
  if (action != "UPDATE_SL") return "[]";
  const JsonObject step = JsonObject()
                              .text("step", "UPDATE_SL")
                              .text("type", "stop_loss_order")
                              .number("price", new_sl);
  return "[" + step.str() + "]";
}

std::string_view step_of(std::string_view action) {
  if (action == kOpenAction) return "OPEN";
  if (action == kFullCloseAction) return "CLOSE_FULL";
  if (action == "PARTIAL_75") return "CLOSE_PARTIAL_75";
  if (action == "PARTIAL_50") return "CLOSE_PARTIAL_50";
  return action == "UPDATE_SL" ? "UPDATE_SL" : "";
}

PolicyRecord plan_policy_record(const Plan& plan) {
  PolicyRecord record;
  record.text("plan_id", plan.plan_id)
      .text("symbol", plan.symbol)
      .text("action", plan.action)
      .text("side", plan.side)
      .boolean("reduceOnly", plan.reduce_only == "true")
      .text("source", plan.source)
      .text("trace_id", plan.trace_id);
  const auto number = [&record](std::string_view name, const std::string& text) {
    if (const auto value = read_double(text)) record.number(name, *value);
  };
  number("qty", plan.qty);
  number("notional", plan.notional);
  number("leverage", plan.leverage);
  number("kill_score", plan.kill_score);
  return record;
}

Record outcome_record(const Plan& plan, const PlanOutcome& outcome, Time now) {
  return {{"plan_id", plan.plan_id},
          {"symbol", plan.symbol},
          {"decision", outcome.decision},
          {"executed", "False"},
          {"would_execute", outcome.would_execute ? "True" : "False"},
          {"steps_results", outcome.steps_results},
          {"error", outcome.error},
          {"timestamp", epoch_text(now)},
          {"state", upper(outcome.state.empty() ? outcome.decision : outcome.state)},
          {"reason", outcome.reason},
          {"action", plan.action},
          {"decision_id", plan.decision_id},
          {"decision_us", plan.decision_us},
          {"result_us", micros_text(now)},
          {"trace_id", plan.trace_id},
          {"policy", plan.policy}};
}

std::string step_result(std::string_view step, std::string_view status, std::string_view details) {
  return "[" +
         JsonObject().text("step", step).text("status", status).text("details", details).str() +
         "]";
}

}  // namespace sluice::trade
