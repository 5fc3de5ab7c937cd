#include "cli/explain_command.h"

#include <gmock/gmock.h>

#include <CLI/CLI.hpp>
#include <sstream>

#include "graph/explanations.h"

namespace sluice::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CodeNumber, TakesEveryWayToWriteACode) {
  for (const char* text : {"S0311", "s0311", "0311", "311", "S311"})
    EXPECT_EQ(code_number(text), 311) << text;
  for (const char* text :
       {"", "S", "cycle", "S0311x", "-311", "S-1", "10000", "99999999999", "S 1"})
    EXPECT_EQ(code_number(text), std::nullopt) << text;
}

TEST(NearestFault, IsTheCodeItselfOrTheClosestByNumber) {
  for (const graph::FaultInfo& info : graph::fault_table())
    EXPECT_EQ(nearest_fault(static_cast<int>(info.fault)).fault, info.fault);
  EXPECT_EQ(nearest_fault(0).fault, graph::Fault::kFileUnreadable);
  EXPECT_EQ(nearest_fault(210).fault, graph::Fault::kDeadLettersNotKept);
}

class Explain : public testing::Test {
 protected:
  int run(const std::string& words, Format format = Format::kHuman) {
    CLI::App app;
    Common common{.out = out_, .err = err_, .disk = system_disk(), .clock = clock_};
    common.format = format;
    add_explain(app, common);
    app.parse(words);
    return common.action();
  }

  SystemClock clock_;
  std::ostringstream out_, err_;
};

TEST_F(Explain, CodeIsToldWithCauseExampleAndRemedy) {
  EXPECT_EQ(run("explain 310"), kFine);
  const graph::Explanation& texts = graph::explanation(graph::Fault::kDuplicateGroup);
  EXPECT_THAT(out_.str(),
              StartsWith("S0310 error: two readers of one stream share a consumer group\n\n" +
                         std::string(texts.cause) + "\n\n    stages:\n      p33:\n"));
  EXPECT_TRUE(out_.str().ends_with("\n\n" + std::string(texts.remedy) + "\n")) << out_.str();
}

TEST_F(Explain, SeveralCodesAreToldInTheOrderAskedFor) {
  EXPECT_EQ(run("explain s0402 S0101"), kFine);
  EXPECT_THAT(out_.str(), StartsWith("S0402 error: "));
  EXPECT_THAT(out_.str(), HasSubstr("\n\n\nS0101 error: "));
}

TEST_F(Explain, JsonIsAListOfCodes) {
  EXPECT_EQ(run("explain 205", Format::kJson), kFine);
  EXPECT_THAT(out_.str(), StartsWith(R"([{"code":"S0205","severity":"warning","title":"nothing )"));
  EXPECT_THAT(out_.str(), HasSubstr(R"("example":"streams:\n)"));
}

TEST_F(Explain, AllIsTheDocument) {
  EXPECT_EQ(run("explain --all"), kFine);
  EXPECT_EQ(out_.str(), graph::findings_markdown());
}

TEST_F(Explain, UnknownCodeNamesTheNearestAndNothingIsPrinted) {
  EXPECT_EQ(run("explain 310 S0210"), kUsage);
  EXPECT_EQ(out_.str(), "");
  EXPECT_EQ(err_.str(),
            "error: there is no code S0210; the nearest is S0209: dead letters are gone as soon as "
            "the stage that reads them is done\n");
}

TEST_F(Explain, WordThatIsNoCodeAndNoCodeAtAllAreUsageErrors) {
  EXPECT_EQ(run("explain cycle"), kUsage);
  EXPECT_EQ(run("explain"), kUsage);
  EXPECT_EQ(run("explain 310 --all"), kUsage);
  EXPECT_EQ(out_.str(), "");
}

}  // namespace
}  // namespace sluice::cli
