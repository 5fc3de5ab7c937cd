#include "harness/text.h"

#include <gmock/gmock.h>

#include "base/iso_time.h"

namespace sluice::harness {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Knows an entry of `orders` with an id, and nothing else.
class FixedScope final : public Scope {
 public:
  WallTime now() const override { return *parse_iso_time("2026-01-02T10:00:00.5Z"); }
  std::optional<std::string> newest(std::string_view stream,
                                    std::string_view field) const override {
    if (stream != "orders" || field != "id") return std::nullopt;
    return "o-1";
  }
  std::optional<std::string> request(std::string_view field) const override {
    return "asked " + std::string(field);
  }
  std::optional<std::string> idempotency_key() const override { return "key-1"; }
};

const FixedScope kScope;

graph::Node tree(std::string_view yaml) {
  graph::Findings findings("test");
  auto node = graph::read_tree(yaml, findings);
  EXPECT_TRUE(node.has_value()) << yaml;
  return node ? *node : graph::Node{};
}

// "what: expected X, got Y" of each member of `expected` against the field of that name.
std::vector<std::string> mismatches(std::string_view expected, const stream::Fields& actual) {
  std::vector<Mismatch> found;
  compare_fields(tree(expected), actual.view(), "e", kScope, found);
  std::vector<std::string> out;
  for (const Mismatch& m : found)
    out.push_back(m.what + ": expected " + m.expected + ", got " + m.got);
  return out;
}

TEST(HarnessExpand, ClockEntriesAndRequestAreReplaced) {
  EXPECT_EQ(*expand("${now}", kScope), "1767348000");
  EXPECT_EQ(*expand("${now_ms+1ms}|${now_us-500ms}", kScope), "1767348000501|1767348000000000");
  EXPECT_EQ(*expand("${now_iso+1d}", kScope), "2026-01-03T10:00:00.500000Z");
  EXPECT_EQ(*expand("a ${orders.id} $b ${request.qty} ${key}", kScope), "a o-1 $b asked qty key-1");
}

TEST(HarnessExpand, WhatIsNotThereIsAnErrorThatNamesIt) {
  const auto text = expand("x ${plans.id}", kScope);
  ASSERT_FALSE(text.is_ok());
  EXPECT_EQ(text.status().text(), "${plans.id}: there is no such entry or field");
}

TEST(HarnessFields, NestedValuesBecomeJsonTyped) {
  const auto fields = to_fields(
      tree("a: 1\nb: { n: 1.50, s: \"1\", t: true, z: null, l: [x, -2], q: \"a\\\"b\" }\n"),
      kScope);
  ASSERT_TRUE(fields.is_ok());
  EXPECT_EQ(fields->find("a"), "1");
  EXPECT_EQ(fields->find("b"),
            R"({"n": 1.50, "s": "1", "t": true, "z": null, "l": ["x", -2], "q": "a\"b"})");
}

TEST(HarnessCompare, TextsCompareByteByByte) {
  const stream::Fields actual{{"a", "1.0"}, {"b", ""}};
  EXPECT_THAT(mismatches("a: 1.0\nb: \"\"\n", actual), IsEmpty());
  EXPECT_THAT(mismatches("a: 1\nb: x\nc: x\n", actual),
              ElementsAre("e.a: expected 1, got 1.0", "e.b: expected x, got an empty text",
                          "e.c: expected x, got nothing"));
}

TEST(HarnessCompare, AbsentAndPresentAreWordsOnlyWithoutQuotes) {
  const stream::Fields actual{{"a", "absent"}};
  EXPECT_THAT(mismatches("a: present\nb: absent\n", actual), IsEmpty());
  EXPECT_THAT(mismatches("a: \"absent\"\n", actual), IsEmpty());
  EXPECT_THAT(
      mismatches("a: absent\nb: present\n", actual),
      ElementsAre("e.a: expected absent, got absent", "e.b: expected present, got nothing"));
}

TEST(HarnessCompare, PatternsAndExactNumbers) {
  const stream::Fields actual{{"a", "sl1-00ff"}, {"n", "0.100000000000000001"}, {"w", "word"}};
  EXPECT_THAT(mismatches("a: /^sl1-[0-9a-f]{4}$/\nn: \"> 0.1\"\n", actual), IsEmpty());
  EXPECT_THAT(mismatches("n: \"<= 0.1000000000000000010\"\n", actual), IsEmpty());
  EXPECT_THAT(
      mismatches("a: /^x/\nn: \"< 0.1\"\nw: \">= 0\"\n", actual),
      ElementsAre("e.a: expected /^x/, got sl1-00ff",
                  "e.n: expected < 0.1, got 0.100000000000000001", "e.w: expected >= 0, got word"));
}

TEST(HarnessCompare, MapsAndListsLookIntoJson) {
  const stream::Fields actual{{"p", R"({"s":"BTC","n":1.50,"ok":true,"in":{"a":[1,2]},"z":null})"},
                              {"bad", "{"}};
  EXPECT_THAT(
      mismatches("p: { s: BTC, n: 1.50, ok: true, in: { a: [1, \"> 1\"] }, no: absent }\n", actual),
      IsEmpty());
  EXPECT_THAT(
      mismatches("p: { n: 1.5, in: { a: [1] }, s: { x: 1 }, z: [] }\nbad: { a: 1 }\n", actual),
      ElementsAre("e.p.n: expected 1.5, got 1.50", "e.p.in.a: expected 1 items, got 2",
                  "e.p.s: expected an object, got none", "e.p.z: expected a list, got none",
                  "e.bad: expected a JSON object, got {"));
}

TEST(HarnessCompare, MismatchStandsWhereItWasExpected) {
  std::vector<Mismatch> found;
  compare_fields(tree("a: 1\np:\n  b: 2\n"), stream::Fields{{"p", "{}"}}.view(), "e", kScope,
                 found);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].spot.line, 1);
  EXPECT_EQ(found[0].spot.column, 4);
  EXPECT_EQ(found[1].spot.line, 3);
}

}  // namespace
}  // namespace sluice::harness
