// Whole pipelines over the probe plugin: each test is a file, entries in and streams out.
#include "runtime/runtime.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "fixtures/pipeline_fixture.h"
#include "fixtures/sim_disk.h"

namespace sluice::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::string kPlugins = SLUICE_BINARY_DIR "/tests/runtime_plugins";

class RuntimeTest : public testing::PipelineTest {
 protected:
  // A pipeline with an external stream `in`, a stream `out` and the given stages.
  void load_stages(const std::string& stages, const std::string& more_streams = {}) {
    load(
        "api: sluice/v1\npipeline: test\nclock: recorded\n"
        "engine: { kind: embedded, path: store }\n"
        "streams:\n  in: { external: true, keep: 100000 }\n  out: { unread: true, external: true "
        "}\n  dead: {}\n" +
            more_streams + "stages:\n" + stages + "defaults: { dead_letter: dead }\n",
        kPlugins);
  }

  static std::string numbered(int count, const std::string& extra = {}) {
    std::string lines;
    for (int i = 0; i < count; ++i)
      lines += "{\"id\":\"" + std::to_string(i) + "\",\"n\":\"1\"" + extra + "}\n";
    return lines;
  }
};

TEST_F(RuntimeTest, EveryEntryComesThroughInOrder) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_recorded();
  EXPECT_EQ(run(numbered(250)), RunEnd::kDrained);
  const auto ids = values("out", "id");
  ASSERT_THAT(ids, SizeIs(250));
  for (int i = 0; i < 250; ++i) EXPECT_EQ(ids[static_cast<size_t>(i)], std::to_string(i));
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(RuntimeTest, WhatIsInAStreamBeforeTheFirstStartIsHandled) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_recorded();
  const stream::Fields fields{{"id", "early"}};
  stream::Unit unit;
  unit.effects.emplace_back().stream = *store_->open_stream("in", {});
  unit.effects.front().bytes = fields.encoded();
  ASSERT_TRUE(store_->commit({&unit, 1}, nullptr).is_ok());
  EXPECT_EQ(run(numbered(1)), RunEnd::kDrained);
  EXPECT_THAT(values("out", "id"), ElementsAre("early", "0"));
}

TEST_F(RuntimeTest, RejectIsADeadLetterWithReasonAndOrigin) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_recorded();
  run("{\"id\":\"a\",\"do\":\"reject\"}\n{\"id\":\"b\"}\n");
  EXPECT_THAT(values("out", "id"), ElementsAre("b"));
  ASSERT_THAT(entries("dead"), SizeIs(1));
  const stream::Fields letter = entries("dead").front().fields;
  EXPECT_EQ(letter.find("id"), "a");
  EXPECT_EQ(letter.find("sluice.reason"), "unwanted");
  EXPECT_EQ(letter.find("sluice.detail"), "field \"do\" says so");
  EXPECT_EQ(letter.find("sluice.stage"), "copy");
  EXPECT_EQ(letter.find("sluice.stream"), "in");
  EXPECT_EQ(letter.find("sluice.id"), entries("in").front().id.text());
}

TEST_F(RuntimeTest, WhatThrowsCostsItsEntryAndNothingElse) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out }, deliveries_max: 3 }\n");
  open_recorded();
  run("{\"id\":\"a\",\"do\":\"throw\"}\n{\"id\":\"b\"}\n{\"id\":\"c\",\"do\":\"throw_int\"}\n"
      "{\"id\":\"d\",\"do\":\"no_port\"}\n{\"id\":\"e\"}\n");
  EXPECT_THAT(values("out", "id"), ElementsAre("b", "e"));
  EXPECT_THAT(values("dead", "sluice.reason"), ElementsAre("exception", "exception", "exception"));
  EXPECT_THAT(values("dead", "sluice.deliveries"), ElementsAre("4", "4", "4"));
  EXPECT_THAT(values("dead", "sluice.detail"),
              ElementsAre(HasSubstr("thrown on purpose"), HasSubstr("not a std::exception"),
                          HasSubstr("no output port nowhere")));
}

