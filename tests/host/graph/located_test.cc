#include "graph/located.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace sluice::graph {
namespace {

struct Read {
  std::optional<Node> tree;
  std::vector<Finding> findings;
  // "S0010 3:1" of each finding.
  std::vector<std::string> marks() const {
    std::vector<std::string> out;
    for (const Finding& f : findings)
      out.push_back(f.code + " " + std::to_string(f.place.line) + ":" +
                    std::to_string(f.place.column));
    return out;
  }
};

Read read(std::string_view text, const std::map<std::string, std::string>& variables = {}) {
  Findings findings("x.yaml");
  Read result;
  result.tree = read_tree(text, findings);
  if (result.tree)
    resolve_variables(
        *result.tree,
        [&](std::string_view name) -> std::optional<std::string> {
          const auto found = variables.find(std::string(name));
          return found == variables.end() ? std::nullopt : std::optional(found->second);
        },
        findings);
  result.findings = findings.take();
  return result;
}

using Marks = std::vector<std::string>;

TEST(LocatedTree, KeysAndValuesKeepTheirPlaces) {
  const Read r = read("a: 1\nb:\n  - x\n  - {c: 'd e'}\n");
  ASSERT_TRUE(r.tree);
  EXPECT_TRUE(r.findings.empty());
  const auto* a = r.tree->find("a");
  ASSERT_TRUE(a);
  EXPECT_EQ(a->spot.line, 1);
  EXPECT_EQ(a->value.spot.column, 4);
  const Node& second = r.tree->find("b")->value.items.at(1);
  const auto* c = second.find("c");
  ASSERT_TRUE(c);
  EXPECT_EQ(c->spot.line, 4);
  EXPECT_EQ(c->spot.column, 6);
  EXPECT_EQ(c->value.spot.column, 9);
  EXPECT_EQ(c->value.text, "d e");
  EXPECT_FALSE(c->value.plain);
}

TEST(LocatedTree, EmptyValueStandsAtItsKey) {
  const Read r = read("a:\nb: 1\n");
  ASSERT_TRUE(r.tree);
  EXPECT_TRUE(r.tree->find("a")->value.is_null());
  EXPECT_EQ(r.tree->find("a")->value.spot.line, 1);
}

TEST(LocatedTree, WhatPointsElsewhereIsRefusedAtItsPlace) {
  EXPECT_EQ(read("a: &x 1\n").marks(), Marks{"S0007 1:4"});
  EXPECT_EQ(read("a: &x 1\nb: *x\n").marks(), (Marks{"S0007 1:4", "S0007 2:4"}));
  EXPECT_EQ(read("a: !!str 1\n").marks(), Marks{"S0008 1:4"});
  EXPECT_EQ(read("a: !foo {b: 1}\n").marks(), Marks{"S0008 1:4"});
  EXPECT_EQ(read("<<: {a: 1}\n").marks(), Marks{"S0009 1:1"});
}

// The parser took 240 bytes of memory for each.
TEST(LocatedTree, BracketsWithoutEndAreRefusedBeforeTheParserReadsThem) {
  for (const std::string& open : {std::string(1'000'000, '['), std::string(1'000'000, '{')})
    EXPECT_EQ(read(open).marks(), Marks{"S0005 1:1001"});
  EXPECT_EQ(read("a: 'ä'\nb: " + std::string(1001, '[')).marks(), Marks{"S0005 2:1004"});
  EXPECT_EQ(read("a: " + std::string(100, '[')).marks(), Marks{"S0005 1:20"});
  EXPECT_TRUE(read("a: '" + std::string(900, '[') + "'\n").tree);
}

TEST(LocatedTree, DoubledAndOddKeysAreRefused) {
  EXPECT_EQ(read("a: 1\nb: 2\na: 3\n").marks(), Marks{"S0010 3:1"});
  EXPECT_EQ(read("{a: 1, a: 2}").marks(), Marks{"S0010 1:8"});
  EXPECT_EQ(read("? {b: 1}\n: 2\n").marks(), Marks{"S0011 1:3"});
  EXPECT_EQ(read("? [b, c]\n: 2\nd: 1\n").marks(), Marks{"S0011 1:3"});
}

TEST(LocatedTree, BillionLaughsIsRefusedAtOnce) {
  std::string text = "a0: &a0 [x, x]\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + before + ", *a" +
            before + "]\n";
  }
  const Read r = read(text);
  EXPECT_EQ(r.findings.size(), 60u + 20u);  // each anchor, and the first aliases
  EXPECT_EQ(r.findings.front().code, "S0007");
}

