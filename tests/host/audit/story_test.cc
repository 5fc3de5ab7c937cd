#include "audit/story.h"

#include <gmock/gmock.h>

#include "scene.h"

namespace sluice::audit {
namespace {

using std::chrono::milliseconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class StoryTest : public Scene {
 protected:
  Story tell_of(const std::string& id) {
    auto story = tell(trade_pipeline(), *store_, id);
    EXPECT_TRUE(story) << story.status().text();
    return story ? std::move(*story) : Story{};
  }
  static std::vector<std::string> who(const Story& story) {
    std::vector<std::string> names;
    for (const Happening& happening : story.happenings) names.push_back(happening.who);
    return names;
  }
};

TEST_F(StoryTest, EveryIdOfADecisionTellsTheSameStory) {
  const std::string decision = whole("p1");
  whole("p2");
  const Story story = tell_of("p1");
  EXPECT_THAT(who(story), ElementsAre("producer", "router", "plan", "governor", "p33", "gate",
                                      "gate", "gate", "execution", "result"));
  EXPECT_THAT(story.decisions, ElementsAre(decision));
  EXPECT_THAT(story.endings, ElementsAre("FILLED"));
  for (const std::string& id : {decision, std::string("sl1-p1")})
    EXPECT_EQ(who(tell_of(id)), who(story)) << id;
}

TEST_F(StoryTest, PermitsAreToldWithTheirAgeAndWhatTheyReserved) {
  whole("p1");
  const Story story = tell_of("p1");
  EXPECT_THAT(story.happenings.at(3).values,
              Contains("reserved 1 of quantum:governor:rate:hour:BTCUSDT"));
  EXPECT_EQ(story.happenings.at(3).policy, governor_version_);
  EXPECT_THAT(story.happenings.at(7).values,
              Contains("permit of governor used, 0 us old, with 60 s left"));
}

TEST_F(StoryTest, DuplicateNamesItsOriginalAndHowMuchLaterItCame) {
  const std::string first = decide();
  clock_.advance(milliseconds(1500));
  const std::string second = decide();
  append("duplicates", {{"decision_id", second}, {"earlier", first}, {"key", "dedup:x"}});
  const Story story = tell_of(second);
  EXPECT_EQ(story.happenings.at(1).text,
            "duplicate of decision " + first + ", which came 1 s earlier");
  EXPECT_THAT(story.happenings.at(1).values, ElementsAre("both have the key dedup:x"));
}

TEST_F(StoryTest, IdsBeyondAnyClockAreHeldAtItsEnd) {
  append("duplicates",
         {{"decision_id", "18446744073709551615-0"}, {"earlier", "1-0"}, {"key", "dedup:x"}});
  EXPECT_EQ(tell_of("18446744073709551615-0").happenings.at(0).text,
            "duplicate of decision 1-0, which came 70389527 h earlier");
}

TEST_F(StoryTest, ConflictSaysThatTheTwoDiffer) {
  const std::string first = decide(), second = decide();
  append("duplicates",
         {{"decision_id", second}, {"earlier", first}, {"key", "dedup:x"}, {"reason", "conflict"}});
  const Story story = tell_of(second);
  EXPECT_THAT(story.happenings.at(1).text,
              ::testing::StartsWith("conflict with decision " + first));
  EXPECT_THAT(story.happenings.at(1).values,
              ElementsAre("both have the key dedup:x",
                          "they say different things; this one was not published"));
  EXPECT_THAT(story.endings, ElementsAre("conflict with " + first));
}

TEST_F(StoryTest, TraceIdTellsOfEveryDecisionThatCarriesIt) {
  append("decisions", {{"trace_id", "t"}});
  append("decisions", {{"trace_id", "t"}});
  append("decisions", {{"trace_id", "u"}});
  EXPECT_EQ(tell_of("t").decisions.size(), 2u);
}

TEST_F(StoryTest, CommandsOfOperatorsMeanwhileArePartOfIt) {
  const std::string decision = up_to_order("p1");
  clock_.advance(milliseconds(100));
  command("kill_on");
  clock_.advance(milliseconds(100));
  fill("p1", decision, {{"status", "REJECTED"}, {"executed_qty", "0"}, {"sent_us", ""}});
  clock_.advance(milliseconds(100));
  command("kill_off");
  const Story story = tell_of("p1");
  EXPECT_THAT(who(story), ElementsAre("producer", "router", "plan", "governor", "p33", "gate",
                                      "gate", "gate", "operator", "execution", "result"));
  EXPECT_THAT(story.happenings.at(9).values, Contains("nothing was sent"));
}

TEST_F(StoryTest, UnknownIdTellsNothing) {
  whole("p1");
  EXPECT_THAT(tell_of("p9").happenings, IsEmpty());
  EXPECT_THAT(tell_of("").happenings, IsEmpty());
}

TEST_F(StoryTest, StoryThatGoesOnHasNoEnding) {
  up_to_order("p1");
  EXPECT_THAT(tell_of("p1").endings, IsEmpty());
}

}  // namespace
}  // namespace sluice::audit
