// The trade pipeline is killed in front of, in the middle of and behind the n-th change of its
// store's folder: the next run ends as an undisturbed one, and every invariant holds.
//
// In `make crash`, n is every number there is.
#include <iostream>
#include <random>

#include "faults/faulty_trade.h"
#include "fixtures/seed.h"

namespace sluice {
namespace {

using testing::crash_points;
using testing::Ended;
using testing::FaultyCalls;
using testing::Program;

class CrashPoints : public testing::FaultyTrade {};

TEST_F(CrashPoints, AKillAtAnyChangeOfTheStoreIsFollowedByTheUndisturbedEnd) {
  run_calm();
  const uint64_t calls = count("");
  std::string kinds;
  for (const char* kind : {"create", "write", "sync", "rename", "remove"}) {
    const uint64_t of_kind = count(kind);
    EXPECT_GT(of_kind, 2u) << kind;
    kinds += (kinds.empty() ? "" : ", ") + std::to_string(of_kind) + " " + kind;
  }
  // Each change twice: in front of it, and in its middle or behind it.
  const size_t trials = crash_points(40, 2 * calls);
  for_each(trials, [&](size_t job) {
    const size_t point = job * 2 * calls / trials + (trials < calls ? job % 2 : 0);
    return trial("store" + std::to_string(job),
                 {{.act = point % 2 == 0 ? "kill" : "tear", .at = 1 + point / 2}}, {kKilled, 0});
  });
  std::cout << "crash points: " << calls << " changes (" << kinds << "); " << trials << " trials, "
            << ended_with(kKilled) << " kills\n";
  // How often the store syncs varies a little with its threads.
  EXPECT_GE(ended_with(kKilled), trials / 2);
}

// Kills in the run, in the start after it, in the start after that, and in the one after that.
TEST_F(CrashPoints, KillsInTheStartsAfterAKillThreeDeepChangeNothing) {
  constexpr uint64_t kStart = 16;  // changes until a start is over, and a few more
  run_calm();
  const uint64_t calls = count("");
  const unsigned seed = testing::any_seed();
  std::mt19937 random(seed);
  const size_t trials = crash_points(16, 64 * kStart);
  std::vector<std::vector<FaultyCalls>> cuts;
  for (size_t job = 0; job < trials; ++job) {
    const char* act = job % 2 == 0 ? "kill" : "tear";
    cuts.push_back({{.act = act, .at = 1 + job / kStart * kStart * calls / (trials + kStart)},
                    {.act = act, .at = 1 + job % kStart},
                    {.act = act, .at = 1 + random() % kStart},
                    {.act = act, .at = 1 + random() % kStart}});
    if (trials < 4 * kStart) cuts.back().front().at = 1 + (2 * job + 1) * calls / (2 * trials);
  }
  for_each(trials, [&](size_t job) {
    return trial("store" + std::to_string(job), cuts[job], {kKilled, 0});
  });
  std::cout << "kills in starts: " << trials << " trials, " << ended_with(kKilled)
            << " kills, seed " << seed << "\n";
  EXPECT_GE(ended_with(kKilled), trials * 3);
}

TEST_F(CrashPoints, AKillAtAnyChangeEndsTheSameWithGroupedSyncs) {
  write_pipeline("group 5ms");
  run_calm();
  const uint64_t calls = count("");
  const size_t trials = crash_points(10, 400);
  for_each(trials, [&](size_t job) {
    return trial("store" + std::to_string(job),
                 {{.act = job % 2 == 0 ? "kill" : "tear", .at = 1 + job * calls / trials}},
                 {kKilled, 0});
  });
  EXPECT_GE(ended_with(kKilled), trials / 2);
}

// A pipeline whose streams keep little: segments are removed all the time. What a stream no longer
// holds it still has counted.
class RemovalPoints : public CrashPoints {
 protected:
  static constexpr uint64_t kEntries = 1500;

