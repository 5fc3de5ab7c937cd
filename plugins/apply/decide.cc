#include "apply/decide.h"

#include <algorithm>
#include <cmath>

#include "common/digest.h"
#include "common/json.h"
#include "common/text.h"

namespace sluice::apply {

namespace {

using trade::Json;

// Python's float() also takes surrounding blanks, which hashes written by hand do have.
std::optional<double> float_at(const Record& fields, std::string_view name) {
  const auto text = fields.find(name);
  return text ? trade::read_double(trade::trim(*text)) : std::nullopt;
}

bool is_known(std::string_view action) {
  return trade::is_reducing(action) || action == "UPDATE_SL" || action == trade::kOpenAction;
}

// The intent's numbers; false when one is there and is no number in range.
bool read_intent_numbers(const Json& payload, Intent& intent, std::string& why) {
  const auto confidence = trade::read_double(payload.number_of("confidence"));
  if (!confidence || *confidence < 0 || *confidence > 1) {
    why = "confidence is missing or not a number from 0 to 1";
    return false;
  }
  intent.confidence = *confidence;
  if (const Json* size = payload.find("position_size_usd"); size != nullptr && !size->is_null()) {
    intent.size_usd = size->is_number() ? Decimal::parse(size->text()) : std::nullopt;
    if (!intent.size_usd || !intent.size_usd->is_positive()) {
      why = "position_size_usd is not a positive number: " + std::string(size->text());
      return false;
    }
  }
  if (const Json* leverage = payload.find("leverage");
      leverage != nullptr && !leverage->is_null()) {
    const auto value = leverage->is_number() ? Decimal::parse(leverage->text()) : std::nullopt;
    if (!value || *value < Decimal(1) || *value > Decimal(125)) {
      why = "leverage is not a number from 1 to 125: " + std::string(leverage->text());
      return false;
    }
    intent.leverage = trade::decimal_text(*value);
  }
  if (const Json* budget = payload.find("risk_budget_usd");
      budget != nullptr && !budget->is_null()) {
    intent.risk_budget_usd = budget->is_number() ? Decimal::parse(budget->text()) : std::nullopt;
    if (!intent.risk_budget_usd) {
      why = "risk_budget_usd is not a number: " + std::string(budget->text());
      return false;
    }
  }
  return true;
}

}  // namespace

Decision decide(std::string_view symbol, std::string_view action, double kill_score,
                bool kill_switch_set, const Rules& rules, bool is_stale) {
  if (kill_switch_set) return {"BLOCKED", {"kill_switch_active"}};
  if (std::find(rules.symbols.begin(), rules.symbols.end(), symbol) == rules.symbols.end())
    return {"SKIP", {"not_in_allowlist"}};
  if (is_stale) return {"BLOCKED", {"stale_proposal"}};
  const bool reducing = trade::is_reducing(action);
  if (kill_score >= rules.kill_score_critical && (!reducing || rules.critical_blocks_closes))
    return {"BLOCKED", {"kill_score_critical"}};
  if (kill_score >= rules.kill_score_warning) {
    if (reducing) return {"EXECUTE", {"kill_score_warning_close_ok"}};
    return {"BLOCKED", {"kill_score_warning_risk_increase"}};
  }
  return {"EXECUTE", {}};
}

Decision as_duplicate(Decision decision) {
  decision.decision = "SKIP";
  decision.reason_codes.emplace_back("duplicate_plan");
  return decision;
}

Decision check_action(Decision decision, std::string_view action, bool has_new_sl) {
  if (action == "HOLD") {
    decision.decision = "SKIP";
    decision.reason_codes.emplace_back("action_hold");
  } else if (action == "UPDATE_SL" && !has_new_sl) {
    decision.decision = "ERROR";
    decision.reason_codes.emplace_back("missing_new_sl");
  } else if (!is_known(action)) {
    decision.decision = "ERROR";
    decision.reason_codes.push_back("unknown_action_" + std::string(action));
  }
  return decision;
}

std::optional<Proposal> read_proposal(const Record& fields, std::string& why) {
  Proposal proposal;
  proposal.symbol = trade::trim(fields.find("symbol").value_or(""));
  proposal.action = trade::trim(fields.find("harvest_action").value_or(""));
  proposal.computed_at = fields.find("computed_at_utc").value_or("");
  const auto kill_score = float_at(fields, "kill_score");
  if (!kill_score) why = "kill_score is missing or not a number";
  if (proposal.action.empty()) why = "harvest_action is missing";
  if (proposal.symbol.empty()) why = "symbol is missing";
  if (!kill_score || proposal.action.empty() || proposal.symbol.empty()) return std::nullopt;
  // An opening comes from an intent, with a size; a proposal only ever makes a position smaller.
  if (proposal.action == trade::kOpenAction) {
    why = "harvest_action is ENTRY_PROPOSED, which proposals may not use";
    return std::nullopt;
  }
  proposal.kill_score = *kill_score;
  proposal.k_regime_flip = float_at(fields, "k_regime_flip").value_or(0);
  proposal.k_sigma_spike = float_at(fields, "k_sigma_spike").value_or(0);
  proposal.k_ts_drop = float_at(fields, "k_ts_drop").value_or(0);
  proposal.k_age_penalty = float_at(fields, "k_age_penalty").value_or(0);
  proposal.new_sl = float_at(fields, "new_sl_proposed");
  proposal.r_net = float_at(fields, "R_net");
  if (const auto updated = fields.find("last_update_epoch")) proposal.updated_at = *updated;
  return proposal;
}

bool is_stale(const Proposal& proposal, std::string_view entry_id, Time now, Duration age_max) {
  std::optional<double> seconds;
  if (proposal.updated_at) {
    seconds = trade::read_double(trade::trim(*proposal.updated_at));
  } else if (const auto ms = trade::read_integer(entry_id.substr(0, entry_id.find('-')))) {
    seconds = static_cast<double>(*ms) / 1e3;
  }
  if (!seconds) return true;
  const double age = static_cast<double>(trade::micros(now)) / 1e6 - *seconds;
  return std::abs(age) > std::chrono::duration<double>(age_max).count();
}

std::optional<Intent> read_intent(const Record& fields, std::string& why) {
  const auto text = fields.find("payload");
  if (!text) {
    why = "payload is missing";
    return std::nullopt;
  }
  const auto payload = Json::parse(*text, why);
  if (!payload || !payload->is_object()) {
    why = "payload is not a JSON object" + (payload ? std::string() : ": " + why);
    return std::nullopt;
  }
  Intent intent;
  intent.symbol = payload->text_of("symbol");
  intent.action = payload->text_of(payload->find("action") != nullptr ? "action" : "side");
  intent.timestamp = payload->text_of("timestamp");
  if (intent.symbol.empty()) {
    why = "symbol is missing";
    return std::nullopt;
  }
  if (intent.action != "BUY" && intent.action != "SELL" && intent.action != "CLOSE") {
    why = "action is " + intent.action + ", expected BUY, SELL or CLOSE";
    return std::nullopt;
  }
  if (!read_intent_numbers(*payload, intent, why)) return std::nullopt;
  return intent;
}

Sizing size_opening(const Intent& intent, const std::optional<trade::Position>& position, Time now,
                    Duration snapshot_age_max) {
  if (const auto refusal = trade::refuse_snapshot(position, now, snapshot_age_max);
      !refusal.empty())
    return {std::string(refusal), {}, {}, {}};
  if (!intent.size_usd) return {"missing_position_size", {}, {}, {}};
  const auto opening =
      trade::size_opening(*intent.size_usd, *position->mark_price, *position->filters);
  if (!opening) return {"qty_below_min", {}, {}, {}};
  return {"", opening->qty, opening->notional, *position->mark_price};
}

std::string refuse_account(const Intent& intent, const Sizing& sizing, const trade::Look& snapshot,
                           const Decimal& margin_factor) {
  const auto leverage = Decimal::parse(intent.leverage);
  if (const auto text = snapshot("leverage_max"); text && !text->empty()) {
    const auto most = Decimal::parse(trade::trim(*text));
    if (!leverage || !most || *leverage > *most) return "leverage_above_max";
  }
  if (const auto text = snapshot("available_balance"); text && !text->empty()) {
    const auto available = Decimal::parse(trade::trim(*text));
    const auto needed = sizing.notional.times(margin_factor);
    const auto covered = available && leverage ? available->times(*leverage) : std::nullopt;
    if (!needed || !covered || *covered < *needed) return "rejected_margin";
  }
  return {};
}

trade::Plan plan_of(const Proposal& proposal) {
  trade::Plan plan;
  plan.plan_id = trade::proposal_plan_id(proposal.symbol, proposal.action, proposal.kill_score,
                                         proposal.new_sl, proposal.computed_at);
  plan.dedupe_id = plan.plan_id;
  plan.symbol = proposal.symbol;
  plan.action = proposal.action;
  plan.kill_score = trade::float_text(proposal.kill_score);
  plan.k_regime_flip = trade::float_text(proposal.k_regime_flip);
  plan.k_sigma_spike = trade::float_text(proposal.k_sigma_spike);
  plan.k_ts_drop = trade::float_text(proposal.k_ts_drop);
  plan.k_age_penalty = trade::float_text(proposal.k_age_penalty);
  if (proposal.new_sl && *proposal.new_sl != 0)
    plan.new_sl_proposed = trade::float_text(*proposal.new_sl);
  plan.r_net = proposal.r_net ? trade::float_text(*proposal.r_net) : "None";
  plan.side = "close";
  plan.reduce_only = "true";
  plan.leverage = "1.0";
  plan.source = "harvest";
  plan.intent_timestamp = proposal.computed_at;
  return plan;
}

trade::Plan plan_of(const Intent& intent, const Sizing& sizing, std::string_view id,
                    std::string_view entry_id) {
  const bool opens = intent.action != "CLOSE";
  trade::Plan plan;
  plan.dedupe_id = trade::intent_digest(intent.symbol, intent.action, intent.confidence, id);
  plan.plan_id = trade::intent_plan_id(plan.dedupe_id, entry_id);
  plan.symbol = intent.symbol;
  plan.action = opens ? trade::kOpenAction : trade::kFullCloseAction;
  plan.side = opens ? intent.action : "close";
  plan.reduce_only = opens ? "false" : "true";
  if (opens && sizing.error.empty()) {
    plan.qty = sizing.qty.text();
    plan.notional = sizing.notional.text();
    plan.mark_price = sizing.mark_price.text();
  }
  plan.leverage = intent.leverage;
  if (opens) {
    plan.confidence = trade::float_text(intent.confidence);
    if (intent.risk_budget_usd) plan.risk_budget_usd = trade::decimal_text(*intent.risk_budget_usd);
  }
  plan.source = "intent_bridge";
  plan.intent_timestamp = intent.timestamp;
  return plan;
}

std::string intent_id_of(const Intent& intent, const Record& fields, std::string_view entry_id) {
  const auto text = [&fields](std::string_view name) { return fields.find(name).value_or(""); };
  const std::string_view given = trade::first_usable(text("correlation_id"), text("trace_id"), {});
  if (!given.empty()) return std::string(given);
  if (intent.timestamp.empty()) return std::string(entry_id);
  return "payload:" + trade::sha256_hex(text("payload"));
}

}  // namespace sluice::apply
