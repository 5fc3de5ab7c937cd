#include "graph/schema.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "fixtures/recorded_day.h"

namespace sluice::graph {
namespace {

using stream::Fields;

std::shared_ptr<const Schema> shipped(const std::string& name) {
  auto schema = Schema::load(std::string(SLUICE_SOURCE_DIR) + "/pipelines/schemas/" + name);
  EXPECT_TRUE(schema) << schema.status().text();
  return schema ? *schema : nullptr;
}

std::shared_ptr<const Schema> parsed(std::string_view json) {
  auto schema = Schema::parse("schemas/test.json", json);
  EXPECT_TRUE(schema) << schema.status().text();
  return schema ? *schema : nullptr;
}

std::string refusal(std::string_view json) {
  const auto schema = Schema::parse("schemas/test.json", json);
  return schema ? "accepted" : schema.status().text();
}

// What `check` says of a payload; empty when valid. The oracle has to agree.
std::string verdict(const Schema& schema, std::string_view payload) {
  const Fields fields{{"event_type", "x"}, {"payload", payload}};
  const auto violation = schema.check(fields.view());
  EXPECT_EQ(!violation, schema.oracle_accepts(fields.view())) << payload;
  return violation ? violation->text() : "";
}

std::string intent(std::string_view more, std::string_view symbol = "BTCUSDT") {
  return R"({"symbol":")" + std::string(symbol) +
         R"(","action":"BUY","confidence":0.5,"timestamp":"t")" + std::string(more) + "}";
}

TEST(TradeIntentSchema, ValidIntentsAreAccepted) {
  const auto schema = shipped("trade_intent.json");
  EXPECT_EQ(schema->name(), "trade_intent");
  EXPECT_EQ(verdict(*schema, intent("")), "");
  EXPECT_EQ(verdict(*schema, intent(R"(,"leverage":null,"position_size_usd":null)")), "");
  EXPECT_EQ(verdict(*schema, intent(R"(,"leverage":125,"position_size_usd":0.01)")), "");
  EXPECT_EQ(verdict(*schema, intent(R"(,"model":{"a":[1,2]},"regime":"x")")), "");
}

TEST(TradeIntentSchema, ViolationNamesFieldValueAndRule) {
  const auto schema = shipped("trade_intent.json");
  EXPECT_EQ(verdict(*schema, intent("", "BTCUSDC")),
            R"(field "symbol": value "BTCUSDC" breaks pattern ^[A-Z]{3,10}USDT$)");
  EXPECT_EQ(verdict(*schema, intent(R"(,"leverage":150)")),
            R"(field "leverage": value "150" breaks maximum 125)");
  EXPECT_EQ(verdict(*schema, intent(R"(,"leverage":0.5)")),
            R"(field "leverage": value "0.5" breaks minimum 1)");
  EXPECT_EQ(verdict(*schema, intent(R"(,"position_size_usd":0)")),
            R"(field "position_size_usd": value "0" breaks exclusiveMinimum 0)");
  EXPECT_EQ(verdict(*schema, intent(R"(,"reduce_only":1)")),
            R"(field "reduce_only": value "1" breaks type boolean or null)");
  EXPECT_EQ(verdict(*schema, intent(R"(,"leverage":true)")),
            R"(field "leverage": value "true" breaks type number or null)");
  EXPECT_EQ(verdict(*schema, "{}"), R"(field "symbol": missing, breaks required)");
  EXPECT_EQ(verdict(*schema, R"({"symbol":"BTCUSDT","side":"BUY","confidence":1,"timestamp":""})"),
            R"(field "action": missing, breaks required)");
  EXPECT_EQ(
      verdict(*schema, R"({"symbol":"BTCUSDT","action":"buy","confidence":1,"timestamp":""})"),
      R"(field "action": value "buy" breaks enum BUY SELL CLOSE)");
}

TEST(TradeIntentSchema, TrailingLineEndInSymbolIsRefused) {
  EXPECT_NE(verdict(*shipped("trade_intent.json"), intent("", "BTCUSDT\\n")), "");
}

