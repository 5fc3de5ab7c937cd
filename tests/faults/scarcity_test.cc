// The trade pipeline while the machine has no memory, no threads or no inodes for it: the run ends
// or goes on, and the end is that of an undisturbed one.
//
// In `make crash` many more requests are refused.
#include <sys/mount.h>

#include <iostream>

#include "cli/exit_codes.h"
#include "faults/faulty_trade.h"
#include "fixtures/scarcity.h"

namespace sluice {
namespace {

using cli::kFine;
using cli::kInvalidInput;
using cli::kIoFailure;
using testing::crash_points;
using testing::Ended;
using ::testing::HasSubstr;
using testing::Program;
using testing::Scarcity;

class Scarce : public testing::FaultyTrade {
 protected:
  // Requests of an undisturbed run.
  uint64_t count_of(const std::string& what, const std::vector<std::string>& options = {}) {
    const Scarcity counting{.of = what, .count_in = folder_ + "/count"};
    const Ended ended = launch("counted", counting.environment(), options).wait();
    EXPECT_EQ(ended.exit_code, kFine) << ended.err;
    std::filesystem::remove_all(store_at("counted"));
    return counting.counted();
  }

  // Runs while `scarce`, then once more. Empty when the first run ends with one of `codes`, and
  // the second well, with every invariant and the records of the calm run. A run that went on tried
  // an entry again, later, and may have decided otherwise: of that every invariant, of which the
  // first is that each decision ends once.
  std::string trial(const std::string& store, const Scarcity& scarce, const std::set<int>& codes) {
    const Ended ended = launch(store, scarce.environment()).wait();
    count_code(ended.exit_code);
    const std::string what = "no " + scarce.of + " for " + std::to_string(scarce.many) + " at " +
                             std::to_string(scarce.at) + ": ended with " +
                             std::to_string(ended.exit_code) + "\n" + ended.err;
    if (!codes.contains(ended.exit_code)) return what;
    if (ended.exit_code != kFine) return what_differs_at_the_end_of(store, what);
    const std::string wrong = broken_invariants(store, pipeline_);
    if (!wrong.empty()) return what + wrong;
    std::filesystem::remove_all(store_at(store));
    return {};
  }
};

// F12
TEST_F(Scarce, AnAllocationThatFailsEndsTheRunOrCostsATryAndTheNextOneFinishes) {
  run_calm();
  const uint64_t requests = count_of("memory");
  ASSERT_GT(requests, 10'000u);
  const size_t trials = crash_points(45, 1200);
  for_each(trials, [&](size_t job) {
    // One is refused, a few in a row, or all from there on.
    const uint64_t many = job % 3 == 0 ? 1 : (job % 3 == 1 ? 7 : 0);
    return trial("store" + std::to_string(job),
                 {.of = "memory", .at = 1 + job * requests / trials, .many = many},
                 // The system's loader says of a library what it was refused itself.
                 {kFine, kIoFailure, kInvalidInput, kKilled});
  });
  std::cout << "allocations: " << requests << "; " << trials << " trials, " << ended_with(kFine)
            << " went on, " << ended_with(kIoFailure) << " ended, " << ended_with(kKilled)
            << " killed by a signal\n";
  EXPECT_GT(ended_with(kFine), 0u);
  EXPECT_GT(ended_with(kIoFailure), trials / 3);
}

// F11. On the wall clock, where workers have threads of their own.
TEST_F(Scarce, AThreadThatCannotBeStartedEndsTheRunAndTheNextOneFinishes) {
  constexpr uint64_t kEntries = 60, kWorkers = 6;
  const std::string pipeline = folder_ + "/small.yaml", input = folder_ + "/small.ndjson";
  std::ofstream(pipeline)
      << "api: sluice/v1\npipeline: small\nclock: wall\n"
         "engine: { path: \"${SLUICE_DATA}\", durability: commit }\n"
         "streams: { in: { external: true }, dead: {}, out: { unread: true } }\n"
         "stages:\n  rogue: { use: rogue, from: in, to: { out: out }, workers: "
      << kWorkers << " }\ndefaults: { dead_letter: dead }\n";
  std::ofstream lines(input);
  for (uint64_t i = 0; i < kEntries; ++i) lines << "{\"id\": \"" << i << "\"}\n";
  lines.close();
  const auto run_small = [&](const std::string& store, const Scarcity& scarce) {
    std::vector<std::string> environment = this->environment(store);
    for (const std::string& variable : scarce.environment()) environment.push_back(variable);
    return Program({"--plugins", SLUICE_BINARY_DIR "/tests/rogue_plugins", "run", pipeline,
                    "--input", input},
                   folder_, environment)
        .wait();
  };
  const Scarcity counting{.of = "threads", .count_in = folder_ + "/count"};
  ASSERT_EQ(run_small("calm", counting).exit_code, kFine);
  const uint64_t threads = counting.counted();
  ASSERT_GT(threads, kWorkers);
  for (uint64_t at = 1; at <= threads; ++at) {
    const Ended ended = run_small("store", {.of = "threads", .at = at, .many = 0});
    EXPECT_EQ(ended.exit_code, kIoFailure) << "thread " << at << ": " << ended.err;
    EXPECT_THAT(ended.err, HasSubstr("a thread cannot be started")) << "thread " << at;
  }
  const Ended next = run_small("store", counting);
  EXPECT_EQ(next.exit_code, kFine) << next.err;
  EXPECT_EQ(entries("store", "out").size(), kEntries);
  EXPECT_EQ(entries("store", "dead").size(), 0u);
}

// F11
TEST_F(Scarce, WithoutInodesTheRunEndsAndWithSomeTheNextOneFinishes) {
  run_calm();
  const std::string disk = folder_ + "/disk";
  std::filesystem::create_directories(disk);
  if (mount("sluice-test", disk.c_str(), "tmpfs", 0, "size=64m,nr_inodes=12") != 0)
    GTEST_SKIP() << "cannot mount a tmpfs: " << strerror(errno);
  for (int run = 0; run < 2; ++run) {
    const Ended full = this->run("disk/store");
    EXPECT_EQ(full.exit_code, kIoFailure);
    EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  }
  EXPECT_EQ(mount("sluice-test", disk.c_str(), "tmpfs", MS_REMOUNT, "nr_inodes=1000"), 0);
  EXPECT_EQ(what_differs_at_the_end_of("disk/store", ""), "");
  EXPECT_EQ(umount2(disk.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace sluice
