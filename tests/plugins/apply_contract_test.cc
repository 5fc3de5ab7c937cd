// The tables of the reference contract, sections 6.5 to 6.9 and 14, row by row, and one test for
// each of its defect marks AP-n: that we do not have it. Units of the same classes stand in
// apply_test.cc.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "apply/gate.h"
#include "apply/plan_stage.h"
#include "apply/proposals.h"
#include "apply/result.h"
#include "governor/governor.h"
#include "p33/permit.h"
#include "plugins/trade_fixtures.h"

namespace sluice::apply {
namespace {

using testing::FakeHost;
using testing::FakeStore;
using trade::closing_plan;
using trade::opening_plan;
using trade::Plan;
using trade::with;

constexpr const char* kBtcProposal = "quantum:harvest:proposal:BTCUSDT";

// A proposal of the publisher, refreshed at the store's first second.
Record proposal(std::string_view action, std::string_view kill_score = "0.539",
                std::string_view new_sl = "100.2",
                std::string_view computed_at = "2026-01-24T23:33:31.123456",
                std::string_view symbol = "BTCUSDT") {
  return {{"symbol", symbol},         {"harvest_action", action},
          {"kill_score", kill_score}, {"new_sl_proposed", new_sl},
          {"R_net", "7.01"},          {"computed_at_utc", computed_at},
          {"reason_codes", "a,b"},    {"last_update_epoch", "1700000000"}};
}

std::string text_at(const Record& record, std::string_view name) {
  return std::string(record.find(name).value_or("(absent)"));
}

// "decision reason_codes" of the plan, or of the result when the plan is in the stream already.
std::string planned(FakeHost<PlanStage>& host, const Record& fields) {
  const auto ran = host.deliver(fields, {.input = "proposal"});
  if (const auto plans = ran.emitted("plan"); !plans.empty())
    return text_at(plans[0], "decision") + " " + text_at(plans[0], "reason_codes");
  const auto results = ran.emitted("result");
  return results.size() == 1 ? text_at(results[0], "decision") + " " + text_at(results[0], "reason")
                             : ran.reason;
}

// --- 6.3 and 14.1 -------------------------------------------------------------------------------

TEST(Contract14_1, PlanIdsOfProposalsAsTheyStandInHashes) {
  struct Row {
    const char *symbol, *action, *kill_score, *new_sl, *computed_at, *plan_id;
  };
  const Row rows[] = {
      {"BTCUSDT", "PARTIAL_75", "0.539", "100.2", "2026-01-24T23:33:31.123456", "8f118a0942251e6d"},
      {"BTCUSDT", "FULL_CLOSE_PROPOSED", "0.7000005", "None", "2026-01-24T23:33:31",
       "8a1de331aca7957f"},
      {"BTCUSDT", "FULL_CLOSE_PROPOSED", "0.7000005", "", "2026-01-24T23:33:31",
       "8a1de331aca7957f"},
      {"ETHUSDT", "PARTIAL_50", "0.5", "3000", "", "65c4f7d9b7fec3ba"},
      {"SOLUSDT", "UPDATE_SL", "0.123457", "1e-05", "2026-01-24T00:00:00.000001",
       "8cd078f28614a1c2"},
      {"SOLUSDT", "UPDATE_SL", "0.61", "1e16", "t", "778f37ca8dcae08c"},
      {"SOLUSDT", "UPDATE_SL", "0.61", "123456789012345", "t", "0e346d62feb7bdf4"},
      {"SOLUSDT", "HOLD", "1", "0.30000000000000004", "t", "1fab689af48127df"},
      {"BTCUSDT", "HOLD", "0.5", "0", "t", "30dc516f688e268b"},
      {"BTCUSDT", "HOLD", "2.5e-7", "-0.0", "t", "55eb93d7deebf65a"},
  };
  for (const Row& row : rows) {
    FakeHost<PlanStage> host({{"symbols", "BTCUSDT,ETHUSDT,SOLUSDT"}});
    const auto ran =
        host.deliver(proposal(row.action, row.kill_score, row.new_sl, row.computed_at, row.symbol),
                     {.input = "proposal"});
    EXPECT_EQ(text_at(ran.emitted("plan").at(0), "plan_id"), row.plan_id);
  }
}

// --- 6.4 ----------------------------------------------------------------------------------------

TEST(Contract6_4, APlanEntryHasTheFieldsOfTheReferenceInItsForms) {
  FakeHost<PlanStage> host;
  Record bare{{"symbol", "BTCUSDT"},
              {"harvest_action", "PARTIAL_50"},
              {"kill_score", "1e-05"},
              {"k_ts_drop", "many"},
              {"last_update_epoch", "1700000000.5"}};
  const Record plan = host.deliver(bare, {.input = "proposal"}).emitted("plan").at(0);
  EXPECT_EQ(text_at(plan, "kill_score"), "1e-05");
  EXPECT_EQ(text_at(plan, "k_regime_flip"), "0.0");
  EXPECT_EQ(text_at(plan, "k_ts_drop"), "0.0");  // unreadable
  EXPECT_EQ(text_at(plan, "new_sl_proposed"), "");
  EXPECT_EQ(text_at(plan, "R_net"), "None");
  EXPECT_EQ(text_at(plan, "close_qty"), "0.0");
  EXPECT_EQ(text_at(plan, "price"), "");
  EXPECT_EQ(text_at(plan, "timestamp"), "1700000000");
}

// --- 6.5 and 14.6 -------------------------------------------------------------------------------

struct Row6_5 {
  const char* row;
  Record proposal;
  const char* expected;
  std::function<void(FakeStore&)> given;
};

TEST(Contract6_5, EveryRowOfTheDecisionTable) {
  const auto killed = [](FakeStore& store) { store.put("quantum:global:kill_switch", "true"); };
  const auto taken = [](FakeStore& store) {
    // Of PARTIAL_50 with these numbers, of HOLD, of UPDATE_SL and of NONE.
    for (const char* action : {"PARTIAL_50", "HOLD", "UPDATE_SL", "NONE"})
      store.put(
          "quantum:apply:dedupe:" + trade::proposal_plan_id("BTCUSDT", action, 0.5, 100.2, "t"),
          "1700000000");
  };
  const auto no = [](FakeStore&) {};
  const auto of = [](const char* action, const char* kill, const char* sl = "100.2") {
    return proposal(action, kill, sl, "t");
  };
  const Row6_5 rows[] = {
      {"1", of("PARTIAL_50", "0.5"), "BLOCKED kill_switch_active", killed},
      {"1 before 2", proposal("PARTIAL_50", "0.9", "1", "t", "DOGEUSDT"),
       "BLOCKED kill_switch_active", killed},
      {"2", proposal("PARTIAL_50", "0.5", "1", "t", "DOGEUSDT"), "SKIP not_in_allowlist", no},
      {"2 before 3", proposal("UPDATE_SL", "0.9", "1", "t", "DOGEUSDT"), "SKIP not_in_allowlist",
       no},
      {"3", of("UPDATE_SL", "0.8"), "BLOCKED kill_score_critical", no},
      {"3 before 5", of("HOLD", "0.95"), "BLOCKED kill_score_critical", no},
      {"3, closes pass", of("FULL_CLOSE_PROPOSED", "0.8"), "EXECUTE kill_score_warning_close_ok",
       no},
      {"4", of("FULL_CLOSE_PROPOSED", "0.6"), "EXECUTE kill_score_warning_close_ok", no},
      {"4", of("PARTIAL_75", "0.79"), "EXECUTE kill_score_warning_close_ok", no},
      {"4", of("PARTIAL_50", "0.7"), "EXECUTE kill_score_warning_close_ok", no},
      {"5", of("UPDATE_SL", "0.6"), "BLOCKED kill_score_warning_risk_increase", no},
      {"5 before 8", of("HOLD", "0.6"), "BLOCKED kill_score_warning_risk_increase", no},
      {"5 before 9", of("UPDATE_SL", "0.6", ""), "BLOCKED kill_score_warning_risk_increase", no},
      {"5 before 10", of("NONE", "0.6"), "BLOCKED kill_score_warning_risk_increase", no},
      {"6", of("PARTIAL_75", "0.5999999"), "EXECUTE ", no},
      {"6", of("UPDATE_SL", "0.5"), "EXECUTE ", no},
      {"7", of("PARTIAL_50", "0.5"), "SKIP duplicate_plan", taken},
      {"7 before 8", of("HOLD", "0.5"), "SKIP duplicate_plan", taken},
      {"7 before 9", of("UPDATE_SL", "0.5"), "SKIP duplicate_plan", taken},
      {"7 before 10", of("NONE", "0.5"), "SKIP duplicate_plan", taken},
      {"8", of("HOLD", "0.5"), "SKIP action_hold", no},
      {"9, absent", of("UPDATE_SL", "0.5", ""), "ERROR missing_new_sl", no},
      {"9, zero", of("UPDATE_SL", "0.5", "0.0"), "ERROR missing_new_sl", no},
      {"9, unreadable", of("UPDATE_SL", "0.5", "None"), "ERROR missing_new_sl", no},
      {"10", of("NONE", "0.5"), "ERROR unknown_action_NONE", no},
      {"10", of("PARTIAL_25", "0.5"), "ERROR unknown_action_PARTIAL_25", no},
      {"10", of("close all", "0.5"), "ERROR unknown_action_close all", no},
  };
  for (const Row6_5& row : rows) {
    SCOPED_TRACE(row.row);
    FakeHost<PlanStage> host;
    row.given(host.store());
    EXPECT_EQ(planned(host, row.proposal), row.expected);
  }
}

// Row 3 as the reference has it, for whoever must have it.
TEST(Contract14_6, AFullCloseAtACriticalKillScoreCanBeBlockedAsInTheReference) {
  FakeHost<PlanStage> host({{"critical_blocks_closes", "true"}});
  EXPECT_EQ(planned(host, proposal("FULL_CLOSE_PROPOSED", "0.8")), "BLOCKED kill_score_critical");
}

// --- 6.6 ----------------------------------------------------------------------------------------

TEST(Contract6_6, StepsOfEachAction) {
  const auto steps = [](const char* action) {
    FakeHost<PlanStage> host;
    return text_at(
        host.deliver(proposal(action, "0.5"), {.input = "proposal"}).emitted("plan").at(0),
        "steps");
  };
  const auto close = [](const std::string& name, const char* pct) {
    return R"([{"step": ")" + name +
           R"(", "type": "market_reduce_only", "side": "close", "pct": )" + pct + "}]";
  };
  EXPECT_EQ(steps("FULL_CLOSE_PROPOSED"), close("CLOSE_FULL", "100.0"));
  EXPECT_EQ(steps("PARTIAL_75"), close("CLOSE_PARTIAL_75", "75.0"));
  EXPECT_EQ(steps("PARTIAL_50"), close("CLOSE_PARTIAL_50", "50.0"));
  EXPECT_EQ(steps("UPDATE_SL"),
            R"([{"step": "UPDATE_SL", "type": "stop_loss_order", "price": 100.2}])");
  EXPECT_EQ(steps("HOLD"), "[]");
}

