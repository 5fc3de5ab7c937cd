// Each row of the reference contract's section 5 is a case here. A test whose name begins with PB
// shows that the defect of that mark was not built again.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "common/json.h"
#include "p33/ledger.h"
#include "p33/permit.h"
#include "p33/snapshot.h"
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
  explicit Brain(const char* foreign_plans = "false")
      : host({{"snapshot_wait", "0s"}, {"foreign_plans", foreign_plans}}) {}

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
  trade::JsonDocument permit(const Plan& plan) {
    host.store().erase("quantum:permit:p33:" + plan.plan_id);
    host.store().erase("quantum:p33:issued:" + plan.plan_id);
    ran = host.deliver(trade::plan_record(plan));
    std::string why;
    auto json = trade::Json::parse(host.store().text("quantum:permit:p33:" + plan.plan_id), why);
    if (!json) throw std::runtime_error("no permit: " + why);
    return std::move(*json);
  }
  // The reason of the permit for a close, or for an opening.
  std::string close() { return std::string(permit(closing_plan(now())).text_of("reason")); }
  std::string open() { return std::string(permit(opening_plan(now())).text_of("reason")); }
  Time now() { return host.store().now(); }

  FakeHost<Permit> host;
  testing::Ran ran;
};

TEST(P33Permit, AClosingPlanOfTheReferenceIsAllowedWhereTheFileSaysSo) {
  Brain brain("true");
  brain.hold("0.062");
  brain.host.deliver(trade::foreign_plan(brain.now()));
  std::string why;
  const auto permit =
      trade::Json::parse(brain.host.store().text("quantum:permit:p33:8f118a0942251e6d"), why);
  ASSERT_TRUE(permit) << why;
  EXPECT_EQ(permit->number_of("safe_close_qty"), "0.031");
  Brain strict;
  strict.hold("0.062");
  strict.host.deliver(trade::foreign_plan(strict.now()));
  EXPECT_FALSE(strict.host.store().has("quantum:permit:p33:8f118a0942251e6d"));
}

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

// What P3.3 finds, and what it says to a close and to an opening. "-" is an allow.
struct CheckCase {
  const char* row;
  const char* exchange;  // nullptr: no snapshot
  int snapshot_age;
  const char* ledger;  // nullptr: none
  int ledger_age;
  const char* hold;  // nullptr: no key
  const char* close;
  const char* close_context;
  const char* open;
  const char* open_context;
};

constexpr const char* kAllow = "-";

