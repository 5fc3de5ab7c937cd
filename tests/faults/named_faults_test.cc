// What disks, clocks, limits and operators do to a running host, each by its name: the host stops
// or goes on as docs/operations.md says, nothing acked is lost, and the end is that of an
// undisturbed run.
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "cli/exit_codes.h"
#include "faults/faulty_trade.h"

namespace sluice {
namespace {

using cli::kFine;
using cli::kIoFailure;
using cli::kStore;
using ::testing::AnyOf;
using testing::crash_points;
using testing::difference;
using testing::Ended;
using testing::FaultyCalls;
using ::testing::HasSubstr;
using testing::Program;

using std::chrono::milliseconds;

// The store's own files; the paper exchange keeps its books beside them.
constexpr const char* kOwnFiles = "segment-,checkpoint,store";

class NamedFaults : public testing::FaultyTrade {
 protected:
  // Tries `act` on `calls` at points spread over all there are; every run it hits ends with `code`.
  void expect_each(const std::string& act, const std::string& calls, int code, size_t own = 6) {
    SCOPED_TRACE(act + " on " + calls);
    const uint64_t all = count_of(calls);
    ASSERT_GT(all, 0u);
    const size_t trials = crash_points(own, std::min<size_t>(all, 300));
    const uint64_t before = ended_with(code);
    for_each(trials, [&](size_t job) {
      return trial("store" + std::to_string(job),
                   {{.act = act, .at = 1 + job * all / trials, .calls = calls, .names = kOwnFiles}},
                   {code, kFine});
    });
    // Where the threads of the store made fewer calls this time, nothing was hit.
    EXPECT_GE(ended_with(code) - before, trials * 8 / 10);
  }

  uint64_t count_of(const std::string& calls) {
    const FaultyCalls counting{.folder = store_at("counted"),
                               .calls = calls,
                               .names = kOwnFiles,
                               .count_in = folder_ + "/count"};
    EXPECT_EQ(run("counted", counting).exit_code, kFine);
    std::filesystem::remove_all(store_at("counted"));
    return counting.counted();
  }

