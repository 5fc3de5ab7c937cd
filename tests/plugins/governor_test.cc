#include "governor/governor.h"

#include <gtest/gtest.h>

#include "common/json.h"
#include "plugins/trade_fixtures.h"

namespace sluice::governor {
namespace {

using testing::FakeHost;
using testing::FakeStore;
using trade::closing_plan;
using trade::decimal;
using trade::opening_plan;
using trade::Plan;

constexpr const char* kHour = "quantum:governor:rate:hour:BTCUSDT";
constexpr const char* kBurst = "quantum:governor:rate:5min:BTCUSDT";

// A governor and the plans it is asked about.
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
  Time now() { return host.store().now(); }
  std::string block_reason(const std::string& id) {
    return trade::block_reason(host.store().text("quantum:governor:block:" + id));
  }
  bool permitted(const std::string& id) { return host.store().has("quantum:permit:" + id); }

  FakeHost<Governor> host;
};

TEST(Governor, AnOpeningWithinAllLimitsGetsABoundPermit) {
  Desk desk;
  const Plan plan = opening_plan(desk.now());
  const auto ran = desk.ask(plan);
  ASSERT_TRUE(ran.applied);
  std::string why;
  const std::string text = desk.host.store().text("quantum:permit:" + plan.plan_id);
  const auto permit = trade::Json::parse(text, why);
  ASSERT_TRUE(permit) << why;
  EXPECT_TRUE(permit->find("granted")->is_true());
  EXPECT_TRUE(permit->find("consumed")->is_false());
  EXPECT_EQ(permit->text_of("plan_hash"), plan.plan_hash);
  EXPECT_EQ(permit->number_of("computed_qty"), "0.002");
  EXPECT_EQ(permit->number_of("computed_notional"), "100.0");
  EXPECT_EQ(permit->number_of("valid_until_us"),
            std::to_string(desk.host.store().now_us + 60'000'000));
  EXPECT_EQ(desk.host.store().ttl_us("quantum:permit:" + plan.plan_id), 60'000'000);
  EXPECT_EQ(trade::permit_reservations(plan, text).size(), 3u);
  EXPECT_EQ(desk.host.store().counter("quantum:governor:daily:BTCUSDT:2023-11-14"), 10'000'000'000);
}

TEST(Governor, PlansThatAreNotToBeExecutedGetNothing) {
  Desk desk;
  for (const char* decision : {"SKIP", "BLOCKED", "ERROR"}) {
    Plan plan = opening_plan(desk.now());
    plan.decision = decision;
    const auto ran = desk.ask(plan);
    EXPECT_EQ(ran.verdict, SLUICE_ACK);
    EXPECT_TRUE(ran.effects.empty() && ran.conditions.empty());
  }
}

TEST(Governor, APlanWhoseHashDoesNotFitGetsNoPermit) {
  Desk desk;
  Record record = trade::plan_record(opening_plan(desk.now()));
  record.set("qty", "2");
  const auto ran = desk.host.deliver(record);
  EXPECT_EQ(ran.verdict, SLUICE_ACK);
  EXPECT_TRUE(ran.effects.empty() && ran.conditions.empty());
}

TEST(Governor, ThirdPermitInFiveMinutesIsABurst) {
  Desk desk;
  desk.open("a");
  desk.open("b");
  const auto third = desk.open("c");
  EXPECT_FALSE(desk.permitted("c"));
  EXPECT_EQ(desk.block_reason("c"), "burst_limit_exceeded");
  EXPECT_EQ(third.emitted("event").at(0).find("reason"), "burst_limit_exceeded");
  EXPECT_EQ(desk.host.store().counter(kHour), 2);
  EXPECT_EQ(desk.host.store().counter(kBurst), 2);
}

TEST(Governor, FourthPermitInAnHourIsTooMany) {
  Desk desk;
  for (const char* id : {"a", "b", "c"}) {
    EXPECT_TRUE(desk.open(id).failures.empty());
    desk.host.store().advance(std::chrono::minutes(5));
  }
  desk.open("d");
  EXPECT_EQ(desk.block_reason("d"), "hourly_limit_exceeded");
  desk.host.store().advance(std::chrono::minutes(45));  // one hour after the first
  desk.open("e");
  EXPECT_TRUE(desk.permitted("e"));
}

TEST(Governor, DailyNotionalIsNeverExceeded) {
  Desk desk;
  desk.host.policy["limits"] = {"1000", "1000", "250", "0.02"};
  desk.open("a");  // 100 USD each
  desk.open("b");
  desk.open("c");
  EXPECT_EQ(desk.block_reason("c"), "daily_limit_exceeded");
  desk.open("d", "0.001");
  EXPECT_TRUE(desk.permitted("d"));
  EXPECT_EQ(desk.host.store().counter("quantum:governor:daily:BTCUSDT:2023-11-14"), 25'000'000'000);
  desk.host.store().advance(std::chrono::hours(2));  // the next UTC day
  desk.open("e");
  EXPECT_TRUE(desk.permitted("e"));
}

TEST(Governor, ACloseWithoutPriceIsCountedByQuantity) {
  Desk desk;
  desk.host.store().put(trade::kBtcSnapshot, trade::snapshot("-0.062", desk.now(), "0.0"));
  Plan plan = closing_plan(desk.now(), "PARTIAL_50");
  desk.host.policy["limits"] = {"3", "2", "5000", "0.04"};
  desk.ask(plan);
  EXPECT_TRUE(desk.permitted(plan.plan_id));
  EXPECT_EQ(desk.host.store().counter("quantum:governor:daily_qty:BTCUSDT:2023-11-14"), 3'100'000);
  plan.plan_id = "second";
  desk.ask(plan);
  EXPECT_EQ(desk.block_reason("second"), "daily_limit_exceeded");
}

TEST(Governor, ACloseIsMeasuredByTheSnapshot) {
  for (const auto& [action, qty, notional] : {std::tuple{"FULL_CLOSE_PROPOSED", "0.062", "3100.0"},
                                              std::tuple{"PARTIAL_75", "0.0465", "2325.0"},
                                              std::tuple{"PARTIAL_50", "0.031", "1550.0"}}) {
    Desk desk;
    desk.host.store().put(trade::kBtcSnapshot, trade::snapshot("0.062", desk.now()));
    const Plan plan = closing_plan(desk.now(), action);
    desk.ask(plan);
    const std::string permit = desk.host.store().text("quantum:permit:" + plan.plan_id);
    EXPECT_NE(permit.find(std::string("\"computed_qty\": ") + qty + ","), std::string::npos);
    EXPECT_NE(permit.find(std::string("\"computed_notional\": ") + notional + ","),
              std::string::npos);
  }
}

TEST(Governor, ACloseWithoutAFreshSnapshotIsBlocked) {
  Desk desk;
  const Plan plan = closing_plan(desk.now());
  desk.ask(plan);
  EXPECT_EQ(desk.block_reason(plan.plan_id), "position_fetch_failed");
  desk.host.store().put(trade::kBtcSnapshot, trade::snapshot("0.062", desk.now()));
  desk.host.store().advance(std::chrono::seconds(11));
  EXPECT_EQ(desk.ask(plan).emitted("event").at(0).find("reason"), "position_fetch_failed");
}

TEST(Governor, CriticalKillScoreBlocksOnlyWhatDoesNotClose) {
  for (const auto& [action, blocked] :
       {std::pair{"FULL_CLOSE_PROPOSED", false}, std::pair{"PARTIAL_75", false},
        std::pair{"PARTIAL_50", false}, std::pair{"UPDATE_SL", true}}) {
    Desk desk;
    desk.host.store().put(trade::kBtcSnapshot, trade::snapshot("0.062", desk.now()));
    Plan plan = closing_plan(desk.now(), action);
    plan.kill_score = "0.8";
    desk.ask(plan);
    EXPECT_EQ(desk.permitted(plan.plan_id), !blocked) << action;
    EXPECT_EQ(desk.block_reason(plan.plan_id),
              blocked ? "kill_score_critical_non_close" : "unknown");
  }
  Desk desk;
  Plan unreadable = opening_plan(desk.now());
  unreadable.kill_score = "high";
  desk.ask(unreadable);
  EXPECT_EQ(desk.block_reason(unreadable.plan_id), "kill_score_critical_non_close");
}

TEST(Governor, KillSwitchSetOrUnreadableBlocks) {
  for (const char* key : {"quantum:kill", "quantum:global:kill_switch"}) {
    for (const char* value : {"1", "true", "maybe"}) {
      Desk desk;
      desk.host.store().put(key, value);
      desk.open("a");
      EXPECT_EQ(desk.block_reason("a"), "kill_switch_active") << key << value;
    }
    Desk desk;
    desk.host.store().put(key, Record{{"state", "0"}});
    desk.open("a");
    EXPECT_EQ(desk.block_reason("a"), "kill_switch_active");
  }
}

TEST(Governor, NumbersThatCannotBeComputedBlock) {
  for (const char* qty : {"", "0", "-1", "nan"}) {
    Desk desk;
    Plan plan = opening_plan(desk.now());
    plan.qty = qty;
    desk.ask(plan);
    EXPECT_EQ(desk.block_reason(plan.plan_id), "limit_computation_error") << qty;
  }
}

TEST(Governor, APermitThatIsThereStaysAndIsNotChargedTwice) {
  Desk desk;
  desk.open("a");
  const std::string permit = desk.host.store().text("quantum:permit:a");
  desk.host.store().advance(std::chrono::seconds(1));
  const auto again = desk.open("a");
  EXPECT_EQ(again.verdict, SLUICE_ACK);
  EXPECT_EQ(desk.host.store().text("quantum:permit:a"), permit);
  EXPECT_EQ(desk.host.store().counter(kHour), 1);
}

TEST(Governor, AFailingPolicyGrantsNothing) {
  for (const char* hook : {"limits", "permit_ttl"}) {
    Desk desk;
    desk.host.policy_fails = {hook};
    EXPECT_EQ(desk.open("a").reason, "policy_error");
    EXPECT_FALSE(desk.permitted("a"));
  }
}

TEST(Shares, WhatIsCountedIsNeverLessThanWhatIsUsed) {
  const Limits limits{3, 2, Decimal(5000), decimal("0.02")};
  const auto day = shares("X", {Decimal(1), decimal("1.000000001")}, limits, Time{})->back();
  EXPECT_EQ(day.amount, 100'000'001);
  EXPECT_EQ(day.limit, 500'000'000'000);
  EXPECT_FALSE(shares("X", {Decimal(1), decimal("99999999999999")}, limits, Time{}));
}

}  // namespace
}  // namespace sluice::governor
