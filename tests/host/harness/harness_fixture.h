// A pipeline of probe stages and a file of tests for it, in a folder of their own.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "harness/runner.h"
#include "harness/test_file.h"

namespace sluice::harness {

// Describing plugins starts a child process: once for all tests.
inline const plugin::Catalog& probe_catalog() {
  static const plugin::Catalog catalog = [] {
    auto scanned = plugin::Catalog::scan(SLUICE_BINARY_DIR "/tests/runtime_plugins");
    EXPECT_TRUE(scanned) << scanned.status().text();
    return std::move(scanned).value();
  }();
  return catalog;
}

class HarnessTest : public ::testing::Test {
 protected:
  HarnessTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "sluice-harness-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    write("pipeline.yaml",
          "api: sluice/v1\n"
          "pipeline: probe\n"
          "streams:\n"
          "  in: { external: true }\n"
          "  mid: { external: true }\n"
          "  out: { unread: true }\n"
          "  late: { unread: true }\n"
          "  dups: { unread: true }\n"
          "  answers: { unread: true }\n"
          "  sent: { unread: true }\n"
          "  ticks: { unread: true }\n"
          "  dead: { external: true }\n"
          "stages:\n"
          "  dedup: { use: probe.dedup, from: in, to: { out: mid, dup: dups } }\n"
          "  gate: { use: probe.gate, from: mid, to: { out: out, late: late } }\n"
          "  asker: { use: probe.asker, from: mid, to: { out: answers } }\n"
          "  sender: { use: probe.sender, from: mid, to: { out: sent },\n"
          "            with: { world: \"${SLUICE_DATA}/world\" } }\n"
          "  copy: { use: probe.copy, from: mid }\n"
          "  ticker: { use: probe.ticker, to: { out: ticks } }\n"
          "defaults: { dead_letter: dead }\n");
  }
  ~HarnessTest() override { std::filesystem::remove_all(folder_); }

  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  std::string path() const { return at("probe.test.yaml"); }
  std::string scratch() const { return at("scratch"); }

  void write(const std::string& name, std::string_view text) { std::ofstream(at(name)) << text; }

  // `tests` stands under `tests:` on line 4; `top` on line 3 (one line), empty by default.
  ReadFile read(const std::string& tests, const std::string& top = "# nothing for all tests") {
    write("probe.test.yaml",
          "api: sluice/test/v1\npipeline: pipeline.yaml\n" + top + "\ntests:\n" + tests);
    return read_test_file(path(), probe_catalog(), scratch());
  }

  // "S0101 3:5" of each finding.
  static std::vector<std::string> marks(const ReadFile& read) {
    std::vector<std::string> out;
    for (const graph::Finding& f : read.findings)
      out.push_back(f.code + " " + std::to_string(f.place.line) + ":" +
                    std::to_string(f.place.column));
    return out;
  }

  // Runs all tests of a file that must be sound.
  std::vector<Outcome> run(const std::string& tests,
                           const std::string& top = "# nothing for all tests") {
    const ReadFile file = read(tests, top);
    std::string findings;
    for (const graph::Finding& finding : file.findings) findings += finding_text(finding);
    EXPECT_TRUE(file.file.has_value()) << findings;
    std::vector<Outcome> outcomes;
    if (!file.file) return outcomes;
    coverage_.add(*file.file->pipeline);
    for (const harness::Test& test : file.file->tests)
      outcomes.push_back(run_test(*file.file, test, scratch(), clock_, coverage_));
    return outcomes;
  }

  // "line:column text" of each failure of the only test.
  std::vector<std::string> failures(const std::string& tests,
                                    const std::string& top = "# nothing for all tests") {
    std::vector<std::string> out;
    for (const Outcome& outcome : run(tests, top)) {
      for (const Failure& failure : outcome.failures)
        out.push_back(std::to_string(failure.place.line) + ":" +
                      std::to_string(failure.place.column) + " " + failure.text);
    }
    return out;
  }

  std::string folder_;
  SystemClock clock_;
  Coverage coverage_;
};

}  // namespace sluice::harness