TEST(LocatedTree, DeepAndHugeFilesAreRefused) {
  EXPECT_EQ(read(std::string(200'000, '[')).findings.at(0).code, "S0005");
  EXPECT_EQ(read(std::string(100'000, '{')).marks().size(), 1u);
  std::string steps;
  for (int i = 0; i < 5'000; ++i) steps += "- ";
  EXPECT_EQ(read(steps).marks(), Marks{"S0005 1:65"});
  std::string many = "[";
  for (int i = 0; i < 60'000; ++i) many += "1,\n";
  EXPECT_EQ(read(many + "]").marks(), Marks{"S0006 50000:1"});
  EXPECT_EQ(read(std::string(1'048'577, 'a')).marks(), Marks{"S0002 1:1"});
}

TEST(LocatedTree, BytesThatAreNotTextAreRefusedAtTheirPlace) {
  EXPECT_EQ(read(std::string_view("a: b\nc: \0d\n", 11)).marks(), Marks{"S0003 2:4"});
  EXPECT_EQ(read("a: \x80\n").marks(), Marks{"S0003 1:4"});
  EXPECT_EQ(read("a: \x1b[31m\n").marks(), Marks{"S0003 1:4"});
  EXPECT_EQ(read("\xff\xfe"
                 "a")
                .marks(),
            Marks{"S0003 1:1"});
}

TEST(LocatedTree, TabsInIndentationAreRefused) {
  EXPECT_EQ(read("a:\n\tb: 1\n").marks(), Marks{"S0012 2:1"});
  EXPECT_EQ(read("a:\n  b: 1\t# note\n \t\n").marks(), Marks{});
}

TEST(LocatedTree, SyntaxErrorsHaveAPlace) {
  EXPECT_EQ(read("a: [1, 2\nb: 3\n").marks(), Marks{"S0004 1:4"});
  EXPECT_EQ(read("a: 'x\n").findings.at(0).code, "S0004");
  EXPECT_EQ(read("a: *nowhere\n").marks(), Marks{"S0007 1:4"});
  EXPECT_EQ(read("a: 1\nb: 'it''s\nc: d\n").marks(), Marks{"S0004 2:4"});
  EXPECT_EQ(read("a: \"x\\\"\n").marks(), Marks{"S0004 1:4"});
  EXPECT_EQ(read("- a\nb: c\n").marks(), Marks{"S0004 2:1"});
  EXPECT_EQ(read("a: 1\n---\nb: 2\n").marks(), Marks{"S0013 2:1"});
}

TEST(LocatedTree, QuotedTextsAreReadWhole) {
  const Read r = read(
      "\xEF\xBB\xBF"
      "a: 'it''s'\nb: \"x\\\"\\\\\"\n");
  EXPECT_EQ(r.marks(), Marks{});
  EXPECT_EQ(r.tree->find("a")->value.text, "it's");
  EXPECT_EQ(r.tree->find("b")->value.text, "x\"\\");
}

TEST(LocatedTree, EmptyFileIsNothing) {
  const Read r = read("# only a note\n");
  ASSERT_TRUE(r.tree);
  EXPECT_TRUE(r.tree->is_null());
}

TEST(Variables, AreReplacedInTextsOnly) {
  const Read r = read("a: ${X}\nb: 'p/${X}/${Y:-q}'\n${X}: ${Y:-}\n", {{"X", "v: [1"}});
  ASSERT_TRUE(r.tree);
  EXPECT_TRUE(r.findings.empty());
  EXPECT_EQ(r.tree->find("a")->value.text, "v: [1");
  EXPECT_TRUE(r.tree->find("a")->value.from_environment);
  EXPECT_EQ(r.tree->find("b")->value.text, "p/v: [1/q");
  ASSERT_TRUE(r.tree->find("${X}"));
  EXPECT_EQ(r.tree->find("${X}")->value.text, "");
  EXPECT_FALSE(r.tree->find("${X}")->value.from_environment);
}

TEST(Variables, ValueIsNotReplacedAgain) {
  EXPECT_EQ(read("a: ${X}\n", {{"X", "${X}"}}).tree->find("a")->value.text, "${X}");
}

TEST(Variables, UnsetAndMalformedAreFound) {
  EXPECT_EQ(read("a: 1\nb: ${X}\n").marks(), Marks{"S0014 2:4"});
  EXPECT_EQ(read("a: ${X\n").marks(), Marks{"S0015 1:4"});
  EXPECT_EQ(read("a: ${1X}\n").marks(), Marks{"S0015 1:4"});
  EXPECT_EQ(read("a: ${X-y}\n").marks(), Marks{"S0015 1:4"});
  EXPECT_EQ(read("a: ${X:-y}\n", {{"X", ""}}).tree->find("a")->value.text, "y");
}

TEST(AmbiguousMeaning, KnowsWhatOtherReadersMakeOfPlainText) {
  EXPECT_EQ(ambiguous_meaning("no"), "a boolean");
  EXPECT_EQ(ambiguous_meaning("On"), "a boolean");
  EXPECT_EQ(ambiguous_meaning("012"), "an octal number");
  EXPECT_EQ(ambiguous_meaning("12:30:45"), "a base-60 number");
  for (const auto* text : {"nope", "0", "10", "1.5", "a:b", "", "-", "10s", "127.0.0.1"})
    EXPECT_EQ(ambiguous_meaning(text), "") << text;
}

}  // namespace
}  // namespace sluice::graph
