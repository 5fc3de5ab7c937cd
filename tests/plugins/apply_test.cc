// Plans and the gate, and the way from a decision through all permits to an order.
#include <gtest/gtest.h>

#include <functional>

#include "apply/decide.h"
#include "apply/gate.h"
#include "apply/plan_stage.h"
#include "common/digest.h"
#include "common/json.h"
#include "governor/governor.h"
#include "p33/permit.h"
#include "plugins/trade_fixtures.h"
#include "router/router.h"

namespace sluice::apply {
namespace {

using testing::FakeHost;
using testing::FakeStore;
using trade::closing_plan;
using trade::decimal;
using trade::opening_plan;
using trade::Plan;
using trade::with;

Rules rules(bool critical_blocks_closes = false) {
  return {{"BTCUSDT"}, 0.80, 0.60, critical_blocks_closes};
}

std::string table(const std::string& action, double kill, double new_sl, bool strict = false) {
  Decision decision = decide("BTCUSDT", action, kill, false, rules(strict));
  if (decision.executes()) decision = check_action(decision, action, new_sl != 0);
  std::string text = decision.decision;
  for (const std::string& code : decision.reason_codes) text += " " + code;
  return text;
}

// Golden vectors of the reference contract, section 14.6. The last one is the reference's own; a
// replacement lets reducing actions through (section 15), which is the default here.
TEST(DecisionTable, EqualsTheReference) {
  EXPECT_EQ(table("NONE", 0.5, 0), "ERROR unknown_action_NONE");
  EXPECT_EQ(table("PARTIAL_25", 0.5, 0), "ERROR unknown_action_PARTIAL_25");
  EXPECT_EQ(table("HOLD", 0.5, 0), "SKIP action_hold");
  EXPECT_EQ(table("UPDATE_SL", 0.5, 100.2), "EXECUTE");
  EXPECT_EQ(table("UPDATE_SL", 0.6, 100.2), "BLOCKED kill_score_warning_risk_increase");
  EXPECT_EQ(table("PARTIAL_75", 0.79, 0), "EXECUTE kill_score_warning_close_ok");
  EXPECT_EQ(table("FULL_CLOSE_PROPOSED", 0.8, 0, true), "BLOCKED kill_score_critical");
  EXPECT_EQ(table("FULL_CLOSE_PROPOSED", 0.8, 0), "EXECUTE kill_score_warning_close_ok");
}

TEST(DecisionTable, EarlierRowsWin) {
  EXPECT_EQ(table("UPDATE_SL", 0.8, 100.2), "BLOCKED kill_score_critical");
  EXPECT_EQ(table("UPDATE_SL", 0.5, 0), "ERROR missing_new_sl");
  EXPECT_EQ(decide("DOGEUSDT", "PARTIAL_50", 0.9, false, rules()).reason(), "not_in_allowlist");
  EXPECT_EQ(decide("DOGEUSDT", "PARTIAL_50", 0.9, true, rules()).reason(), "kill_switch_active");
}

Record proposal(std::string_view action, std::string_view kill_score = "0.539",
                std::string_view new_sl = "100.2") {
  return {{"symbol", "BTCUSDT"},
          {"harvest_action", action},
          {"kill_score", kill_score},
          {"new_sl_proposed", new_sl},
          {"R_net", "7.01"},
          {"computed_at_utc", "2026-01-24T23:33:31.123456"},
          {"last_update_epoch", "1700000000"},
          {"k_sigma_spike", "0.25"}};
}

Record intent(std::string_view payload) {
  return {{"event_type", "trade.intent"}, {"payload", payload},     {"trace_id", "T1"},
          {"correlation_id", "C1"},       {"decision_id", "500-0"}, {"decision_us", "1699"}};
}

const char* const kBuy =
    R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.81, "position_size_usd": 149.99,)"
    R"( "leverage": 2.0, "timestamp": "2023-11-14T22:13:20Z"})";

TEST(PlanStage, AProposalBecomesThePlanOfTheContract) {
  FakeHost<PlanStage> host;
  const auto ran = host.deliver(proposal("PARTIAL_75"), {.input = "proposal", .id = "9-0"});
  ASSERT_TRUE(ran.applied);
  const Record plan = ran.emitted("plan").at(0);
  EXPECT_EQ(plan.find("plan_id"), "8f118a0942251e6d");
  EXPECT_EQ(plan.find("decision"), "EXECUTE");
  EXPECT_EQ(plan.find("reason_codes"), "");
  EXPECT_EQ(plan.find("kill_score"), "0.539");
  EXPECT_EQ(plan.find("k_sigma_spike"), "0.25");
  EXPECT_EQ(plan.find("k_age_penalty"), "0.0");
  EXPECT_EQ(plan.find("new_sl_proposed"), "100.2");
  EXPECT_EQ(plan.find("R_net"), "7.01");
  EXPECT_EQ(plan.find("close_qty"), "0.0");
  EXPECT_EQ(plan.find("price"), "");
  EXPECT_EQ(plan.find("timestamp"), "1700000000");
  EXPECT_EQ(plan.find("side"), "close");
  EXPECT_EQ(plan.find("reduceOnly"), "true");
  EXPECT_EQ(plan.find("source"), "harvest");
  EXPECT_EQ(*plan.find("steps"),
            R"([{"step": "CLOSE_PARTIAL_75", "type": "market_reduce_only", "side": "close", )"
            R"("pct": 75.0}])");
  EXPECT_TRUE(ran.emitted("result").empty());
  EXPECT_EQ(host.store().text("quantum:apply:dedupe:8f118a0942251e6d"), "9-0");
  EXPECT_EQ(host.store().ttl_us("quantum:apply:dedupe:8f118a0942251e6d"), 21'600'000'000);
  EXPECT_EQ(host.store().text("quantum:apply:stream_published:8f118a0942251e6d"), "1");
  EXPECT_EQ(host.store().ttl_us("quantum:apply:stream_published:8f118a0942251e6d"), 300'000'000);
}

TEST(PlanStage, TheSameProposalAgainIsADuplicatePlan) {
  FakeHost<PlanStage> host;
  host.deliver(proposal("PARTIAL_75", "0.65"), {.input = "proposal"});
  host.store().erase("quantum:apply:stream_published:" +
                     std::string(host.store().streams["plan"].at(0).find("plan_id").value()));
  const auto again = host.deliver(proposal("PARTIAL_75", "0.65"), {.input = "proposal"});
  const Record plan = again.emitted("plan").at(0);
  EXPECT_EQ(plan.find("decision"), "SKIP");
  EXPECT_EQ(plan.find("reason_codes"), "kill_score_warning_close_ok,duplicate_plan");
  const Record result = again.emitted("result").at(0);
  EXPECT_EQ(result.find("state"), "SKIP");
  EXPECT_EQ(result.find("reason"), "duplicate_plan");
  EXPECT_EQ(result.find("executed"), "False");
  EXPECT_EQ(result.find("error"), "");
}

TEST(PlanStage, WhatIsInTheStreamIsNotPublishedAgainWithin300s) {
  FakeHost<PlanStage> host;
  const auto send = [&host] {
    const auto ran = host.deliver(proposal("HOLD"), {.input = "proposal", .id = "9-0"});
    const Record result = ran.emitted("result").at(0);
    EXPECT_EQ(result.find("plan_published"), ran.emitted("plan").empty() ? "false" : "true");
    EXPECT_EQ(result.find("intent_id"), "9-0");
    return ran.emitted("plan").size();
  };
  EXPECT_EQ(send(), 1u);
  EXPECT_EQ(send(), 0u);
  host.policy["proposal_age_max"] = {"1h"};
  host.store().advance(std::chrono::seconds(300));
  EXPECT_EQ(send(), 1u);
}

// The gate knows of a plan from the stream alone, so the mark may not keep it from there.
TEST(PlanStage, APlanToBeExecutedIsPublishedAlthoughItWasThereAsBlocked) {
  FakeHost<PlanStage> host;
  host.store().put("quantum:kill", "1");
  EXPECT_EQ(host.deliver(proposal("PARTIAL_50"), {.input = "proposal"}).emitted("plan").size(), 1u);
  host.store().erase("quantum:kill");
  const auto ran = host.deliver(proposal("PARTIAL_50"), {.input = "proposal"});
  ASSERT_EQ(ran.emitted("plan").size(), 1u);
  EXPECT_EQ(ran.emitted("plan")[0].find("decision"), "EXECUTE");
  EXPECT_TRUE(ran.emitted("result").empty());
}

TEST(PlanStage, AnOpeningBeyondLeverageOrBalanceIsBlocked) {
  // 0.002 BTC at 50000 with leverage 2 and a factor of 1.25 need 62.5 USDT.
  const auto reason = [](const char* field, const char* value) {
    FakeHost<PlanStage> host;
    Record snapshot = trade::snapshot("0", host.store().now());
    snapshot.add(field, value);
    host.store().put(trade::kBtcSnapshot, snapshot);
    const auto ran = host.deliver(intent(kBuy), {.input = "intent"});
    const Record plan = ran.emitted("plan").at(0);
    if (plan.find("decision") == "EXECUTE") return std::string("EXECUTE");
    EXPECT_EQ(plan.find("decision"), "BLOCKED");
    EXPECT_EQ(plan.find("qty"), "");
    EXPECT_TRUE(ran.conditions.empty());
    return std::string(ran.emitted("result").at(0).find("reason").value());
  };
  EXPECT_EQ(reason("available_balance", "62.5"), "EXECUTE");
  EXPECT_EQ(reason("available_balance", "62.49999"), "rejected_margin");
  EXPECT_EQ(reason("available_balance", "-1"), "rejected_margin");
  EXPECT_EQ(reason("available_balance", "plenty"), "rejected_margin");
  EXPECT_EQ(reason("available_balance", ""), "EXECUTE");
  EXPECT_EQ(reason("leverage_max", "2"), "EXECUTE");
  EXPECT_EQ(reason("leverage_max", "1"), "leverage_above_max");
  EXPECT_EQ(reason("leverage_max", "?"), "leverage_above_max");
}

TEST(PlanStage, PlansThatAreNotExecutedEndHereWithOneResult) {
  FakeHost<PlanStage> host;
  const auto ran = host.deliver(proposal("NONE"), {.input = "proposal"});
  EXPECT_EQ(ran.emitted("plan").at(0).find("decision"), "ERROR");
  EXPECT_EQ(ran.emitted("result").at(0).find("reason"), "unknown_action_NONE");
  host.store().put("quantum:kill", "yes");
  const auto killed = host.deliver(proposal("PARTIAL_50"), {.input = "proposal"});
  EXPECT_EQ(killed.emitted("result").at(0).find("reason"), "kill_switch_active");
  EXPECT_TRUE(killed.conditions.empty());
}

TEST(PlanStage, UnsoundProposalsAreRejected) {
  FakeHost<PlanStage> host;
  for (const Record& bad :
       {proposal(""), proposal("PARTIAL_50", "nan"), proposal("PARTIAL_50", ""),
        proposal("ENTRY_PROPOSED"), Record{{"harvest_action", "HOLD"}, {"kill_score", "0.5"}}})
    EXPECT_EQ(host.deliver(bad, {.input = "proposal"}).reason, "invalid_proposal");
}

TEST(PlanStage, AnOpeningIsSizedExactlyAndDownwards) {
  FakeHost<PlanStage> host;
  host.store().put(trade::kBtcSnapshot, trade::snapshot("0", host.store().now()));
  const auto ran = host.deliver(intent(kBuy), {.input = "intent", .id = "7-0"});
  ASSERT_TRUE(ran.applied);
  const Record plan = ran.emitted("plan").at(0);
  const std::string digest =
      trade::sha256_hex("BTCUSDT:ENTRY_PROPOSED:BUY:0.810000:C1").substr(0, 16);
  EXPECT_EQ(plan.find("plan_id"), trade::sha256_hex(digest + ":7-0").substr(0, 16));
  EXPECT_EQ(plan.find("dedupe_id"), digest);
  EXPECT_EQ(host.store().text("quantum:apply:dedupe:" + digest), "7-0");
  EXPECT_EQ(plan.find("action"), "ENTRY_PROPOSED");
  EXPECT_EQ(plan.find("side"), "BUY");
  EXPECT_EQ(plan.find("qty"), "0.002");
  EXPECT_EQ(plan.find("notional"), "100");
  EXPECT_EQ(plan.find("mark_price"), "50000");
  EXPECT_EQ(plan.find("leverage"), "2.0");
  EXPECT_EQ(plan.find("reduceOnly"), "false");
  EXPECT_EQ(plan.find("decision_id"), "500-0");
  EXPECT_EQ(plan.find("decision_us"), "1699");
  EXPECT_EQ(plan.find("steps"), R"([{"step": "OPEN", "type": "market", "side": "BUY"}])");
  std::string why;
  EXPECT_TRUE(trade::read_plan(plan, why)) << why;
}

// What becomes of an intent: "EXECUTE <plan id>", or "<reason> <plan id>".
std::string planned(FakeHost<PlanStage>& host, const Record& intent, std::string_view id) {
  host.store().put(trade::kBtcSnapshot, trade::snapshot("0", host.store().now()));
  const auto ran = host.deliver(intent, {.input = "intent", .id = std::string(id)});
  const auto results = ran.emitted("result");
  const Record told = results.empty() ? ran.emitted("plan").at(0) : results.at(0);
  return std::string(*told.find(results.empty() ? "decision" : "reason")) + " " +
         std::string(*told.find("plan_id"));
}

TEST(PlanStage, AnIntentAgainIsADuplicateOfItsPlanAndLaterAPlanOfItsOwn) {
  FakeHost<PlanStage> host;
  const std::string first = planned(host, intent(kBuy), "7-0");
  ASSERT_TRUE(first.starts_with("EXECUTE "));
  const std::string plan_id = first.substr(8);
  EXPECT_EQ(planned(host, intent(kBuy), "8-0"), "duplicate_plan " + plan_id);
  host.store().advance(std::chrono::hours(6) - Duration(1));
  EXPECT_EQ(planned(host, intent(kBuy), "9-0"), "duplicate_plan " + plan_id);
  host.store().advance(Duration(1));
  const std::string later = planned(host, intent(kBuy), "10-0");
  EXPECT_TRUE(later.starts_with("EXECUTE ")) << later;
  EXPECT_NE(later, first);
}

TEST(PlanStage, AnEntryThatIsDeliveredAgainGivesTheSamePlan) {
  FakeHost<PlanStage> died, next;
  EXPECT_EQ(planned(died, intent(kBuy), "7-0"), planned(next, intent(kBuy), "7-0"));
}

TEST(PlanStage, TwoCopiesPlannedAtOnceAreOnePlan) {
  FakeStore store;
  FakeHost<PlanStage> a(store), b(store);
  std::string first;
  a.before_commit = [&] { first = planned(b, intent(kBuy), "7-0"); };
  const std::string second = planned(a, intent(kBuy), "8-0");
  ASSERT_TRUE(first.starts_with("EXECUTE "));
  EXPECT_EQ(second, "duplicate_plan " + first.substr(8));
}

TEST(PlanStage, CopiesOfAnIntentWithoutIdsAreTheSameIntent) {
  FakeHost<PlanStage> host;
  const auto bare = [](std::string_view payload) {
    return Record{{"payload", payload}, {"correlation_id", "null"}, {"trace_id", ""}};
  };
  const std::string first = planned(host, bare(kBuy), "7-0");
  ASSERT_TRUE(first.starts_with("EXECUTE "));
  EXPECT_EQ(planned(host, bare(kBuy), "8-0"), "duplicate_plan " + first.substr(8));
  const std::string other = planned(host, bare(with(kBuy, "22:13:20Z", "22:13:21Z")), "9-0");
  EXPECT_TRUE(other.starts_with("EXECUTE ")) << other;
}

// Its id may have been used up and forgotten, and the same id is the same order.
TEST(PlanStage, AProposalComputedBeforeIdsAreRememberedIsStale) {
  FakeHost<PlanStage> host;
  const auto reason = [&](Duration ago) {
    Record entry = proposal("PARTIAL_50");
    entry.set("computed_at_utc", trade::iso(host.store().now() - ago));
    const auto ran = host.deliver(entry, {.input = "proposal"});
    const auto results = ran.emitted("result");
    return results.empty() ? std::string("EXECUTE") : std::string(*results[0].find("reason"));
  };
  EXPECT_EQ(reason(std::chrono::hours(6)), "stale_proposal");
  EXPECT_EQ(reason(std::chrono::hours(6) - Duration(1)), "EXECUTE");
}

TEST(PlanStage, ACloseIntentIsAFullClose) {
  FakeHost<PlanStage> host;
  const auto ran = host.deliver(intent(with(kBuy, "\"BUY\"", "\"CLOSE\"")), {.input = "intent"});
  const Record plan = ran.emitted("plan").at(0);
  EXPECT_EQ(plan.find("action"), "FULL_CLOSE_PROPOSED");
  EXPECT_EQ(plan.find("side"), "close");
  EXPECT_EQ(plan.find("qty"), "");
  EXPECT_EQ(plan.find("reduceOnly"), "true");
}

TEST(PlanStage, AnOpeningThatCannotBeSizedIsAnErrorAndKeepsItsPlanId) {
  const auto reason = [](const char* payload, const Record& snapshot) {
    FakeHost<PlanStage> host({{"snapshot_wait", "0s"}});
    if (!snapshot.fields().empty()) host.store().put(trade::kBtcSnapshot, snapshot);
    const auto ran = host.deliver(intent(payload), {.input = "intent"});
    EXPECT_TRUE(ran.conditions.empty());
    EXPECT_EQ(ran.emitted("plan").at(0).find("decision"), "ERROR");
    return std::string(*ran.emitted("result").at(0).find("reason"));
  };
  const Time now = FakeStore().now();
  EXPECT_EQ(reason(kBuy, {}), "no_exchange_snapshot");
  EXPECT_EQ(reason(kBuy, trade::snapshot("0", now, "0.0")), "no_exchange_snapshot");
  Record bare = trade::snapshot("0", now);
  bare.set("qty_step", "");
  EXPECT_EQ(reason(kBuy, bare), "no_exchange_snapshot");
  EXPECT_EQ(reason(kBuy, trade::snapshot("0", now - std::chrono::seconds(11))),
            "stale_exchange_state");
  const std::string small = with(kBuy, "149.99", "49.99");
  EXPECT_EQ(reason(small.c_str(), trade::snapshot("0", now)), "qty_below_min");
  const std::string unsized = with(kBuy, "149.99", "null");
  EXPECT_EQ(reason(unsized.c_str(), trade::snapshot("0", now)), "missing_position_size");
}

TEST(PlanStage, AnOpeningWaitsForASnapshotFirst) {
  FakeHost<PlanStage> host;
  const auto ran = host.deliver(intent(kBuy), {.input = "intent"});
  EXPECT_EQ(ran.verdict, SLUICE_WAIT);
  EXPECT_EQ(ran.wait_keys, std::vector<std::string>{trade::kBtcSnapshot});
  EXPECT_EQ(ran.wait_until_us, host.store().now_us + 6'000'000);
}

TEST(PlanStage, UnsoundIntentsAreRejected) {
  FakeHost<PlanStage> host;
  for (const std::string& bad :
       {std::string("[]"), std::string("{"), with(kBuy, "BTCUSDT", ""), with(kBuy, "BUY", "buy"),
        with(kBuy, "0.81", "1.5"), with(kBuy, "0.81", "null"), with(kBuy, "149.99", "0"),
        with(kBuy, "149.99", "\"9\""), with(kBuy, "2.0", "126")})
    EXPECT_EQ(host.deliver(intent(bad), {.input = "intent"}).reason, "invalid_intent") << bad;
}

TEST(PlanStage, WarningAboveCriticalIsASettingError) {
  EXPECT_THROW(FakeHost<PlanStage>({{"kill_score_warning", "0.9"}}), SettingError);
}

// --- The gate -----------------------------------------------------------------------------------

// A gate with one plan, delivered at once; permits are put by hand.
class Door {
 public:
  explicit Door(bool closing = false, const FakeHost<Gate>::Texts& settings = {})
      : host(settings),
        plan(closing ? closing_plan(host.store().now()) : opening_plan(host.store().now())) {
    first_us = host.store().now_us;
  }
  void governor(const std::string& text) { host.store().put(governor_key(), text); }
  void p33(const std::string& text) { host.store().put(p33_key(), text); }
  std::string good_governor() { return trade::governor_permit(plan, host.store().now()); }
  std::string good_p33() { return trade::p33_permit(plan, host.store().now()); }
  std::string governor_key() const { return trade::governor_permit_key(plan.plan_id); }
  std::string p33_key() const { return trade::p33_permit_key(plan.plan_id); }
  bool permits_left() { return host.store().has(governor_key()) || host.store().has(p33_key()); }

  testing::Ran deliver() {
    return host.deliver(trade::plan_record(plan), {.first_delivered_us = first_us});
  }
  // So that the plan is looked at anew.
  void forget_end() { host.store().erase(trade::plan_end_key(plan.plan_id)); }
  testing::Ran deliver_late() {
    host.store().advance(std::chrono::milliseconds(1200));
    return deliver();
  }

  FakeHost<Gate> host;
  Plan plan;
  int64_t first_us = 0;
};

std::string error_of(const testing::Ran& ran) {
  EXPECT_TRUE(ran.emitted("order").empty());
  const auto results = ran.emitted("result");
  return results.size() == 1 ? std::string(*results[0].find("error")) : "no result";
}

TEST(Gate, BothValidPermitsMakeExactlyOneOrder) {
  Door door;
  const std::string governor = door.good_governor();
  const std::string p33 = door.good_p33();
  door.governor(governor);
  door.p33(p33);
  const auto ran = door.deliver();
  ASSERT_TRUE(ran.applied);
  EXPECT_TRUE(ran.emitted("result").empty());
  ASSERT_EQ(ran.emitted("order").size(), 1u);
  const Record order = ran.emitted("order")[0];
  EXPECT_EQ(order.find("plan_hash"), door.plan.plan_hash);
  EXPECT_EQ(
      order.find("client_order_id"),
      "sl1-" +
          trade::sha256_hex("v1|paper|0123456789abcdef|leg=0|BTCUSDT|BUY|MARKET").substr(0, 26));
  EXPECT_EQ(order.find("side"), "BUY");
  EXPECT_EQ(order.find("type"), "MARKET");
  EXPECT_EQ(order.find("quantity"), "0.002");
  EXPECT_EQ(order.find("reduceOnly"), "false");
  EXPECT_EQ(order.find("mark_price"), "50000");
  EXPECT_EQ(order.find("notional"), "100");
  EXPECT_EQ(order.find("leg"), "0");
  EXPECT_EQ(order.find("governor_permit"), governor);
  EXPECT_EQ(order.find("p33_permit"), p33);
  EXPECT_EQ(order.find("reservations"),
            R"([{"counter": "quantum:governor:rate:hour:BTCUSDT", "amount": 1, )"
            R"("at_us": 1700000000000000}])");
  EXPECT_EQ(order.find("permit_valid_until_us"), "1700000060000000");
  EXPECT_EQ(order.find("decision_id"), "500-0");
  EXPECT_FALSE(door.permits_left());
}

// The record of a plan's second entry: its reason and what it names.
std::string repeated(const testing::Ran& ran) {
  EXPECT_EQ(ran.verdict, SLUICE_ACK);
  EXPECT_TRUE(ran.emitted("order").empty());
  EXPECT_TRUE(ran.emitted("audit").empty());
  const Record result = ran.emitted("result").at(0);
  EXPECT_EQ(result.find("decision"), "SKIP");
  EXPECT_EQ(result.find("decision_id"), "");  // the decision has its end
  return std::string(*result.find("reason")) + " of " + std::string(*result.find("earlier"));
}

TEST(Gate, APlanEndsOnceHoweverOftenItsEntryComes) {
  for (const bool ordered : {true, false}) {
    Door door;
    door.governor(door.good_governor());
    if (ordered) door.p33(door.good_p33());
    door.host.store().advance(std::chrono::milliseconds(1200));
    const auto send = [&](const char* id) {
      return door.host.deliver(trade::plan_record(door.plan),
                               {.id = id, .first_delivered_us = door.first_us});
    };
    EXPECT_EQ(send("5-0").emitted("order").size(), ordered ? 1u : 0u);
    // Permits that come again change nothing and stay.
    door.governor(door.good_governor());
    door.p33(door.good_p33());
    EXPECT_EQ(repeated(send("6-0")), "duplicate_plan of 5-0");
    EXPECT_TRUE(door.permits_left());
  }
}

TEST(Gate, TwoEntriesOfAPlanAtOnceHaveOneOrderBetweenThem) {
  Door door;
  FakeHost<Gate> other(door.host.store());
  door.governor(door.good_governor());
  door.p33(door.good_p33());
  door.host.before_commit = [&] {
    EXPECT_EQ(other.deliver(trade::plan_record(door.plan), {.id = "5-0"}).emitted("order").size(),
              1u);
  };
  EXPECT_EQ(repeated(door.deliver()), "duplicate_plan of 5-0");
}

TEST(Gate, ACloseOrdersWhatP33Allows) {
  Door door(true);
  door.host.store().put(trade::kBtcSnapshot,
                        trade::snapshot("0.062", door.host.store().now(), "50000.5"));
  door.governor(door.good_governor());
  door.p33(trade::p33_permit(door.plan, door.host.store().now(), "0.031", "SELL", "0.062"));
  const Record order = door.deliver().emitted("order").at(0);
  EXPECT_EQ(order.find("side"), "SELL");
  EXPECT_EQ(order.find("quantity"), "0.031");
  EXPECT_EQ(order.find("reduceOnly"), "true");
  EXPECT_EQ(order.find("notional"), "1550.0155");
}

// As the reference's governor and P3.3 write them, and operators by hand.
constexpr const char* kForeignGovernor =
    R"({"granted": true, "symbol": "BTCUSDT", "decision": "EXECUTE", "computed_qty": 0.0,)"
    R"( "computed_notional": 0.0, "created_at": 1700000000.0, "consumed": false})";
constexpr const char* kForeignP33 =
    R"({"allow": true, "symbol": "BTCUSDT", "safe_close_qty": 0.031,)"
    R"( "exchange_position_amt": 0.062, "ledger_amt": 0.062, "created_at": 1700000000.0,)"
    R"( "reason": "sanity_checks_passed"})";

class ForeignDoor : public Door {
 public:
  explicit ForeignDoor(bool closing = true) : Door(closing, {{"foreign_permits", "true"}}) {
    host.store().put(trade::kBtcSnapshot, trade::snapshot("0.062", host.store().now(), "50000.5"));
  }
};

TEST(GateForeignPermits, ForACloseTheyAreMadeIntoPermitsOfThatPlanAndUsedOnce) {
  for (const char* governor : {kForeignGovernor, R"({"granted":true})"}) {
    ForeignDoor door;
    door.governor(governor);
    door.p33(kForeignP33);
    const auto ran = door.deliver();
    ASSERT_EQ(ran.emitted("order").size(), 1u) << governor;
    const Record order = ran.emitted("order")[0];
    EXPECT_EQ(order.find("side"), "SELL");
    EXPECT_EQ(order.find("quantity"), "0.031");
    EXPECT_EQ(order.find("reduceOnly"), "true");
    EXPECT_EQ(order.find("permit_valid_until_us"), "1700000010000000");
    for (const char* permit : {"governor_permit", "p33_permit"}) {
      std::string why;
      const auto bound = trade::Json::parse(*order.find(permit), why);
      EXPECT_EQ(bound->text_of("plan_hash"), door.plan.plan_hash);
      EXPECT_EQ(bound->text_of("policy"), "foreign");
    }
    EXPECT_EQ(ran.emitted("audit").at(0).find("reason"), "foreign");
    EXPECT_FALSE(door.permits_left());
  }
}

TEST(GateForeignPermits, AreWrongInAsManyWays) {
  struct Wrong {
    const char* expected;
    std::string governor, p33;
  };
  const std::string governor = kForeignGovernor, p33 = kForeignP33;
  const Wrong cases[] = {
      {"governor_permit_denied", with(governor, "true", "false"), p33},
      {"governor_permit_denied", with(governor, "\"consumed\": false", "\"consumed\": true"), p33},
      {"governor_permit_denied", R"({"granted":true,"symbol":"ETHUSDT"})", p33},
      {"governor_permit_denied", R"({"granted":true,"plan_id":"fedcba9876543210"})", p33},
      {"permit_not_bound", with(governor, "{", "{\"plan_hash\": \"0\", "), p33},
      {"permit_expired", with(governor, "1700000000.0", "1699999939.9"), p33},
      {"governor_permit_denied", R"({"granted":true,"created_at":"now"})", p33},
      {"p33_permit_denied", governor, with(p33, "true", "false")},
      {"permit_not_bound", governor, with(p33, "BTCUSDT", "ETHUSDT")},
      {"invalid_safe_close_qty", governor, with(p33, "0.031", "0.063")},
      {"invalid_safe_close_qty", governor, with(p33, "exchange_position_amt", "amt")},
      {"permit_expired", governor, with(p33, "1700000000.0", "1699999939.9")},
  };
  for (const Wrong& wrong : cases) {
    SCOPED_TRACE(wrong.governor + " " + wrong.p33);
    ForeignDoor door;
    door.governor(wrong.governor);
    door.p33(wrong.p33);
    EXPECT_EQ(error_of(door.deliver()), wrong.expected);
  }
}

TEST(GateForeignPermits, OpenNothing) {
  ForeignDoor door(false);
  door.governor(kForeignGovernor);
  door.p33(with(door.good_p33(), "\"plan_hash\"", "\"hash\""));
  EXPECT_EQ(error_of(door.deliver()), "permit_not_bound");
}

TEST(GateForeignPermits, OpenNothingBesideAGoodOneEither) {
  {
    ForeignDoor door(false);
    door.governor(kForeignGovernor);
    door.p33(door.good_p33());
    EXPECT_EQ(error_of(door.deliver()), "permit_not_bound");
  }
  ForeignDoor door(false);
  door.governor(door.good_governor());
  door.p33(R"({"allow": true, "safe_close_qty": 0.001, "exchange_position_amt": 0})");
  EXPECT_EQ(error_of(door.deliver()), "invalid_safe_close_qty");
}

TEST(GateForeignPermits, AreRefusedWhereTheFileDoesNotAllowThem) {
  Door door(true);
  door.governor(kForeignGovernor);
  door.p33(kForeignP33);
  EXPECT_EQ(error_of(door.deliver()), "permit_not_bound");
}

struct Case {
  const char* name;
  const char* expected;
  std::function<void(Door&)> spoil;
};

// Every way a permit can be wrong: never an order, always one result, the pair is used up.
TEST(Gate, APermitThatIsWrongInAnyWayNeverLeadsToAnOrder) {
  const auto governor_with = [](const char* piece, const char* other) {
    return [=](Door& door) { door.governor(with(door.good_governor(), piece, other)); };
  };
  const auto p33_with = [](const char* piece, const char* other) {
    return [=](Door& door) { door.p33(with(door.good_p33(), piece, other)); };
  };
  const Case cases[] = {
      {"granted false", "governor_permit_denied",
       governor_with("\"granted\": true", "\"granted\": false")},
      {"granted as text", "governor_permit_denied",
       governor_with("\"granted\": true", "\"granted\": \"true\"")},
      {"granted missing", "governor_permit_denied", governor_with("\"granted\"", "\"given\"")},
      {"consumed", "governor_permit_denied",
       governor_with("\"consumed\": false", "\"consumed\": true")},
      {"governor by hand", "governor_permit_denied",
       [](Door& door) { door.governor("{\"granted\":true}"); }},
      {"governor not JSON", "invalid_governor_permit_format",
       [](Door& door) { door.governor("xx"); }},
      {"governor array", "invalid_governor_permit_format",
       [](Door& door) { door.governor("[1]"); }},
      {"governor as hash", "invalid_governor_permit_format",
       [](Door& door) {
         door.host.store().put(door.governor_key(), Record{{"granted", "true"}});
       }},
      {"governor other plan", "permit_not_bound",
       governor_with("\"plan_id\": \"0123456789abcdef\"", "\"plan_id\": \"fedcba9876543210\"")},
      {"governor other hash", "permit_not_bound",
       [](Door& door) {
         door.governor(with(door.good_governor(), door.plan.plan_hash, std::string(64, '0')));
       }},
      {"governor other symbol", "permit_not_bound",
       governor_with("\"symbol\": \"BTCUSDT\"", "\"symbol\": \"ETHUSDT\"")},
      {"governor expired", "permit_expired",
       governor_with("\"valid_until_us\": 1700000060000000",
                     "\"valid_until_us\": 1700000000000000")},
      {"governor without end", "permit_expired",
       governor_with("\"valid_until_us\"", "\"valid_for\"")},
      {"allow false", "p33_permit_denied", p33_with("\"allow\": true", "\"allow\": false")},
      {"allow as number", "p33_permit_denied", p33_with("\"allow\": true", "\"allow\": 1")},
      {"allow missing", "p33_permit_denied", p33_with("\"allow\"", "\"allowed\"")},
      {"p33 not JSON", "p33_permit_denied", [](Door& door) { door.p33("xx"); }},
      {"p33 array", "invalid_p33_permit_format", [](Door& door) { door.p33("[1]"); }},
      {"p33 empty object", "p33_permit_denied", [](Door& door) { door.p33("{}"); }},
      {"p33 doubled key", "p33_permit_denied",
       p33_with("\"allow\": true", "\"allow\": false, \"allow\": true")},
      {"quantity 0", "invalid_safe_close_qty", p33_with("\"safe_qty\": 0.002", "\"safe_qty\": 0")},
      {"quantity negative", "invalid_safe_close_qty",
       p33_with("\"safe_qty\": 0.002", "\"safe_qty\": -0.002")},
      {"quantity as text", "invalid_safe_close_qty",
       p33_with("\"safe_qty\": 0.002", "\"safe_qty\": \"0.002\"")},
      {"quantity missing", "invalid_safe_close_qty", p33_with("\"safe_qty\"", "\"qty\"")},
      {"quantity above the plan", "invalid_safe_close_qty",
       p33_with("\"safe_qty\": 0.002", "\"safe_qty\": 0.003")},
      {"p33 other plan", "permit_not_bound",
       p33_with("\"plan_id\": \"0123456789abcdef\"", "\"plan_id\": \"fedcba9876543210\"")},
      {"p33 other hash", "permit_not_bound",
       [](Door& door) {
         door.p33(with(door.good_p33(), door.plan.plan_hash, std::string(64, '0')));
       }},
      {"p33 without hash", "permit_not_bound", p33_with("\"plan_hash\"", "\"hash\"")},
      {"p33 other symbol", "permit_not_bound",
       p33_with("\"symbol\": \"BTCUSDT\"", "\"symbol\": \"ETHUSDT\"")},
      {"p33 other side", "permit_not_bound", p33_with("\"BUY\"", "\"SELL\"")},
      {"p33 expired", "permit_expired",
       p33_with("\"valid_until_us\": 1700000060000000", "\"valid_until_us\": 1699999999999999")},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    Door door;
    door.governor(door.good_governor());
    door.p33(door.good_p33());
    test.spoil(door);
    const auto ran = door.deliver();
    EXPECT_TRUE(ran.applied);
    EXPECT_EQ(error_of(ran), test.expected);
    EXPECT_EQ(ran.emitted("result").at(0).find("decision"), "BLOCKED");
    EXPECT_FALSE(door.permits_left());
  }
}

TEST(Gate, APermitDeletedOrExpiredIsMissing) {
  Door door;
  door.governor(door.good_governor());
  door.host.store().put(door.p33_key(), door.good_p33(), std::chrono::milliseconds(500));
  EXPECT_EQ(error_of(door.deliver_late()), "permit_timeout_or_missing:missing_p33");
}

// Golden vectors of the reference contract, section 14.5.
TEST(Gate, DenialsAndWaitsEqualTheReference) {
  Door none;
  EXPECT_EQ(error_of(none.deliver_late()), "permit_timeout_or_missing:missing_both");
  Door only_p33;
  only_p33.p33(only_p33.good_p33());
  EXPECT_EQ(error_of(only_p33.deliver_late()), "permit_timeout_or_missing:missing_governor");
  EXPECT_TRUE(only_p33.host.store().has(only_p33.p33_key()));
  Door only_governor;
  only_governor.governor(only_governor.good_governor());
  EXPECT_EQ(error_of(only_governor.deliver_late()), "permit_timeout_or_missing:missing_p33");
  EXPECT_TRUE(only_governor.host.store().has(only_governor.governor_key()));

  Door denied;
  denied.governor(denied.good_governor());
  denied.p33(trade::p33_denial_text(denied.plan, "no_position", "{}", denied.host.store().now(),
                                    "p33.lua@1"));
  const auto ran = denied.deliver();
  EXPECT_EQ(error_of(ran), "p33_permit_denied");
  EXPECT_EQ(ran.emitted("result").at(0).find("reason"), "p33_permit_denied: no_position");
  EXPECT_FALSE(denied.permits_left());

  Door flat(true);
  flat.host.store().put(trade::kBtcSnapshot, trade::snapshot("0.0009", flat.host.store().now()));
  flat.governor(flat.good_governor());
  flat.p33(flat.good_p33());
  const auto skipped = flat.deliver();
  EXPECT_EQ(error_of(skipped), "no_position");
  EXPECT_EQ(skipped.emitted("result").at(0).find("decision"), "SKIP");
  EXPECT_TRUE(flat.permits_left());
}

TEST(Gate, WaitsOnAllThreeKeysFromTheFirstDelivery) {
  Door door;
  door.host.store().advance(std::chrono::milliseconds(1199));
  const auto ran = door.deliver();
  EXPECT_EQ(ran.verdict, SLUICE_WAIT);
  EXPECT_EQ(ran.wait_until_us, door.first_us + 1'200'000);
  EXPECT_EQ(ran.wait_keys, (std::vector<std::string>{door.governor_key(), door.p33_key(),
                                                     "quantum:governor:block:0123456789abcdef"}));
}

TEST(Gate, AWindowOfNothingLetsNothingThrough) {
  Door door;
  door.host.policy["permit_wait"] = {"0s"};
  door.governor(door.good_governor());
  door.p33(door.good_p33());
  EXPECT_EQ(error_of(door.deliver()), "permit_timeout_or_missing:init");
}

TEST(Gate, ABlockRecordEndsTheWaitAtOnce) {
  Door door;
  door.host.store().put("quantum:governor:block:0123456789abcdef",
                        trade::block_text(door.plan, "burst_limit_exceeded", Time{}));
  EXPECT_EQ(error_of(door.deliver()), "governor_blocked:burst_limit_exceeded");
  door.forget_end();
  door.host.store().put("quantum:governor:block:0123456789abcdef", "?");
  EXPECT_EQ(error_of(door.deliver()), "governor_blocked:unknown");
}

TEST(Gate, KillSwitchSetOrUnreadableBlocksBeforeAnythingElse) {
  for (const char* value : {"1", "TRUE", "perhaps"}) {
    Door door;
    door.governor(door.good_governor());
    door.p33(door.good_p33());
    door.host.store().put("quantum:global:kill_switch", value);
    const auto ran = door.deliver();
    EXPECT_EQ(error_of(ran), "kill_switch_active");
    EXPECT_EQ(ran.emitted("result").at(0).find("would_execute"), "True");
  }
}

TEST(Gate, AnOldPlanEndsWithARecord) {
  Door door;
  door.host.store().advance(std::chrono::seconds(601));
  door.first_us = door.host.store().now_us;
  door.governor(door.good_governor());
  door.p33(door.good_p33());
  EXPECT_EQ(error_of(door.deliver()), "plan_expired");
}

TEST(Gate, APlanChangedOnTheWayIsADeadLetter) {
  Door door;
  Record record = trade::plan_record(door.plan);
  record.set("side", "SELL");
  EXPECT_EQ(door.host.deliver(record).reason, "invalid_plan");
}

TEST(Gate, PlansThatAreNotToBeExecutedAreAcked) {
  Door door;
  door.plan.decision = "SKIP";
  const auto ran = door.deliver();
  EXPECT_EQ(ran.verdict, SLUICE_ACK);
  EXPECT_TRUE(ran.effects.empty());
}

// A moved stop, with both permits, for a position on BTCUSDT at 50000.
class StopDoor : public Door {
 public:
  explicit StopDoor(const char* new_sl, const char* position = "0.062") : Door(true) {
    const Time now = host.store().now();
    plan = closing_plan(now, "UPDATE_SL");
    plan.new_sl_proposed = new_sl;
    plan.plan_hash = trade::plan_hash(plan);
    host.store().put(trade::kBtcSnapshot, trade::snapshot(position, now));
    const bool is_long = decimal(position).is_positive();
    governor(good_governor());
    p33(trade::p33_permit(plan, now, decimal(position).abs().text(), is_long ? "SELL" : "BUY",
                          position));
  }
};

TEST(Gate, AMovedStopIsAStopOrderForTheWholePosition) {
  StopDoor door("49000.19");
  const auto ran = door.deliver();
  ASSERT_EQ(ran.emitted("order").size(), 1u);
  const Record order = ran.emitted("order")[0];
  EXPECT_EQ(order.find("type"), "STOP_MARKET");
  EXPECT_EQ(order.find("leg"), "sl");
  EXPECT_EQ(order.find("stop_price"), "49000.1");
  EXPECT_EQ(order.find("side"), "SELL");
  EXPECT_EQ(order.find("quantity"), "0.062");
  EXPECT_EQ(order.find("reduceOnly"), "true");
  EXPECT_EQ(order.find("client_order_id"),
            "sl1-" + trade::sha256_hex("v1|paper|0123456789abcdef|leg=sl|BTCUSDT|SELL|STOP_MARKET")
                         .substr(0, 26));
  EXPECT_FALSE(door.permits_left());
  EXPECT_TRUE(ran.emitted("result").empty());
}

TEST(Gate, TheStopOfAShortPositionLiesAboveThePrice) {
  StopDoor door("51000.0", "-0.062");
  const Record order = door.deliver().emitted("order").at(0);
  EXPECT_EQ(order.find("side"), "BUY");
  EXPECT_EQ(order.find("stop_price"), "51000");
}

TEST(Gate, AStopThatCannotStandEndsAsAnError) {
  const auto error = [](const char* new_sl, const char* position = "0.062") {
    StopDoor door(new_sl, position);
    const auto ran = door.deliver();
    EXPECT_FALSE(door.permits_left());
    EXPECT_EQ(ran.emitted("result").at(0).find("decision"), "ERROR");
    return error_of(ran);
  };
  EXPECT_EQ(error("50000"), "stop_would_trigger");
  EXPECT_EQ(error("50000.1"), "stop_would_trigger");
  EXPECT_EQ(error("49999.99", "-0.062"), "stop_would_trigger");
  EXPECT_EQ(error("50000.09", "-0.062"), "stop_would_trigger");  // 50000.0 on the tick
  EXPECT_EQ(error("0.09"), "missing_new_sl");
  EXPECT_EQ(error("-49000"), "missing_new_sl");
  EXPECT_EQ(error("below"), "missing_new_sl");

  StopDoor unseen("49000");
  unseen.host.store().erase(trade::kBtcSnapshot);
  EXPECT_EQ(error_of(unseen.deliver()), "no_exchange_snapshot");
}

// --- Disarm -------------------------------------------------------------------------------------

TEST(Gate, NothingIsOrderedWhileDisarmed) {
  for (const bool closing : {false, true}) {
    Door door(closing);
    door.governor(door.good_governor());
    door.p33(door.good_p33());
    door.host.store().put(trade::kDisarmKey, R"({"reason": "burst_limit_breach"})");
    const auto ran = door.deliver();
    EXPECT_EQ(error_of(ran), "disarmed");
    EXPECT_EQ(ran.emitted("result").at(0).find("decision"), "BLOCKED");
    EXPECT_EQ(ran.emitted("result").at(0).find("state"), "BLOCKED");
  }
}

TEST(Gate, ADisarmKeyNobodyCanReadDisarms) {
  Door door;
  door.host.store().put(trade::kDisarmKey, Record{{"a", "b"}});
  EXPECT_EQ(error_of(door.deliver()), "disarmed");
  door.forget_end();
  door.host.store().put(trade::kDisarmKey, "");
  EXPECT_EQ(error_of(door.deliver()), "disarmed");
}

TEST(Gate, DisarmLetsClosesThroughWhenItIsSetSo) {
  const auto run = [](std::string_view action) {
    FakeHost<Gate> host({{"disarm_lets_closes", "true"}});
    const Time now = host.store().now();
    const Plan plan = action == trade::kOpenAction ? opening_plan(now) : closing_plan(now, action);
    host.store().put(trade::kBtcSnapshot, trade::snapshot("0.062", now));
    host.store().put(trade::kDisarmKey, "{}");
    host.store().put(trade::governor_permit_key(plan.plan_id), trade::governor_permit(plan, now));
    host.store().put(trade::p33_permit_key(plan.plan_id),
                     plan.is_opening() ? trade::p33_permit(plan, now)
                                       : trade::p33_permit(plan, now, "0.031", "SELL", "0.062"));
    return host.deliver(trade::plan_record(plan));
  };
  for (const char* action : {"FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50"})
    EXPECT_EQ(run(action).emitted("order").size(), 1u) << action;
  EXPECT_EQ(error_of(run("ENTRY_PROPOSED")), "disarmed");
  EXPECT_EQ(error_of(run("UPDATE_SL")), "disarmed");
}

// The stop of an operator that comes between the gate's look and the order's emission.
TEST(Gate, DisarmOrKillInTheLastMomentStopsTheOrder) {
  for (const std::string_view key : {trade::kDisarmKey, trade::kKillKey, trade::kGlobalKillKey}) {
    Door door;
    door.governor(door.good_governor());
    door.p33(door.good_p33());
    door.host.before_commit = [&] { door.host.store().put(key, "1"); };
    const auto ran = door.deliver();
    EXPECT_EQ(ran.failures.size(), 1u) << key;
    EXPECT_EQ(error_of(ran), key == trade::kDisarmKey ? "disarmed" : "kill_switch_active");
  }
}

// --- Shares of limits, audit trail, dry run -----------------------------------------------------

const char* const kHourly = "quantum:governor:rate:hour:BTCUSDT";

// A share that was reserved at the permit's time.
void reserve(FakeStore& store, int64_t amount) {
  ASSERT_FALSE(store.apply(
      {{SLUICE_RESERVE, kHourly, "", 0, amount, 9, SLUICE_WINDOW_SLIDING, 3'600'000'000}}, {}, {}));
}

TEST(Gate, APlanThatComesTwiceGivesItsShareBackOnce) {
  Door door;
  reserve(door.host.store(), 1);
  reserve(door.host.store(), 1);  // another plan's, at the same moment
  door.governor(door.good_governor());
  EXPECT_EQ(error_of(door.deliver_late()), "permit_timeout_or_missing:missing_p33");
  EXPECT_EQ(door.host.store().counter(kHourly), 1);
  EXPECT_TRUE(repeated(door.deliver()).starts_with("duplicate_plan"));
  EXPECT_EQ(door.host.store().counter(kHourly), 1);
}

TEST(Gate, APermitThatRanOutUnusedGivesItsShareBack) {
  Door door;
  reserve(door.host.store(), 1);
  door.host.store().put(trade::governor_granted_key(door.plan.plan_id), door.good_governor());
  EXPECT_EQ(error_of(door.deliver_late()), "permit_timeout_or_missing:missing_both");
  EXPECT_EQ(door.host.store().counter(kHourly), 0);
}

TEST(Gate, APermitOfAnotherPlanThatRanOutKeepsItsShare) {
  Door door;
  reserve(door.host.store(), 1);
  door.host.store().put(trade::governor_granted_key(door.plan.plan_id),
                        with(door.good_governor(), door.plan.plan_hash, "another"));
  EXPECT_EQ(error_of(door.deliver_late()), "permit_timeout_or_missing:missing_both");
  EXPECT_EQ(door.host.store().counter(kHourly), 1);
}

TEST(Gate, APermitGrantedWhileThePlanEndsGivesItsShareBack) {
  Door door;
  door.host.before_commit = [&] {
    reserve(door.host.store(), 1);
    door.governor(door.good_governor());
  };
  const auto ran = door.deliver_late();
  EXPECT_EQ(ran.failures.size(), 1u);
  EXPECT_EQ(error_of(ran), "permit_timeout_or_missing:missing_p33");
  EXPECT_EQ(door.host.store().counter(kHourly), 0);
}

TEST(Gate, APermitWhoseShareWentBackCannotBeUsedAnyMore) {
  Door door;
  door.governor(door.good_governor());
  EXPECT_EQ(error_of(door.deliver_late()), "permit_timeout_or_missing:missing_p33");
  EXPECT_TRUE(door.host.store().has(door.governor_key()));
  EXPECT_EQ(door.host.store().ttl_us(door.governor_key()), 58'800'000);  // its own end
  door.p33(door.good_p33());
  door.forget_end();
  const auto ran = door.deliver();
  EXPECT_EQ(error_of(ran), "governor_permit_denied");
  EXPECT_EQ(ran.emitted("result").at(0).find("reason"), "governor_permit_denied: consumed");
}

std::string trail(const testing::Ran& ran) {
  std::string text;
  for (const Record& entry : ran.emitted("audit")) {
    text += std::string(text.empty() ? "" : "; ") + std::string(*entry.find("permit")) + " " +
            std::string(*entry.find("event"));
    if (const auto reason = *entry.find("reason"); !reason.empty())
      text += " " + std::string(reason);
  }
  return text;
}

TEST(Gate, EachPermitOfAPlanIsInTheAuditTrailOnce) {
  Door both;
  both.governor(both.good_governor());
  both.p33(both.good_p33());
  const auto ran = both.deliver();
  EXPECT_EQ(trail(ran), "governor consumed; p33 consumed");
  const Record entry = ran.emitted("audit").at(1);
  EXPECT_EQ(entry.find("plan_id"), both.plan.plan_id);
  EXPECT_EQ(entry.find("plan_hash"), both.plan.plan_hash);
  EXPECT_EQ(entry.find("symbol"), "BTCUSDT");
  EXPECT_EQ(entry.find("action"), "ENTRY_PROPOSED");
  EXPECT_EQ(entry.find("valid_until_us"), "1700000060000000");
  EXPECT_EQ(entry.find("at_us"), "1700000000000000");
  EXPECT_EQ(entry.find("trace_id"), "T1");
  EXPECT_EQ(entry.find("inputs"),
            R"({"kill_switch": false, "disarmed": false, "governor_permit": true, )"
            R"("p33_permit": true, "governor_block": false, "waited_us": 0, "plan_age_us": 0})");

  Door late;
  late.governor(late.good_governor());
  EXPECT_EQ(trail(late.deliver_late()),
            "governor refused permit_timeout_or_missing:missing_p33; "
            "p33 missing permit_timeout_or_missing:missing_p33");

  Door over;
  over.governor(with(over.good_governor(), "1700000060000000", "1700000000000000"));
  over.p33(over.good_p33());
  EXPECT_EQ(trail(over.deliver()),
            "governor expired permit_expired: governor; p33 refused permit_expired: governor");

  Door stopped;
  stopped.host.store().put("quantum:kill", "1");
  EXPECT_EQ(trail(stopped.deliver()),
            "governor missing kill_switch_active; p33 missing kill_switch_active");

  Door waits;
  EXPECT_TRUE(waits.deliver().emitted("audit").empty());
}

TEST(Gate, TheAuditTrailShowsThePositionOfAClose) {
  StopDoor door("49000");
  const Record entry = door.deliver().emitted("audit").at(0);
  EXPECT_NE(entry.find("inputs")->find(R"("position_amt": 0.062, "snapshot_age_seconds": 0)"),
            std::string_view::npos);
}

TEST(Gate, ADryRunOrdersNothingAndSaysWhatItWouldOrder) {
  FakeHost<Gate> host({{"dry_run", "true"}});
  const Time now = host.store().now();
  const Plan plan = closing_plan(now, "PARTIAL_50");
  host.store().put(trade::kBtcSnapshot, trade::snapshot("0.062", now));
  host.store().put(trade::governor_permit_key(plan.plan_id), trade::governor_permit(plan, now));
  host.store().put(trade::p33_permit_key(plan.plan_id),
                   trade::p33_permit(plan, now, "0.031", "SELL", "0.062"));
  const auto ran = host.deliver(trade::plan_record(plan));
  EXPECT_EQ(error_of(ran), "");
  const Record result = ran.emitted("result").at(0);
  EXPECT_EQ(result.find("decision"), "EXECUTE");
  EXPECT_EQ(result.find("executed"), "False");
  EXPECT_EQ(result.find("would_execute"), "True");
  EXPECT_EQ(result.find("state"), "DRY_RUN");
  EXPECT_EQ(result.find("steps_results"),
            R"([{"step": "CLOSE_PARTIAL_50", "status": "would_execute", )"
            R"("details": "DRY_RUN: SELL 0.031 @ MARKET"}])");
}

TEST(Gate, APermitTakenAwayInBetweenIsNotUsed) {
  for (const bool replaced : {false, true}) {
    Door door;
    door.governor(door.good_governor());
    door.p33(door.good_p33());
    door.host.before_commit = [&] {
      if (replaced) {
        door.governor("{\"granted\": false}");
      } else {
        door.host.store().erase(door.governor_key());
      }
    };
    const auto ran = door.deliver();
    EXPECT_EQ(ran.failures.size(), 1u);
    EXPECT_TRUE(ran.emitted("order").empty());
    EXPECT_EQ(ran.verdict, replaced ? SLUICE_ACK : SLUICE_WAIT);
  }
}

TEST(Gate, AFailingPolicyNeverLeadsToAnOrder) {
  for (const char* hook : {"permit_wait", "plan_age"}) {
    Door door;
    door.governor(door.good_governor());
    door.p33(door.good_p33());
    door.host.policy_fails = {hook};
    const auto ran = door.deliver();
    EXPECT_EQ(ran.reason, "policy_error");
    EXPECT_FALSE(ran.applied);
  }
}

// --- All together -------------------------------------------------------------------------------

// Router, plan, governor, P3.3 and gate over one store.
class Lane {
 public:
  Lane() { store.put(trade::kBtcSnapshot, trade::snapshot("0", store.now())); }

  // The gate's call for a decision with this correlation id.
  testing::Ran send(std::string_view correlation) {
    const auto routed =
        router.deliver({{"payload", R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.8})"},
                        {"correlation_id", correlation},
                        {"trace_id", "T1"}});
    const auto planned =
        plan.deliver(routed.emitted("intent").at(0), {.input = "intent", .id = "2-0"});
    const Record record = planned.emitted("plan").at(0);
    governor.deliver(record);
    p33.deliver(record);
    return gate.deliver(record);
  }

  FakeStore store;
  FakeHost<router::Router> router{store};
  FakeHost<PlanStage> plan{store};
  FakeHost<governor::Governor> governor{store};
  FakeHost<p33::Permit> p33{store};
  FakeHost<Gate> gate{store};
};

TEST(TradeLane, ADecisionBecomesOneOrderAndABurstDisarms) {
  Lane lane;
  EXPECT_EQ(lane.send("C1").emitted("order").size(), 1u);
  EXPECT_EQ(lane.send("C2").emitted("order").size(), 1u);
  EXPECT_EQ(error_of(lane.send("C3")), "disarmed");
  EXPECT_NE(lane.store.find("quantum:apply:disarmed"), nullptr);
}

TEST(TradeLane, WhatP33DeniesGivesItsShareOfTheLimitsBack) {
  Lane lane;
  lane.store.put("quantum:reconcile:hold:BTCUSDT", "1");
  const auto ran = lane.send("C1");
  EXPECT_EQ(error_of(ran), "p33_permit_denied");
  EXPECT_EQ(ran.emitted("result").at(0).find("reason"), "p33_permit_denied: reconcile_hold_active");
  EXPECT_EQ(lane.store.counter("quantum:governor:rate:hour:BTCUSDT"), 0);
  EXPECT_EQ(lane.store.counter("quantum:governor:rate:5min:BTCUSDT"), 0);
  EXPECT_EQ(lane.store.counter("quantum:governor:daily:BTCUSDT:2023-11-14"), 0);
}

TEST(TradeLane, AGovernorThatComesAfterTheGateGaveUpReservesNothing) {
  Lane lane;
  const Plan plan = opening_plan(lane.store.now());
  const Record record = trade::plan_record(plan);
  const int64_t first_us = lane.store.now_us;
  lane.store.advance(std::chrono::milliseconds(1200));
  EXPECT_EQ(error_of(lane.gate.deliver(record, {.first_delivered_us = first_us})),
            "permit_timeout_or_missing:missing_both");
  EXPECT_TRUE(lane.governor.deliver(record).conditions.empty());
  EXPECT_EQ(lane.store.find(trade::governor_permit_key(plan.plan_id)), nullptr);
  EXPECT_EQ(lane.store.counter("quantum:governor:rate:hour:BTCUSDT"), 0);
}

TEST(TradeLane, SlowKeysChangeNothing) {
  Lane lane;
  lane.plan.slow_keys = lane.governor.slow_keys = lane.p33.slow_keys = lane.gate.slow_keys = true;
  EXPECT_EQ(lane.send("C1").emitted("order").size(), 1u);
}

TEST(PlanOfIntent, CarriesWhatTheGovernorJudgesAnOpeningBy) {
  const auto plan = [](std::string_view payload) {
    std::string why;
    const auto intent = read_intent({{"payload", payload}}, why);
    return intent ? plan_of(*intent, {}, "C1", "7-0") : Plan{};
  };
  const std::string start = R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.75)";
  EXPECT_EQ(plan(start + "}").confidence, "0.75");
  EXPECT_EQ(plan(start + "}").risk_budget_usd, "");
  EXPECT_EQ(plan(start + R"(, "risk_budget_usd": 150})").risk_budget_usd, "150.0");
  EXPECT_EQ(plan(start + R"(, "risk_budget_usd": "150"})").symbol, "");
}

// --- 6.10: metrics ---

TEST(GateMetrics, CountPermitsByWhoseItIsAndTheWait) {
  Door door;
  door.governor(door.good_governor());
  door.p33(door.good_p33());
  door.host.store().advance(std::chrono::milliseconds(40));
  door.deliver();
  EXPECT_EQ(door.host.metric("p33_permit_allow_total"), 1);
  EXPECT_EQ(door.host.metric("permit_wait_ms"), 40);
  EXPECT_EQ(door.host.metric("apply_plan_processed_total{decision=\"EXECUTE\"}"), 1);
  Door denied;
  denied.governor(denied.good_governor());
  denied.p33(R"({"allow": false, "reason": "no_position"})");
  denied.deliver();
  EXPECT_EQ(denied.host.metric("p33_permit_deny_total{reason=\"no_position\"}"), 1);
}

TEST(GateMetrics, APermitThatDoesNotComeIsTheScriptsReason) {
  Door door;
  door.p33(door.good_p33());
  EXPECT_EQ(door.deliver().verdict, SLUICE_WAIT);
  door.deliver_late();
  EXPECT_EQ(door.host.metric("governor_block_total{reason=\"missing_governor\"}"), 1);
  EXPECT_EQ(door.host.metric("apply_plan_processed_total{decision=\"BLOCKED\"}"), 1);
}

TEST(GateMetrics, TheKillSwitchIsCounted) {
  Door door;
  door.host.store().put("quantum:kill", "1");
  door.deliver();
  EXPECT_EQ(door.host.metric("apply_executed_total{status=\"kill_switch\"}"), 1);
}

TEST(PlanMetrics, ADuplicateIsAHitAndNoSecondPublication) {
  FakeHost<PlanStage> host;
  const Record intent{{"payload", R"({"symbol": "BTCUSDT", "action": "CLOSE", "confidence": 0.8,)"
                                  R"( "timestamp": "2023-11-14T22:13:20Z"})"},
                      {"correlation_id", "c1"}};
  for (int i = 0; i < 2; ++i) host.deliver(intent, {.input = "intent"});
  EXPECT_EQ(host.metric("quantum_apply_plan_total{symbol=\"BTCUSDT\",decision=\"EXECUTE\"}"), 1);
  EXPECT_EQ(host.metric("quantum_apply_dedupe_hits_total"), 1);
}

}  // namespace
}  // namespace sluice::apply
