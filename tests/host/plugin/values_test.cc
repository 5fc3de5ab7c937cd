#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "plugin/catalog.h"

namespace sluice::plugin {
namespace {

// The refusal, or the value as it was read.
std::string read(const Param& param, std::string_view text) {
  const auto value = parse_value(param, text);
  return value ? "read " + value->text : value.status().text();
}

TEST(ParseValue, WrongTypeSaysWhatWasExpected) {
  EXPECT_EQ(read({.type = ValueType::kInteger}, "1.5"), "expected an integer, got \"1.5\"");
  EXPECT_EQ(read({.type = ValueType::kInteger}, "99999999999999999999"),
            "expected an integer, got \"99999999999999999999\"");
  EXPECT_EQ(read({.type = ValueType::kNumber}, "nan"), "expected a number, got \"nan\"");
  EXPECT_EQ(read({.type = ValueType::kNumber}, "1e999"), "expected a number, got \"1e999\"");
  EXPECT_EQ(read({.type = ValueType::kBoolean}, "yes"), "expected true or false, got \"yes\"");
  EXPECT_EQ(read({.type = ValueType::kDecimal}, "+1"), "expected a decimal, got \"+1\"");
  EXPECT_EQ(read({.type = ValueType::kDuration}, ""), "expected a duration, such as 10s, got \"\"");
}

TEST(ParseValue, RangeIsNamedAndKept) {
  const Param age{
      .type = ValueType::kDuration, .default_text = "60s", .min_text = "1s", .max_text = "1h"};
  EXPECT_EQ(read(age, "60"), "expected a duration from 1s to 1h, such as 60s, got \"60\"");
  EXPECT_EQ(read(age, "999ms"), "expected a duration from 1s to 1h, such as 60s, got \"999ms\"");
  EXPECT_EQ(read(age, "60m"), "read 60m");
  EXPECT_EQ(read(age, "61m"), "expected a duration from 1s to 1h, such as 60s, got \"61m\"");
  const Param notional{.type = ValueType::kDecimal, .unit = "USDT", .min_text = "0.1"};
  EXPECT_EQ(read(notional, "0.09999"),
            "expected a decimal in USDT of at least 0.1, got \"0.09999\"");
  EXPECT_EQ(read(notional, "1e2"), "read 100");
  const Param share{.type = ValueType::kNumber, .max_text = "1"};
  EXPECT_EQ(read(share, "1.01"), "expected a number of at most 1, got \"1.01\"");
  EXPECT_EQ(read(share, "-4"), "read -4");
}

TEST(ParseValue, ChoicesAreNamedAndKept) {
  const Param mode{.type = ValueType::kText, .choices = {"strict", "loose"}};
  EXPECT_EQ(read(mode, "strict"), "read strict");
  EXPECT_EQ(read(mode, "lose"), "expected one of strict, loose, got \"lose\"");
  const Param modes{.type = ValueType::kList, .choices = {"strict", "loose"}};
  EXPECT_EQ(read(modes, "[loose, strict]"), "read [loose, strict]");
  EXPECT_EQ(read(modes, "[loose, lose]"), "expected a list of strict, loose, got \"lose\"");
}

TEST(ParseValue, TypedFieldsAreFilled) {
  EXPECT_EQ(parse_value({.type = ValueType::kInteger}, "-42")->integer, -42);
  EXPECT_EQ(parse_value({.type = ValueType::kNumber}, "0.25")->number, 0.25);
  EXPECT_EQ(parse_value({.type = ValueType::kBoolean}, "true")->integer, 1);
  EXPECT_EQ(parse_value({.type = ValueType::kBoolean}, "false")->integer, 0);
  EXPECT_EQ(parse_value({.type = ValueType::kDuration}, "1200ms")->integer, 1'200'000);
}

TEST(ParseValue, ListMayBeWrittenAsOneText) {
  const Param list{.type = ValueType::kList};
  using Texts = std::vector<std::string>;
  EXPECT_EQ(parse_value(list, "")->list, Texts{});
  EXPECT_EQ(parse_value(list, "[]")->list, Texts{});
  EXPECT_EQ(parse_value(list, "a")->list, Texts{"a"});
  EXPECT_EQ(parse_value(list, "a, b")->list, (Texts{"a", "b"}));
  EXPECT_EQ(parse_value(list, "[ 'a b' , \"c\" ]")->list, (Texts{"a b", "c"}));
}

TEST(ParseList, ListForAScalarIsRefused) {
  const auto value = parse_list({.type = ValueType::kInteger}, {"1"});
  ASSERT_FALSE(value);
  EXPECT_EQ(value.status().text(), "expected an integer, got a list");
}

TEST(ParseDuration, EveryUnitIsReadAndNothingElse) {
  EXPECT_EQ(parse_duration("250us"), 250);
  EXPECT_EQ(parse_duration("1200ms"), 1'200'000);
  EXPECT_EQ(parse_duration("10s"), 10'000'000);
  EXPECT_EQ(parse_duration("5m"), 300'000'000);
  EXPECT_EQ(parse_duration("1h"), 3'600'000'000);
  EXPECT_EQ(parse_duration("1d"), 86'400'000'000);
  EXPECT_EQ(parse_duration("0s"), 0);
  for (const char* text :
       {"", "s", "1", "-1s", "1.5s", "1 s", "1S", "1s ", "1sec", "999999999999d"})
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

TEST(DurationText, ShortestExactForm) {
  EXPECT_EQ(duration_text(0), "0s");
  EXPECT_EQ(duration_text(1'200'000), "1200ms");
  EXPECT_EQ(duration_text(60'000'000), "1m");
  EXPECT_EQ(duration_text(90'000'000), "90s");
  EXPECT_EQ(duration_text(86'400'000'000), "1d");
  EXPECT_EQ(duration_text(1), "1us");
}

RC_GTEST_PROP(DurationProperty, TextReadsBackToTheSameDuration, ()) {
  const int64_t us = *rc::gen::inRange<int64_t>(0, INT64_MAX);
  RC_ASSERT(parse_duration(duration_text(us)) == us);
}

}  // namespace
}  // namespace sluice::plugin
