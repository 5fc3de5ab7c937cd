// The trade pipeline with small segments and checkpoints, through the built program: whatever goes
// wrong in between, the end is that of an undisturbed run.
#pragma once

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fixtures/faulty_calls.h"
#include "fixtures/trade_fixture.h"

namespace sluice::testing {

class FaultyTrade : public TradeTest {
 protected:
  static constexpr size_t kLines = 70;  // of the sample: more than 50 plans
  static constexpr int kKilled = -1;    // as Ended::exit_code has it

  void SetUp() override {
    namespace fs = std::filesystem;
    // In memory where that can be had: what is killed here is the process, not the machine.
    if (fs::exists("/dev/shm")) setenv("TMPDIR", "/dev/shm", 0);
    TradeTest::SetUp();
    write_input(kLines);
    pipeline_ = folder_ + "/copy/pipelines/trade.yaml";
    fs::create_directories(folder_ + "/copy");
    for (const char* part : {"/pipelines", "/lua"})
      fs::copy(SLUICE_SOURCE_DIR + std::string(part), folder_ + "/copy" + part,
               fs::copy_options::recursive);
    // An order killed between its send and its record is asked for three seconds later, from when
    // its cooldown then counts: a plan that close behind it would rightly end otherwise.
    rewrite(folder_ + "/copy/lua/p33.lua", "cooldown = 15 * s", "cooldown = 5 * s");
    write_pipeline("commit");
  }

  void write_input(size_t lines) {
    input_ = folder_ + "/input.ndjson";
    std::ifstream sample(kSample);
    std::ofstream few(input_);
    std::string line;
    for (size_t i = 0; i < lines && std::getline(sample, line); ++i) few << line << '\n';
  }

  // Small files, so that the run rolls and checkpoints all the time; and sources that look around
  // rarely, or the day would be made of their looks.
  void write_pipeline(const std::string& durability, size_t segment_bytes = 32'768) {
    std::ifstream file(kPipeline);
    std::string text(std::istreambuf_iterator<char>(file), {});
    replace(text, "durability: group 5ms",
            "durability: " + durability + "\n  segment_bytes: " + std::to_string(segment_bytes) +
                "\n  checkpoint_bytes: " + std::to_string(2 * segment_bytes));
    replace(text, "interval: 5s", "interval: 60s");
    replace(text, "use: p33.snapshot\n    with:\n",
            "use: p33.snapshot\n    with:\n      interval: 9s\n");
    replace(text, "to: { proposal: proposals }\n    with: {",
            "to: { proposal: proposals }\n    with: { interval: 60s,");
    replace(text, "to: { fill: fills }\n    with: {",
            "to: { fill: fills }\n    with: { interval: 60s,");
    std::ofstream(pipeline_) << text;
  }

  Program launch(const std::string& store, const std::vector<std::string>& variables = {},
                 const std::vector<std::string>& options = {}) const {
    std::vector<std::string> environment = this->environment(store);
    environment.insert(environment.end(), variables.begin(), variables.end());
    std::vector<std::string> arguments = {"run", pipeline_, "--input", input_, "--format", "json"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    std::filesystem::create_directories(folder_ + "/output-" + store);
    return Program(std::move(arguments), folder_ + "/output-" + store, environment);
  }
  Ended run(const std::string& store, const FaultyCalls& faults = {}) const {
    return launch(store, faults.act.empty() && faults.count_in.empty() ? std::vector<std::string>()
                                                                       : faults.environment())
        .wait();
  }

  // Remembers how it ends when nothing goes wrong.
  void run_calm() {
    const Ended calm = run("calm");
    ASSERT_EQ(calm.exit_code, 0) << calm.err;
    ASSERT_EQ(broken_invariants("calm", pipeline_), "");
    ASSERT_GE(entries("calm", "quantum:stream:apply.plan").size(), 50u);
    expected_ = terminal_records("calm", false);
  }

  // Changes of the store's folder in an undisturbed run; of `calls`, or all.
  uint64_t count(const std::string& calls) {
    const FaultyCalls counting{
        .folder = store_at("counted"), .calls = calls, .count_in = folder_ + "/count"};
    const Ended ended = run("counted", counting);
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    std::filesystem::remove_all(store_at("counted"));
    return counting.counted();
  }

  // Runs with each of `faults` (their folder is filled in) and then once more without. Empty when
  // the disturbed runs end with one of `codes`, the last one well, with the records of the calm run
  // and every invariant.
  std::string trial(const std::string& store, const std::vector<FaultyCalls>& faults,
                    const std::set<int>& codes) {
    std::string what;
    for (FaultyCalls fault : faults) {
      fault.folder = store_at(store);
      what += fault.act + " at " + fault.calls + " " + std::to_string(fault.at) + ": ";
      const Ended ended = run(store, fault);
      count_code(ended.exit_code);
      if (!codes.contains(ended.exit_code))
        return what + "exit code " + std::to_string(ended.exit_code) + "\n" + ended.err;
    }
    return what_differs_at_the_end_of(store, what);
  }
  std::string what_differs_at_the_end_of(const std::string& store, const std::string& what) const {
    const Ended ended = run(store);
    if (ended.exit_code != 0)
      return what + "the run after it ends with " + std::to_string(ended.exit_code) + "\n" +
             ended.err;
    std::string wrong = broken_invariants(store, pipeline_);
    if (!wrong.empty()) return what + wrong;
    wrong = difference(expected_, terminal_records(store, false));
    if (!wrong.empty() && !has_late_order("calm", store)) return what + wrong;
    std::filesystem::remove_all(store_at(store));
    return {};
  }

  // Does `jobs` trials two at a time, until one fails.
  static void for_each(size_t jobs, const std::function<std::string(size_t job)>& one) {
    std::atomic<size_t> next{0};
    std::atomic<bool> failed{false};
    const auto work = [&] {
      for (size_t job = next++; job < jobs && !failed; job = next++) {
        const std::string fault = one(job);
        if (fault.empty()) continue;
        failed = true;
        ADD_FAILURE() << fault;
      }
    };
    std::thread other(work);
    work();
    other.join();
  }

  void count_code(int code) {
    const std::lock_guard lock(mutex_);
    ++codes_[code];
  }
  // How many disturbed runs ended so.
  uint64_t ended_with(int code) const {
    const std::lock_guard lock(mutex_);
    const auto found = codes_.find(code);
    return found == codes_.end() ? 0 : found->second;
  }

  std::string input_, pipeline_;
  std::multiset<std::string> expected_;

 private:
  static void replace(std::string& text, const std::string& what, const std::string& with) {
    const size_t at = text.find(what);
    if (at == text.npos) throw std::runtime_error("the file has no \"" + what + "\"");
    text.replace(at, what.size(), with);
  }
  static void rewrite(const std::string& path, const std::string& what, const std::string& with) {
    std::ifstream file(path);
    std::string text(std::istreambuf_iterator<char>(file), {});
    replace(text, what, with);
    std::ofstream(path) << text;
  }

  mutable std::mutex mutex_;
  std::map<int, uint64_t> codes_;  // guarded by mutex_
};

// SLUICE_CRASH_POINTS: how many of what could be tried are, spread evenly; `all`; or what a test
// has as its own.
inline size_t crash_points(size_t own, size_t all) {
  const char* wanted = std::getenv("SLUICE_CRASH_POINTS");
  if (wanted == nullptr) return std::min(own, all);
  if (std::string_view(wanted) == "all") return all;
  return std::min<size_t>(all, static_cast<size_t>(std::atoi(wanted)));
}

}  // namespace sluice::testing
