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

trade::Json payload_of(const Record& intent) {
  std::string why;
  auto json = trade::Json::parse(*intent.find("payload"), why);
  if (!json) throw std::runtime_error(why);
  return *json;
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
  const trade::Json payload = payload_of(ran.emitted("intent").at(0));
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

TEST(DedupId, VeryLongIdsAreHashed) {
  const std::string longest(256, 'x');
  EXPECT_EQ(dedup_id(longest, {}, "1-0"), longest);
  EXPECT_EQ(dedup_id(longest + "x", {}, "1-0"), "sha256-" + trade::sha256_hex(longest + "x"));
}

}  // namespace
}  // namespace sluice::router
