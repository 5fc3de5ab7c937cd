// RapidJSON is the oracle: what the quick reader takes RapidJSON takes as well and tells the same
// of it; and what RapidJSON takes, the quick reader takes when it is plain, or it would not be
// quick. Documents come from a few seeds, cut at each place and with each byte changed. Each lies
// in memory of its own size, so that the address sanitizer sees what is read behind it.
#include "sluice/plain_json.h"

#include <gtest/gtest.h>
#include <rapidjson/encodedstream.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "fixtures/json_events.h"

namespace sluice {
namespace {

using testing::JsonEvents;

bool read_plainly(std::string_view text, JsonEvents& events) {
  const std::vector<char> own(text.begin(), text.end());
  return PlainJson().read(own.data(), own.size(), events);
}

bool read_strictly(std::string_view text, JsonEvents& events) {
  rapidjson::Reader reader;
  rapidjson::MemoryStream bytes(text.data(), text.size());
  rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag |
                              rapidjson::kParseValidateEncodingFlag;
  return !reader.Parse<kFlags>(stream, events).IsError();
}

bool is_plain_text(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x80 && c != '\\' && c != '\0';
  });
}

// Judges `text` with both; a zero byte is the end to RapidJSON.
void compare(std::string_view text) {
  if (text.find('\0') != text.npos) return;
  JsonEvents plain, strict;
  const bool took = read_plainly(text, plain), is_json = read_strictly(text, strict);
  if (took) {
    ASSERT_TRUE(is_json) << text;
    ASSERT_EQ(plain.told, strict.told) << text;
  } else {
    ASSERT_FALSE(is_json && strict.told.starts_with('{') && strict.is_plain && is_plain_text(text))
        << text;
  }
}

const std::string_view kSeeds[] = {
    "{}",
    " { \"a\" : [ ] , \"b\" : { } } \n",
    R"({"symbol":"BTCUSDT","side":"BUY","confidence":0.512,"count":3,"note":null,"live":true})",
    R"({"a":[1,-2,0,-0.5,10.25,{"b":[[],{}]},"x",false],"long":"a text of more than sixteen bytes"})",
    "{\"tabs\":\t1,\r\n\"of sixteen b\":\"1234567890123456\",\"n\":-0}",
    R"({"n":1234567890123456789012345678901234567890,"m":0.12345678901234567890123456789012345})"};

TEST(PlainJsonEvents, AreThoseOfTheDocumentInItsOrder) {
  JsonEvents events;
  ASSERT_TRUE(read_plainly(R"({"a": [1, "x"], "b": {"c": null}})", events));
  EXPECT_EQ(events.told,
            "{ \nkey a\n[ \nnumber 1\ntext x\n] 2\nkey b\n{ \nkey c\nnull \n} 1\n} 2\n");
}

TEST(PlainJson, IsNoMoreThanItSays) {
  for (const std::string_view text : {"",
                                      " ",
                                      "[]",
                                      "1",
                                      "\"a\"",
                                      "{\"a\":\"\\n\"}",
                                      "{\"a\":\"\xC3\xA9\"}",
                                      "{\"a\":1e5}",
                                      "{\"a\":12345678901234567890123456789012345678901}",
                                      "{\"a\":1}}",
                                      "{\"a\":1} 2",
                                      "{\"a\" 1}",
                                      "{\"a\":1,}",
                                      "{\"a\":01}",
                                      "{\"a\":1.}",
                                      "{\"a\":-}",
                                      "{\"a\":.5}",
                                      "{\"a\":tru}",
                                      "{\"a\":truex}",
                                      "{\"a\":\"\n\"}",
                                      "{\"a\":\"",
                                      "{a:1}",
                                      "{\"a\":[1,]}",
                                      "{\"a\":\f1}"}) {
    JsonEvents events;
    EXPECT_FALSE(read_plainly(text, events)) << text;
  }
}

TEST(PlainJson, EndsWhenTheHandlerSaysNo) {
  JsonEvents events;
  std::string deep = "{\"a\":";
  for (int i = 0; i < 40; ++i) deep += '[';
  EXPECT_FALSE(read_plainly(deep, events));
}

TEST(PlainJson, SeedsCutAnywhereAreJudgedAsByRapidJson) {
  for (const std::string_view seed : kSeeds)
    for (size_t size = 0; size <= seed.size(); ++size) compare(seed.substr(0, size));
}

TEST(PlainJson, SeedsWithAnyByteChangedAreJudgedAsByRapidJson) {
  for (const std::string_view seed : kSeeds) {
    for (size_t at = 0; at < seed.size(); ++at) {
      std::string text(seed);
      compare(text.erase(at, 1));
      text.insert(at, 1, ' ');
      for (int byte = 1; byte < 256; ++byte) {
        text[at] = static_cast<char>(byte);
        compare(text);
        text.insert(at, 1, seed[at]);  // and one byte more
        compare(text);
        text.erase(at, 1);
      }
    }
  }
}

}  // namespace
}  // namespace sluice
