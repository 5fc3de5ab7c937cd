// The gate for foreign intents and the schema set of trade intents against section 3 of the
// reference contract. What the gate says in words and what the schemas say are one rule: random
// payloads are judged alike by both.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "graph/schema.h"
#include "router/intake.h"
#include "router/intent.h"
#include "sluice/testing.h"

namespace sluice::router {
namespace {

using testing::FakeHost;
using testing::Ran;

constexpr const char* kSound =
    R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.8, "timestamp": "t"})";

using Faults = std::vector<std::string>;

Faults faults_of(std::string_view payload, IntentVersion version = IntentVersion::k1_1) {
  std::string why;
  const auto json = trade::Json::parse(payload, why);
  if (!json) return {why};
  return intent_faults(*json, version);
}

const graph::Schema& schema(IntentVersion version) {
  static const auto load = [](const char* name) {
    auto loaded = graph::Schema::load(std::string(SLUICE_SCHEMAS) + name);
    if (!loaded) throw std::runtime_error(loaded.status().text());
    return *loaded;
  };
  static const auto v1_0 = load("/trade_intent_v1_0.json"), v1_1 = load("/trade_intent.json");
  return version == IntentVersion::k1_0 ? *v1_0 : *v1_1;
}

bool schema_accepts(std::string_view payload, IntentVersion version) {
  const stream::Fields entry{{"payload", payload}};
  const bool accepts = !schema(version).check(entry.view());
  EXPECT_EQ(accepts, schema(version).oracle_accepts(entry.view())) << payload;
  return accepts;
}

// `kSound` with one member more, or another value of one.
std::string sound_with(std::string_view name, std::string_view value) {
  std::string text = R"({")" + std::string(name) + R"(": )" + std::string(value);
  const std::pair<const char*, const char*> members[] = {{"symbol", R"("BTCUSDT")"},
                                                         {"action", R"("BUY")"},
                                                         {"confidence", "0.8"},
                                                         {"timestamp", R"("t")"}};
  for (const auto& [have, sound] : members) {
    if (name != have) text += std::string(", \"") + have + "\": " + sound;
  }
  return text + "}";
}

// Section 3.4.
TEST(IntentFaults, FollowTheTableOfTheValidator) {
  struct Row {
    const char* payload;
    Faults faults;
  };
  const Row rows[] = {
      {kSound, {}},
      {"{}",
       {"Missing required field: symbol", "Missing required field: action",
        "Missing required field: confidence", "Missing required field: timestamp"}},
      {R"({"symbol": "1000PEPEUSDT", "action": "BUY", "confidence": 0.8, "timestamp": "t"})",
       {"Invalid symbol format: 1000PEPEUSDT"}},
      {R"({"symbol": "BTCUSDT", "side": "BUY", "confidence": 0.8, "timestamp": "t"})",
       {"Missing required field: action"}},
      {R"({"symbol": "btc", "action": "HODL", "confidence": 2, "timestamp": "t",)"
       R"( "position_size_usd": 0, "leverage": 150})",
       {"Invalid symbol format: btc", "Invalid action: HODL", "Invalid confidence range: 2",
        "Invalid position_size_usd: 0", "Invalid leverage range: 150"}}};
  for (const Row& row : rows) EXPECT_EQ(faults_of(row.payload), row.faults) << row.payload;
}

