#include <gtest/gtest.h>

#include "runtime/input.h"
#include "runtime/json_member.h"

namespace sluice::runtime {
namespace {

TEST(ParseNdjsonLine, MembersBecomeFieldsAndNestedOnesKeepTheirText) {
  auto fields = parse_ndjson_line(
      R"({"a":"x\ny","n":1.50,"t":true,"z":null,"o":{"k":[1, 2],"s":"}"},"l":[{"a":1}]})");
  ASSERT_TRUE(fields.is_ok()) << fields.status().text();
  EXPECT_EQ(*fields, (stream::Fields{{"a", "x\ny"},
                                     {"n", "1.50"},
                                     {"t", "true"},
                                     {"o", R"({"k":[1, 2],"s":"}"})"},
                                     {"l", R"([{"a":1}])"}}));
}

TEST(ParseNdjsonLine, WhatIsNotOneObjectIsRefused) {
  for (const char* line :
       {"", "[]", "1", "\"a\"", "null", "{", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "{\"a\":nan}",
        "{'a':1}", "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\"}",
        "{\"\\udc00\":1}", "{\"a\":\"\\u0000\"}", "{\"a\":null,\"a\":1}"})
    EXPECT_EQ(parse_ndjson_line(line).status().code(), Code::kInvalid) << line;
}

// RapidJSON takes a zero byte for the end of the text, and would leave out what follows.
TEST(ParseNdjsonLine, WhatStandsBehindAZeroByteIsNotLeftOut) {
  using namespace std::string_view_literals;
  EXPECT_EQ(parse_ndjson_line("{\"a\":1}\0{\"a\":2}"sv).status().text(),
            "not JSON at byte 8: a zero byte");
}

TEST(ParseNdjsonLine, NamesOfThousandsOfMembersAreComparedOnce) {
  std::string wide = "{";
  for (int i = 0; i < 9'000; ++i) wide += "\"" + std::string(90, 'n') + std::to_string(i) + "\":0,";
  EXPECT_EQ(parse_ndjson_line(wide + "\"z\":0}")->count(), 9'001u);
  EXPECT_NE(parse_ndjson_line(wide + "\"" + std::string(90, 'n') + "7\":0}")
                .status()
                .text()
                .find("stands twice"),
            std::string::npos);
}

TEST(ParseNdjsonLine, DepthAndSizeAreBounded) {
  std::string deep = "{\"a\":";
  for (int i = 0; i < 1'000'000; ++i) deep += '[';
  EXPECT_NE(parse_ndjson_line(deep).status().text().find("nested deeper than 32"),
            std::string::npos);
  std::string wide = "{\"a\":[0";
  for (int i = 0; i < 20'000; ++i) wide += ",0";
  wide += "]}";
  EXPECT_NE(parse_ndjson_line(wide).status().text().find("more than 10000 values"),
            std::string::npos);
}

TEST(JsonMember, TopLevelScalarsOnly) {
  const std::string_view json = R"({"deep":{"symbol":"NO"},"symbol":"BTCUSDT","n":12,"o":{}})";
  EXPECT_EQ(json_member(json, "symbol"), "BTCUSDT");
  EXPECT_EQ(json_member(json, "n"), "12");
  EXPECT_FALSE(json_member(json, "o"));
  EXPECT_FALSE(json_member(json, "missing"));
  EXPECT_FALSE(json_member("[\"symbol\"]", "symbol"));
  EXPECT_FALSE(json_member("{\"symbol\"", "symbol"));
  // What is behind it, or not plain, does not matter; nor does what is in front of it.
  EXPECT_EQ(json_member(R"({"symbol":"A","x":"\u00e9", )", "symbol"), "A");
  EXPECT_EQ(json_member(R"({"x":"\u00e9","symbol":"A\"B"})", "symbol"), "A\"B");
  EXPECT_EQ(json_member(R"({"n":1e3,"symbol":"A","symbol":"B"})", "symbol"), "A");
}

}  // namespace
}  // namespace sluice::runtime