TEST_F(RuntimeTest, RetryBacksOffAndEndsAsADeadLetter) {
  load_stages(
      "  copy: { use: probe.copy, from: in, to: { out: out }, deliveries_max: 4, "
      "retry: { min: 1s, max: 2s } }\n");
  open_recorded();
  run("{\"id\":\"a\",\"do\":\"retry\",\"timestamp\":\"2025-01-01T00:00:00Z\"}\n");
  EXPECT_THAT(values("dead", "sluice.reason"), ElementsAre("not_yet"));
  // 1 s, 2 s and 2 s between four calls.
  EXPECT_THAT(values("dead", "sluice.at"), ElementsAre("1735689605000000"));
}

TEST_F(RuntimeTest, BadLinesBecomeDeadLettersWithTheirNumber) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_recorded();
  run("{\"id\":\"a\"}\n\nnot json\n{\"id\":\"b\"}\n[1]\n");
  EXPECT_THAT(values("out", "id"), ElementsAre("a", "b"));
  EXPECT_THAT(values("dead", "sluice.reason"), ElementsAre("bad_line", "bad_line"));
  EXPECT_THAT(values("dead", "sluice.detail"),
              ElementsAre(HasSubstr("line 3: not JSON at byte"),
                          HasSubstr("line 5: expected a JSON object")));
}

TEST_F(RuntimeTest, ALaterDuplicateIsShownTheEarlierOneAlsoInOneBatch) {
  load_stages("  dedup: { use: probe.dedup, from: in, to: { out: out, dup: dups } }\n",
              "  dups: { unread: true }\n");
  open_recorded();
  run("{\"id\":\"a\"}\n{\"id\":\"b\"}\n{\"id\":\"a\"}\n{\"id\":\"a\"}\n");
  EXPECT_THAT(values("out", "id"), ElementsAre("a", "b"));
  const std::string first = entries("in").front().id.text();
  EXPECT_THAT(values("dups", "earlier"), ElementsAre(first, first));
}

// Each power cut gets its own disk. An id that was claimed without its entry would be a duplicate
// of nothing after it.
TEST_F(RuntimeTest, AClaimAndItsEntryComeTogetherWhereverThePowerFails) {
  load_stages("  dedup: { use: probe.dedup, from: in, to: { out: out, dup: out }, batch: 2 }\n");
  write("in.ndjson", numbered(5));
  bool cut_short = true;
  for (uint64_t cut = 0; cut_short; ++cut) {
    testing::SimDisk disk;
    const auto run_on_disk = [&] {
      close();
      manual_ = std::make_unique<ManualClock>();
      engine::Options options;
      options.background = false;
      options.segment_bytes = 1 << 16;
      options.durability = engine::Durability::kCommit;
      auto store = engine::EmbeddedStore::open("/store", options, disk, *manual_);
      if (!store) return store.status();
      store_ = std::move(store).value();
      RunOptions run_options;
      run_options.inputs = {{0, at("in.ndjson")}};
      run_options.real_clock = &wall_;
      auto opened = Runtime::open(*pipeline_, *store_, *manual_, manual_.get(), nullptr,
                                  std::move(run_options));
      return opened ? (*opened)->run().status() : opened.status();
    };
    disk.fail_after(cut);
    cut_short = !run_on_disk().is_ok();
    disk.power_cut();
    const Status again = run_on_disk();
    const auto ids = again.is_ok() ? values("out", "id") : std::vector<std::string>();
    close();  // before its disk goes
    ASSERT_TRUE(again.is_ok()) << "cut at change " << cut << ": " << again.text();
    ASSERT_THAT(ids, ElementsAre("0", "1", "2", "3", "4")) << "cut at change " << cut;
  }
}

TEST_F(RuntimeTest, AClaimIsForgottenAfterItsTimeInRecordedTime) {
  load_stages(
      "  dedup: { use: probe.dedup, from: in, to: { out: out, dup: dups }, with: { ttl: 300s } }\n",
      "  dups: { unread: true }\n");
  open_recorded();
  run("{\"id\":\"a\",\"timestamp\":\"2025-01-01T00:00:00Z\"}\n"
      "{\"id\":\"a\",\"timestamp\":\"2025-01-01T00:04:59Z\"}\n"
      "{\"id\":\"a\",\"timestamp\":\"2025-01-01T00:05:01Z\"}\n");
  EXPECT_THAT(entries("out"), SizeIs(2));
  EXPECT_THAT(entries("dups"), SizeIs(1));
}

