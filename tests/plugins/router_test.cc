#include "router/router.h"

#include <gtest/gtest.h>

#include "common/digest.h"
#include "common/json.h"
#include "sluice/testing.h"

namespace sluice::router {
namespace {

using testing::FakeHost;

const char* const kDecision = R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.81})";

Record decision(std::string_view correlation, std::string_view trace,
                std::string_view payload = kDecision) {
  return {{"event_type", "ai.decision.made"},
          {"payload", payload},
          {"correlation_id", correlation},
          {"trace_id", trace}};
}

Record with_payload(std::string_view payload) { return decision("", "", payload); }

trade::JsonDocument payload_of(const Record& intent) {
  std::string why;
  auto json = trade::Json::parse(*intent.find("payload"), why);
  if (!json) throw std::runtime_error(why);
  return std::move(*json);
}

// Golden vector of the reference contract, section 14.7.
TEST(Router, TwoIntentsAndOneDuplicateForThreeDecisions) {
  FakeHost<Router> host;
  const auto c1 = host.deliver(decision("C1", "T1"), {.id = "1-0"});
  const auto c2 = host.deliver(decision("C2", "T1"), {.id = "2-0"});
  const auto again = host.deliver(decision("C1", "T2"), {.id = "3-0"});
  EXPECT_EQ(c1.emitted("intent").size(), 1u);
  EXPECT_EQ(c2.emitted("intent").size(), 1u);
  EXPECT_TRUE(again.emitted("intent").empty());
  ASSERT_EQ(again.emitted("duplicate").size(), 1u);
  const Record duplicate = again.emitted("duplicate")[0];
  EXPECT_EQ(duplicate.find("key"), "quantum:dedup:trade_intent:C1");
  EXPECT_EQ(duplicate.find("earlier"), "1-0");
  EXPECT_EQ(duplicate.find("decision_id"), "3-0");
  EXPECT_EQ(duplicate.find("trace_id"), "T2");
  EXPECT_EQ(again.verdict, SLUICE_ACK);
}

// The reference leaves a key for the dropped first event; here a refused decision takes none.
TEST(Router, ARefusedDecisionTakesNoDedupKey) {
  FakeHost<Router> host;
  const auto empty =
      host.deliver(decision("C1", "", R"({"symbol": " ", "side": "buy", "confidence": 0.5})"));
  EXPECT_EQ(empty.verdict, SLUICE_REJECT);
  EXPECT_EQ(empty.reason, "invalid_decision");
  EXPECT_FALSE(host.store().has("quantum:dedup:trade_intent:C1"));
  EXPECT_EQ(host.deliver(decision("C1", "")).emitted("intent").size(), 1u);
}

TEST(Router, IntentCarriesEnvelopeDefaultsAndIds) {
  FakeHost<Router> host;
  const auto ran = host.deliver(decision("C1", "T1"), {.id = "7-1"});
  ASSERT_TRUE(ran.applied);
  const Record intent = ran.emitted("intent").at(0);
  EXPECT_EQ(intent.find("event_type"), "trade.intent");
  EXPECT_EQ(intent.find("source"), "ai_strategy_router");
  EXPECT_EQ(intent.find("timestamp"), "2023-11-14T22:13:20Z");
  EXPECT_EQ(intent.find("decision_id"), "7-1");
  EXPECT_EQ(intent.find("decision_us"), "1700000000000000");
  EXPECT_EQ(intent.find("trace_id"), "T1");
  EXPECT_EQ(intent.find("correlation_id"), "C1");
  EXPECT_EQ(intent.find("policy"), "test.lua@0");
  EXPECT_EQ(*intent.find("payload"),
            R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.81, )"
            R"("position_size_usd": 100.0, "leverage": 1.0, )"
            R"("timestamp": "2023-11-14T22:13:20Z", "source": "ai_strategy_router"})");
  EXPECT_EQ(host.store().ttl_us("quantum:dedup:trade_intent:C1"), 300'000'000);
}

TEST(Router, GivenNumbersPassThroughAsWritten) {
  FakeHost<Router> host;
  const auto ran = host.deliver(with_payload(
      R"({"symbol": "BTCUSDT", "action": "short", "confidence": 1, "position_size_usd": 250.50,)"
      R"( "leverage": 3, "stop_loss": 1.10, "take_profit": null, "quantity": 5})"));
  const trade::JsonDocument payload = payload_of(ran.emitted("intent").at(0));
  EXPECT_EQ(payload.text_of("action"), "SELL");
  EXPECT_EQ(payload.number_of("position_size_usd"), "250.50");
  EXPECT_EQ(payload.number_of("leverage"), "3");
  EXPECT_EQ(payload.number_of("stop_loss"), "1.10");
  EXPECT_EQ(payload.find("take_profit"), nullptr);
  EXPECT_EQ(payload.number_of("quantity"), "5");
}