  void SetUp() override {
    CrashPoints::SetUp();
    std::ofstream(folder_ + "/small.yaml")
        << "api: sluice/v1\npipeline: small\nclock: wall\n"
           "engine: { path: \"${SLUICE_DATA}\", durability: commit, segment_bytes: 16384,\n"
           "          checkpoint_bytes: 32768 }\n"
           "streams:\n  in: { external: true, keep: 5, lag_max: 100 }\n  dead: { keep: 5 }\n"
           "  out: { unread: true, keep: 5, account: { as: terminal, label: through } }\n"
           "stages:\n  rogue: { use: rogue, from: in, to: { out: out }, batch: 5 }\n"
           "defaults: { dead_letter: dead }\n";
    std::ofstream lines(folder_ + "/small.ndjson");
    for (uint64_t i = 0; i < kEntries; ++i)
      lines << "{\"id\": \"" << i << "\", \"fill\": \"" << std::string(500, 'x') << "\"}\n";
  }

  Ended run_small(const std::string& store, const FaultyCalls& faults) const {
    std::vector<std::string> environment = this->environment(store);
    for (const std::string& variable : faults.environment()) environment.push_back(variable);
    std::filesystem::create_directories(folder_ + "/output-" + store);
    return Program({"--plugins", SLUICE_BINARY_DIR "/tests/rogue_plugins", "run",
                    folder_ + "/small.yaml", "--input", folder_ + "/small.ndjson"},
                   folder_ + "/output-" + store, environment)
        .wait();
  }

  // What is wrong with a finished store; empty when nothing is.
  std::string wrong_at_the_end(const std::string& name) const {
    const auto store = engine::EmbeddedStore::open_read_only(store_at(name), system_disk(), clock_);
    if (!store) return store.status().text();
    std::string ids, expected_ids;
    for (const stream::StreamInfo& info : (*store)->streams()) {
      const uint64_t expected = info.name == "dead" ? 0 : kEntries;
      if (info.entries_added != expected)
        return info.name + " got " + std::to_string(info.entries_added) + " entries";
    }
    const auto last = (*store)->range((*store)->find_stream("out"), {}, 100);
    if (!last) return last.status().text();
    for (const stream::Entry& entry : *last)
      ids += std::string(entry.fields.find("id").value_or("")) + " ";
    for (uint64_t id = kEntries - 5; id < kEntries; ++id) expected_ids += std::to_string(id) + " ";
    return ids == expected_ids ? "" : "out ends with " + ids;
  }
};

TEST_F(RemovalPoints, AKillAtAnyChangeLosesAndDoublesNothingWhileSegmentsGo) {
  FaultyCalls counting{.folder = store_at("calm"), .count_in = folder_ + "/count"};
  const Ended calm = run_small("calm", counting);
  ASSERT_EQ(calm.exit_code, 0) << calm.err;
  ASSERT_EQ(wrong_at_the_end("calm"), "");
  ASSERT_FALSE(std::filesystem::exists(store_at("calm") + "/segment-0000000001.log"));
  const uint64_t calls = counting.counted();
  const size_t trials = crash_points(24, 2 * calls);
  std::atomic<uint64_t> killed{0};
  for_each(trials, [&](size_t job) -> std::string {
    const std::string store = "store" + std::to_string(job);
    const size_t point = job * 2 * calls / trials + (trials < calls ? job % 2 : 0);
    FaultyCalls fault{
        .folder = store_at(store), .act = point % 2 == 0 ? "kill" : "tear", .at = 1 + point / 2};
    killed += run_small(store, fault).exit_code == kKilled ? 1 : 0;
    const std::string what = fault.act + " at " + std::to_string(fault.at) + ": ";
    fault.at = 0;
    const Ended ended = run_small(store, fault);
    if (ended.exit_code != 0) return what + ended.err;
    const std::string wrong = wrong_at_the_end(store);
    std::filesystem::remove_all(store_at(store));
    return wrong.empty() ? "" : what + wrong;
  });
  std::cout << "removal points: " << calls << " changes; " << trials << " trials, " << killed
            << " kills\n";
  EXPECT_GE(killed, trials / 3);
}

}  // namespace
}  // namespace sluice