TEST(SchemaPayload, OldFieldNameIsReadAndNoneIsAViolation) {
  const auto schema = shipped("trade_intent.json");
  const Fields old{{"data", intent("")}};
  EXPECT_FALSE(schema->check(old.view()));
  const Fields none{{"symbol", "BTCUSDT"}};
  const auto violation = schema->check(none.view());
  ASSERT_TRUE(violation);
  EXPECT_EQ(violation->field, "payload");
  EXPECT_EQ(violation->rule, "required");
  EXPECT_FALSE(schema->oracle_accepts(none.view()));
}

TEST(SchemaPayload, NotAnObjectIsAViolation) {
  const auto schema = shipped("ai_decision.json");
  for (const auto* payload : {"[]", "1", "\"x\"", "null", "true"})
    EXPECT_NE(verdict(*schema, payload).find("breaks type object"), std::string::npos) << payload;
}

TEST(SchemaPayload, MalformedJsonIsAViolationWithItsPlace) {
  const auto schema = shipped("ai_decision.json");
  EXPECT_EQ(verdict(*schema, R"({"a":})"),
            R"(field "payload": value "{"a":}" breaks JSON, byte 5: Invalid value.)");
  for (const auto* payload :
       {"", "{", R"({"a":1}x)", R"({"a":1,})", "{\"a\":\"\x80\"}", R"({"a":"\ud800"})",
        R"({"a":"\udc00"})", R"({"a":"\u0000"})", R"({"a":1e999})", R"({"a":NaN})"})
    EXPECT_NE(verdict(*schema, payload), "") << payload;
}

