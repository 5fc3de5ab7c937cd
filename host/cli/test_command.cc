#include "cli/test_command.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "cli/findings_output.h"
#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/pipeline_file.h"
#include "harness/junit.h"
#include "harness/runner.h"
#include "harness/test_file.h"

namespace sluice::cli {

namespace {

namespace fs = std::filesystem;

struct TestOptions {
  std::vector<std::string> paths = {"pipelines"};
  std::string filter;
  std::string junit;
  bool coverage = false;
  double fail_under = 0;
};

// A folder of its own, gone with the object.
class Scratch {
 public:
  Scratch() {
    std::error_code error;
    const fs::path temporary = fs::temp_directory_path(error);
    if (error) return;
    std::string pattern = (temporary / "sluice-test-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& path() const { return path_; }  // empty: none could be made

 private:
  std::string path_;
};

std::string missing_text(const harness::Coverage::Line& line) {
  std::string text;
  for (const harness::Coverage::Part* part : {&line.ports, &line.reasons, &line.hooks}) {
    if (part->missing.empty()) continue;
    text += text.empty() ? "" : "; ";
    text += part == &line.ports ? "port " : part == &line.reasons ? "reason " : "hook ";
    for (size_t i = 0; i < part->missing.size(); ++i)
      text += (i > 0 ? ", " : "") + part->missing[i];
  }
  return text;
}

std::string share(size_t reached, size_t all) {
  return all == 0 ? "-" : fmt::format("{}/{}", reached, all);
}

class Session {
 public:
  Session(Common& common, const TestOptions& options) : common_(common), options_(options) {}

  int run() {
    if (common_.log_level.empty())  // what stages warn of is what tests provoke
      log::configure(log::Level::kError,
                     common_.log_format == "json" ? log::Format::kJson : log::Format::kText);
    const auto paths = files_of(options_.paths, FileKind::kTest);
    if (!paths) return fail(common_, paths.status());
    const auto catalog = plugin::Catalog::scan(common_.plugins_folder);
    if (!catalog) return fail(common_, kInvalidInput, catalog.status());
    // Strict at the start, as a run is: nothing is tested while a file is refused.
    if (!read(*paths, *catalog)) return kInvalidInput;
    if (chosen_ == 0)
      return fail(common_, kUsage,
                  Status(Code::kInvalid,
                         options_.filter.empty()
                             ? "there is no test in these files"
                             : "--filter " + options_.filter + ": no test has this in its name"));
    for (const File& file : files_) run_file(file);
    if (const Status written = write_junit(); !written.is_ok()) return fail(common_, written);
    report();
    const bool enough = !measures() || coverage_.percent() >= options_.fail_under;
    return failed_ == 0 && enough ? kFine : kFindings;
  }

 private:
  struct File {
    harness::TestFile tests;
    std::unique_ptr<Scratch> scratch;
  };

  // A filtered run covers less by intent, but may still be looked at.
  bool measures() const { return options_.coverage || options_.fail_under > 0; }

  bool chosen(const harness::Test& test) const {
    return test.name.find(options_.filter) != std::string::npos;
  }

  bool read(const std::vector<std::string>& paths, const plugin::Catalog& catalog) {
    std::vector<graph::Finding> findings;
    bool sound = true;
    for (const std::string& path : paths) {
      auto scratch = std::make_unique<Scratch>();
      if (scratch->path().empty()) {
        fail(common_, kIoFailure, Status(Code::kIo, "cannot make a temporary folder"));
        return false;
      }
      harness::ReadFile read = harness::read_test_file(path, catalog, scratch->path());
      findings.insert(findings.end(), read.findings.begin(), read.findings.end());
      sound = sound && read.file.has_value();
      if (!read.file) continue;
      coverage_.add(*read.file->pipeline);
      for (const harness::Test& test : read.file->tests) chosen_ += chosen(test);
      files_.push_back({std::move(*read.file), std::move(scratch)});
    }
    if (!sound || common_.format == Format::kHuman)
      common_.err << (common_.format == Format::kJson ? findings_json(findings)
                                                      : findings_text(findings));
    return sound;
  }

  void run_file(const File& file) {
    harness::FileOutcome result{file.tests.path, file.tests.pipeline->name, {}};
    if (common_.format == Format::kHuman) common_.out << file.tests.path << '\n';
    for (const harness::Test& test : file.tests.tests) {
      if (!chosen(test)) continue;
      result.outcomes.push_back(
          harness::run_test(file.tests, test, file.scratch->path(), common_.clock, coverage_));
      const harness::Outcome& outcome = result.outcomes.back();
      failed_ += !outcome.ok();
      took_ += outcome.took;
      if (common_.format == Format::kHuman) print(outcome);
    }
    results_.push_back(std::move(result));
  }

  void print(const harness::Outcome& outcome) {
    const bool color = common_.out_style.color;
    common_.out << (outcome.ok() ? green("  ok   ", color) : red("  FAIL ", color)) << outcome.name
                << dim("  " + age_text(outcome.took), color) << '\n';
    for (const harness::Failure& failure : outcome.failures)
      common_.out << fmt::format("       {}:{}:{}: {}\n", failure.place.file, failure.place.line,
                                 failure.place.column, failure.text);
    if (!outcome.ok() && outcome.seen.empty())
      common_.out << "       no stream got anything since it was last expected\n";
    if (!outcome.seen.empty()) common_.out << "       what came since it was last expected:\n";
    for (const std::string& line : outcome.seen) common_.out << "         " << line << '\n';
  }

  Status write_junit() const {
    if (options_.junit.empty()) return Status::ok();
    return write_file_atomically(common_.disk, options_.junit, harness::junit_text(results_))
        .within("--junit");
  }

  void report() {
    if (common_.format == Format::kJson) {
      common_.out << json() << '\n';
      return;
    }
    const bool color = common_.out_style.color;
    common_.out << '\n'
                << plural(chosen_, "test", "tests") << ", "
                << (failed_ == 0 ? green("all fine", color)
                                 : red(plural(failed_, "failure", "failures"), color))
                << ", " << age_text(took_) << '\n';
    if (measures()) print_coverage();
  }

  void print_coverage() {
    for (const harness::Coverage::Report& report : coverage_.reports()) {
      Table table({{"stage"},
                   {"ports", Align::kRight},
                   {"reasons", Align::kRight},
                   {"hooks", Align::kRight},
                   {"not reached"}});
      for (const harness::Coverage::Line& line : report.lines)
        table.add_row({line.stage, share(line.ports.reached, line.ports.all),
                       share(line.reasons.reached, line.reasons.all),
                       share(line.hooks.reached, line.hooks.all), missing_text(line)});
      common_.out << "\ncoverage of " << report.pipeline_file << '\n'
                  << table.text(common_.out_style);
    }
    const bool enough = coverage_.percent() >= options_.fail_under;
    common_.out << fmt::format("covered {:.1f} %", coverage_.percent());
    if (!enough)
      common_.out << ", "
                  << red(fmt::format("under {:g} %", options_.fail_under), common_.out_style.color);
    common_.out << '\n';
  }

  // --- As JSON ---

  std::string json() const {
    JsonWriter json;
    json.begin_object().member("tests", chosen_).member("failures", failed_);
    json.key("files").begin_array();
    for (const harness::FileOutcome& file : results_) {
      json.begin_object().member("file", file.path).member("pipeline", file.pipeline);
      json.key("tests").begin_array();
      for (const harness::Outcome& outcome : file.outcomes) write_outcome(json, outcome);
      json.end_array().end_object();
    }
    json.end_array();
    if (measures()) write_coverage(json);
    json.end_object();
    return std::string(json.text());
  }

  static void write_outcome(JsonWriter& json, const harness::Outcome& outcome) {
    json.begin_object().member("name", outcome.name).member("line", outcome.place.line);
    json.member("ok", outcome.ok()).member("took_us", outcome.took.count());
    json.key("failures").begin_array();
    for (const harness::Failure& failure : outcome.failures) {
      json.begin_object().member("file", failure.place.file).member("line", failure.place.line);
      json.member("column", failure.place.column).member("text", failure.text).end_object();
    }
    json.end_array().key("seen").begin_array();
    for (const std::string& line : outcome.seen) json.value(line);
    json.end_array().end_object();
  }

  void write_coverage(JsonWriter& json) const {
    const auto write = [&](const char* name, const harness::Coverage::Part& part) {
      json.key(name).begin_object().member("reached", part.reached).member("all", part.all);
      json.key("missing").begin_array();
      for (const std::string& missing : part.missing) json.value(missing);
      json.end_array().end_object();
    };
    json.key("coverage").begin_object().member("percent", coverage_.percent());
    json.member("fail_under", options_.fail_under).key("stages").begin_array();
    for (const harness::Coverage::Report& report : coverage_.reports()) {
      for (const harness::Coverage::Line& line : report.lines) {
        json.begin_object().member("file", report.pipeline_file).member("stage", line.stage);
        write("ports", line.ports);
        write("reasons", line.reasons);
        write("hooks", line.hooks);
        json.end_object();
      }
    }
    json.end_array().end_object();
  }

  Common& common_;
  const TestOptions& options_;
  std::vector<File> files_;
  std::vector<harness::FileOutcome> results_;
  harness::Coverage coverage_;
  uint64_t chosen_ = 0;
  uint64_t failed_ = 0;
  Micros took_{0};
};

}  // namespace

void add_test(CLI::App& app, Common& common) {
  const auto options = std::make_shared<TestOptions>();
  CLI::App* command = app.add_subcommand(
      "test", "Run the tests beside pipelines: no store, no network, a virtual clock");
  command->add_option(
      "PATH", options->paths,
      "Files of tests, or folders for all *.test.yaml in them (default: pipelines)");
  command->add_option("--filter", options->filter, "Only tests with this in their name")
      ->option_text("TEXT");
  command->add_option("--junit", options->junit, "Write the results as JUnit XML to this file")
      ->option_text("FILE");
  command->add_flag("--coverage", options->coverage,
                    "Say which ports, reasons and hooks no test reached");
  command
      ->add_option("--fail-under", options->fail_under,
                   "End with 1 when fewer of them, in per cent, are reached")
      ->check(CLI::Range(0.0, 100.0))
      ->option_text("PERCENT");
  command->callback([&common, options] {
    common.action = [&common, options] { return Session(common, *options).run(); };
  });
}

}  // namespace sluice::cli
