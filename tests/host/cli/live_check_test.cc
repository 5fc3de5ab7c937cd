// What `check --live` says of stores in every state: none, sound, in use, damaged, left behind.
#include "cli/live_check.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "fixtures/redis_server.h"
#include "store_fixture.h"

namespace sluice::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LiveCheckTest : public StoreTest {
 protected:
  // intents -> forward -> plans, and dead letters.
  LiveCheckTest() {
    pipeline_.file = path("small.yaml");
    pipeline_.name = "small";
    pipeline_.clock = graph::ClockMode::kWall;
    pipeline_.engine.path = path("store");
    pipeline_.engine.place = {pipeline_.file, 3, 1};
    int line = 5;
    for (const char* name : {"intents", "plans", "dead"}) {
      graph::StreamSpec spec;
      spec.key = spec.name = name;
      spec.place = {pipeline_.file, line++, 3};
      pipeline_.streams.push_back(std::move(spec));
    }
    graph::StageSpec stage;
    stage.name = stage.group = "forward";
    stage.inputs.push_back({"in", 0, false, {pipeline_.file, 10, 11}});
    pipeline_.stages.push_back(std::move(stage));
  }

  LiveReport check() { return check_live(pipeline_, system_disk(), clock_); }

  static std::string topic(const LiveReport& report, std::string_view name) {
    const auto found = std::ranges::find(report.topics, name, &LiveReport::Topic::name);
    return found == report.topics.end() ? "" : found->text;
  }

  static std::vector<std::string> codes(const LiveReport& report) {
    std::vector<std::string> codes;
    for (const graph::Finding& finding : report.findings)
      codes.push_back(finding.code + ' ' + std::to_string(finding.place.line));
    return codes;
  }

  void open_group(const std::string& stream_name, const std::string& group) {
    ASSERT_TRUE(store_->open_group(stream(stream_name), group, stream::GroupStart::kBeginning));
  }

  // A store as a run of the pipeline leaves it.
  void fill() {
    open();
    for (const graph::StreamSpec& spec : pipeline_.streams) stream(spec.name);
    open_group("intents", "forward");
    append("intents", {{"symbol", "BTCUSDT"}});
  }

  graph::Pipeline pipeline_;
};

TEST_F(LiveCheckTest, FolderThatIsNotThereIsCreatedByTheFirstRun) {
  const LiveReport report = check();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_FALSE(report.exists);
  EXPECT_THAT(topic(report, "store"), HasSubstr("the first run creates it"));
  EXPECT_TRUE(report.free_bytes);
  EXPECT_FALSE(std::filesystem::exists(path("store")));
  EXPECT_EQ(exit_of(report), kFine);
}

TEST_F(LiveCheckTest, SoundStoreHasNothingToComplainAbout) {
  fill();
  close();
  const LiveReport report = check();
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_FALSE(report.writer);
  EXPECT_THAT(topic(report, "store"), HasSubstr("format version 1"));
  EXPECT_EQ(topic(report, "streams"), "3 of 3 are in the store");
  EXPECT_EQ(topic(report, "groups"), "1 of 1 are in the store");
  EXPECT_THAT(topic(report, "integrity"), HasSubstr("1 live entry read back"));
  EXPECT_THAT(topic(report, "clock"), HasSubstr(" ago"));
  EXPECT_THAT(live_text(report), ::testing::Not(HasSubstr("refused")));
}

TEST_F(LiveCheckTest, NothingIsWritten) {
  fill();
  close();
  const auto sizes = [&] {
    std::vector<std::pair<std::string, std::filesystem::file_time_type>> files;
    for (const auto& file : std::filesystem::directory_iterator(path("store")))
      files.emplace_back(file.path().string(), file.last_write_time());
    std::ranges::sort(files);
    return files;
  };
  const auto before = sizes();
  check();
  EXPECT_EQ(sizes(), before);
}

TEST_F(LiveCheckTest, WriterIsNamedAndNotDisturbed) {
  if (!std::filesystem::exists("/proc/locks")) GTEST_SKIP() << "no /proc/locks";
  fill();
  const LiveReport report = check();
  EXPECT_EQ(report.writer, static_cast<uint64_t>(getpid()));
  EXPECT_THAT(topic(report, "store"), HasSubstr(std::to_string(getpid())));
  append("intents", {{"symbol", "ETHUSDT"}});
  EXPECT_THAT(check().findings, IsEmpty());
}

TEST_F(LiveCheckTest, NewGroupOnOldEntriesIsSaidAtTheStage) {
  fill();
  close();
  pipeline_.stages[0].group = "forward2";
  const LiveReport report = check();
  EXPECT_THAT(codes(report), ElementsAre("S0604 5", "S0605 10"));
  EXPECT_THAT(report.findings[0].text,
              HasSubstr("group forward any more; the store has 0 pending, 1 not read"));
  EXPECT_THAT(report.findings[1].text, HasSubstr("forward will see 1 old entry"));
  EXPECT_THAT(topic(report, "groups"), HasSubstr("creates forward2 on intents"));
  EXPECT_EQ(exit_of(report), kFine);
}

TEST_F(LiveCheckTest, StreamThatTheFileDroppedIsNamedWithWhatWaitsThere) {
  fill();
  append("old", {{"symbol", "BTCUSDT"}});
  open_group("old", "reader");
  stream("empty");
  close();
  const LiveReport report = check();
  ASSERT_THAT(codes(report), ElementsAre("S0604 3"));
  EXPECT_THAT(report.findings[0].text, HasSubstr("stream old with 1 entry"));
  EXPECT_THAT(report.findings[0].text, HasSubstr("group reader: 0 pending, 1 not read"));
}

