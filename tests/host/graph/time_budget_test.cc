#include "graph/time_budget.h"

#include <gmock/gmock.h>

#include <string>

#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class TimeBudget : public PipelineFiles {
 protected:
  // Plans go to one that issues permits and one that waits for them; `issue` and `await` are what
  // these stages say beside that.
  std::string text(const std::string& issue, const std::string& await) const {
    return "api: sluice/v1\n"
           "pipeline: permits\n"
           "streams: { plans: { external: true }, orders: { unread: true }, dead: {} }\n"
           "stages:\n"
           "  issue: { use: flow.issue, from: plans" +
           issue +
           " }\n"
           "  await: { use: flow.await, from: plans, to: { out: orders }" +
           await +
           " }\n"
           "defaults: { dead_letter: dead }\n";
  }
};

// 2 s wait; 5 tries: 100 + 200 + 400 + 800 ms.
TEST_F(TimeBudget, SumsWaitsAndTriesOfTheSlowestPath) {
  const Loaded loaded = load(text("", ""));
  EXPECT_THAT(loaded.findings, IsEmpty());
  ASSERT_EQ(loaded.budget.size(), 1u);
  const PathBudget& budget = loaded.budget[0];
  EXPECT_EQ(budget.stage, "await");
  EXPECT_EQ(budget.limit.worst, std::chrono::minutes(10));
  EXPECT_THAT(budget.path, ElementsAre("await"));
  EXPECT_EQ(budget.worst(), milliseconds(3500));
  EXPECT_THAT(budget_text(loaded.budget), HasSubstr("permit_wait"));
}

TEST_F(TimeBudget, LongerOfTwoPathsCounts) {
  const Loaded loaded = load(
      "api: sluice/v1\npipeline: two\n"
      "streams: { a: { external: true }, b: {}, dead: {}, out: { unread: true } }\n"
      "stages:\n"
      "  quick: { use: flow.pass, from: a, group: q, to: { out: b }, deliveries_max: 1 }\n"
      "  slow: { use: flow.pass, from: a, to: { out: b }, retry: { min: 1s, max: 2s } }\n"
      "  await: { use: flow.await, from: b, to: { out: out }, deliveries_max: 1 }\n"
      "defaults: { dead_letter: dead }\n");
  ASSERT_EQ(loaded.budget.size(), 1u);
  EXPECT_THAT(loaded.budget[0].path, ElementsAre("slow", "await"));
  EXPECT_EQ(loaded.budget[0].worst(), milliseconds(1000 + 2000 + 2000 + 2000 + 2000));
}

TEST_F(TimeBudget, EntryThatGrowsTooOldIsFoundWithTheSum) {
  const Loaded loaded = load(text("", ", with: { age_max: 3s }"));
  ASSERT_EQ(loaded.findings.size(), 1u);
  const Finding& finding = loaded.findings[0];
  EXPECT_EQ(finding.code, "S0702");
  EXPECT_EQ(finding.place.line, 6);
  EXPECT_EQ(finding.text,
            "an entry can be 3.5s old when await is done with it, which gives it up after age_max "
            "3s: await permit_wait 2s (default) + 5 tries 1.5s");
  EXPECT_TRUE(loaded.pipeline);
}

TEST_F(TimeBudget, PermitThatExpiresBeforeTheWaitEndsIsFoundAtItsPolicy) {
  write("lua/issue.lua", "return {\n  permit_ttl = function(plan) return 3 * s end\n}\n");
  const Loaded loaded = load(text(", policy: lua/issue.lua", ""));
  ASSERT_EQ(loaded.findings.size(), 1u);
  const Finding& finding = loaded.findings[0];
  EXPECT_EQ(finding.code, "S0701");
  EXPECT_EQ(finding.place.line, 5);
  EXPECT_EQ(finding.place.column, 50);
  EXPECT_EQ(finding.text,
            "issue writes permit:{plan} with permit_ttl 3s (" + folder_ +
                "/lua/issue.lua:2), and await can wait 3.5s for it: await permit_wait 2s "
                "(default) + 5 tries 1.5s");
  EXPECT_EQ(finding.expected, "permit_ttl of at least 3.5s, or a shorter wait");
}