TEST(Router, FlatDecisionOfTheOlderFormIsRead) {
  FakeHost<Router> host;
  const auto ran = host.deliver(
      {{"symbol", "ETHUSDT"}, {"side", "LONG"}, {"confidence", "0.5"}, {"trace_id", "0"}},
      {.id = "9-0"});
  ASSERT_TRUE(ran.applied);
  EXPECT_EQ(payload_of(ran.emitted("intent").at(0)).number_of("confidence"), "0.5");
  EXPECT_TRUE(host.store().has("quantum:dedup:trade_intent:9-0"));
}

TEST(Router, UnsoundDecisionsAreRejectedWithFieldAndValue) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "payload is not JSON"},
      {"[1]", "not a JSON object"},
      {R"({"side": "buy", "confidence": 0.5})", "symbol"},
      {R"({"symbol": 5, "side": "buy", "confidence": 0.5})", "symbol"},
      {R"({"symbol": "BTCUSDT", "confidence": 0.5})", "action"},
      {R"({"symbol": "BTCUSDT", "side": "", "action": "buy", "confidence": 0.5})", "side"},
      {R"({"symbol": "BTCUSDT", "side": "HODL", "confidence": 0.5})", "HODL"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": "0.5"})", "confidence"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": null})", "confidence"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": true})", "confidence"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 1.01})", "1.01"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": -0.1})", "-0.1"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 1e999})", "too big"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.5, "leverage": "x"})", "leverage"},
  };
  for (const auto& [payload, detail] : cases) {
    FakeHost<Router> host;
    const auto ran = host.deliver(with_payload(payload));
    EXPECT_EQ(ran.verdict, SLUICE_REJECT) << payload;
    EXPECT_EQ(ran.reason, "invalid_decision") << payload;
    EXPECT_NE(ran.detail.find(detail), std::string::npos) << ran.detail;
  }
}

TEST(Router, HoldAndLowConfidenceAreRejectedUnderTheirOwnReasons) {
  FakeHost<Router> host({{"min_confidence", "0.6"}});
  EXPECT_EQ(
      host.deliver(with_payload(R"({"symbol": "BTCUSDT", "side": "hold", "confidence": 0.9})"))
          .reason,
      "hold_signal");
  EXPECT_EQ(
      host.deliver(with_payload(R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.59})"))
          .reason,
      "low_confidence");
  EXPECT_TRUE(
      host.deliver(with_payload(R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.6})"))
          .applied);
}

TEST(Router, PolicyChoosesIdAndLifetime) {
  FakeHost<Router> host;
  host.policy["dedup_id"] = {"BTCUSDT:buy"};
  host.policy["dedup_ttl"] = {"30s"};
  ASSERT_TRUE(host.deliver(decision("C1", "T1"), {.id = "1-0"}).applied);
  EXPECT_EQ(host.store().text("quantum:dedup:trade_intent:BTCUSDT:buy"), "1-0");
  EXPECT_EQ(host.policy_args["dedup_id"]["side"], "buy");
  EXPECT_EQ(host.deliver(decision("C2", "T2")).emitted("duplicate").size(), 1u);
  host.store().advance(std::chrono::seconds(30));
  EXPECT_EQ(host.deliver(decision("C3", "T3")).emitted("intent").size(), 1u);
}

TEST(Router, AFailingPolicyLetsNothingThrough) {
  for (const char* hook : {"dedup_id", "dedup_ttl"}) {
    FakeHost<Router> host;
    host.policy_fails = {hook};
    const auto ran = host.deliver(decision("C1", "T1"));
    EXPECT_EQ(ran.reason, "policy_error");
    EXPECT_FALSE(ran.applied);
    EXPECT_FALSE(host.store().has("quantum:dedup:trade_intent:C1"));
  }
}

