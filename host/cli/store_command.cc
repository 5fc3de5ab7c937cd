#include "cli/store_command.h"

#include <CLI/CLI.hpp>

#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/mirror_command.h"
#include "cli/store_access.h"
#include "engine/maintenance.h"

namespace sluice::cli {

namespace {

std::string report_json(const engine::VerifyReport& report) {
  JsonWriter json;
  json.begin_object().member("good", report.is_good()).member("segments", report.segments);
  json.member("records", report.records).member("entries", report.entries);
  json.member("keys", report.keys).member("checkpoints", report.checkpoints);
  json.member("torn_tail", report.torn_tail);
  json.member("bad_segment", report.bad_segment).member("bad_offset", report.bad_offset);
  json.key("faults").begin_array();
  for (const std::string& fault : report.faults) json.value(fault);
  json.end_array().end_object();
  return std::string(json.text()) + '\n';
}

std::string report_text(const engine::VerifyReport& report, const std::string& path,
                        const Style& style) {
  Table table({{""}, {"", Align::kRight}});
  table.add_row({"segments", count_text(report.segments)});
  table.add_row({"records", count_text(report.records)});
  table.add_row({"live entries", count_text(report.entries)});
  table.add_row({"keys", count_text(report.keys)});
  table.add_row({"checkpoints", count_text(report.checkpoints)});
  std::string text = table.text();
  if (report.torn_tail) text += "the log ends in a torn record, which the next start cuts\n";
  for (const std::string& fault : report.faults)
    text += red("fault:", style.color) + ' ' + fault + '\n';
  return text + path + ": " +
         (report.is_good() ? green("every record is what was written", style.color)
                           : red("damaged", style.color) +
                                 "; `sluice store repair` moves what is "
                                 "damaged aside") +
         '\n';
}

int run_verify(Common& common, const std::string& file) {
  int exit = kFine;
  const auto place = find_files(common, file, exit);
  if (!place) return exit;
  const auto report = engine::verify(place->engine.path, common.disk);
  if (!report) return fail(common, with_remedy(report.status(), *place));
  common.out << (common.format == Format::kJson
                     ? report_json(*report)
                     : report_text(*report, place->engine.path, common.out_style));
  return report->is_good() ? kFine : kCorruptStore;
}

int run_repair(Common& common, const std::string& file) {
  int exit = kFine;
  const auto place = find_files(common, file, exit);
  if (!place) return exit;
  // Time stands at the epoch: keys of a recorded run must not expire because it is repaired today.
  const ManualClock clock;
  const auto report = engine::repair(place->engine.path, common.disk, clock);
  if (!report) return fail(common, with_remedy(report.status(), *place));
  if (common.format == Format::kJson) {
    JsonWriter json;
    json.begin_object().member("folder", report->folder).key("actions").begin_array();
    for (const std::string& action : report->actions) json.value(action);
    json.end_array().end_object();
    common.out << json.text() << '\n';
    return kFine;
  }
  for (const std::string& action : report->actions) common.out << action << '\n';
  common.out << place->engine.path << ": "
             << (report->folder.empty() ? "nothing to repair"
                                        : "repaired; what was damaged is kept in " + report->folder)
             << '\n';
  return kFine;
}

}  // namespace

void add_store(CLI::App& app, Common& common) {
  CLI::App* command = app.add_subcommand(
      "store", "The files of an embedded store, and moving a pipeline between engines");
  command->require_subcommand(1);
  auto file = std::make_shared<std::string>();
  const auto add = [&](const std::string& name, const std::string& help, auto run) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("PATH", *file, "Folder of the store, or the pipeline file")->required();
    sub->callback([&common, file, run] {
      common.action = [&common, file, run] { return run(common, *file); };
    });
  };
  add_store_mirror(*command, common);
  add("verify", "Read everything back and change nothing", run_verify);
  add("repair", "Move what is damaged aside, so that the store opens again", run_repair);
}

}  // namespace sluice::cli
