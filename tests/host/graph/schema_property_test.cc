// The compiled table and RapidJSON's validator answer alike, whatever the entry.
//
// Decisions and intents are generated member by member from values at and around the rules, then
// their bytes are mutated; both judges see the same text.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <bit>
#include <charconv>
#include <string>
#include <vector>

#include "graph/json_reader.h"
#include "graph/schema.h"

namespace sluice::graph {
namespace {

constexpr int kObjectsPerCase = 20;  // RapidCheck runs 100 cases

const std::vector<std::string> kValues = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "-0",
                                          "1",
                                          "-1",
                                          "0.0",
                                          "1.0",
                                          "0.5",
                                          "1.0000000000000002",
                                          "125",
                                          "126",
                                          "125.5",
                                          "1e2",
                                          "1e-9",
                                          "18446744073709551615",
                                          "-9223372036854775808",
                                          "9007199254740993",
                                          "1e308",
                                          "\"\"",
                                          "\"BTCUSDT\"",
                                          "\"BTCUSDC\"",
                                          "\"BTCUSDT\\n\"",
                                          "\"ABCDEFGHIJKUSDT\"",
                                          "\"BUY\"",
                                          "\"buy\"",
                                          "\"CLOSE\"",
                                          "\"\\u00e4\\u00e4\"",
                                          "\"0.5\"",
                                          "[]",
                                          "{}",
                                          "[1,2]",
                                          "{\"a\":{\"b\":[]}}",
                                          "{\"mode\":\"swing\"}"};
const std::vector<std::string> kNames = {"symbol",     "side",        "action",
                                         "confidence", "timestamp",   "position_size_usd",
                                         "leverage",   "reduce_only", "ai_harvest_policy",
                                         "source",     "quantity",    "extra",
                                         "n",          "pick",        "text",
                                         "both"};

constexpr std::string_view kOdd = R"({"x-sluice-envelope":"ENVELOPE","type":"object",
  "required":["n"],"properties":{
    "n":{"type":"integer","minimum":-1,"exclusiveMaximum":126},
    "pick":{"enum":["BUY","buy",null]},
    "text":{"type":["string","null"],"minLength":1,"maxLength":7,"pattern":"^[A-Z0-9.]*$"},
    "both":{"type":["string","number"],"minimum":1,"exclusiveMinimum":0.5},
    "symbol":{"pattern":"USD[CT]"},"leverage":{"type":"number","minimum":9007199254740992},
    "reduce_only":{"type":"boolean"},"quantity":{"type":["integer","array","object"]}
  },"additionalProperties":MORE})";

std::string odd_schema(const std::string& envelope, const std::string& more) {
  std::string text(kOdd);
  text.replace(text.find("ENVELOPE"), 8, envelope);
  text.replace(text.find("MORE"), 4, more);
  return text;
}

std::vector<std::shared_ptr<const Schema>> schemas() {
  std::vector<std::shared_ptr<const Schema>> all;
  for (const auto* name : {"ai_decision", "trade_intent"})
    all.push_back(
        *Schema::load(std::string(SLUICE_SOURCE_DIR) + "/pipelines/schemas/" + name + ".json"));
  for (const auto* more : {"true", "false"})
    all.push_back(*Schema::parse("odd.json", odd_schema("payload", more)));
  return all;
}

std::string sample(const std::vector<std::string>& from) {
  return from[*rc::gen::inRange<size_t>(0, from.size())];
}

std::string generated_object() {
  std::string json = "{";
  const auto count = *rc::gen::inRange(0, 10);
  for (int i = 0; i < count; ++i) {
    if (i > 0) json += ",";
    // Two names of three in order, so that objects with all required members are common.
    const std::string name =
        *rc::gen::inRange(0, 3) == 0 ? sample(kNames) : kNames[static_cast<size_t>(i)];
    json += "\"" + name + "\":" + sample(kValues);
  }
  return json + "}";
}

TEST(SchemaAgainstOracle, GeneratedObjectsAreJudgedAlike) {
  const auto all = schemas();
  EXPECT_TRUE(rc::check("generated objects", [&] {
    for (int i = 0; i < kObjectsPerCase; ++i) {
      const std::string json = generated_object();
      const stream::Fields fields{{"payload", json}};
      for (const auto& schema : all)
        RC_ASSERT(!schema->check(fields.view()) == schema->oracle_accepts(fields.view()));
    }
  }));
}

TEST(SchemaAgainstOracle, MutatedBytesAreJudgedAlike) {
  const auto all = schemas();
  EXPECT_TRUE(rc::check("mutated bytes", [&] {
    std::string json = generated_object();
    const auto mutations = *rc::gen::inRange(1, 4);
    for (int i = 0; i < mutations && !json.empty(); ++i) {
      const size_t at = *rc::gen::inRange<size_t>(0, json.size());
      const char byte = static_cast<char>(*rc::gen::inRange(0, 256));
      switch (*rc::gen::inRange(0, 3)) {
        case 0:
          json[at] = byte;
          break;
        case 1:
          json.erase(at, 1);
          break;
        default:
          json.insert(at, 1, byte);
      }
    }
    const stream::Fields fields{{"payload", json}};
    for (const auto& schema : all)
      RC_ASSERT(!schema->check(fields.view()) == schema->oracle_accepts(fields.view()));
  }));
}

TEST(SchemaAgainstOracle, GeneratedFieldsAreJudgedAlike) {
  const std::shared_ptr<const Schema> all[] = {
      *Schema::parse("odd.json", odd_schema("fields", "true")),
      *Schema::parse("odd.json", odd_schema("fields", "false"))};
  EXPECT_TRUE(rc::check("generated fields", [&] {
    stream::Fields fields;
    const auto count = *rc::gen::inRange(0, 10);
    for (int i = 0; i < count; ++i) {
      std::string value = sample(kValues);
      if (value.starts_with('"')) value = value.substr(1, value.size() - 2);
      fields.add(sample(kNames), value);
    }
    for (const auto& schema : all)
      RC_ASSERT(!schema->check(fields.view()) == schema->oracle_accepts(fields.view()));
  }));
}

TEST(JsonNumbers, HaveTheValueThatFromCharsReads) {
  EXPECT_TRUE(rc::check("plain numbers", [] {
    for (int i = 0; i < 100; ++i) {
      std::string text = *rc::gen::arbitrary<bool>() ? "-" : "";
      text += std::to_string(*rc::gen::arbitrary<uint64_t>() >> *rc::gen::inRange(0, 64));
      if (*rc::gen::arbitrary<bool>()) {
        const auto places = *rc::gen::inRange(1, 20);
        text += '.';
        for (int place = 0; place < places; ++place)
          text += static_cast<char>('0' + *rc::gen::inRange(0, 10));
      }
      double wanted = 0;
      std::from_chars(text.data(), text.data() + text.size(), wanted);
      const auto number = read_number(text);
      RC_ASSERT(number.has_value());
      const bool is_whole = text.find('.') == text.npos;
      RC_ASSERT(number->is_integer() == (is_whole && wanted >= -0x1p63));
      // Only a double tells -0 from 0.
      const bool same = number->is_integer() ? number->real == wanted
                                             : std::bit_cast<uint64_t>(number->real) ==
                                                   std::bit_cast<uint64_t>(wanted);
      RC_ASSERT(same);
    }
  }));
}

}  // namespace
}  // namespace sluice::graph