// The table of the reference contract, section 5.2, with the limits at their edges.
constexpr CheckCase kChecks[] = {
    {"1 no snapshot", nullptr, 0, "0.062", 100, nullptr, "no_exchange_snapshot", "{}",
     "no_exchange_snapshot", "{}"},
    {"2 snapshot of 11 s", "0.062", 11, "0.062", 100, nullptr, "stale_exchange_state",
     R"({"age_seconds": 11})", "stale_exchange_state", R"({"age_seconds": 11})"},
    {"2 snapshot of 10 s", "0.062", 10, "0.062", 100, nullptr, kAllow, "", kAllow, ""},
    {"2 snapshot 11 s ahead", "0.062", -11, "0.062", 100, nullptr, "stale_exchange_state",
     R"({"age_seconds": -11})", "stale_exchange_state", R"({"age_seconds": -11})"},
    {"3 less than 0.0001 held", "0.00009", 0, "0.00009", 100, nullptr, "no_position",
     R"({"exchange_amt": 0.00009})", kAllow, ""},
    {"3 exactly 0.0001 held", "0.0001", 0, "0.0001", 100, nullptr, kAllow, "", kAllow, ""},
    {"4 long there, short here", "0.062", 0, "-0.062", 100, nullptr,
     "reconcile_required_side_mismatch", R"({"exchange_side": "LONG", "ledger_side": "SHORT"})",
     "reconcile_required_side_mismatch", R"({"exchange_side": "LONG", "ledger_side": "SHORT"})"},
    {"4 short there, long here", "-0.062", 0, "0.062", 100, nullptr,
     "reconcile_required_side_mismatch", R"({"exchange_side": "SHORT", "ledger_side": "LONG"})",
     "reconcile_required_side_mismatch", R"({"exchange_side": "SHORT", "ledger_side": "LONG"})"},
    {"5 0.0011 apart, 0.001 allowed", "0.062", 0, "0.0631", 100, nullptr,
     "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.0631, "diff": 0.0011, "tolerance": 0.001})",
     "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.0631, "diff": 0.0011, "tolerance": 0.001})"},
    {"5 0.001 apart, 0.001 allowed", "0.062", 0, "0.063", 100, nullptr, kAllow, "", kAllow, ""},
    {"5 above 1 % of a large position", "2", 0, "2.0201", 100, nullptr,
     "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 2.0, "ledger_amt": 2.0201, "diff": 0.0201, "tolerance": 0.02})",
     "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 2.0, "ledger_amt": 2.0201, "diff": 0.0201, "tolerance": 0.02})"},
    {"5 1 % of a large position", "2", 0, "2.02", 100, nullptr, kAllow, "", kAllow, ""},
    {"5 a ledger of none", "0.062", 0, "0", 100, nullptr, "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.0, "diff": 0.062, "tolerance": 0.001})",
     "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.0, "diff": 0.062, "tolerance": 0.001})"},
    {"5 a ledger for a flat position", "0", 0, "0.062", 100, nullptr, "no_position",
     R"({"exchange_amt": 0.0})", "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.0, "ledger_amt": 0.062, "diff": 0.062, "tolerance": 0.001})"},
    {"6 a fill 14 s ago", "0.062", 0, "0.062", 14, nullptr, "cooldown_in_flight",
     R"({"seconds_since_last": 14, "cooldown_sec": 15})", "cooldown_in_flight",
     R"({"seconds_since_last": 14, "cooldown_sec": 15})"},
    {"6 a fill 15 s ago", "0.062", 0, "0.062", 15, nullptr, kAllow, "", kAllow, ""},
    {"7 held", "0.062", 0, "0.062", 100, "1", "reconcile_hold_active",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.062, "p34_hold": "active"})",
     "reconcile_hold_active",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.062, "p34_hold": "active"})"},
    {"7 held by any value", "0.062", 0, "0.062", 100, "0", "reconcile_hold_active",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.062, "p34_hold": "active"})",
     "reconcile_hold_active",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.062, "p34_hold": "active"})"},
    {"7 an empty value holds nothing", "0.062", 0, "0.062", 100, "", kAllow, "", kAllow, ""},
    {"all is well", "-0.062", 0, "-0.062", 100, nullptr, kAllow, "", kAllow, ""},
    // Each row with everything below it wrong as well: the order of the checks.
    {"1 before 4", nullptr, 0, "-0.062", 1, "1", "no_exchange_snapshot", "{}",
     "no_exchange_snapshot", "{}"},
    {"2 before 3", "0", 11, "-0.062", 1, "1", "stale_exchange_state", R"({"age_seconds": 11})",
     "stale_exchange_state", R"({"age_seconds": 11})"},
    {"3 before 5", "0", 0, "-0.062", 1, "1", "no_position", R"({"exchange_amt": 0.0})",
     "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.0, "ledger_amt": -0.062, "diff": 0.062, "tolerance": 0.001})"},
    {"4 before 5", "0.062", 0, "-0.9", 1, "1", "reconcile_required_side_mismatch",
     R"({"exchange_side": "LONG", "ledger_side": "SHORT"})", "reconcile_required_side_mismatch",
     R"({"exchange_side": "LONG", "ledger_side": "SHORT"})"},
    {"5 before 6", "0.062", 0, "0.9", 1, "1", "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.9, "diff": 0.838, "tolerance": 0.001})",
     "reconcile_required_qty_mismatch",
     R"({"exchange_amt": 0.062, "ledger_amt": 0.9, "diff": 0.838, "tolerance": 0.001})"},
    {"6 before 7", "0.062", 0, "0.062", 1, "1", "cooldown_in_flight",
     R"({"seconds_since_last": 1, "cooldown_sec": 15})", "cooldown_in_flight",
     R"({"seconds_since_last": 1, "cooldown_sec": 15})"}};

