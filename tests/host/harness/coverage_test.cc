#include "harness/coverage.h"

#include <gmock/gmock.h>

namespace sluice::harness {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CoverageTest : public ::testing::Test {
 protected:
  CoverageTest() {
    kind_.reasons = {"too_late", "blocked", "unknown_action_<ACTION>", "symbol"};
    kind_.hooks.resize(1);
    kind_.hooks[0].name = "wait";
    plugin_.name = "p";
    pipeline_.file = "f.yaml";
    for (const char* name : {"one", "two"}) {
      graph::StageSpec stage;
      stage.name = name;
      stage.plugin = &plugin_;
      stage.kind = &kind_;
      stage.outputs = {{"out", 0, false, {}}};
      pipeline_.stages.push_back(stage);
    }
    coverage_.add(pipeline_);
  }

  void emitted(const stream::Fields& fields) {
    stream::Unit unit;
    stream::Effect emit;
    emit.bytes = fields.encoded();
    unit.effects.push_back(emit);
    coverage_.committed("f.yaml", "one", unit, std::vector<std::string>{"out"});
  }

  Coverage::Line line(size_t i) const { return coverage_.reports().at(0).lines.at(i); }

  plugin::Kind kind_;
  plugin::Description plugin_;
  graph::Pipeline pipeline_;
  Coverage coverage_;
};

TEST_F(CoverageTest, NothingReachedNamesEverything) {
  EXPECT_DOUBLE_EQ(coverage_.percent(), 0);
  EXPECT_THAT(line(0).ports.missing, ElementsAre("out"));
  EXPECT_EQ(line(0).all(), 6u);
}

TEST_F(CoverageTest, ReasonsCountAsWholeValuesListsBeforeColonsAndInJson) {
  emitted({{"reason", "late: too_late"}, {"symbol", "BTC"}, {"p", R"({"symbol":"BTC"})"}});
  EXPECT_THAT(line(0).reasons.missing,
              ElementsAre("too_late", "blocked", "unknown_action_<ACTION>", "symbol"));
  emitted({{"reason", "blocked:daily"}});
  emitted({{"codes", "a, too_late"}});
  emitted({{"codes", "unknown_action_X"}});
  emitted({{"payload", R"({"reason":"symbol","n":1})"}});
  EXPECT_THAT(line(0).reasons.missing, IsEmpty());
  EXPECT_EQ(line(1).reasons.reached, 0u);
}

TEST_F(CoverageTest, ReasonsInClaimsAndKeysCount) {
  stream::Unit unit;
  stream::Condition claim;
  claim.value = R"({"allow":false,"reason":"blocked"})";
  unit.conditions.push_back(claim);
  stream::Effect put;
  put.kind = stream::EffectKind::kPut;
  put.bytes = "too_late";
  unit.effects.push_back(put);
  coverage_.committed("f.yaml", "two", unit, {});
  EXPECT_THAT(line(1).reasons.missing, ElementsAre("unknown_action_<ACTION>", "symbol"));
  EXPECT_THAT(line(1).ports.missing, ElementsAre("out"));
}

TEST_F(CoverageTest, HookIsReachedForAllStagesOfItsPlugin) {
  coverage_.called("f.yaml", "two", "wait");
  EXPECT_THAT(line(0).hooks.missing, IsEmpty());
  EXPECT_THAT(line(1).hooks.missing, IsEmpty());
  EXPECT_DOUBLE_EQ(coverage_.percent(), 100.0 * 2 / 12);
}

TEST_F(CoverageTest, SecondFileOfAPipelineGoesOnCounting) {
  emitted({{"reason", "blocked"}});
  coverage_.add(pipeline_);
  EXPECT_EQ(line(0).ports.reached, 1u);
}

TEST(CoverageOfNothing, IsWhole) { EXPECT_DOUBLE_EQ(Coverage().percent(), 100); }

}  // namespace
}  // namespace sluice::harness
