#include "cli/findings_output.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cli/json_writer.h"
#include "graph/findings.h"

namespace sluice::cli {

namespace {

using graph::Finding;
using graph::Severity;

std::string_view level(const Finding& finding) {
  return finding.severity == Severity::kError ? "error" : "warning";
}

// "Read more: sluice explain S0101 S0311".
std::string read_more(const std::vector<Finding>& findings) {
  std::set<std::string> codes;
  for (const Finding& finding : findings) codes.insert(finding.code);
  std::string text = "Read more: sluice explain";
  for (const std::string& code : codes) text += ' ' + code;
  return text + '\n';
}

// Everything but the place, in one line.
std::string message(const Finding& finding) {
  std::string text = finding.text;
  if (!finding.expected.empty()) text += "; expected " + finding.expected;
  if (!finding.suggestion.empty())
    text += finding.suggestion.find(' ') == std::string::npos
                ? fmt::format("; did you mean {}?", finding.suggestion)
                : "; " + finding.suggestion;
  return text;
}

void write_region(JsonWriter& json, const Finding& finding) {
  json.key("region").begin_object();
  json.member("startLine", finding.place.line).member("startColumn", finding.place.column);
  if (finding.fix)
    json.member("endColumn", finding.place.column + static_cast<int>(finding.fix->was.size()));
  json.end_object();
}

void write_file_uri(JsonWriter& json, const Finding& finding) {
  json.key("artifactLocation").begin_object().member("uri", finding.place.file).end_object();
}

void write_sarif_result(JsonWriter& json, const Finding& finding) {
  json.begin_object().member("ruleId", finding.code).member("level", level(finding));
  json.key("message").begin_object().member("text", message(finding)).end_object();
  json.key("locations").begin_array().begin_object().key("physicalLocation").begin_object();
  write_file_uri(json, finding);
  write_region(json, finding);
  json.end_object().end_object().end_array();
  if (finding.fix) {
    json.key("fixes").begin_array().begin_object().key("artifactChanges").begin_array();
    json.begin_object();
    write_file_uri(json, finding);
    json.key("replacements").begin_array().begin_object().key("deletedRegion").begin_object();
    json.member("startLine", finding.place.line).member("startColumn", finding.place.column);
    json.member("endColumn", finding.place.column + static_cast<int>(finding.fix->was.size()));
    json.end_object().key("insertedContent").begin_object();
    json.member("text", finding.fix->becomes).end_object();
    json.end_object().end_array().end_object();
    json.end_array().end_object().end_array();
  }
  json.end_object();
}

// A line break or a separator would end the annotation.
std::string github_escaped(std::string_view text, bool property) {
  std::string out;
  for (const char c : text) {
    if (c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ',')))
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out;
}

}  // namespace

std::string findings_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) text += graph::finding_text(finding);
  if (!findings.empty()) text += read_more(findings);
  return text;
}

void write_findings(JsonWriter& json, const std::vector<Finding>& findings) {
  json.begin_array();
  for (const Finding& finding : findings) {
    json.begin_object().member("code", finding.code).member("severity", level(finding));
    json.member("file", finding.place.file);
    json.member("line", finding.place.line).member("column", finding.place.column);
    json.member("text", finding.text).member("expected", finding.expected);
    json.member("suggestion", finding.suggestion);
    if (finding.fix) {
      json.key("fix").begin_object().member("was", finding.fix->was);
      json.member("becomes", finding.fix->becomes).end_object();
    }
    json.member("read_more", "sluice explain " + finding.code).end_object();
  }
  json.end_array();
}

std::string findings_json(const std::vector<Finding>& findings) {
  JsonWriter json;
  write_findings(json, findings);
  return std::string(json.text()) + '\n';
}

std::string findings_sarif(const std::vector<Finding>& findings) {
  std::set<std::string> codes;
  for (const Finding& finding : findings) codes.insert(finding.code);
  JsonWriter json;
  json.begin_object().member("$schema", "https://json.schemastore.org/sarif-2.1.0.json");
  json.member("version", "2.1.0").key("runs").begin_array().begin_object();
  json.key("tool").begin_object().key("driver").begin_object();
  json.member("name", "sluice").member("version", SLUICE_VERSION).key("rules").begin_array();
  for (const graph::FaultInfo& info : graph::fault_table()) {
    const std::string code = graph::fault_code(info.fault);
    if (!codes.contains(code)) continue;
    json.begin_object().member("id", code);
    json.key("shortDescription").begin_object().member("text", info.title).end_object();
    json.key("help").begin_object().member("text", "sluice explain " + code).end_object();
    json.end_object();
  }
  json.end_array().end_object().end_object();
  json.key("results").begin_array();
  for (const Finding& finding : findings) write_sarif_result(json, finding);
  json.end_array().end_object().end_array().end_object();
  return std::string(json.text()) + '\n';
}

std::string findings_github(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings)
    text +=
        fmt::format("::{} file={},line={},col={},title={}::{}\n", level(finding),
                    github_escaped(finding.place.file, true), finding.place.line,
                    finding.place.column, finding.code, github_escaped(message(finding), false));
  return text;
}

}  // namespace sluice::cli