TEST(IntentFaults, EachRuleAtItsBounds) {
  struct Row {
    const char *member, *value;
    const char* fault;  // "" for none
  };
  const Row rows[] = {{"symbol", R"("ABCUSDT")", ""},
                      {"symbol", R"("ABCDEFGHIJUSDT")", ""},
                      {"symbol", R"("ABUSDT")", "Invalid symbol format: ABUSDT"},
                      {"symbol", R"("ABCDEFGHIJKUSDT")", "Invalid symbol format: ABCDEFGHIJKUSDT"},
                      {"symbol", R"("BTCUSDC")", "Invalid symbol format: BTCUSDC"},
                      {"symbol", R"("USDT")", "Invalid symbol format: USDT"},
                      {"action", R"("SELL")", ""},
                      {"action", R"("CLOSE")", ""},
                      {"action", R"("buy")", "Invalid action: buy"},
                      {"action", R"("")", "Invalid action: "},
                      {"confidence", "0", ""},
                      {"confidence", "1.0", ""},
                      {"confidence", "-0.01", "Invalid confidence range: -0.01"},
                      {"confidence", "1.01", "Invalid confidence range: 1.01"},
                      {"position_size_usd", "null", ""},
                      {"position_size_usd", "0.01", ""},
                      {"position_size_usd", "0.0", "Invalid position_size_usd: 0.0"},
                      {"position_size_usd", "-5", "Invalid position_size_usd: -5"},
                      {"leverage", "null", ""},
                      {"leverage", "1", ""},
                      {"leverage", "125", ""},
                      {"leverage", "0.5", "Invalid leverage range: 0.5"},
                      {"leverage", "126", "Invalid leverage range: 126"}};
  for (const Row& row : rows) {
    const std::string payload = sound_with(row.member, row.value);
    const Faults faults = faults_of(payload);
    EXPECT_EQ(faults, *row.fault == 0 ? Faults{} : Faults{row.fault}) << payload;
    EXPECT_EQ(schema_accepts(payload, IntentVersion::k1_1), faults.empty()) << payload;
  }
}

// Section 3.3: every field of the payload with a value that passes and one that is refused. Null
// stands for absent where the field is not required.
TEST(IntentFaults, EachFieldOfThePayload) {
  constexpr const char* kNever = nullptr;  // ignored: nothing is refused
  struct Row {
    const char *member, *passes, *refused;
    bool required;
  };
  const Row rows[] = {
      {"symbol", R"("BTCUSDT")", R"("BTCUSDT\n")", true},
      {"action", R"("SELL")", R"("HOLD")", true},
      {"confidence", "0.81", R"("0.81")", true},
      {"timestamp", R"("2026-01-02T10:00:00Z")", "1767348000", true},
      {"position_size_usd", "100.0", "0", false},
      {"leverage", "125", "125.1", false},
      {"entry_price", "50000", R"("50000")", false},
      {"stop_loss", "-1", "true", false},
      {"take_profit", "1e5", "[]", false},
      {"stop_loss_pct", "0.02", R"("2 %")", false},
      {"take_profit_pct", "0.04", "{}", false},
      {"quantity", "100", "false", false},
      {"source", R"("trading-bot")", "7", false},
      {"ai_size_usd", "150", R"("150")", false},
      {"ai_leverage", "20", R"("20")", false},
      {"ai_harvest_policy", R"({"mode": "scalper", "no_such_key": 1})", R"("scalper")", false},
      {"harvest_policy", R"({"mode": "swing"})", "1", false},
      {"risk_budget_usd", "50", R"("50")", false},
      {"reason", R"("r_target")", "1", false},
      {"reduce_only", "true", R"("true")", false},
      {"model", "[1, {}]", kNever, false},
      {"meta_strategy", "7", kNever, false},
      {"regime", "false", kNever, false},
      {"nobody_knows_it", R"("x")", kNever, false},
      {"side", R"("SELL")", kNever, false}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.member);
    const std::string sound = sound_with(row.member, row.passes);
    EXPECT_EQ(faults_of(sound), Faults{});
    EXPECT_TRUE(schema_accepts(sound, IntentVersion::k1_1));
    EXPECT_EQ(faults_of(sound_with(row.member, "null")).empty(), !row.required);
    if (row.refused == kNever) continue;
    const std::string unsound = sound_with(row.member, row.refused);
    const Faults faults = faults_of(unsound);
    ASSERT_EQ(faults.size(), 1u) << unsound;
    EXPECT_NE(faults[0].find(row.member), std::string::npos) << faults[0];
    EXPECT_FALSE(schema_accepts(unsound, IntentVersion::k1_1)) << unsound;
  }
}