void expect_answer(Brain& brain, const Plan& plan, const char* reason, const char* context) {
  const auto permit = brain.permit(plan);
  const bool allowed = std::string_view(reason) == kAllow;
  const std::string text = brain.host.store().text("quantum:permit:p33:" + plan.plan_id);
  ASSERT_NE(permit.find("allow"), nullptr);
  EXPECT_EQ(permit.find("allow")->is_true(), allowed);
  EXPECT_EQ(permit.text_of("reason"), allowed ? "sanity_checks_passed" : reason);
  if (!allowed) {
    EXPECT_NE(text.find("\"context\": " + std::string(context) + ","), std::string::npos) << text;
  }
  // The audit entry says the same.
  const auto audit = brain.ran.emitted("audit");
  ASSERT_EQ(audit.size(), 1u);
  EXPECT_EQ(audit[0].find("event"), allowed ? "issued" : "denied");
  EXPECT_EQ(audit[0].find("reason"), allowed ? "sanity_checks_passed" : reason);
}

TEST(P33Permit, ChecksDenyInOrderWithReasonsAndContexts) {
  for (const CheckCase& check : kChecks) {
    SCOPED_TRACE(check.row);
    Brain brain;
    if (check.exchange != nullptr)
      brain.host.store().put(
          trade::kBtcSnapshot,
          snapshot(check.exchange, brain.now() - std::chrono::seconds(check.snapshot_age)));
    if (check.ledger != nullptr) brain.book(check.ledger, check.ledger_age);
    if (check.hold != nullptr) brain.host.store().put("quantum:reconcile:hold:BTCUSDT", check.hold);
    expect_answer(brain, closing_plan(brain.now()), check.close, check.close_context);
    expect_answer(brain, opening_plan(brain.now()), check.open, check.open_context);
  }
}

// Section 5.1, step 3: what is not decided at all. The host acks in every case.
TEST(P33Intake, PlansThatAreNotToBeExecutedOrUnsoundGetNoPermit) {
  struct Row {
    const char *what, *field, *value;
    size_t lines;  // warnings
  };
  const Row rows[] = {{"decision SKIP", "decision", "SKIP", 0},
                      {"decision BLOCKED", "decision", "BLOCKED", 0},
                      {"decision ERROR", "decision", "ERROR", 0},
                      {"no decision", "decision", "", 0},
                      {"no plan id", "plan_id", "", 1},
                      {"other content than its hash", "symbol", "ETHUSDT", 1}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    Brain brain;
    brain.hold("0.062");
    Record plan = trade::plan_record(closing_plan(brain.now()));
    plan.set(row.field, row.value);
    const auto ran = brain.host.deliver(plan);
    EXPECT_EQ(ran.verdict, SLUICE_ACK);
    EXPECT_TRUE(ran.effects.empty() && ran.conditions.empty());
    EXPECT_EQ(ran.log.size(), row.lines);
  }
}

// Section 5.6, member by member and in its order; what we add comes behind.
TEST(P33Permit, BothAnswersHaveTheFormOfTheContract) {
  Brain brain;
  brain.hold("0.002");
  const Plan plan = closing_plan(brain.now());
  const std::string key = "quantum:permit:p33:" + plan.plan_id;
  brain.permit(plan);
  EXPECT_EQ(brain.host.store().text(key).find(
                R"({"allow": true, "symbol": "BTCUSDT", "safe_close_qty": 0.002, )"
                R"("exchange_position_amt": 0.002, "ledger_amt": 0.002, )"
                R"("created_at": 1700000000.0, "reason": "sanity_checks_passed", "plan_id": )"),
            0u);
  brain.host.store().put(trade::kBtcSnapshot,
                         snapshot("0.002", brain.now() - std::chrono::seconds(15)));
  brain.permit(plan);
  EXPECT_EQ(brain.host.store().text(key).find(
                R"({"allow": false, "symbol": "BTCUSDT", "reason": "stale_exchange_state", )"
                R"("context": {"age_seconds": 15}, "created_at": 1700000000.0)"),
            0u);
  EXPECT_EQ(brain.host.store().ttl_us(key), 60'000'000);
}