  // When a run began to work: its first segment is there.
  static void wait_for_work(const std::string& store) {
    for (int i = 0; i < 2000 && !std::filesystem::exists(store + "/segment-0000000001.log"); ++i)
      std::this_thread::sleep_for(milliseconds(1));
  }
};

// F03. The next sync would succeed: nobody may have asked for it.
TEST_F(NamedFaults, AFailedSyncEndsTheRunAndTheNextOneFinishes) {
  run_calm();
  expect_each("EIO", "sync", kIoFailure, 10);
  expect_each("EINTR", "sync", kIoFailure, 2);
}

// F04
TEST_F(NamedFaults, AWriteThatFailsEndsTheRunAndTheNextOneFinishes) {
  run_calm();
  expect_each("EIO", "write", kIoFailure);
  expect_each("ENOSPC", "write", kIoFailure);
  expect_each("ENOSPC", "preallocate", kIoFailure, 3);
  expect_each("EIO", "rename", kIoFailure, 3);
  expect_each("EIO", "remove", kIoFailure, 3);
}

TEST_F(NamedFaults, WritesThatAreShortOrInterruptedAreCompleted) {
  run_calm();
  expect_each("short", "write", kFine);
  expect_each("EINTR", "write", kFine);
  for (const char* act : {"short", "EINTR"}) {
    // In a row: each goes on where the one before ended.
    EXPECT_EQ(trial("often", {{.act = act, .at = 5, .many = 40, .calls = "write"}}, {kFine}), "");
  }
}

// F11
TEST_F(NamedFaults, WithoutDescriptorsTheRunEndsAndTheNextOneFinishes) {
  run_calm();
  expect_each("EMFILE", "create", kIoFailure, 4);
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer asks by a pipe what memory is an object";
#endif
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  for (const rlim_t few : {4, 8, 12, 16, 24}) {
    const rlimit less{few, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &less), 0);
    Program program = launch("few");
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    const Ended ended = program.wait();
    EXPECT_GE(ended.exit_code, 0) << few << ": " << ended.err;
    if (ended.exit_code != 0) {
      // With very few the loader of shared libraries is the first to say so.
      EXPECT_THAT(ended.err,
                  ::testing::AnyOf(HasSubstr("Too many open files"),
                                   HasSubstr("cannot open shared object file: Error 24")))
          << few;
    }
  }
  EXPECT_EQ(what_differs_at_the_end_of("few", ""), "");
}

// F10
TEST_F(NamedFaults, AFullDiskEndsTheRunAndOnceItIsFreedTheNextOneFinishes) {
  write_pipeline("commit", 128 << 10);
  run_calm();
  const std::string disk = folder_ + "/disk";
  std::filesystem::create_directories(disk);
  if (mount("sluice-test", disk.c_str(), "tmpfs", 0, "size=420k") != 0)
    GTEST_SKIP() << "cannot mount a tmpfs: " << strerror(errno);
  const Ended full = run("disk/store");
  EXPECT_EQ(full.exit_code, kIoFailure);
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  const Ended still_full = run("disk/store");
  EXPECT_EQ(still_full.exit_code, kIoFailure) << still_full.err;
  EXPECT_EQ(mount("sluice-test", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m"), 0);
  EXPECT_EQ(what_differs_at_the_end_of("disk/store", ""), "");
  EXPECT_EQ(umount2(disk.c_str(), MNT_DETACH), 0);
}

// F13. In recorded time nothing is late; on the wall clock permits and plans run out, and what is
// sent was permitted at that moment: the invariants say so.
TEST_F(NamedFaults, ASlowSyncDelaysAndSendsNothingThatIsNotPermitted) {
  write_input(12);
  write_pipeline("group 5ms");
  const Ended calm = run("calm");
  ASSERT_EQ(calm.exit_code, kFine) << calm.err;
  expected_ = terminal_records("calm", false);
  EXPECT_EQ(trial("slow", {{.act = "delay", .at = 2, .many = 5, .calls = "sync", .delay_ms = 200}},
                  {kFine}),
            "");
  for (const int ms : {300, 5000}) {
    const std::string store = "wall" + std::to_string(ms);
    const FaultyCalls slow{.folder = store_at(store),
                           .act = "delay",
                           .at = 4,
                           .many = ms == 5000 ? 1u : 12u,
                           .calls = "sync",
                           .names = kOwnFiles,
                           .delay_ms = ms};
    const Ended ended = launch(store, slow.environment(), {"--clock", "wall"}).wait();
    EXPECT_EQ(ended.exit_code, kFine) << ended.err;
    EXPECT_EQ(broken_invariants(store, pipeline_), "");
  }
}

// F15
TEST_F(NamedFaults, APausedProcessGoesOnWhereItWas) {
  run_calm();
  const auto begin = std::chrono::steady_clock::now();
  Program program = launch("paused");
  wait_for_work(store_at("paused"));
  for (int pause = 0; pause < 4; ++pause) {
    std::this_thread::sleep_for(milliseconds(15));
    program.signal(SIGSTOP);
    std::this_thread::sleep_for(milliseconds(400));
    program.signal(SIGCONT);
  }
  const Ended ended = program.wait();
  EXPECT_EQ(ended.exit_code, kFine) << ended.err;
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(400));
  EXPECT_EQ(broken_invariants("paused", pipeline_), "");
  EXPECT_EQ(difference(expected_, terminal_records("paused", false)), "");
}

// F52
TEST_F(NamedFaults, ASecondProcessOnOneStoreIsRefusedAndNamesTheFirst) {
  run_calm();
  Program first = launch("store");
  wait_for_work(store_at("store"));
  first.signal(SIGSTOP);
  const Ended second =
      Program({"run", pipeline_, "--input", input_}, folder_ + "/output-calm", environment("store"))
          .wait();
  EXPECT_EQ(second.exit_code, kStore);
  EXPECT_THAT(second.err, HasSubstr("locked by process " + std::to_string(first.pid())));
  first.signal(SIGCONT);
  EXPECT_EQ(first.wait().exit_code, kFine);
  EXPECT_EQ(difference(expected_, terminal_records("store", false)), "");
}

// F55
TEST_F(NamedFaults, AStopInAnyPhaseLeavesAStoreThatTheNextRunFinishes) {
  const auto begin = std::chrono::steady_clock::now();
  run_calm();
  const auto calm = std::chrono::steady_clock::now() - begin;
  const size_t trials = crash_points(16, 200);
  std::map<int, int> codes;
  std::mutex mutex;
  for_each(trials, [&](size_t job) -> std::string {
    const std::string store = "store" + std::to_string(job);
    Program program = launch(store);
    std::this_thread::sleep_for(calm * job / trials);
    program.signal(SIGTERM);
    if (job % 4 == 3) program.signal(SIGTERM);
    const Ended ended = program.wait();
    {
      const std::lock_guard lock(mutex);
      ++codes[ended.exit_code];
    }
    // Before it listens, SIGTERM kills; two of them end it at once.
    const bool is_right = ended.exit_code == kFine || ended.exit_code == kKilled ||
                          (job % 4 == 3 && ended.exit_code == 128 + SIGTERM);
    if (!is_right) return "exit code " + std::to_string(ended.exit_code) + "\n" + ended.err;
    return what_differs_at_the_end_of(store, "stopped: ");
  });
  for (const auto& [code, count] : codes)
    std::cout << "stops: " << count << " ended with " << code << '\n';
}

// F53. Nobody reads the log: the run goes on, and says how much was lost.
TEST_F(NamedFaults, AFullPipeForTheLogDoesNotHoldTheRunUp) {
  run_calm();
  const std::string pipe = folder_ + "/output-store/stderr";
  std::filesystem::create_directories(folder_ + "/output-store");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  ASSERT_EQ(fcntl(reader, F_SETPIPE_SZ, 4096), 4096);
  Program program = launch("store", {}, {"--log-level", "debug"});
  EXPECT_EQ(program.wait_for_code(), kFine);
  close(reader);
  EXPECT_EQ(difference(expected_, terminal_records("store", false)), "");
}

// F14. The wall clock jumps ahead and back while permits wait, and over midnight.
TEST_F(NamedFaults, AClockThatJumpsBreaksNoInvariant) {
  write_input(20);
  using namespace std::chrono_literals;
  const std::string now = folder_ + "/now";
  const auto set = [&](int64_t us) {
    std::fstream file(now, std::ios::in | std::ios::out | std::ios::binary);
    if (!file) file.open(now, std::ios::out | std::ios::binary);
    file.write(reinterpret_cast<const char*>(&us), sizeof us);
  };
  int64_t us = int64_t{1'765'842'900} * 1'000'000;  // 2025-12-15T23:55:00Z
  set(us);
  const char* asan = std::getenv("ASAN_OPTIONS");
  Program program = launch(
      "store",
      {"LD_PRELOAD=" SLUICE_STILL_CLOCK, "STILL_CLOCK=" + now,
       "ASAN_OPTIONS=" + std::string(asan == nullptr ? "" : asan) + ":verify_asan_link_order=0"},
      {"--clock", "wall"});
  wait_for_work(store_at("store"));
  const std::chrono::microseconds jumps[] = {1h, -1h, 10min, -24h, 24h, 24h, -1h, 1h};
  for (const auto jump : jumps) {
    for (int step = 0; step < 30; ++step) {
      std::this_thread::sleep_for(milliseconds(5));
      set(us += 50'000);
    }
    set(us += jump.count());
  }
  std::atomic<bool> ended{false};
  std::thread clock([&] {
    while (!ended) {
      std::this_thread::sleep_for(milliseconds(5));
      set(us += 50'000);
    }
  });
  const Ended end = program.wait();
  ended = true;
  clock.join();
  EXPECT_EQ(end.exit_code, kFine) << end.err;
  EXPECT_EQ(broken_invariants("store", pipeline_), "");
}

}  // namespace
}  // namespace sluice
