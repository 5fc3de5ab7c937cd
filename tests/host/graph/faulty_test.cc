// Every file of tests/faulty is refused, or warned of, exactly as it says itself.
//
// A file tells what is wrong with it in comment lines:
//   # expect: S0306 14:5                a finding, in order: code, line, column
//   # expect: S0402 lua/syntax.lua:1:8  one in a file that the pipeline names
//   # set: NAME=value                   a variable; no others are set
// Plugins are the shipped ones and those of tests/fixtures/bad_plugins.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "graph/findings.h"
#include "graph/located.h"
#include "graph/pipeline.h"
#include "graph/text.h"

namespace sluice::graph {
namespace {

namespace fs = std::filesystem;

const std::string kFolder = SLUICE_SOURCE_DIR "/tests/faulty/";

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "sluice-faulty-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Some libraries hang or crash while they are described: once for all files. The folder stays,
// because plugins are loaded from it to be asked about settings.
const plugin::Catalog& catalog() {
  static const TemporaryFolder folder;
  static const plugin::Catalog scanned = [] {
    for (const char* from : {SLUICE_BINARY_DIR "/plugins", SLUICE_BAD_PLUGINS}) {
      for (const fs::directory_entry& file : fs::directory_iterator(from))
        if (file.path().extension() == ".so")
          fs::copy(file.path(), fs::path(folder.path()) / file.path().filename());
    }
    auto found = plugin::Catalog::scan(folder.path());
    EXPECT_TRUE(found) << found.status().text();
    return std::move(found).value();
  }();
  return scanned;
}

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

struct FaultyFile {
  std::string path;
  std::vector<std::string> expected;
  std::map<std::string, std::string> variables;
};

FaultyFile read_faulty(const std::string& path) {
  FaultyFile file{.path = path, .expected = {}, .variables = {}};
  std::string text = text_of(path);
  if (text.starts_with("\xFF\xFE")) std::erase(text, '\0');  // UTF-16, of which ASCII is enough
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    constexpr std::string_view kExpect = "# expect: ", kSet = "# set: ";
    if (line.starts_with(kExpect)) file.expected.push_back(line.substr(kExpect.size()));
    if (const size_t equals = line.find('='); line.starts_with(kSet) && equals != line.npos)
      file.variables[line.substr(kSet.size(), equals - kSet.size())] = line.substr(equals + 1);
  }
  return file;
}

std::string relative(const std::string& path) {
  return path.starts_with(kFolder) ? path.substr(kFolder.size()) : path;
}

std::string mark(const Finding& finding, const std::string& pipeline) {
  const Place& place = finding.place;
  const std::string where = place.file == pipeline ? "" : relative(place.file) + ":";
  return finding.code + " " + where + std::to_string(place.line) + ":" +
         std::to_string(place.column);
}

// Line and column are in the file; one past its end is where something is missing.
bool is_inside(const Place& place) {
  if (place.line < 1 || place.column < 1) return false;
  std::string text = text_of(place.file);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  size_t start = 0;
  for (int line = 1; line < place.line; ++line) {
    start = text.find('\n', start);
    if (start == text.npos) return false;
    ++start;
  }
  const size_t end = std::min(text.find('\n', start), text.size());
  return static_cast<size_t>(place.column) <= end - start + 1;
}

// Codes whose text says it all: what another file or a plugin complains of in its own words, and
// warnings of the graph.
bool speaks_for_itself(const Finding& finding) {
  static const std::set<std::string> kCodes = {"S0004", "S0108", "S0203", "S0206",
                                               "S0207", "S0302", "S0305", "S0314",
                                               "S0402", "S0403", "S0404", "S0405"};
  return kCodes.contains(finding.code);
}

void expect_sound(const Finding& finding) {
  const std::string text = finding_text(finding);
  SCOPED_TRACE(text);
  EXPECT_TRUE(is_inside(finding.place));
  EXPECT_TRUE(std::ranges::any_of(fault_table(), [&](const FaultInfo& info) {
    return fault_code(info.fault) == finding.code && info.severity == finding.severity;
  }));
  for (const std::string& part : {finding.text, finding.expected, finding.suggestion}) {
    EXPECT_TRUE(is_utf8(part));
    EXPECT_EQ(part.find('\n'), std::string::npos);
    for (const char* smell : {"what()", "yaml-cpp", "YAML::", "boost::", "std::", "bad_alloc",
                              "bad_file", "bad conversion", "basic_string", "vector::", "terminate",
                              "exception", "0x7f", "rapidjson"})
      EXPECT_EQ(part.find(smell), std::string::npos) << smell;
  }
  EXPECT_FALSE(finding.text.empty());
  EXPECT_TRUE(speaks_for_itself(finding) || !finding.expected.empty() ||
              !finding.suggestion.empty())
      << "no way out";
}

std::vector<std::string> all_files() {
  std::vector<std::string> names;
  for (const fs::directory_entry& file : fs::directory_iterator(kFolder))
    if (file.path().extension() == ".yaml") names.push_back(file.path().stem().string());
  std::ranges::sort(names);
  return names;
}

class FaultyPipeline : public ::testing::TestWithParam<std::string> {};

TEST_P(FaultyPipeline, IsFoundOutExactly) {
  const FaultyFile file = read_faulty(kFolder + GetParam() + ".yaml");
  ASSERT_FALSE(file.expected.empty()) << "the file has no line `# expect: CODE LINE:COLUMN`";
  LoadOptions options;
  options.environment = file.variables;
  const Loaded loaded = load_pipeline(file.path, catalog(), options);
  std::vector<std::string> met;
  std::string texts;
  for (const Finding& finding : loaded.findings) {
    met.push_back(mark(finding, file.path));
    texts += "# expect: " + met.back() + "\n" + finding_text(finding);
    expect_sound(finding);
  }
  EXPECT_EQ(met, file.expected) << texts;
  const bool refused = std::ranges::any_of(
      loaded.findings, [](const Finding& f) { return f.severity == Severity::kError; });
  EXPECT_EQ(loaded.pipeline.has_value(), !refused);
}

INSTANTIATE_TEST_SUITE_P(All, FaultyPipeline, ::testing::ValuesIn(all_files()),
                         [](const auto& param) { return param.param; });

// Beside codes for which no file is small (too large, too many values, the file itself) and those
// of the engine on this machine (S06..), or of test files (S05.., in tests/host/harness).
TEST(FaultyFolder, HasEachCodeThatAFileCanGive) {
  const std::vector<std::string> names = all_files();
  EXPECT_GE(names.size(), 80u);
  std::set<std::string> codes = {"S0001", "S0002", "S0005", "S0006"};
  for (const std::string& name : names)
    for (const std::string& expected : read_faulty(kFolder + name + ".yaml").expected)
      codes.insert(expected.substr(0, 5));
  for (const FaultInfo& info : fault_table()) {
    const std::string code = fault_code(info.fault);
    EXPECT_TRUE(codes.contains(code) || code.starts_with("S05") || code.starts_with("S06"))
        << code << ": " << info.title;
  }
}

// Files too large to keep.
class GrownPipeline : public ::testing::Test {
 protected:
  std::vector<std::string> marks(const std::string& text) {
    const std::string path = folder_.path() + "/grown.yaml";
    std::ofstream(path) << text;
    LoadOptions options;
    options.environment.emplace();
    options.ask_plugins = false;
    std::vector<std::string> met;
    for (const Finding& finding : load_pipeline(path, catalog(), options).findings) {
      met.push_back(mark(finding, path));
      expect_sound(finding);
    }
    return met;
  }

