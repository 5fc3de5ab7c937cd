// The reference system's two lanes through the built program: recorded decisions in, one record for
// each out, and every invariant that applies.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/disk.h"
#include "engine/embedded_store.h"
#include "fixtures/program.h"
#include "fixtures/recorded_day.h"
#include "fixtures/seed.h"

namespace sluice {
namespace {

using testing::Ended;
using ::testing::HasSubstr;
using testing::Program;

const std::string kPipeline = SLUICE_SOURCE_DIR "/pipelines/reference.yaml";
const std::string kSample = SLUICE_SOURCE_DIR "/pipelines/samples/decisions.ndjson";
constexpr const char* kResults = "quantum:stream:execution.result";
constexpr const char* kOrders = "quantum:stream:execution.order";

class ReferenceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-ref-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Program start(std::vector<std::string> arguments, const std::string& store = "store") const {
    return Program(std::move(arguments), folder_,
                   {"SLUICE_DATA=" + folder_ + "/" + store, "SLUICE_KLINES=" + klines_});
  }
  Ended sluice(std::vector<std::string> arguments, const std::string& store = "store") const {
    return start(std::move(arguments), store).wait();
  }
  std::vector<std::string> run_of(const std::string& input) const {
    return {"run", kPipeline, "--input", input, "--format", "json"};
  }
  // What ended well must also audit clean, and say which lane has no permits.
  Ended run(const std::string& input, const std::string& store = "store") const {
    const Ended ended = sluice(run_of(input), store);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    EXPECT_THAT(ended.out, HasSubstr("\"balanced\":true"));
    const Ended audit = sluice({"audit", kPipeline}, store);
    EXPECT_EQ(audit.exit_code, 0) << audit.out << audit.err;
    EXPECT_THAT(audit.out, HasSubstr("entry lane: no permits by design, "));
    return ended;
  }

  std::vector<stream::Entry> entries(const std::string& name,
                                     const std::string& store = "store") const {
    SystemClock clock;
    auto opened =
        engine::EmbeddedStore::open_read_only(folder_ + "/" + store, system_disk(), clock);
    EXPECT_TRUE(opened.is_ok()) << opened.status().text();
    auto range = (*opened)->range((*opened)->find_stream(name), EntryId{}, 1'000'000);
    EXPECT_TRUE(range.is_ok()) << range.status().text();
    return std::move(range).value();
  }
  static std::string field(const stream::Entry& entry, const char* name) {
    return std::string(entry.fields.find(name).value_or(""));
  }

  // How each intent ended, whatever the moment and the price: after a kill an order is asked for
  // before it is sent, so these may differ.
  std::multiset<std::string> ends(const std::string& store) const {
    std::multiset<std::string> all;
    for (const stream::Entry& result : entries(kResults, store)) {
      std::string text;
      for (const char* name :
           {"client_order_id", "intent_id", "status", "reason", "side", "quantity", "executed_qty"})
        text += field(result, name) + ' ';
      all.insert(text);
    }
    return all;
  }

