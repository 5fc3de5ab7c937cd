// One violation of each invariant, written straight into a store, and what audit says of it.
#include "audit/audit.h"

#include <gmock/gmock.h>

#include "audit/times.h"
#include "audit/trimming.h"
#include "base/iso_time.h"
#include "scene.h"

namespace sluice::audit {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using AuditTest = Scene;

TEST_F(AuditTest, SoundStoryHoldsAllInvariants) {
  whole("p1");
  books("0.001", "0.001");
  rest();
  const Report report = judge();
  EXPECT_EQ(report.text(), "");
  EXPECT_TRUE(report.holds());
  ASSERT_EQ(report.findings.size(), 8u);
  for (const Finding& finding : report.findings) {
    EXPECT_THAT(finding.notes, IsEmpty()) << finding.number;
    EXPECT_EQ(finding.looked_at > 0, finding.number != 8) << finding.number;
  }
}

TEST_F(AuditTest, EmptyStoreHolds) {
  rest();
  EXPECT_TRUE(judge().holds());
}

// --- 1

TEST_F(AuditTest, DecisionWithoutTerminalRecordIsNamed) {
  whole("p1");
  const std::string lost = decide();
  rest();
  const Finding finding = judge(1);
  EXPECT_EQ(finding.verdict(), Verdict::kBroken);
  EXPECT_THAT(offences(finding),
              ElementsAre("decision " + lost + ": no terminal record and nobody works on it"));
}

TEST_F(AuditTest, DecisionAndPlanWithTwoTerminalRecordsAreNamed) {
  const std::string decision = whole("p1");
  fill("p1", decision);
  rest();
  EXPECT_THAT(offences(judge(1)),
              ElementsAre(HasSubstr("decision " + decision + ": 2 terminal records"),
                          HasSubstr("plan p1: 2 terminal records")));
}

TEST_F(AuditTest, PlanThatEndsNowhereIsNamed) {
  const std::string decision = up_to_order("p1");
  rest();
  EXPECT_THAT(offences(judge(1)), Contains("plan p1: no terminal record and nobody works on it"));
}

TEST_F(AuditTest, CopyOfAPlanNeedsARecordThatSaysSo) {
  const std::string decision = decide();
  const std::string intent = intend(decision);
  plan("p1", decision, intent);
  order("p1", decision);
  fill("p1", decision);
  plan("p1", decision, intent);
  rest();
  EXPECT_THAT(offences(judge(1)), ElementsAre(HasSubstr("1 terminal records for 2 plans")));
  append("outcomes",
         {{"plan_id", "p1"}, {"state", "SKIP"}, {"reason", "duplicate_plan"}, {"earlier", "1-0"}});
  EXPECT_THAT(offences(judge(1)), IsEmpty());
  EXPECT_THAT(offences(judge(8)), IsEmpty());
}

TEST_F(AuditTest, TwoPlansOfAnIntentAreNamed) {
  const std::string decision = decide();
  const std::string intent = intend(decision);
  for (const char* id : {"p1", "p2"}) plan(id, decision, intent);
  rest();
  EXPECT_THAT(offences(judge(1)), Contains(HasSubstr("expected one plan of it")));
}

TEST_F(AuditTest, IntentThatBecameNoPlanIsNamed) {
  const std::string decision = decide();
  const std::string intent = intend(decision);
  append("outcomes", {{"decision_id", decision}, {"state", "BLOCKED"}});
  rest();
  EXPECT_THAT(
      offences(judge(1)),
      ElementsAre("entry " + intent + ": expected one plan of it or one dead letter, found 0"));
}

TEST_F(AuditTest, EntriesOnTheirWayAreCountedApart) {
  up_to_order("p1");
  decide();
  rest("execution");
  const Finding half = judge(1);
  EXPECT_EQ(half.open, 2u) << "the decision and its plan";
  EXPECT_EQ(half.offences.size(), 1u) << "the second decision was acked by the router";
}

TEST_F(AuditTest, DeadLetterOnTheLaneEndsAStoryAndOneBesideItDoesNot) {
  const std::string refused = decide();
  const std::string half = decide();
  const auto letter = [&](const std::string& stage, const std::string& id) {
    append("dead", {{std::string(runtime::kDeadStage), stage},
                    {std::string(runtime::kDeadStream), "quantum:stream:ai.decision.made"},
                    {std::string(runtime::kDeadId), id}});
  };
  letter("router", refused);
  letter("ledger", half);
  rest();
  EXPECT_THAT(offences(judge(1)), ElementsAre(HasSubstr("decision " + half)));
}

// --- 2

TEST_F(AuditTest, SecondOrderOfAPlanAndLegIsNamed) {
  const std::string decision = whole("p1");
  const EntryId second = order("p1", decision, {{"client_order_id", "other"}});
  rest();
  const Finding finding = judge(2);
  ASSERT_EQ(finding.offences.size(), 1u);
  EXPECT_EQ(finding.offences[0].id, second);
  EXPECT_EQ(finding.offences[0].stream, "quantum:stream:apply.order");
  EXPECT_THAT(finding.offences[0].what, HasSubstr("leg 0 was ordered before"));
}

TEST_F(AuditTest, TwoLegsOfAPlanAreFineAndOneClientOrderIdForTwoIsNot) {
  const std::string decision = whole("p1");
  order("p1", decision, {{"leg", "1"}, {"client_order_id", "sl1-p1-1"}});
  EXPECT_THAT(judge(2).offences, IsEmpty());
  order("p2", decision, {{"client_order_id", "sl1-p1"}});
  EXPECT_THAT(offences(judge(2)), ElementsAre(HasSubstr("sl1-p1 was used before")));
}

// --- 3

TEST_F(AuditTest, OrderWithoutOrWithForeignPermitsIsNamed) {
  struct Case {
    Changes changes;
    const char* what;
  };
  const Case cases[] = {
      {{{"governor_permit", ""}}, "permit of governor is missing or cannot be read"},
      {{{"p33_permit", "{"}}, "permit of P3.3 is missing or cannot be read"},
      {{{"governor_permit", governor_permit("px")}}, "permit of governor is for plan px"},
      {{{"p33_permit", with(p33_permit("p"), {{"hash-p", "hash-other"}})}},
       "permit of P3.3 is for content hash-other, the order for hash-p"},
      {{{"governor_permit",
         with(governor_permit("p"), {{"\"granted\": true", "\"granted\": false"}})}},
       "permit of governor does not grant"},
      {{{"p33_permit", with(p33_permit("p"), {{"BTCUSDT", "ETHUSDT"}})}},
       "permit of P3.3 is for ETHUSDT"},
      {{{"created_us", now_us(61)}},
       "permit of governor was valid until 2025-12-15T08:01:00.000000Z"},
      {{{"quantity", "0.0011"}}, "quantity 0.0011 is above the permitted 0.001"},
  };
  std::string decision = decide();
  plan("p", decision, intend(decision));
  size_t expected = 0;
  for (const Case& one : cases) {
    order("p", decision, one.changes);
    bool found = false;
    for (const std::string& offence : offences(judge(3)))
      found = found || offence.starts_with(std::string("plan p: ") + one.what);
    EXPECT_TRUE(found) << one.what;
    ++expected;
  }
  EXPECT_EQ(expected, std::size(cases));
}

TEST_F(AuditTest, OrderForOtherContentThanThePlansIsNamed) {
  const std::string decision = decide();
  plan("p1", decision, intend(decision), {{"plan_hash", "changed"}});
  order("p1", decision);
  EXPECT_THAT(offences(judge(3)), ElementsAre("plan p1: no plan of this id has content hash-p1"));
}

TEST_F(AuditTest, PermitUsedTwiceIsNamed) {
  const std::string decision = whole("p1");
  order("p1", decision, {{"client_order_id", "again"}});
  EXPECT_THAT(offences(judge(3)), ElementsAre(HasSubstr("permit of governor was used before"),
                                              HasSubstr("permit of P3.3 was used before")));
}

TEST_F(AuditTest, PermitThatWentWithAnOrderAndIsStillThereIsNamed) {
  whole("p1");
  put("quantum:permit:p1", governor_permit("p1"));
  put("quantum:permit:p33:p1", p33_permit("p1"));
  EXPECT_EQ(judge(3).offences.size(), 2u);
}

TEST_F(AuditTest, OrderSentAfterItsPermitsEndedIsNamed) {
  whole("p1", {}, {{"sent_us", now_us(60)}});
  EXPECT_THAT(offences(judge(3)),
              ElementsAre("plan p1: sent 2025-12-15T08:01:00.000000Z, its permits were valid until "
                          "2025-12-15T08:01:00.000000Z"));
}

TEST_F(AuditTest, SendThatNoGateOrderedIsNamed) {
  fill("p9", decide());
  EXPECT_THAT(offences(judge(3)),
              ElementsAre("plan p9: order sl1-p9 was sent, and no gate ordered it"));
}

// --- 4

TEST_F(AuditTest, OrderAndSendWithTheKillSwitchSetAreNamed) {
  whole("before");
  clock_.advance(seconds(1));
  command("kill_on");
  clock_.advance(seconds(1));
  whole("meanwhile");
  clock_.advance(seconds(1));
  command("kill_off");
  clock_.advance(seconds(1));
  whole("after");
  const Finding finding = judge(4);
  EXPECT_EQ(finding.looked_at, 6u);
  EXPECT_THAT(offences(finding), ElementsAre(HasSubstr("plan meanwhile: ordered at"),
                                             HasSubstr("plan meanwhile: sent at")));
  EXPECT_THAT(finding.notes, IsEmpty());
}

TEST_F(AuditTest, SwitchThatNoCommandSetIsSaidToBeUnknown) {
  whole("p1");
  put("quantum:global:kill_switch", "maybe");
  const Finding finding = judge(4);
  EXPECT_EQ(finding.verdict(), Verdict::kHolds);
  EXPECT_THAT(finding.notes,
              ElementsAre("quantum:global:kill_switch is set: since when is not known"));
}

// --- 5

TEST_F(AuditTest, ReservationAboveTheHourlyLimitIsNamed) {
  for (const char* plan : {"p1", "p2", "p3", "p4"}) {
    whole(plan);
    clock_.advance(minutes(15));
  }
  EXPECT_THAT(offences(judge(5)),
              ElementsAre("plan p4: quantum:governor:rate:hour:BTCUSDT stood at 4 with it at "
                          "2025-12-15T08:45:00.000000Z; the limit is 3"));
}

TEST_F(AuditTest, ReservationsOfAnHourAgoDoNotCount) {
  for (const char* plan : {"p1", "p2", "p3", "p4", "p5", "p6"}) {
    whole(plan);
    clock_.advance(minutes(20));
  }
  EXPECT_THAT(judge(5).offences, IsEmpty());
}

TEST_F(AuditTest, ReservationsOfOrdersThatExecutedNothingAreGivenBack) {
  for (const char* plan : {"p1", "p2", "p3", "p4"}) {
    whole(plan, {}, {{"status", "EXPIRED"}, {"executed_qty", "0"}});
    clock_.advance(minutes(1));
  }
  EXPECT_THAT(judge(5).offences, IsEmpty());
}

TEST_F(AuditTest, ShareOfNothingGivenBackOnTheNextDayIsFine) {
  const std::string nothing = with(governor_permit("p1"), {{"9000000000", "0"}});
  clock_.advance(hours(20));
  whole("p1", {{"governor_permit", nothing}}, {{"status", "EXPIRED"}, {"executed_qty", "0"}});
  EXPECT_THAT(offences(judge(5)), IsEmpty());
}

TEST_F(AuditTest, ReservationsOfStopsThatRestAreKept) {
  for (const char* plan : {"p1", "p2", "p3", "p4"}) {
    whole(plan, {}, {{"status", "PLACED"}, {"executed_qty", "0"}});
    append("outcomes", {{"plan_id", plan},
                        {"executed", "False"},
                        {"client_order_id", std::string("sl1-") + plan},
                        {"result_us", now_us()}});
    clock_.advance(minutes(1));
  }
  EXPECT_THAT(offences(judge(5)), ElementsAre(HasSubstr("plan p4: quantum:governor:rate:hour")));
}

TEST_F(AuditTest, ReservationsAreNotGivenBackByPlansThatEndAtOnce) {
  for (const char* plan : {"p1", "p2", "p3", "p4"}) {
    whole(plan);
    append("outcomes", {{"plan_id", plan},
                        {"executed", "False"},
                        {"reason", "kill_switch_active"},
                        {"plan_published", "false"},
                        {"result_us", now_us()}});
    clock_.advance(minutes(1));
  }
  EXPECT_THAT(offences(judge(5)), ElementsAre(HasSubstr("plan p4: quantum:governor:rate:hour")));
}

TEST_F(AuditTest, DayIsCountedByItsOwnDate) {
  const auto daily = [&](const std::string& day, const std::string& amount) {
    return Changes{{R"("2025-12-15", "amount": 9000000000)", ""},
                   {"BTCUSDT:2025-12-15\", \"amount\": 9000000000",
                    "BTCUSDT:" + day + "\", \"amount\": " + amount}};
  };
  clock_.advance(hours(15) + minutes(59));
  whole("today",
        {{"governor_permit", with(governor_permit("today"), daily("2025-12-15", "500000000000"))}});
  clock_.advance(minutes(2));
  whole("next",
        {{"governor_permit", with(governor_permit("next"), daily("2025-12-16", "500000000000"))}});
  EXPECT_THAT(judge(5).offences, IsEmpty()) << "both days are full and neither is over";
  whole("late", {{"governor_permit", with(governor_permit("late"), daily("2025-12-15", "1"))}});
  EXPECT_THAT(
      offences(judge(5)),
      ElementsAre(HasSubstr("plan late: reserved from quantum:governor:daily:BTCUSDT:2025-12-15"),
                  HasSubstr("plan late: quantum:governor:daily:BTCUSDT:2025-12-15 stood at "
                            "5000.00000001 with it")));
}

// Whatever the clock said when they were given.
TEST_F(AuditTest, ReservationsAreCountedByTheIdsOfTheTrail) {
  const auto issue = [&](const std::string& plan, const std::string& at_us) {
    append("permits", {{"event", "issued"},
                       {"permit", "governor"},
                       {"plan_id", plan},
                       {"at_us", at_us},
                       {"inputs", R"({"limits": [{"counter": "quantum:governor:rate:hour:X", )"
                                  R"("amount": 1, "limit": 2}]})"}});
  };
  issue("p1", now_us());
  issue("p2", now_us());
  clock_.advance(minutes(61));
  issue("set back", now_us(-60 * 60));
  EXPECT_THAT(offences(judge(5)), IsEmpty());
  issue("p3", now_us());
  EXPECT_THAT(offences(judge(5)), IsEmpty());
  issue("set forward", now_us(2 * 60 * 60));
  EXPECT_THAT(offences(judge(5)), ElementsAre(HasSubstr("plan set forward: ")));
}

TEST_F(AuditTest, LimitsOfAnotherPolicyVersionAreNotJudged) {
  whole("p1",
        {{"governor_permit", with(governor_permit("p1"), {{governor_version_, "old.lua@1"}})}});
  EXPECT_THAT(judge(5).notes, ElementsAre(HasSubstr("2 reservations are not judged")));
}

// --- 6

TEST_F(AuditTest, LedgerThatIsNotTheSumOfFillsIsNamed) {
  whole("p1");
  books("0.002", "0.002");
  rest();
  EXPECT_THAT(offences(judge(6)),
              ElementsAre("BTCUSDT: quantum:position:ledger:BTCUSDT says 0.002, fills add up to "
                          "0.001"));
}

TEST_F(AuditTest, FillsOfStopsCountInTheSum) {
  whole("p1");
  append("fills", {{"plan_id", "p1"},
                   {"client_order_id", "sl1-stop"},
                   {"symbol", "BTCUSDT"},
                   {"side", "SELL"},
                   {"status", "FILLED"},
                   {"executed_qty", "0.001"},
                   {"result_us", now_us()}});
  books("0", "0");
  rest();
  EXPECT_THAT(offences(judge(6)), IsEmpty());
}

TEST_F(AuditTest, FillThatIsToldTwiceCountsOnce) {
  whole("p1");
  for (int i = 0; i < 2; ++i)
    append("fills", {{"plan_id", "p1"},
                     {"client_order_id", "sl1-stop"},
                     {"symbol", "BTCUSDT"},
                     {"side", "SELL"},
                     {"status", "FILLED"},
                     {"executed_qty", "0.001"},
                     {"result_us", now_us()}});
  books("0", "0");
  rest();
  EXPECT_THAT(offences(judge(6)), IsEmpty());
}

TEST_F(AuditTest, PositionThatIsNotTheLedgerIsNamed) {
  whole("p1");
  books("0.001", "0.003");
  rest();
  EXPECT_THAT(
      offences(judge(6)),
      ElementsAre("BTCUSDT: quantum:position:snapshot:BTCUSDT says 0.003, the ledger 0.001"));
}

TEST_F(AuditTest, RepairIsWhereTheSumBegins) {
  whole("p1");
  clock_.advance(seconds(1));
  command("repair_ledger", "BTCUSDT", "-0.5");
  clock_.advance(seconds(1));
  whole("p2");
  books("-0.499", "-0.499");
  rest();
  EXPECT_EQ(judge().text(), "");
}

TEST_F(AuditTest, LedgerIsNotJudgedWhileEntriesAreOnTheirWay) {
  whole("p1");
  books("0", "0");
  rest("ledger");
  const Finding finding = judge(6);
  EXPECT_EQ(finding.verdict(), Verdict::kNotJudged);
  EXPECT_THAT(finding.notes, ElementsAre("not at rest: 1 entries are on their way"));
}

// --- 7

TEST(AuditTrimming, PendingEntryThatIsGoneIsNamed) {
  stream::StreamInfo stream;
  stream.name = "s";
  stream.length = 2;
  stream.first = {5, 0};
  stream::GroupInfo group;
  group.name = "g";
  const stream::PendingInfo pending[] = {{{4, 1}, "c", 1, {}, {}}, {{5, 0}, "c", 1, {}, {}}};
  const auto offences = trimmed_unacked(stream, group, pending);
  ASSERT_EQ(offences.size(), 1u);
  EXPECT_EQ(offences[0].id, (EntryId{4, 1}));
  EXPECT_EQ(offences[0].what,
            "trimmed while group g still had it pending; the oldest entry kept is 5-0");
}

// A store that trims although the file does not say so: entries that nobody was given are gone.
TEST_F(AuditTest, TrimThatMayHaveOverrunAGroupIsTold) {
  rest();
  stream::StreamInfo stream;
  stream.entries_added = 5;
  stream.length = stream.keep = 2;
  stream.first = {4, 0};
  stream::GroupInfo group;
  group.lag = 2;
  group.last_delivered = {1, 0};
  EXPECT_TRUE(may_have_missed(stream, group));
  group.last_delivered = {4, 0};
  group.lag = 1;
  EXPECT_FALSE(may_have_missed(stream, group)) << "it has been given what is there";
  size_t wires = 0;
  for (const graph::StageSpec& stage : trade_pipeline().stages) wires += stage.inputs.size();
  EXPECT_EQ(judge(7).looked_at, wires);
}

// --- 8

TEST_F(AuditTest, DuplicateThatNamesNoEarlierDecisionIsNamed) {
  const std::string first = decide();
  const std::string second = decide();
  const auto verdict = [&](const std::string& earlier) {
    append("duplicates", {{"decision_id", second}, {"earlier", earlier}});
  };
  verdict(first);
  verdict("1-0");
  verdict(second);
  verdict("");
  EXPECT_THAT(
      offences(judge(8)),
      ElementsAre("decision " + second + ": names decision " + first +
                      ", which became no intent: the id was taken for nothing",
                  "decision " + second + ": names 1-0 as the earlier decision; there is none",
                  "decision " + second + ": names " + second +
                      " as the earlier decision, which is not earlier",
                  "decision " + second + ": names \"\" as the earlier decision; expected its id"));
  intend(first);
  EXPECT_EQ(judge(8).offences.size(), 3u);
}

TEST_F(AuditTest, DuplicatePlanMayStandBeforeItsOriginalWithinAMillisecond) {
  const std::string decision = decide();
  plan("p0", decision, intend(decision));
  plan("p1", decision, intend(decision));
  append("outcomes", {{"plan_id", "p1"}, {"decision", "SKIP"}, {"reason", "duplicate_plan"}});
  EXPECT_THAT(offences(judge(8)), IsEmpty());
}

TEST_F(AuditTest, DuplicatePlanWithoutAnOriginalIsNamed) {
  const std::string decision = decide();
  plan("p1", decision, intend(decision), {{"decision", "SKIP"}});
  append("outcomes", {{"plan_id", "p1"}, {"decision", "SKIP"}, {"reason", "duplicate_plan"}});
  EXPECT_THAT(offences(judge(8)),
              ElementsAre(HasSubstr("plan p1: ended as duplicate_plan, and no earlier plan")));
}

// --- What is not there

class TrimmedTest : public AuditTest {
 protected:
  // From the next entry or ack on.
  void keep(uint64_t count, std::initializer_list<const char*> keys) {
    for (const char* key : keys)
      ASSERT_TRUE(store_->open_stream(trade_pipeline().find_stream(key)->name, {count, false}));
  }
};

TEST_F(TrimmedTest, StreamIsJudgedFromItsOldestEntryOn) {
  const std::string lost = decide();
  clock_.advance(seconds(1));
  whole("p1");
  clock_.advance(seconds(1));
  keep(1, {"outcomes", "results", "orders"});
  whole("p2");
  rest();
  const Finding finding = judge(1);
  EXPECT_THAT(finding.offences, IsEmpty()) << offences(finding).front();
  EXPECT_THAT(finding.notes,
              Contains(HasSubstr("older decisions are not judged: quantum:stream:apply.result "
                                 "is trimmed and complete from")));
  EXPECT_THAT(judge(6).notes, Contains(HasSubstr("its fills cannot be added up")));
}

TEST_F(TrimmedTest, IntentAndProposalOfOneIdHaveAPlanEachAlthoughOneIsGone) {
  const std::string decision = decide();
  const std::string intent = intend(decision);
  ASSERT_EQ(append("proposals", {{"symbol", "BTCUSDT"}}).text(), intent);
  for (const char* id : {"p1", "p2"}) {
    plan(id, decision, intent, {{"decision", "SKIP"}});
    append("outcomes", {{"plan_id", id}, {"decision_id", id == std::string("p1") ? decision : ""}});
  }
  rest();
  EXPECT_THAT(offences(judge(1)), IsEmpty());
  keep(1, {"proposals"});
  clock_.advance(seconds(1));
  const std::string next = append("proposals", {{"symbol", "BTCUSDT"}}).text();
  plan("p3", "", next, {{"decision", "SKIP"}});
  append("outcomes", {{"plan_id", "p3"}});
  rest();
  EXPECT_THAT(offences(judge(1)), IsEmpty());
}

// Two plans of one id: the first one is gone, its record is not.
TEST_F(TrimmedTest, CopyOfAPlanIsLeftWithTheRecordsOfBoth) {
  whole("p1");
  rest();
  keep(2, {"plans"});
  clock_.advance(seconds(1));
  whole("p2");
  clock_.advance(seconds(1));
  plan("p1", "", "1-0");
  append("outcomes", {{"plan_id", "p1"}, {"decision", "SKIP"}, {"reason", "duplicate_plan"}});
  rest();
  EXPECT_THAT(offences(judge(1)), IsEmpty());
  EXPECT_THAT(offences(judge(8)), IsEmpty());
  clock_.advance(seconds(1));
  for (int i = 0; i < 2; ++i) append("outcomes", {{"plan_id", "p1"}, {"state", "FILLED"}});
  EXPECT_THAT(offences(judge(1)), ElementsAre(HasSubstr("plan p1: 4 terminal records")));
}

// The first plan of the id is gone while its order is not done yet, which ends before the second.
TEST_F(TrimmedTest, PlanThatEndedByItsOrderBehindTheTrimmingIsNotCountedForItsCopy) {
  keep(1, {"plans"});
  whole("p0");
  clock_.advance(seconds(1));
  plan("p1", "", "1-0");
  clock_.advance(seconds(1));
  whole("p2");
  rest();
  clock_.advance(seconds(1));
  append("outcomes", {{"plan_id", "p1"}, {"state", "EXPIRED"}});
  plan("p1", "", "2-0");
  append("outcomes", {{"plan_id", "p1"}, {"state", "BLOCKED"}});
  rest();
  EXPECT_THAT(offences(judge(1)), ::testing::Not(::testing::Contains(HasSubstr("plan p1"))));
}

TEST_F(TrimmedTest, OrderThatWaitedIsNotAskedForItsPlanNorItsSendForTheOrder) {
  const std::string decision = decide();
  plan("p1", decision, intend(decision));
  append(
      "permits",
      {{"event", "issued"}, {"permit", "governor"}, {"plan_id", "p1"}, {"plan_hash", "hash-p1"}});
  clock_.advance(seconds(1));
  up_to_order("p2");
  keep(1, {"plans"});
  rest();
  clock_.advance(seconds(1));
  order("p1", decision);
  EXPECT_THAT(offences(judge(3)), IsEmpty());
  clock_.advance(seconds(1));
  up_to_order("p3");
  keep(1, {"orders"});
  rest();
  clock_.advance(seconds(1));
  fill("p1", decision);
  EXPECT_THAT(offences(judge(3)), IsEmpty());
  order("p4", decision);
  EXPECT_THAT(offences(judge(3)), ElementsAre("plan p4: there is no such plan"));
}

TEST_F(TrimmedTest, PositionReadBeforeAFillThatIsGoneIsNotCompared) {
  whole("p1");
  books("0.001", "0");
  clock_.advance(seconds(2));
  whole("p2", {}, {{"symbol", "ETHUSDT"}});
  rest();
  EXPECT_THAT(offences(judge(6)), Contains(HasSubstr("position:snapshot:BTCUSDT says 0")));
  keep(1, {"results"});
  whole("p3", {}, {{"symbol", "ETHUSDT"}});
  rest();
  EXPECT_THAT(offences(judge(6)), Not(Contains(HasSubstr("BTCUSDT"))));
  EXPECT_THAT(judge(6).notes, Contains(HasSubstr("; later fills may be trimmed")));
}

// --- Times that no clock shows

TEST_F(AuditTest, TimesBeyondAnyClockAreHeldAtItsEnd) {
  EXPECT_EQ(iso_time_text(time_of_id({UINT64_MAX, 7})), "9999-12-31T23:59:59.999000Z");
  const std::string last = std::to_string(INT64_MAX), first = std::to_string(INT64_MIN);
  whole("p1", {{"created_us", last}}, {{"sent_us", last}, {"result_us", first}});
  EXPECT_THAT(offences(judge(3)),
              Contains(HasSubstr("the order was made 9999-12-31T23:59:59.999999Z")));
  put_fields("quantum:position:snapshot:BTCUSDT", {{"position_amt", "7"}, {"ts_epoch", last}});
  rest();
  EXPECT_THAT(offences(judge(6)), Contains(HasSubstr("says 7")));
  EXPECT_TRUE(judge(5).offences.empty());
}

TEST_F(AuditTest, OffencesBeyondTheBoundAreCounted) {
  for (int i = 0; i < 5; ++i) decide();
  rest();
  Options options;
  options.offences_max = 2;
  auto report = audit(trade_pipeline(), *store_, options);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->findings[0].offences.size(), 2u);
  EXPECT_EQ(report->findings[0].offences_more, 3u);
}

}  // namespace
}  // namespace sluice::audit