// Section 3.4: a number that is none fails its range; in JSON it cannot even be written.
TEST(IntentFaults, ConfidenceThatIsNoNumberNeverPasses) {
  FakeHost<Intake> host;
  for (const char* value : {"NaN", "Infinity", "nan"}) {
    const Ran ran = host.deliver({{"payload", sound_with("confidence", value)}});
    EXPECT_EQ(ran.reason, "invalid_intent") << value;
    EXPECT_TRUE(ran.emitted("intent").empty()) << value;
  }
}

// The reference's own test expects the count of v1.0 of the v1.1 validator.
TEST(IntentDefects, SC1EachVersionMissesItsOwnFields) {
  const char* only_symbol = R"({"symbol": "BTCUSDT"})";
  EXPECT_EQ(faults_of(only_symbol).size(), 3u);
  EXPECT_EQ(
      faults_of(only_symbol, IntentVersion::k1_0),
      (Faults{"Missing required field: action", "Missing required field: confidence",
              "Missing required field: timestamp", "Missing required field: position_size_usd",
              "Missing required field: leverage"}));
}

TEST(IntentDefects, SC2ReasonAndReduceOnlyAreMembersLikeOthers) {
  for (const char* member : {R"("reason": "r_target")", R"("reduce_only": true)"}) {
    const std::string payload = std::string(kSound).insert(1, std::string(member) + ", ");
    EXPECT_TRUE(faults_of(payload).empty()) << payload;
    FakeHost<Intake> host;
    EXPECT_EQ(host.deliver({{"payload", payload}}).emitted("intent").at(0).find("payload"),
              payload);
  }
}

TEST(IntentDefects, SC3IntentsOfTheAiEngineAreValidatedLikeAllOthers) {
  FakeHost<Intake> host;
  host.store().set_now(Time(std::chrono::sys_days(std::chrono::year(2026) / 2 / 1)));
  const Ran ran = host.deliver(
      {{"payload", R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 1.2, "timestamp": "t"})"},
       {"source", "ai_engine"}});
  EXPECT_EQ(ran.reason, "invalid_intent");
  EXPECT_EQ(ran.detail, "Invalid action: buy; Invalid confidence range: 1.2");
}

TEST(IntentDefects, SC4ValuesOfTheWrongTypeAreReportedAndBooleansAreNoNumbers) {
  struct Row {
    const char *member, *value, *fault;
  };
  const Row rows[] = {
      {"symbol", "null", "Invalid symbol format: null"},
      {"symbol", "5", "Invalid symbol format: 5"},
      {"action", "[]", "Invalid action: []"},
      {"confidence", R"("0.8")", "Invalid confidence range: 0.8"},
      {"confidence", "null", "Invalid confidence range: null"},
      {"confidence", "true", "Invalid confidence range: true"},
      {"timestamp", "7", "Invalid timestamp: 7"},
      {"position_size_usd", R"("100")", "Invalid position_size_usd: 100"},
      {"leverage", "true", "Invalid leverage range: true"},
      {"stop_loss", R"("x")", "Invalid stop_loss: x"},
      {"reduce_only", "1", "Invalid reduce_only: 1"},
      {"ai_harvest_policy", R"(["a", 1])", "Invalid ai_harvest_policy: [\"a\", 1]"}};
  for (const Row& row : rows) {
    const std::string payload = sound_with(row.member, row.value);
    EXPECT_EQ(faults_of(payload), Faults{row.fault});
    EXPECT_FALSE(schema_accepts(payload, IntentVersion::k1_1)) << payload;
  }
}

TEST(IntentDefects, SC7MissingAndBrokenPayloadsEndAsDeadLetters) {
  FakeHost<Intake> host;
  EXPECT_EQ(host.deliver({{"source", "x"}}).detail, "payload is missing");
  EXPECT_EQ(host.deliver({{"payload", "{"}}).reason, "invalid_intent");
  EXPECT_EQ(host.deliver({{"payload", "[1]"}}).detail, "payload is not a JSON object");
}