// Section 2.1: what older producers write.
TEST(Router, DecisionUnderTheOlderNameDataIsRead) {
  FakeHost<Router> host;
  const auto ran = host.deliver({{"data", kDecision}, {"trace_id", "T1"}});
  ASSERT_TRUE(ran.applied);
  EXPECT_EQ(payload_of(ran.emitted("intent").at(0)).text_of("symbol"), "BTCUSDT");
  EXPECT_EQ(host.deliver({{"data", "["}}).detail.substr(0, 16), "data is not JSON");
  const auto both = host.deliver({{"payload", kDecision}, {"data", "["}});
  EXPECT_EQ(both.emitted("intent").size(), 1u);
}

// Section 2.2.
TEST(Router, DedupIdIsTheFirstThatCounts) {
  struct Row {
    const char *correlation, *trace, *used;
  };
  const Row rows[] = {{"C1", "T1", "C1"},   {"C1", "", "C1"},        {" C1 ", "T1", "C1"},
                      {"", "T1", "T1"},     {"0", "T1", "T1"},       {"null", "T1", "T1"},
                      {"None", "T1", "T1"}, {"NULL", " T1", "T1"},   {"", "", "5-0"},
                      {"0", "none", "5-0"}, {"null", "Null", "5-0"}, {" ", "0", "5-0"}};
  for (const Row& row : rows) {
    FakeHost<Router> host;
    host.deliver(decision(row.correlation, row.trace), {.id = "5-0"});
    const std::string key = std::string("quantum:dedup:trade_intent:") + row.used;
    EXPECT_TRUE(host.store().text(key).starts_with("5-0 "))
        << '"' << row.correlation << "\", \"" << row.trace << '"';
  }
}

// Section 2.3, one row for each step that can end a decision; none leaves a dedup key behind.
TEST(Router, EachStepEndsADecisionUnderItsReason) {
  struct Row {
    const char *step, *payload, *reason;
    std::vector<std::string> approve;
  };
  const std::vector<std::string> yes = {"true", ""};
  const Row rows[] = {
      {"0 parse", "{", "invalid_decision", yes},
      {"2 symbol", R"({"symbol": "", "side": "buy", "confidence": 0.5})", "invalid_decision", yes},
      {"2 not an object", "[]", "invalid_decision", yes},
      {"3 confidence", R"({"symbol": "S", "side": "buy", "confidence": "x"})", "invalid_decision",
       yes},
      {"5 denied", kDecision, "strategy_denied", {"false", "regime"}}};
  for (const Row& row : rows) {
    FakeHost<Router> host;
    host.policy["approve"] = row.approve;
    const auto ran = host.deliver(decision("C1", "", row.payload));
    EXPECT_EQ(ran.verdict, SLUICE_REJECT) << row.step;
    EXPECT_EQ(ran.reason, row.reason) << row.step;
    EXPECT_FALSE(host.store().has("quantum:dedup:trade_intent:C1")) << row.step;
  }
}

TEST(Router, LogMarkersOtherToolsLookForAreWritten) {
  FakeHost<Router> host;
  host.deliver(decision("C1", "T1"), {.id = "1-0"});
  const auto again = host.deliver(decision("C1", "T2"), {.id = "2-0"});
  ASSERT_EQ(again.log.size(), 1u);
  EXPECT_EQ(again.log[0],
            "DUPLICATE_SKIP key=quantum:dedup:trade_intent:C1 corr=C1 trace=T2 msg_id=2-0");
  const auto invalid = host.deliver(with_payload("{}"), {.id = "3-0"});
  EXPECT_EQ(invalid.log.at(0).substr(0, 34), "INVALID_DECISION_DROP msg_id=3-0 s");
}

TEST(Router, ChosenDecisionsGoBackToTheirOwnEntryAndOthersCannotPretendTo) {
  Record chosen = decision("", "");
  chosen.add("decision_id", "1-0");
  chosen.add("decision_us", "123");
  FakeHost<Router> trusting({{"selected", "true"}});
  const Record intent = trusting.deliver(chosen, {.id = "9-0"}).emitted("intent").at(0);
  EXPECT_EQ(intent.find("decision_id"), "1-0");
  EXPECT_EQ(intent.find("decision_us"), "123");
  EXPECT_TRUE(trusting.store().text("quantum:dedup:trade_intent:1-0").starts_with("1-0 "));
  FakeHost<Router> host;
  EXPECT_EQ(host.deliver(chosen, {.id = "9-0"}).emitted("intent").at(0).find("decision_id"), "9-0");
}

// --- The safety kernel, section 2.8 ---

constexpr const char* kSafeMode = "quantum:safety:safe_mode";