TEST_F(LiveCheckTest, NewStreamIsCreatedAtTheNextStart) {
  fill();
  close();
  pipeline_.streams[1].name = pipeline_.streams[1].key = "plans2";
  EXPECT_EQ(topic(check(), "streams"), "2 of 3 are in the store; the next start creates plans2");
}

TEST_F(LiveCheckTest, ClockBehindTheLastCommitIsFound) {
  fill();
  close();
  const ManualClock behind(clock_.now() - std::chrono::hours(1));
  EXPECT_THAT(codes(check_live(pipeline_, system_disk(), behind)), ElementsAre("S0607 3"));
  const ManualClock near(clock_.now() - std::chrono::milliseconds(500));
  EXPECT_THAT(check_live(pipeline_, system_disk(), near).findings, IsEmpty());
  pipeline_.clock = graph::ClockMode::kRecorded;  // its time is the recording's
  EXPECT_THAT(check_live(pipeline_, system_disk(), behind).findings, IsEmpty());
}

TEST_F(LiveCheckTest, DamageIsFoundAndEndsWithItsCode) {
  fill();
  for (int i = 0; i < 10; ++i) append("intents", {{"symbol", "ETHUSDT"}});
  close();
  for (const auto& file : std::filesystem::directory_iterator(path("store"))) {
    std::ifstream in(file.path(), std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(in), {}};
    const size_t at = bytes.find("BTCUSDT");
    if (at == bytes.npos) continue;
    bytes[at] ^= 1;
    std::ofstream(file.path(), std::ios::binary) << bytes;
  }
  const LiveReport report = check();
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings[0].code, "S0603");
  EXPECT_EQ(exit_of(report), kCorruptStore);
  EXPECT_THAT(live_text(report), HasSubstr("nothing should run on it"));
}

TEST_F(LiveCheckTest, FileInPlaceOfTheFolderIsFound) {
  std::ofstream(path("store")) << "x";
  const LiveReport report = check();
  EXPECT_THAT(codes(report), ElementsAre("S0602 3"));
  EXPECT_EQ(exit_of(report), kStore);
}

TEST_F(LiveCheckTest, FolderThatCannotBeWrittenIsFoundWithItsMode) {
  fill();
  close();
  ASSERT_EQ(chmod(path("store").c_str(), 0550), 0);
  // What may be written is asked for the real user: root's answer would always be yes.
  const bool is_root = geteuid() == 0;
  constexpr uid_t kNobody = 65534, kKeep = -1;
  if (is_root) {
    ASSERT_EQ(setresuid(kNobody, kKeep, kKeep), 0);
  }
  const LiveReport report = check();
  if (is_root) {
    ASSERT_EQ(setresuid(0, kKeep, kKeep), 0);
  }
  ASSERT_EQ(chmod(path("store").c_str(), 0750), 0);
  // For an owner the files inside can still be written; for nobody they cannot either.
  ASSERT_THAT(codes(report), AllOf(Contains("S0602 3"), Each("S0602 3")));
  EXPECT_THAT(report.findings[0].text, HasSubstr("mode 550"));
}

TEST_F(LiveCheckTest, EachDurabilityIsSaidInPlainWords) {
  const std::pair<graph::Durability, const char*> modes[] = {
      {graph::Durability::kCommit, "nothing acked is lost"},
      {graph::Durability::kGroup, "the last 5 ms"},
      {graph::Durability::kOs, "everything since the last sync"}};
  for (const auto& [mode, words] : modes) {
    pipeline_.engine.durability = mode;
    const std::string text = topic(check(), "durability");
    EXPECT_THAT(text, HasSubstr(words));
    EXPECT_THAT(text, HasSubstr("kill -9"));
    EXPECT_THAT(text, HasSubstr("power cut"));
  }
}

TEST_F(LiveCheckTest, EntriesThatOthersTrimmedOnRedisAreCountedPerGroup) {
  testing::RedisServer server;
  pipeline_.engine.kind = graph::EngineKind::kRedis;
  pipeline_.engine.url = server.url();
  server.command({"XGROUP", "CREATE", "intents", "forward", "0", "MKSTREAM"});
  server.command({"XGROUP", "CREATE", "intents", "dashboard", "0"});
  for (int i = 0; i < 6; ++i) server.command({"XADD", "intents", "*", "n", "x"});
  for (const auto& [group, count] : {std::pair("forward", "1"), std::pair("dashboard", "6")})
    server.command({"XREADGROUP", "GROUP", group, "c", "COUNT", count, "STREAMS", "intents", ">"});
  EXPECT_THAT(codes(check()), ::testing::Not(Contains("S0611 5")));
  server.command({"XTRIM", "intents", "MAXLEN", "2"});
  const LiveReport report = check();
  EXPECT_THAT(codes(report), Contains("S0611 5"));
  std::vector<std::string> texts;
  for (const graph::Finding& finding : report.findings)
    if (finding.code == "S0611") texts.push_back(finding.text);
  EXPECT_THAT(texts, ElementsAre("3 entries of intents were trimmed by somebody before group "
                                 "forward read them"));
}

}  // namespace
}  // namespace sluice::cli
