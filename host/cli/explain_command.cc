#include "cli/explain_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "cli/json_writer.h"
#include "graph/explanations.h"
#include "graph/text.h"

namespace sluice::cli {

namespace {

struct ExplainOptions {
  std::vector<std::string> codes;
  bool all = false;
};

std::string indented(std::string_view text) {
  std::string out = "    ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out + '\n';
}

std::string human_text(const graph::FaultInfo& info, bool color) {
  const graph::Explanation& texts = graph::explanation(info.fault);
  const bool error = info.severity == graph::Severity::kError;
  return fmt::format("{} {}: {}\n\n{}\n\n{}\n{}\n", bold(graph::fault_code(info.fault), color),
                     error ? red("error", color) : yellow("warning", color), info.title,
                     texts.cause, indented(texts.example), texts.remedy);
}

void add_json(JsonWriter& json, const graph::FaultInfo& info) {
  const graph::Explanation& texts = graph::explanation(info.fault);
  json.begin_object().member("code", graph::fault_code(info.fault));
  json.member("severity", info.severity == graph::Severity::kError ? "error" : "warning");
  json.member("title", info.title).member("cause", texts.cause);
  json.member("example", texts.example).member("remedy", texts.remedy).end_object();
}

// The faults asked for. kInvalid: one is no code; the text names the nearest that is.
Result<std::vector<graph::FaultInfo>> chosen(const ExplainOptions& options) {
  const auto table = graph::fault_table();
  if (options.all) return std::vector<graph::FaultInfo>(table.begin(), table.end());
  std::vector<graph::FaultInfo> faults;
  for (const std::string& code : options.codes) {
    const auto number = code_number(code);
    if (!number)
      return Status(Code::kInvalid, fmt::format("\"{}\" is not a code; expected one such as S0311",
                                                graph::printable(code)));
    const graph::FaultInfo& nearest = nearest_fault(*number);
    if (static_cast<int>(nearest.fault) != *number)
      return Status(Code::kInvalid,
                    fmt::format("there is no code S{:04}; the nearest is {}: {}", *number,
                                graph::fault_code(nearest.fault), nearest.title));
    faults.push_back(nearest);
  }
  return faults;
}

int run_explain(Common& common, const ExplainOptions& options) {
  if (options.all != options.codes.empty())
    return fail(common, kUsage, Status(Code::kInvalid, "expected codes such as S0311, or --all"));
  const auto faults = chosen(options);
  if (!faults) return fail(common, kUsage, faults.status());
  if (common.format == Format::kJson) {
    JsonWriter json;
    json.begin_array();
    for (const graph::FaultInfo& info : *faults) add_json(json, info);
    json.end_array();
    common.out << json.text() << '\n';
  } else if (options.all) {
    common.out << graph::findings_markdown();
  } else {
    std::string_view gap;
    for (const graph::FaultInfo& info : *faults) {
      common.out << gap << human_text(info, common.out_style.color);
      gap = "\n\n";
    }
  }
  return kFine;
}

}  // namespace

std::optional<int> code_number(std::string_view text) {
  if (text.starts_with('S') || text.starts_with('s')) text.remove_prefix(1);
  int number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  constexpr int kNumberMax = 9999;
  return whole && number >= 0 && number <= kNumberMax ? std::optional(number) : std::nullopt;
}

const graph::FaultInfo& nearest_fault(int number) {
  return *std::ranges::min_element(graph::fault_table(), {}, [number](const auto& info) {
    return std::abs(static_cast<int>(info.fault) - number);
  });
}

void add_explain(CLI::App& app, Common& common) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command =
      app.add_subcommand("explain", "What a code of check means: cause, example, remedy");
  command->add_option("CODE", options->codes, "Codes, such as S0311 or 311");
  command->add_flag("--all", options->all, "All codes, as Markdown");
  command->callback([&common, options] {
    common.action = [&common, options] { return run_explain(common, *options); };
  });
}

}  // namespace sluice::cli