TEST(P33Permit, ASnapshotWithoutFiltersIsNone) {
  Brain brain;
  brain.hold("0.062");
  Record bare = snapshot("0.062", brain.now());
  bare.set("qty_step", "");
  brain.host.store().put(trade::kBtcSnapshot, bare);
  EXPECT_EQ(brain.close(), "no_exchange_snapshot");
}

// A missing ledger skipped three checks: nobody knew whose position was closed.
TEST(P33Permit, PB9_APositionWithoutAReadableLedgerIsDenied) {
  Brain brain;
  brain.hold("0.062");
  brain.host.store().erase(trade::kBtcLedger);
  EXPECT_EQ(brain.close(), "reconcile_required_qty_mismatch");
  EXPECT_EQ(brain.open(), "reconcile_required_qty_mismatch");
  EXPECT_NE(brain.host.store()
                .text("quantum:permit:p33:0123456789abcdef")
                .find(R"({"exchange_amt": 0.062, "ledger_amt": "missing", "diff": 0.062, )"
                      R"("tolerance": 0.001})"),
            std::string::npos);
  brain.host.store().put(trade::kBtcLedger, Record{{"last_known_amt", "much"}});
  EXPECT_EQ(brain.close(), "reconcile_required_qty_mismatch");
  brain.host.store().put(trade::kBtcLedger, "0.062");
  EXPECT_EQ(brain.close(), "reconcile_required_qty_mismatch");
  // An unreadable one is no better when nothing is held.
  brain.host.store().put(trade::kBtcSnapshot, snapshot("0", brain.now()));
  EXPECT_EQ(brain.open(), "reconcile_required_qty_mismatch");
}

// The quantity was rounded to the nearest 0.001, for every symbol, and could come out above it.
TEST(P33Permit, PB5_TheQuantityIsCutToTheSymbolsOwnStep) {
  Brain brain;
  const auto safe_qty = [&](const char* amount, const char* step, const char* action) {
    brain.hold(amount);
    Record position = snapshot(amount, brain.now());
    position.set("qty_step", step);
    brain.host.store().put(trade::kBtcSnapshot, position);
    return std::string(brain.permit(closing_plan(brain.now(), action)).number_of("safe_close_qty"));
  };
  EXPECT_EQ(safe_qty("0.002", "0.001", "PARTIAL_75"), "0.001");
  EXPECT_EQ(safe_qty("12.3456", "0.001", "FULL_CLOSE_PROPOSED"), "12.345");
  EXPECT_EQ(safe_qty("12.3456", "0.1", "FULL_CLOSE_PROPOSED"), "12.3");
  EXPECT_EQ(safe_qty("12.3456", "0.00005", "PARTIAL_50"), "6.1728");
  EXPECT_EQ(safe_qty("17", "10", "FULL_CLOSE_PROPOSED"), "10.0");
  EXPECT_EQ(safe_qty("0.001", "0.001", "PARTIAL_50"), "0.0");
}

// Any word that was not known closed the whole position.
TEST(P33Permit, PB6_AnActionThatClosesNothingIsDenied) {
  Brain brain;
  brain.hold("0.062");
  for (const char* action : {"PARTIAL_25", "HOLD", "NONE", "partial_50", "CLOSE"})
    EXPECT_EQ(brain.permit(closing_plan(brain.now(), action)).text_of("reason"), "quantity_error")
        << action;
}

