// docs/trade/contract-coverage.md, docs/defects.md and docs/reliability.md name tests: each of them
// exists, and the pages of the contract and of the faults leave no row out. Names are read from the
// sources, so that no test is built for this.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

namespace fs = std::filesystem;

const std::string kSource = SLUICE_SOURCE_DIR;

std::string text_of(const fs::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// "Suite.Name" of each test under tests/, and "trade: ..." of each case of trade.test.yaml.
const std::set<std::string>& known_tests() {
  static const std::set<std::string> kKnown = [] {
    std::set<std::string> known;
    const auto collect = [&](const std::string& text, const char* pattern, auto name_of) {
      const std::regex regex(pattern);
      for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match)
        known.insert(name_of(*match));
    };
    for (const auto& file : fs::recursive_directory_iterator(kSource + "/tests")) {
      if (file.path().extension() != ".cc" && file.path().extension() != ".h") continue;
      collect(
          text_of(file.path()),
          R"((?:^|\n)(?:TYPED_)?(?:RC_GTEST_(?:FIXTURE_)?PROP|TEST(?:_F|_P)?)\(\s*(\w+),\s*(\w+))",
          [](const std::smatch& match) { return match.str(1) + "." + match.str(2); });
    }
    for (const auto& file : fs::recursive_directory_iterator(kSource + "/pipelines")) {
      const std::string name = file.path().filename().string();
      const size_t stem = name.find(".test.yaml");
      if (stem == std::string::npos) continue;
      collect(text_of(file.path()), R"(\n  - name: ([^\n]*))",
              [&](const std::smatch& match) { return name.substr(0, stem) + ": " + match.str(1); });
    }
    return known;
  }();
  return kKnown;
}

// What begins with `name`; all of it when that is a test itself.
size_t tests_that_begin_with(const std::string& name) {
  const auto& known = known_tests();
  if (known.contains(name)) return 1;
  return static_cast<size_t>(std::ranges::count_if(
      known, [&](const std::string& test) { return test.starts_with(name); }));
}

struct Row {
  std::string section, what, outcome;
  std::vector<std::string> tests;
};

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  size_t start = line.find('|');
  for (size_t end; (end = line.find('|', start + 1)) != std::string::npos; start = end) {
    std::string cell = line.substr(start + 1, end - start - 1);
    cell.erase(0, cell.find_first_not_of(' '));
    cell.erase(cell.find_last_not_of(' ') + 1);
    cells.push_back(std::move(cell));
  }
  return cells;
}

std::vector<std::string> quoted_in(const std::string& cell) {
  std::vector<std::string> quoted;
  for (size_t at = cell.find('`'); at != std::string::npos;) {
    const size_t end = cell.find('`', at + 1);
    if (end == std::string::npos) break;
    quoted.push_back(cell.substr(at + 1, end - at - 1));
    at = cell.find('`', end + 1);
  }
  return quoted;
}

// Rows of the tables below a heading "## 2.3 ...".
std::vector<Row> contract_rows() {
  std::vector<Row> rows;
  std::istringstream lines(text_of(kSource + "/docs/trade/contract-coverage.md"));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) section = line.substr(3, line.find(' ', 3) - 3);
    if (section.empty() || !line.starts_with("| ") || line.starts_with("| row |")) continue;
    const auto cells = cells_of(line);
    if (cells.size() == 3)
      rows.push_back({section, cells[0], cells[1], quoted_in(cells[2])});
    else
      ADD_FAILURE() << "not three cells: " << line;
  }
  return rows;
}

TEST(ContractCoverage, EveryTestItNamesExists) {
  for (const Row& row : contract_rows())
    for (const std::string& test : row.tests)
      EXPECT_EQ(tests_that_begin_with(test), 1u) << row.section << " " << row.what << ": " << test;
}

TEST(ContractCoverage, EveryRowIsTestedOrSaysWhyItIsNotBuilt) {
  for (const Row& row : contract_rows()) {
    SCOPED_TRACE(row.section + " " + row.what);
    const std::string why = row.outcome.substr(std::min(row.outcome.size(), row.outcome.find(':')));
    if (row.outcome.starts_with("not built: ")) {
      EXPECT_GT(why.size(), 2u);
      continue;
    }
    EXPECT_TRUE(row.outcome == "same" || (row.outcome.starts_with("changed: ") && why.size() > 2))
        << row.outcome;
    EXPECT_FALSE(row.tests.empty());
  }
}

struct Section {
  const char* number;
  size_t rows;               // of the contract's tables
  int first = 0, last = -1;  // numbers the contract gives to them
};