TEST_F(TimeBudget, HookThatLooksAtItsEntryShowsItsRangeBesideItsAnswer) {
  write("lua/await.lua",
        "return { permit_wait = function(plan)\n"
        "  if plan.symbol == \"BTCUSDT\" then return 1 * s end\n"
        "  return 4 * s\nend }\n");
  const Loaded loaded = load(text("", ", policy: lua/await.lua"));
  ASSERT_EQ(loaded.budget.size(), 1u);
  EXPECT_EQ(loaded.budget[0].parts[0].worst, milliseconds(4000));
  EXPECT_EQ(loaded.budget[0].parts[0].allowed, milliseconds(30'000));
  EXPECT_EQ(loaded.budget[0].parts[0].origin, folder_ + "/lua/await.lua:1");
}

TEST_F(TimeBudget, HookThatFailsWithoutAnEntryCountsWithItsWholeRange) {
  write("lua/await.lua", "return { permit_wait = function(plan) return #plan.symbol * s end }\n");
  const Loaded loaded = load(text("", ", policy: lua/await.lua"));
  ASSERT_EQ(loaded.budget.size(), 1u);
  EXPECT_EQ(loaded.budget[0].parts[0].worst, milliseconds(30'000));
}

using KeySpaces = TimeBudget;

TEST_F(KeySpaces, TwoOwnersOfOneFamilyAreFound) {
  const Loaded loaded = load(text("", ", group: x }\n  more: { use: flow.issue, from: plans"));
  ASSERT_EQ(loaded.findings.size(), 1u);
  EXPECT_EQ(loaded.findings[0].code, "S0315");
  EXPECT_EQ(loaded.findings[0].text, "issue and more both own the keys permit:{id}");
  EXPECT_EQ(loaded.findings[0].place.line, 7);
}

// Two stages with keys: `issue` has permit:{id}, `await` permit:{plan}.
TEST_F(KeySpaces, KeysOfNoEntryAreFoundWithSeveralShardsUnlessListedForEach) {
  const auto sharded = [this](const std::string& more) {
    std::string file = text("", "");
    return file.insert(file.find("streams:"),
                       "engine: { kind: redis, url: \"redis://localhost\", " + more + " }\n");
  };
  EXPECT_THAT(marks(text("", "")), IsEmpty());
  EXPECT_THAT(marks(sharded("shards: 1")), IsEmpty());
  const Loaded loaded = load(sharded("shards: 4, shard_by: symbol"));
  ASSERT_EQ(loaded.findings.size(), 1u);
  EXPECT_EQ(loaded.findings[0].code, "S0317");
  EXPECT_EQ(loaded.findings[0].place.line, 7);
  EXPECT_EQ(loaded.findings[0].text,
            "await has permit:{plan} for all entries, and each of 4 shards would have its own");
  EXPECT_THAT(marks(sharded("shards: 4, shard_by: plan")), IsEmpty());
  EXPECT_THAT(marks(sharded("shards: 4, shard_by: symbol, per_shard: [\"permit:{p}\"]")),
              IsEmpty());
}

TEST_F(KeySpaces, AListedPatternThatNoStageTouchesIsFound) {
  std::string file = text("", "");
  file.insert(file.find("streams:"),
              "engine: { kind: redis, url: \"redis://localhost\", shards: 4, shard_by: plan, "
              "per_shard: [\"permits:{id}\"] }\n");
  const Loaded loaded = load(file);
  ASSERT_EQ(loaded.findings.size(), 1u);
  EXPECT_EQ(loaded.findings[0].code, "S0110");
  EXPECT_EQ(loaded.findings[0].text, "engine.per_shard names permits:{id}, which no stage touches");
  EXPECT_EQ(loaded.findings[0].suggestion, "permit:{id}");
}

TEST_F(KeySpaces, StagesWithKeysAreFoundOnAClusterWithoutShards) {
  std::string cluster = text("", "");
  cluster.insert(cluster.find("streams:"),
                 "engine: { kind: redis, url: \"redis+cluster://localhost\" }\n");
  EXPECT_THAT(marks(cluster), ElementsAre("S0316 6:3", "S0316 7:3"));
  cluster.insert(cluster.find(" }\nstreams:"), ", shards: 1");
  EXPECT_THAT(marks(cluster), IsEmpty()) << "one tag in front of all names";
}

TEST_F(KeySpaces, StreamsOfAStageWithoutACommonHashTagAreFoundOnACluster) {
  const auto named = [](const std::string& out) {
    return "api: sluice/v1\npipeline: tags\n"
           "streams: { in: { name: \"{a}in\", external: true }, out: { name: \"" +
           out +
           "\", unread: true }, dead: { name: \"{a}dead\" } }\n"
           "engine: { kind: redis, url: \"redis+cluster://localhost\" }\n"
           "stages:\n"
           "  pass: { use: flow.pass, from: in, to: { out: out } }\n"
           "defaults: { dead_letter: dead }\n";
  };
  EXPECT_THAT(marks(named("{a}out")), IsEmpty());
  EXPECT_THAT(marks(named("{b}out")), ElementsAre("S0316 6:3"));
  EXPECT_THAT(marks(named("out")), ElementsAre("S0316 6:3"));
}

using PluginsOwnCheck = PipelineFiles;

TEST_F(PluginsOwnCheck, ComplaintsStandAtTheSettingAndDeathsAtTheStage) {
  const auto pipeline = [](const std::string& mood) {
    return "api: sluice/v1\npipeline: picky\n"
           "streams: { a: { external: true }, b: { unread: true }, dead: {} }\n"
           "stages:\n  p:\n    use: flow.picky\n    from: a\n    to: { out: b }\n"
           "    with: { mood: " +
           mood +
           " }\n"
           "defaults: { dead_letter: dead }\n";
  };
  EXPECT_THAT(marks(pipeline("fine")), IsEmpty());
  EXPECT_THAT(marks(pipeline("sad")), ElementsAre("S0314 9:19"));
  EXPECT_EQ(load(pipeline("sad")).findings[0].text, "stages.p.with.mood: expected fine, got sad");
  EXPECT_THAT(marks(pipeline("abort")), ElementsAre("S0314 9:5"));
  EXPECT_THAT(load(pipeline("abort")).findings[0].text, HasSubstr("crashed with signal 6"));
  EXPECT_THAT(load(pipeline("exit")).findings[0].text, HasSubstr("exited with status 0"));
}

}  // namespace
}  // namespace sluice::graph
