// Plans, snapshots and permits as the trade stages write them, for tests.
#pragma once

#include <string>

#include "common/control.h"
#include "common/permit.h"
#include "common/plan.h"
#include "common/text.h"
#include "sluice/testing.h"

namespace sluice::trade {

inline constexpr const char* kBtcSnapshot = "quantum:position:snapshot:BTCUSDT";
inline constexpr const char* kBtcLedger = "quantum:position:ledger:BTCUSDT";

inline Decimal decimal(std::string_view text) { return Decimal::parse(text).value(); }

// BTCUSDT at 50000, quantity step 0.001.
inline Record snapshot(std::string_view amount, Time now, std::string_view mark = "50000.0") {
  return {{"position_amt", amount},      {"side", side_of(decimal(amount))},
          {"entry_price", "50000.0"},    {"mark_price", mark},
          {"unrealized_pnl", "0.0"},     {"leverage", "1"},
          {"ts_epoch", epoch_text(now)}, {"source", "paper"},
          {"price_tick", "0.1"},         {"qty_step", "0.001"},
          {"qty_min", "0.001"},          {"notional_min", "5"}};
}

inline Plan opening_plan(Time now, std::string_view qty = "0.002") {
  Plan plan;
  plan.plan_id = "0123456789abcdef";
  plan.symbol = "BTCUSDT";
  plan.action = kOpenAction;
  plan.decision = "EXECUTE";
  plan.steps = plan_steps(kOpenAction, "BUY", "");
  plan.timestamp = epoch_text(now);
  plan.created_us = micros_text(now);
  plan.side = "BUY";
  plan.qty = qty;
  plan.notional = decimal(qty).times(Decimal(50000)).value().text();
  plan.mark_price = "50000";
  plan.leverage = "1.0";
  plan.source = "intent_bridge";
  plan.decision_id = "500-0";
  plan.trace_id = "T1";
  plan.intent_timestamp = iso_z(now);
  plan.plan_hash = plan_hash(plan);
  return plan;
}

inline Plan closing_plan(Time now, std::string_view action = kFullCloseAction) {
  Plan plan = opening_plan(now);
  plan.action = action;
  plan.steps = plan_steps(action, "close", "100.2");
  plan.side = "close";
  plan.reduce_only = "true";
  plan.qty = plan.notional = plan.mark_price = "";
  plan.plan_hash = plan_hash(plan);
  return plan;
}

// An entry of apply.plan as the reference's Apply Layer writes it: no hash, side or creation time.
inline Record foreign_plan(Time now, std::string_view action = "PARTIAL_50") {
  return {{"plan_id", "8f118a0942251e6d"},
          {"symbol", "BTCUSDT"},
          {"action", action},
          {"kill_score", "0.539"},
          {"k_regime_flip", "0.0"},
          {"k_sigma_spike", "0.0"},
          {"k_ts_drop", "0.0"},
          {"k_age_penalty", "0.0"},
          {"new_sl_proposed", "100.2"},
          {"R_net", "7.01"},
          {"decision", "EXECUTE"},
          {"reason_codes", ""},
          {"steps", R"([{"step":"CLOSE_PARTIAL_50","type":"market_reduce_only"}])"},
          {"close_qty", "0.0"},
          {"price", ""},
          {"timestamp", epoch_text(now)}};
}

inline std::string governor_permit(const Plan& plan, Time now) {
  return governor_permit_text(plan, {decimal("0.002"),
                                     decimal("100"),
                                     now,
                                     now + std::chrono::seconds(60),
                                     "governor.lua@1",
                                     {{"quantum:governor:rate:hour:BTCUSDT", 1, micros(now)}}});
}

inline std::string p33_permit(const Plan& plan, Time now, std::string_view qty = "0.002",
                              std::string_view side = "BUY", std::string_view exchange = "0") {
  return p33_permit_text(plan, {std::string(side), decimal(qty), decimal(exchange), Decimal(), now,
                                now + std::chrono::seconds(60), "p33.lua@1"});
}

// `text` with one piece replaced; the piece must be there, so that a test cannot go stale.
inline std::string with(std::string text, std::string_view piece, std::string_view other) {
  const size_t at = text.find(piece);
  if (at == std::string::npos) throw std::logic_error("not in the text: " + std::string(piece));
  return text.replace(at, piece.size(), other);
}

}  // namespace sluice::trade
