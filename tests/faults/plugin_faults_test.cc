// Plugins that throw, crash, leave, hang and leak in a real host: their entry is given up on after
// it did so often enough, and all others are handled once.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "cli/exit_codes.h"
#include "engine/embedded_store.h"
#include "fixtures/program.h"

namespace sluice {
namespace {

using cli::kFine;
using cli::kGaveUp;
using ::testing::AllOf;
using testing::Ended;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::Program;

constexpr int kEntries = 20;
constexpr int kBad = 9;  // the entry that makes the plugin misbehave

struct Fault {
  const char* wish;    // field `do` of the entry
  const char* reason;  // of its dead letter
  int deaths;          // of the host
  const char* said;    // in the log
};

class PluginFaults : public ::testing::TestWithParam<Fault> {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-rogue-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    write_pipeline("rogue");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write_pipeline(const std::string& use, size_t batch = 100) const {
    std::ofstream(folder_ + "/rogue.yaml")
        << "api: sluice/v1\npipeline: rogue\nclock: wall\n"
           "engine: { path: \"${STORE}\", durability: commit, segment_bytes: 4096 }\n"
           "streams:\n  in: { external: true, keep: 1000 }\n  dead: { keep: 1000 }\n"
           "  out: { unread: true, keep: 1000, account: { as: terminal, label: through } }\n"
           "stages:\n  rogue: { use: "
        << use << ", from: in, to: { out: out }, batch: " << batch
        << ", call_slow: 100ms, call_max: 400ms }\n"
           "defaults: { dead_letter: dead, retry: { min: 1ms, max: 10ms } }\n";
  }

  void write_entries(const std::string& wish, int every = 0) const {
    std::ofstream lines(folder_ + "/in.ndjson");
    for (int i = 0; i < kEntries; ++i) {
      const bool bad = every == 0 ? i == kBad : i % every == 0;
      lines << "{\"id\": \"" << i << "\", \"do\": \"" << (bad ? wish : "") << "\", \"fill\": \""
            << std::string(1000, 'x') << "\"}\n";
    }
  }

