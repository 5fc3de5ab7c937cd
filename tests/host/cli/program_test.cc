// The program as a user starts it: exit codes, and what it prints on a real store.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "cli/exit_codes.h"
#include "fixtures/program.h"
#include "store_fixture.h"

namespace sluice::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kPipeline = R"(api: sluice/v1
pipeline: small
engine: { kind: embedded, path: "${STORE}", durability: commit }
clock: wall
streams:
  intents: { name: trade.intent, external: true }
  plans: { name: trade.plan, unread: true }
  dead: { name: dead }
stages:
  forward:
    use: forward
    from: intents
    to: { out: plans }
    group: forward
defaults: { dead_letter: dead }
)";

class ProgramTest : public StoreTest {
 protected:
  void SetUp() override { write("small.yaml", kPipeline); }

  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name), std::ios::binary) << text;
  }

  struct Ended {
    int exit;
    std::string out, err;
  };

  // Runs the program with blank-separated words; `@` in front of a name is a file of this test.
  Ended sluice(const std::string& words) {
    std::vector<std::string> arguments;
    std::istringstream split(words);
    for (std::string word; split >> word;)
      arguments.push_back(word[0] == '@' ? path(word.substr(1)) : word);
    ::sluice::testing::Program program(
        arguments, folder_, {"STORE=" + path("store"), "SLUICE_PLUGINS=" SLUICE_CLI_TEST_PLUGINS});
    auto ended = program.wait();
    return {ended.exit_code, std::move(ended.out), std::move(ended.err)};
  }

  std::string text_of(const std::string& name) {
    std::ifstream file(path(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  // A store with one intent that a group has not read, and three dead letters.
  void fill() {
    open();
    const stream::StreamId intents = stream("trade.intent");
    ASSERT_TRUE(store_->open_group(intents, "forward", stream::GroupStart::kBeginning));
    append("trade.intent", {{"symbol", "BTCUSDT"}});
    first_ = append_dead("schema", "BTCUSDC", "trade.intent", "forward");
    append_dead("schema", "ETHUSDC", "trade.intent", "forward");
    append_dead("no_symbol", "", "trade.intent", "forward");
  }

  // Damages the payload of the first entry in the log; sound records follow it.
  void flip_first_entry() {
    int flipped = 0;
    for (const auto& file : std::filesystem::directory_iterator(path("store"))) {
      const std::string name = "store/" + file.path().filename().string();
      std::string bytes = text_of(name);
      const size_t at = bytes.find("BTCUSDT");
      if (at == std::string::npos) continue;
      bytes[at] ^= 1;
      write(name, bytes);
      ++flipped;
    }
    ASSERT_GT(flipped, 0);
  }

  EntryId first_;
};

TEST_F(ProgramTest, HelpListsCommandsAndExitCodes) {
  const Ended help = sluice("--help");
  EXPECT_EQ(help.exit, kFine);
  EXPECT_THAT(help.out, HasSubstr("dlq"));
  EXPECT_THAT(help.out, HasSubstr(std::string(kExitCodesText)));
}

TEST_F(ProgramTest, DocumentedExitCodesAreThoseOfTheHelp) {
  std::ifstream file(SLUICE_SOURCE_DIR "/docs/exit-codes.md");
  std::ostringstream docs;
  docs << file.rdbuf();
  std::istringstream lines{std::string(kExitCodesText)};
  std::string line;
  std::getline(lines, line);  // the title
  int checked = 0;
  while (std::getline(lines, line)) {
    EXPECT_THAT(docs.str(), HasSubstr("| " + line.substr(2, 1) + " | " + line.substr(5) + " |"));
    ++checked;
  }
  EXPECT_EQ(checked, kGaveUp + 1);
}

TEST_F(ProgramTest, BadUsageEndsWithTwo) {
  EXPECT_EQ(sluice("").exit, kUsage);
  EXPECT_EQ(sluice("no-such-command").exit, kUsage);
  EXPECT_EQ(sluice("streams").exit, kUsage);
  EXPECT_EQ(sluice("streams @small.yaml --format xml").exit, kUsage);
  EXPECT_EQ(sluice("dlq").exit, kUsage);
  EXPECT_EQ(sluice("dlq drop @small.yaml").exit, kUsage);
  EXPECT_EQ(sluice("dlq show @small.yaml nonsense").exit, kUsage);
}

TEST_F(ProgramTest, VersionIsPrintedBothWays) {
  EXPECT_THAT(sluice("version").out, StartsWith("sluice "));
  EXPECT_THAT(sluice("version --format json").out, StartsWith("{\"version\":\""));
  EXPECT_EQ(sluice("--version").exit, kFine);
}

TEST_F(ProgramTest, MissingPipelineFileIsRefused) {
  const Ended check = sluice("check @gone.yaml");
  EXPECT_EQ(check.exit, kInvalidInput);
  EXPECT_THAT(check.out, HasSubstr("gone.yaml"));
}

TEST_F(ProgramTest, SoundPipelineIsFine) {
  const Ended check = sluice("check @small.yaml");
  EXPECT_EQ(check.exit, kFine) << check.out << check.err;
  EXPECT_THAT(check.out, HasSubstr("small.yaml: fine, 1 stage, 3 streams"));
}

TEST_F(ProgramTest, BadPipelineIsRefusedWithPlaceAndCode) {
  write("bad.yaml", std::string(kPipeline) + "colour: red\n");
  const Ended human = sluice("check @bad.yaml");
  EXPECT_EQ(human.exit, kInvalidInput);
  EXPECT_THAT(human.out, HasSubstr("bad.yaml:16:1"));
  const Ended json = sluice("check @bad.yaml --format json");
  EXPECT_EQ(json.exit, kInvalidInput);
  EXPECT_THAT(json.out, HasSubstr(R"("severity":"error")"));
  EXPECT_THAT(json.out, HasSubstr(R"("line":16,"column":1)"));
  EXPECT_EQ(sluice("streams @bad.yaml").exit, kInvalidInput);
}

TEST_F(ProgramTest, FolderStandsForItsPipelines) {
  std::filesystem::create_directory(path("many"));
  write("many/a.yaml", kPipeline);
  write("many/b.yml", std::string(kPipeline) + "colour: red\n");
  write("many/a.test.yaml", "not a pipeline");
  const Ended check = sluice("check @many");
  EXPECT_EQ(check.exit, kInvalidInput);
  EXPECT_THAT(check.out, HasSubstr("a.yaml: fine"));
  EXPECT_THAT(check.out, HasSubstr("b.yml: refused, 1 error"));
  EXPECT_THAT(check.out, Not(HasSubstr("a.test.yaml")));
  std::filesystem::create_directory(path("empty"));
  EXPECT_EQ(sluice("check @empty").exit, kInvalidInput);
}

TEST_F(ProgramTest, DeniedWarningsEndWithFindings) {
  std::string warned = kPipeline;
  warned.replace(warned.find(", unread: true"), 14, "");
  write("warned.yaml", warned);
  EXPECT_EQ(sluice("check @warned.yaml").exit, kFine);
  EXPECT_EQ(sluice("check @warned.yaml --deny warnings").exit, kFindings);
  EXPECT_EQ(sluice("check @warned.yaml --deny errors").exit, kUsage);
}

TEST_F(ProgramTest, FixMendsSlipsInTheFileAndShowsThem) {
  std::string slips = kPipeline;
  slips.replace(slips.find("group: forward"), 5, "gruop");
  slips.replace(slips.find("from: intents"), 13, "from: intnets");
  write("slips.yaml", slips);
  const Ended fixed = sluice("check --fix @slips.yaml");
  EXPECT_EQ(fixed.exit, kFine) << fixed.out;
  EXPECT_THAT(fixed.out, HasSubstr("-    gruop: forward\n+    group: forward\n"));
  EXPECT_THAT(fixed.out, HasSubstr("-    from: intnets\n+    from: intents\n"));
  std::ifstream file(path("slips.yaml"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), kPipeline);
}

TEST_F(ProgramTest, FixLeavesWhatIsNotASlip) {
  const std::string bad = std::string(kPipeline) + "colour: red\n";
  write("bad.yaml", bad);
  EXPECT_EQ(sluice("check --fix @bad.yaml").exit, kInvalidInput);
  std::ifstream file(path("bad.yaml"));
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), bad);
}

