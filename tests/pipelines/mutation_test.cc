// What `check` accepts starts and drains; what it refuses, `run` refuses in the same words.
//
// The shipped pipeline is changed in one place after another at random. A change that is refused is
// taken back, so that a walk leads through files that are further and further from the shipped one;
// each that is accepted is opened on a real store and fed the first decisions of the sample, under
// recorded time.
//
// SLUICE_MUTATIONS sets how many changes are tried (`make mutations`: 2,000), SLUICE_SEED the seed
// of the first walk. A failure prints both for its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "base/log.h"
#include "cli/account.h"
#include "engine/embedded_store.h"
#include "fixtures/program.h"
#include "graph/pipeline.h"
#include "pipelines/yaml_mutator.h"
#include "runtime/runtime.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::Ended;
using testing::Program;
using testing::YamlMutator;

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string first_lines(const std::string& text, int count) {
  size_t end = 0;
  for (int i = 0; i < count && end != text.npos; ++i) end = text.find('\n', end + 1);
  return text.substr(0, end) + "\n";
}

class MutationTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // In memory where there is such a folder: the paper exchange syncs each order.
    const fs::path memory = "/dev/shm";
    const fs::path above = fs::is_directory(memory) ? memory : fs::temp_directory_path();
    std::string pattern = (above / "sluice-mutation-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    auto scanned = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
    ASSERT_TRUE(scanned.is_ok()) << scanned.status().text();
    catalog_.emplace(std::move(scanned).value());
    original_ = text_of(SLUICE_SOURCE_DIR "/pipelines/trade.yaml");
    log::configure(log::Level::kError, log::Format::kText);
    input_ = first_lines(text_of(SLUICE_SOURCE_DIR "/pipelines/samples/decisions.ndjson"), 20);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path() const { return folder_ + "/home/pipelines/trade.yaml"; }
  std::string data() const { return folder_ + "/home/data"; }

  // A home of its own for each trial: a changed path may make one write beside its place.
  void lay_out(const std::string& text) {
    fs::remove_all(folder_ + "/home");
    fs::create_directories(folder_ + "/home");
    for (const char* part : {"pipelines", "lua"})
      fs::copy(std::string(SLUICE_SOURCE_DIR) + "/" + part, folder_ + "/home/" + part,
               fs::copy_options::recursive);
    std::ofstream(path()) << text;
    std::ofstream(folder_ + "/home/input.ndjson") << input_;
  }

  graph::Loaded check() const {
    graph::LoadOptions options;
    options.environment = {{"SLUICE_DATA", data()}};
    return graph::load_pipeline(path(), *catalog_, options);
  }

  // Where the sample goes: to the decisions, or to what else comes from outside and is read.
  static std::optional<size_t> entry(const graph::Pipeline& pipeline) {
    std::set<size_t> read;
    for (const graph::StageSpec& stage : pipeline.stages)
      for (const graph::Wire& input : stage.inputs) read.insert(input.stream);
    std::optional<size_t> found;
    for (const size_t i : read) {
      if (!pipeline.streams[i].external) continue;
      if (!found || pipeline.streams[i].key == "decisions") found = i;
    }
    return found;
  }

  // Everything that `run` does with a checked file; ok when it came to its end.
  Status run(const graph::Pipeline& pipeline) const {
    if (!pipeline.engine.path.starts_with(folder_))
      return Status(Code::kInvalid, "the store would be at " + pipeline.engine.path);
    ManualClock clock;
    engine::Options options;
    options.durability = engine::Durability::kOs;
    options.background = false;
    options.segment_bytes = 1 << 20;
    SLUICE_ASSIGN(store,
                  engine::EmbeddedStore::open(pipeline.engine.path, options, system_disk(), clock));
    runtime::RunOptions run_options;
    if (const auto stream = entry(pipeline))
      run_options.inputs.push_back({*stream, folder_ + "/home/input.ndjson"});
    const SystemClock wall;
    const Micros give_up = wall.steady() + std::chrono::seconds(30);
    const bool drains = run_options.ends_when_drained();
    run_options.real_clock = &wall;
    run_options.should_stop = [&] { return !drains || wall.steady() > give_up; };
    cli::Account account(pipeline);
    SLUICE_ASSIGN(runtime, runtime::Runtime::open(pipeline, *store, clock, &clock, &account,
                                                  std::move(run_options)));
    account.set_runtime(runtime.get());
    SLUICE_ASSIGN(end, runtime->run());
    static_cast<void>(cli::summary_text(account.summary(), true, {}));
    if (drains && end != runtime::RunEnd::kDrained)
      return Status(Code::kInvalid, "not drained after 30 s");
    return Status::ok();
  }

  static std::string texts(const std::vector<graph::Finding>& findings) {
    std::string text;
    for (const graph::Finding& finding : findings) text += finding_text(finding);
    return text;
  }

  std::string folder_;
  std::optional<plugin::Catalog> catalog_;
  std::string original_;
  std::string input_;
};