TEST(IntentDefects, SC8WhatIsRefusedIsCountedByWhatIsWrong) {
  FakeHost<Intake> host;
  host.deliver({{"payload", "{"}});
  host.deliver({{"source", "x"}});
  host.deliver({{"payload", "{}"}});
  EXPECT_EQ(host.metric("trade_intent_parse_errors"), 2);
  EXPECT_EQ(host.metric("trade_intent_validation_failures"), 1);
  EXPECT_EQ(host.metric("trade_intent_schema_mismatches"), 0);
  host.deliver({{"payload", R"({"symbol": "BTCUSDT", "side": "BUY", "confidence": 0.8,)"
                            R"( "timestamp": "t"})"}});
  EXPECT_EQ(host.metric("trade_intent_schema_mismatches"), 1);
}

// The later typed contract asks for `side` where everybody else writes `action`.
TEST(IntentDefects, SC9ActionIsTheNameInBothVersions) {
  for (const IntentVersion version : {IntentVersion::k1_0, IntentVersion::k1_1}) {
    const auto required = schema(version).required();
    EXPECT_NE(std::find(required.begin(), required.end(), "action"), required.end());
    EXPECT_EQ(std::find(required.begin(), required.end(), "side"), required.end());
  }
}

// What the harvest brain writes: an envelope of `payload` alone.
TEST(IntentDefects, SC11AnIntentWithoutConfidenceIsRefusedWithItsName) {
  FakeHost<Intake> host;
  const Ran ran = host.deliver(
      {{"payload",
        R"({"symbol": "BTCUSDT", "action": "SELL", "qty": 1, "reduce_only": true, "timestamp": "t"})"}});
  EXPECT_EQ(ran.detail, "Missing required field: confidence");
}

// The exit monitor called a signature that was gone, and raised: its exits reached nobody.
TEST(IntentDefects, SC12ACloseInTheFormOfAnyProducerPassesOrIsADeadLetter) {
  constexpr const char* kClose =
      R"({"symbol": "BTCUSDT", "action": "CLOSE", "confidence": 1.0, "timestamp": "t",)"
      R"( "reason": "exit_monitor", "reduce_only": true})";
  FakeHost<Intake> host;
  for (const char* field : {"payload", "data"})
    EXPECT_EQ(host.deliver({{field, kClose}}).emitted("intent").at(0).find("payload"), kClose);
  const Ran flat = host.deliver({{"symbol", "BTCUSDT"}, {"action", "CLOSE"}});
  EXPECT_EQ(flat.reason, "invalid_intent");
}

TEST(Intake, SoundIntentPassesInThePresentEnvelope) {
  FakeHost<Intake> host;
  const Ran ran = host.deliver({{"event_type", "trade.intent"},
                                {"payload", kSound},
                                {"timestamp", "2026-01-02T10:00:00"},
                                {"source", "ai_engine"},
                                {"trace_id", "T1"},
                                {"correlation_id", "C1"}},
                               {.id = "4-2"});
  const Record intent = ran.emitted("intent").at(0);
  EXPECT_EQ(intent.find("payload"), kSound);
  EXPECT_EQ(intent.find("timestamp"), "2026-01-02T10:00:00");
  EXPECT_EQ(intent.find("source"), "ai_engine");
  EXPECT_EQ(intent.find("trace_id"), "T1");
  EXPECT_EQ(intent.find("correlation_id"), "C1");
  EXPECT_EQ(intent.find("decision_id"), "4-2");
}

TEST(Intake, TheOlderEnvelopeWithDataPasses) {
  FakeHost<Intake> host;
  const Record intent = host.deliver({{"data", kSound}}).emitted("intent").at(0);
  EXPECT_EQ(intent.find("payload"), kSound);
  EXPECT_EQ(intent.find("source"), "unknown");
  EXPECT_EQ(intent.find("timestamp"), "2023-11-14T22:13:20Z");
}

class SideForAction : public ::testing::Test {
 protected:
  Ran send(const char* date) {
    host_.store().set_now(Time(std::chrono::sys_days(std::chrono::year(2026) / 2 / 20)) +
                          std::chrono::seconds(std::string_view(date) == "before" ? -1 : 0));
    return host_.deliver({{"payload", kSide}, {"source", "ai_engine"}});
  }
  static constexpr const char* kSide =
      R"({"symbol": "BTCUSDT", "side": "SELL", "confidence": 0.80, "timestamp": "t", "n": [1, {}]})";
  FakeHost<Intake> host_;
};

