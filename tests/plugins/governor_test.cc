// The governor's gates as tables that read like the reference contract, sections 4.1 to 4.3, and
// one test for each of its defects that is not rebuilt: their names begin with the defect's mark.
#include "governor/governor.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "apply/gate.h"
#include "common/json.h"
#include "plugins/trade_fixtures.h"

namespace sluice::governor {
namespace {

using testing::Effect;
using testing::FakeHost;
using testing::FakeStore;
using trade::closing_plan;
using trade::decimal;
using trade::Json;
using trade::JsonDocument;
using trade::opening_plan;
using trade::Plan;

constexpr const char* kHourKey = "quantum:governor:rate:hour:BTCUSDT";
constexpr const char* kBurstKey = "quantum:governor:rate:5min:BTCUSDT";
constexpr const char* kDailyKey = "quantum:governor:daily:BTCUSDT:2023-11-14";
constexpr const char* kDailyQtyKey = "quantum:governor:daily_qty:BTCUSDT:2023-11-14";
constexpr const char* kTradesKey = "quantum:governor:daily_trades:20231114";
constexpr const char* kErrorsKey = "quantum:governor:errors:2023-11-14";
constexpr const char* kDayKey = "quantum:governor:disarm:2023-11-14";
constexpr auto kSecond = std::chrono::seconds(1);

JsonDocument json(const std::string& text) {
  std::string why;
  auto read = Json::parse(text, why);
  if (!read) throw std::logic_error(text + ": " + why);
  return std::move(*read);
}

// A governor and the plans it is asked about. It is 2023-11-14 22:13:20 UTC.
class Desk {
 public:
  explicit Desk(const FakeHost<Governor>::Texts& settings = {}) : host(settings) {}

  testing::Ran ask(Plan plan) {
    plan.plan_hash = trade::plan_hash(plan);
    return host.deliver(trade::plan_record(plan));
  }
  // An opening under its own id.
  testing::Ran open(const std::string& id, std::string_view qty = "0.002") {
    Plan plan = opening_plan(now(), qty);
    plan.plan_id = id;
    return ask(plan);
  }
  // A close under its own id.
  testing::Ran close(const std::string& id, std::string_view action = "PARTIAL_50") {
    Plan plan = closing_plan(now(), action);
    plan.plan_id = id;
    return ask(plan);
  }
  void position(std::string_view amount, std::string_view mark = "50000.0") {
    store().put(trade::kBtcSnapshot, trade::snapshot(amount, now(), mark));
  }
  // Nothing was executed: what the permit names goes back, as gate and execution do it.
  void give_back(const std::string& id) {
    Plan plan = opening_plan(now());
    plan.plan_id = id;
    plan.plan_hash = trade::plan_hash(plan);
    std::vector<Effect> effects;
    for (const auto& share : trade::permit_reservations(plan, permit_text(id)))
      effects.push_back({.kind = Effect::Kind::kRelease,
                         .name = share.counter,
                         .amount = share.amount,
                         .reserved_at_us = share.at_us});
    ASSERT_FALSE(effects.empty());
    ASSERT_FALSE(store().apply({}, effects, {}));
  }

  FakeStore& store() { return host.store(); }
  Time now() { return store().now(); }
  std::string block_reason(const std::string& id) {
    return trade::block_reason(store().text("quantum:governor:block:" + id));
  }
  std::string permit_text(const std::string& id) { return store().text("quantum:permit:" + id); }
  bool permitted(const std::string& id) { return store().has("quantum:permit:" + id); }
  bool disarmed() { return store().has("quantum:apply:disarmed"); }

  std::vector<std::string> limits = {"3", "2", "5000", "0.02"};
  std::vector<std::string> bounds = {"10000", "80", "100000", "0"};
  void set_policy() {
    host.policy["limits"] = limits;
    host.policy["risk_bounds"] = bounds;
  }

