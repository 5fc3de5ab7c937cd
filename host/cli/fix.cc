#include "cli/fix.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace sluice::cli {

namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

// Where the word begins: at the finding's column, or behind the quote that stands there.
std::optional<size_t> word_start(const std::string& line, const graph::Finding& finding) {
  const std::string& was = finding.fix->was;
  auto start = static_cast<size_t>(finding.place.column) - 1;
  if (start < line.size() && (line[start] == '"' || line[start] == '\'')) ++start;
  if (was.empty() || start >= line.size() || line.compare(start, was.size(), was) != 0)
    return std::nullopt;
  return start;
}

}  // namespace

Fixed apply_fixes(std::string_view text, const std::string& file,
                  const std::vector<graph::Finding>& findings) {
  std::vector<const graph::Finding*> fixes;
  for (const graph::Finding& finding : findings)
    if (finding.fix && finding.place.file == file && finding.place.column >= 1)
      fixes.push_back(&finding);
  // From the end of each line, so that the columns of the rest hold.
  std::ranges::sort(fixes, std::greater(), [](const graph::Finding* f) { return f->place.column; });
  std::vector<std::string> lines = lines_of(text);
  Fixed fixed;
  for (const graph::Finding* finding : fixes) {
    if (finding->place.line < 1 || static_cast<size_t>(finding->place.line) > lines.size())
      continue;
    std::string& line = lines[static_cast<size_t>(finding->place.line) - 1];
    const auto start = word_start(line, *finding);
    if (!start) continue;
    line.replace(*start, finding->fix->was.size(), finding->fix->becomes);
    ++fixed.applied;
  }
  for (const std::string& line : lines) fixed.text += line;
  return fixed;
}

std::string line_diff(const std::string& file, std::string_view before, std::string_view after) {
  const std::vector<std::string> old_lines = lines_of(before), new_lines = lines_of(after);
  std::string text;
  for (size_t i = 0; i < std::min(old_lines.size(), new_lines.size()); ++i) {
    if (old_lines[i] == new_lines[i]) continue;
    const auto whole = [](std::string line) { return line.ends_with('\n') ? line : line + '\n'; };
    text +=
        fmt::format("@@ -{0} +{0} @@\n-{1}+{2}", i + 1, whole(old_lines[i]), whole(new_lines[i]));
  }
  return text.empty() ? text : fmt::format("--- {0}\n+++ {0}\n{1}", file, text);
}

}  // namespace sluice::cli