// Plans waited while the one loop asked the exchange for every symbol.
class SnapshotFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "p33_test_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path folder_;
};

// Plans waited while the one loop asked the exchange for every symbol.
TEST_F(SnapshotFolder, PB7_APlanIsDecidedWhileTheExchangeCannotBeAsked) {
  testing::FakeStore store;
  std::filesystem::create_directory(folder_ / "paper.journal");  // cannot be read as a file
  FakeHost<Snapshot> source(store, {{"symbols", "BTCUSDT"}, {"state", folder_.string()}});
  FakeHost<Permit> host(store);
  store.put(trade::kBtcSnapshot, snapshot("0", store.now()));
  EXPECT_EQ(source.poll().verdict, SLUICE_POLL_FAILED);
  EXPECT_TRUE(host.deliver(trade::plan_record(opening_plan(store.now()))).applied);
  EXPECT_NE(store.text("quantum:permit:p33:0123456789abcdef").find("sanity_checks_passed"),
            std::string::npos);
}

// The shipped setting of half a second ended the service at its start.
TEST_F(SnapshotFolder, PB8_HalfASecondIsAnIntervalLikeAnyOther) {
  testing::FakeStore store;
  FakeHost<Snapshot> source(
      store, {{"symbols", "BTCUSDT"}, {"state", folder_.string()}, {"interval", "500ms"}});
  const auto ran = source.poll();
  EXPECT_EQ(ran.verdict, SLUICE_POLL_IDLE);
  EXPECT_EQ(ran.retry_after_us, 500'000);
  EXPECT_TRUE(store.has(trade::kBtcSnapshot));
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

// A plan met again was evaluated again and got a new permit, also after the first was used.
TEST(P33Permit, PB10_AUsedPermitIsNotIssuedAgain) {
  Brain brain;
  brain.hold("0.062");
  const Plan plan = closing_plan(brain.now());
  brain.permit(plan);
  const std::string key = "quantum:permit:p33:" + plan.plan_id;
  brain.host.store().erase(key);  // the gate took it
  for (const Duration later :
       {Duration(0), Duration(std::chrono::minutes(5)), Duration(std::chrono::minutes(354)),
        Duration(std::chrono::hours(2))}) {
    brain.host.store().advance(later);
    brain.hold("0.062");
    const auto again = brain.host.deliver(trade::plan_record(plan));
    EXPECT_EQ(again.verdict, SLUICE_ACK);
    EXPECT_FALSE(brain.host.store().has(key));
  }
}

TEST(P33Permit, ADenialIsFinalForItsPlan) {
  Brain brain;
  const Plan plan = closing_plan(brain.now());
  EXPECT_EQ(brain.permit(plan).text_of("reason"), "no_exchange_snapshot");
  brain.hold("0.062");
  brain.host.store().erase("quantum:permit:p33:" + plan.plan_id);
  EXPECT_EQ(brain.host.deliver(trade::plan_record(plan)).verdict, SLUICE_ACK);
  EXPECT_FALSE(brain.host.store().has("quantum:permit:p33:" + plan.plan_id));
}

TEST(P33Permit, APlanOlderThanWhatIsRememberedGetsNone) {
  Brain brain;
  brain.hold("0.062");
  Plan plan = closing_plan(brain.now());
  plan.created_us = trade::micros_text(brain.now() - std::chrono::hours(6));
  const auto old = brain.host.deliver(trade::plan_record(plan));
  EXPECT_FALSE(brain.host.store().has("quantum:permit:p33:" + plan.plan_id));
  ASSERT_EQ(old.emitted("audit").size(), 1u);
  EXPECT_EQ(old.emitted("audit")[0].find("event"), "expired");
  EXPECT_EQ(old.emitted("audit")[0].find("reason"), "plan_expired");
  plan.created_us = "yesterday";
  EXPECT_EQ(brain.host.deliver(trade::plan_record(plan)).emitted("audit").size(), 1u);
  EXPECT_FALSE(brain.host.store().has("quantum:permit:p33:" + plan.plan_id));
  plan.created_us = trade::micros_text(brain.now() - std::chrono::hours(6) + Duration(1));
  brain.host.deliver(trade::plan_record(plan));
  EXPECT_TRUE(brain.host.store().has("quantum:permit:p33:" + plan.plan_id));
}

TEST(P33Permit, TwoInstancesDecideAPlanOnceBetweenThem) {
  testing::FakeStore store;
  FakeHost<Permit> a(store), b(store);
  store.put(trade::kBtcSnapshot, snapshot("0", store.now()));
  const Plan plan = opening_plan(store.now());
  const std::string key = "quantum:permit:p33:" + plan.plan_id;
  // Both look at the plan before either has committed.
  a.before_commit = [&] { EXPECT_TRUE(b.deliver(trade::plan_record(plan)).applied); };
  const auto lost = a.deliver(trade::plan_record(plan));
  EXPECT_EQ(lost.verdict, SLUICE_ACK);
  EXPECT_EQ(lost.failures.size(), 1u);
  EXPECT_TRUE(lost.effects.empty());
  EXPECT_TRUE(store.has(key));
  EXPECT_EQ(store.streams["audit"].size(), 1u);
  // The gate takes the permit; whoever is late finds the mark.
  store.erase(key);
  a.deliver(trade::plan_record(plan));
  b.deliver(trade::plan_record(plan));
  EXPECT_FALSE(store.has(key));
  EXPECT_EQ(store.streams["audit"].size(), 1u);
}

TEST(P33Permit, TheAuditTrailShowsWhatADecisionWasMadeOn) {
  Brain brain;
  brain.hold("0.062");
  const Plan plan = closing_plan(brain.now(), "PARTIAL_50");
  brain.permit(plan);
  const Record audit = brain.ran.emitted("audit").at(0);
  EXPECT_EQ(audit.find("event"), "issued");
  EXPECT_EQ(audit.find("permit"), "p33");
  EXPECT_EQ(audit.find("plan_id"), plan.plan_id);
  EXPECT_EQ(audit.find("plan_hash"), plan.plan_hash);
  EXPECT_EQ(audit.find("symbol"), "BTCUSDT");
  EXPECT_EQ(audit.find("action"), "PARTIAL_50");
  EXPECT_EQ(audit.find("policy"), "test.lua@0");
  EXPECT_EQ(audit.find("trace_id"), "T1");
  EXPECT_EQ(audit.find("at_us"), trade::micros_text(brain.now()));
  EXPECT_EQ(audit.find("valid_until_us"),
            trade::micros_text(brain.now() + std::chrono::seconds(60)));
  EXPECT_EQ(audit.find("inputs"),
            R"({"exchange_amt": 0.062, "snapshot_age_sec": 0, "qty_step": "0.001", )"
            R"("ledger_amt": 0.062, "ledger_age_sec": 100, "tolerance": 0.001, )"
            R"("tolerance_pct": 1.0, "snapshot_age_max_sec": 10, "cooldown_sec": 15, )"
            R"("hold": false, "safe_qty": "0.031"})");
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

// The newest result was applied again at every poll.
TEST(P33Ledger, PB1_AResultCountsOnceHoweverOftenItIsMet) {
  FakeHost<LedgerStage> host;
  host.store().put(trade::kBtcLedger, Record{{"last_known_amt", "0.062"}});
  host.deliver(result("a", "SELL", "0.031", "true"));
  const std::string booked_at = host.store().field(trade::kBtcLedger, "updated_at");
  for (int i = 0; i < 3; ++i) {
    host.store().advance(std::chrono::seconds(5));
    const auto again = host.deliver(result("a", "SELL", "0.031", "true"));
    EXPECT_EQ(again.verdict, SLUICE_ACK);
    EXPECT_TRUE(again.effects.empty());
  }
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "last_known_amt"), "0.031");
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "updated_at"), booked_at);
}