TEST_F(RuntimeTest, UnchangedNeverAddsTwoToOneValue) {
  load_stages("  sum: { use: probe.sum, from: in }\n");
  open_recorded();
  run(numbered(30));
  EXPECT_EQ((*store_->get("sum"))->bytes, "30");
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(RuntimeTest, ASecondFailureOfTheSameConditionIsADeadLetter) {
  load_stages("  stubborn: { use: probe.stubborn, from: in }\n");
  open_recorded();
  run("{\"id\":\"a\"}\n");
  EXPECT_THAT(values("dead", "sluice.reason"), ElementsAre("condition_failed_twice"));
  EXPECT_THAT(values("dead", "sluice.detail"), ElementsAre(HasSubstr("take of \"never:there\"")));
}

// From its third delivery on an entry is handled behind a marker that counts deaths of the process.
TEST_F(RuntimeTest, AFailedConditionIsNoDeathOfTheProcess) {
  load_stages("  picky: { use: probe.picky, from: in }\n");
  open_recorded();
  run(numbered(5));
  stream::Unit unit;
  const stream::StreamId in = store_->find_stream("in");
  const std::string fields = std::string(stream::Fields{{"id", "late"}}.encoded());
  unit.effects.push_back({.stream = in, .bytes = fields});
  ASSERT_TRUE(store_->commit({&unit, 1}, nullptr));
  const auto group = store_->open_group(in, "picky", stream::GroupStart::kBeginning);
  const stream::ReadRequest request{.group = *group, .consumer = "test-picky", .count_max = 10};
  ASSERT_EQ(store_->read(request)->size(), 1u);
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(store_->claim(request, stream::milliseconds(0), {})->size(), 1u);
  run("");
  EXPECT_THAT(entries("dead"), IsEmpty());
  EXPECT_TRUE(store_->get("slot:5")->has_value());
}

TEST_F(RuntimeTest, AParkedEntryIsWokenByItsKeyOrEndsAtItsTime) {
  load_stages(
      "  gate: { use: probe.gate, from: in, to: { out: out, late: late } }\n"
      "  permit: { use: probe.permit, from: permits }\n",
      "  late: { unread: true }\n  permits: { external: true }\n");
  open_recorded();
  write("permits.ndjson", "{\"id\":\"a\",\"timestamp\":\"2025-01-01T00:00:01Z\"}\n");
  write("in.ndjson",
        "{\"id\":\"a\",\"timestamp\":\"2025-01-01T00:00:00Z\"}\n"
        "{\"id\":\"b\",\"timestamp\":\"2025-01-01T00:00:00Z\"}\n");
  RunOptions options;
  options.inputs = {{0, at("in.ndjson")}, {4, at("permits.ndjson")}};
  ASSERT_EQ(pipeline_->streams[4].key, "permits");
  EXPECT_EQ(run(std::move(options)), RunEnd::kDrained);
  EXPECT_THAT(values("out", "id"), ElementsAre("a"));
  EXPECT_THAT(values("late", "id"), ElementsAre("b"));
  EXPECT_EQ(entries("out").front().id.ms, 1735689601000u);   // when the permit came
  EXPECT_EQ(entries("late").front().id.ms, 1735689601200u);  // 1200 ms after the delivery
  EXPECT_FALSE(*store_->get("permit:a"));
}

// The permit comes after the commit that missed it and before the wait: nothing is written later
// that could wake the entry.
TEST_F(RuntimeTest, WhatChangedSinceAConditionFailedEndsTheWaitAtOnce) {
  load_stages(
      "  taker: { use: probe.taker, from: in, to: { out: out } }\n"
      "  permit: { use: probe.permit, from: in }\n");
  open_recorded();
  run("{\"id\":\"a\",\"timestamp\":\"2025-01-01T00:00:00Z\"}\n");
  ASSERT_THAT(entries("out"), SizeIs(1));
  EXPECT_EQ(entries("out").front().id.ms, 1735689600000u);  // not when the wait would have ended
}

// Called all at once whenever the slot is free, they would be called some 800 times.
TEST_F(RuntimeTest, ThoseThatContestAKeyGetItInTurn) {
  load_stages("  holder: { use: probe.holder, from: in, to: { out: out }, batch: 10 }\n");
  open_recorded();
  std::string lines;
  std::vector<std::string> holders;
  for (int i = 0; i < 40; ++i) {
    const bool leaves = i % 10 == 5 && i > 10;
    lines += R"({"timestamp":"2025-01-01T00:00:00Z","id":")" + std::to_string(i) + '"' +
             (leaves ? R"(,"do":"leave"})" : "}") + '\n';
    if (!leaves) holders.push_back(std::to_string(i));
  }
  run(lines);
  EXPECT_THAT(entries("dead"), IsEmpty());
  EXPECT_EQ(values("out", "id"), holders);
  // 20 ms each and no pause behind those that left.
  EXPECT_EQ(entries("out").back().id.ms, 1735689600000u + 20 * holders.size());
  EXPECT_LE(std::stoi(values("out", "calls").back()), 3 * 40);
}

