#include "harness/test_file.h"

#include <gmock/gmock.h>

#include "harness_fixture.h"

namespace sluice::harness {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class TestFileRead : public HarnessTest {};

constexpr const char* kSound = "  - name: a\n    steps: [{ expect: { out: [] } }]\n";

TEST_F(TestFileRead, SoundFileHasItsTestsAndNoFindings) {
  const ReadFile file = read(kSound);
  EXPECT_THAT(marks(file), IsEmpty());
  ASSERT_TRUE(file.file.has_value());
  ASSERT_THAT(file.file->tests, SizeIs(1));
  EXPECT_EQ(file.file->tests[0].name, "a");
  EXPECT_EQ(file.file->tests[0].spot.line, 5);
}

TEST_F(TestFileRead, SourcesAreLeftOutUnlessTheyAreNamed) {
  const ReadFile file = read(std::string(kSound) +
                             "  - name: b\n    stages: [ticker]\n"
                             "    steps: [{ expect: { ticks: 3 } }]\n");
  ASSERT_TRUE(file.file.has_value());
  EXPECT_EQ(file.file->tests[0].pipeline.find_stage("ticker"), nullptr);
  EXPECT_THAT(file.file->tests[0].pipeline.stages, SizeIs(5));
  ASSERT_THAT(file.file->tests[1].pipeline.stages, SizeIs(1));
  EXPECT_EQ(file.file->tests[1].pipeline.stages[0].name, "ticker");
}

TEST_F(TestFileRead, UnknownNamesAreFoundWithTheNearestOne) {
  const ReadFile file = read(
      "  - name: a\n"
      "    stages: [dedupe]\n"
      "    with: { gate: { windw: 1s } }\n"
      "    steps:\n"
      "      - add: { inn: { id: a } }\n"
      "      - expekt: {}\n"
      "      - repeat: outt\n"
      "      - expect: { outs: [] }\n");
  EXPECT_FALSE(file.file.has_value());
  EXPECT_THAT(marks(file), ElementsAre("S0503 6:14", "S0303 7:21", "S0201 9:16", "S0101 10:9",
                                       "S0504 10:9", "S0201 11:17", "S0201 12:19"));
  EXPECT_EQ(file.findings[0].suggestion, "dedup");
  EXPECT_EQ(file.findings[1].suggestion, "window");
  EXPECT_EQ(file.findings[2].suggestion, "in");
  EXPECT_EQ(file.findings[3].suggestion, "expect");
  EXPECT_EQ(file.findings[5].suggestion, "out");
}

TEST_F(TestFileRead, WrongShapesAndValuesAreFoundWhereTheyStand) {
  const ReadFile file = read(
      "  - name: a\n"
      "    start: yesterday\n"
      "    with: { gate: { window: soon } }\n"
      "    given: [{ expect: { out: [] } }]\n"
      "    steps:\n"
      "      - advance: 5\n"
      "      - add: { in: text }\n"
      "      - { set: { k: [1] }, ttl: 1s }\n"
      "      - { erase: k, ttl: 1s }\n"
      "      - { add: { in: { id: a } }, advance: 1s }\n"
      "      - expect: { out: [{ id: }], late: -1 }\n");
  EXPECT_THAT(marks(file), ElementsAre("S0104 6:12", "S0305 7:29", "S0504 8:15", "S0104 10:18",
                                       "S0103 11:20", "S0103 12:21", "S0110 13:21", "S0504 14:9",
                                       "S0103 15:27", "S0105 15:41"));
}

TEST_F(TestFileRead, ReferencesAndMatchersAreCheckedBeforeAnythingRuns) {
  const ReadFile file = read(
      "  - name: a\n"
      "    steps:\n"
      "      - add: { in: { id: \"${outt.id}\", on: \"${now+106751991d}\", "
      "at: \"${now+1parsec}\", open: \"${now\" } }\n"
      "      - set: { \"k:${request.what}\": \"${now_us-1s}\" }\n"
      "      - expect: { out: { id: /a(/, n: \"> many\", m: \"> ${now}\" } }\n");
  EXPECT_THAT(marks(file), ElementsAre("S0501 7:26", "S0501 7:44", "S0501 7:69", "S0015 7:93",
                                       "S0501 8:16", "S0502 9:30", "S0502 9:39"));
  EXPECT_EQ(file.findings[0].suggestion, "out");
}

TEST_F(TestFileRead, AnswersSayExactlyOneThing) {
  const ReadFile file = read(
      "  - name: a\n"
      "    exchange:\n"
      "      - { match: { what: a } }\n"
      "      - { outcome: { state: ok }, later: 1s }\n"
      "      - { stage: sendr, outcome: { id: \"${request.what} ${key}\" }, times: 0 }\n"
      "    steps: [{ expect: { sent: [] } }]\n");
  EXPECT_THAT(marks(file), ElementsAre("S0504 7:9", "S0504 8:9", "S0503 9:18", "S0105 9:75"));
}

TEST_F(TestFileRead, TestWithoutExpectationAndTheSameNameTwiceAreRefused) {
  EXPECT_THAT(marks(read(std::string(kSound) + "  - name: a\n    steps: [{ advance: 1s }]\n")),
              ElementsAre("S0505 7:11", "S0506 7:11"));
}

TEST_F(TestFileRead, PolicyInTheFileIsCheckedAgainstTheHooksOfItsStage) {
  const ReadFile file = read(
      "  - name: a\n"
      "    policies:\n"
      "      asker: |\n"
      "        return { anser = 5 * ms }\n"
      "      gate: gone.lua\n"
      "    steps: [{ expect: { out: [] } }]\n");
  EXPECT_THAT(marks(file), ElementsAre("S0402 7:14", "S0401 9:13"));
  EXPECT_THAT(file.findings[0].text, HasSubstr("asker: asker.lua"));
  EXPECT_THAT(file.findings[0].text, HasSubstr("anser"));
}

TEST_F(TestFileRead, RefusedPipelineIsSaidWithItsOwnFindings) {
  write("pipeline.yaml", "api: sluice/v1\npipeline: probe\nstreams: {}\nstages: {}\nextra: 1\n");
  const ReadFile file = read(kSound);
  EXPECT_FALSE(file.file.has_value());
  ASSERT_THAT(file.findings, SizeIs(::testing::Ge(2u)));
  EXPECT_EQ(file.findings.front().place.file, at("pipeline.yaml"));
  EXPECT_EQ(file.findings.back().code, "S0507");
  EXPECT_EQ(file.findings.back().place.line, 2);
}

TEST_F(TestFileRead, MissingFileIsAFindingOfItsOwn) {
  const ReadFile file = read_test_file(at("gone.test.yaml"), probe_catalog(), scratch());
  EXPECT_FALSE(file.file.has_value());
  EXPECT_THAT(marks(file), ElementsAre("S0001 1:1"));
}

// Any prefix of a sound file is refused with a place, or read; never worse.
TEST_F(TestFileRead, TornFileNeverCrashes) {
  const std::string whole =
      "  - name: a\n"
      "    with: { gate: { window: 1s } }\n"
      "    exchange: [{ match: { what: \"/a+/\" }, outcome: { state: \"${request.what}\" } }]\n"
      "    given: [{ set: { k: { a: 1 } }, ttl: 1s }]\n"
      "    steps:\n"
      "      - add: { in: [{ id: \"${now_us+1s}\" }] }\n"
      "      - expect: { out: [{ id: absent }], keys: { k: { a: \"> 0\" } } }\n";
  for (size_t size = 0; size <= whole.size(); ++size) {
    const ReadFile file = read(whole.substr(0, size));
    for (const graph::Finding& finding : file.findings) EXPECT_GE(finding.place.line, 1);
  }
  EXPECT_TRUE(read(whole).file.has_value());
}

}  // namespace
}  // namespace sluice::harness
