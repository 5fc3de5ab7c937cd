#include <gtest/gtest.h>

#include "common/json.h"
#include "p33/ledger.h"
#include "p33/permit.h"
#include "plugins/trade_fixtures.h"

namespace sluice::p33 {
namespace {

using testing::FakeHost;
using trade::closing_plan;
using trade::decimal;
using trade::opening_plan;
using trade::Plan;
using trade::snapshot;

// Golden vectors of the reference contract, section 14.2, the exact column.
TEST(SafeCloseQty, IsFlooredOnTheStepAndNeverRoundedUp) {
  const auto qty = [](const char* position, const char* action) {
    return safe_close_qty(action, decimal(position), decimal("0.001"))->text();
  };
  EXPECT_EQ(qty("0.002", "PARTIAL_75"), "0.001");
  EXPECT_EQ(qty("0.038", "PARTIAL_75"), "0.028");
  EXPECT_EQ(qty("0.062", "PARTIAL_75"), "0.046");
  EXPECT_EQ(qty("0.001", "PARTIAL_50"), "0");
  EXPECT_EQ(qty("0.001", "PARTIAL_75"), "0");
  EXPECT_EQ(qty("0.003", "PARTIAL_50"), "0.001");
  EXPECT_EQ(qty("0.005", "PARTIAL_50"), "0.002");
  EXPECT_EQ(qty("12.3456", "FULL_CLOSE_PROPOSED"), "12.345");
  EXPECT_EQ(qty("0.009", "FULL_CLOSE_PROPOSED"), "0.009");
  EXPECT_EQ(qty("-0.062", "PARTIAL_75"), "0.046");
  EXPECT_FALSE(safe_close_qty("PARTIAL_25", decimal("1"), decimal("0.001")));
}

// Permit stage with a fresh snapshot and a ledger that agrees, both changed case by case.
class Brain {
 public:
  Brain() : host({{"snapshot_wait", "0s"}}) {}

  void hold(std::string_view amount) {
    host.store().put(trade::kBtcSnapshot, snapshot(amount, now()));
    book(amount, 100);
  }
  void book(std::string_view amount, int64_t seconds_ago) {
    host.store().put(
        trade::kBtcLedger,
        Record{{"last_known_amt", amount},
               {"updated_at", std::to_string(trade::epoch_seconds(now()) - seconds_ago)}});
  }
  trade::Json permit(const Plan& plan) {
    host.store().erase("quantum:permit:p33:" + plan.plan_id);
    ran = host.deliver(trade::plan_record(plan));
    std::string why;
    const auto json =
        trade::Json::parse(host.store().text("quantum:permit:p33:" + plan.plan_id), why);
    if (!json) throw std::runtime_error("no permit: " + why);
    return *json;
  }
  // The reason of the permit for a close, or for an opening.
  std::string close() { return std::string(permit(closing_plan(now())).text_of("reason")); }
  std::string open() { return std::string(permit(opening_plan(now())).text_of("reason")); }
  Time now() { return host.store().now(); }