TEST(SchemaPayload, HostileSizesAreRefused) {
  const auto schema = shipped("ai_decision.json");
  const std::string deep = std::string(100'000, '[');
  EXPECT_NE(verdict(*schema, deep).find("nested deeper than 32"), std::string::npos);
  std::string many = "{\"symbol\":[0";
  for (int i = 0; i < 10'000; ++i) many += ",0";
  EXPECT_NE(verdict(*schema, many + "]}").find("more than 10000 values"), std::string::npos);
  EXPECT_NE(verdict(*schema, std::string(1'100'000, ' ')).find("more than 1 MiB"),
            std::string::npos);
}

TEST(SchemaPayload, DoubledKeysAreRefusedAtAnyDepth) {
  const auto schema = shipped("ai_decision.json");
  const std::string base = R"({"symbol":"A","side":"B","confidence":1,"timestamp":"t")";
  EXPECT_EQ(verdict(*schema, base + "}"), "");
  EXPECT_NE(verdict(*schema, base + R"(,"symbol":"A"})").find("twice"), std::string::npos);
  EXPECT_NE(verdict(*schema, base + R"(,"x":[{"a":{"b":1,"b":1}}]})").find("twice"),
            std::string::npos);
  EXPECT_NE(verdict(*schema, base + R"(,"\u0078":1,"x":1})").find("twice"), std::string::npos);
  std::string wide = base;
  for (int i = 0; i < 2'000; ++i) wide += ",\"k" + std::to_string(i) + "\":1";
  EXPECT_EQ(verdict(*schema, wide + "}"), "");
  EXPECT_NE(verdict(*schema, wide + ",\"k7\":1}").find("twice"), std::string::npos);
}

TEST(SchemaPayload, ManyPropertiesAreCheckedAsFewAre) {
  for (const int count : {1, 63, 64, 65, 100}) {
    const std::string last = "p" + std::to_string(count - 1);
    std::string json = R"({"x-sluice-envelope":"payload","type":"object","required":[")" + last +
                       R"("],"additionalProperties":false,"properties":{)";
    std::string payload = "{";
    for (int i = 0; i < count; ++i) {
      const std::string name = (i == 0 ? "\"p" : ",\"p") + std::to_string(i);
      json += name + R"(":{"type":"integer","maximum":5})";
      payload += name + "\":5";
    }
    const auto schema = parsed(json + "}}");
    EXPECT_EQ(verdict(*schema, payload + "}"), "") << count;
    EXPECT_EQ(verdict(*schema, payload.substr(0, payload.size() - 1) + "6}"),
              "field \"" + last + "\": value \"6\" breaks maximum 5");
    EXPECT_EQ(verdict(*schema, payload + ",\"other\":1}"),
              "field \"other\": breaks additionalProperties false");
    EXPECT_EQ(verdict(*schema, "{}"), "field \"" + last + "\": missing, breaks required");
  }
}

TEST(SchemaFields, NumbersAndBooleansAreReadFromText) {
  const auto schema = parsed(R"({"x-sluice-envelope":"fields","type":"object",
    "required":["qty"],"additionalProperties":false,"properties":{
      "qty":{"type":"number","exclusiveMinimum":0},"n":{"type":"integer"},
      "ok":{"type":"boolean"},"note":{"type":"string","maxLength":3}}})");
  EXPECT_TRUE(schema->reads_fields());
  const auto verdict_of = [&](const Fields& fields) {
    const auto violation = schema->check(fields.view());
    EXPECT_EQ(!violation, schema->oracle_accepts(fields.view()));
    return violation ? violation->text() : "";
  };
  EXPECT_EQ(verdict_of({{"qty", "0.5"}, {"n", "-3"}, {"ok", "true"}, {"note", "12"}}), "");
  EXPECT_EQ(verdict_of({{"qty", "0"}}), R"(field "qty": value "0" breaks exclusiveMinimum 0)");
  EXPECT_EQ(verdict_of({{"qty", ""}}), R"(field "qty": breaks type number)");
  EXPECT_EQ(verdict_of({{"qty", "1"}, {"n", "1.0"}}),
            R"(field "n": value "1" breaks type integer)");
  EXPECT_NE(verdict_of({{"qty", "0x1"}}), "");
  EXPECT_NE(verdict_of({{"qty", "1."}}), "");
  EXPECT_NE(verdict_of({{"qty", "01"}}), "");
  EXPECT_NE(verdict_of({{"qty", " 1"}}), "");
  EXPECT_NE(verdict_of({{"qty", "inf"}}), "");
  EXPECT_NE(verdict_of({{"qty", "1"}, {"ok", "1"}}), "");
  EXPECT_EQ(verdict_of({{"qty", "1"}, {"other", "x"}}),
            R"(field "other": breaks additionalProperties false)");
  EXPECT_EQ(verdict_of({{"qty", "1"}, {"qty", "2"}}), R"(field "qty": breaks each field once)");
  EXPECT_EQ(verdict_of({{"qty", "1"}, {"note", "\xC3\xA4\xC3\xA4\xC3\xA4"}}), "");
  EXPECT_NE(verdict_of({{"qty", "1"}, {"note", "\xC3"}}), "");
}

TEST(SchemaBeyondTheTable, IsAskedOfRapidJson) {
  const auto schema = parsed(R"({"x-sluice-envelope":"payload","type":"object","properties":{
      "votes":{"type":"object","properties":{"BUY":{"type":"number","exclusiveMaximum":1}}}}})");
  EXPECT_EQ(verdict(*schema, R"({"votes":{"BUY":0.5}})"), "");
  EXPECT_EQ(verdict(*schema, R"({"votes":{"BUY":1}})"), R"(field "/votes/BUY": breaks maximum)");
}

TEST(SchemaLoad, RefusalNamesFileLineAndKey) {
  EXPECT_EQ(refusal("{\n\"x-sluice-envelope\":\"payload\",\n\"type\":\"object\",\n"
                    "\"properties\":{\n\"a\":{\n\"format\":\"date\"}}}"),
            "schemas/test.json:6: properties.a.format: this keyword is not checked here; remove it "
            "or use one that is");
  EXPECT_EQ(refusal("{\n\"type\": \"object\",\n}"),
            "schemas/test.json:3: Missing a name for object member.");
  EXPECT_EQ(refusal("{\"type\":\"object\"}"),
            "schemas/test.json:1: x-sluice-envelope: expected \"payload\" or \"fields\"");
}

