#include "cli/check_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>

#include "cli/engine.h"
#include "cli/findings_output.h"
#include "cli/fingerprint.h"
#include "cli/fix.h"
#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/live_check.h"
#include "cli/pipeline_file.h"
#include "graph/only.h"

namespace sluice::cli {

namespace {

constexpr int kFixRoundsMax = 5;  // a mended name can bring the next slip to light
constexpr uint64_t kFileBytesMax = 1 << 20;

struct CheckOptions {
  std::vector<std::string> paths;
  std::string form;  // empty: as the global --format says
  bool deny_warnings = false;
  bool fix = false;
  bool budget = false;
  bool live = false;
  std::vector<std::string> only;  // stages; empty: all
};

struct Checked {
  std::string path;
  graph::Loaded loaded;
  std::optional<LiveReport> live;
};

uint64_t warning_count(const graph::Loaded& loaded) {
  return static_cast<uint64_t>(
      std::ranges::count(loaded.findings, graph::Severity::kWarning, &graph::Finding::severity));
}
uint64_t error_count(const graph::Loaded& loaded) {
  return loaded.findings.size() - warning_count(loaded);
}

std::string verdict(const Checked& checked, bool color) {
  const graph::Loaded& loaded = checked.loaded;
  if (!loaded.pipeline)
    return checked.path + ": " + red("refused", color) + ", " +
           plural(error_count(loaded), "error", "errors") + '\n';
  // Errors beside a pipeline are of the engine that was looked at.
  const std::string word = error_count(loaded) == 0
                               ? green("fine", color)
                               : red("fine as a file, not on its engine", color);
  std::string text = checked.path + ": " + word + ", " +
                     plural(loaded.pipeline->stages.size(), "stage", "stages") + ", " +
                     plural(loaded.pipeline->streams.size(), "stream", "streams");
  if (const uint64_t warnings = warning_count(loaded); warnings > 0)
    text += ", " + yellow(plural(warnings, "warning", "warnings"), color);
  return text + '\n';
}

// Mends `path` round by round; a round that makes things worse is taken back. Says what changed.
Result<graph::Loaded> check_and_fix(Common& common, const std::string& path,
                                    const plugin::Catalog& catalog, std::string& diff) {
  graph::Loaded loaded = graph::load_pipeline(path, catalog, load_options());
  const auto original = read_file(common.disk, path, kFileBytesMax);
  if (!original) return loaded;  // a finding says so
  std::string text = *original;
  for (int round = 0; round < kFixRoundsMax; ++round) {
    const Fixed fixed = apply_fixes(text, path, loaded.findings);
    if (fixed.applied == 0) break;
    SLUICE_TRY(write_file_atomically(common.disk, path, fixed.text));
    graph::Loaded next = graph::load_pipeline(path, catalog, load_options());
    if (next.findings.size() >= loaded.findings.size() &&
        error_count(next) >= error_count(loaded)) {
      SLUICE_TRY(write_file_atomically(common.disk, path, text));
      break;
    }
    text = fixed.text;
    loaded = std::move(next);
  }
  diff = line_diff(path, *original, text);
  return loaded;
}

std::string checked_json(const std::vector<Checked>& all) {
  JsonWriter json;
  json.begin_object().key("files").begin_array();
  for (const Checked& checked : all) {
    const graph::Loaded& loaded = checked.loaded;
    json.begin_object().member("file", checked.path).member("fine", loaded.pipeline.has_value());
    json.key("findings");
    write_findings(json, loaded.findings);
    json.key("budget").begin_array();
    for (const graph::PathBudget& budget : loaded.budget) {
      json.begin_object().member("stage", budget.stage).member("limit", budget.limit.what);
      json.member("limit_us", budget.limit.worst.count());
      json.member("worst_us", budget.worst().count());
      json.member("allowed_us", budget.allowed().count());
      json.key("parts").begin_array();
      for (const graph::TimePart& part : budget.parts) {
        json.begin_object().member("stage", part.stage).member("what", part.what);
        json.member("worst_us", part.worst.count()).member("allowed_us", part.allowed.count());
        json.member("origin", part.origin).end_object();
      }
      json.end_array().end_object();
    }
    json.end_array();
    if (checked.live) {
      json.key("live");
      add_live(json, *checked.live);
    }
    json.end_object();
  }
  json.end_array().end_object();
  return std::string(json.text()) + '\n';
}

void print_human(Common& common, const CheckOptions& options, const Checked& checked) {
  common.out << findings_text(checked.loaded.findings);
  if (options.budget) common.out << graph::budget_text(checked.loaded.budget);
  common.out << verdict(checked, common.out_style.color);
  if (checked.live) common.out << live_text(*checked.live);
}

// Adds what the engine looks like to what was found in the file.
// `runs`: of the whole file, on Redis.
void look_at_engine(Common& common, Checked& checked, const redis::Runs& runs) {
  if (!checked.loaded.pipeline) return;
  checked.live = check_live(*checked.loaded.pipeline, common.disk, common.clock, runs);
  const std::vector<graph::Finding>& more = checked.live->findings;
  checked.loaded.findings.insert(checked.loaded.findings.end(), more.begin(), more.end());
}

void print_for_programs(Common& common, const std::string& form, const std::vector<Checked>& all) {
  std::vector<graph::Finding> findings;
  for (const Checked& checked : all)
    findings.insert(findings.end(), checked.loaded.findings.begin(), checked.loaded.findings.end());
  if (form == "json") common.out << checked_json(all);
  if (form == "sarif") common.out << findings_sarif(findings);
  if (form == "github") common.out << findings_github(findings);
}

int exit_code(const CheckOptions& options, const std::vector<Checked>& all) {
  if (std::ranges::any_of(all, [](const Checked& c) { return !c.loaded.pipeline; }))
    return kInvalidInput;
  for (const Checked& checked : all)
    if (checked.live && exit_of(*checked.live) != kFine) return exit_of(*checked.live);
  const bool warned = std::ranges::any_of(
      all, [](const Checked& checked) { return !checked.loaded.findings.empty(); });
  return options.deny_warnings && warned ? kFindings : kFine;
}

int run_check(Common& common, const CheckOptions& options) {
  const std::string form = !options.form.empty()            ? options.form
                           : common.format == Format::kJson ? "json"
                                                            : "human";
  const auto files = files_of(options.paths, FileKind::kPipeline);
  if (!files) return fail(common, kInvalidInput, files.status());
  const auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) return fail(common, kInvalidInput, catalog.status());
  std::vector<Checked> all;
  for (const std::string& path : *files) {
    std::string diff;
    auto loaded = options.fix ? check_and_fix(common, path, *catalog, diff)
                              : graph::load_pipeline(path, *catalog, load_options());
    if (!loaded) return fail(common, loaded.status());
    all.push_back({path, std::move(loaded).value(), std::nullopt});
    redis::Runs runs;
    auto& pipeline = all.back().loaded.pipeline;
    if (options.live && pipeline && on_redis(pipeline->engine)) {
      auto read = fingerprint(*pipeline);
      if (!read) return fail(common, read.status());
      runs = std::move(read).value();
    }
    if (pipeline && !options.only.empty()) {
      const Status kept = graph::keep_only(*pipeline, options.only);
      if (!kept.is_ok()) return fail(common, kUsage, Status(kept.code(), "--only: " + kept.text()));
    }
    if (options.live) look_at_engine(common, all.back(), runs);
    if (form != "human") continue;
    common.out << diff;
    print_human(common, options, all.back());
  }
  print_for_programs(common, form, all);
  return exit_code(options, all);
}

}  // namespace

