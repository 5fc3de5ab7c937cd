#include "harness/runner.h"

#include <gmock/gmock.h>

#include "harness_fixture.h"

namespace sluice::harness {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class RunTest : public HarnessTest {};

TEST_F(RunTest, EntriesGoThroughTheRealStages) {
  EXPECT_THAT(
      failures("  - name: a\n"
               "    stages: [dedup]\n"
               "    steps:\n"
               "      - add: { in: [{ id: x }, { id: y }, { id: x }] }\n"
               "      - expect: { mid: [{ id: x }, { id: y }], dups: { earlier: present } }\n"
               "      - expect: { mid: [], dups: 0 }\n"),
      IsEmpty());
}

TEST_F(RunTest, MismatchNamesPlaceFieldAndBothValuesAndShowsWhatCame) {
  const auto outcomes =
      run("  - name: a\n"
          "    stages: [dedup]\n"
          "    steps:\n"
          "      - add: { in: [{ id: x }, { id: x }] }\n"
          "      - expect:\n"
          "          mid: { id: y }\n"
          "          dups: []\n");
  ASSERT_THAT(outcomes, SizeIs(1));
  ASSERT_THAT(outcomes[0].failures, SizeIs(2));
  EXPECT_EQ(outcomes[0].failures[0].place.file, path());
  EXPECT_EQ(outcomes[0].failures[0].place.line, 10);
  EXPECT_EQ(outcomes[0].failures[0].place.column, 22);
  EXPECT_EQ(outcomes[0].failures[0].text, "mid[0].id: expected y, got x");
  EXPECT_EQ(outcomes[0].failures[1].text, "dups: expected no entry, got 1 entry");
  EXPECT_THAT(outcomes[0].seen, ElementsAre("in: { id: x }", "in: { id: x }", "mid: { id: x }",
                                            HasSubstr("dups: { id: x, earlier: ")));
}

TEST_F(RunTest, TimeMovesOnlyWhenAskedAndStopsWhereSomethingIsDue) {
  EXPECT_THAT(failures("  - name: waits\n"
                       "    stages: [gate]\n"
                       "    with: { gate: { window: 1200ms } }\n"
                       "    steps:\n"
                       "      - add: { mid: { id: a } }\n"
                       "      - advance: 1199ms\n"
                       "      - expect: { out: [], late: [] }\n"
                       "      - advance: 1ms\n"
                       "      - expect: { late: { id: a } }\n"
                       "  - name: is woken\n"
                       "    stages: [gate]\n"
                       "    steps:\n"
                       "      - add: { mid: { id: a } }\n"
                       "      - set: { \"permit:${mid.id}\": yes }\n"
                       "      - expect: { out: { id: a }, keys: { \"permit:a\": absent } }\n"
                       "      - advance: 1h\n"
                       "      - expect: { late: [] }\n"
                       "  - name: ticks\n"
                       "    stages: [ticker]\n"
                       "    steps:\n"
                       "      - advance: 1ms\n"
                       "      - expect: { ticks: { n: 0 } }\n"
                       "      - advance: 1h\n"
                       "      - expect: { ticks: [{ n: 1 }, { n: 2 }] }\n"),
              IsEmpty());
}

TEST_F(RunTest, KeysExpireAreErasedAndHoldTextsFieldsAndJson) {
  EXPECT_THAT(failures("  - name: a\n"
                       "    stages: [gate]\n"
                       "    start: 2026-01-02T10:00:00Z\n"
                       "    steps:\n"
                       "      - { set: { t: text, f: { at: \"${now}\" } }, ttl: 10s }\n"
                       "      - set_json: { j: { n: 1, at: \"${now}\" } }\n"
                       "      - expect:\n"
                       "          keys: { t: text, f: { at: 1767348000 }, j: { n: 1 } }\n"
                       "      - advance: 10s\n"
                       "      - erase: [j]\n"
                       "      - expect: { keys: { t: absent, f: absent, j: absent } }\n"),
              IsEmpty());
  EXPECT_THAT(
      failures("  - name: a\n"
               "    steps:\n"
               "      - set: { f: { a: b } }\n"
               "      - expect: { keys: { f: { a: c }, g: present } }\n"),
      ElementsAre("8:35 key f.a: expected c, got b", "8:43 key g: expected present, got nothing"));
}

TEST_F(RunTest, WorldIsWhatTheTestSaysInOrderAndByMatch) {
  EXPECT_THAT(
      failures(
          "  - name: a\n"
          "    stages: [sender]\n"
          "    exchange:\n"
          "      - { match: { what: b }, outcome: { state: \"b by ${key}\" } }\n"
          "      - { match: { what: a }, fails: the line is dead }\n"
          "      - { match: { what: a }, later: 5s }\n"
          "    steps:\n"
          "      - add: { mid: [{ id: a }, { id: b }] }\n"
          "      - expect: { sent: { id: b, state: b by key-b } }\n"
          "      - advance: 5s\n"
          "      - expect: { sent: [] }\n"
          "      - advance: 100ms\n"
          "      - expect: { sent: { id: a, state: at last }, keys: { \"sending:a\": absent } }\n",
          "exchange: [{ outcome: { state: at last }, times: 9 }]"),
      IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(data_folder(scratch()) + "/world"));
}

TEST_F(RunTest, ActWithoutAnAnswerAndAnswerWithoutAnActFailTheTest) {
  EXPECT_THAT(failures("  - name: a\n"
                       "    stages: [sender]\n"
                       "    exchange: [{ match: { what: z }, later: 1s }]\n"
                       "    steps:\n"
                       "      - add: { mid: { id: a } }\n"
                       "      - expect: { sent: [] }\n"),
              ElementsAre("5:11 sender asks the world and `exchange` has no answer: { what: a }"));
  EXPECT_THAT(failures("  - name: a\n"
                       "    stages: [sender]\n"
                       "    exchange: [{ match: { what: z }, later: 1s }]\n"
                       "    steps: [{ expect: { sent: [] } }]\n"),
              ElementsAre("7:16 no stage asked for this answer"));
}

TEST_F(RunTest, DeadLetterNobodyExpectsFailsTheTest) {
  const std::string given =
      "  - name: a\n"
      "    stages: [copy]\n"
      "    steps:\n"
      "      - add: { mid: { id: a, do: reject } }\n";
  EXPECT_THAT(
      failures(given + "      - expect: { out: [] }\n"),
      ElementsAre("5:11 a dead letter nobody expects: copy says unwanted, field \"do\" says so"));
  EXPECT_THAT(failures(given + "      - expect: { dead: { sluice.reason: unwanted } }\n"),
              IsEmpty());
}

TEST_F(RunTest, GivenPolicyAnswersAndOneThatFailsMeansNo) {
  EXPECT_THAT(failures("  - name: answers\n"
                       "    stages: [asker]\n"
                       "    policies:\n"
                       "      asker: |\n"
                       "        return { answer = function(e) return 7 * ms end }\n"
                       "    steps:\n"
                       "      - add: { mid: { id: a } }\n"
                       "      - expect: { answers: { us: 7000, policy: /^asker.lua@/ } }\n"
                       "  - name: fails\n"
                       "    stages: [asker]\n"
                       "    policies:\n"
                       "      asker: |\n"
                       "        return { answer = function(e) error(\"no idea\") end }\n"
                       "    steps:\n"
                       "      - add: { mid: { id: a } }\n"
                       "      - expect: { answers: [], dead: { sluice.reason: policy_error } }\n"),
              IsEmpty());
}

TEST_F(RunTest, GivenStepsOfFileAndTestComeFirstAndAreNotExpected) {
  EXPECT_THAT(failures("  - name: a\n"
                       "    stages: [dedup]\n"
                       "    given: [{ add: { in: { id: b } } }]\n"
                       "    steps:\n"
                       "      - repeat: in\n"
                       "      - add: { in: { id: a } }\n"
                       "      - expect: { mid: [], dups: [{ id: b }, { id: a }] }\n",
                       "given: [{ add: { in: { id: a } } }]"),
              IsEmpty());
}

TEST_F(RunTest, EachTestStartsOnAnEmptyStoreAndAnEmptyFolder) {
  const std::string test =
      "    stages: [dedup]\n"
      "    steps:\n"
      "      - add: { in: { id: a } }\n"
      "      - expect: { mid: { id: a }, dups: [] }\n";
  EXPECT_THAT(failures("  - name: a\n" + test), IsEmpty());
  std::ofstream(data_folder(scratch()) + "/left") << "behind";
  EXPECT_THAT(failures("  - name: a\n" + test + "  - name: b\n" + test), IsEmpty());
  EXPECT_FALSE(std::filesystem::exists(data_folder(scratch()) + "/left"));
}

TEST_F(RunTest, ReferenceToAnEntryThatIsNotThereFailsAtItsStep) {
  EXPECT_THAT(failures("  - name: a\n"
                       "    steps:\n"
                       "      - set: { k: \"${out.id}\" }\n"
                       "      - expect: { out: [] }\n"),
              ElementsAre("7:9 ${out.id}: there is no such entry or field"));
}

TEST_F(RunTest, VariablesOfATestMakeItsPipeline) {
  std::string text;
  {
    std::ifstream file(at("pipeline.yaml"));
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  const std::string plain = "gate: { use: probe.gate, ";
  text.replace(text.find(plain), plain.size(), plain + "with: { window: \"${WINDOW:-1s}\" }, ");
  write("pipeline.yaml", text);
  EXPECT_THAT(failures("  - name: a\n"
                       "    variables: { WINDOW: 5s }\n"
                       "    stages: [gate]\n"
                       "    steps:\n"
                       "      - add: { mid: { id: a } }\n"
                       "      - advance: 4s\n"
                       "      - expect: { late: [] }\n"
                       "      - advance: 1s\n"
                       "      - expect: { late: 1 }\n"),
              IsEmpty());
}

TEST_F(RunTest, CoverageCountsWhatTheTestsReached) {
  run("  - name: a\n"
      "    stages: [dedup, asker]\n"
      "    steps:\n"
      "      - add: { in: { id: a } }\n"
      "      - expect: { mid: 1, answers: 1 }\n");
  std::vector<std::string> missing;
  const std::vector<Coverage::Report> reports = coverage_.reports();
  for (const Coverage::Line& line : reports.at(0).lines) {
    for (const std::string& port : line.ports.missing) missing.push_back(line.stage + "." + port);
  }
  EXPECT_THAT(missing, UnorderedElementsAre("dedup.dup", "gate.out", "gate.late", "sender.out",
                                            "ticker.out"));
  // Two of seven ports and the only hook.
  EXPECT_DOUBLE_EQ(coverage_.percent(), 100.0 * 3 / 8);
}

}  // namespace
}  // namespace sluice::harness