TEST(P33Ledger, PB1_ATotalAfterAPartialFillAddsTheRest) {
  FakeHost<LedgerStage> host;
  const auto ledger_after = [&](const char* total) {
    Record record = result("a", "BUY", total);
    record.set("status", "PARTIALLY_FILLED");
    host.deliver(record);
    return host.store().field(trade::kBtcLedger, "last_known_amt");
  };
  EXPECT_EQ(ledger_after("0.01"), "0.01");
  EXPECT_EQ(ledger_after("0.03"), "0.03");
  EXPECT_EQ(ledger_after("0.01"), "0.03");  // an older one that comes late
  EXPECT_EQ(ledger_after("0.03"), "0.03");
  EXPECT_EQ(host.store().text("quantum:ledger:seen:a"), "0.03");
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "last_executed_qty"), "0.03");
  host.deliver(result("b", "BUY", "0.01"));  // another order
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "last_known_amt"), "0.04");
}

TEST(P33Ledger, WhatIsBookedButCannotBeReadCountsAsAll) {
  FakeHost<LedgerStage> host;
  host.store().put("quantum:ledger:seen:a", "1000-0");
  EXPECT_TRUE(host.deliver(result("a", "BUY", "0.062")).effects.empty());
}

// Two stages that booked the same fill at once would count it twice.
TEST(P33Ledger, AFillBookedInBetweenIsNotBookedAgain) {
  testing::FakeStore store;
  FakeHost<LedgerStage> a(store), b(store);
  a.before_commit = [&] { b.deliver(result("a", "BUY", "0.062")); };
  EXPECT_EQ(a.deliver(result("a", "BUY", "0.062")).verdict, SLUICE_ACK);
  EXPECT_EQ(store.field(trade::kBtcLedger, "last_known_amt"), "0.062");
  EXPECT_EQ(store.field(trade::kBtcLedger, "version"), "1");
}

