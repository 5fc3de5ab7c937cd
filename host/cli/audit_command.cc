#include "cli/audit_command.h"

#include <CLI/CLI.hpp>

#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/store_access.h"

namespace sluice::cli {

namespace {

int run_audit(Common& common, const std::string& file) {
  return look_as_left(
      common, file, "audit",
      [](Common& to, const graph::Pipeline& pipeline, const stream::Store& store) -> Result<int> {
        SLUICE_ASSIGN(report, audit::audit(pipeline, store));
        to.out << (to.format == Format::kJson ? audit_json(report)
                                              : audit_text(report, to.out_style));
        return report.holds() ? kFine : kFindings;
      });
}

const char* verdict_word(audit::Verdict verdict) {
  switch (verdict) {
    case audit::Verdict::kHolds:
      return "holds";
    case audit::Verdict::kBroken:
      return "broken";
    case audit::Verdict::kNotJudged:
      break;
  }
  return "not_judged";
}

std::string verdict_text(const audit::Finding& finding) {
  switch (finding.verdict()) {
    case audit::Verdict::kHolds:
      return finding.notes.empty() ? "holds" : "holds, see below";
    case audit::Verdict::kBroken:
      return "broken by " + count_text(finding.offences.size() + finding.offences_more);
    case audit::Verdict::kNotJudged:
      break;
  }
  return "not judged, see below";
}

std::string offences_text(const audit::Finding& finding, const Style& style) {
  std::string text =
      '\n' + red(std::to_string(finding.number) + " is broken: " + finding.name, style.color) +
      '\n';
  Table table({{"what"}, {"where"}, {"found"}});
  for (const audit::Offence& offence : finding.offences)
    table.add_row({offence.subject,
                   offence.id.is_zero() ? offence.stream : offence.stream + ' ' + offence.id.text(),
                   offence.what});
  text += table.text(style);
  if (finding.offences_more > 0) text += "and " + count_text(finding.offences_more) + " more\n";
  return text;
}

}  // namespace

std::string audit_text(const audit::Report& report, const Style& style) {
  Table table({{"", Align::kRight},
               {"invariant"},
               {"looked at", Align::kRight},
               {"open", Align::kRight},
               {"verdict"}});
  bool judged = true;
  for (const audit::Finding& finding : report.findings) {
    judged = judged && finding.notes.empty();
    table.add_row({std::to_string(finding.number), finding.name, count_text(finding.looked_at),
                   finding.open == 0 ? "" : count_text(finding.open), verdict_text(finding)});
  }
  std::string text = table.text(style);
  for (const audit::Finding& finding : report.findings)
    if (!finding.offences.empty()) text += offences_text(finding, style);
  std::string notes;
  for (const audit::Finding& finding : report.findings)
    for (const std::string& note : finding.notes)
      notes += "  " + std::to_string(finding.number) + "  " + note + '\n';
  if (!notes.empty()) text += "\nNot judged:\n" + notes;
  text += '\n';
  if (!report.holds())
    text += red("Not every invariant holds.", style.color) +
            " `sluice why FILE ID` tells the story of a plan or decision.\n";
  else
    text += judged ? "Every invariant holds.\n"
                   : "Every invariant holds as far as it could be judged.\n";
  return text;
}

std::string audit_json(const audit::Report& report) {
  JsonWriter json;
  json.begin_object().member("holds", report.holds()).key("invariants").begin_array();
  for (const audit::Finding& finding : report.findings) {
    json.begin_object().member("number", finding.number).member("name", finding.name);
    json.member("looked_at", finding.looked_at).member("things", finding.things);
    json.member("open", finding.open).member("verdict", verdict_word(finding.verdict()));
    json.key("offences").begin_array();
    for (const audit::Offence& offence : finding.offences) {
      json.begin_object().member("subject", offence.subject).member("stream", offence.stream);
      json.member("id", offence.id.is_zero() ? std::string() : offence.id.text());
      json.member("what", offence.what).end_object();
    }
    json.end_array().member("offences_more", finding.offences_more).key("notes").begin_array();
    for (const std::string& note : finding.notes) json.value(note);
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return std::string(json.text()) + '\n';
}

void add_audit(CLI::App& app, Common& common) {
  auto file = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "audit", "Judge the invariants of the trade pipeline from its streams and keys");
  command->add_option("FILE", *file, "Pipeline file")->required();
  command->callback(
      [&common, file] { common.action = [&common, file] { return run_audit(common, *file); }; });
}

}  // namespace sluice::cli