TEST_F(ProgramTest, FindingsComeInTheFormsOfCodeHosts) {
  write("bad.yaml", std::string(kPipeline) + "colour: red\n");
  const Ended sarif = sluice("check --format sarif @bad.yaml");
  EXPECT_EQ(sarif.exit, kInvalidInput);
  EXPECT_THAT(sarif.out, HasSubstr(R"("ruleId":"S0101")"));
  EXPECT_THAT(sarif.out, HasSubstr(R"("startLine":16,"startColumn":1)"));
  const Ended github = sluice("check --format github @bad.yaml");
  EXPECT_THAT(github.out, HasSubstr("bad.yaml,line=16,col=1,title=S0101::unknown key"));
}

TEST_F(ProgramTest, MissingPluginFolderIsRefused) {
  const Ended check = sluice("check @small.yaml --plugins @none");
  EXPECT_EQ(check.exit, kInvalidInput);
  EXPECT_THAT(check.err, HasSubstr("none"));
}

TEST_F(ProgramTest, GraphIsDrawnInEachLanguage) {
  EXPECT_THAT(sluice("graph @small.yaml --format dot").out, HasSubstr("digraph"));
  EXPECT_THAT(sluice("graph @small.yaml --format mermaid").out, HasSubstr("forward"));
  EXPECT_THAT(sluice("graph @small.yaml").out, HasSubstr("forward"));
}