Record of_symbol(std::string_view symbol) {
  return with_payload(R"({"symbol": ")" + std::string(symbol) +
                      R"(", "side": "buy", "confidence": 0.8})");
}

class SafetyKernel : public ::testing::Test {
 protected:
  // Delivers an entry of its own; entry ids count up.
  testing::Ran send(std::string_view symbol) {
    return host_.deliver(of_symbol(symbol), {.id = std::to_string(++sent_) + "-0"});
  }
  FakeHost<Router> host_{{{"safety", "true"}}};
  int sent_ = 0;
};

TEST_F(SafetyKernel, SixthIntentOfASymbolSetsSafeModeAndSaysSo) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(send("BTCUSDT").emitted("intent").size(), 1u);
  const auto sixth = send("BTCUSDT");
  EXPECT_TRUE(sixth.applied);
  EXPECT_TRUE(sixth.emitted("intent").empty());
  EXPECT_EQ(host_.store().text(kSafeMode), "1");
  EXPECT_EQ(host_.store().ttl_us(kSafeMode), 300'000'000);
  const Record fault = sixth.emitted("fault").at(0);
  EXPECT_EQ(fault.find("reason"), "SYMBOL_RATE_EXCEEDED");
  EXPECT_EQ(fault.find("symbol_count"), "5");
  EXPECT_EQ(fault.find("global_max"), "20");
  EXPECT_EQ(fault.find("symbol_max"), "5");
  EXPECT_EQ(fault.find("window_sec"), "10.0");
  EXPECT_EQ(fault.find("cooldown_sec"), "300.0");
  const Record refused = sixth.emitted("refused").at(0);
  EXPECT_EQ(refused.find("decision_id"), "6-0");
  EXPECT_EQ(refused.find("state"), "REFUSED");
  EXPECT_EQ(refused.find("reason"), "SYMBOL_RATE_EXCEEDED");
  EXPECT_FALSE(host_.store().has("quantum:dedup:trade_intent:6-0"));
  EXPECT_EQ(send("ETHUSDT").reason, "SAFE_MODE_ENABLED");
}

TEST_F(SafetyKernel, TwentyFirstIntentInAllSetsSafeMode) {
  for (int i = 0; i < 20; ++i)
    ASSERT_EQ(send("S" + std::to_string(i / 5)).emitted("intent").size(), 1u) << i;
  const auto last = send("OTHER");
  EXPECT_EQ(last.emitted("refused").at(0).find("reason"), "GLOBAL_RATE_EXCEEDED");
  EXPECT_EQ(last.emitted("fault").at(0).find("global_count"), "20");
  EXPECT_TRUE(host_.store().has(kSafeMode));
}

TEST_F(SafetyKernel, AFaultHasEveryFieldOfTheContract) {
  for (int i = 0; i < 5; ++i) send("BTCUSDT");
  const Record fault = send("BTCUSDT").emitted("fault").at(0);
  for (const char* name :
       {"timestamp", "reason", "symbol", "side", "global_count", "symbol_count", "global_max",
        "symbol_max", "window_sec", "cooldown_sec", "router_pid", "correlation_id", "trace_id"})
    EXPECT_TRUE(fault.find(name)) << name;
}

TEST_F(SafetyKernel, TheNextWindowCountsAnew) {
  for (int i = 0; i < 5; ++i) send("BTCUSDT");
  host_.store().advance(std::chrono::seconds(10));
  EXPECT_EQ(send("BTCUSDT").emitted("intent").size(), 1u);
}

TEST_F(SafetyKernel, DuplicatesAreNotCounted) {
  const Record same = decision("C1", "");
  for (int i = 0; i < 30; ++i) host_.deliver(same, {.id = std::to_string(++sent_) + "-0"});
  EXPECT_FALSE(host_.store().has(kSafeMode));
}

// The reference lets everything through while the flag is set, and whenever anything goes wrong.
TEST_F(SafetyKernel, RT16ASetOrUnreadableSafeModeRefuses) {
  for (const char* word : {"1", "true", "yes", "what", "0 0"}) {
    host_.store().put(kSafeMode, word);
    EXPECT_EQ(send("BTCUSDT").reason, "SAFE_MODE_ENABLED") << word;
  }
  host_.store().put(kSafeMode, Record{{"mode", "off"}});
  EXPECT_EQ(send("BTCUSDT").reason, "SAFE_MODE_ENABLED");
  for (const char* word : {"0", "", "false", "off"}) {
    host_.store().put(kSafeMode, word);
    EXPECT_EQ(send("BTCUSDT" + std::string(word)).emitted("intent").size(), 1u) << word;
  }
}