TEST_F(MutationTest, WhatCheckAcceptsStartsAndDrains) {
  constexpr uint64_t kStepsOfAWalk = 8;
  const uint64_t trials = from_environment("SLUICE_MUTATIONS", 2000);
  const uint64_t first = from_environment("SLUICE_SEED", std::random_device{}());
  uint64_t accepted = 0;
  for (uint64_t trial = 0; trial < trials;) {
    const uint64_t seed = first + trial / kStepsOfAWalk;
    YamlMutator mutator(original_, seed);
    for (uint64_t step = 0; step < kStepsOfAWalk && trial < trials; ++step, ++trial) {
      mutator.mutate();
      SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed) +
                   " SLUICE_MUTATIONS=" + std::to_string(step + 1) + "\n" + mutator.story());
      lay_out(mutator.text());
      const graph::Loaded loaded = check();
      for (const graph::Finding& finding : loaded.findings)
        EXPECT_TRUE(finding.place.line >= 1 && finding.place.column >= 1) << finding_text(finding);
      if (!loaded.pipeline) {
        EXPECT_FALSE(loaded.findings.empty());
        mutator.undo();
        continue;
      }
      ++accepted;
      const Status status = run(*loaded.pipeline);
      EXPECT_TRUE(status.is_ok()) << status.text() << "\naccepted with\n" << texts(loaded.findings);
      if (!status.is_ok()) mutator.undo();
    }
  }
  std::cout << accepted << " of " << trials << " accepted, seeds from " << first << "\n";
  // A mutator that breaks everything or nothing would show nothing.
  EXPECT_TRUE(trials < 100 || (accepted > trials / 20 && accepted < trials * 9 / 10));
}

TEST_F(MutationTest, RunRefusesInTheWordsOfCheck) {
  const uint64_t first = from_environment("SLUICE_SEED", std::random_device{}());
  int refused = 0;
  for (uint64_t seed = first; refused < 10; ++seed) {
    YamlMutator mutator(original_, seed);
    mutator.mutate();
    lay_out(mutator.text());
    if (check().pipeline) continue;
    ++refused;
    SCOPED_TRACE("SLUICE_SEED=" + std::to_string(seed) + "\n" + mutator.story());
    const std::vector<std::string> environment = {"SLUICE_DATA=" + data()};
    const Ended checked = Program({"check", path()}, folder_, environment).wait();
    const Ended ran =
        Program({"run", path(), "--input", folder_ + "/home/input.ndjson"}, folder_, environment)
            .wait();
    EXPECT_EQ(checked.exit_code, 3) << checked.err;
    EXPECT_EQ(ran.exit_code, 3) << ran.err;
    EXPECT_FALSE(ran.err.empty());
    EXPECT_TRUE(checked.out.starts_with(ran.err)) << checked.out << ran.err;
    EXPECT_FALSE(fs::exists(data()));
  }
}

}  // namespace
}  // namespace sluice
