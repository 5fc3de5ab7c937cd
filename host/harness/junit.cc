#include "harness/junit.h"

#include <fmt/format.h>

#include <algorithm>

#include "graph/text.h"

namespace sluice::harness {

namespace {

double seconds(Micros time) { return std::chrono::duration<double>(time).count(); }

// Text of an attribute or an element. XML knows no control characters but these three, and line
// ends in attributes survive as references only.
std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = graph::utf8_size(text);
    const char c = text[0];
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\n')
      out += "&#10;";
    else if (size == 0 || (static_cast<unsigned char>(c) < 0x20 && c != '\t'))
      out += '?';
    else if (text.substr(0, size) == "\xEF\xBF\xBE" || text.substr(0, size) == "\xEF\xBF\xBF")
      out += '?';  // U+FFFE and U+FFFF are no characters of XML
    else
      out += text.substr(0, size);
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return out;
}

size_t failed(const FileOutcome& file) {
  return static_cast<size_t>(
      std::ranges::count_if(file.outcomes, [](const Outcome& outcome) { return !outcome.ok(); }));
}

Micros took(const FileOutcome& file) {
  Micros sum{0};
  for (const Outcome& outcome : file.outcomes) sum += outcome.took;
  return sum;
}

std::string failure_text(const Outcome& outcome) {
  std::string text;
  for (const Failure& failure : outcome.failures)
    text += fmt::format("{}:{}:{}: {}\n", failure.place.file, failure.place.line,
                        failure.place.column, failure.text);
  if (!outcome.seen.empty()) text += "since the last expect:\n";
  for (const std::string& line : outcome.seen) text += line + "\n";
  return text;
}

std::string case_text(const FileOutcome& file, const Outcome& outcome) {
  std::string out = fmt::format(
      "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.6f}\"",
      escaped(outcome.name), escaped(file.pipeline), escaped(outcome.place.file),
      outcome.place.line, seconds(outcome.took));
  if (outcome.ok()) return out + "/>\n";
  return out + fmt::format(
                   ">\n      <failure type=\"expectation\" message=\"{}\">{}</failure>\n"
                   "    </testcase>\n",
                   escaped(outcome.failures.front().text), escaped(failure_text(outcome)));
}

}  // namespace

std::string junit_text(const std::vector<FileOutcome>& files) {
  size_t all = 0, bad = 0;
  Micros time{0};
  std::string suites;
  for (const FileOutcome& file : files) {
    all += file.outcomes.size();
    bad += failed(file);
    time += took(file);
    suites += fmt::format(
        "  <testsuite name=\"{}\" file=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" "
        "skipped=\"0\" time=\"{:.6f}\">\n",
        escaped(file.path), escaped(file.path), file.outcomes.size(), failed(file),
        seconds(took(file)));
    for (const Outcome& outcome : file.outcomes) suites += case_text(file, outcome);
    suites += "  </testsuite>\n";
  }
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<testsuites name=\"sluice test\" tests=\"{}\" failures=\"{}\" errors=\"0\" "
      "time=\"{:.6f}\">\n{}</testsuites>\n",
      all, bad, seconds(time), suites);
}

}  // namespace sluice::harness