TEST_F(SafetyKernel, RT16AFailingPolicyRefuses) {
  host_.policy_fails = {"safety_limits"};
  EXPECT_EQ(send("BTCUSDT").reason, "policy_error");
}

TEST_F(SafetyKernel, RT16SafeModeSetWhileTheUnitIsUnderWayRefuses) {
  host_.before_commit = [&] { host_.store().put(kSafeMode, "1"); };
  EXPECT_EQ(send("BTCUSDT").reason, "SAFE_MODE_ENABLED");
  EXPECT_TRUE(host_.store().streams["intent"].empty());
}

TEST(Router, WithoutTheSafetyKernelSafeModeIsNotRead) {
  FakeHost<Router> host;
  host.store().put(kSafeMode, "1");
  for (int i = 0; i < 30; ++i)
    EXPECT_TRUE(host.deliver(of_symbol("BTCUSDT"), {.id = std::to_string(i) + "-0"}).applied);
}

// --- Defects of the reference that are not to be rebuilt ---

TEST(RouterDefects, RT1AResendAfterARefusalIsNotADuplicate) {
  FakeHost<Router> host;
  host.policy["approve"] = {"false", "closed"};
  EXPECT_EQ(host.deliver(decision("C1", "")).reason, "strategy_denied");
  host.policy.erase("approve");
  EXPECT_EQ(host.deliver(decision("C1", "")).emitted("intent").size(), 1u);
}

// The id then comes from what was decided; the ways to compose it are in lua/router.lua.
TEST(RouterDefects, RT2AFreshCorrelationIdDoesNotHideARepeatFromACompositeId) {
  FakeHost<Router> host;
  host.policy["dedup_id"] = {"BTCUSDT|BUY|2026-01-02T10:00:00Z"};
  EXPECT_EQ(host.deliver(decision("random-1", "")).emitted("intent").size(), 1u);
  EXPECT_EQ(host.deliver(decision("random-2", "")).emitted("duplicate").size(), 1u);
}

TEST(RouterDefects, RT3IntentsCarryPayloadAndTheIds) {
  FakeHost<Router> host;
  const Record intent = host.deliver(decision("C1", "T1")).emitted("intent").at(0);
  EXPECT_TRUE(intent.find("payload"));
  EXPECT_EQ(intent.find("correlation_id"), "C1");
  EXPECT_EQ(intent.find("trace_id"), "T1");
}

TEST(RouterDefects, RT4TheDedupKeyIsTakenOnceAndTheIntentPublished) {
  FakeHost<Router> host;
  const auto ran = host.deliver(decision("C1", ""));
  EXPECT_TRUE(ran.failures.empty());
  EXPECT_EQ(ran.conditions.size(), 1u);
  EXPECT_EQ(ran.emitted("intent").size(), 1u);
}

TEST(Router, AnotherContentUnderTheSameKeyIsAConflictAndNotPublished) {
  struct Row {
    const char *payload, *reason;
  };
  const Row rows[] = {
      {kDecision, "duplicate"},
      {R"({"confidence": 0.810, "side": "LONG", "symbol": "BTCUSDT"})", "duplicate"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.81, "timestamp": "t", "model": "m",
           "position_size_usd": 100, "leverage": 1.0})",
       "duplicate"},
      {R"({"symbol": "ETHUSDT", "side": "buy", "confidence": 0.81})", "conflict"},
      {R"({"symbol": "BTCUSDT", "side": "sell", "confidence": 0.81})", "conflict"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.82})", "conflict"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.81, "position_size_usd": 101})",
       "conflict"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.81, "leverage": 2})", "conflict"},
      {R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.81, "stop_loss_pct": 0.1})",
       "conflict"}};
  for (const Row& row : rows) {
    FakeHost<Router> host;
    host.deliver(decision("C1", "T1"), {.id = "1-0"});
    const auto again = host.deliver(decision("C1", "T2", row.payload), {.id = "2-0"});
    EXPECT_TRUE(again.emitted("intent").empty()) << row.payload;
    const Record record = again.emitted("duplicate").at(0);
    EXPECT_EQ(record.find("reason"), row.reason) << row.payload;
    EXPECT_EQ(record.find("earlier"), "1-0") << row.payload;
    const bool conflicts = record.find("reason") == "conflict";
    EXPECT_EQ(record.find("state"), conflicts ? "CONFLICT" : "DUPLICATE") << row.payload;
    EXPECT_EQ(host.metric("quantum_router_conflicts_total"), conflicts ? 1 : 0) << row.payload;
  }
}

