// Which stages pass keys to which, told by the patterns they declare.
#include "graph/key_flow.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <deque>

namespace sluice::graph {
namespace {

enum : unsigned { kReads = 1, kWrites = 2, kCounts = 4, kTakes = 8 };

// A pipeline of stages that only have names and keys.
class KeyFlows : public testing::Test {
 protected:
  void stage(const std::string& name, std::vector<std::pair<std::string, unsigned>> keys) {
    plugin::Kind& kind = kinds_.emplace_back();
    for (const auto& [pattern, access] : keys)
      kind.keys.push_back({pattern, "", (access & kReads) != 0, (access & kWrites) != 0,
                           (access & kCounts) != 0, (access & kTakes) != 0});
    StageSpec& spec = pipeline_.stages.emplace_back();
    spec.name = name;
    spec.kind = &kind;
  }

  // "governor>permit:{id}>gate", writers and readers separated by "+".
  std::vector<std::string> flows() const {
    std::vector<std::string> out;
    const auto names = [&](const std::vector<size_t>& stages) {
      std::string text;
      for (const size_t i : stages) text += (text.empty() ? "" : "+") + pipeline_.stages[i].name;
      return text;
    };
    for (const KeyFlow& flow : key_flows(pipeline_))
      out.push_back(names(flow.writers) + ">" + flow.pattern + ">" + names(flow.readers));
    return out;
  }

  using Texts = std::vector<std::string>;
  std::deque<plugin::Kind> kinds_;
  Pipeline pipeline_;
};

TEST_F(KeyFlows, PermitGoesFromItsWriterToTheStageThatTakesIt) {
  stage("governor", {{"permit:{plan_id}", kWrites}});
  stage("p33", {{"permit:p33:{plan_id}", kWrites}});
  stage("gate", {{"permit:{plan}", kReads | kWrites}, {"permit:p33:{plan}", kReads | kWrites}});
  EXPECT_EQ(flows(), (Texts{"governor>permit:{plan_id}>gate", "p33>permit:p33:{plan_id}>gate"}));
}

TEST_F(KeyFlows, WhoTakesAKeyIsItsReaderOnly) {
  stage("gate", {{"permit:{id}", kTakes}});
  stage("governor", {{"permit:{id}", kWrites}});
  EXPECT_EQ(flows(), (Texts{"governor>permit:{id}>gate"}));
}

TEST_F(KeyFlows, StateThatOthersReadComesFromTheStageThatKeepsIt) {
  stage("p33", {{"ledger:{symbol}", kReads}});
  stage("ledger", {{"ledger:{symbol}", kReads | kWrites}});
  EXPECT_EQ(flows(), (Texts{"ledger>ledger:{symbol}>p33"}));
}

TEST_F(KeyFlows, StateOfOneStageHasNoReader) {
  stage("ledger", {{"seen:{id}", kReads | kWrites}});
  EXPECT_EQ(flows(), (Texts{"ledger>seen:{id}>"}));
}

TEST_F(KeyFlows, StagesThatShareStateAreBothEnds) {
  stage("left", {{"shared", kReads | kWrites}});
  stage("right", {{"shared", kReads | kWrites}});
  EXPECT_EQ(flows(), (Texts{"left+right>shared>left+right"}));
}

TEST_F(KeyFlows, KeyThatNobodyWritesComesFromOutsideAndLast) {
  stage("gate", {{"kill", kReads}, {"seen:{id}", kWrites}});
  EXPECT_EQ(flows(), (Texts{"gate>seen:{id}>", ">kill>gate"}));
  EXPECT_TRUE(key_flows(pipeline_).back().is_from_outside());
}

TEST_F(KeyFlows, OneKeyOfAFamilyIsFedByTheFamilysWriter) {
  stage("prices", {{"price:{symbol}", kWrites}});
  stage("reader", {{"price:BTCUSDT", kReads}});
  EXPECT_EQ(flows(), (Texts{"prices>price:{symbol}>", "prices>price:BTCUSDT>reader"}));
}

TEST_F(KeyFlows, CountersCarryNothingToAReader) {
  stage("governor", {{"rate:{symbol}", kCounts}});
  stage("gate", {{"rate:{s}", kCounts}});
  ASSERT_EQ(flows(), (Texts{"governor+gate>rate:{symbol}>"}));
  EXPECT_FALSE(key_flows(pipeline_).front().is_from_outside());
}

TEST(PatternsOverlap, PlaceholderIsOneOrMoreCharacters) {
  EXPECT_TRUE(patterns_overlap("a:{x}", "a:{y}"));
  EXPECT_TRUE(patterns_overlap("a:{x}", "a:b:{y}"));
  EXPECT_TRUE(patterns_overlap("{x}:b", "a:{y}"));
  EXPECT_TRUE(patterns_overlap("a:{x}:c", "a:b:c"));
  EXPECT_FALSE(patterns_overlap("a:{x}", "a:"));
  EXPECT_FALSE(patterns_overlap("a:{x}:c", "a::c"));
  EXPECT_FALSE(patterns_overlap("a:{x}:c", "b:{x}:c"));
}

// Random patterns over a small alphabet; placeholders are filled in with random text.
RC_GTEST_PROP(PatternsOverlap, EveryKeyOfAPatternOverlapsIt, ()) {
  const auto parts = *rc::gen::container<std::vector<std::string>>(
      rc::gen::element<std::string>("a", ":", "{x}", "b"));
  std::string pattern, key;
  for (const std::string& part : parts) {
    pattern += part;
    key += part == "{x}" ? *rc::gen::nonEmpty(rc::gen::container<std::string>(
                               rc::gen::elementOf(std::string("ab:"))))
                         : part;
  }
  RC_ASSERT(patterns_overlap(pattern, key));
  RC_ASSERT(patterns_overlap(key, pattern));
  RC_ASSERT(!patterns_overlap(pattern, key + "z") || pattern.ends_with("{x}"));
}

}  // namespace
}  // namespace sluice::graph
