// Several runtimes that divide the entries of one pipeline, each on a store of its own.
#include "runtime/share.h"

#include <gmock/gmock.h>

#include "fixtures/pipeline_fixture.h"
#include "runtime/runtime.h"

namespace sluice::runtime {
namespace {

using stream::Fields;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

TEST(ShareOf, IsTheDocumentedOne) {
  EXPECT_EQ(share_of("123456789", 0x10000), 0x31C3u);
  EXPECT_EQ(share_of("BTCUSDT", 4), 1u);
  EXPECT_EQ(share_of("ETHUSDT", 4), 2u);
  EXPECT_EQ(share_of("SOLUSDT", 4), 0u);
}

TEST(ShareOf, AnEntrySaysItInAFieldOrInItsPayload) {
  const Share share{1, 4, "symbol"};
  const auto of = [&](const Fields& fields) { return share.of(fields.view()); };
  EXPECT_EQ(of({{"symbol", "BTCUSDT"}}), 1u);
  EXPECT_EQ(of({{"payload", R"({"symbol":"BTCUSDT"})"}}), 1u);
  EXPECT_EQ(of({{"data", R"({"symbol":"ETHUSDT"})"}}), 2u);
  EXPECT_EQ(of({{"symbol", "BTCUSDT"}, {"payload", R"({"symbol":"ETHUSDT"})"}}), 1u);
  EXPECT_EQ(of({{"symbol", ""}}), std::nullopt);
  EXPECT_EQ(of({{"payload", R"({"symbol":{}})"}}), std::nullopt);
  EXPECT_EQ(of({{"payload", "no JSON"}}), std::nullopt);
  EXPECT_EQ(of({}), std::nullopt);
  EXPECT_EQ(Share{}.of({}), 0u) << "undivided";
}

TEST(ShareOf, AKeySaysItByThePatternOfItsFamily) {
  const auto value = [](std::string_view key, std::string_view pattern) {
    return value_in_key(key, pattern, "symbol").value_or("none");
  };
  EXPECT_EQ(value("position:BTCUSDT", "position:{symbol}"), "BTCUSDT");
  EXPECT_EQ(value("daily:BTCUSDT:20251122", "daily:{symbol}:{day}"), "BTCUSDT");
  EXPECT_EQ(value("position:", "position:{symbol}"), "none");
  EXPECT_EQ(value("permit:1", "position:{symbol}"), "none");
  EXPECT_EQ(value("seen:1:BTCUSDT", "seen:{id}:{symbol}"), "none");
  EXPECT_EQ(value("daily:BTCUSDT", "daily:{symbol}:{day}"), "none");
  EXPECT_EQ(value("of:BTCUSDT", "of:{symbols}"), "none");
}

class Shares : public testing::PipelineTest {
 protected:
  static constexpr uint32_t kCount = 4;

  struct Part {
    std::unique_ptr<engine::EmbeddedStore> store;
    std::unique_ptr<Runtime> runtime;
  };

  void load_stages(const std::string& stages) {
    load(
        "api: sluice/v1\npipeline: test\nstreams:\n  in: { external: true, keep: 1000 }\n"
        "  out: { unread: true, external: true }\n  dead: {}\nstages:\n" +
            stages + "defaults: { dead_letter: dead }\n",
        SLUICE_BINARY_DIR "/tests/runtime_plugins");
  }

  // Each part is opened anew over `lines`, on what it had.
  void open_parts(const std::string& lines, bool recorded) {
    parts_.clear();
    write("in.ndjson", lines);
    if (recorded) manual_ = std::make_unique<ManualClock>();
    for (uint32_t index = 0; index < kCount; ++index) {
      engine::Options engine;
      engine.background = false;
      auto store = engine::EmbeddedStore::open(at("part" + std::to_string(index)), engine,
                                               system_disk(), clock());
      ASSERT_TRUE(store.is_ok()) << store.status().text();
      RunOptions options;
      if (!lines.empty()) options.inputs = {{0, at("in.ndjson")}};
      options.real_clock = &wall_;
      options.share = {index, kCount, by_};
      if (should_stop_) options.should_stop = should_stop_;
      auto runtime =
          Runtime::open(*pipeline_, **store, clock(), manual_.get(), nullptr, std::move(options));
      ASSERT_TRUE(runtime.is_ok()) << runtime.status().text();
      parts_.push_back({std::move(*store), std::move(*runtime)});
    }
  }
  Result<RunEnd> run_parts() {
    std::vector<Runtime*> runtimes;
    for (const Part& part : parts_) runtimes.push_back(part.runtime.get());
    return Runtime::run_together(runtimes);
  }
  void TearDown() override {
    parts_.clear();
    PipelineTest::TearDown();
  }

  std::vector<std::string> values_of(uint32_t index, const std::string& stream,
                                     const std::string& field) const {
    const stream::Store& store = *parts_[index].store;
    const auto range = store.range(store.find_stream(stream), EntryId{}, 1000);
    std::vector<std::string> values;
    for (const stream::Entry& entry : *range)
      values.emplace_back(entry.fields.find(field).value_or(""));
    return values;
  }

  InputCounts counts() const {
    InputCounts sum;
    for (const Part& part : parts_) {
      const InputCounts counts = part.runtime->inputs()[0]->counts();
      sum.entries += counts.entries;
      sum.bad += counts.bad;
      sum.skipped += counts.skipped;
    }
    return sum;
  }