TEST(SchemaLoad, UnsoundSchemasAreRefused) {
  const auto with = [](std::string_view property) {
    return refusal(R"({"x-sluice-envelope":"payload","type":"object","properties":{"a":)" +
                   std::string(property) + "}}");
  };
  for (const auto* property :
       {R"({"type":"text"})", R"({"type":[]})", R"({"pattern":"\\d"})", R"({"pattern":1})",
        R"({"enum":[]})", R"({"minimum":"1"})", R"({"minLength":-1})", R"({"$ref":"#"})",
        R"({"const":1})", R"({"multipleOf":0})", "1", R"({"items":{"foo":1}})"})
    EXPECT_NE(with(property), "accepted") << property;
  EXPECT_NE(refusal(R"({"x-sluice-envelope":"payload","type":"object","required":["b"],
                        "additionalProperties":false,"properties":{}})"),
            "accepted");
}

TEST(SchemaLoad, MissingFileIsNotFound) {
  const auto schema = Schema::load("/nonexistent/x.json");
  ASSERT_FALSE(schema);
  EXPECT_EQ(schema.status().code(), Code::kNotFound);
}

// The recorded day, when it is there: all 510 decisions are well formed, also those on symbols that
// the intent schema refuses later.
TEST(AiDecisionSchema, RecordedDecisionsAreAccepted) {
  const std::string decisions = testing::recorded_day().decisions;
  std::ifstream file(decisions);
  if (!file) GTEST_SKIP() << "no recorded decisions at " << decisions << "; set SLUICE_SHARED";
  const auto schema = shipped("ai_decision.json");
  size_t lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    const size_t start = line.find("\"payload\":") + 10;
    EXPECT_EQ(verdict(*schema, line.substr(start, line.size() - start - 1)), "");
  }
  EXPECT_EQ(lines, 510u);
}

// RapidJSON compiles what looks like a schema wherever it stands, and ends the process over some
// patterns.
TEST(SchemaNotes, MayHoldWhatLooksLikeASchema) {
  for (const char* note : {"x-more", "default", "examples"}) {
    const auto schema =
        Schema::parse("n.json", std::string(R"({"x-sluice-envelope":"payload","type":"object",")") +
                                    note + R"(":{"a":[{"pattern":"(a|"}]}})");
    EXPECT_TRUE(schema.is_ok()) << note << schema.status().text();
  }
  const auto schema = Schema::parse("n.json", R"({"x-sluice-envelope":"payload","type":"object",
                    "properties":{"a":{"enum":[{"pattern":"(a|"}]}}})");
  EXPECT_FALSE(schema.is_ok());
}

// RapidJSON reads zeros with a large exponent as any number: a judge that believes it refuses a
// sound entry, or accepts a bad one.
TEST(SchemaNumbers, AreReadExactlyHoweverTheyAreWritten) {
  const auto schema = Schema::parse("n.json",
                                    R"({"x-sluice-envelope":"payload","type":"object",
          "properties":{"n":{"type":"number","minimum":-1,"maximum":1}}})");
  ASSERT_TRUE(schema.is_ok()) << schema.status().text();
  const auto accepts = [&](const std::string& number) {
    stream::Fields fields;
    fields.add("payload", "{\"n\":" + number + "}");
    const bool fine = !(*schema)->check(fields.view());
    EXPECT_EQ(fine, (*schema)->oracle_accepts(fields.view())) << number;
    return fine;
  };
  for (const char* number :
       {"0", "-0", "0e38", "-0e38", "0.000e45", "0.0e-38", "1", "-1", "1.0", "1e-400", "1E+0",
        "0.0001e4", "100000000000000000000e-20", "-1e-99999999999999999999"})
    EXPECT_TRUE(accepts(number)) << number;
  // The parser reads no exponent above 308, whatever stands before it.
  for (const char* number : {"0e400", "2", "-2", "1.0000000000000002", "-1.0000000000000002",
                             "18446744073709551615", "18446744073709551616", "-9223372036854775809",
                             "1e38", "1e400", "-1e400", "10e9999999999999999999", "0.001e400"})
    EXPECT_FALSE(accepts(number)) << number;
}

}  // namespace
}  // namespace sluice::graph