// The slot is free again before those that lost it are told, and nothing is written later that
// could wake them.
TEST_F(RuntimeTest, AKeyThatIsFreeBeforeTheWaitBeginsIsGivenAtOnce) {
  load_stages(
      "  holder: { use: probe.holder, from: in, to: { out: out }, batch: 10, with: { hold: 0s } "
      "}\n");
  open_recorded();
  run(numbered(30, R"(,"timestamp":"2025-01-01T00:00:00Z")"));
  ASSERT_THAT(entries("out"), SizeIs(30));
  EXPECT_EQ(entries("out").back().id.ms, 1735689600000u);
}

TEST_F(RuntimeTest, WithThreadsThoseThatContestAKeyAllGetIt) {
  load_stages("  holder: { use: probe.holder, from: in, to: { out: out }, batch: 10 }\n");
  open_wall();
  EXPECT_EQ(run(numbered(50)), RunEnd::kDrained);
  EXPECT_THAT(entries("out"), SizeIs(50));
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(RuntimeTest, EntriesOfOneKeyStayInOrderBehindAParkedOne) {
  load_stages(
      "  gate: { use: probe.gate, from: in, to: { out: out, late: out }, order_by: symbol }\n");
  open_recorded();
  run("{\"id\":\"1\",\"symbol\":\"A\"}\n{\"id\":\"2\",\"symbol\":\"A\"}\n"
      "{\"id\":\"3\",\"payload\":{\"symbol\":\"B\"}}\n");
  EXPECT_THAT(values("out", "id"), ElementsAre("1", "3", "2"));
}

// In batches, and each adds to what the one before it in the batch made of the sum.
TEST_F(RuntimeTest, EntriesOfOneKeyAreCommittedTogetherAndSeeEachOther) {
  load_stages("  sum: { use: probe.sum, from: in, order_by: n, batch: 50 }\n");
  open_recorded();
  const stream::CommitSeq before = store_->last_commit();
  run(numbered(1000));
  EXPECT_EQ((*store_->get("sum"))->bytes, "1000");
  EXPECT_THAT(entries("dead"), IsEmpty());
  EXPECT_LT(store_->last_commit() - before, 150u);
}

// Entries of one key, some of which are not done with their first call.
TEST_F(RuntimeTest, EntriesOfOneKeyStayInOrderWhateverBecomesOfThem) {
  load_stages(
      "  copy: { use: probe.copy, from: in, to: { out: out }, order_by: n, deliveries_max: 3 }\n");
  open_recorded();
  std::string lines;
  std::vector<std::string> copied, dead;
  const std::string wishes[] = {"reject", "retry", "throw", "no_port"};
  for (int i = 0; i < 400; ++i) {
    const bool has_wish = i % 7 == 6 || i % 11 == 10 || i == 300;
    const std::string id = std::to_string(i);
    lines += R"({"n":"1","id":")" + id + '"';
    if (has_wish) lines += R"(,"do":")" + wishes[i % 4] + '"';
    lines += "}\n";
    (has_wish ? dead : copied).push_back(id);
  }
  EXPECT_EQ(run(lines), RunEnd::kDrained);
  EXPECT_EQ(values("out", "id"), copied);
  EXPECT_EQ(values("dead", "id"), dead);
  // Called in vain behind another one does not count as tried.
  for (const stream::Entry& entry : entries("dead"))
    EXPECT_EQ(entry.fields.find("sluice.deliveries"),
              entry.fields.find("sluice.reason") == "unwanted" ? "1" : "4");
}