// --- 6.7, 6.7.1 and 14.5 ------------------------------------------------------------------------

// A close of half of 0.062 BTC at the gate, with both permits unless a test takes one away.
class Exit {
 public:
  explicit Exit(const FakeHost<Gate>::Texts& settings = {}, const char* action = "PARTIAL_50")
      : host(settings), plan(closing_plan(host.store().now(), action)) {
    first_us = host.store().now_us;
    position("0.062");
    governor(trade::governor_permit(plan, host.store().now()));
    p33(good_p33());
  }
  std::string good_p33() const {
    return trade::p33_permit(plan, Time(Duration(first_us)), "0.031", "SELL", "0.062");
  }
  void position(const char* amount) {
    host.store().put(trade::kBtcSnapshot, trade::snapshot(amount, host.store().now()));
  }
  void governor(const std::string& text) { host.store().put(governor_key(), text); }
  void p33(const std::string& text) { host.store().put(p33_key(), text); }
  std::string governor_key() const { return trade::governor_permit_key(plan.plan_id); }
  std::string p33_key() const { return trade::p33_permit_key(plan.plan_id); }
  void no_governor() { host.store().erase(governor_key()); }
  void no_p33() { host.store().erase(p33_key()); }
  // So that the plan is looked at anew.
  void forget_end() { host.store().erase(trade::plan_end_key(plan.plan_id)); }
  void window_over() { host.store().advance(std::chrono::milliseconds(1200)); }