  std::string folder_;
  std::string klines_;
};

TEST_F(ReferenceTest, TheSampleIsAccountedForAuditsCleanAndEntriesAreFilled) {
  run(kSample);
  std::map<std::string, int> statuses;
  for (const stream::Entry& result : entries(kResults)) ++statuses[field(result, "status")];
  EXPECT_GT(statuses["FILLED"], 100);
  EXPECT_THAT(entries("quantum:stream:apply.order"), ::testing::IsEmpty());
}

TEST_F(ReferenceTest, EachIntentHasOneResultAndTheLegacyStreamTheSameEnvelopes) {
  run(kSample);
  std::set<std::string> intents, ended;
  for (const stream::Entry& intent : entries("quantum:stream:trade.intent"))
    intents.insert(intent.id.text());
  for (const stream::Entry& result : entries(kResults))
    EXPECT_TRUE(ended.insert(field(result, "intent_id")).second);
  EXPECT_EQ(ended, intents);
  const auto results = entries(kResults), legacy = entries("trade.execution.res");
  ASSERT_EQ(results.size(), legacy.size());
  std::multiset<std::string> a, b;
  for (const stream::Entry& result : results) a.insert(field(result, "payload"));
  for (const stream::Entry& copy : legacy) b.insert(field(copy, "payload"));
  EXPECT_EQ(a, b);
}

TEST_F(ReferenceTest, NoOrderOfTheEntryLaneCarriesAPermit) {
  run(kSample);
  const auto orders = entries(kOrders);
  ASSERT_FALSE(orders.empty());
  for (const stream::Entry& order : orders) {
    EXPECT_EQ(field(order, "permits"), "none");
    EXPECT_FALSE(order.fields.find("governor_permit") || order.fields.find("p33_permit"));
    EXPECT_EQ(field(order, "reduceOnly"), "false");
  }
}

TEST_F(ReferenceTest, WhatTheEntryLaneOpenedTheExitLaneClosesWithBothPermits) {
  run(kSample);
  const std::string proposals = folder_ + "/proposals.ndjson";
  std::ofstream(proposals)
      << R"({"timestamp": "2025-12-15T15:00:00Z", "symbol": "BTCUSDT", )"
      << R"("harvest_action": "PARTIAL_50", "kill_score": "0.5", "computed_at_utc": "a"})" << '\n'
      << R"({"timestamp": "2025-12-15T15:05:00Z", "symbol": "BTCUSDT", )"
      << R"("harvest_action": "FULL_CLOSE_PROPOSED", "kill_score": "0.7", )"
      << R"("computed_at_utc": "b"})" << '\n';
  const size_t entered = entries(kResults).size();
  run("proposals=" + proposals);
  EXPECT_EQ(entries(kResults).size(), entered) << "exits have their own stream of results";
  const auto orders = entries("quantum:stream:apply.order");
  ASSERT_EQ(orders.size(), 2u);
  for (const stream::Entry& order : orders) {
    EXPECT_EQ(field(order, "reduceOnly"), "true");
    EXPECT_THAT(field(order, "governor_permit"), HasSubstr("\"granted\": true"));
    EXPECT_THAT(field(order, "p33_permit"), HasSubstr("\"allow\": true"));
  }
  const auto outcomes = entries("quantum:stream:apply.result");
  ASSERT_EQ(outcomes.size(), 2u);
  for (const stream::Entry& outcome : outcomes) EXPECT_EQ(field(outcome, "executed"), "True");
}

TEST_F(ReferenceTest, ASecondRunOverTheSameStoreAndFilePublishesNothingNew) {
  run(kSample);
  const auto before = ends("store");
  run(kSample);
  EXPECT_EQ(ends("store"), before);
}

TEST_F(ReferenceTest, StageRunAloneDoesItsPartAndNothingElse) {
  Ended router = sluice({"run", kPipeline, "--only", "router", "--input", kSample});
  ASSERT_EQ(router.exit_code, 0) << router.err;
  EXPECT_THAT(router.err, HasSubstr("reference: only router, "));
  EXPECT_THAT(router.out, HasSubstr("others go on with what these stages hand on"));
  EXPECT_GT(entries("quantum:stream:trade.intent").size(), 100u);
  EXPECT_THAT(entries(kOrders), ::testing::IsEmpty());
}

TEST_F(ReferenceTest, UnknownStageIsRefusedByRunAndCheckWithTheNearestName) {
  for (const char* command : {"run", "check"}) {
    const Ended refused = sluice({command, kPipeline, "--only", "router,entris"});
    EXPECT_EQ(refused.exit_code, 2) << command;
    EXPECT_THAT(refused.err, HasSubstr("did you mean entries?")) << command;
  }
  const Ended fine = sluice({"check", kPipeline, "--only", "router"});
  EXPECT_EQ(fine.exit_code, 0) << fine.err;
  EXPECT_THAT(fine.out, HasSubstr("fine, 1 stage, "));
}

TEST_F(ReferenceTest, StreamNamesComeFromTheReferencesVariables) {
  const Ended ended =
      Program(run_of(kSample), folder_,
              {"SLUICE_DATA=" + folder_ + "/store", "EXECUTION_RESULT_STREAM=my.result",
               "EXECUTION_RESULT_STREAM_LEGACY=my.legacy"})
          .wait();
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_FALSE(entries("my.result").empty());
  EXPECT_FALSE(entries("my.legacy").empty());
}

// Ten cuts; SLUICE_KILLS sets another number for long runs.
TEST_F(ReferenceTest, AfterAKillAtAnyMomentTheNextRunEndsAsAnUndisturbedOne) {
  const auto begin = std::chrono::steady_clock::now();
  run(kSample, "calm");
  const auto calm = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begin);
  const auto expected = ends("calm");
  const char* wanted = std::getenv("SLUICE_KILLS");
  const int trials = wanted != nullptr ? std::atoi(wanted) : 10;
  const unsigned seed = testing::any_seed();
  std::mt19937 random(seed);
  int killed = 0;
  for (int trial = 0; trial < trials; ++trial) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " trial " + std::to_string(trial));
    const std::string store = "store" + std::to_string(trial);
    Program program = start(run_of(kSample), store);
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % static_cast<unsigned>(calm.count())));
    program.signal(SIGKILL);
    killed += program.wait().exit_code == -1 ? 1 : 0;
    run(kSample, store);
    EXPECT_EQ(ends(store), expected);
    std::filesystem::remove_all(folder_ + "/" + store);
    if (HasFailure()) return;
  }
  EXPECT_GT(killed, trials / 4);
}

// The 510 recorded decisions, when they are there.
TEST_F(ReferenceTest, AllRecordedDecisionsAreAccountedForAndAuditClean) {
  const auto [decisions, klines] = testing::recorded_day();
  if (!std::filesystem::exists(decisions)) GTEST_SKIP() << "no recorded decisions at " << decisions;
  klines_ = klines;
  const Ended ended = run(decisions);
  EXPECT_THAT(ended.out, HasSubstr("\"entered\":510"));
  std::map<std::string, int> ends;
  for (const stream::Entry& result : entries(kResults))
    ++ends[field(result, "status") + " " + field(result, "reason")];
  // Two symbols, NEARUSDT and APTUSDT, are none of SYMBOLS and have no snapshot.
  EXPECT_EQ(ends,
            (std::map<std::string, int>{{"FILLED ", 188}, {"REJECTED no_exchange_snapshot", 2}}));
  EXPECT_EQ(entries("quantum:stream:dead").size(), 320u) << "USDC pairs, by the schema";
}

}  // namespace
}  // namespace sluice