TEST(Router, WhereNoDigestIsUnderTheKeyAnyContentIsADuplicate) {
  const char* const other = R"({"symbol": "ETHUSDT", "side": "sell", "confidence": 0.3})";
  FakeHost<Router> upgraded;
  upgraded.store().put("quantum:dedup:trade_intent:C1", "1-0");
  const auto old = upgraded.deliver(decision("C1", "", other), {.id = "2-0"});
  EXPECT_EQ(old.emitted("duplicate").at(0).find("reason"), "duplicate");
  EXPECT_EQ(old.emitted("duplicate").at(0).find("earlier"), "1-0");

  FakeHost<Router> composed;
  composed.policy["dedup_id"] = {"everything"};
  composed.deliver(decision("C1", ""), {.id = "1-0"});
  const auto same = composed.deliver(decision("C2", "", other), {.id = "2-0"});
  EXPECT_EQ(same.emitted("duplicate").at(0).find("reason"), "duplicate");
}

// The size of a chosen decision is that of its rank in its window.
TEST(Router, AChosenDecisionOfAnotherSizeIsACopy) {
  FakeHost<Router> host({{"selected", "true"}});
  const auto sized = [](const char* size) {
    return decision("C1", "",
                    R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.8, )"
                    R"("position_size_usd": )" +
                        std::string(size) + "}");
  };
  host.deliver(sized("100"));
  EXPECT_EQ(host.deliver(sized("150")).emitted("duplicate").at(0).find("reason"), "duplicate");
}

TEST(RouterDefects, RT5RT7WhatCannotBeReadEndsAsADeadLetterAndHoldsNothingUp) {
  FakeHost<Router> host;
  for (const char* payload : {"{", "null", R"({"side": "buy", "confidence": 0.5})"})
    EXPECT_EQ(host.deliver(with_payload(payload)).verdict, SLUICE_REJECT) << payload;
  EXPECT_TRUE(host.deliver(with_payload(kDecision)).applied);
}

TEST(RouterDefects, RT6AnApprovalThatFailsIsARejectionThatCanBeReplayed) {
  FakeHost<Router> host;
  host.policy_fails = {"approve"};
  EXPECT_EQ(host.deliver(decision("C1", "")).reason, "policy_error");
  host.policy_fails.clear();
  EXPECT_EQ(host.deliver(decision("C1", "")).emitted("intent").size(), 1u);
}

TEST(RouterDefects, RT8ATextForConfidenceIsNamedInTheRejection) {
  FakeHost<Router> host;
  const auto ran =
      host.deliver(with_payload(R"({"symbol": "BTCUSDT", "side": "buy", "confidence": "high"})"));
  EXPECT_EQ(ran.reason, "invalid_decision");
  EXPECT_EQ(ran.detail, "confidence is not a number");
}

TEST(RouterDefects, RT9OnlyKnownWordsBecomeActions) {
  const std::pair<const char*, const char*> words[] = {
      {"buy", "BUY"},    {"BUY", "BUY"},    {"sell", "SELL"},
      {"long", "BUY"},   {"Short", "SELL"}, {"close", "CLOSE"},
      {"hold", nullptr}, {"HODL", nullptr}, {"buy now", nullptr}};
  for (const auto& [word, action] : words) {
    FakeHost<Router> host;
    const auto ran = host.deliver(with_payload(R"({"symbol": "BTCUSDT", "side": ")" +
                                               std::string(word) + R"(", "confidence": 0.5})"));
    EXPECT_EQ(ran.emitted("intent").size(), action == nullptr ? 0u : 1u) << word;
    if (action != nullptr) {
      EXPECT_EQ(payload_of(ran.emitted("intent").at(0)).text_of("action"), action);
    }
  }
}

TEST(DedupId, VeryLongIdsAreHashed) {
  const std::string longest(256, 'x');
  EXPECT_EQ(dedup_id(longest, {}, "1-0"), longest);
  EXPECT_EQ(dedup_id(longest + "x", {}, "1-0"), "sha256-" + trade::sha256_hex(longest + "x"));
}

}  // namespace
}  // namespace sluice::router