void add_check(CLI::App& app, Common& common) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command =
      app.add_subcommand("check", "Check pipeline files: every fault in one pass, nothing started");
  command->add_option("PATH", options->paths, "Pipeline files, or folders of them")->required();
  command
      ->add_option("--format", options->form,
                   "human, json, sarif (code hosts) or github (annotations of its actions)")
      ->check(CLI::IsMember({"human", "json", "sarif", "github"}))
      ->option_text("FORMAT");
  command
      ->add_option_function<std::string>(
          "--deny", [options](const std::string&) { options->deny_warnings = true; },
          "warnings: they end with exit code 1")
      ->check(CLI::IsMember({"warnings"}))
      ->option_text("warnings");
  command->add_flag("--fix", options->fix,
                    "Mend slips that have one safe remedy, in the file, and show the change");
  command->add_flag("--budget", options->budget,
                    "Show what time entries can spend on their way, and what is allowed");
  command->add_flag("--live", options->live,
                    "Also look at the engine: store, groups, permissions, disk, clock");
  command
      ->add_option("--only", options->only,
                   "Check the whole file, then look at these stages alone, a,b,..., as run does")
      ->delimiter(',')
      ->option_text("STAGES");
  command->callback([&common, options] {
    common.action = [&common, options] { return run_check(common, *options); };
  });
}

}  // namespace sluice::cli
