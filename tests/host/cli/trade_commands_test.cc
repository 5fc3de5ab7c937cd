// audit, why and ctl on the shipped trade pipeline, as an operator would use them.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/clock.h"
#include "base/disk.h"
#include "cli/exit_codes.h"
#include "engine/embedded_store.h"
#include "fixtures/program.h"

namespace sluice::cli {
namespace {

using ::sluice::testing::Ended;
using ::sluice::testing::Program;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::string kPipeline = SLUICE_SOURCE_DIR "/pipelines/trade.yaml";
const std::string kSample = SLUICE_SOURCE_DIR "/pipelines/samples/decisions.ndjson";

class TradeCommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-ops-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Each program writes its output below a folder of its own.
  Program start(std::vector<std::string> arguments, const std::string& name,
                std::vector<std::string> variables = {}) const {
    std::filesystem::create_directories(folder_ + "/" + name);
    variables.push_back("SLUICE_DATA=" + store());
    return Program(std::move(arguments), folder_ + "/" + name, std::move(variables));
  }
  Ended sluice(std::vector<std::string> arguments, std::vector<std::string> variables = {}) const {
    return start(std::move(arguments), "command", std::move(variables)).wait();
  }
  void run_sample() const {
    const Ended ended = sluice({"run", kPipeline, "--input", kSample});
    ASSERT_EQ(ended.exit_code, kFine) << ended.err;
  }
  std::string store() const { return folder_ + "/store"; }

  // Values of one field over a stream.
  std::vector<std::string> values(const std::string& stream, const std::string& field) const {
    SystemClock clock;
    auto opened = engine::EmbeddedStore::open_read_only(store(), system_disk(), clock);
    EXPECT_TRUE(opened) << opened.status().text();
    const auto id = (*opened)->find_stream(stream);
    auto entries = (*opened)->range(id, {}, 100'000);
    EXPECT_TRUE(entries) << stream;
    std::vector<std::string> all;
    for (const stream::Entry& entry : *entries)
      all.emplace_back(entry.fields.find(field).value_or(""));
    return all;
  }

  std::string folder_;
};

TEST_F(TradeCommandsTest, SampleAuditsCleanInBothForms) {
  run_sample();
  const Ended human = sluice({"audit", kPipeline});
  EXPECT_EQ(human.exit_code, kFine) << human.out << human.err;
  EXPECT_THAT(human.out, HasSubstr("Every invariant holds."));
  const Ended json = sluice({"audit", kPipeline, "--format", "json"});
  EXPECT_EQ(json.exit_code, kFine);
  EXPECT_THAT(json.out, AllOf(StartsWith("{\"holds\":true,\"invariants\":[{\"number\":1,"),
                              HasSubstr("\"verdict\":\"holds\",\"offences\":[]")));
}

// Five in ten seconds are let through, the sixth puts the router into safe mode, which meets the
// others: each has an end of its own.
TEST_F(TradeCommandsTest, DecisionsTheSafetyKernelStopsHaveAnEnd) {
  const std::string input = folder_ + "/burst.ndjson";
  std::ofstream lines(input);
  for (int i = 0; i < 8; ++i)
    lines
        << R"({"timestamp":"2025-12-15T08:00:00Z","correlation_id":"c)" << i
        << R"(","payload":{"symbol":"SOLUSDT","side":"BUY","confidence":0.9,"timestamp":"2025-12-15T08:00:00Z"}})"
        << '\n';
  lines.close();
  const Ended ran = sluice({"run", kPipeline, "--input", input}, {"SLUICE_SAFETY=true"});
  ASSERT_EQ(ran.exit_code, kFine) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("REFUSED                    1  SYMBOL_RATE_EXCEEDED"),
                             HasSubstr("rejected                   2  router: SAFE_MODE_ENABLED"),
                             HasSubstr("the sums add up")));
  const Ended audited = sluice({"audit", kPipeline});
  EXPECT_EQ(audited.exit_code, kFine) << audited.out << audited.err;
}

TEST_F(TradeCommandsTest, BrokenInvariantEndsWithFindingsAndIsNamed) {
  run_sample();
  {
    const SystemClock clock;
    auto opened = engine::EmbeddedStore::open(store(), {}, system_disk(), clock);
    ASSERT_TRUE(opened) << opened.status().text();
    const stream::Fields wrong{{"last_known_amt", "-7"}, {"updated_at", "0"}};
    stream::Effect put;
    put.kind = stream::EffectKind::kPutFields;
    put.key = "quantum:position:ledger:BTCUSDT";
    put.bytes = wrong.encoded();
    stream::Unit unit;
    unit.effects = {put};
    ASSERT_TRUE((*opened)->commit({&unit, 1}, nullptr));
  }
  const Ended human = sluice({"audit", kPipeline});
  EXPECT_EQ(human.exit_code, kFindings);
  EXPECT_THAT(human.out, AllOf(HasSubstr("6 is broken"), HasSubstr("BTCUSDT says -7")));
  const Ended json = sluice({"audit", kPipeline, "--format", "json"});
  EXPECT_EQ(json.exit_code, kFindings);
  EXPECT_THAT(json.out, StartsWith("{\"holds\":false,"));
}

TEST_F(TradeCommandsTest, AuditWantsTheFileAndAStore) {
  EXPECT_EQ(sluice({"audit", kPipeline}).exit_code, kStore);
  run_sample();
  const Ended folder = sluice({"audit", store()});
  EXPECT_EQ(folder.exit_code, kUsage);
  EXPECT_THAT(folder.err, HasSubstr("needs the pipeline file"));
}