TEST_F(SideForAction, IsMovedUntilTheEndDate) {
  EXPECT_EQ(send("before").emitted("intent").at(0).find("payload"),
            R"({"symbol": "BTCUSDT", "action": "SELL", "confidence": 0.80, "timestamp": "t", )"
            R"("n": [1, {}]})");
  EXPECT_EQ(host_.policy_args["side_until"]["source"], "ai_engine");
}

TEST_F(SideForAction, IsRefusedFromTheEndDateOn) {
  const Ran ran = send("on it");
  EXPECT_EQ(ran.reason, "side_removed");
  EXPECT_EQ(ran.detail, "Missing required field: action; side stood for it until 2026-02-20");
}

TEST_F(SideForAction, PolicyMayGiveALaterDateAndNoDateIsNoTime) {
  host_.policy["side_until"] = {"2026-03-31"};
  EXPECT_EQ(send("on it").emitted("intent").size(), 1u);
  for (const char* none : {"", "never", "31.3.2026", "2026-13-01"}) {
    host_.policy["side_until"] = {none};
    EXPECT_EQ(send("before").reason, "side_removed") << none;
  }
  host_.policy_fails = {"side_until"};
  EXPECT_EQ(send("before").reason, "policy_error");
}

TEST_F(SideForAction, ActionWinsWhereBothAreThere) {
  const Ran ran = host_.deliver({{"payload", sound_with("side", R"("SELL")")}});
  EXPECT_EQ(ran.emitted("intent").size(), 1u);
  EXPECT_TRUE(host_.policy_args["side_until"].empty());
}

// --- Words and schemas are one rule ---

const std::vector<std::string> kNames = {
    "symbol",      "action",      "confidence",  "timestamp", "position_size_usd",
    "leverage",    "stop_loss",   "quantity",    "source",    "reason",
    "reduce_only", "ai_size_usd", "ai_leverage", "side",      "ai_harvest_policy"};
const std::vector<std::string> kValues = {"null",
                                          "true",
                                          "false",
                                          "0",
                                          "1",
                                          "-1",
                                          "0.5",
                                          "1.5",
                                          "125",
                                          "126",
                                          "1e2",
                                          "1e-9",
                                          "[]",
                                          "{}",
                                          R"("")",
                                          R"("BUY")",
                                          R"("buy")",
                                          R"("BTCUSDT")",
                                          R"("BTCUSDT\n")",
                                          R"("t")"};

std::string random_payload() {
  // Mostly sound, so that more than the first rule is reached.
  const std::map<std::string, std::string> sound = {
      {"symbol", R"("BTCUSDT")"}, {"action", R"("SELL")"}, {"confidence", "0.5"},
      {"timestamp", R"("t")"},    {"leverage", "3"},       {"position_size_usd", "10"}};
  std::string text;
  for (const std::string& name : kNames) {
    const int dice = *rc::gen::inRange(0, 8);
    if (dice == 0) continue;
    const auto known = sound.find(name);
    const std::string value =
        dice > 1 && known != sound.end() ? known->second : *rc::gen::elementOf(kValues);
    if (dice > 1 && known == sound.end() && dice > 3) continue;
    text += (text.empty() ? "\"" : ", \"") + name + "\": " + value;
  }
  return "{" + text + "}";
}

RC_GTEST_PROP(IntentSchemas, SayWhatTheWordsSayAndV10IsPartOfV11, ()) {
  for (int i = 0; i < 20; ++i) {
    const std::string payload = random_payload();
    const bool v1_0 = schema_accepts(payload, IntentVersion::k1_0);
    const bool v1_1 = schema_accepts(payload, IntentVersion::k1_1);
    RC_ASSERT(v1_0 == faults_of(payload, IntentVersion::k1_0).empty());
    RC_ASSERT(v1_1 == faults_of(payload).empty());
    RC_ASSERT(!v1_0 || v1_1);
  }
}

}  // namespace
}  // namespace sluice::router