  testing::Ran deliver() {
    return host.deliver(trade::plan_record(plan), {.first_delivered_us = first_us});
  }
  // "both", "governor", "p33" or "none".
  std::string permits_left() {
    const bool governor = host.store().has(governor_key());
    const bool p33 = host.store().has(p33_key());
    if (governor && p33) return "both";
    return governor ? "governor" : (p33 ? "p33" : "none");
  }

  FakeHost<Gate> host;
  Plan plan;
  int64_t first_us = 0;
};

struct Row6_7 {
  const char* row;
  const char* decision;
  const char* would;
  const char* error;
  const char* steps_results;  // a piece of it
  const char* permits_left;
  std::function<void(Exit&)> given;
};

TEST(Contract6_7, EveryRowThatEndsAPlan) {
  const Row6_7 rows[] = {
      {"6.7 1 kill switch", "EXECUTE", "True", "kill_switch_active", "[]", "both",
       [](Exit& exit) { exit.host.store().put("quantum:global:kill_switch", "1"); }},
      {"6.7 4 position flat", "SKIP", "False", "no_position",
       R"({"step": "POSITION_CHECK", "status": "no_position")", "both",
       [](Exit& exit) { exit.position("0"); }},
      {"6.7 4 position below 0.001", "SKIP", "False", "no_position",
       R"({"step": "POSITION_CHECK", "status": "no_position")", "both",
       [](Exit& exit) { exit.position("-0.000999"); }},
      {"6.7.1 window over, neither", "BLOCKED", "False", "permit_timeout_or_missing:missing_both",
       R"({"step": "PERMIT_WAIT", "status": "missing_both")", "none",
       [](Exit& exit) {
         exit.no_governor();
         exit.no_p33();
         exit.window_over();
       }},
      {"6.7.1 window over, no governor", "BLOCKED", "False",
       "permit_timeout_or_missing:missing_governor",
       R"({"step": "PERMIT_WAIT", "status": "missing_governor")", "p33",
       [](Exit& exit) {
         exit.no_governor();
         exit.window_over();
       }},
      {"6.7.1 window over, no p33", "BLOCKED", "False", "permit_timeout_or_missing:missing_p33",
       R"({"step": "PERMIT_WAIT", "status": "missing_p33")", "governor",
       [](Exit& exit) {
         exit.no_p33();
         exit.window_over();
       }},
      {"6.7.1 no window", "BLOCKED", "False", "permit_timeout_or_missing:init",
       R"({"step": "PERMIT_WAIT", "status": "init")", "both",
       [](Exit& exit) { exit.host.policy["permit_wait"] = {"0s"}; }},
      {"6.7.1 no object", "BLOCKED", "False", "invalid_p33_permit_format",
       R"({"step": "P33_PERMIT", "status": "invalid_format")", "none",
       [](Exit& exit) { exit.p33("[1]"); }},
      {"6.7.1 not JSON", "BLOCKED", "False", "p33_permit_denied",
       R"({"step": "P33_CHECK", "status": "denied", "details": "P3.3 denied: unknown")", "none",
       [](Exit& exit) { exit.p33("xx"); }},
      {"6.7.1 denied", "BLOCKED", "False", "p33_permit_denied",
       R"({"step": "P33_CHECK", "status": "denied", "details": "P3.3 denied: no_position")", "none",
       [](Exit& exit) {
         exit.p33(trade::p33_denial_text(exit.plan, "no_position", "{}", exit.host.store().now(),
                                         "p33.lua@1"));
       }},
      {"6.7.1 quantity 0", "BLOCKED", "False", "invalid_safe_close_qty",
       R"({"step": "P33_VALIDATE", "status": "invalid_qty", "details": "safe_close_qty=0"})",
       "none",
       [](Exit& exit) {
         exit.p33(with(exit.good_p33(), "\"safe_close_qty\": 0.031", "\"safe_close_qty\": 0"));
       }},
      {"6.7.1 quantity below 0", "BLOCKED", "False", "invalid_safe_close_qty",
       R"("details": "safe_close_qty=-1"})", "none",
       [](Exit& exit) {
         exit.p33(with(exit.good_p33(), "\"safe_close_qty\": 0.031", "\"safe_close_qty\": -1"));
       }},
      {"6.7.1 quantity missing", "BLOCKED", "False", "invalid_safe_close_qty",
       R"("details": "safe_close_qty=None"})", "none",
       [](Exit& exit) { exit.p33(with(exit.good_p33(), "\"safe_close_qty\"", "\"qty\"")); }},
      {"6.7.1 quantity no number", "BLOCKED", "False", "invalid_safe_close_qty",
       R"("details": "safe_close_qty=all"})", "none",
       [](Exit& exit) {
         exit.p33(
             with(exit.good_p33(), "\"safe_close_qty\": 0.031", "\"safe_close_qty\": \"all\""));
       }},
      {"governor blocked", "BLOCKED", "False", "governor_blocked:hourly_limit_exceeded", "[]",
       "both",
       [](Exit& exit) {
         exit.host.store().put(
             "quantum:governor:block:" + exit.plan.plan_id,
             trade::block_text(exit.plan, "hourly_limit_exceeded", exit.host.store().now()));
       }},
      {"plan too old", "BLOCKED", "False", "plan_expired", "[]", "both",
       [](Exit& exit) {
         exit.host.policy["plan_age"] = {"1s"};
         exit.window_over();
       }},
  };
  for (const Row6_7& row : rows) {
    SCOPED_TRACE(row.row);
    Exit exit;
    row.given(exit);
    const auto ran = exit.deliver();
    EXPECT_TRUE(ran.applied);
    EXPECT_TRUE(ran.emitted("order").empty());
    ASSERT_EQ(ran.emitted("result").size(), 1u);
    const Record result = ran.emitted("result")[0];
    EXPECT_EQ(text_at(result, "decision"), row.decision);
    EXPECT_EQ(text_at(result, "executed"), "False");
    EXPECT_EQ(text_at(result, "would_execute"), row.would);
    EXPECT_EQ(text_at(result, "error"), row.error);
    EXPECT_NE(text_at(result, "steps_results").find(row.steps_results), std::string::npos)
        << text_at(result, "steps_results");
    EXPECT_EQ(exit.permits_left(), row.permits_left);
    EXPECT_EQ(ran.emitted("audit").size(), 2u);
  }
}

