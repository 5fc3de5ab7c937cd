#include "graph/findings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "graph/explanations.h"
#include "host/graph/pipeline_fixture.h"

namespace sluice::graph {
namespace {

TEST(FaultTable, CodesAscendAndTitlesAreLines) {
  int before = 0;
  for (const FaultInfo& info : fault_table()) {
    EXPECT_GT(static_cast<int>(info.fault), before);
    before = static_cast<int>(info.fault);
    EXPECT_FALSE(info.title.empty());
    EXPECT_EQ(info.title.find('\n'), std::string_view::npos);
  }
}

TEST(FaultTable, DocsAreTheGeneratedText) {
  std::ifstream file(std::string(SLUICE_SOURCE_DIR) + "/docs/findings.md");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), findings_markdown())
      << "write it anew: sluice explain --all > docs/findings.md";
}

TEST(Findings, AreTakenInOrderOfPlace) {
  Findings findings("a.yaml");
  findings.add(Fault::kUnknownKey, 3, 1, "c");
  findings.add(Fault::kAmbiguousPlain, 1, 9, "b");
  findings.add(Fault::kAmbiguousPlain, 1, 2, "a");
  EXPECT_TRUE(findings.has_errors());
  const auto taken = findings.take();
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[0].text, "a");
  EXPECT_EQ(taken[1].text, "b");
  EXPECT_EQ(taken[2].text, "c");
  EXPECT_EQ(taken[2].place.file, "a.yaml");
}

class FindingText : public PipelineFiles {
 protected:
  Finding at(int line, int column) const {
    return {"S0101", Severity::kError, {path(), line, column}, "unknown key", "", ""};
  }
};

TEST_F(FindingText, UnderlinesThePlaceAndGivesTheWayOut) {
  write("pipelines/test.yaml", "a: 1\n  polcy: lua/x.lua\n");
  Finding finding = at(2, 3);
  finding.expected = "one of policy";
  finding.suggestion = "policy";
  EXPECT_EQ(finding_text(finding), path() +
                                       ":2:3: error S0101: unknown key\n"
                                       "     2 |   polcy: lua/x.lua\n"
                                       "       |   ^~~~~\n"
                                       "  expected one of policy\n"
                                       "  did you mean policy?\n");
  finding.suggestion = "write another key";
  EXPECT_NE(finding_text(finding).find("  fix: write another key\n"), std::string::npos);
}

TEST_F(FindingText, CountsCharactersNotBytes) {
  write("pipelines/test.yaml", "\xC3\xA4: \"b c\" \n");
  EXPECT_NE(finding_text(at(1, 5)).find("\n       |    ^~~~~\n"), std::string::npos);
}

TEST_F(FindingText, SourceLineHoldsNothingThatATerminalObeys) {
  write("pipelines/test.yaml", "a\x1b[1m\xC2\x9b\x7f\xff: b\n");
  EXPECT_NE(finding_text(at(1, 1)).find("     1 | a [1m?? ?: b\n"), std::string::npos);
}

TEST_F(FindingText, PlaceThatIsNotThereHasNoSourceLine) {
  write("pipelines/test.yaml", "a: 1\n");
  EXPECT_EQ(finding_text(at(9, 9)).find('|'), std::string::npos);
  EXPECT_NE(finding_text(at(1, 99)).find('^'), std::string::npos);
  Finding lost = at(1, 1);
  lost.place.file = folder_ + "/none.yaml";
  EXPECT_EQ(finding_text(lost), lost.place.file + ":1:1: error S0101: unknown key\n");
}

// Each of 50,000 doubled keys was shown with its line, which took minutes and gigabytes.
TEST(Findings, OfManyTheFirstErrorsAreGivenAndTheOthersCounted) {
  Findings findings("x.yaml");
  for (int line = 1; line <= 300; ++line) findings.add(Fault::kNoReader, line, 1, "unused");
  for (int line = 1; line <= 250; ++line) findings.add(Fault::kUnknownKey, line, 2, "unknown");
  const auto found = findings.take();
  ASSERT_EQ(found.size(), kFindingsMax);
  EXPECT_TRUE(
      std::ranges::all_of(found, [](const Finding& f) { return f.severity == Severity::kError; }));
  EXPECT_EQ(found.front().place.line, 1);
  EXPECT_EQ(found.back().text, "unknown (and 350 more findings)");
}

}  // namespace
}  // namespace sluice::graph
