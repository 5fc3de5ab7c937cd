#include "cli/json_writer.h"

#include <gtest/gtest.h>

#include <limits>

namespace sluice::cli {
namespace {

TEST(JsonWriter, MembersKeepTheirOrderAndTypes) {
  JsonWriter json;
  json.begin_object().member("name", "a").member("count", 3u).member("below", -1);
  json.member("share", 0.5).member("fine", true);
  json.member("missing", std::optional<std::string>()).key("list").begin_array();
  json.value("x").value(std::string("y")).end_array().end_object();
  EXPECT_EQ(json.text(),
            R"({"name":"a","count":3,"below":-1,"share":0.5,"fine":true,"missing":null,)"
            R"("list":["x","y"]})");
}

TEST(JsonWriter, LargeCountsStayExact) {
  JsonWriter json;
  json.value(std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(json.text(), "18446744073709551615");
}

TEST(JsonWriter, TextIsEscaped) {
  JsonWriter json;
  json.value("a\"b\\c\nd\x01");
  EXPECT_EQ(json.text(), R"("a\"b\\c\nd\u0001")");
}

TEST(JsonWriter, EmptyViewWithoutMemoryIsEmptyText) {
  JsonWriter json;
  json.value(std::string_view());
  EXPECT_EQ(json.text(), R"("")");
}

TEST(JsonWriter, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  JsonWriter json;
  json.begin_object().member("k\xff", "a\xc3(b\xe2\x82\xac").end_object();
  EXPECT_EQ(json.text(), "{\"k\xEF\xBF\xBD\":\"a\xEF\xBF\xBD(b\xe2\x82\xac\"}");
}

TEST(JsonWriter, NumbersThatAreNotFiniteAreNull) {
  JsonWriter json;
  json.value(std::numeric_limits<double>::infinity());
  EXPECT_EQ(json.text(), "null");
}

}  // namespace
}  // namespace sluice::cli