TEST_F(RuntimeTest, DuplicatesOfOneKeyMeetTheEarlierOneAlsoInOneBatch) {
  load_stages("  dedup: { use: probe.dedup, from: in, to: { out: out, dup: dups }, order_by: n }\n",
              "  dups: { unread: true }\n");
  open_recorded();
  run(numbered(60) + numbered(90));
  EXPECT_THAT(entries("out"), SizeIs(90));
  EXPECT_THAT(entries("dups"), SizeIs(60));
  const auto ids = values("dups", "id"), earlier = values("dups", "earlier");
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ids[i], std::to_string(i));
    EXPECT_EQ(earlier[i], entries("in")[i].id.text());
  }
}

// A duplicate is called twice; none behind it may be done before.
TEST_F(RuntimeTest, EntriesOfOneKeyStayInOrderBehindADuplicate) {
  load_stages("  dedup: { use: probe.dedup, from: in, to: { out: out, dup: out }, order_by: n }\n");
  open_recorded();
  std::string lines;
  std::vector<std::string> ids;
  for (int i = 0; i < 300; ++i) {
    ids.push_back(std::to_string(i % 17 == 16 ? i - 5 : i));
    lines += R"({"n":"1","id":")" + ids.back() + "\"}\n";
  }
  run(lines);
  EXPECT_EQ(values("out", "id"), ids);
}

TEST_F(RuntimeTest, EntriesOfOneKeyThatWaitStayInOrder) {
  load_stages(
      "  gate: { use: probe.gate, from: in, to: { out: out, late: late }, order_by: n }\n"
      "  permit: { use: probe.permit, from: in }\n",
      "  late: { unread: true }\n");
  open_recorded();
  run(numbered(300));
  const auto ids = values("out", "id");
  ASSERT_THAT(ids, SizeIs(300));
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], std::to_string(i));
  EXPECT_THAT(entries("late"), IsEmpty());
}

TEST_F(RuntimeTest, APolicyThatFailsMeansNo) {
  write("lua/bad.lua",
        "return { answer = function(entry) if entry.id == '1' then return -1 end\n"
        "if entry.id == '2' then return 'soon' end\n"
        "if entry.id == '3' then while true do end end\n return 5 * s end }\n");
  load_stages("  asker: { use: probe.asker, from: in, to: { out: out }, policy: lua/bad.lua }\n");
  open_recorded();
  run(numbered(5));
  EXPECT_THAT(values("out", "us"), ElementsAre("5000000", "5000000"));
  EXPECT_THAT(values("dead", "sluice.reason"),
              ElementsAre("policy_error", "policy_error", "policy_error"));
  EXPECT_THAT(values("out", "policy").front(), HasSubstr("bad.lua@"));
}

