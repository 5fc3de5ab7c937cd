#include "cli/check_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/human.h"
#include "cli/pipeline_file.h"

namespace sluice::cli {

namespace {

struct CheckOptions {
  std::vector<std::string> files;
  bool strict = false;
};

std::string verdict(const std::string& path, const graph::Loaded& loaded, bool color) {
  const auto warnings = static_cast<uint64_t>(std::count_if(
      loaded.findings.begin(), loaded.findings.end(),
      [](const auto& finding) { return finding.severity == graph::Severity::kWarning; }));
  if (!loaded.pipeline)
    return path + ": " + red("refused", color) + ", " +
           plural(loaded.findings.size() - warnings, "error", "errors") + '\n';
  std::string text = path + ": " + green("fine", color) + ", " +
                     plural(loaded.pipeline->stages.size(), "stage", "stages") + ", " +
                     plural(loaded.pipeline->streams.size(), "stream", "streams");
  if (warnings > 0) text += ", " + yellow(plural(warnings, "warning", "warnings"), color);
  return text + '\n';
}

int run_check(Common& common, const CheckOptions& options) {
  const auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) return fail(common, kInvalidInput, catalog.status());
  int exit = kFine;
  std::vector<graph::Finding> all;
  for (const std::string& path : options.files) {
    const graph::Loaded loaded = graph::load_pipeline(path, *catalog);
    if (!loaded.pipeline)
      exit = kInvalidInput;
    else if (options.strict && !loaded.findings.empty() && exit == kFine)
      exit = kFindings;
    if (common.format == Format::kHuman)
      common.out << findings_text(loaded.findings) << verdict(path, loaded, common.out_style.color);
    all.insert(all.end(), loaded.findings.begin(), loaded.findings.end());
  }
  if (common.format == Format::kJson) common.out << findings_json(all);
  return exit;
}

}  // namespace

void add_check(CLI::App& app, Common& common) {
  auto options = std::make_shared<CheckOptions>();
  CLI::App* command =
      app.add_subcommand("check", "Check pipeline files: every fault in one pass, nothing started");
  command->add_option("FILE", options->files, "Pipeline files")->required();
  command->add_flag("--strict", options->strict, "Warnings end with exit code 1");
  command->callback([&common, options] {
    common.action = [&common, options] { return run_check(common, *options); };
  });
}

}  // namespace sluice::cli