// The checks of the gate stand in this order: what comes first decides.
TEST(Contract6_7, EarlierChecksDecide) {
  Exit exit;
  exit.no_p33();
  exit.window_over();
  const auto error = [&exit] {
    exit.forget_end();
    return text_at(exit.deliver().emitted("result").at(0), "error");
  };
  EXPECT_EQ(error(), "permit_timeout_or_missing:missing_p33");
  exit.position("0");
  EXPECT_EQ(error(), "no_position");
  exit.host.policy["plan_age"] = {"1s"};
  EXPECT_EQ(error(), "plan_expired");
  exit.host.store().put("quantum:governor:block:" + exit.plan.plan_id, "{}");
  EXPECT_EQ(error(), "governor_blocked:unknown");
  exit.host.store().put(trade::kDisarmKey, "{}");
  EXPECT_EQ(error(), "disarmed");
  exit.host.store().put("quantum:kill", "1");
  EXPECT_EQ(error(), "kill_switch_active");
}

TEST(Contract6_7, BothPermitsAreUsedUpWithTheOrderInOneUnit) {
  Exit exit;
  const auto ran = exit.deliver();
  ASSERT_TRUE(ran.applied);
  EXPECT_EQ(ran.emitted("order").size(), 1u);
  EXPECT_NE(ran.find_condition(SLUICE_TAKE, exit.governor_key()), nullptr);
  EXPECT_NE(ran.find_condition(SLUICE_TAKE, exit.p33_key()), nullptr);
  EXPECT_EQ(exit.permits_left(), "none");
}

// --- 6.7.2 and 6.8 ------------------------------------------------------------------------------

// An entry of execution.result for the close above.
Record filled(std::string_view status = "FILLED", std::string_view executed = "0.031",
              std::string_view reason = "") {
  return {{"plan_id", "0123456789abcdef"},
          {"client_order_id", "sl1-a"},
          {"order_id", "1001"},
          {"symbol", "BTCUSDT"},
          {"side", "SELL"},
          {"action", "PARTIAL_50"},
          {"type", "MARKET"},
          {"quantity", "0.031"},
          {"status", status},
          {"reason", reason},
          {"executed_qty", executed},
          {"avg_price", "50000"},
          {"trace_id", "T1"},
          {"decision_id", "500-0"},
          {"decision_us", "1699"},
          {"reduceOnly", "true"},
          {"policy", "execution.lua@1"}};
}

Record reported(const Record& result) {
  FakeHost<ResultStage> host;
  const auto ran = host.deliver(result);
  EXPECT_EQ(ran.emitted("result").size(), 1u) << ran.reason << ran.detail;
  return ran.emitted("result").empty() ? Record() : ran.emitted("result")[0];
}

TEST(Contract6_8, AnExecutedPlanHasTheResultOfTheReference) {
  const Record result = reported(filled());
  EXPECT_EQ(text_at(result, "plan_id"), "0123456789abcdef");
  EXPECT_EQ(text_at(result, "symbol"), "BTCUSDT");
  EXPECT_EQ(text_at(result, "decision"), "EXECUTE");
  EXPECT_EQ(text_at(result, "executed"), "True");
  EXPECT_EQ(text_at(result, "would_execute"), "False");
  EXPECT_EQ(text_at(result, "error"), "");
  EXPECT_EQ(text_at(result, "timestamp"), "1700000000");
  EXPECT_EQ(text_at(result, "state"), "FILLED");
  EXPECT_EQ(text_at(result, "decision_id"), "500-0");
  EXPECT_EQ(text_at(result, "decision_us"), "1699");
  EXPECT_EQ(text_at(result, "ordered_since_us"), "1699");
  EXPECT_EQ(text_at(result, "trace_id"), "T1");
  EXPECT_EQ(text_at(result, "order_id"), "1001");
}

TEST(Contract6_7_2, TheStepSaysOrderSideQuantityAndWhatWasExecuted) {
  EXPECT_EQ(text_at(reported(filled()), "steps_results"),
            R"([{"step": "CLOSE_PARTIAL_50", "status": "success", )"
            R"_("details": "Order 1001: SELL 0.031 @ MARKET (reduceOnly)", "order_id": "1001", )_"
            R"("side": "SELL", "quantity": "0.031", "executed_qty": "0.031", )"
            R"("reduce_only": true}])");
}

TEST(Contract6_7_2, StepNamesOfEachAction) {
  const auto step = [](const char* action) {
    Record result = filled();
    result.set("action", action);
    const std::string steps = text_at(reported(result), "steps_results");
    return steps.substr(11, steps.find('"', 11) - 11);
  };
  EXPECT_EQ(step("FULL_CLOSE_PROPOSED"), "CLOSE_FULL");
  EXPECT_EQ(step("PARTIAL_75"), "CLOSE_PARTIAL_75");
  EXPECT_EQ(step("PARTIAL_50"), "CLOSE_PARTIAL_50");
  EXPECT_EQ(step("ENTRY_PROPOSED"), "OPEN");
}

struct RowResult {
  const char *status, *executed, *reason;
  const char *is_executed, *error, *step_status;
};