TEST_F(ProgramTest, GraphAsJsonIsAskedForInEitherPlace) {
  const Ended own = sluice("graph @small.yaml --format json");
  EXPECT_THAT(own.out, HasSubstr(R"("edges":[{"stage":"forward","direction":"in")"));
  EXPECT_EQ(sluice("--format json graph @small.yaml").out, own.out);
  EXPECT_EQ(sluice("--format json graph @small.yaml --format human").out,
            sluice("graph @small.yaml").out);
  const Ended missing = sluice("graph @none.yaml --format json");
  EXPECT_EQ(missing.exit, kInvalidInput);
  EXPECT_THAT(missing.err, StartsWith("[{\"code\":"));
  EXPECT_EQ(sluice("graph @small.yaml --format png").exit, kUsage);
}

TEST_F(ProgramTest, GraphShowsWhatAnotherVersionChanges) {
  std::string text = kPipeline;
  text.replace(text.find("group: forward"), 14, "batch: 7");
  text.replace(text.find("dead: { name: dead }"), 20, "dead: { name: gone }");
  write("new.yaml", text);
  const Ended human = sluice("graph @new.yaml --diff @small.yaml");
  EXPECT_EQ(human.exit, kFine) << human.err;
  EXPECT_THAT(human.out, HasSubstr("~  stream  dead     name: dead -> gone\n"));
  EXPECT_THAT(human.out, HasSubstr("~  stage   forward  batch: 100 -> 7\n"));
  EXPECT_THAT(sluice("graph @new.yaml --diff @small.yaml --format json").out,
              HasSubstr(R"("name":"forward","part":"batch","before":"100","after":"7"})"));
  EXPECT_THAT(sluice("graph @new.yaml --diff @small.yaml --format mermaid").out,
              HasSubstr(":::changed"));
  EXPECT_THAT(sluice("graph @new.yaml --diff @new.yaml").out, HasSubstr("mean the same"));
  EXPECT_EQ(sluice("graph @new.yaml --diff @none.yaml").exit, kInvalidInput);
}