TEST(P33Ledger, AReduceOnlyFillNeverCrossesZero) {
  const auto after = [](const char* amount, const char* side, bool reduce) {
    const Fill fill{"c", "o", "p", "S", side, decimal("1"), reduce, 11};
    const auto balance = balance_after({decimal(amount), {}}, 10, fill, fill.qty);
    return balance->amount.text() + " and " + balance->carried.text();
  };
  EXPECT_EQ(after("0.5", "SELL", true), "0 and -0.5");
  EXPECT_EQ(after("-0.5", "BUY", true), "0 and 0.5");
  EXPECT_EQ(after("0.5", "BUY", true), "0.5 and 1");
  EXPECT_EQ(after("0.5", "SELL", false), "-0.5 and 0");
}

// Later fills are in the ledger already: on the exchange it was another zero.
TEST(P33Ledger, AReduceOnlyFillThatIsBookedLateIsAddedAsItIs) {
  for (const int64_t executed_us : {10, 0}) {
    const Fill fill{"c", "o", "p", "S", "SELL", decimal("1"), true, executed_us};
    EXPECT_EQ(balance_after({decimal("0.5"), {}}, 10, fill, fill.qty)->amount.text(), "-0.5");
  }
}

TEST(P33Ledger, ACloseBookedBeforeItsOpeningEndsAtTheSum) {
  FakeHost<LedgerStage> host;
  const auto field = [&](const char* name) { return host.store().field(trade::kBtcLedger, name); };
  Record close = result("close", "SELL", "0.062", "true");
  close.set("sent_us", trade::micros_text(host.store().now()));
  host.deliver(close);
  EXPECT_EQ(field("last_known_amt"), "0.0");
  EXPECT_EQ(field("carried_amt"), "-0.062");
  host.deliver(result("open", "BUY", "0.093"));
  EXPECT_EQ(field("last_known_amt"), "0.031");
  EXPECT_EQ(field("ledger_amt"), "0.031");
  EXPECT_EQ(field("carried_amt"), "");
}