TEST(Contract6_8, ExecutedIsTrueForFillsAndNothingElse) {
  const RowResult rows[] = {
      {"FILLED", "0.031", "", "True", "", "success"},
      {"EXPIRED", "0.01", "partial_fill", "True", "", "partial"},
      {"EXPIRED", "0", "rate_limited", "False", "rate_limited", "error"},
      {"EXPIRED", "", "stale_intent", "False", "stale_intent", "error"},
      {"REJECTED", "0", "kill_switch_active", "False", "kill_switch_active", "error"},
      {"REJECTED", "0.0", "new_order_rejected", "False", "new_order_rejected", "error"},
      {"FAILED", "0", "", "False", "failed", "error"},
      {"NEW", "0", "", "False", "new", "error"},
  };
  for (const RowResult& row : rows) {
    SCOPED_TRACE(std::string(row.status) + " " + row.reason);
    const Record result = reported(filled(row.status, row.executed, row.reason));
    EXPECT_EQ(text_at(result, "decision"), "EXECUTE");
    EXPECT_EQ(text_at(result, "executed"), row.is_executed);
    EXPECT_EQ(text_at(result, "error"), row.error);
    EXPECT_EQ(text_at(result, "state"), row.status);
    EXPECT_EQ(text_at(result, "reason"), row.reason);
    EXPECT_NE(
        text_at(result, "steps_results").find("\"status\": \"" + std::string(row.step_status)),
        std::string::npos);
  }
}

TEST(Contract6_7_2, AStopThatWaitsOnTheExchangeIsDoneAndNotExecuted) {
  Record stop = filled("PLACED", "0");
  stop.set("action", "UPDATE_SL");
  stop.set("type", "STOP_MARKET");
  stop.add("stop_price", "49000.1");
  const Record result = reported(stop);
  EXPECT_EQ(text_at(result, "executed"), "False");
  EXPECT_EQ(text_at(result, "error"), "");
  EXPECT_EQ(text_at(result, "steps_results"),
            R"([{"step": "UPDATE_SL", "status": "success", )"
            R"_("details": "Order 1001: SELL 0.031 @ STOP 49000.1 (reduceOnly)", )_"
            R"("order_id": "1001", "side": "SELL", "quantity": "0.031", "executed_qty": "0", )"
            R"("reduce_only": true}])");
  stop.set("status", "REJECTED");
  stop.set("reason", "stop_would_trigger");
  EXPECT_EQ(text_at(reported(stop), "error"), "stop_would_trigger");
}

