// The lane without permits: what audit judges of it, what it leaves out, and what `why` tells.
#include <gmock/gmock.h>

#include "audit/audit.h"
#include "audit/story.h"
#include "scene.h"

namespace sluice::audit {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class EntryLaneTest : public Scene {
 protected:
  EntryLaneTest() : Scene(reference_pipeline()) {}

  EntryId order_of(const std::string& intent, const Changes& changes = {}) {
    return append("entry_orders", merged({{"permits", "none"},
                                          {"intent_key", "BTCUSDT_" + intent},
                                          {"intent_id", intent},
                                          {"client_order_id", "sl1-" + intent},
                                          {"symbol", "BTCUSDT"},
                                          {"side", "BUY"},
                                          {"type", "MARKET"},
                                          {"quantity", "0.001"},
                                          {"leverage", "5"},
                                          {"created_us", now_us()},
                                          {"valid_until_us", now_us(60)}},
                                         changes));
  }
  EntryId result_of(const std::string& intent, const std::string& decision,
                    const Changes& changes = {}) {
    return append("results", merged({{"client_order_id", "sl1-" + intent},
                                     {"intent_id", intent},
                                     {"decision_id", decision},
                                     {"symbol", "BTCUSDT"},
                                     {"side", "BUY"},
                                     {"status", "FILLED"},
                                     {"executed_qty", "0.001"},
                                     {"avg_price", "50000"},
                                     {"sent_us", now_us()},
                                     {"result_us", now_us()},
                                     {"policy", "execution.lua@1"}},
                                    changes));
  }
  // A decision, its intent, its order and its fill; gives the intent's id.
  std::string entry(const Changes& order = {}, const Changes& result = {}) {
    const std::string decision = decide();
    const std::string intent = intend(decision);
    order_of(intent, order);
    result_of(intent, decision, result);
    return intent;
  }
};

TEST_F(EntryLaneTest, SoundEntryHoldsAllInvariantsAndTheLaneIsNamed) {
  entry();
  books("0.001", "0.001");
  rest();
  const Report report = judge();
  EXPECT_EQ(report.text(), "");
  EXPECT_TRUE(report.holds());
  EXPECT_EQ(report.findings[0].looked_at, 2u) << "the decision and its intent";
  EXPECT_EQ(report.findings[1].looked_at, 1u);
  EXPECT_THAT(report.findings[2].notes, ElementsAre("entry lane: no permits by design, 1 order"));
  EXPECT_EQ(report.findings[3].looked_at, 2u) << "ordered and sent";
}

TEST_F(EntryLaneTest, IntentWithoutARecordOrWithTwoIsNamed) {
  const std::string lost = append("intents", {{"payload", "{}"}}).text();
  const std::string twice = entry();
  result_of(twice, "");
  rest();
  EXPECT_THAT(offences(judge(1)),
              ElementsAre("intent " + lost + ": no terminal record and nobody works on it",
                          HasSubstr("intent " + twice + ": 2 terminal records")));
}

TEST_F(EntryLaneTest, IntentOnItsWayIsOpen) {
  const std::string decision = decide();
  order_of(intend(decision), {{"decision_id", decision}});
  rest("entries");
  const Finding finding = judge(1);
  EXPECT_EQ(finding.open, 2u) << "the decision and its intent";
  EXPECT_THAT(finding.offences, IsEmpty());
}

TEST_F(EntryLaneTest, DeadOrderEndsItsIntent) {
  const std::string decision = decide();
  const std::string intent = intend(decision);
  const EntryId order = order_of(intent, {{"decision_id", decision}});
  append("dead", {{"sluice.stage", "entries"},
                  {"sluice.reason", "policy_error"},
                  {"sluice.stream", pipeline_.find_stream("entry_orders")->name},
                  {"sluice.id", order.text()},
                  {"intent_id", intent},
                  {"decision_id", decision}});
  rest();
  EXPECT_THAT(offences(judge(1)), IsEmpty());
}

TEST_F(EntryLaneTest, SecondOrderOfAnIntentIsNamed) {
  const std::string intent = entry();
  order_of(intent, {{"client_order_id", "sl1-other"}});
  rest();
  EXPECT_THAT(offences(judge(2)),
              ElementsAre(HasSubstr("intent " + intent + ": was ordered before")));
}

TEST_F(EntryLaneTest, OrderOfNoIntentAndOrderWithAPlanAreNamed) {
  order_of("1-1");
  entry({{"plan_id", "p1"}});
  rest();
  EXPECT_THAT(offences(judge(3)), ElementsAre("intent 1-1: there is no such intent",
                                              HasSubstr("takes orders of trade intents alone")));
}

TEST_F(EntryLaneTest, OrderWithoutPermitsInTheExitLaneIsBrokenAsEver) {
  append("exit_orders", {{"plan_id", "p1"}, {"client_order_id", "sl1-p1"}});
  rest();
  EXPECT_THAT(offences(judge(3)),
              Contains(HasSubstr("permit of governor is missing or cannot be read")));
}

TEST_F(EntryLaneTest, SendAfterItsTimeAndSendNobodyOrderedAreNamed) {
  entry({{"valid_until_us", now_us()}});
  result_of("9-9", "");
  rest();
  EXPECT_THAT(offences(judge(3)), ElementsAre(HasSubstr(", it was valid until "),
                                              HasSubstr("order sl1-9-9 was sent, and no gate")));
}

TEST_F(EntryLaneTest, OrderWithTheKillSwitchSetIsNamed) {
  command("kill_on");
  clock_.advance(std::chrono::seconds(1));
  const std::string intent = entry();
  rest();
  EXPECT_THAT(offences(judge(4)), Contains(HasSubstr("intent " + intent + ": ordered at ")));
}

TEST_F(EntryLaneTest, DuplicateOfAnIntentNamesAnEarlierIntent) {
  const std::string first = entry();
  const std::string second = append("intents", {{"payload", "{}"}}).text();
  append("duplicates", {{"intent_id", second}, {"earlier", first}});
  const std::string third = append("intents", {{"payload", "{}"}}).text();
  append("duplicates", {{"intent_id", third}, {"earlier", "1-1"}});
  append("duplicates", {{"intent_id", second}, {"earlier", third}});
  rest();
  const Finding finding = judge(8);
  EXPECT_EQ(finding.looked_at, 3u);
  EXPECT_THAT(offences(finding), ElementsAre(HasSubstr("as the earlier intent; there is none"),
                                             HasSubstr("which is not earlier")));
}

TEST_F(EntryLaneTest, StoryOfAnIntentGoesFromItsOriginToItsFill) {
  const std::string intent = entry();
  const auto story = tell(pipeline_, *store_, "sl1-" + intent);
  ASSERT_TRUE(story) << story.status().text();
  std::vector<std::string> told;
  for (const Happening& happening : story->happenings)
    told.push_back(happening.who + ": " + happening.text);
  EXPECT_THAT(told, ElementsAre(HasSubstr("producer: decision"), HasSubstr("router: trade intent"),
                                HasSubstr("intents: order sl1-" + intent),
                                HasSubstr("entries: FILLED: BUY 0.001 BTCUSDT at 50000")));
  EXPECT_EQ(story->endings.size(), 1u);
}

TEST_F(EntryLaneTest, StoryOfAnIntentWithoutADecisionIsFoundByItsId) {
  const std::string intent =
      append("intents", {{"payload", R"({"symbol": "BTCUSDT", "side": "BUY"})"}}).text();
  clock_.advance(std::chrono::seconds(1));
  order_of(intent);
  result_of(intent, "");
  const auto story = tell(pipeline_, *store_, intent);
  ASSERT_TRUE(story) << story.status().text();
  EXPECT_EQ(story->happenings.size(), 3u);
}

}  // namespace
}  // namespace sluice::audit
