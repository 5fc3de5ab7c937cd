#include "cli/policy_command.h"

#include <CLI/CLI.hpp>

#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/pipeline_file.h"
#include "policy/policy.h"

namespace sluice::cli {

namespace {

struct PolicyOptions {
  std::string file;
  std::string use;
};

struct Checked {
  std::string stage;  // empty: a policy file of its own
  std::string use;
  std::string path;
  std::string version;
  uint64_t tests = 0;
};

std::string checked_json(const std::vector<Checked>& all) {
  JsonWriter json;
  json.begin_array();
  for (const Checked& checked : all) {
    json.begin_object().member("stage", checked.stage).member("use", checked.use);
    json.member("path", checked.path).member("version", checked.version);
    json.member("tests", checked.tests).end_object();
  }
  json.end_array();
  return std::string(json.text()) + '\n';
}

std::string checked_text(const std::vector<Checked>& all, const Style& style) {
  if (all.empty()) return "no stage has a policy file; every hook answers its default\n";
  Table table({{"stage"}, {"plugin"}, {"policy"}, {"version"}, {"tests", Align::kRight}});
  for (const Checked& checked : all)
    table.add_row({checked.stage.empty() ? "-" : checked.stage, checked.use, checked.path,
                   checked.version, count_text(checked.tests)});
  return table.text(style);
}

// Loads one file against the hooks of a kind, which compiles it and runs its tests.
Result<Checked> check_one(Common& common, const std::string& path, const std::string& use,
                          const plugin::Kind& kind) {
  SLUICE_ASSIGN(script, policy::Script::load(path, kind.hooks, {}, common.disk));
  return Checked{"", use, path, script->version(), script->test_count()};
}

int print(Common& common, const std::vector<Checked>& all) {
  common.out << (common.format == Format::kJson ? checked_json(all)
                                                : checked_text(all, common.out_style));
  return kFine;
}

int check_script(Common& common, const PolicyOptions& options) {
  const auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) return fail(common, kInvalidInput, catalog.status());
  const auto choice = catalog->find(options.use);
  if (!choice) return fail(common, kInvalidInput, choice.status().within("--use"));
  const auto checked = check_one(common, options.file, options.use, *choice->kind);
  if (!checked) return fail(common, kInvalidInput, checked.status());
  return print(common, {*checked});
}

int check_stages(Common& common, const std::string& path) {
  // Loading a pipeline compiles and tests its policies; what is refused is said there, with places.
  const auto file = open_pipeline(common, path);
  if (!file) return kInvalidInput;
  std::vector<Checked> all;
  for (const graph::StageSpec& stage : file->pipeline.stages) {
    if (stage.policy_path.empty()) continue;
    auto checked = check_one(common, stage.policy_path, stage.plugin->name + '.' + stage.kind->name,
                             *stage.kind);
    if (!checked) return fail(common, kInvalidInput, checked.status());
    checked->stage = stage.name;
    all.push_back(std::move(*checked));
  }
  return print(common, all);
}

int run_check(Common& common, const PolicyOptions& options) {
  if (!options.file.ends_with(".lua")) return check_stages(common, options.file);
  if (options.use.empty())
    return fail(common, kUsage,
                Status(Code::kInvalid,
                       "a policy file alone does not say whose hooks it gives: add "
                       "--use PLUGIN.KIND, or name the pipeline file"));
  return check_script(common, options);
}

}  // namespace

void add_policy(CLI::App& app, Common& common) {
  CLI::App* command = app.add_subcommand("policy", "Policy files: check and test them");
  command->require_subcommand(1);
  auto options = std::make_shared<PolicyOptions>();
  CLI::App* check =
      command->add_subcommand("check", "Compile a policy, check its hooks and run its tests");
  check
      ->add_option("FILE", options->file, "A .lua file, or a pipeline file for all of its policies")
      ->required();
  check->add_option("--use", options->use, "PLUGIN or PLUGIN.KIND whose hooks the file gives");
  check->callback([&common, options] {
    common.action = [&common, options] { return run_check(common, *options); };
  });
}

}  // namespace sluice::cli