TEST(ResultStage, AnOrderReportedTwiceHasOneEntry) {
  FakeHost<ResultStage> host;
  EXPECT_EQ(host.deliver(filled()).emitted("result").size(), 1u);
  const auto again = host.deliver(filled());
  EXPECT_EQ(again.verdict, SLUICE_ACK);
  EXPECT_TRUE(again.emitted("result").empty());
  EXPECT_EQ(host.store().ttl_us("quantum:apply:result_published:sl1-a"), 86'400'000'000);
}

TEST(ResultStage, AResultNobodyCanReadIsKept) {
  const auto why = [](const char* field, const char* value) {
    FakeHost<ResultStage> host;
    Record result = filled();
    result.set(field, value);
    const auto ran = host.deliver(result);
    EXPECT_EQ(ran.reason, "invalid_result");
    return ran.detail;
  };
  EXPECT_EQ(why("plan_id", ""), "plan_id is missing");
  EXPECT_EQ(why("client_order_id", ""), "client_order_id is missing");
  EXPECT_EQ(why("symbol", ""), "symbol is missing");
  EXPECT_EQ(why("status", ""), "status is missing");
  EXPECT_EQ(why("side", "UP"), "side is UP");
  EXPECT_EQ(why("executed_qty", "much"), "executed_qty is much");
  EXPECT_EQ(why("executed_qty", "-1"), "executed_qty is -1");
  EXPECT_EQ(why("executed_qty", "0"), "FILLED without executed_qty");
}

TEST(ResultStage, AFilledOrderWasOrderedSoWhereExecutionDoesNotSay) {
  Record result = filled();
  result.set("quantity", "");
  EXPECT_NE(text_at(reported(result), "steps_results").find(R"("quantity": "0.031")"),
            std::string::npos);
}

// --- 6.2 and 9.2: proposals as hashes -----------------------------------------------------------

// The hash as the publisher writes it.
Record hash(std::string_view action = "PARTIAL_50", std::string_view kill_score = "0.539",
            std::string_view computed_at = "2023-11-14T22:13:20") {
  Record record;
  const Record fields = proposal(action, kill_score, "None", computed_at);
  for (const auto& [name, value] : fields.fields()) {
    if (name != "symbol") record.add(name, value);
  }
  record.add("position_side", "LONG");
  return record;
}

TEST(Proposals, AHashIsEmittedOnceForEachChange) {
  FakeHost<Proposals> host({{"symbols", "BTCUSDT,ETHUSDT"}});
  const auto emitted = [&host](const Record& record) {
    host.store().put(kBtcProposal, record);
    return host.poll().emitted("proposal").size();
  };
  EXPECT_EQ(emitted(hash()), 1u);
  EXPECT_EQ(emitted(hash()), 0u);
  Record refreshed = hash();
  refreshed.set("last_update_epoch", "1700000010");
  refreshed.set("position_age_sec", "10");
  EXPECT_EQ(emitted(refreshed), 0u);  // the plan would be the same
  EXPECT_EQ(emitted(hash("PARTIAL_75")), 1u);
  EXPECT_EQ(emitted(hash("PARTIAL_75", "0.55")), 1u);
  EXPECT_EQ(emitted(hash("PARTIAL_75", "0.55", "2023-11-14T22:14:20")), 1u);
  Record moved = hash("PARTIAL_75", "0.55", "2023-11-14T22:14:20");
  moved.set("new_sl_proposed", "49000.0");
  EXPECT_EQ(emitted(moved), 1u);
  EXPECT_EQ(emitted(moved), 0u);
}

TEST(Proposals, ARestartRepeatsNothing) {
  FakeStore store;
  store.put(kBtcProposal, hash());
  FakeHost<Proposals> first(store, {{"symbols", "BTCUSDT"}});
  EXPECT_EQ(first.poll().emitted("proposal").size(), 1u);
  FakeHost<Proposals> second(store, {{"symbols", "BTCUSDT"}});
  EXPECT_TRUE(second.poll().emitted("proposal").empty());
}

TEST(Proposals, TheEntryHasTheHashAndItsSymbol) {
  FakeHost<Proposals> host({{"symbols", "BTCUSDT"}});
  host.store().put(kBtcProposal, hash());
  const auto ran = host.poll();
  EXPECT_EQ(ran.verdict, SLUICE_POLL_IDLE);
  EXPECT_EQ(ran.retry_after_us, 5'000'000);
  const Record entry = ran.emitted("proposal").at(0);
  EXPECT_EQ(text_at(entry, "symbol"), "BTCUSDT");
  EXPECT_EQ(text_at(entry, "harvest_action"), "PARTIAL_50");
  EXPECT_EQ(text_at(entry, "last_update_epoch"), "1700000000");
  EXPECT_EQ(text_at(entry, "position_side"), "LONG");
  EXPECT_EQ(text_at(entry, "sigma"), "(absent)");
}

TEST(Proposals, EachSymbolIsLookedAtOnItsOwn) {
  FakeHost<Proposals> host({{"symbols", "BTCUSDT,ETHUSDT"}});
  host.store().put(kBtcProposal, hash());
  host.store().put("quantum:harvest:proposal:ETHUSDT", hash("FULL_CLOSE_PROPOSED", "0.7"));
  const auto entries = host.poll().emitted("proposal");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(text_at(entries[0], "symbol"), "BTCUSDT");
  EXPECT_EQ(text_at(entries[1], "symbol"), "ETHUSDT");
}

TEST(Proposals, WithoutActionOrKillScoreThereIsNoProposal) {
  FakeHost<Proposals> host({{"symbols", "BTCUSDT"}});
  host.store().put(kBtcProposal, hash("", "0.5"));
  EXPECT_TRUE(host.poll().emitted("proposal").empty());
  host.store().put(kBtcProposal, hash("PARTIAL_50", " "));
  EXPECT_TRUE(host.poll().emitted("proposal").empty());
  host.store().put(kBtcProposal, "a text");
  EXPECT_TRUE(host.poll().emitted("proposal").empty());
}

TEST(Proposals, NoSymbolIsASettingError) {
  EXPECT_THROW(FakeHost<Proposals>({{"symbols", ""}}), SettingError);
}

// --- 14.4: one exit, end to end -----------------------------------------------------------------

TEST(Contract14_4, OneExitFromTheHashToTheResult) {
  FakeStore store;
  const Time now = store.now();
  store.put(trade::kBtcSnapshot, trade::snapshot("0.062", now));
  store.put(trade::kBtcLedger, Record{{"last_known_amt", "0.062"}, {"updated_at", "1699999000"}});
  Record fields = hash("PARTIAL_50");
  fields.set("new_sl_proposed", "100.2");
  store.put(kBtcProposal, fields);
  FakeHost<Proposals> source(store, {{"symbols", "BTCUSDT"}});
  FakeHost<PlanStage> plan_stage(store);
  FakeHost<governor::Governor> governor(store);
  FakeHost<p33::Permit> p33(store);
  FakeHost<Gate> gate(store);
  FakeHost<ResultStage> results(store);

  const Record proposed = source.poll().emitted("proposal").at(0);
  const Record plan = plan_stage.deliver(proposed, {.input = "proposal"}).emitted("plan").at(0);
  EXPECT_EQ(text_at(plan, "decision"), "EXECUTE");
  EXPECT_EQ(text_at(plan, "reason_codes"), "");
  EXPECT_NE(text_at(plan, "steps").find("CLOSE_PARTIAL_50"), std::string::npos);
  EXPECT_EQ(text_at(plan, "R_net"), "7.01");
  const std::string id = text_at(plan, "plan_id");
  governor.deliver(plan);
  p33.deliver(plan);
  const Record order = gate.deliver(plan).emitted("order").at(0);
  EXPECT_EQ(text_at(order, "side"), "SELL");
  EXPECT_EQ(text_at(order, "quantity"), "0.031");
  EXPECT_EQ(text_at(order, "reduceOnly"), "true");
  EXPECT_FALSE(store.has(trade::governor_permit_key(id)));
  EXPECT_FALSE(store.has(trade::p33_permit_key(id)));
  Record fill = filled();
  fill.set("plan_id", id);
  const Record result = results.deliver(fill).emitted("result").at(0);
  EXPECT_EQ(text_at(result, "executed"), "True");
  EXPECT_EQ(text_at(result, "error"), "");

  // The second cycle: nothing new to propose; and the same proposal again makes no new plan entry.
  EXPECT_TRUE(source.poll().emitted("proposal").empty());
  const auto again = plan_stage.deliver(proposed, {.input = "proposal"});
  EXPECT_TRUE(again.emitted("plan").empty());
  EXPECT_EQ(text_at(again.emitted("result").at(0), "plan_published"), "false");
  EXPECT_EQ(text_at(again.emitted("result").at(0), "decision"), "SKIP");
  EXPECT_EQ(text_at(again.emitted("result").at(0), "executed"), "False");
  EXPECT_EQ(text_at(again.emitted("result").at(0), "error"), "");
  EXPECT_LE(store.ttl_us("quantum:apply:dedupe:" + id), 21'600'000'000);
  EXPECT_GT(store.ttl_us("quantum:apply:dedupe:" + id), 0);
  EXPECT_LE(store.ttl_us("quantum:apply:stream_published:" + id), 300'000'000);
}

// --- 11.6 ---------------------------------------------------------------------------------------

TEST(Contract11_6, LogMarkersOtherToolsLookFor) {
  FakeHost<PlanStage> planning;
  EXPECT_EQ(
      planning.deliver(proposal("PARTIAL_75"), {.input = "proposal"}).log,
      std::vector<std::string>{"Plan 8f118a0942251e6d published (decision=EXECUTE, steps=1)"});
  EXPECT_EQ(planning.deliver(proposal("HOLD"), {.input = "proposal"}).log.back(),
            "Result published (executed=False, error=)");
  Exit exit;
  exit.host.store().advance(std::chrono::milliseconds(7));
  EXPECT_EQ(exit.deliver().log,
            (std::vector<std::string>{
                "Current position: 0.062 (LONG)",
                "[PERMIT_WAIT] OK plan=0123456789abcdef symbol=BTCUSDT wait_ms=7 safe_qty=0.031"}));
  exit.window_over();
  exit.forget_end();
  EXPECT_EQ(exit.deliver().log,
            (std::vector<std::string>{
                "[PERMIT_WAIT] BLOCK plan=0123456789abcdef symbol=BTCUSDT wait_ms=1207 "
                "error=permit_timeout_or_missing:missing_both",
                "Result published (executed=False, "
                "error=permit_timeout_or_missing:missing_both)"}));
  exit.forget_end();
  exit.host.store().put("quantum:kill", "1");
  EXPECT_EQ(exit.deliver().log.at(0), "[KILL_SWITCH] plan=0123456789abcdef is not executed");
  FakeHost<ResultStage> results;
  EXPECT_EQ(results.deliver(filled()).log,
            (std::vector<std::string>{"Order 1001 executed plan=0123456789abcdef",
                                      "Result published (executed=True, error=)"}));
}

// --- Defects of the reference -------------------------------------------------------------------

// The typed contract filled in a source, so that results of the Apply Layer were signed by the
// executor.
TEST(Defects, SC10EveryResultHasWhatIsRequiredAndIsSignedByNobodyElse) {
  FakeHost<PlanStage> planning;
  Exit exit;
  exit.no_p33();
  exit.window_over();
  const Record results[] = {
      planning.deliver(proposal("HOLD"), {.input = "proposal"}).emitted("result").at(0),
      exit.deliver().emitted("result").at(0), reported(filled())};
  for (const Record& result : results) {
    for (const char* required : {"plan_id", "symbol", "executed", "timestamp"})
      EXPECT_NE(text_at(result, required), "(absent)") << required;
    EXPECT_EQ(text_at(result, "source"), "(absent)");
  }
}

TEST(Defects, AP1TheKillSwitchTakesEffectAtPlanAndGate) {
  for (const char* key : {"quantum:kill", "quantum:global:kill_switch"}) {
    FakeHost<PlanStage> host;
    host.store().put(key, "yes");
    EXPECT_EQ(planned(host, proposal("PARTIAL_50")), "BLOCKED kill_switch_active");
    Exit exit;
    exit.host.store().put(key, "yes");
    EXPECT_EQ(text_at(exit.deliver().emitted("result").at(0), "error"), "kill_switch_active");
  }
}

TEST(Defects, AP2NoSettingLetsAPlanPassWithoutPermits) {
  for (const char* setting : {"dry_run", "disarm_lets_closes", "foreign_permits"}) {
    Exit exit({{setting, "true"}});
    exit.no_governor();
    exit.no_p33();
    exit.window_over();
    EXPECT_EQ(text_at(exit.deliver().emitted("result").at(0), "error"),
              "permit_timeout_or_missing:missing_both");
  }
  EXPECT_EQ(std::size(Gate::kSettings), 5u);  // account, ended_ttl and these three
}

TEST(Defects, AP4TheDedupeKeyIsTakenWithThePlanOrNotAtAll) {
  FakeHost<PlanStage> host;
  // What made the reference fail after taking the key, and everything else that ends here.
  Record unaged = proposal("PARTIAL_50");
  unaged.set("last_update_epoch", "");
  for (const Record& ends : {unaged, proposal("HOLD"), proposal("UPDATE_SL", "0.5", "")}) {
    const auto ran = host.deliver(ends, {.input = "proposal"});
    EXPECT_TRUE(ran.applied);
    EXPECT_TRUE(ran.conditions.empty());
  }
  const auto ran = host.deliver(proposal("PARTIAL_50"), {.input = "proposal"});
  const std::string id = text_at(ran.emitted("plan").at(0), "plan_id");
  EXPECT_EQ(text_at(ran.emitted("plan")[0], "decision"), "EXECUTE");
  EXPECT_NE(ran.find_condition(SLUICE_CLAIM, "quantum:apply:dedupe:" + id), nullptr);
}

TEST(Defects, AP5AProposalGoesStale) {
  const auto at = [](std::optional<std::string> updated, const char* id = "1700000000000-0") {
    FakeHost<PlanStage> host;
    Record fields{{"symbol", "BTCUSDT"}, {"harvest_action", "PARTIAL_50"}, {"kill_score", "0.5"}};
    if (updated) fields.add("last_update_epoch", *updated);
    const auto ran = host.deliver(fields, {.input = "proposal", .id = id});
    const Record plan = ran.emitted("plan").at(0);
    EXPECT_EQ(ran.conditions.size(), text_at(plan, "decision") == "EXECUTE" ? 1u : 0u);
    return text_at(plan, "decision") + " " + text_at(plan, "reason_codes");
  };
  EXPECT_EQ(at("1699999880"), "EXECUTE ");
  EXPECT_EQ(at("1699999879"), "BLOCKED stale_proposal");
  EXPECT_EQ(at("1700000121"), "BLOCKED stale_proposal");  // a clock nobody can trust
  EXPECT_EQ(at(""), "BLOCKED stale_proposal");
  EXPECT_EQ(at("soon"), "BLOCKED stale_proposal");
  // Without a time of its own it is as old as its entry.
  EXPECT_EQ(at(std::nullopt), "EXECUTE ");
  EXPECT_EQ(at(std::nullopt, "1699999879000-0"), "BLOCKED stale_proposal");
  EXPECT_EQ(at(std::nullopt, "?"), "BLOCKED stale_proposal");
}

TEST(Defects, AP6APermitThatIsThereButSaysNoIsANo) {
  Exit exit;
  exit.governor(R"({"granted": false})");
  EXPECT_EQ(text_at(exit.deliver().emitted("result").at(0), "error"), "governor_permit_denied");
  EXPECT_EQ(exit.permits_left(), "none");
}

TEST(Defects, AP7TheGovernorsPermitIsUsedUpByTheOrder) {
  Exit exit;
  EXPECT_EQ(exit.deliver().emitted("order").size(), 1u);
  exit.p33(exit.good_p33());
  exit.window_over();
  exit.forget_end();
  EXPECT_EQ(text_at(exit.deliver().emitted("result").at(0), "error"),
            "permit_timeout_or_missing:missing_governor");
}

TEST(Defects, AP9ExecutedIsFalseWhenTheOrderFailed) {
  const Record result = reported(filled("REJECTED", "0", "new_order_rejected"));
  EXPECT_EQ(text_at(result, "executed"), "False");
  EXPECT_EQ(text_at(result, "error"), "new_order_rejected");
}

TEST(Defects, AP10AnOrderThatIsOnlyAcceptedIsNotExecuted) {
  const Record result = reported(filled("NEW", "0"));
  EXPECT_EQ(text_at(result, "executed"), "False");
  EXPECT_NE(text_at(result, "steps_results").find(R"("status": "error")"), std::string::npos);
}

TEST(Defects, AP12NoMultipleOfTheStepLosesAStepAndNoneGetsATail) {
  const Time now = FakeStore().now();
  const Record fields = trade::snapshot("0", now, "1");
  const auto position =
      trade::read_position([&fields](std::string_view name) { return fields.find(name); });
  for (int64_t n = 1; n <= 2000; ++n) {
    Intent intent;
    intent.size_usd = Decimal::from_scaled(n, 3);  // at a price of 1 the quantity itself
    const Sizing sizing = size_opening(intent, position, now, std::chrono::seconds(10));
    EXPECT_EQ(sizing.qty.text(), intent.size_usd->text());
    Exit exit;
    exit.position("2");
    exit.p33(trade::p33_permit(exit.plan, now, sizing.qty.text(), "SELL", "2"));
    EXPECT_EQ(text_at(exit.deliver().emitted("order").at(0), "quantity"), sizing.qty.text());
  }
}

TEST(Defects, AP14ClosesPassACriticalKillScore) {
  for (const char* action : {"FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50"}) {
    FakeHost<PlanStage> host;
    EXPECT_EQ(planned(host, proposal(action, "0.9")), "EXECUTE kill_score_warning_close_ok");
  }
}

TEST(Defects, AP15ThePublishersUsualWordsAreNoErrorAndNoDuplicate) {
  FakeHost<Proposals> source({{"symbols", "BTCUSDT"}});
  source.store().put(kBtcProposal, hash("NONE", "0.5"));
  EXPECT_TRUE(source.poll().emitted("proposal").empty());
  // An action nobody knows is the same error each time, and its plan id stays free.
  FakeHost<PlanStage> host;
  for (int i = 0; i < 2; ++i) {
    const auto ran = host.deliver(proposal("PARTIAL_25"), {.input = "proposal"});
    EXPECT_EQ(text_at(ran.emitted("result").at(0), "reason"), "unknown_action_PARTIAL_25");
    EXPECT_TRUE(ran.conditions.empty());
  }
}

TEST(Defects, AP16AnUnchangedProposalMakesNoResultEachCycle) {
  FakeHost<Proposals> source({{"symbols", "BTCUSDT"}});
  source.store().put(kBtcProposal, hash());
  size_t emitted = 0;
  for (int cycle = 0; cycle < 12; ++cycle) {
    emitted += source.poll().emitted("proposal").size();
    source.store().advance(std::chrono::seconds(5));
  }
  EXPECT_EQ(emitted, 1u);
}

TEST(Defects, AP25NoPositionAndNoProposalIsMadeUp) {
  FakeHost<Proposals> source({{"symbols", "BTCUSDT,ETHUSDT"}});
  const auto ran = source.poll();
  EXPECT_TRUE(ran.effects.empty());
  // And a close without a position that can be seen is not ordered: P3.3 has nothing to permit.
  FakeHost<p33::Permit> p33({{"snapshot_wait", "0s"}});
  const Plan plan = closing_plan(p33.store().now());
  p33.deliver(trade::plan_record(plan));
  EXPECT_NE(p33.store().text(trade::p33_permit_key(plan.plan_id)).find("no_exchange_snapshot"),
            std::string::npos);
}

TEST(Defects, AP26ADryRunDoesNotUseThePlanUp) {
  Exit exit({{"dry_run", "true"}});
  const std::string key = "quantum:apply:dedupe:" + exit.plan.plan_id;
  exit.host.store().put(key, "1-0");
  EXPECT_EQ(text_at(exit.deliver().emitted("result").at(0), "reason"), "dry_run");
  EXPECT_FALSE(exit.host.store().has(key));
}

// Counts are kept by the host, by stage and reason; a stage cannot give two of them one name. Here:
// no reason is described twice within a stage.
TEST(Defects, AP27NoReasonOfAStageStandsForTwoThings) {
  for (const char* const* reasons : {PlanStage::kReasons, Gate::kReasons, ResultStage::kReasons}) {
    std::set<std::string> seen;
    for (; *reasons != nullptr; ++reasons) EXPECT_TRUE(seen.insert(*reasons).second) << *reasons;
  }
}

// --- 6.10: metrics ---

TEST(ApplyMetrics, OfAResultAreByStepAndStatus) {
  FakeHost<ResultStage> host;
  Record order{{"plan_id", "p1"},        {"client_order_id", "c1"}, {"symbol", "BTCUSDT"},
               {"side", "SELL"},         {"status", "FILLED"},      {"executed_qty", "0.046"},
               {"action", "PARTIAL_75"}, {"order_id", "1001"}};
  host.deliver(order);
  host.deliver(order);  // reported twice
  order.set("client_order_id", "c2");
  order.set("status", "REJECTED");
  order.set("executed_qty", "0");
  host.deliver(order);
  const std::string step =
      "quantum_apply_execute_total{symbol=\"BTCUSDT\",step=\"CLOSE_PARTIAL_75\"";
  EXPECT_EQ(host.metric(step + ",status=\"success\"}"), 1);
  EXPECT_EQ(host.metric(step + ",status=\"error\"}"), 1);
  EXPECT_EQ(host.metric("apply_executed_total{status=\"success\"}"), 1);
  EXPECT_EQ(host.metric("quantum_apply_last_success_epoch{symbol=\"BTCUSDT\"}"), 1'700'000'000);
}

}  // namespace
}  // namespace sluice::apply