TEST_F(ProgramTest, StoreThatDoesNotExistYetIsSaid) {
  const Ended streams = sluice("streams @small.yaml");
  EXPECT_EQ(streams.exit, kStore);
  EXPECT_THAT(streams.err, HasSubstr("no store"));
  EXPECT_THAT(streams.err, HasSubstr("sluice run"));
  const Ended json = sluice("--format json streams @small.yaml");
  EXPECT_EQ(json.exit, kStore);
  EXPECT_THAT(json.err, StartsWith(R"({"error":{"code":"not found","text":)"));
  EXPECT_EQ(sluice("dlq drop @small.yaml --all").exit, kStore);
  EXPECT_FALSE(std::filesystem::exists(path("store"))) << "looking must not create a store";
}

TEST_F(ProgramTest, StreamsAreListedWhileAnotherProcessWrites) {
  fill();
  const Ended json = sluice("streams @small.yaml --format json");
  EXPECT_EQ(json.exit, kFine) << json.err;
  EXPECT_THAT(json.out, StartsWith(R"([{"name":"trade.intent","length":1,)"));
  EXPECT_THAT(json.out, HasSubstr(R"("groups":[{"name":"forward","lag":1,"pending":0,)"));
  EXPECT_THAT(sluice("streams @small.yaml").out, HasSubstr("trade.intent"));
  EXPECT_EQ(sluice("streams @store").exit, kFine) << "the folder alone will do";
}

TEST_F(ProgramTest, DeadLettersAreCountedListedAndShown) {
  fill();
  const Ended counted = sluice("dlq ls @small.yaml");
  EXPECT_EQ(counted.exit, kFine) << counted.err;
  EXPECT_THAT(counted.out, HasSubstr("schema     forward      2  "));
  EXPECT_THAT(counted.out, HasSubstr("no_symbol  forward      1  "));
  const Ended listed = sluice("dlq ls @small.yaml --reason schema --limit 1 --format json");
  EXPECT_THAT(listed.out, HasSubstr("ETHUSDC"));
  EXPECT_THAT(listed.out, Not(HasSubstr("BTCUSDC")));
  const Ended shown = sluice("dlq show @small.yaml " + first_.text());
  EXPECT_EQ(shown.exit, kFine);
  EXPECT_THAT(shown.out, HasSubstr("reason      schema"));
  EXPECT_THAT(shown.out, HasSubstr("symbol  BTCUSDC"));
  EXPECT_EQ(sluice("dlq show @small.yaml 1-1").exit, kFindings);
}

TEST_F(ProgramTest, ReplayIsRefusedWhileARunHoldsTheStore) {
  fill();
  const Ended replay = sluice("dlq replay @small.yaml --all");
  EXPECT_EQ(replay.exit, kStore);
  EXPECT_THAT(replay.err, HasSubstr("process " + std::to_string(getpid())));
  EXPECT_THAT(replay.err, HasSubstr("stop that run"));
  EXPECT_EQ(entries("dead").size(), 3u);
}

TEST_F(ProgramTest, ReplayAndDropChangeTheStore) {
  fill();
  close();
  const Ended replay = sluice("dlq replay @small.yaml " + first_.text());
  EXPECT_EQ(replay.exit, kFine) << replay.err;
  EXPECT_THAT(replay.out, HasSubstr("replayed 1 dead letter"));
  const Ended drop = sluice("dlq drop @small.yaml --reason no_symbol --format json");
  EXPECT_EQ(drop.exit, kFine) << drop.err;
  EXPECT_EQ(drop.out, "{\"replayed\":[],\"dropped\":1,\"unmoved\":[]}\n");
  EXPECT_EQ(sluice("dlq drop @small.yaml " + first_.text()).exit, kFindings) << "is gone already";
  open();
  EXPECT_EQ(entries("trade.intent").size(), 2u);
  ASSERT_EQ(entries("dead").size(), 1u);
  EXPECT_EQ(entries("dead")[0].fields.find("symbol"), "ETHUSDC");
}