TEST_F(RuntimeTest, AnExternalStageActsOnceAndSettles) {
  load_stages("  sender: { use: probe.sender, from: in, to: { out: out }, with: { world: \"" +
              at("world") + "\" } }\n");
  open_recorded();
  run("{\"id\":\"a\",\"timestamp\":\"2025-01-01T00:00:00Z\"}\n{\"id\":\"bad\"}\n");
  EXPECT_THAT(values("out", "state"), ElementsAre("found", "found"));
  EXPECT_EQ(*read_file(system_disk(), at("world"), 1000), "key-a\nkey-bad\n");
  EXPECT_EQ(entries("out").front().id.ms, 1735689600020u);
  size_t left = 0;
  ASSERT_TRUE(store_
                  ->scan("",
                         [&](std::string_view key, const stream::KeyValue&) {
                           left += key.starts_with("sluice:act:") || key.starts_with("sending:")
                                       ? 1
                                       : 0;
                           return true;
                         })
                  .is_ok());
  EXPECT_EQ(left, 0u);
}

TEST_F(RuntimeTest, AfterADeathInTheActTheWorldIsAskedNotTouchedAgain) {
  const std::string stage =
      "  sender: { use: probe.sender, from: in, to: { out: out }, with: { world: \"" + at("world") +
      "\", die: ";
  load_stages(stage + "true } }\n");
  const pid_t child = fork();
  if (child == 0) {
    open_recorded();
    run("{\"id\":\"a\"}\n");
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(WEXITSTATUS(status), 9);

  load_stages(stage + "false } }\n");
  open_recorded();
  run("{\"id\":\"a\"}\n");
  EXPECT_THAT(values("out", "state"), ElementsAre("found"));
  EXPECT_EQ(*read_file(system_disk(), at("world"), 1000), "key-a\n");
}

// A host that was suspended goes on with an entry that another one has taken over meanwhile.
TEST_F(RuntimeTest, AnEntryThatAnotherProcessActsOnIsNotEndedUnderItsFeet) {
  load_stages("  sender: { use: probe.sender, from: in, to: { out: out }, with: { world: \"" +
              at("world") + "\" } }\n");
  open_recorded();
  run("{\"id\":\"a\"}\n");
  const std::string fields = std::string(stream::Fields{{"id", "b"}, {"do", "claim"}}.encoded());
  stream::Unit append;
  append.effects.push_back({.stream = store_->find_stream("in"), .bytes = fields});
  const auto appended = store_->commit({&append, 1}, nullptr);
  ASSERT_TRUE(appended);
  const std::string key =
      "sluice:act:test:sender:" + appended->outcomes.front().emitted.front().text();
  const std::string record = std::string(
      stream::Fields{{"sluice.key", "key-b"}, {"sluice.at", "1"}, {"what", "b"}}.encoded());
  stream::Unit begin;
  begin.effects.push_back({.kind = stream::EffectKind::kPut, .key = "sent:b", .bytes = "x"});
  begin.effects.push_back({.kind = stream::EffectKind::kPutFields, .key = key, .bytes = record});
  ASSERT_TRUE(store_->commit({&begin, 1}, nullptr));
  run("");
  EXPECT_THAT(values("out", "id"), ElementsAre("a", "b"));
}

TEST_F(RuntimeTest, ASourceGoesOnWhereItWas) {
  const std::string streams = "  ticks: {}\n";
  load_stages(
      "  ticker: { use: probe.ticker, to: { out: ticks }, with: { count: 3, interval: 1s } }\n"
      "  copy: { use: probe.copy, from: ticks, to: { out: out } }\n"
      "  keep: { use: probe.copy, from: in }\n",
      streams);
  open_recorded();
  run("{\"timestamp\":\"2025-01-01T00:00:00Z\"}\n{\"timestamp\":\"2025-01-01T00:00:01.5Z\"}\n");
  EXPECT_THAT(values("out", "n"), ElementsAre("0", "1"));
  open_recorded();
  run("{\"timestamp\":\"2025-01-01T00:00:09Z\"}\n");
  EXPECT_THAT(values("out", "n"), ElementsAre("0", "1", "2"));
}

TEST_F(RuntimeTest, TheSameInputEntersOnceAndGoesOnWhenItGrew) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_recorded();
  run(numbered(10));
  run(numbered(10));
  EXPECT_THAT(entries("in"), SizeIs(10));
  run(numbered(12));
  EXPECT_THAT(entries("in"), SizeIs(12));
  run("{\"id\":\"0\",\"n\":\"1\"}\n{\"id\":\"other\"}\n");
  EXPECT_THAT(entries("in"), SizeIs(14));
}

