// `sluice test` through the built program.
#include "fixtures/program.h"

#include <gmock/gmock.h>

#include "harness_fixture.h"

namespace sluice::harness {
namespace {

using ::testing::AllOf;
using testing::Ended;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Program;

class TestCommand : public HarnessTest {
 protected:
  // Two tests: `good` holds, `bad` holds when `id` is x.
  void write_tests(const std::string& id) {
    write("probe.test.yaml",
          "api: sluice/test/v1\npipeline: pipeline.yaml\nstages: [dedup]\ntests:\n"
          "  - name: good\n    steps: [{ add: { in: { id: x } } }, { expect: { mid: 1 } }]\n"
          "  - name: bad\n    steps: [{ add: { in: { id: x } } }, { expect: { mid: { id: " +
              id + " } } }]\n");
  }

  Ended test(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {"test", "--plugins", SLUICE_BINARY_DIR "/tests/runtime_plugins"});
    return Program(arguments, folder_, {}).wait();
  }
};

TEST_F(TestCommand, FineTestsEndWithZeroAndOneLineEach) {
  write_tests("x");
  const Ended ended = test({folder_});
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, AllOf(HasSubstr("  ok   good"), HasSubstr("  ok   bad"),
                               HasSubstr("2 tests, all fine"), Not(HasSubstr("coverage"))));
}

TEST_F(TestCommand, FailureEndsWithOneAndSaysWhere) {
  write_tests("y");
  const Ended ended = test({path()});
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("  FAIL bad"),
                               HasSubstr(path() + ":8:64: mid[0].id: expected y, got x"),
                               HasSubstr("mid: { id: x }"), HasSubstr("2 tests, 1 failure")));
  EXPECT_EQ(test({path(), "--filter", "good"}).exit_code, 0);
  EXPECT_EQ(test({path(), "--filter", "ugly"}).exit_code, 2);
}

TEST_F(TestCommand, CoverageUnderTheMarkEndsWithOneAndNamesWhatIsMissing) {
  write_tests("x");
  const Ended ended = test({path(), "--fail-under", "50"});
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.out, AllOf(HasSubstr("port dup"), HasSubstr("hook answer"),
                               HasSubstr("covered 12.5 %, under 50 %")));
  EXPECT_EQ(test({path(), "--fail-under", "12.5"}).exit_code, 0);
}

TEST_F(TestCommand, RefusedFileEndsWithThreeAndRunsNothing) {
  write_tests("x, nme: 1");
  write("worse.test.yaml", "api: sluice/test/v1\npipeline: pipeline.yaml\ntsts: []\n");
  const Ended ended = test({folder_});
  EXPECT_EQ(ended.exit_code, 3);
  EXPECT_EQ(ended.out, "");
  EXPECT_THAT(ended.err, AllOf(HasSubstr("worse.test.yaml:3:1: error S0101"),
                               HasSubstr("did you mean tests?")));
}

TEST_F(TestCommand, JsonAndJunitTellTheSame) {
  write_tests("y");
  const Ended ended = test({path(), "--format", "json", "--junit", at("out.xml"), "--coverage"});
  EXPECT_EQ(ended.exit_code, 1);
  EXPECT_THAT(ended.out, AllOf(HasSubstr(R"("tests":2,"failures":1)"), HasSubstr(R"("line":8)"),
                               HasSubstr(R"("percent":12.5)")));
  std::ifstream file(at("out.xml"));
  const std::string xml((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(xml, HasSubstr("tests=\"2\" failures=\"1\""));
}

}  // namespace
}  // namespace sluice::harness