TEST_F(TradeCommandsTest, DeadLettersThatWereReplayedOrDroppedDoNotBreakTheAccount) {
  run_sample();
  ASSERT_EQ(sluice({"dlq", "drop", kPipeline, "--reason", "hold_signal"}).exit_code, kFine);
  ASSERT_EQ(sluice({"dlq", "replay", kPipeline, "--reason", "schema"}).exit_code, kFine);
  run_sample();
  const Ended human = sluice({"audit", kPipeline});
  EXPECT_EQ(human.exit_code, kFine) << human.out;
}

TEST_F(TradeCommandsTest, WhyTellsTheStoryOfAnOrderFromDecisionToFill) {
  run_sample();
  const std::string plan = values("quantum:stream:apply.order", "plan_id").front();
  const Ended human = sluice({"why", kPipeline, plan});
  ASSERT_EQ(human.exit_code, kFine) << human.err;
  size_t at = 0;
  for (const char* step : {"producer", "router", "plan ", "permit of governor issued",
                           "permit of p33 issued", "order sl1-", "In the end: FILLED"}) {
    at = human.out.find(step, at);
    ASSERT_NE(at, std::string::npos) << step << " in\n" << human.out;
  }
  const Ended json = sluice({"why", kPipeline, plan, "--format", "json"});
  EXPECT_THAT(json.out,
              AllOf(StartsWith("{\"asked\":\"" + plan + "\""), HasSubstr("\"who\":\"execution\"")));
  const Ended unknown = sluice({"why", kPipeline, "nobody"});
  EXPECT_EQ(unknown.exit_code, kFindings);
  EXPECT_THAT(unknown.err, HasSubstr("nothing in the store has the id \"nobody\""));
}

TEST_F(TradeCommandsTest, CtlAppliesItselfWhenNoHostRuns) {
  run_sample();
  const Ended on = sluice({"ctl", kPipeline, "kill", "on", "--reason", "drill"});
  EXPECT_EQ(on.exit_code, kFine) << on.err;
  EXPECT_THAT(on.out, AllOf(HasSubstr("Kill switch set"), HasSubstr("No host was running")));
  const Ended off =
      sluice({"ctl", kPipeline, "kill", "off", "--reason", "drill", "--format", "json"});
  EXPECT_THAT(off.out, HasSubstr("\"command\":\"kill_off\""));
  EXPECT_THAT(values("quantum:stream:operator.command", "command"),
              ::testing::ElementsAre("kill_on", "kill_off"));
}

TEST_F(TradeCommandsTest, KillSwitchSetByCtlStopsTheNextRun) {
  run_sample();
  const size_t orders = values("quantum:stream:apply.order", "plan_id").size();
  std::filesystem::remove_all(store());
  // A store that has nothing but the command.
  const std::string empty = folder_ + "/empty.ndjson";
  std::ofstream(empty).close();
  ASSERT_EQ(sluice({"run", kPipeline, "--input", empty}).exit_code, kFine);
  ASSERT_EQ(sluice({"ctl", kPipeline, "kill", "on", "--reason", "drill"}).exit_code, kFine);
  run_sample();
  EXPECT_GT(orders, 0u);
  EXPECT_TRUE(values("quantum:stream:apply.order", "plan_id").empty());
  EXPECT_EQ(sluice({"audit", kPipeline}).exit_code, kFine);
}

TEST_F(TradeCommandsTest, CtlWantsAReasonAndASoundCommand) {
  EXPECT_EQ(sluice({"ctl", kPipeline, "kill", "on"}).exit_code, kUsage);
  EXPECT_EQ(sluice({"ctl", kPipeline, "kill", "maybe", "--reason", "r"}).exit_code, kUsage);
  EXPECT_EQ(sluice({"ctl", kPipeline, "hold", "btc", "--reason", "r"}).exit_code, kUsage);
  EXPECT_EQ(sluice({"ctl", kPipeline, "kill", "on", "--reason", " "}).exit_code, kUsage);
  const Ended no_store = sluice({"ctl", kPipeline, "kill", "on", "--reason", "r"});
  EXPECT_EQ(no_store.exit_code, kStore);
  EXPECT_THAT(no_store.err, HasSubstr("no store"));
  EXPECT_FALSE(std::filesystem::exists(store())) << "asking must not create a store";
}

TEST_F(TradeCommandsTest, RunningHostAppliesCommandsAndIsAuditedMeanwhile) {
  Program host = start({"run", kPipeline}, "host");
  const auto says = [&](const std::string& what) {
    std::ostringstream text;
    text << std::ifstream(folder_ + "/host/stderr").rdbuf();
    return text.str().find(what) != std::string::npos;
  };
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!says("stop with ctrl-c") && std::chrono::steady_clock::now() < give_up)
    std::this_thread::yield();
  ASSERT_TRUE(says("stop with ctrl-c"));

  const Ended on = sluice({"ctl", kPipeline, "kill", "on", "--reason", "drill"});
  EXPECT_EQ(on.exit_code, kFine) << on.err;
  EXPECT_THAT(on.out, HasSubstr("The running host has applied it."));
  EXPECT_EQ(sluice({"ctl", kPipeline, "hold", "BTCUSDT", "--reason", "drill"}).exit_code, kFine);
  const Ended audited = sluice({"audit", kPipeline});
  EXPECT_EQ(audited.exit_code, kFine) << audited.out << audited.err;

  host.signal(SIGTERM);
  EXPECT_EQ(host.wait().exit_code, kFine);
  EXPECT_THAT(values("quantum:stream:operator.command", "command"),
              ::testing::ElementsAre("kill_on", "hold"));
  EXPECT_TRUE(std::filesystem::is_empty(store() + "/inbox"));
}

}  // namespace
}  // namespace sluice::cli