  FakeHost<Permit> host;
  testing::Ran ran;
};

TEST(P33Permit, ACloseIsAllowedForItsPartOfThePosition) {
  Brain brain;
  brain.hold("0.062");
  const Plan plan = closing_plan(brain.now(), "PARTIAL_50");
  const auto permit = brain.permit(plan);
  EXPECT_TRUE(permit.find("allow")->is_true());
  EXPECT_EQ(permit.number_of("safe_close_qty"), "0.031");
  EXPECT_EQ(permit.number_of("safe_qty"), "0.031");
  EXPECT_EQ(permit.number_of("exchange_position_amt"), "0.062");
  EXPECT_EQ(permit.number_of("ledger_amt"), "0.062");
  EXPECT_EQ(permit.text_of("side"), "SELL");
  EXPECT_EQ(permit.text_of("plan_hash"), plan.plan_hash);
  EXPECT_EQ(permit.text_of("reason"), "sanity_checks_passed");
  EXPECT_EQ(brain.host.store().ttl_us("quantum:permit:p33:" + plan.plan_id), 60'000'000);
  brain.hold("-0.062");
  EXPECT_EQ(brain.permit(plan).text_of("side"), "BUY");
}

TEST(P33Permit, AnOpeningFromFlatNeedsNoLedger) {
  Brain brain;
  brain.host.store().put(trade::kBtcSnapshot, snapshot("0.0", brain.now()));
  const auto permit = brain.permit(opening_plan(brain.now(), "0.0029"));
  EXPECT_TRUE(permit.find("allow")->is_true());
  EXPECT_EQ(permit.number_of("safe_close_qty"), "0.0");
  EXPECT_EQ(permit.number_of("safe_qty"), "0.002");
  EXPECT_EQ(permit.text_of("side"), "BUY");
}

TEST(P33Permit, ChecksDenyInOrderWithTheReferencesReasons) {
  Brain brain;
  EXPECT_EQ(brain.close(), "no_exchange_snapshot");
  EXPECT_EQ(brain.open(), "no_exchange_snapshot");

  brain.host.store().put(trade::kBtcSnapshot,
                         snapshot("0.062", brain.now() - std::chrono::seconds(11)));
  EXPECT_EQ(brain.close(), "stale_exchange_state");
  EXPECT_EQ(brain.open(), "stale_exchange_state");

  brain.hold("0.00009");
  EXPECT_EQ(brain.close(), "no_position");
  EXPECT_EQ(brain.open(), "sanity_checks_passed");

  brain.hold("0.062");
  brain.book("-0.062", 100);
  EXPECT_EQ(brain.close(), "reconcile_required_side_mismatch");
  EXPECT_EQ(brain.open(), "reconcile_required_side_mismatch");

  brain.book("0.0631", 100);
  EXPECT_EQ(brain.close(), "reconcile_required_qty_mismatch");
  brain.book("0.063", 100);
  EXPECT_EQ(brain.close(), "sanity_checks_passed");

  brain.book("0.062", 14);
  EXPECT_EQ(brain.close(), "cooldown_in_flight");
  EXPECT_EQ(brain.open(), "cooldown_in_flight");
  brain.book("0.062", 15);
  EXPECT_EQ(brain.open(), "sanity_checks_passed");

  brain.host.store().put("quantum:reconcile:hold:BTCUSDT", "1");
  EXPECT_EQ(brain.close(), "reconcile_hold_active");
  EXPECT_EQ(brain.open(), "reconcile_hold_active");
  brain.host.store().put("quantum:reconcile:hold:BTCUSDT", "");
  EXPECT_EQ(brain.close(), "sanity_checks_passed");
}

TEST(P33Permit, APositionWithoutAReadableLedgerIsDenied) {
  Brain brain;
  brain.hold("0.062");
  brain.host.store().erase(trade::kBtcLedger);
  EXPECT_EQ(brain.close(), "reconcile_required_qty_mismatch");
  EXPECT_EQ(brain.open(), "reconcile_required_qty_mismatch");
  brain.host.store().put(trade::kBtcLedger, Record{{"last_known_amt", "much"}});
  EXPECT_EQ(brain.close(), "reconcile_required_qty_mismatch");
  brain.host.store().put(trade::kBtcLedger, "0.062");
  EXPECT_EQ(brain.close(), "reconcile_required_qty_mismatch");
}

TEST(P33Permit, AnActionThatClosesNothingIsDenied) {
  Brain brain;
  brain.hold("0.062");
  EXPECT_EQ(brain.permit(closing_plan(brain.now(), "PARTIAL_25")).text_of("reason"),
            "quantity_error");
}

TEST(P33Permit, PolicyMovesTheLimits) {
  Brain brain;
  brain.hold("0.062");
  brain.book("0.060", 5);
  brain.host.policy["tolerance"] = {"5"};
  brain.host.policy["cooldown"] = {"5s"};
  EXPECT_EQ(brain.close(), "sanity_checks_passed");
  brain.host.policy["permit_ttl"] = {"5s"};
  const Plan plan = closing_plan(brain.now());
  brain.permit(plan);
  EXPECT_EQ(brain.host.store().ttl_us("quantum:permit:p33:" + plan.plan_id), 5'000'000);
  for (const char* hook : {"tolerance", "snapshot_age_max", "cooldown", "permit_ttl"}) {
    brain.host.policy_fails = {hook};
    EXPECT_THROW(brain.permit(plan), std::runtime_error);
    EXPECT_EQ(brain.ran.reason, "policy_error");
  }
}

TEST(P33Permit, WaitsForASnapshotButNotForEver) {
  FakeHost<Permit> host({{"snapshot_wait", "1s"}});
  const Time start = host.store().now();
  const Record plan = trade::plan_record(opening_plan(start));
  const int64_t first = trade::micros(start);
  const auto waiting = host.deliver(plan, {.first_delivered_us = first});
  EXPECT_EQ(waiting.verdict, SLUICE_WAIT);
  EXPECT_EQ(waiting.wait_keys, std::vector<std::string>{trade::kBtcSnapshot});
  EXPECT_EQ(waiting.wait_until_us, first + 1'000'000);
  host.store().advance(std::chrono::seconds(1));
  const auto over = host.deliver(plan, {.first_delivered_us = first});
  EXPECT_EQ(over.verdict, SLUICE_ACK);
  EXPECT_NE(host.store().text("quantum:permit:p33:0123456789abcdef").find("no_exchange_snapshot"),
            std::string::npos);
}

TEST(P33Permit, APermitThatIsThereStays) {
  Brain brain;
  brain.hold("0.062");
  const Plan plan = closing_plan(brain.now());
  brain.permit(plan);
  const std::string text = brain.host.store().text("quantum:permit:p33:" + plan.plan_id);
  brain.host.store().advance(std::chrono::seconds(1));
  EXPECT_EQ(brain.host.deliver(trade::plan_record(plan)).verdict, SLUICE_ACK);
  EXPECT_EQ(brain.host.store().text("quantum:permit:p33:" + plan.plan_id), text);
}

Record result(std::string_view id, std::string_view side, std::string_view qty,
              std::string_view reduce_only = "false") {
  return {{"client_order_id", id}, {"order_id", "1001"},
          {"plan_id", "p1"},       {"symbol", "BTCUSDT"},
          {"side", side},          {"status", "FILLED"},
          {"executed_qty", qty},   {"reduceOnly", reduce_only}};
}

TEST(P33Ledger, FillsAddUpUnderBothFieldSets) {
  FakeHost<LedgerStage> host;
  host.deliver(result("a", "BUY", "0.062"));
  host.store().advance(std::chrono::seconds(3));
  ASSERT_TRUE(host.deliver(result("b", "SELL", "0.031", "true")).applied);
  const auto field = [&](const char* name) { return host.store().field(trade::kBtcLedger, name); };
  EXPECT_EQ(field("last_known_amt"), "0.031");
  EXPECT_EQ(field("ledger_amt"), "0.031");
  EXPECT_EQ(field("ledger_side"), "LONG");
  EXPECT_EQ(field("last_executed_qty"), "0.031");
  EXPECT_EQ(field("last_side"), "SELL");
  EXPECT_EQ(field("last_order_id"), "1001");
  EXPECT_EQ(field("last_result_plan_id"), "p1");
  EXPECT_EQ(field("version"), "2");
  EXPECT_EQ(field("updated_at"), trade::epoch_text(host.store().now()));
  EXPECT_EQ(field("ts_epoch"), field("updated_at"));
  EXPECT_EQ(host.store().ttl_us(trade::kBtcLedger), 86'400'000'000);
}

TEST(P33Ledger, AnOrderCountsOnce) {
  FakeHost<LedgerStage> host;
  host.deliver(result("a", "BUY", "0.062"));
  const auto again = host.deliver(result("a", "BUY", "0.062"));
  EXPECT_EQ(again.verdict, SLUICE_ACK);
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "ledger_amt"), "0.062");
}

TEST(P33Ledger, AReduceOnlyFillNeverCrossesZero) {
  const auto after = [](const char* amount, const char* side, bool reduce) {
    return amount_after(decimal(amount), {"c", "o", "p", "S", side, decimal("1"), reduce})->text();
  };
  EXPECT_EQ(after("0.5", "SELL", true), "0");
  EXPECT_EQ(after("-0.5", "BUY", true), "0");
  EXPECT_EQ(after("0.5", "BUY", true), "0.5");
  EXPECT_EQ(after("0.5", "SELL", false), "-0.5");
}

TEST(P33Ledger, ResultsWithoutAFillChangeNothing) {
  FakeHost<LedgerStage> host;
  for (const char* status : {"REJECTED", "FAILED", "EXPIRED"}) {
    Record record = result("a", "BUY", "0");
    record.set("status", status);
    EXPECT_TRUE(host.deliver(record).effects.empty());
    record.set("executed_qty", "");
    EXPECT_EQ(host.deliver(record).verdict, SLUICE_ACK);
  }
  Record partial = result("a", "BUY", "0.01");
  partial.set("status", "EXPIRED");
  EXPECT_TRUE(host.deliver(partial).applied);
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "ledger_amt"), "0.01");
}

TEST(P33Ledger, WhatCannotBeBookedIsADeadLetter) {
  FakeHost<LedgerStage> host;
  for (const char* qty : {"", "x", "-1", "0"})
    EXPECT_EQ(host.deliver(result("a", "BUY", qty)).reason, "invalid_result") << qty;
  EXPECT_EQ(host.deliver(result("", "BUY", "1")).reason, "invalid_result");
  EXPECT_EQ(host.deliver(result("a", "HOLD", "1")).reason, "invalid_result");
  host.store().put(trade::kBtcLedger, "garbage");
  EXPECT_EQ(host.deliver(result("a", "BUY", "1")).reason, "unreadable_ledger");
}

TEST(P33Ledger, AnotherFillInBetweenIsNotLost) {
  FakeHost<LedgerStage> host;
  host.before_commit = [&] {
    host.store().put(trade::kBtcLedger, Record{{"last_known_amt", "1.0"}, {"version", "7"}});
  };
  const auto ran = host.deliver(result("a", "BUY", "0.5"));
  EXPECT_TRUE(ran.applied);
  EXPECT_EQ(ran.failures.size(), 1u);
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "ledger_amt"), "1.5");
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "version"), "8");
}

}  // namespace
}  // namespace sluice::p33