constexpr Section kSections[] = {
    {"2.2", 3},        {"2.3", 8, 0, 7}, {"2.7", 10, 1, 6},  {"2.8", 4},         {"3.3", 16},
    {"3.4", 13, 1, 7}, {"3.5", 4, 1, 4}, {"4.1", 8, 1, 8},   {"4.2.1", 6, 1, 6}, {"4.2.2", 7, 1, 6},
    {"4.2.3", 6},      {"4.2.4", 2},     {"4.2.5", 2},       {"4.2.6", 3},       {"4.2.7", 2},
    {"4.2.8", 2},      {"4.2.9", 1},     {"4.3", 8},         {"5.1", 3, 1, 3},   {"5.2", 7, 1, 7},
    {"5.3", 6},        {"5.4", 5},       {"5.5", 1},         {"5.6", 2},         {"6.2", 4},
    {"6.3", 1},        {"6.4", 11},      {"6.5", 10, 1, 10}, {"6.6", 4},         {"6.7", 7, 1, 6},
    {"6.7.1", 9},      {"6.7.2", 3},     {"6.8", 5},         {"7.1", 8, 1, 4},   {"7.2", 13, 1, 12},
    {"7.3", 5},        {"7.4", 1},       {"7.5", 9},         {"7.6", 5},         {"7.8", 12},
    {"8.2", 7, 1, 7},  {"8.3", 4},       {"8.4", 5},         {"8.5", 3},         {"8.6", 5}};

TEST(ContractCoverage, EverySectionIsThereWithItsRows) {
  std::map<std::string, std::vector<std::string>> rows;  // by section: first cells
  for (const Row& row : contract_rows()) rows[row.section].push_back(row.what);
  EXPECT_EQ(rows.size(), std::size(kSections));
  for (const Section& section : kSections) {
    SCOPED_TRACE(section.number);
    const std::vector<std::string>& there = rows[section.number];
    EXPECT_GE(there.size(), section.rows);
    EXPECT_EQ(std::set<std::string>(there.begin(), there.end()).size(), there.size())
        << "a row stands there twice";
    for (int number = section.first; number <= section.last; ++number)
      EXPECT_THAT(there, ::testing::Contains(::testing::StartsWith(std::to_string(number) + " ")));
  }
}

// Some marks have several tests of one beginning, and some names leave the suite out.
TEST(DefectList, EveryTestItNamesExists) {
  size_t rows = 0;
  std::istringstream lines(text_of(kSource + "/docs/defects.md"));
  for (std::string line; std::getline(lines, line);) {
    const auto cells = cells_of(line);
    if (cells.size() != 3 || cells[0] == "mark" || cells[0].starts_with("---")) continue;
    ++rows;
    const auto tests = quoted_in(cells[1]);
    EXPECT_FALSE(tests.empty()) << line;
    for (const std::string& test : tests) {
      const bool has_suite = test.find('.') != std::string::npos;
      EXPECT_TRUE(std::ranges::any_of(known_tests(), [&](const std::string& known) {
        return known.starts_with(test) ||
               (!has_suite && known.find("." + test) != std::string::npos);
      })) << line;
    }
  }
  EXPECT_GE(rows, 60u);
}

// Cells of the rows "| F01 | ... |".
std::vector<std::vector<std::string>> fault_rows() {
  std::vector<std::vector<std::string>> rows;
  std::istringstream lines(text_of(kSource + "/docs/reliability.md"));
  for (std::string line; std::getline(lines, line);)
    if (std::regex_search(line, std::regex(R"(^\| F\d\d \|)"))) rows.push_back(cells_of(line));
  return rows;
}

TEST(ReliabilityPage, EveryTestItNamesExists) {
  for (const auto& cells : fault_rows()) {
    ASSERT_EQ(cells.size(), 4u) << cells[0];
    for (const std::string& test : quoted_in(cells[3]))
      EXPECT_EQ(tests_that_begin_with(test), 1u) << cells[0] << ": " << test;
  }
}

TEST(ReliabilityPage, EveryFaultIsThereAndTestedOrSaysThatItIsNot) {
  const auto rows = fault_rows();
  ASSERT_EQ(rows.size(), 55u);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    EXPECT_EQ(rows[i][0], (number.size() == 1 ? "F0" : "F") + number);
    EXPECT_TRUE(!quoted_in(rows[i][3]).empty() || rows[i][2].starts_with("open") ||
                rows[i][2].starts_with("not there: "))
        << rows[i][0];
  }
}

// Names in the text around the table; commands and targets of fuzzing have no dot or other marks.
TEST(ReliabilityPage, EveryTestNamedInItsTextExists) {
  const std::string text = text_of(kSource + "/docs/reliability.md");
  const std::regex name(R"(`([A-Z]\w+\.[A-Z]\w+)`)");
  size_t names = 0;
  for (std::sregex_iterator match(text.begin(), text.end(), name), end; match != end; ++match) {
    ++names;
    EXPECT_EQ(tests_that_begin_with(match->str(1)), 1u) << match->str(1);
  }
  EXPECT_GE(names, 100u);
}

}  // namespace
}  // namespace sluice
