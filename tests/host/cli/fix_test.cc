#include "cli/fix.h"

#include <gtest/gtest.h>

#include "cli/findings_output.h"

namespace sluice::cli {
namespace {

graph::Finding finding(int line, int column, std::string was, std::string becomes) {
  graph::Finding finding;
  finding.code = "S0101";
  finding.place = {"a.yaml", line, column};
  finding.fix = graph::Fix{std::move(was), std::move(becomes)};
  return finding;
}

TEST(ApplyFixes, ReplacesWordsOfOneLineFromItsEnd) {
  const Fixed fixed = apply_fixes("a: 1\nx: { aa: 1, bb: 2 }\n", "a.yaml",
                                  {finding(2, 6, "aa", "long_name"), finding(2, 13, "bb", "c")});
  EXPECT_EQ(fixed.text, "a: 1\nx: { long_name: 1, c: 2 }\n");
  EXPECT_EQ(fixed.applied, 2u);
}

TEST(ApplyFixes, LooksBehindAQuote) {
  EXPECT_EQ(apply_fixes("use: \"ruoter\"", "a.yaml", {finding(1, 6, "ruoter", "router")}).text,
            "use: \"router\"");
}

TEST(ApplyFixes, LeavesPlacesThatHoldSomethingElse) {
  const std::vector<graph::Finding> findings = {finding(1, 1, "b", "c"), finding(1, 99, "a", "c"),
                                                finding(7, 1, "a", "c")};
  const Fixed fixed = apply_fixes("a: 1\n", "a.yaml", findings);
  EXPECT_EQ(fixed.text, "a: 1\n");
  EXPECT_EQ(fixed.applied, 0u);
  EXPECT_EQ(apply_fixes("a: 1\n", "other.yaml", {finding(1, 1, "a", "b")}).applied, 0u);
}

TEST(LineDiff, ShowsLinesThatDiffer) {
  EXPECT_EQ(line_diff("f", "a\nb\nc", "a\nB\nC"),
            "--- f\n+++ f\n@@ -2 +2 @@\n-b\n+B\n@@ -3 +3 @@\n-c\n+C\n");
  EXPECT_EQ(line_diff("f", "a\n", "a\n"), "");
}

TEST(GithubForm, EscapesWhatWouldEndTheAnnotation) {
  graph::Finding odd = finding(3, 4, "x", "y");
  odd.place.file = "a,b:c.yaml";
  odd.text = "100 %\nnext";
  odd.severity = graph::Severity::kWarning;
  EXPECT_EQ(findings_github({odd}),
            "::warning file=a%2Cb%3Ac.yaml,line=3,col=4,title=S0101::100 %25%0Anext\n");
}

}  // namespace
}  // namespace sluice::cli