TEST_F(RuntimeTest, WithThreadsEveryEntryComesThroughAndPermitsWake) {
  load_stages(
      "  gate: { use: probe.gate, from: in, to: { out: out, late: late }, workers: 2, with: { "
      "window: 60s } }\n"
      "  permit: { use: probe.permit, from: in, workers: 2 }\n",
      "  late: { unread: true }\n");
  open_wall();
  EXPECT_EQ(run(numbered(2000)), RunEnd::kDrained);
  EXPECT_THAT(entries("out"), SizeIs(2000));
  EXPECT_THAT(entries("late"), IsEmpty());
}

TEST_F(RuntimeTest, WithThreadsOneValueIsNeverAddedToTwiceWhenOrdered) {
  load_stages("  sum: { use: probe.sum, from: in, workers: 3, order_by: \"n\" }\n");
  open_wall();
  run(numbered(300));
  EXPECT_EQ((*store_->get("sum"))->bytes, "300");
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(RuntimeTest, WithThreadsExternalActsAllHappenOnce) {
  load_stages(
      "  sender: { use: probe.sender, from: in, to: { out: out }, concurrency: 3, with: { world: "
      "\"" +
      at("world") + "\" } }\n");
  open_wall();
  run(numbered(40));
  EXPECT_THAT(entries("out"), SizeIs(40));
  std::ifstream world(at("world"));
  std::set<std::string> keys;
  size_t lines = 0;
  for (std::string line; std::getline(world, line); ++lines) keys.insert(line);
  EXPECT_EQ(lines, 40u);
  EXPECT_EQ(keys.size(), 40u);
}

TEST_F(RuntimeTest, AStopLeavesParkedEntriesPendingAndTheNextRunFinishesThem) {
  const std::string gate =
      "  gate: { use: probe.gate, from: in, to: { out: out, late: late }, with: { window: ";
  load_stages(gate + "1h } }\n", "  late: { unread: true }\n");
  open_wall();
  write("in.ndjson", numbered(3));
  RunOptions options;
  options.inputs = {{0, at("in.ndjson")}};
  int looks = 0;
  options.should_stop = [&] { return ++looks > 2; };
  EXPECT_EQ(run(std::move(options)), RunEnd::kStopped);
  EXPECT_THAT(entries("out"), IsEmpty());

  load_stages(gate + "1ms } }\n", "  late: { unread: true }\n");
  open_wall();
  EXPECT_EQ(run(numbered(3)), RunEnd::kDrained);
  EXPECT_THAT(entries("in"), SizeIs(3));
  EXPECT_THAT(values("late", "id"), ElementsAre("0", "1", "2"));
}

TEST_F(RuntimeTest, ASlowStageBelowStopsTheReadingAbove) {
  load_stages(
      "  copy: { use: probe.copy, from: in, to: { out: mid }, batch: 10 }\n"
      "  gate: { use: probe.gate, from: mid, to: { out: out, late: out }, batch: 1, parked_max: 5, "
      "with: { window: 1ms } }\n",
      "  mid: { lag_max: 50 }\n");
  open_wall();

  // Looks at the lag of `mid` whenever something is emitted there.
  struct Watcher final : Observer {
    void emitted(const graph::StreamSpec&, stream::FieldsView, WallTime) override {}
    void dead_lettered(const graph::StageSpec*, std::string_view, std::string_view) override {}
  } watcher;
  write("in.ndjson", numbered(500));
  RunOptions options;
  options.inputs = {{0, at("in.ndjson")}};
  uint64_t lag_max = 0;
  options.should_stop = [&] {
    for (const stream::StreamInfo& info : store_->streams()) {
      if (info.name == "mid") lag_max = std::max(lag_max, info.groups.front().lag);
    }
    return false;
  };
  EXPECT_EQ(run(std::move(options), &watcher), RunEnd::kDrained);
  EXPECT_LE(lag_max, 60u);
  EXPECT_THAT(entries("out"), SizeIs(500));
}

}  // namespace
}  // namespace sluice::runtime