TEST(P33Ledger, AStopTradesWhenItIsMetAndNotWhenItWasSent) {
  FakeHost<LedgerStage> host;
  Record stop = result("stop", "SELL", "0.062", "true");
  stop.set("sent_us", trade::micros_text(host.store().now() - std::chrono::seconds(9)));
  host.deliver(result("open", "BUY", "0.031"));
  host.store().advance(std::chrono::seconds(1));
  stop.set("executed_us", trade::micros_text(host.store().now()));
  host.deliver(stop);
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "ledger_amt"), "0.0");
}

TEST(P33Ledger, AnAmountWrittenByHandOwesNothing) {
  FakeHost<LedgerStage> host;
  host.store().put(trade::kBtcLedger, Record{{"last_known_amt", "1.0"},
                                             {"ledger_amt", "0.0"},
                                             {"carried_amt", "-0.5"},
                                             {"version", "7"}});
  host.deliver(result("a", "BUY", "0.5"));
  EXPECT_EQ(host.store().field(trade::kBtcLedger, "ledger_amt"), "1.5");
}

// Section 5.4, the update rule; a reducing fill is what the reference knows alone.
TEST(P33Ledger, EachRowOfTheUpdateRule) {
  struct Row {
    const char *what, *ledger, *side, *qty, *reduce_only, *after;
  };
  const Row rows[] = {{"SELL of a long", "0.062", "SELL", "0.031", "true", "0.031"},
                      {"SELL of more than the long", "0.062", "SELL", "0.07", "true", "0.0"},
                      {"BUY of a short", "-0.062", "BUY", "0.031", "true", "-0.031"},
                      {"BUY of more than the short", "-0.062", "BUY", "0.07", "true", "0.0"},
                      {"SELL of a short", "-0.062", "SELL", "0.031", "true", "-0.062"},
                      {"BUY of a long", "0.062", "BUY", "0.031", "true", "0.062"},
                      {"no ledger starts at 0", nullptr, "SELL", "0.031", "true", "0.0"},
                      {"opening from nothing", nullptr, "BUY", "0.031", "false", "0.031"},
                      {"opening a short", nullptr, "SELL", "0.031", "false", "-0.031"},
                      {"opening more", "0.062", "BUY", "0.031", "false", "0.093"}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.what);
    FakeHost<LedgerStage> host;
    if (row.ledger != nullptr)
      host.store().put(trade::kBtcLedger, Record{{"last_known_amt", row.ledger}});
    Record record = result("a", row.side, row.qty, row.reduce_only);
    record.set("sent_us", trade::micros_text(host.store().now()));  // newer than the ledger
    EXPECT_TRUE(host.deliver(record).applied);
    EXPECT_EQ(host.store().field(trade::kBtcLedger, "last_known_amt"), row.after);
    EXPECT_EQ(host.store().field(trade::kBtcLedger, "last_side"), row.side);
  }
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

// --- 5.7: metrics ---

TEST(P33Metrics, CountAllowsAndDenialsAndShowTheSnapshotsAge) {
  Brain brain;
  brain.hold("0.062");
  brain.close();
  brain.host.store().advance(std::chrono::seconds(12));
  brain.close();
  EXPECT_EQ(brain.host.metric("p33_permit_allow_total{symbol=\"BTCUSDT\"}"), 1);
  EXPECT_EQ(brain.host.metric(
                "p33_permit_deny_total{symbol=\"BTCUSDT\",reason=\"stale_exchange_state\"}"),
            1);
  EXPECT_EQ(brain.host.metric("p33_snapshot_age_seconds{symbol=\"BTCUSDT\"}"), 12);
}

TEST(P33Metrics, ShowTheLedgerAsWritten) {
  FakeHost<LedgerStage> host;
  host.deliver(result("a", "BUY", "0.062"));
  host.deliver(result("b", "SELL", "0.031", "true"));
  EXPECT_DOUBLE_EQ(host.metric("p33_ledger_position_amt{symbol=\"BTCUSDT\"}"), 0.031);
}

}  // namespace
}  // namespace sluice::p33