  const TemporaryFolder folder_;
};

using Marks = std::vector<std::string>;

TEST_F(GrownPipeline, MissingFileIsFound) {
  const std::string path = folder_.path() + "/none.yaml";
  const Loaded loaded = load_pipeline(path, catalog(), {});
  ASSERT_EQ(loaded.findings.size(), 1u);
  EXPECT_EQ(mark(loaded.findings[0], path), "S0001 1:1");
}

TEST_F(GrownPipeline, FolderIsNoPipeline) {
  const Loaded loaded = load_pipeline(folder_.path(), catalog(), {});
  ASSERT_EQ(loaded.findings.size(), 1u);
  EXPECT_EQ(mark(loaded.findings[0], folder_.path()), "S0001 1:1");
}

TEST_F(GrownPipeline, MoreThanAMebibyteIsTooLarge) {
  EXPECT_EQ(marks("api: sluice/v1\n" + std::string(kFileBytesMax, '#')), Marks{"S0002 1:1"});
}

TEST_F(GrownPipeline, MoreThan32LevelsAreTooDeep) {
  EXPECT_EQ(marks("streams: " + std::string(100, '[') + std::string(100, ']') + "\n"),
            Marks{"S0005 1:41"});
  std::string steps = "streams:\n";
  for (int i = 1; i < 100; ++i) steps += std::string(static_cast<size_t>(i), ' ') + "a:\n";
  EXPECT_EQ(marks(steps), Marks{"S0005 33:33"});
}

TEST_F(GrownPipeline, MoreThan50000ValuesAreTooMany) {
  std::string list = "streams: [";
  for (int i = 0; i < 60'000; ++i) list += "a,";
  EXPECT_EQ(marks(list + "a]\n").at(0).substr(0, 7), "S0006 1");
}

TEST_F(GrownPipeline, AMillionColumnsAreALineLikeAnother) {
  const Marks met = marks("api: \"" + std::string(1'000'000, 'x') + "\"\n");
  ASSERT_FALSE(met.empty());
}

}  // namespace
}  // namespace sluice::graph
