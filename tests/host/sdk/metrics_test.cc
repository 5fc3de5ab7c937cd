// What a stage says of its metrics, through the C table and the harness of "sluice/testing.h".
#include <gtest/gtest.h>

#include <stdexcept>

#include "sluice/testing.h"

namespace {

using sluice::testing::FakeHost;

// Counts each entry under `key`, and asks `wish` of the harness.
class Counter {
 public:
  static constexpr sluice::Info kInfo{.kind = "counter"};
  static constexpr const char* kLabels[] = {"symbol", "side", nullptr};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "taken_total", .doc = "Entries.", .labels = kLabels},
      {.name = "level", .doc = "Newest.", .type = SLUICE_GAUGE}};
  static constexpr sluice_key kKeys[] = {
      {.pattern = "taken:{id}", .doc = "Taken.", .access = SLUICE_KEY_WRITES}};
  static constexpr const char* kReasons[] = {"unwanted", nullptr};
  explicit Counter(const sluice::Settings&) {}

  sluice::Verdict process(const sluice::Entry& entry, sluice::Unit& unit) {
    const std::string_view wish = entry["wish"];
    // In another order than described.
    unit.count("taken_total", {{"side", "BUY"}, {"symbol", "A"}}, 2);
    if (wish == "undescribed") unit.count("lost_total");
    if (wish == "fewer") unit.count("taken_total", {{"symbol", "A"}});
    if (wish == "more") unit.count("taken_total", {{"symbol", "A"}, {"side", "BUY"}, {"leg", "0"}});
    if (wish == "other") unit.count("taken_total", {{"symbol", "A"}, {"leg", "0"}});
    if (wish == "wrong_type") unit.gauge("taken_total", {{"symbol", "A"}, {"side", "BUY"}}, 1);
    if (wish == "negative") unit.count("taken_total", {{"symbol", "A"}, {"side", "BUY"}}, -1);
    if (wish == "reject") return sluice::reject("unwanted");
    if (wish == "wait") return sluice::wait({"taken:1"}, unit.now());
    if (!unit.failure()) unit.claim("taken:1", "x", sluice::Duration(0));
    unit.gauge("level", {}, 0.5);
    return sluice::ack();
  }
};

constexpr const char* kTaken = "taken_total{symbol=\"A\",side=\"BUY\"}";

TEST(StageMetrics, CountOnceWhenAConditionMadeTheStageTryAgain) {
  FakeHost<Counter> host;
  host.store().put("taken:1", "earlier");
  const auto ran = host.deliver({});
  EXPECT_EQ(ran.failures.size(), 1u);
  EXPECT_EQ(host.metric(kTaken), 2);
  EXPECT_EQ(host.metric("level"), 0.5);
}

TEST(StageMetrics, ARejectCountsAndAWaitDoesNot) {
  FakeHost<Counter> host;
  host.deliver({{"wish", "wait"}});
  EXPECT_EQ(host.metric(kTaken), 0);
  host.deliver({{"wish", "reject"}});
  EXPECT_EQ(host.metric(kTaken), 2);
}

TEST(StageMetrics, WhatIsNotDescribedSoThrowsInTheHarness) {
  for (const char* wish : {"undescribed", "fewer", "more", "other", "wrong_type", "negative"}) {
    FakeHost<Counter> host;
    EXPECT_THROW(host.deliver({{"wish", wish}}), std::logic_error) << wish;
    EXPECT_EQ(host.metric(kTaken), 0) << wish;
  }
}

// As a host of table 1.1 is: it knows no extension.
TEST(StageMetrics, AHostWithoutMetricsIsNoFault) {
  sluice_host host{};
  host.struct_size = sizeof host;
  host.extension = [](void*, const char*) -> const void* { return nullptr; };
  const sluice_call call{&host, nullptr};
  sluice::Unit unit(&call);
  unit.count("taken_total", {{"symbol", "A"}});
  unit.gauge("level", {}, 1);
  unit.gauge_reserved("level", {}, "counter");
}

}  // namespace
