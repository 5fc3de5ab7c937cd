// Each row of the reference contract's section 8 is a case here. A test whose name begins with RC
// shows that the defect of that mark was not built again.
#include "p33/reconcile.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>

#include "common/json.h"
#include "p33/ledger.h"
#include "p33/permit.h"
#include "p33/repair.h"
#include "plugins/trade_fixtures.h"

namespace sluice::p33 {
namespace {

using testing::FakeHost;
using testing::Ran;
using trade::decimal;
using trade::snapshot;

constexpr const char* kHold = "quantum:reconcile:hold:BTCUSDT";
constexpr const char* kState = "quantum:reconcile:state:BTCUSDT";

// A fill as execution reports it.
Record result(std::string_view id, std::string_view side, std::string_view qty, Time at,
              std::string_view reduce_only = "false") {
  return {{"client_order_id", id},
          {"order_id", "1001"},
          {"plan_id", "p1"},
          {"symbol", "BTCUSDT"},
          {"side", side},
          {"status", "FILLED"},
          {"executed_qty", qty},
          {"reduceOnly", reduce_only},
          {"result_us", trade::micros_text(at)}};
}

// The reconcile stage over one store with ledger and repair.
class Books {
 public:
  explicit Books(const testing::FakeHostBase::Texts& settings = {{"snapshot_wait", "0s"}})
      : reconcile(store, settings), ledger(store), repair(store) {}

  void show(std::string_view amount, int64_t seconds_ago = 0) {
    store.put(trade::kBtcSnapshot,
              snapshot(amount, store.now() - std::chrono::seconds(seconds_ago)));
  }
  // A ledger that was last changed 100 s ago.
  void write_ledger(std::string_view amount) {
    store.put(trade::kBtcLedger,
              Record{{"last_known_amt", amount},
                     {"ledger_amt", amount},
                     {"updated_at", trade::epoch_text(store.now() - std::chrono::seconds(100))},
                     {"version", "7"}});
  }
  Ran tick() {
    return reconcile.deliver({{"symbol", "BTCUSDT"}, {"at_us", trade::micros_text(store.now())}});
  }
  // Reconcile reads the result, the ledger stage does not.
  void miss(std::string_view id, std::string_view side, std::string_view qty,
            int64_t seconds_ago = 60, std::string_view reduce_only = "false") {
    reconcile.deliver(
        result(id, side, qty, store.now() - std::chrono::seconds(seconds_ago), reduce_only),
        {.input = "result"});
  }
  Ran command(std::string_view amount, std::string_view reason = "checked by hand") {
    return repair.deliver({{"command", "repair_ledger"},
                           {"symbol", "BTCUSDT"},
                           {"amount", amount},
                           {"reason", reason},
                           {"by", "ann"},
                           {"at_us", trade::micros_text(store.now())}});
  }
  std::string ledger_amount() const { return store.field(trade::kBtcLedger, "last_known_amt"); }
  std::string state(const char* name) const { return store.field(kState, name); }
  std::string hold_reason() const {
    std::string why;
    const auto hold = trade::Json::parse(store.text(kHold), why);
    return hold ? std::string(hold->text_of("reason")) : "";
  }

