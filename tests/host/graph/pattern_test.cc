#include "graph/pattern.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::graph {
namespace {

bool matches(std::string_view pattern, std::string_view subject) {
  const auto compiled = Pattern::compile(pattern);
  EXPECT_TRUE(compiled) << compiled.status().text();
  return compiled && compiled->matches(subject);
}

TEST(Pattern, SymbolRuleTakesLettersBeforeUsdtOnly) {
  constexpr auto kSymbol = "^[A-Z]{3,10}USDT$";
  EXPECT_TRUE(matches(kSymbol, "BTCUSDT"));
  EXPECT_TRUE(matches(kSymbol, "ABCDEFGHIJUSDT"));
  EXPECT_TRUE(matches(kSymbol, "USDTUSDT"));
  EXPECT_FALSE(matches(kSymbol, "ABCDEFGHIJKUSDT"));
  EXPECT_FALSE(matches(kSymbol, "BCUSDT"));
  EXPECT_FALSE(matches(kSymbol, "BTCUSDC"));
  EXPECT_FALSE(matches(kSymbol, "btcUSDT"));
  EXPECT_FALSE(matches(kSymbol, "1000PEPEUSDT"));
  EXPECT_FALSE(matches(kSymbol, ""));
  EXPECT_FALSE(matches(kSymbol, "B\xC3\x84\x43USDT"));
}

TEST(Pattern, EndOfTextIsNotTheLineEndBeforeIt) {
  EXPECT_FALSE(matches("^[A-Z]{3,10}USDT$", "BTCUSDT\n"));
  EXPECT_FALSE(matches("^a*b*$", "ab\n"));
  EXPECT_FALSE(matches("^(a|b)$", "a\n"));
}

TEST(Pattern, SeveralVaryingPartsAreMatchedWhole) {
  EXPECT_TRUE(matches("^a*ab?$", "aaab"));
  EXPECT_TRUE(matches("^a+b+$", "aab"));
  EXPECT_FALSE(matches("^a+b+$", "aaba"));
  EXPECT_TRUE(matches("^[0-9]+\\.[0-9]{2,}$", "10.055"));
  EXPECT_FALSE(matches("^[0-9]+\\.[0-9]{2,}$", "10.5"));
}

TEST(Pattern, WithoutAnchorsMatchesInside) {
  EXPECT_TRUE(matches("USD", "BTCUSDT"));
  EXPECT_TRUE(matches("T$", "BTCUSDT"));
  EXPECT_TRUE(matches("^B", "BTCUSDT"));
  EXPECT_FALSE(matches("^T", "BTCUSDT"));
  EXPECT_TRUE(matches("", ""));
}

TEST(Pattern, NegatedClassAndDotTakeCharactersBeyondAscii) {
  EXPECT_TRUE(matches("^[^ ]{2}$", "\xC3\xA4\xE2\x82\xAC"));
  EXPECT_TRUE(matches("^.{1,2}.$", "\xC3\xA4\xE2\x82\xAC"));
  EXPECT_FALSE(matches("^.$", "\xC3\xA4\xE2\x82\xAC"));
}

TEST(Pattern, AlternativesAreMatched) {
  EXPECT_TRUE(matches("^(BUY|SELL)$", "SELL"));
  EXPECT_FALSE(matches("^(BUY|SELL)$", "SELLS"));
}

TEST(Pattern, LongSubjectIsMatchedWithoutRecursion) {
  const std::string subject(1 << 20, 'a');
  EXPECT_FALSE(matches("^a*a*a*a*b$", subject));
  EXPECT_TRUE(matches("^(a|b)", subject));
}

TEST(Pattern, WhatIsNotSupportedIsRefused) {
  for (const auto* text : {"\\d+", "[a", "a{3", "a{2,1}", "(a*)*", "(a)+", "a**", "*", "a{1,9999}",
                           "[\\d]", "(", "a^b", "\xC3\xA4"})
    EXPECT_FALSE(Pattern::compile(text)) << text;
}

// RapidJSON ends the process over some of these, or fills the memory.
TEST(Pattern, GroupsThatTheParserCannotTakeAreRefused) {
  for (const auto* text : {"(BT[C|ETH)---]---USDT",
                           "([|])(",
                           "([]|a)",
                           "([^]|a)",
                           "(a[b\\])",
                           "(a|[b)",
                           "(a\\)",
                           "(a)\\",
                           "($)",
                           "(^)",
                           "(a|)",
                           "(|a)",
                           "()",
                           "a)(",
                           "a|b^c",
                           "(a$|b)",
                           "^a|b$",
                           "a{2000}|a{2000}",
                           "a{9999}|b",
                           "a{|b"})
    EXPECT_FALSE(Pattern::compile(text)) << text;
  EXPECT_TRUE(matches("^([|)(]|\\(\\)|[^\\]]{2})$", "()"));
  EXPECT_TRUE(matches("^([|)(]|\\(\\)|[^\\]]{2})$", ")"));
  EXPECT_FALSE(matches("^([|)(]|\\(\\)|[^\\]]{2})$", "]]"));
}

}  // namespace
}  // namespace sluice::graph