  Ended run(const std::vector<std::string>& options,
            std::vector<std::string> environment = {}) const {
    std::vector<std::string> arguments = {"--plugins", SLUICE_BINARY_DIR "/tests/rogue_plugins",
                                          "run",       folder_ + "/rogue.yaml",
                                          "--input",   folder_ + "/in.ndjson"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    environment.push_back("STORE=" + folder_ + "/store");
    return Program(arguments, folder_, environment).wait();
  }

  // Values of `field` over a stream, in order.
  std::vector<std::string> values(const std::string& stream, const std::string& field) const {
    const auto store =
        engine::EmbeddedStore::open_read_only(folder_ + "/store", system_disk(), clock_);
    EXPECT_TRUE(store.is_ok()) << store.status().text();
    if (!store) return {};
    const auto entries = (*store)->range((*store)->find_stream(stream), EntryId{}, 1000);
    EXPECT_TRUE(entries.is_ok()) << entries.status().text();
    std::vector<std::string> values;
    for (const stream::Entry& entry : *entries)
      values.emplace_back(entry.fields.find(field).value_or(""));
    return values;
  }

  static std::vector<std::string> all_but(int left_out) {
    std::vector<std::string> ids;
    for (int i = 0; i < kEntries; ++i)
      if (i != left_out) ids.push_back(std::to_string(i));
    return ids;
  }

  std::string folder_;
  SystemClock clock_;
};

TEST_P(PluginFaults, TheEntryIsGivenUpOnAndAllOthersAreHandledOnce) {
  const Fault& fault = GetParam();
  write_entries(fault.wish);
  const Ended ended = run({"--supervise"});
  EXPECT_EQ(ended.exit_code, kFine) << ended.out << ended.err;
  EXPECT_EQ(values("out", "id"), all_but(kBad));
  EXPECT_EQ(values("dead", "id"), std::vector<std::string>{std::to_string(kBad)});
  EXPECT_EQ(values("dead", "sluice.reason"), std::vector<std::string>{fault.reason});
  for (int death = 1; death <= fault.deaths; ++death)
    EXPECT_THAT(ended.err, HasSubstr("death " + std::to_string(death) + " of"));
  EXPECT_THAT(ended.err, Not(HasSubstr("death " + std::to_string(fault.deaths + 1) + " of")));
  EXPECT_THAT(ended.err, HasSubstr(fault.said));
}

// Two deaths make the entries of a batch suspects, three more the one that was alone a dead letter.
INSTANTIATE_TEST_SUITE_P(
    EachKind, PluginFaults,
    ::testing::Values(Fault{"throw", "exception", 0, ""}, Fault{"throw_int", "exception", 0, ""},
                      Fault{"throw_null", "exception", 0, ""},
                      Fault{"segfault", "crashed", 5, "the run"},
                      Fault{"abort", "crashed", 5, "died of signal 6"},
                      Fault{"terminate", "crashed", 5, "died of signal 6"},
                      Fault{"overflow", "crashed", 5, "the run"},
                      Fault{"exit", "crashed", 5, "a plugin has called exit()"},
                      Fault{"_exit", "crashed", 5, "left its work with exit code 0"},
                      Fault{"spin", "crashed", 5, "has not come back for"},
                      Fault{"deadlock", "crashed", 5, "has not come back for"}),
    [](const auto& one) {
      std::string name = one.param.wish;
      std::ranges::replace(name, '_', '0');
      return name;
    });

class OtherPluginFaults : public PluginFaults {};

TEST_F(OtherPluginFaults, AThrowFromALibraryWithACppLibraryOfItsOwnStaysThere) {
  write_pipeline("rogue_static.rogue");
  // A C++ library that ends with its plugin leaves the memory it kept for exceptions.
  const char* asan = std::getenv("ASAN_OPTIONS");
  const std::string leaks = std::string(asan == nullptr ? "" : asan) + ":detect_leaks=0";
  for (const char* wish : {"throw", "throw_int", "throw_null"}) {
    write_entries(wish);
    std::filesystem::remove_all(folder_ + "/store");
    const Ended ended = run({}, {"ASAN_OPTIONS=" + leaks});
    EXPECT_EQ(ended.exit_code, kFine) << wish << ended.err;
    EXPECT_EQ(values("out", "id"), all_but(kBad)) << wish;
    EXPECT_EQ(values("dead", "sluice.reason"), std::vector<std::string>{"exception"}) << wish;
  }
}

TEST_F(OtherPluginFaults, AHangIsNamedWithStageEntryAndTime) {
  write_entries("spin");
  const Ended ended = run({});
  EXPECT_EQ(ended.exit_code, -1);
  EXPECT_THAT(ended.err, AllOf(HasSubstr("rogue/0: process of entry "),
                               HasSubstr("takes more than 0.1 s"), HasSubstr("call_max is 0.4 s")));
  EXPECT_THAT(values("out", "id"), IsEmpty());
}

TEST_F(OtherPluginFaults, WhoKeepsDyingIsGivenUpOn) {
  write_entries("segfault");
  const Ended ended = run({"--supervise", "--deaths-max", "2"});
  EXPECT_EQ(ended.exit_code, kGaveUp);
  EXPECT_THAT(ended.err, HasSubstr("2 deaths within 10 minutes, given up"));
  EXPECT_EQ(run({"--supervise"}).exit_code, kFine);
  EXPECT_EQ(values("out", "id"), all_but(kBad));
  EXPECT_EQ(values("dead", "sluice.reason"), std::vector<std::string>{"crashed"});
}

// What happened to the world is not known: somebody has to look.
TEST_F(OtherPluginFaults, AnActThatCrashesIsNeverGivenUpOnByItself) {
  write_pipeline("rogue.actor");
  write_entries("abort");
  const Ended ended = run({"--supervise", "--deaths-max", "8"});
  EXPECT_EQ(ended.exit_code, kGaveUp);
  EXPECT_THAT(values("dead", "id"), IsEmpty());
  EXPECT_THAT(values("out", "id"), Not(::testing::Contains(std::to_string(kBad))));
}

// The store cannot open its next segment, and that is a failure of the device.
TEST_F(OtherPluginFaults, LeakedDescriptorsEndTheRunAndTheNextOneGoesOn) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer asks by a pipe what memory is an object";
#endif
  write_pipeline("rogue", 1);
  write_entries("leak_descriptors", 2);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few{48, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  const Ended ended = run({"--supervise"});
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(ended.exit_code, kFine) << ended.err;
  EXPECT_THAT(ended.err, AllOf(HasSubstr("Too many open files"),
                               HasSubstr("the run failed with exit code 6")));
  EXPECT_EQ(values("out", "id"), all_but(-1));
}

TEST_F(OtherPluginFaults, AStoppedSupervisorStopsTheRunAndSaysHowItEnded) {
  std::ofstream(folder_ + "/in.ndjson") << "";
  Program program({"--plugins", SLUICE_BINARY_DIR "/tests/rogue_plugins", "run",
                   folder_ + "/rogue.yaml", "--supervise"},
                  folder_, {"STORE=" + folder_ + "/store"});
  const std::string segment = folder_ + "/store/segment-0000000001.log";
  for (int i = 0; i < 2000 && !std::filesystem::exists(segment); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  program.signal(SIGTERM);
  const Ended ended = program.wait();
  EXPECT_EQ(ended.exit_code, kFine) << ended.err;
  EXPECT_THAT(ended.err, Not(HasSubstr("death")));
  const auto store = engine::EmbeddedStore::open(folder_ + "/store", {}, system_disk(), clock_);
  EXPECT_TRUE(store.is_ok()) << store.status().text();  // nobody holds it any more
}

TEST_F(OtherPluginFaults, StandardInputCannotBeSupervised) {
  const Ended ended = Program({"--plugins", SLUICE_BINARY_DIR "/tests/rogue_plugins", "run",
                               folder_ + "/rogue.yaml", "--supervise", "--input", "-"},
                              folder_, {"STORE=" + folder_ + "/store"})
                          .wait();
  EXPECT_EQ(ended.exit_code, cli::kUsage);
  EXPECT_THAT(ended.err, HasSubstr("standard input cannot be read again"));
}

}  // namespace
}  // namespace sluice