  std::string by_ = "symbol";
  std::function<bool()> should_stop_;  // from the driving threads
  std::vector<Part> parts_;
};

const std::string kLines = R"({"id":"1","symbol":"BTCUSDT"})"
                           "\n"
                           R"({"id":"2","symbol":"ETHUSDT"})"
                           "\n"
                           R"({"id":"3"})"
                           "\n"
                           "no JSON\n\n"
                           R"({"id":"4","payload":{"symbol":"SOLUSDT"}})"
                           "\n"
                           R"({"id":"5","symbol":"BTCUSDT"})"
                           "\n";

class SharesByClock : public Shares, public ::testing::WithParamInterface<bool> {};

TEST_P(SharesByClock, EachLineEntersTheOneItsFieldNamesAndTheFirstRefusesTheRest) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_parts(kLines, GetParam());
  ASSERT_EQ(*run_parts(), RunEnd::kDrained);
  EXPECT_THAT(values_of(0, "out", "id"), ElementsAre("4"));
  EXPECT_THAT(values_of(1, "out", "id"), ElementsAre("1", "5"));
  EXPECT_THAT(values_of(2, "out", "id"), ElementsAre("2"));
  EXPECT_THAT(values_of(3, "out", "id"), IsEmpty());
  EXPECT_THAT(values_of(0, "dead", "sluice.detail"),
              ElementsAre("line 3: no symbol, which says the shard", HasSubstr("line 4: ")));
  for (uint32_t index = 1; index < kCount; ++index)
    EXPECT_THAT(values_of(index, "dead", "id"), IsEmpty());
  EXPECT_EQ(counts().entries, 4u);
  EXPECT_EQ(counts().bad, 2u);
}

TEST_P(SharesByClock, ASecondReadingEntersWhatIsNewAndCountsEachLineOnce) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_parts(kLines, GetParam());
  ASSERT_EQ(*run_parts(), RunEnd::kDrained);
  open_parts(kLines + R"({"id":"6","symbol":"ETHUSDT"})"
                      "\n",
             GetParam());
  ASSERT_EQ(*run_parts(), RunEnd::kDrained);
  EXPECT_THAT(values_of(1, "out", "id"), ElementsAre("1", "5"));
  EXPECT_THAT(values_of(2, "out", "id"), ElementsAre("2", "6"));
  EXPECT_EQ(counts().entries, 1u);
  EXPECT_EQ(counts().bad, 0u);
}

INSTANTIATE_TEST_SUITE_P(Clocks, SharesByClock, ::testing::Bool());

TEST_F(Shares, AnEntryInTheWrongOneIsADeadLetterThere) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  open_parts(R"({"id":"1","symbol":"BTCUSDT"})"
             "\n",
             true);
  stream::Store& store = *parts_[3].store;
  const Fields foreign{{"id", "2"}, {"symbol", "BTCUSDT"}};
  stream::Effect emit;
  emit.stream = store.find_stream("in");
  emit.bytes = foreign.encoded();
  stream::Unit unit;
  unit.effects = {emit};
  ASSERT_TRUE(store.commit({&unit, 1}, nullptr).is_ok());
  ASSERT_EQ(*run_parts(), RunEnd::kDrained);
  EXPECT_THAT(values_of(3, "out", "id"), IsEmpty());
  EXPECT_THAT(values_of(3, "dead", "sluice.reason"), ElementsAre("wrong_shard"));
  EXPECT_THAT(values_of(3, "dead", "sluice.detail"),
              ElementsAre("its symbol belongs to shard 1 of 4, and it came in 3"));
  EXPECT_THAT(values_of(1, "out", "id"), ElementsAre("1"));
}

class SharedSources : public Shares {
 protected:
  // Serves until the ticker of every part but `left_out` has told its three numbers.
  void tick(std::optional<uint32_t> left_out) {
    load_stages("  tick: { use: probe.ticker, to: { out: out }, with: { interval: 1ms } }\n");
    std::atomic<int> looks_left = 400;  // each part takes about ten a second
    should_stop_ = [&, left_out] {
      uint32_t ended = 0;
      for (uint32_t index = 0; index < kCount; ++index)
        if (index != left_out && told(index) == "3") ++ended;
      return ended == (left_out ? kCount - 1 : kCount) || --looks_left <= 0;
    };
    open_parts("", false);
    ASSERT_EQ(*run_parts(), RunEnd::kStopped);
    EXPECT_GT(looks_left.load(), 0);
  }
  std::string told(uint32_t index) const {
    const auto at = parts_[index].store->get("ticker:at");
    return at && *at ? (*at)->bytes : "";
  }
};

TEST_F(SharedSources, EachKeepsOfWhatItEmitsWhatIsItsOwn) {
  by_ = "n";
  tick({});
  std::vector<std::string> all;
  for (uint32_t index = 0; index < kCount; ++index)
    for (const std::string& n : values_of(index, "out", "n")) {
      EXPECT_EQ(share_of(n, kCount), index);
      all.push_back(n);
    }
  EXPECT_THAT(all, UnorderedElementsAre("0", "1", "2"));
}

TEST_F(SharedSources, OneWhoseEntriesDoNotSayWhoseTheyAreFailsInTheFirst) {
  tick(0);
  EXPECT_EQ(told(0), "");
  for (uint32_t index = 0; index < kCount; ++index)
    EXPECT_THAT(values_of(index, "out", "n"), IsEmpty()) << index;
}

}  // namespace
}  // namespace sluice::runtime