TEST_F(ProgramTest, TapPrintsAStreamByKeyOrName) {
  fill();
  const Ended by_key = sluice("tap @small.yaml intents");
  EXPECT_EQ(by_key.exit, kFine) << by_key.err;
  EXPECT_THAT(by_key.out, HasSubstr(R"(,"symbol":"BTCUSDT"})"));
  EXPECT_EQ(sluice("tap @store trade.intent").out, by_key.out);
  EXPECT_EQ(sluice("tap @small.yaml nothing").exit, kStore);
  EXPECT_EQ(sluice("tap @small.yaml intents --from soon").exit, kUsage);
}

TEST_F(ProgramTest, PluginIsListedAndDescribed) {
  EXPECT_THAT(sluice("plugin ls").out, HasSubstr("forward  1.0.0"));
  const Ended described = sluice("plugin describe forward");
  EXPECT_EQ(described.exit, kFine);
  EXPECT_THAT(described.out, HasSubstr("label  text, default none"));
  EXPECT_THAT(described.out, HasSubstr("duration, 1ms to 1s, default 10ms"));
  EXPECT_THAT(sluice("plugin describe forward --format json").out,
              StartsWith(R"({"name":"forward","version":"1.0.0",)"));
  EXPECT_EQ(sluice("plugin describe backward").exit, kInvalidInput);
}

TEST_F(ProgramTest, PolicyIsCheckedAgainstTheHooksOfAKind) {
  write("good.lua", "return { pause = function() return 20 * ms end }\n");
  write("bad.lua", "return { pause = function() return 'soon' end, pauze = 1 }\n");
  const Ended good = sluice("policy check @good.lua --use forward");
  EXPECT_EQ(good.exit, kFine) << good.err;
  EXPECT_THAT(good.out, HasSubstr("good.lua@"));
  const Ended bad = sluice("policy check @bad.lua --use forward");
  EXPECT_EQ(bad.exit, kInvalidInput);
  EXPECT_THAT(bad.err, HasSubstr("pauze"));
  EXPECT_EQ(sluice("policy check @good.lua").exit, kUsage);
  EXPECT_EQ(sluice("policy check @small.yaml").exit, kFine);
}

TEST_F(ProgramTest, SoundStoreIsVerified) {
  fill();
  close();
  const Ended verify = sluice("store verify @small.yaml");
  EXPECT_EQ(verify.exit, kFine) << verify.out << verify.err;
  EXPECT_EQ(sluice("store verify @store --format json").exit, kFine);
  EXPECT_EQ(sluice("store verify @nowhere").exit, kStore);
}

TEST_F(ProgramTest, DamagedStoreIsCorruptUntilRepaired) {
  fill();
  close();
  flip_first_entry();
  const Ended verify = sluice("store verify @small.yaml");
  EXPECT_EQ(verify.exit, kCorruptStore) << verify.out << verify.err;
  EXPECT_EQ(sluice("store repair @small.yaml").exit, kFine);
  EXPECT_EQ(sluice("store verify @small.yaml").exit, kFine);
}

TEST_F(ProgramTest, CompletionIsAScriptBashAccepts) {
  write("completion.bash", sluice("completion bash").out);
  EXPECT_THAT(text_of("completion.bash"), HasSubstr("\"dlq replay\") words="));
  const std::string command =
      "bash -c 'source " + path("completion.bash") +
      " && COMP_WORDS=(sluice dlq re) COMP_CWORD=2 && _sluice && [ \"${COMPREPLY[*]}\" = replay ]'";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace sluice::cli