  FakeHost<Governor> host;
};

// --- Plans of the reference ---

TEST(GovernorForeignPlans, AClosingPlanWithoutHashGetsAPermitWhereTheFileAllowsIt) {
  Desk desk({{"foreign_plans", "true"}});
  desk.position("0.062");
  desk.host.deliver(trade::foreign_plan(desk.now()));
  EXPECT_TRUE(desk.permitted("8f118a0942251e6d"));

  Desk strict;
  strict.position("0.062");
  strict.host.deliver(trade::foreign_plan(strict.now()));
  EXPECT_FALSE(strict.permitted("8f118a0942251e6d"));
}

TEST(GovernorForeignPlans, OnlyClosesAreReadWithoutHashAndAWrongHashIsNone) {
  Desk desk({{"foreign_plans", "true"}});
  desk.position("0.062");
  Record wrong = trade::foreign_plan(desk.now());
  wrong.add("plan_hash", std::string(64, '0'));
  Record untimed = trade::foreign_plan(desk.now());
  untimed.set("timestamp", "now");
  for (const Record& plan : {trade::foreign_plan(desk.now(), "ENTRY_PROPOSED"),
                             trade::foreign_plan(desk.now(), "HOLD"), wrong, untimed}) {
    EXPECT_EQ(desk.host.deliver(plan).verdict, SLUICE_ACK);
    EXPECT_FALSE(desk.permitted("8f118a0942251e6d"));
  }
}

// --- 4.2.1: intake ---

TEST(GovernorIntake, PlansThatAreNotToBeExecutedGetNothing) {
  Desk desk;
  for (const char* decision : {"SKIP", "BLOCKED", "ERROR"}) {
    Plan plan = opening_plan(desk.now());
    plan.decision = decision;
    const auto ran = desk.ask(plan);
    EXPECT_EQ(ran.verdict, SLUICE_ACK);
    EXPECT_TRUE(ran.effects.empty() && ran.conditions.empty());
  }
}

TEST(GovernorIntake, APlanWithoutIdOrWithAnotherContentThanItsHashGetsAWarningOnly) {
  Desk desk;
  for (const auto& [field, value] : {std::pair{"plan_id", ""}, std::pair{"qty", "2"}}) {
    Record record = trade::plan_record(opening_plan(desk.now()));
    record.set(field, value);
    const auto ran = desk.host.deliver(record);
    EXPECT_EQ(ran.verdict, SLUICE_ACK);
    EXPECT_TRUE(ran.effects.empty() && ran.conditions.empty());
    EXPECT_EQ(ran.log.size(), 1u);
  }
}

TEST(GovernorIntake, APermitThatIsThereStaysAndIsNotChargedTwice) {
  Desk desk;
  desk.open("a");
  const std::string permit = desk.permit_text("a");
  desk.store().advance(kSecond);
  const auto again = desk.open("a");
  EXPECT_EQ(again.verdict, SLUICE_ACK);
  EXPECT_TRUE(again.effects.empty());
  EXPECT_EQ(desk.permit_text("a"), permit);
  EXPECT_EQ(desk.store().counter(kHourKey), 1);
}

// The gate would not give the share back any more.
TEST(GovernorIntake, APlanTheGateIsDoneWithReservesNothing) {
  Desk desk;
  desk.store().put(trade::plan_end_key("a"), "5-0");
  const auto ran = desk.open("a");
  EXPECT_EQ(ran.emitted("audit").at(0).find("reason"), "plan_ended");
  EXPECT_FALSE(desk.permitted("a"));
  EXPECT_FALSE(desk.store().has("quantum:governor:block:a"));

  desk.host.before_commit = [&] { desk.store().put(trade::plan_end_key("b"), "6-0"); };
  const auto raced = desk.open("b");
  EXPECT_EQ(raced.failures.size(), 1u);
  EXPECT_EQ(raced.emitted("audit").at(0).find("reason"), "plan_ended");
  EXPECT_FALSE(desk.permitted("b"));
  EXPECT_EQ(desk.store().counter(kHourKey), 0);
}

TEST(GovernorIntake, APlanOlderThanGrantsAreRememberedGetsNone) {
  Desk desk;
  Plan plan = opening_plan(desk.now());
  desk.store().advance(std::chrono::minutes(10) - Duration(1));
  plan.plan_id = "a";
  desk.ask(plan);
  EXPECT_TRUE(desk.permitted("a"));
  desk.store().advance(Duration(1));
  plan.plan_id = "b";
  EXPECT_EQ(desk.ask(plan).emitted("audit").at(0).find("reason"), "plan_expired");
  EXPECT_FALSE(desk.permitted("b"));
}

TEST(GovernorIntake, APermitSomebodyElsePutThereStays) {
  Desk desk;
  desk.store().put("quantum:permit:a", R"({"granted":true})");
  EXPECT_TRUE(desk.open("a").effects.empty());
  EXPECT_EQ(desk.permit_text("a"), R"({"granted":true})");
  EXPECT_EQ(desk.store().counter(kHourKey), 0);
}

// --- 4.2.2, 4.3 and 4.1: the gates in order ---

// What makes one gate refuse `plan`, and nothing else.
struct Gate {
  const char* name;
  const char* reason;
  std::function<void(Desk&, Plan&)> shut;
};

const std::vector<Gate>& gates_of_all_plans() {
  static const std::vector<Gate> kGates = {
      {"kill switch", "kill_switch_active",
       [](Desk& desk, Plan&) { desk.store().put("quantum:kill", "1"); }},
      {"1 critical kill score", "kill_score_critical_non_close",
       [](Desk&, Plan& plan) { plan.kill_score = "0.8"; }},
      {"2 hourly", "hourly_limit_exceeded", [](Desk& desk, Plan&) { desk.limits[0] = "0"; }},
      {"3 burst", "burst_limit_exceeded", [](Desk& desk, Plan&) { desk.limits[1] = "0"; }},
  };
  return kGates;
}

std::vector<Gate> gates_of_openings() {
  std::vector<Gate> gates = gates_of_all_plans();
  const std::vector<Gate> rest = {
      {"5 computing", "limit_computation_error", [](Desk&, Plan& plan) { plan.qty = ""; }},
      {"6 daily total", "daily_limit_exceeded", [](Desk& desk, Plan&) { desk.limits[2] = "99"; }},
      {"4.3 size", "SIZE_OUT_OF_BOUNDS", [](Desk& desk, Plan&) { desk.bounds[0] = "99.99"; }},
      {"4.3 leverage", "LEVERAGE_OUT_OF_BOUNDS", [](Desk&, Plan& plan) { plan.leverage = "81"; }},
      {"4.3 notional", "NOTIONAL_EXCEEDED", [](Desk& desk, Plan&) { desk.bounds[2] = "99"; }},
      {"4.3 confidence", "CONFIDENCE_BELOW_FLOOR",
       [](Desk& desk, Plan& plan) {
         desk.bounds[3] = "0.65";
         plan.confidence = "0.64";
       }},
      {"4.3 risk budget", "EXCEEDS_RISK_BUDGET",
       [](Desk&, Plan& plan) { plan.risk_budget_usd = "99.9"; }},
      {"4.1 trades of the day", "DAILY_TRADE_LIMIT_REACHED",
       [](Desk& desk, Plan&) { desk.host.policy["daily_trades_max"] = {"0"}; }},
  };
  gates.insert(gates.end(), rest.begin(), rest.end());
  return gates;
}

// Of a stop that is moved: it closes nothing, so that the first gate is one of its own as well.
std::vector<Gate> gates_of_closes() {
  std::vector<Gate> gates = gates_of_all_plans();
  const std::vector<Gate> rest = {
      {"4 position", "position_fetch_failed",
       [](Desk& desk, Plan&) {
         Record old = desk.store().find(trade::kBtcSnapshot)->fields;
         old.set("ts_epoch", trade::epoch_text(desk.now() - 11 * kSecond));
         desk.store().put(trade::kBtcSnapshot, old);
       }},
      {"5 computing", "limit_computation_error",
       [](Desk& desk, Plan&) {
         Record huge = desk.store().find(trade::kBtcSnapshot)->fields;
         huge.set("position_amt", "99999999999999.99");
         desk.store().put(trade::kBtcSnapshot, huge);
       }},
      {"6 daily total", "daily_limit_exceeded", [](Desk& desk, Plan&) { desk.limits[2] = "99"; }},
  };
  gates.insert(gates.end(), rest.begin(), rest.end());
  return gates;
}

// The reason given to a plan at which these gates are shut; empty when it was permitted.
std::string reason_at(const Plan& open, const std::vector<const Gate*>& shut) {
  Desk desk;
  desk.position("0.062");
  Plan plan = open;
  for (const Gate* gate : shut) gate->shut(desk, plan);
  desk.set_policy();
  const auto ran = desk.ask(plan);
  EXPECT_TRUE(ran.applied);
  const bool permitted = desk.permitted(plan.plan_id);
  EXPECT_EQ(permitted, !desk.store().has("quantum:governor:block:" + plan.plan_id));
  EXPECT_EQ(permitted, desk.store().counter(kHourKey) == 1) << "a refusal took a share";
  return permitted ? "" : desk.block_reason(plan.plan_id);
}

void expect_each_gate_and_their_order(const Plan& plan, const std::vector<Gate>& gates) {
  EXPECT_EQ(reason_at(plan, {}), "");
  for (size_t i = 0; i < gates.size(); ++i) {
    EXPECT_EQ(reason_at(plan, {&gates[i]}), gates[i].reason) << gates[i].name;
    for (size_t j = i + 1; j < gates.size(); ++j)
      EXPECT_EQ(reason_at(plan, {&gates[j], &gates[i]}), gates[i].reason)
          << gates[i].name << " and " << gates[j].name;
  }
}

TEST(GovernorGates, AnOpeningIsRefusedByTheFirstGateThatIsShut) {
  for (const char* side : {"BUY", "SELL"}) {
    Plan plan = opening_plan(Desk().now());
    plan.side = side;
    plan.confidence = "0.9";
    expect_each_gate_and_their_order(plan, gates_of_openings());
  }
}

TEST(GovernorGates, AMovedStopIsRefusedByTheFirstGateThatIsShut) {
  expect_each_gate_and_their_order(closing_plan(Desk().now(), "UPDATE_SL"), gates_of_closes());
}

TEST(GovernorGates, AReducingActionIsRefusedByAllButTheKillScore) {
  for (const char* action : {"FULL_CLOSE_PROPOSED", "PARTIAL_75", "PARTIAL_50"}) {
    const Plan plan = closing_plan(Desk().now(), action);
    for (const Gate& gate : gates_of_closes()) {
      const std::string reason = gate.reason;
      EXPECT_EQ(reason_at(plan, {&gate}), reason == "kill_score_critical_non_close" ? "" : reason)
          << action << " at " << gate.name;
    }
  }
}

TEST(GovernorGates, BoundsOfOpeningsAreNoneOfACloses) {
  const Plan plan = closing_plan(Desk().now());
  Desk desk;
  desk.position("0.062");
  desk.bounds = {"0", "0", "0", "1"};
  desk.set_policy();
  desk.host.policy["daily_trades_max"] = {"0"};
  desk.ask(plan);
  EXPECT_TRUE(desk.permitted(plan.plan_id));
  EXPECT_EQ(desk.store().counter(kTradesKey), 0);
}

TEST(GovernorGates, AnErrorWhileEvaluatingIsARefusal) {
  Desk desk;
  desk.limits[2] = "much";
  desk.set_policy();
  desk.open("a");
  EXPECT_EQ(desk.block_reason("a"), "evaluation_error");
}

TEST(GovernorGates, AFailingPolicyGrantsNothing) {
  for (const char* hook : {"limits", "risk_bounds", "daily_trades_max", "permit_ttl"}) {
    Desk desk;
    desk.host.policy_fails = {hook};
    EXPECT_EQ(desk.open("a").reason, "policy_error");
    EXPECT_FALSE(desk.permitted("a"));
  }
}

TEST(GovernorGates, ABlockSaysWhyInRecordEventAndLog) {
  Desk desk;
  desk.limits[0] = "0";
  desk.set_policy();
  const auto ran = desk.open("0123456789abcdef");
  const JsonDocument block = json(desk.store().text("quantum:governor:block:0123456789abcdef"));
  EXPECT_EQ(block.text_of("reason"), "hourly_limit_exceeded");
  EXPECT_EQ(block.number_of("timestamp"), "1700000000.0");
  EXPECT_EQ(block.text_of("symbol"), "BTCUSDT");
  EXPECT_EQ(desk.store().ttl_us("quantum:governor:block:0123456789abcdef"), 3'600'000'000);
  const Record event = ran.emitted("event").at(0);
  EXPECT_EQ(event.find("event"), "BLOCKED");
  EXPECT_EQ(event.find("plan_id"), "0123456789abcdef");
  EXPECT_EQ(event.find("reason"), "hourly_limit_exceeded");
  EXPECT_EQ(ran.log.back(), "BLOCKED plan 01234567 - hourly_limit_exceeded");
}

// --- Kill switch and kill score ---

TEST(GovernorKill, SwitchSetOrUnreadableBlocksClosesToo) {
  for (const char* key : {"quantum:kill", "quantum:global:kill_switch"}) {
    for (const char* value : {"1", "true", "maybe"}) {
      Desk desk;
      desk.position("0.062");
      desk.store().put(key, value);
      desk.open("a");
      desk.close("b");
      EXPECT_EQ(desk.block_reason("a"), "kill_switch_active") << key << value;
      EXPECT_EQ(desk.block_reason("b"), "kill_switch_active") << key << value;
    }
    Desk desk;
    desk.store().put(key, Record{{"state", "0"}});
    desk.open("a");
    EXPECT_EQ(desk.block_reason("a"), "kill_switch_active");
  }
}

TEST(GovernorKill, ScoreFromTheCriticalOneUpOrUnreadableBlocksAnOpening) {
  for (const auto& [score, passes] :
       {std::pair{"0.79", true}, std::pair{"0.8", false}, std::pair{"1", false},
        std::pair{"high", false}, std::pair{"nan", false}}) {
    Desk desk;
    Plan plan = opening_plan(desk.now());
    plan.kill_score = score;
    desk.ask(plan);
    EXPECT_EQ(desk.permitted(plan.plan_id), passes) << score;
  }
}

// --- 4.2.3: quantity and notional ---

TEST(GovernorAmounts, ACloseIsItsPartOfThePositionTimesTheMarkPrice) {
  for (const auto& [action, qty, notional] :
       {std::tuple{"FULL_CLOSE_PROPOSED", "0.062", "3100.0"},
        std::tuple{"PARTIAL_75", "0.0465", "2325.0"}, std::tuple{"PARTIAL_50", "0.031", "1550.0"},
        std::tuple{"UPDATE_SL", "0.0465", "2325.0"}}) {
    for (const char* amount : {"0.062", "-0.062"}) {
      Desk desk;
      desk.position(amount);
      desk.close("a", action);
      const JsonDocument permit = json(desk.permit_text("a"));
      EXPECT_EQ(permit.number_of("computed_qty"), qty) << action;
      EXPECT_EQ(permit.number_of("computed_notional"), notional) << action;
    }
  }
}

TEST(GovernorAmounts, AnActionNobodyKnowsIsNotComputed) {
  const Plan plan = closing_plan(Time{}, "PARTIAL_25");
  const Record fields = trade::snapshot("0.062", Time{});
  const auto position =
      trade::read_position([&](std::string_view name) { return fields.find(name); });
  EXPECT_FALSE(closing_amounts(plan, *position));
}

TEST(GovernorAmounts, AnOpeningIsMeasuredByItsQuantityAndPriceWhateverItSaysOfItself) {
  for (const auto& [said, counted] : {std::pair{"1", "100.0"}, std::pair{"120", "120.0"}}) {
    Desk desk;
    Plan plan = opening_plan(desk.now());
    plan.notional = said;
    desk.ask(plan);
    EXPECT_EQ(json(desk.permit_text(plan.plan_id)).number_of("computed_notional"), counted);
  }
}

TEST(GovernorAmounts, NumbersThatCannotBeComputedBlock) {
  const auto expect_blocked = [](std::string Plan::*field, const char* value) {
    Desk desk;
    Plan plan = opening_plan(desk.now());
    plan.*field = value;
    desk.ask(plan);
    EXPECT_EQ(desk.block_reason(plan.plan_id), "limit_computation_error") << value;
  };
  for (const char* value : {"", "nan", "99999999999999999999"}) {
    expect_blocked(&Plan::qty, value);
    expect_blocked(&Plan::mark_price, value);
    expect_blocked(&Plan::notional, value);
  }
  for (const char* value : {"0", "-1"}) {
    expect_blocked(&Plan::qty, value);
    expect_blocked(&Plan::mark_price, value);
  }
}

TEST(GovernorAmounts, WhatIsCountedIsNeverLessThanWhatIsUsed) {
  const Limits limits{3, 2, Decimal(5000), decimal("0.02")};
  const auto day = day_share("X", {Decimal(1), decimal("1.000000001")}, limits, Time{});
  EXPECT_EQ(day->amount, 100'000'001);
  EXPECT_EQ(day->limit, 500'000'000'000);
  EXPECT_FALSE(day_share("X", {Decimal(1), decimal("99999999999999")}, limits, Time{}));
}

// --- 4.3: bounds of an opening ---

TEST(GovernorBounds, WhatIsNeededAndCannotBeReadBreaksItsBound) {
  const RiskBounds bounds{Decimal(10000), Decimal(80), Decimal(100000), 0.65};
  const auto broken = [&](const char* leverage, const char* confidence, const char* budget) {
    Plan plan;
    plan.leverage = leverage;
    plan.confidence = confidence;
    plan.risk_budget_usd = budget;
    return broken_bound(plan, Decimal(1000), bounds);
  };
  EXPECT_EQ(broken("80", "0.65", "1000.0"), "");
  EXPECT_EQ(broken("80", "0.65", ""), "") << "no budget was given";
  for (const char* leverage : {"", "0", "-1", "80.01", "much"})
    EXPECT_EQ(broken(leverage, "0.65", ""), "LEVERAGE_OUT_OF_BOUNDS") << leverage;
  for (const char* confidence : {"", "0.6499", "nan", "sure"})
    EXPECT_EQ(broken("80", confidence, ""), "CONFIDENCE_BELOW_FLOOR") << confidence;
  for (const char* budget : {"999.99", "none"})
    EXPECT_EQ(broken("80", "0.65", budget), "EXCEEDS_RISK_BUDGET") << budget;
}

TEST(GovernorBounds, NotionalIsSizeTimesLeverage) {
  const RiskBounds bounds{Decimal(10000), Decimal(80), Decimal(100000), 0};
  Plan plan;
  plan.leverage = "20";
  EXPECT_EQ(broken_bound(plan, Decimal(5000), bounds), "");
  EXPECT_EQ(broken_bound(plan, decimal("5000.01"), bounds), "NOTIONAL_EXCEEDED");
  EXPECT_EQ(broken_bound(plan, decimal("10000.01"), bounds), "SIZE_OUT_OF_BOUNDS");
}

// --- 4.2.4 and 4.2.5: rates and totals ---

TEST(GovernorRates, ThirdPermitInFiveMinutesIsABurst) {
  Desk desk;
  desk.open("a");
  desk.open("b");
  desk.open("c");
  EXPECT_EQ(desk.block_reason("c"), "burst_limit_exceeded");
  EXPECT_EQ(desk.store().counter(kHourKey), 2);
  EXPECT_EQ(desk.store().counter(kBurstKey), 2);
  desk.store().advance(std::chrono::minutes(5) - Duration(1));
  desk.open("d");
  EXPECT_EQ(desk.block_reason("d"), "burst_limit_exceeded");
  desk.store().advance(Duration(1));
  desk.open("e");
  EXPECT_TRUE(desk.permitted("e"));
}

TEST(GovernorRates, FourthPermitInAnHourIsTooMany) {
  Desk desk;
  for (const char* id : {"a", "b", "c"}) {
    EXPECT_TRUE(desk.open(id).failures.empty());
    desk.store().advance(std::chrono::minutes(5));
  }
  desk.open("d");
  EXPECT_EQ(desk.block_reason("d"), "hourly_limit_exceeded");
  desk.store().advance(std::chrono::minutes(45));  // one hour after the first
  desk.open("e");
  EXPECT_TRUE(desk.permitted("e"));
}

TEST(GovernorRates, ASymbolDoesNotUseUpAnothers) {
  Desk desk;
  desk.open("a");
  desk.open("b");
  Plan other = opening_plan(desk.now());
  other.symbol = "ETHUSDT";
  desk.ask(other);
  EXPECT_TRUE(desk.permitted(other.plan_id));
}

TEST(GovernorRates, LimitsAreAskedForSymbolAndSideAndBothSidesCountTogether) {
  Desk desk;
  desk.position("0.062");
  desk.open("a");
  EXPECT_EQ(desk.host.policy_args["limits"].at("side"), "BUY");
  EXPECT_EQ(desk.host.policy_args["limits"].at("symbol"), "BTCUSDT");
  EXPECT_EQ(desk.host.policy_args["risk_bounds"].at("side"), "BUY");
  desk.close("b");
  EXPECT_EQ(desk.host.policy_args["limits"].at("side"), "close");
  EXPECT_EQ(desk.store().counter(kBurstKey), 2);
}

TEST(GovernorTotals, DailyNotionalIsNeverExceeded) {
  Desk desk;
  desk.limits = {"1000", "1000", "250", "0.02"};
  desk.set_policy();
  desk.open("a");  // 100 USD each
  desk.open("b");
  desk.open("c");
  EXPECT_EQ(desk.block_reason("c"), "daily_limit_exceeded");
  desk.open("d", "0.001");
  EXPECT_TRUE(desk.permitted("d"));
  EXPECT_EQ(desk.store().counter(kDailyKey), 25'000'000'000);
}

TEST(GovernorTotals, DefaultsAreThoseOfTheReference) {
  // Reaching a total is fine, passing it is not.
  for (const auto& [qty, passes] : {std::pair{"0.1", true}, std::pair{"0.1000001", false}}) {
    Desk desk;
    desk.open("a", qty);  // 5000 USD
    EXPECT_EQ(desk.permitted("a"), passes) << qty;
  }
  for (const auto& [amount, passes] : {std::pair{"0.04", true}, std::pair{"0.0400001", false}}) {
    Desk desk;
    desk.position(amount, "0.0");
    desk.close("a", "PARTIAL_50");  // 0.02
    EXPECT_EQ(desk.permitted("a"), passes) << amount;
  }
  Desk desk;
  desk.limits = {"999", "999", "1000000", "0"};
  desk.set_policy();
  for (int i = 0; i < 200; ++i) desk.open(std::to_string(i));
  desk.open("201st");
  EXPECT_TRUE(desk.permitted("199"));
  EXPECT_EQ(desk.block_reason("201st"), "DAILY_TRADE_LIMIT_REACHED");
}

TEST(GovernorTotals, ACloseWithoutPriceIsCountedByQuantity) {
  Desk desk;
  desk.limits[3] = "0.04";
  desk.set_policy();
  desk.position("-0.062", "0.0");
  desk.close("a");
  EXPECT_TRUE(desk.permitted("a"));
  EXPECT_EQ(desk.store().counter(kDailyQtyKey), 3'100'000);
  desk.close("b");
  EXPECT_EQ(desk.block_reason("b"), "daily_limit_exceeded");
}

TEST(GovernorTotals, TradesOfTheDayCountOpeningsOfAllSymbols) {
  Desk desk;
  desk.host.policy["daily_trades_max"] = {"2"};
  desk.position("0.062");
  desk.open("a");
  desk.close("b");
  Plan other = opening_plan(desk.now());
  other.symbol = "ETHUSDT";
  desk.ask(other);
  EXPECT_EQ(desk.store().counter(kTradesKey), 2);
  other.symbol = "SOLUSDT";
  other.plan_id = "third";
  desk.ask(other);
  EXPECT_EQ(desk.block_reason("third"), "DAILY_TRADE_LIMIT_REACHED");
}

TEST(GovernorTotals, CountersOutliveTheProcess) {
  FakeStore store;
  for (const char* id : {"a", "b", "c"}) {
    FakeHost<Governor> restarted(store);
    Plan plan = opening_plan(store.now());
    plan.plan_id = id;
    plan.plan_hash = trade::plan_hash(plan);
    restarted.deliver(trade::plan_record(plan));
  }
  EXPECT_TRUE(store.has("quantum:permit:b"));
  EXPECT_FALSE(store.has("quantum:permit:c"));
  EXPECT_EQ(store.counter(kTradesKey), 2);
}

// --- Midnight, UTC ---

constexpr Time kMidnight = std::chrono::sys_days(std::chrono::year(2023) / 11 / 15);

TEST(GovernorMidnight, TotalsBeginAnewAndRatesDoNot) {
  Desk desk;
  desk.limits = {"9", "3", "100", "0.031"};
  desk.set_policy();
  desk.host.policy["daily_trades_max"] = {"1"};
  desk.store().set_now(kMidnight - Duration(1));
  desk.open("a");
  desk.open("b");
  EXPECT_TRUE(desk.permitted("a"));
  EXPECT_EQ(desk.block_reason("b"), "daily_limit_exceeded");

  desk.store().set_now(kMidnight);
  desk.open("c");
  EXPECT_TRUE(desk.permitted("c"));
  EXPECT_EQ(desk.store().counter("quantum:governor:daily:BTCUSDT:2023-11-15"), 10'000'000'000);
  EXPECT_EQ(desk.store().counter("quantum:governor:daily_trades:20231115"), 1);
  desk.position("0.062", "0.0");
  desk.close("d");
  EXPECT_TRUE(desk.permitted("d"));
  desk.open("e");
  EXPECT_EQ(desk.block_reason("e"), "burst_limit_exceeded") << "three in a second";
}

TEST(GovernorMidnight, QuantityAndTradesOfTheOldDayAreNotThoseOfTheNew) {
  Desk desk;
  desk.limits = {"99", "99", "5000", "0.031"};
  desk.set_policy();
  desk.host.policy["daily_trades_max"] = {"1"};
  desk.store().set_now(kMidnight - Duration(1));
  desk.position("0.062", "0.0");
  desk.close("a");
  desk.close("b");
  desk.open("c");
  desk.open("d");
  EXPECT_EQ(desk.block_reason("b"), "daily_limit_exceeded");
  EXPECT_EQ(desk.block_reason("d"), "DAILY_TRADE_LIMIT_REACHED");
  desk.store().set_now(kMidnight);
  desk.close("e");
  desk.open("f");
  EXPECT_TRUE(desk.permitted("e") && desk.permitted("f"));
}

TEST(GovernorMidnight, AClockSetBackFindsTheOldDayAsItWas) {
  Desk desk;
  desk.limits = {"99", "99", "100", "0.02"};
  desk.set_policy();
  desk.store().set_now(kMidnight - kSecond);
  desk.open("a");
  desk.store().set_now(kMidnight);
  desk.open("b");
  desk.store().set_now(kMidnight - kSecond);
  desk.open("c");
  EXPECT_TRUE(desk.permitted("b"));
  EXPECT_EQ(desk.block_reason("c"), "daily_limit_exceeded");
}

TEST(GovernorMidnight, APlanRefusedByTheOldDayWhileItEndsIsJudgedByTheNew) {
  Desk desk;
  desk.limits = {"99", "99", "100", "0.02"};
  desk.set_policy();
  desk.store().set_now(kMidnight - Duration(1));
  desk.open("a");
  desk.host.before_commit = [&] { desk.store().set_now(kMidnight); };
  desk.open("b");
  EXPECT_TRUE(desk.permitted("b"));
}

// --- Given back ---

TEST(GovernorGivenBack, WhatWasNotExecutedLeavesRoomInBothWindowsAndBothTotals) {
  Desk desk;
  desk.open("a");
  desk.store().advance(kSecond);
  desk.open("b");
  desk.give_back("a");
  EXPECT_EQ(desk.store().counter(kHourKey), 1);
  EXPECT_EQ(desk.store().counter(kBurstKey), 1);
  EXPECT_EQ(desk.store().counter(kDailyKey), 10'000'000'000);
  EXPECT_EQ(desk.store().counter(kTradesKey), 1);
  desk.open("c");
  EXPECT_TRUE(desk.permitted("c"));
}

TEST(GovernorGivenBack, AShareTheShortWindowForgotIsGivenBackToTheLongOneOnly) {
  Desk desk;
  desk.host.policy["permit_ttl"] = {"1h"};
  desk.open("a");
  desk.store().advance(std::chrono::minutes(6));
  desk.open("b");
  desk.give_back("a");
  EXPECT_EQ(desk.store().counter(kBurstKey), 1);
  EXPECT_EQ(desk.store().counter(kHourKey), 1);
}

TEST(GovernorGivenBack, WhatIsGivenBackAfterMidnightIsYesterdays) {
  Desk desk;
  desk.store().set_now(kMidnight - kSecond);
  desk.open("a");
  desk.store().set_now(kMidnight + kSecond);
  desk.open("b");
  desk.give_back("a");
  EXPECT_EQ(desk.store().counter(kDailyKey), 0);
  EXPECT_EQ(desk.store().counter("quantum:governor:daily:BTCUSDT:2023-11-15"), 10'000'000'000);
}

// --- 4.2.6: the permit ---

TEST(GovernorPermit, AnOpeningWithinAllLimitsGetsOneBoundToItsContent) {
  Desk desk;
  const Plan plan = opening_plan(desk.now());
  const auto ran = desk.ask(plan);
  ASSERT_TRUE(ran.applied);
  const std::string text = desk.permit_text(plan.plan_id);
  const JsonDocument permit = json(text);
  EXPECT_TRUE(permit.find("granted")->is_true());
  EXPECT_TRUE(permit.find("consumed")->is_false());
  EXPECT_EQ(permit.text_of("symbol"), "BTCUSDT");
  EXPECT_EQ(permit.text_of("decision"), "EXECUTE");
  EXPECT_EQ(permit.text_of("plan_hash"), plan.plan_hash);
  EXPECT_EQ(permit.number_of("computed_qty"), "0.002");
  EXPECT_EQ(permit.number_of("computed_notional"), "100.0");
  EXPECT_EQ(permit.number_of("created_at"), "1700000000.0");
  EXPECT_EQ(permit.number_of("valid_until_us"), std::to_string(desk.store().now_us + 60'000'000));
  EXPECT_EQ(desk.store().ttl_us("quantum:permit:" + plan.plan_id), 60'000'000);
  EXPECT_EQ(trade::permit_reservations(plan, text).size(), 4u);
  EXPECT_EQ(ran.log.back(), "ALLOW plan " + plan.plan_id.substr(0, 8));
}

// --- 4.2.8: auto-disarm ---

Desk& burst(Desk& desk) {
  desk.open("a");
  desk.open("b");
  return desk;
}

TEST(GovernorDisarm, ABurstDisarmsWithItsContext) {
  Desk desk;
  const auto ran = burst(desk).open("c");
  const JsonDocument disarmed = json(desk.store().text("quantum:apply:disarmed"));
  EXPECT_EQ(disarmed.text_of("reason"), "burst_limit_breach");
  EXPECT_EQ(disarmed.find("context")->text_of("symbol"), "BTCUSDT");
  EXPECT_EQ(disarmed.find("context")->number_of("exec_5min"), "2");
  EXPECT_EQ(disarmed.find("context")->number_of("limit"), "2");
  EXPECT_EQ(disarmed.number_of("timestamp"), "1700000000.0");
  EXPECT_EQ(disarmed.text_of("by"), "governor");
  EXPECT_EQ(desk.store().ttl_us("quantum:apply:disarmed"), 0) << "only an operator ends it";

  const JsonDocument day = json(desk.store().text(kDayKey));
  EXPECT_EQ(day.text_of("reason"), "burst_limit_breach");
  EXPECT_EQ(desk.store().ttl_us(kDayKey), 86'400'000'000);

  ASSERT_EQ(ran.emitted("event").size(), 2u);
  const Record event = ran.emitted("event")[1];
  EXPECT_EQ(event.find("event"), "AUTO_DISARM");
  EXPECT_EQ(event.find("reason"), "burst_limit_breach");
  EXPECT_EQ(event.find("context"), R"({"symbol": "BTCUSDT", "exec_5min": 2, "limit": 2})");
  EXPECT_EQ(event.find("timestamp"), "1700000000.0");
  EXPECT_EQ(event.find("action_taken"), "quantum:apply:disarmed set");
}

TEST(GovernorDisarm, NoOtherGateDisarms) {
  for (const auto& [plan, gates] :
       {std::pair{opening_plan(Desk().now()), gates_of_openings()},
        std::pair{closing_plan(Desk().now(), "UPDATE_SL"), gates_of_closes()}}) {
    for (const Gate& gate : gates) {
      Desk desk;
      desk.position("0.062");
      Plan refused = plan;
      gate.shut(desk, refused);
      desk.set_policy();
      desk.ask(refused);
      EXPECT_EQ(desk.disarmed(), std::string_view(gate.reason) == "burst_limit_exceeded")
          << gate.name;
    }
  }
}

TEST(GovernorDisarm, HappensOnceADayAndNotAgainAfterTheOperatorRearmed) {
  Desk desk;
  burst(desk).open("c");
  desk.store().erase("quantum:apply:disarmed");
  const auto again = desk.open("d");
  EXPECT_FALSE(desk.disarmed());
  EXPECT_EQ(again.emitted("event").size(), 1u);
  EXPECT_EQ(desk.block_reason("d"), "burst_limit_exceeded");
}

TEST(GovernorDisarm, HappensAgainOnTheNextDay) {
  Desk desk;
  burst(desk).open("c");
  desk.store().erase("quantum:apply:disarmed");
  desk.store().set_now(kMidnight);
  desk.open("d");
  desk.open("e");
  EXPECT_EQ(desk.open("f").emitted("event").size(), 2u);
  EXPECT_TRUE(desk.disarmed());
}

TEST(GovernorDisarm, WhatIsDisarmedAlreadyKeepsItsReason) {
  Desk desk;
  desk.store().put("quantum:apply:disarmed", "by hand");
  EXPECT_EQ(burst(desk).open("c").emitted("event").size(), 1u);
  EXPECT_EQ(desk.store().text("quantum:apply:disarmed"), "by hand");
  EXPECT_FALSE(desk.store().has(kDayKey));
}

TEST(GovernorDisarm, TwoGovernorsAtOnceDisarmOnce) {
  Desk desk;
  burst(desk);
  // The second call finds the day free, its commit does not.
  desk.host.before_commit = [&] {
    desk.host.before_commit = [&] { desk.store().put(kDayKey, "the other"); };
  };
  const auto ran = desk.open("c");
  EXPECT_TRUE(ran.applied);
  EXPECT_EQ(ran.failures.size(), 2u);
  EXPECT_EQ(desk.store().text(kDayKey), "the other");
  EXPECT_FALSE(desk.disarmed());
  EXPECT_EQ(desk.block_reason("c"), "burst_limit_exceeded");
}

TEST(GovernorDisarm, IsOffWhenASettingSaysSo) {
  for (const char* setting : {"enable_auto_disarm", "disarm_on_burst_breach"}) {
    Desk desk({{setting, "false"}});
    EXPECT_EQ(burst(desk).open("c").emitted("event").size(), 1u);
    EXPECT_FALSE(desk.disarmed() || desk.store().has(kDayKey)) << setting;
  }
}

// Asks for a plan that cannot be computed.
testing::Ran err(Desk& desk) {
  Plan plan = opening_plan(desk.now());
  plan.qty = "";
  return desk.ask(plan);
}

TEST(GovernorDisarm, TheFifthErrorDisarmsWithItsContextAndTheCountReturnsToZero) {
  Desk desk;
  for (int i = 0; i < 4; ++i) err(desk);
  EXPECT_EQ(desk.store().counter(kErrorsKey), 4);
  EXPECT_FALSE(desk.disarmed());
  const auto ran = err(desk);
  EXPECT_TRUE(ran.applied);
  EXPECT_EQ(ran.emitted("event").at(0).find("reason"), "limit_computation_error");
  EXPECT_EQ(ran.emitted("event").at(1).find("event"), "AUTO_DISARM");
  EXPECT_EQ(ran.emitted("event").at(1).find("reason"), "repeated_errors");
  EXPECT_EQ(ran.emitted("event").at(1).find("context"), R"({"error_count": 5, "threshold": 5})");
  EXPECT_TRUE(desk.disarmed());
  EXPECT_EQ(desk.store().counter(kErrorsKey), 0);
}

TEST(GovernorDisarm, ErrorsReturnToZeroEvenWhenTheDaysDisarmIsUsedUp) {
  Desk desk({{"disarm_on_error_count", "2"}});
  burst(desk).open("c");
  desk.store().erase("quantum:apply:disarmed");
  desk.store().advance(std::chrono::minutes(5));
  err(desk);
  EXPECT_EQ(err(desk).emitted("event").size(), 1u);
  EXPECT_FALSE(desk.disarmed());
  EXPECT_EQ(desk.store().counter(kErrorsKey), 0);
}

TEST(GovernorDisarm, ErrorsOfTwoDaysDoNotAddUp) {
  Desk desk({{"disarm_on_error_count", "2"}});
  err(desk);
  desk.store().set_now(kMidnight);
  err(desk);
  EXPECT_FALSE(desk.disarmed());
}

TEST(GovernorDisarm, ErrorsWhileEvaluatingCountAndLateSnapshotsDoNot) {
  Desk desk({{"disarm_on_error_count", "1"}});
  desk.close("a");
  EXPECT_EQ(desk.block_reason("a"), "position_fetch_failed");
  EXPECT_FALSE(desk.disarmed());
  desk.limits[2] = "much";
  desk.set_policy();
  desk.open("b");
  EXPECT_EQ(desk.block_reason("b"), "evaluation_error");
  EXPECT_TRUE(desk.disarmed());
}

TEST(GovernorDisarm, ErrorsDoNotCountWhenASettingSaysSo) {
  for (const auto& [setting, value] :
       {std::pair{"enable_auto_disarm", "false"}, std::pair{"disarm_on_error_count", "0"}}) {
    Desk desk({{setting, value}});
    for (int i = 0; i < 9; ++i) EXPECT_TRUE(err(desk).applied);
    EXPECT_FALSE(desk.disarmed()) << setting;
    EXPECT_EQ(desk.store().counter(kErrorsKey), 0);
  }
}

TEST(GovernorDisarm, TwoGovernorsWithTheFifthErrorDisarmOnce) {
  Desk desk({{"disarm_on_error_count", "1"}});
  desk.host.before_commit = [&] {
    desk.host.before_commit = [&] { desk.store().put(kDayKey, "the other"); };
  };
  const auto ran = err(desk);
  EXPECT_TRUE(ran.applied);
  EXPECT_EQ(ran.emitted("event").at(0).find("reason"), "limit_computation_error");
  EXPECT_FALSE(desk.disarmed());
}

// --- The audit trail ---

TEST(GovernorAudit, AnIssuedPermitShowsWhatWasLookedAt) {
  Desk desk;
  desk.position("-0.062");
  desk.store().advance(3 * kSecond);
  const Plan plan = closing_plan(desk.now(), "PARTIAL_50");
  const auto ran = desk.ask(plan);
  ASSERT_EQ(ran.emitted("audit").size(), 1u);
  const Record entry = ran.emitted("audit")[0];
  EXPECT_EQ(entry.find("event"), "issued");
  EXPECT_EQ(entry.find("permit"), "governor");
  EXPECT_EQ(entry.find("plan_id"), plan.plan_id);
  EXPECT_EQ(entry.find("plan_hash"), plan.plan_hash);
  EXPECT_EQ(entry.find("symbol"), "BTCUSDT");
  EXPECT_EQ(entry.find("action"), "PARTIAL_50");
  EXPECT_EQ(entry.find("reason"), "");
  EXPECT_EQ(entry.find("policy"), "test.lua@0");
  EXPECT_EQ(entry.find("at_us"), "1700000003000000");
  EXPECT_EQ(entry.find("valid_until_us"), "1700000063000000");
  EXPECT_EQ(entry.find("trace_id"), "T1");
  EXPECT_EQ(entry.find("inputs"),
            R"({"kill_switch": false, "kill_score": "0.0", )"
            R"("position": {"amount": -0.062, "mark_price": 50000.0, "age_seconds": 3}, )"
            R"("qty": 0.031, "notional": 1550.0, "limits": [)"
            R"({"counter": "quantum:governor:rate:hour:BTCUSDT", "amount": 1, "limit": 3}, )"
            R"({"counter": "quantum:governor:rate:5min:BTCUSDT", "amount": 1, "limit": 2}, )"
            R"({"counter": "quantum:governor:daily:BTCUSDT:2023-11-14", )"
            R"("amount": 155000000000, "limit": 500000000000}]})");
}

TEST(GovernorAudit, ADenialNamesTheCounterItMet) {
  Desk desk;
  const Record entry = burst(desk).open("c").emitted("audit").at(0);
  EXPECT_EQ(entry.find("event"), "denied");
  EXPECT_EQ(entry.find("reason"), "burst_limit_exceeded");
  EXPECT_EQ(entry.find("valid_until_us"), "");
  const JsonDocument inputs = json(std::string(*entry.find("inputs")));
  EXPECT_EQ(inputs.find("met")->text_of("counter"), kBurstKey);
  EXPECT_EQ(inputs.find("met")->number_of("count"), "2");
  EXPECT_EQ(inputs.find("bounds")->number_of("leverage_max"), "80.0");
}

TEST(GovernorAudit, EachDecisionIsOneEntry) {
  for (const Gate& gate : gates_of_openings()) {
    Desk desk;
    Plan plan = opening_plan(desk.now());
    gate.shut(desk, plan);
    desk.set_policy();
    const auto entries = desk.ask(plan).emitted("audit");
    ASSERT_EQ(entries.size(), 1u) << gate.name;
    EXPECT_EQ(entries[0].find("reason"), gate.reason);
    json(std::string(*entries[0].find("inputs")));
  }
}

// --- Defects of the reference that are not rebuilt ---

TEST(GovernorDefects, GV1ThePermitIsUnderThePlanIdAndNotTheEntryId) {
  Desk desk;
  const Plan plan = opening_plan(desk.now());
  desk.host.deliver(trade::plan_record(plan), {.id = "77-0"});
  EXPECT_TRUE(desk.permitted(plan.plan_id));
  EXPECT_FALSE(desk.permitted("77-0"));
}

TEST(GovernorDefects, GV2LimitsAreComputedFromAPosition) {
  Desk desk;
  desk.position("0.062");
  desk.close("a");
  EXPECT_FALSE(desk.store().has("quantum:governor:block:a"));
  EXPECT_TRUE(desk.permitted("a"));
}

TEST(GovernorDefects, GV4NoModeGrantsWithoutTheGates) {
  for (const sluice_param& setting : Governor::kSettings)
    EXPECT_EQ(std::string_view(setting.name).find("mode"), std::string_view::npos);
  Desk desk;  // as it comes, without a setting
  desk.limits[0] = "0";
  desk.set_policy();
  desk.open("a");
  EXPECT_FALSE(desk.permitted("a"));
}

TEST(GovernorDefects, GV9NotionalAndQuantityDoNotShareACounter) {
  Desk desk;
  desk.limits = {"99", "99", "5000", "0.04"};
  desk.set_policy();
  desk.position("0.062");
  desk.close("a");  // 1550 USD: 1550 of the quantity's 0.04 were used up in the reference
  desk.position("0.062", "0.0");
  desk.close("b");
  EXPECT_TRUE(desk.permitted("a") && desk.permitted("b"));
  EXPECT_EQ(desk.store().counter(kDailyKey), 155'000'000'000);
  EXPECT_EQ(desk.store().counter(kDailyQtyKey), 3'100'000);
}

TEST(GovernorDefects, GV11ADisarmIsPartOfTheCommitAndCannotFailByItself) {
  Desk desk;
  const auto ran = burst(desk).open("c");
  EXPECT_TRUE(ran.applied);
  EXPECT_NE(ran.find_condition(SLUICE_CLAIM, kDayKey), nullptr);
  EXPECT_NE(ran.find_effect(Effect::Kind::kPut, "quantum:apply:disarmed"), nullptr);
}

TEST(GovernorDefects, GV16APlanGetsNoSecondPermitAfterItsFirstIsGone) {
  Desk desk;
  desk.open("a");
  desk.store().erase("quantum:permit:a");  // used by its order
  EXPECT_TRUE(desk.open("a").effects.empty());
  desk.store().advance(std::chrono::minutes(10) - Duration(1));
  EXPECT_TRUE(desk.open("a").effects.empty());
  EXPECT_FALSE(desk.permitted("a"));
  EXPECT_EQ(desk.store().counter(kTradesKey), 1);
}

TEST(GovernorDefects, GV20TheGateReadsTheBlockAndDoesNotWait) {
  Desk desk;
  FakeHost<apply::Gate> gate(desk.store());
  Plan plan = opening_plan(desk.now());
  plan.kill_score = "0.9";
  plan.plan_hash = trade::plan_hash(plan);
  EXPECT_EQ(gate.deliver(trade::plan_record(plan)).verdict, SLUICE_WAIT);
  desk.ask(plan);
  const auto ended = gate.deliver(trade::plan_record(plan));
  EXPECT_EQ(ended.verdict, SLUICE_ACK);
  EXPECT_EQ(ended.emitted("result").at(0).find("error"),
            "governor_blocked:kill_score_critical_non_close");
}

TEST(GovernorDefects, GA2NoPermitIsGrantedThatIsNotCounted) {
  Desk desk;
  const auto ran = desk.open("a");
  EXPECT_NE(ran.find_condition(SLUICE_CLAIM, "quantum:permit:a"), nullptr);
  EXPECT_NE(ran.find_condition(SLUICE_RESERVE, kTradesKey), nullptr) << "in the same unit";
}

TEST(GovernorDefects, GA4TheDaysTradesAreCountedWhereTheyAreChecked) {
  Desk desk;
  desk.open("a");
  EXPECT_EQ(desk.store().counter(kTradesKey), 1);
}

TEST(GovernorDefects, GA5NoGateIsDescribedThatNeverRefuses) {
  std::set<std::string> described, refused;
  for (const char* const* reason = Governor::kReasons; *reason != nullptr; ++reason)
    described.insert(*reason);
  for (const Gate& gate : gates_of_openings())
    refused.insert(reason_at(opening_plan(Desk().now()), {&gate}));
  for (const Gate& gate : gates_of_closes())
    refused.insert(reason_at(closing_plan(Desk().now(), "UPDATE_SL"), {&gate}));
  refused.insert("evaluation_error");  // AnErrorWhileEvaluatingIsARefusal
  EXPECT_EQ(refused, described);
}

TEST(GovernorDefects, GA6ThePermitIsOfThePlansOwnAmountAndNotOfTheCap) {
  Desk desk;
  desk.open("a", "0.001");
  desk.open("b", "0.003");
  EXPECT_EQ(json(desk.permit_text("a")).number_of("computed_notional"), "50.0");
  EXPECT_EQ(json(desk.permit_text("b")).number_of("computed_notional"), "150.0");
}

TEST(GovernorDefects, EX5AnOpeningOutOfBoundsIsNotLetThroughAsItIs) {
  Desk desk;
  Plan plan = opening_plan(desk.now());
  plan.leverage = "125";
  desk.ask(plan);
  EXPECT_EQ(desk.block_reason(plan.plan_id), "LEVERAGE_OUT_OF_BOUNDS");
}

// --- 4.2.10: metrics ---

TEST(GovernorMetrics, CountWhatBecameOfEachPlanOnce) {
  Desk desk;
  desk.limits = {"3", "2", "5000", "1"};
  desk.set_policy();
  desk.open("a1");
  desk.open("a2");
  desk.open("a3");  // told of the full counter first, blocked then
  EXPECT_EQ(desk.host.metric("quantum_govern_allow_total{symbol=\"BTCUSDT\"}"), 2);
  EXPECT_EQ(desk.host.metric("quantum_govern_block_total{symbol=\"BTCUSDT\",reason=\"burst_limit_"
                             "exceeded\"}"),
            1);
  EXPECT_EQ(desk.host.metric("quantum_govern_disarm_total{reason=\"burst_limit_breach\"}"), 1);
}

TEST(GovernorMetrics, ShowTheRatesAsTheyAreWhenLookedAt) {
  Desk desk;
  desk.open("a1");
  const auto hour = [&] {
    return desk.host.metric("quantum_govern_exec_count_hour{symbol=\"BTCUSDT\"}");
  };
  const auto burst = [&] {
    return desk.host.metric("quantum_govern_exec_count_5min{symbol=\"BTCUSDT\"}");
  };
  EXPECT_EQ(hour(), 1);
  EXPECT_EQ(burst(), 1);
  desk.store().advance(std::chrono::minutes(6));
  EXPECT_EQ(hour(), 1);
  EXPECT_EQ(burst(), 0);
  desk.store().advance(std::chrono::hours(1));
  EXPECT_EQ(hour(), 0);
}

}  // namespace
}  // namespace sluice::governor