  testing::FakeStore store;
  FakeHost<Reconcile> reconcile;
  FakeHost<LedgerStage> ledger;
  FakeHost<Repair> repair;
};

std::vector<std::string> names(const std::vector<Record>& events) {
  std::vector<std::string> names;
  for (const Record& event : events) names.emplace_back(event.find("event").value_or(""));
  return names;
}

using Names = std::vector<std::string>;

struct StepCase {
  const char* row;
  const char* exchange;  // nullptr: no snapshot
  int snapshot_age;
  const char* ledger;  // nullptr: none
  Names events;
  const char* hold;    // reason; "" when there must be no hold
  const char* status;  // "": the state stays untouched
};

// The table of the reference contract, section 8.2, with the limits at their edges.
const StepCase kSteps[] = {
    {"1 no snapshot", nullptr, 0, "1", {"HOLD_SET", "MANUAL_REQUIRED"}, "missing_exchange", ""},
    {"2 snapshot of 11 s", "1", 11, "1", {"HOLD_SET", "MANUAL_REQUIRED"}, "stale_exchange", ""},
    {"2 snapshot of 10 s", "1", 10, "1", {}, "", "OK"},
    {"3 no ledger, flat", "0", 0, nullptr, {"LEDGER_INIT"}, "", "OK"},
    {"3 no ledger, a position",
     "1",
     0,
     nullptr,
     {"HOLD_SET", "MANUAL_REQUIRED"},
     "side_mismatch",
     "HOLD"},
    {"4 long and short", "1", 0, "-1", {"HOLD_SET", "MANUAL_REQUIRED"}, "side_mismatch", "HOLD"},
    {"4 short and long", "-1", 0, "1", {"HOLD_SET", "MANUAL_REQUIRED"}, "side_mismatch", "HOLD"},
    {"4 long and none", "0.062", 0, "0", {"HOLD_SET", "MANUAL_REQUIRED"}, "side_mismatch", "HOLD"},
    {"4 none and long", "0", 0, "0.062", {"HOLD_SET", "MANUAL_REQUIRED"}, "side_mismatch", "HOLD"},
    {"4 0.00011 and none",
     "0.00011",
     0,
     "0",
     {"HOLD_SET", "MANUAL_REQUIRED"},
     "side_mismatch",
     "HOLD"},
    {"4 dust on both sides, 5", "0.00004", 0, "-0.00004", {}, "", "OK"},
    {"5 0.00009 apart", "0.001", 0, "0.00109", {}, "", "OK"},
    {"6 0.0001 of 0.0011 apart",
     "0.001",
     0,
     "0.0011",
     {"HOLD_SET", "MANUAL_REQUIRED"},
     "qty_mismatch_no_evidence",
     "HOLD"},
    {"6 just above 1 %",
     "0.9899",
     0,
     "1",
     {"HOLD_SET", "MANUAL_REQUIRED"},
     "qty_mismatch_no_evidence",
     "HOLD"},
    {"7 exactly 1 %", "0.99", 0, "1", {}, "", "OK"},
    {"7 equal", "-1", 0, "-1", {}, "", "OK"},
    {"- a ledger nobody can read",
     "1",
     0,
     "much",
     {"HOLD_SET", "MANUAL_REQUIRED"},
     "unreadable_ledger",
     "HOLD"}};

TEST(Reconcile, StepsDecideInOrder) {
  for (const StepCase& step : kSteps) {
    SCOPED_TRACE(step.row);
    Books books;
    if (step.exchange != nullptr) books.show(step.exchange, step.snapshot_age);
    if (step.ledger != nullptr) books.write_ledger(step.ledger);
    const auto ran = books.tick();
    EXPECT_EQ(ran.verdict, SLUICE_ACK);
    EXPECT_EQ(names(ran.emitted("event")), step.events);
    EXPECT_EQ(books.hold_reason(), step.hold);
    EXPECT_EQ(books.state("status"), step.status);
    if (step.ledger != nullptr) {
      EXPECT_EQ(books.ledger_amount(), step.ledger);
    }
  }
}

TEST(Reconcile, EventsHaveTheFieldsOfTheContract) {
  const auto field = [](const Record& event, const char* name) {
    return std::string(event.find(name).value_or("(none)"));
  };
  Books books;
  books.show("1", 12);
  const auto stale = books.tick().emitted("event");
  ASSERT_EQ(stale.size(), 2u);
  EXPECT_EQ(field(stale[0], "symbol"), "BTCUSDT");
  EXPECT_EQ(field(stale[0], "ts"), trade::epoch_text(books.store.now()));
  EXPECT_EQ(field(stale[0], "reason"), "stale_exchange");
  EXPECT_EQ(field(stale[0], "ttl_sec"), "300");
  EXPECT_EQ(field(stale[0], "policy"), "test.lua@0");
  EXPECT_EQ(field(stale[1], "age_sec"), "12");

  books.show("1");
  books.write_ledger("-2");
  const auto side = books.tick().emitted("event").at(1);
  EXPECT_EQ(field(side, "reason"), "side_mismatch");
  EXPECT_EQ(field(side, "exchange_side"), "LONG");
  EXPECT_EQ(field(side, "exchange_amt"), "1.0");
  EXPECT_EQ(field(side, "ledger_side"), "SHORT");
  EXPECT_EQ(field(side, "ledger_amt"), "-2.0");

  books.write_ledger("0.8");
  const auto qty = books.tick().emitted("event").at(1);
  EXPECT_EQ(field(qty, "reason"), "qty_mismatch_no_evidence");
  EXPECT_EQ(field(qty, "exchange_amt"), "1.0");
  EXPECT_EQ(field(qty, "ledger_amt"), "0.8");
  EXPECT_EQ(field(qty, "diff_amt"), "0.2");
  EXPECT_EQ(field(qty, "diff_pct"), "20.0");

  books.show("0");
  books.store.erase(trade::kBtcLedger);
  const auto init = books.tick().emitted("event");
  EXPECT_EQ(names(init), (Names{"LEDGER_INIT", "HOLD_CLEARED"}));
  EXPECT_EQ(field(init[0], "ledger_amt"), "0.0");
  EXPECT_EQ(field(init[0], "ledger_side"), "NONE");
  EXPECT_EQ(field(init[0], "source"), "exchange_snapshot");
  EXPECT_EQ(books.store.field(trade::kBtcLedger, "source"), "p34_init");
  EXPECT_EQ(books.store.field(trade::kBtcLedger, "version"), "1");
}

TEST(Reconcile, TheStateSaysWhatTheLastLookCameTo) {
  Books books;
  books.show("0.002");
  books.write_ledger("0.003");
  books.tick();
  EXPECT_EQ(books.state("status"), "HOLD");
  EXPECT_EQ(books.state("reason"), "qty_mismatch_no_evidence");
  EXPECT_EQ(books.state("exchange_amt"), "0.002");
  EXPECT_EQ(books.state("ledger_amt"), "0.003");
  EXPECT_EQ(books.state("diff_amt"), "0.001");
  EXPECT_EQ(books.state("diff_pct"), "50.0");
  EXPECT_EQ(books.state("last_seen_ts"), trade::epoch_text(books.store.now()));
  EXPECT_EQ(books.store.ttl_us(kState), 0);
  // A stale snapshot leaves it as it was.
  books.show("9", 60);
  books.tick();
  EXPECT_EQ(books.state("exchange_amt"), "0.002");
}

TEST(Reconcile, APositionWithoutALedgerIsAdoptedOnlyWhenAskedTo) {
  Books books({{"snapshot_wait", "0s"}, {"adopt_position", "true"}});
  books.show("-0.5");
  EXPECT_EQ(names(books.tick().emitted("event")), Names{"LEDGER_INIT"});
  EXPECT_EQ(books.ledger_amount(), "-0.5");
  EXPECT_EQ(books.store.field(trade::kBtcLedger, "ledger_side"), "SHORT");
}

// Each of both read only its own field names, and took the other's ledger for 0.
TEST(Reconcile, RC1_ALedgerOfEitherWriterIsReadByBoth) {
  for (const char* name : {"last_known_amt", "ledger_amt"}) {
    Books books;
    books.show("0.062");
    books.store.put(trade::kBtcLedger, Record{{name, "0.062"}});
    EXPECT_TRUE(books.tick().emitted("event").empty()) << name;
    EXPECT_EQ(books.state("status"), "OK") << name;
    FakeHost<Permit> permit(books.store);
    const trade::Plan plan = trade::closing_plan(books.store.now());
    permit.deliver(trade::plan_record(plan));
    EXPECT_NE(books.store.text("quantum:permit:p33:" + plan.plan_id).find("sanity_checks_passed"),
              std::string::npos)
        << name;
  }
  // All three writers write both.
  Books books;
  const auto expect_both = [&](const char* amount, const char* source) {
    EXPECT_EQ(books.store.field(trade::kBtcLedger, "last_known_amt"), amount);
    EXPECT_EQ(books.store.field(trade::kBtcLedger, "ledger_amt"), amount);
    EXPECT_EQ(books.store.field(trade::kBtcLedger, "source"), source);
  };
  books.show("0");
  books.tick();
  expect_both("0.0", "p34_init");
  books.ledger.deliver(result("a", "BUY", "0.01", books.store.now()));
  expect_both("0.01", "apply");
  books.command("0.02");
  expect_both("0.02", "p34_manual");
}

// Evidence was looked for in fields that nobody wrote.
TEST(Reconcile, RC2_AMissedFillIsFoundAndBooked) {
  Books books;
  books.write_ledger("0.062");
  books.miss("c1", "SELL", "0.031", 60, "true");
  books.show("0.031");
  const auto ran = books.tick();
  ASSERT_EQ(names(ran.emitted("event")), Names{"AUTO_REPAIR"});
  const Record event = ran.emitted("event")[0];
  EXPECT_EQ(event.find("old_ledger_amt"), "0.062");
  EXPECT_EQ(event.find("new_ledger_amt"), "0.031");
  EXPECT_EQ(event.find("diff_amt"), "0.031");
  EXPECT_EQ(event.find("diff_pct"), "50.0");
  EXPECT_EQ(event.find("evidence_plan_id"), "p1");
  EXPECT_EQ(event.find("evidence_filled_qty"), "0.031");
  EXPECT_EQ(event.find("evidence_order_id"), "1001");
  EXPECT_EQ(event.find("evidence_age_sec"), "60");
  EXPECT_EQ(books.ledger_amount(), "0.031");
  EXPECT_EQ(books.store.field(trade::kBtcLedger, "source"), "p34_auto");
  EXPECT_EQ(books.store.field(trade::kBtcLedger, "version"), "8");
  EXPECT_EQ(books.state("status"), "REPAIRED");
  EXPECT_EQ(books.state("reason"), "auto_fixed");
  EXPECT_FALSE(books.store.has(kHold));
}

// Holds were set and reported anew every second.
TEST(Reconcile, RC4_AHoldIsToldOnceAndRenewedAtHalfItsTime) {
  Books books;
  books.write_ledger("1");
  std::vector<int64_t> left;
  size_t told = 0, written = 0;
  for (int second = 0; second < 400; ++second) {
    books.show("2");
    const auto ran = books.tick();
    told += ran.emitted("event").size();
    written += ran.find_effect(testing::Effect::Kind::kPut, kHold) != nullptr ? 1 : 0;
    left.push_back(books.store.ttl_us(kHold));
    books.store.advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(told, 2u);
  EXPECT_EQ(written, 3u);
  EXPECT_GE(*std::ranges::min_element(left), 149'000'000);
}

// A hold that an operator had set was deleted as soon as the amounts agreed.
TEST(Reconcile, RC5_AnOperatorsHoldIsNeitherDeletedNorReplaced) {
  for (const char* value : {"1", "maintenance", R"({"by": "ann"})"}) {
    Books books;
    books.store.put(kHold, value);
    books.write_ledger("1");
    books.show("1");
    books.tick();
    EXPECT_EQ(books.store.text(kHold), value);
    books.show("2");
    EXPECT_EQ(names(books.tick().emitted("event")), Names{"MANUAL_REQUIRED"});
    EXPECT_TRUE(books.tick().emitted("event").empty());
    EXPECT_EQ(books.store.text(kHold), value);
    EXPECT_EQ(books.store.ttl_us(kHold), 0);
    EXPECT_EQ(books.state("status"), "HOLD");
  }
}

TEST(Reconcile, RC5_AnOperatorsHoldThatComesWhileLookingIsKept) {
  Books books;
  books.write_ledger("1");
  books.show("2");
  books.tick();
  books.show("1");
  books.reconcile.before_commit = [&] { books.store.put(kHold, "1"); };
  EXPECT_EQ(books.tick().verdict, SLUICE_ACK);
  EXPECT_EQ(books.store.text(kHold), "1");
}

// Drifts were closed at the market, without any permit.
TEST(Reconcile, RC8_NothingHereLeadsToAnOrder) {
  const auto kinds = {sluice::detail::kind_of<Reconcile>(), sluice::detail::kind_of<Repair>()};
  for (const sluice_kind& kind : kinds) {
    EXPECT_EQ(kind.type, static_cast<uint32_t>(SLUICE_STAGE));
    ASSERT_EQ(kind.output_count, 1u);
    EXPECT_STREQ(kind.outputs[0].name, "event");
  }
  Books books;
  books.write_ledger("1");
  books.show("-2");
  for (const Record& event : books.tick().emitted("event")) {
    for (const char* field : {"plan_id", "decision", "side", "qty", "reduceOnly"})
      EXPECT_FALSE(event.find(field)) << field;
  }
}

// --- Evidence ---

TEST(Reconcile, AMissedOpeningAndAMissedCloseAreBooked) {
  Books books;
  books.show("0.002");
  books.miss("c1", "BUY", "0.002");
  EXPECT_EQ(names(books.tick().emitted("event")), Names{"AUTO_REPAIR"});
  EXPECT_EQ(books.ledger_amount(), "0.002");
  books.store.advance(std::chrono::seconds(30));
  books.show("0");
  books.miss("c2", "SELL", "0.002", 10, "true");
  EXPECT_EQ(names(books.tick().emitted("event")), Names{"AUTO_REPAIR"});
  EXPECT_EQ(books.ledger_amount(), "0.0");
}

TEST(Reconcile, SeveralMissedFillsAreBookedInOrderEachWithItsEvent) {
  Books books;
  books.write_ledger("0");
  books.miss("c1", "BUY", "0.004", 60);
  books.miss("c2", "SELL", "0.001", 50, "true");
  books.miss("c3", "SELL", "0.001", 40, "true");
  books.show("0.003");
  const auto events = books.tick().emitted("event");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].find("old_ledger_amt"), "0.004");
  EXPECT_EQ(events[1].find("evidence_client_order_id"), "c2");
  EXPECT_EQ(books.ledger_amount(), "0.003");
  EXPECT_EQ(books.store.field(trade::kBtcLedger, "version"), "9");
  EXPECT_FALSE(books.store.has("quantum:ledger:seen:c3"));
}

TEST(Reconcile, ARepairedFillIsNotBookedAgainByTheLedger) {
  Books books;
  books.write_ledger("0.062");
  books.miss("c1", "SELL", "0.031");
  books.show("0.031");
  books.tick();
  const auto late = books.ledger.deliver(result("c1", "SELL", "0.031", books.store.now()));
  EXPECT_TRUE(late.effects.empty());
  EXPECT_EQ(books.ledger_amount(), "0.031");
}

TEST(Reconcile, AFillTheLedgerBooksInBetweenIsNotRepairedAsWell) {
  Books books;
  books.write_ledger("0.062");
  books.miss("c1", "SELL", "0.031");
  books.show("0.031");
  books.reconcile.before_commit = [&] {
    books.ledger.deliver(result("c1", "SELL", "0.031", books.store.now()));
  };
  EXPECT_TRUE(books.tick().emitted("event").empty());
  EXPECT_EQ(books.ledger_amount(), "0.031");
}

TEST(Reconcile, AnotherFillThatIsBookedWhileRepairingIsNotLost) {
  Books books;
  books.write_ledger("0.062");
  books.miss("c1", "SELL", "0.031");
  books.show("0.031");
  books.reconcile.before_commit = [&] {
    books.ledger.deliver(result("c2", "BUY", "0.005", books.store.now()));
  };
  EXPECT_TRUE(books.tick().effects.empty());
  EXPECT_EQ(books.ledger_amount(), "0.067");
  // The next looks find the rest, once a snapshot has both.
  books.store.advance(std::chrono::seconds(1));
  books.show("0.036");
  EXPECT_EQ(names(books.tick().emitted("event")), Names{"AUTO_REPAIR"});
  EXPECT_EQ(books.ledger_amount(), "0.036");
}

TEST(Reconcile, OnlyTheMissingPartOfAPartlyBookedOrderIsBooked) {
  Books books;
  books.store.put("quantum:ledger:seen:c1", "0.01");
  books.write_ledger("0.01");
  books.miss("c1", "BUY", "0.01");
  books.miss("c1", "BUY", "0.03");
  books.miss("c1", "BUY", "0.02");  // older, and late
  books.show("0.03");
  const auto events = books.tick().emitted("event");
  ASSERT_EQ(names(events), Names{"AUTO_REPAIR"});
  EXPECT_EQ(events[0].find("evidence_filled_qty"), "0.02");
  EXPECT_EQ(books.store.text("quantum:ledger:seen:c1"), "0.03");
}

struct EvidenceCase {
  const char* what;
  const char* side;
  const char* qty;
  int64_t seconds_ago;
  const char* booked;  // nullptr: nothing
};

TEST(Reconcile, WhatDoesNotExplainTheDifferenceRepairsNothing) {
  constexpr EvidenceCase kCases[] = {{"another quantity", "SELL", "0.0309", 60, nullptr},
                                     {"the other side", "BUY", "0.031", 60, nullptr},
                                     {"too old", "SELL", "0.031", 301, nullptr},
                                     {"booked", "SELL", "0.031", 60, "0.031"},
                                     {"booked, unreadable", "SELL", "0.031", 60, "1000-0"}};
  for (const EvidenceCase& evidence : kCases) {
    SCOPED_TRACE(evidence.what);
    Books books;
    books.write_ledger("0.062");
    books.miss("c1", evidence.side, evidence.qty, evidence.seconds_ago);
    if (evidence.booked != nullptr) books.store.put("quantum:ledger:seen:c1", evidence.booked);
    books.show("0.031");
    EXPECT_EQ(names(books.tick().emitted("event")), (Names{"HOLD_SET", "MANUAL_REQUIRED"}));
    EXPECT_EQ(books.ledger_amount(), "0.062");
  }
}

TEST(Reconcile, AYoungFillIsLeftToTheLedgerForAWhile) {
  Books books;
  books.write_ledger("0.062");
  books.miss("c1", "SELL", "0.031", 4);
  books.show("0.031");
  EXPECT_TRUE(books.tick().emitted("event").empty());
  EXPECT_FALSE(books.store.has(kHold));
  books.store.advance(std::chrono::seconds(1));
  EXPECT_EQ(names(books.tick().emitted("event")), Names{"AUTO_REPAIR"});
}

TEST(Reconcile, ASnapshotTakenBeforeTheLastFillSaysNothing) {
  Books books;
  books.show("0");
  books.store.advance(std::chrono::seconds(2));
  books.ledger.deliver(result("c1", "BUY", "0.002", books.store.now()));
  EXPECT_TRUE(books.tick().emitted("event").empty());
  EXPECT_FALSE(books.store.has(kHold));
  EXPECT_FALSE(books.store.has(kState));
  books.store.advance(std::chrono::seconds(1));
  books.show("0.002");
  books.tick();
  EXPECT_EQ(books.state("status"), "OK");
}

TEST(Reconcile, OnlyTheNewestFillsAreKept) {
  Books books({{"snapshot_wait", "0s"}, {"fills_max", "2"}});
  for (const char* id : {"c1", "c2", "c3"}) books.miss(id, "BUY", "1");
  const std::string known = books.store.text("quantum:reconcile:fills:BTCUSDT");
  EXPECT_EQ(known.find("c1"), std::string::npos);
  EXPECT_NE(known.find("c2"), std::string::npos);
  EXPECT_NE(known.find("c3"), std::string::npos);
  EXPECT_EQ(books.store.ttl_us("quantum:reconcile:fills:BTCUSDT"), 300'000'000);
}

TEST(Reconcile, ResultsWithoutAFillAreNoEvidence) {
  Books books;
  Record rejected = result("c1", "BUY", "0", books.store.now());
  rejected.set("status", "REJECTED");
  for (const Record& record : {rejected, result("c1", "BUY", "x", books.store.now())}) {
    const auto ran = books.reconcile.deliver(record, {.input = "result"});
    EXPECT_EQ(ran.verdict, SLUICE_ACK);
    EXPECT_TRUE(ran.effects.empty());
  }
}

// Results of five orders come to the ledger and to reconcile in any order, more than once or not at
// all, and reconcile looks in between at a snapshot of any earlier moment. Once the ledger has read
// the rest it is the sum of the fills, whoever booked which.
RC_GTEST_PROP(ReconcileProperty, TheLedgerIsTheSumOfTheFillsWhoeverBooksThem, ()) {
  Books books({{"snapshot_wait", "0s"}, {"repair_after", "0s"}});
  const auto id_of = [](int order) { return "c" + std::to_string(order); };
  const auto side_of = [](int order) { return order % 2 == 0 ? "BUY" : "SELL"; };
  const auto text = [](int thousandths) { return Decimal::from_scaled(thousandths, 3).text(); };
  std::map<int, int> executed;  // by order, in thousandths
  std::vector<std::pair<int, int>> results;
  int position = 0;
  books.show("0");
  const int steps = *rc::gen::inRange(1, 60);
  for (int step = 0; step < steps; ++step) {
    books.store.advance(std::chrono::milliseconds(*rc::gen::inRange(0, 2000)));
    const int what = *rc::gen::inRange(0, 5);
    if (what == 0) {
      const int order = *rc::gen::inRange(0, 5), more = *rc::gen::inRange(1, 9);
      executed[order] += more;
      position += order % 2 == 0 ? more : -more;
      results.emplace_back(order, executed[order]);
    }
    if (what == 1) books.show(text(position));
    if (what == 2) books.tick();
    if (what > 2 && !results.empty()) {
      const auto [order, total] = *rc::gen::elementOf(results);
      const Record fill = result(id_of(order), side_of(order), text(total), books.store.now());
      const auto ran = what == 3 ? books.ledger.deliver(fill)
                                 : books.reconcile.deliver(fill, {.input = "result"});
      RC_ASSERT(ran.verdict == SLUICE_ACK);
    }
  }
  for (const auto& [order, total] : results)
    books.ledger.deliver(result(id_of(order), side_of(order), text(total), books.store.now()));
  if (!results.empty()) RC_ASSERT(decimal(books.ledger_amount()) == decimal(text(position)));
  // And then there is nothing to complain about.
  books.store.advance(std::chrono::seconds(1));
  books.show(text(position));
  books.tick();
  RC_ASSERT(books.state("status") == "OK");
  RC_ASSERT(!books.store.has(kHold));
}

// --- Holds ---

TEST(Reconcile, AHoldEndsWhenTheAmountsAgreeAgain) {
  Books books;
  books.write_ledger("1");
  books.show("2");
  books.tick();
  EXPECT_EQ(books.store.ttl_us(kHold), 300'000'000);
  books.show("1");
  EXPECT_EQ(names(books.tick().emitted("event")), Names{"HOLD_CLEARED"});
  EXPECT_FALSE(books.store.has(kHold));
  EXPECT_EQ(books.state("status"), "OK");
  EXPECT_TRUE(books.tick().emitted("event").empty());
}

TEST(Reconcile, AHoldThatChangesItsReasonIsToldAgain) {
  Books books;
  books.write_ledger("1");
  books.tick();
  EXPECT_EQ(books.hold_reason(), "missing_exchange");
  books.show("-1");
  EXPECT_EQ(names(books.tick().emitted("event")), (Names{"HOLD_SET", "MANUAL_REQUIRED"}));
  EXPECT_EQ(books.hold_reason(), "side_mismatch");
}

TEST(Reconcile, AHoldThatWasDeletedComesBackWhileItsReasonLasts) {
  Books books;
  books.write_ledger("1");
  books.show("2");
  books.tick();
  books.store.erase(kHold);
  EXPECT_EQ(names(books.tick().emitted("event")), (Names{"HOLD_SET", "MANUAL_REQUIRED"}));
  EXPECT_TRUE(books.store.has(kHold));
}

TEST(Reconcile, AHoldKeepsPlansOut) {
  Books books;
  books.write_ledger("1");
  books.show("0.985");
  books.reconcile.policy["tolerance"] = {"0.5"};
  books.tick();
  FakeHost<Permit> permit(books.store);
  permit.policy["tolerance"] = {"5"};
  const trade::Plan plan = trade::closing_plan(books.store.now());
  permit.deliver(trade::plan_record(plan));
  EXPECT_NE(books.store.text("quantum:permit:p33:" + plan.plan_id).find("reconcile_hold_active"),
            std::string::npos);
}

TEST(Reconcile, AfterAStartASnapshotHasAMomentToCome) {
  Books books({{"snapshot_wait", "1s"}});
  books.write_ledger("1");
  const int64_t first = books.store.now_us;
  const auto waiting = books.tick();
  EXPECT_EQ(waiting.verdict, SLUICE_WAIT);
  EXPECT_EQ(waiting.wait_keys, std::vector<std::string>{trade::kBtcSnapshot});
  EXPECT_EQ(waiting.wait_until_us, first + 1'000'000);
  books.store.advance(std::chrono::seconds(1));
  const auto over = books.reconcile.deliver({{"symbol", "BTCUSDT"}}, {.first_delivered_us = first});
  EXPECT_EQ(names(over.emitted("event")), (Names{"HOLD_SET", "MANUAL_REQUIRED"}));
  // Once held there is nothing to wait for.
  EXPECT_EQ(books.tick().verdict, SLUICE_ACK);
}

TEST(Reconcile, PolicyMovesTheLimits) {
  Books books;
  books.write_ledger("1");
  books.show("1.05", 20);
  books.reconcile.policy = {{"tolerance", {"5"}}, {"snapshot_age_max", {"20s"}}};
  EXPECT_TRUE(books.tick().emitted("event").empty());
  books.reconcile.policy["tolerance"] = {"1"};
  books.reconcile.policy["hold_ttl"] = {"60s"};
  books.tick();
  EXPECT_EQ(books.store.ttl_us(kHold), 60'000'000);
  books.reconcile.policy_fails = {"tolerance"};
  EXPECT_EQ(books.tick().reason, "policy_error");
}

TEST(Reconcile, AnUnchangedStateIsNotWrittenEverySecond) {
  Books books;
  books.write_ledger("1");
  size_t written = 0;
  for (int second = 0; second < 30; ++second) {
    books.show("1");
    written +=
        books.tick().find_effect(testing::Effect::Kind::kPutFields, kState) != nullptr ? 1 : 0;
    books.store.advance(std::chrono::seconds(1));
  }
  EXPECT_EQ(written, 3u);
}

TEST(Reconcile, TheLedgerOfAnOpenPositionDoesNotRunOut) {
  Books books;
  books.ledger.deliver(result("c1", "BUY", "0.002", books.store.now()));
  const std::string filled_at = books.store.field(trade::kBtcLedger, "updated_at");
  for (int hour = 0; hour < 50; ++hour) {
    books.store.advance(std::chrono::hours(1));
    books.show("0.002");
    EXPECT_TRUE(books.tick().emitted("event").empty());
  }
  EXPECT_EQ(books.ledger_amount(), "0.002");
  const auto field = [&](const char* name) { return books.store.field(trade::kBtcLedger, name); };
  EXPECT_EQ(field("updated_at"), filled_at);
  EXPECT_EQ(field("ts_epoch"), filled_at);
  EXPECT_EQ(field("version"), "1");
  EXPECT_EQ(field("source"), "apply");
  EXPECT_EQ(field("last_order_id"), "1001");
  EXPECT_EQ(field("last_side"), "BUY");
}

TEST(Reconcile, ATickWithoutASymbolIsADeadLetter) {
  Books books;
  EXPECT_EQ(books.reconcile.deliver({{"at_us", "1"}}).reason, "invalid_tick");
}

TEST(ReconcileTimer, TicksForEachSymbolAtEveryInterval) {
  FakeHost<ReconcileTimer> timer({{"symbols", "BTCUSDT,ETHUSDT"}, {"interval", "500ms"}});
  const auto ran = timer.poll();
  EXPECT_EQ(ran.verdict, SLUICE_POLL_IDLE);
  EXPECT_EQ(ran.retry_after_us, 500'000);
  const auto ticks = ran.emitted("tick");
  ASSERT_EQ(ticks.size(), 2u);
  EXPECT_EQ(ticks[1].find("symbol"), "ETHUSDT");
}

// --- Repairs by an operator ---

TEST(Repair, WritesTheLedgerAndSaysWhoAndWhy) {
  Books books;
  books.ledger.deliver(result("c0", "BUY", "0.01", books.store.now()));
  const std::string filled_at = books.store.field(trade::kBtcLedger, "updated_at");
  books.store.advance(std::chrono::minutes(1));
  const auto ran = books.command("0.062", " counted on the exchange ");
  const Record event = ran.emitted("event").at(0);
  EXPECT_EQ(event.find("event"), "MANUAL_REPAIR");
  EXPECT_EQ(event.find("symbol"), "BTCUSDT");
  EXPECT_EQ(event.find("old_ledger_amt"), "0.01");
  EXPECT_EQ(event.find("new_ledger_amt"), "0.062");
  EXPECT_EQ(event.find("diff_amt"), "0.052");
  EXPECT_EQ(event.find("reason"), "counted on the exchange");
  EXPECT_EQ(event.find("by"), "ann");
  const auto field = [&](const char* name) { return books.store.field(trade::kBtcLedger, name); };
  EXPECT_EQ(field("last_known_amt"), "0.062");
  EXPECT_EQ(field("ledger_side"), "LONG");
  EXPECT_EQ(field("source"), "p34_manual");
  EXPECT_EQ(field("version"), "2");
  EXPECT_EQ(field("updated_at"), filled_at);
  EXPECT_EQ(field("last_order_id"), "1001");
}

TEST(Repair, EndsTheHoldAtTheNextLook) {
  Books books;
  books.write_ledger("1");
  books.show("2");
  books.tick();
  books.command("2");
  EXPECT_TRUE(books.store.has(kHold));  // only the comparison ends it
  books.store.advance(std::chrono::seconds(1));
  books.show("2");
  EXPECT_EQ(names(books.tick().emitted("event")), Names{"HOLD_CLEARED"});
}

struct CommandCase {
  const char* field;
  const char* value;
  const char* reason;
};

TEST(Repair, ACommandThatLacksSomethingIsRefused) {
  constexpr CommandCase kCases[] = {{"reason", "", "invalid_command"},
                                    {"reason", "  ", "invalid_command"},
                                    {"by", "", "invalid_command"},
                                    {"symbol", "", "invalid_command"},
                                    {"symbol", "BTC:USDT", "invalid_command"},
                                    {"amount", "", "invalid_command"},
                                    {"amount", "all", "invalid_command"},
                                    {"at_us", "", "invalid_command"},
                                    {"at_us", "1000", "stale_command"},
                                    {"at_us", "1900000000000000", "stale_command"}};
  for (const CommandCase& bad : kCases) {
    SCOPED_TRACE(std::string(bad.field) + "=" + bad.value);
    Books books;
    books.write_ledger("1");
    Record command{{"command", "repair_ledger"},
                   {"symbol", "BTCUSDT"},
                   {"amount", "2"},
                   {"reason", "counted"},
                   {"by", "ann"},
                   {"at_us", trade::micros_text(books.store.now())}};
    command.set(bad.field, bad.value);
    EXPECT_EQ(books.repair.deliver(command).reason, bad.reason);
    EXPECT_EQ(books.ledger_amount(), "1");
  }
}

TEST(Repair, OtherCommandsAreForOthers) {
  Books books;
  const auto ran = books.repair.deliver({{"command", "rearm"}, {"reason", "done"}});
  EXPECT_EQ(ran.verdict, SLUICE_ACK);
  EXPECT_TRUE(ran.effects.empty());
}

TEST(Repair, ACommandGivenTwiceIsDoneOnce) {
  Books books;
  const Record command{{"command", "repair_ledger"},
                       {"symbol", "BTCUSDT"},
                       {"amount", "2"},
                       {"reason", "counted"},
                       {"by", "ann"},
                       {"at_us", trade::micros_text(books.store.now())}};
  EXPECT_EQ(books.repair.deliver(command).emitted("event").size(), 1u);
  const auto again = books.repair.deliver(command);
  EXPECT_EQ(again.verdict, SLUICE_ACK);
  EXPECT_TRUE(again.effects.empty());
  EXPECT_EQ(books.store.field(trade::kBtcLedger, "version"), "1");
}

TEST(Repair, ACommandAboutAnOlderLedgerIsRefused) {
  Books books;
  const std::string given = trade::micros_text(books.store.now());
  books.store.advance(std::chrono::milliseconds(1));
  books.ledger.deliver(result("c1", "BUY", "0.5", books.store.now()));
  const Record command{{"command", "repair_ledger"}, {"symbol", "BTCUSDT"}, {"amount", "2"},
                       {"reason", "counted"},        {"by", "ann"},         {"at_us", given}};
  EXPECT_EQ(books.repair.deliver(command).reason, "ledger_changed");
  // Also when the fill comes between the look and the commit.
  Books raced;
  raced.repair.before_commit = [&] {
    raced.store.advance(std::chrono::milliseconds(1));
    raced.ledger.deliver(result("c1", "BUY", "0.5", raced.store.now()));
  };
  EXPECT_EQ(raced.command("2").reason, "ledger_changed");
  EXPECT_EQ(raced.ledger_amount(), "0.5");
}

TEST(Repair, KnownFillsCountAsBookedFromThenOn) {
  Books books;
  books.write_ledger("0");
  books.miss("c1", "BUY", "0.5");
  books.command("0.5");
  EXPECT_TRUE(books.ledger.deliver(result("c1", "BUY", "0.5", books.store.now())).effects.empty());
  EXPECT_EQ(books.ledger_amount(), "0.5");
  books.store.advance(std::chrono::seconds(1));
  books.show("0.5");
  EXPECT_TRUE(books.tick().emitted("event").empty());
}

TEST(Repair, ALedgerNobodyCanReadIsReplaced) {
  Books books;
  books.store.put(trade::kBtcLedger, "garbage");
  const auto ran = books.command("0.062");
  EXPECT_EQ(ran.emitted("event").at(0).find("old_ledger_amt"), "unreadable");
  EXPECT_EQ(books.ledger_amount(), "0.062");
  Books none;
  EXPECT_EQ(none.command("1").emitted("event").at(0).find("old_ledger_amt"), "missing");
}

// A history as an exchange allows it, booked in any order that knows no fill before its time.
RC_GTEST_PROP(LedgerBalance, EndsAtTheSumOfTheFillsInWhateverOrderTheyAreBooked, ()) {
  std::vector<Fill> fills;
  Decimal held;
  const auto count = *rc::gen::inRange<int64_t>(1, 12);
  for (int64_t at = 1; at <= count; ++at) {
    const bool reduces = !held.is_zero() && *rc::gen::arbitrary<bool>();
    const bool sells = reduces ? held.is_positive() : *rc::gen::arbitrary<bool>();
    Decimal qty(*rc::gen::inRange(1, 5));
    if (reduces) qty = std::min(qty, held.abs());
    held = *(sells ? held.minus(qty) : held.plus(qty));
    fills.push_back({"c", "o", "p", "S", sells ? "SELL" : "BUY", qty, reduces, at});
  }
  Balance balance;
  int64_t changed_us = 0;
  while (!fills.empty()) {
    const size_t i = *rc::gen::inRange<size_t>(0, fills.size());
    const Fill fill = fills[i];
    fills.erase(fills.begin() + static_cast<std::ptrdiff_t>(i));
    const Decimal before = balance.amount;
    const bool is_newest = fill.executed_us > changed_us;
    balance = *balance_after(balance, changed_us, fill, fill.qty);
    if (fill.reduce_only && is_newest) {
      RC_ASSERT(before.is_zero() || balance.amount.is_zero() ||
                before.is_positive() == balance.amount.is_positive());
    }
    // Told of at once, or only after some that came later.
    changed_us = std::max(changed_us, fill.executed_us) + *rc::gen::inRange(0, 3);
  }
  RC_ASSERT(balance.carried.is_zero());
  RC_ASSERT(balance.amount == held);
}

// --- 8.7: metrics ---

TEST(ReconcileMetrics, CountEachDriftOnceAndShowTheHold) {
  Books books;
  const auto metric = [&](const std::string& name) {
    return books.reconcile.metric(name + "{symbol=\"BTCUSDT\"}");
  };
  books.write_ledger("0.062");
  books.show("0.031");
  for (int i = 0; i < 3; ++i) books.tick();
  EXPECT_EQ(books.reconcile.metric("p34_reconcile_drift_total{symbol=\"BTCUSDT\",reason=\"qty_"
                                   "mismatch_no_evidence\"}"),
            1);
  EXPECT_EQ(metric("p34_reconcile_hold_active"), 1);
  EXPECT_DOUBLE_EQ(metric("p34_reconcile_diff_amt"), 0.031);
  books.show("0.062");
  books.tick();
  EXPECT_EQ(metric("p34_reconcile_hold_active"), 0);
  EXPECT_EQ(metric("p34_reconcile_diff_amt"), 0);
}

TEST(ReconcileMetrics, AnOperatorsHoldIsShownThoughNothingDrifts) {
  Books books;
  books.write_ledger("0.062");
  books.show("0.062");
  books.store.put(kHold, "manual");
  books.tick();
  EXPECT_EQ(books.reconcile.metric("p34_reconcile_hold_active{symbol=\"BTCUSDT\"}"), 1);
}

TEST(ReconcileMetrics, ARepairsAgeGrowsWhileItIsTheNewest) {
  Books books;
  books.write_ledger("0.062");
  books.miss("c1", "SELL", "0.031", 60, "true");
  books.show("0.031");
  books.tick();
  const auto age = [&] {
    return books.reconcile.metric("p34_reconcile_last_fix_age_sec{symbol=\"BTCUSDT\"}");
  };
  EXPECT_EQ(books.reconcile.metric("p34_reconcile_auto_repair_total{symbol=\"BTCUSDT\"}"), 1);
  EXPECT_EQ(age(), 0);
  books.store.advance(std::chrono::seconds(5));
  books.show("0.031");
  books.tick();
  EXPECT_NEAR(age(), 5, 1);
}

}  // namespace
}  // namespace sluice::p33
