// The embedded engine beyond the contract: sharing, watermarks, readers, files, equivalence of
// checkpoint, replay and live state.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/random.h"
#include "engine/embedded_store.h"
#include "engine/maintenance.h"
#include "fixtures/sim_disk.h"

namespace sluice::engine {
namespace {

using std::chrono::milliseconds;
using stream::Condition;
using stream::ConditionKind;
using stream::Effect;
using stream::EffectKind;
using stream::Fields;
using stream::Unit;
using testing::SimDisk;

constexpr const char* kPath = "/store";

class EmbeddedStoreTest : public ::testing::Test {
 protected:
  EmbeddedStoreTest() {
    options_.background = false;
    options_.segment_bytes = 4096;
    options_.cache_bytes = 4096;
  }

  std::unique_ptr<EmbeddedStore> open() {
    auto store = EmbeddedStore::open(kPath, options_, disk_, clock_);
    EXPECT_TRUE(store.is_ok()) << store.status().text();
    return store.is_ok() ? std::move(store).value() : nullptr;
  }

  static Status append(EmbeddedStore& store, stream::StreamId stream, std::string_view text) {
    const Fields fields{{"n", text}};
    Unit unit;
    unit.effects.resize(1);
    unit.effects[0].stream = stream;
    unit.effects[0].bytes = fields.encoded();
    return store.commit({&unit, 1}, nullptr).status();
  }

  SimDisk disk_;
  ManualClock clock_{from_ms(1'700'000'000'000)};
  Options options_;
};

TEST_F(EmbeddedStoreTest, ASecondWriterIsRefusedUntilTheFirstIsGone) {
  auto first = open();
  const auto second = EmbeddedStore::open(kPath, options_, disk_, clock_);
  ASSERT_FALSE(second.is_ok());
  EXPECT_EQ(second.status().code(), Code::kConflict);
  EXPECT_NE(second.status().text().find("4711"), std::string::npos) << "the holder's process id";
  first.reset();
  open();
}

TEST_F(EmbeddedStoreTest, GroupDurabilitySyncsAfterItsIntervalOrItsBytes) {
  options_.durability = Durability::kGroup;
  options_.group_interval = milliseconds(5);
  options_.unsynced_bytes_max = 8192;
  options_.segment_bytes = 1 << 20;
  const auto store = open();
  const auto stream = store->open_stream("s", {});
  ASSERT_TRUE(store->flush(store->last_commit()));
  const uint64_t syncs = disk_.syncs();
  ASSERT_TRUE(append(*store, *stream, "1"));
  clock_.advance(milliseconds(4));
  ASSERT_TRUE(append(*store, *stream, "2"));
  EXPECT_EQ(disk_.syncs(), syncs);
  EXPECT_LT(store->durable(), store->last_commit());
  clock_.advance(milliseconds(1));
  ASSERT_TRUE(append(*store, *stream, "3"));
  EXPECT_EQ(disk_.syncs(), syncs + 1);
  EXPECT_EQ(store->durable(), store->last_commit());
  ASSERT_TRUE(append(*store, *stream, std::string(5000, 'x')));
  EXPECT_EQ(store->durable(), store->last_commit()) << "too many bytes to wait";
}

TEST_F(EmbeddedStoreTest, OsDurabilitySyncsOnlyWhenFlushed) {
  options_.durability = Durability::kOs;
  const auto store = open();
  const auto stream = store->open_stream("s", {});
  const uint64_t syncs = disk_.syncs();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(append(*store, *stream, "text"));
  EXPECT_EQ(disk_.syncs(), syncs);
  ASSERT_TRUE(store->flush(store->last_commit()));
  EXPECT_EQ(store->durable(), store->last_commit());
  EXPECT_GT(disk_.syncs(), syncs);
}

TEST_F(EmbeddedStoreTest, AReaderFollowsAWriterWithoutStoppingIt) {
  const auto missing = EmbeddedStore::open_read_only(kPath, disk_, clock_);
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  const auto writer = open();
  const auto stream = writer->open_stream("s", {});
  ASSERT_TRUE(append(*writer, *stream, "1"));
  auto reader = EmbeddedStore::open_read_only(kPath, disk_, clock_);
  ASSERT_TRUE(reader.is_ok()) << reader.status().text();
  EXPECT_EQ((*reader)->length(*stream), 1u);
  ASSERT_TRUE(append(*writer, *stream, "2"));
  EXPECT_EQ((*reader)->length(*stream), 1u) << "a snapshot";
  ASSERT_TRUE((*reader)->refresh());
  EXPECT_EQ((*(*reader)->range(*stream, {}, 10))[1].fields.find("n"), "2");
  Unit unit;
  EXPECT_EQ((*reader)->commit({&unit, 1}, nullptr).status().code(), Code::kClosed);
  EXPECT_EQ((*reader)->open_stream("new", {}).status().code(), Code::kClosed);
}

TEST_F(EmbeddedStoreTest, AReaderSurvivesTheRemovalOfItsSegments) {
  options_.checkpoint_bytes = 4096;
  const auto writer = open();
  stream::StreamOptions keep;
  keep.keep = 5;
  const auto stream = writer->open_stream("s", keep);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(append(*writer, *stream, std::string(100, 'a')));
  auto reader = EmbeddedStore::open_read_only(kPath, disk_, clock_);
  ASSERT_TRUE(reader.is_ok());
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(append(*writer, *stream, std::string(100, 'b')));
  EXPECT_FALSE(disk_.exists("/store/segment-0000000001.log"));
  const auto old = (*reader)->range(*stream, {}, 10);
  ASSERT_TRUE(old.is_ok()) << old.status().text();
  EXPECT_EQ((*old)[0].fields.find("n"), std::string(100, 'a'));
  ASSERT_TRUE((*reader)->refresh());
  EXPECT_EQ((*(*reader)->range(*stream, {}, 10))[4].fields.find("n"), std::string(100, 'b'));
  EXPECT_EQ((*reader)->last_commit(), writer->last_commit());
}

TEST_F(EmbeddedStoreTest, SegmentsWithoutLiveEntriesAreRemovedAndOthersStay) {
  options_.checkpoint_bytes = 4096;
  const auto store = open();
  stream::StreamOptions keep;
  keep.keep = 5;
  const auto trimmed = store->open_stream("trimmed", keep);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(append(*store, *trimmed, std::string(100, 'x')));
  EXPECT_LE(list_segments(disk_, kPath)->size(), 5u);
  const auto kept = store->open_stream("kept", {});
  ASSERT_TRUE(append(*store, *kept, "old"));
  const uint32_t holder = list_segments(disk_, kPath)->back();
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(append(*store, *trimmed, std::string(100, 'x')));
  EXPECT_EQ(list_segments(disk_, kPath)->front(), holder);
  EXPECT_EQ((*store->range(*kept, {}, 1))[0].fields.find("n"), "old");
}

TEST_F(EmbeddedStoreTest, VerifyCountsWhatIsThere) {
  {
    const auto store = open();
    const auto stream = store->open_stream("s", {});
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(append(*store, *stream, "text"));
    ASSERT_TRUE(store->checkpoint());
  }
  const auto report = verify(kPath, disk_);
  ASSERT_TRUE(report.is_ok());
  EXPECT_TRUE(report->is_good());
  EXPECT_FALSE(report->torn_tail);
  EXPECT_EQ(report->entries, 100u);
  EXPECT_EQ(report->records, 102u);  // the stream's opening, the entries, closing
  EXPECT_EQ(report->checkpoints, 1u);
  EXPECT_EQ(verify("/nothing", disk_).status().code(), Code::kNotFound);
}

// All there is to see, as text.
std::string picture(const EmbeddedStore& store) {
  std::string text;
  for (const stream::StreamInfo& info : store.streams()) {
    text += info.name + " " + std::to_string(info.entries_added) + " " + info.last.text() + "\n";
    const auto entries = *store.range(info.id, {}, 100'000);
    for (const stream::Entry& entry : entries)
      text += " " + entry.id.text() + " " + std::string(*entry.fields.find("n")) + "\n";
    for (const stream::GroupInfo& group : info.groups) {
      text += " " + group.name + " lag " + std::to_string(group.lag) + " last " +
              group.last_delivered.text() + "\n";
      const auto pending = *store.pending_entries(group.id, 100'000);
      for (const stream::PendingInfo& entry : pending)
        text += "  " + entry.id.text() + " " + entry.consumer + " " +
                std::to_string(entry.delivery_count) + " " +
                std::to_string(to_us(entry.first_delivered_at)) + " " +
                std::to_string(to_us(entry.last_delivered_at)) + "\n";
    }
  }
  EXPECT_TRUE(store.scan("", [&](std::string_view key, const stream::KeyValue& value) {
    text += std::string(key) + "=" + value.bytes + " " + std::to_string(value.expires_ms) + "\n";
    return true;
  }));
  for (int i = 0; i < 4; ++i)
    text += "counter " + std::to_string(*store.counter("c" + std::to_string(i))) + "\n";
  return text;
}

// One random unit, read or claim.
void random_step(EmbeddedStore& store, SeededRandom& random, const std::vector<uint32_t>& streams,
                 const std::vector<uint32_t>& groups, int step) {
  const auto pick = [&](uint64_t below) { return random.next() % below; };
  const uint32_t group = groups[pick(groups.size())];
  if (pick(5) == 0) {
    ASSERT_TRUE(store.read({group, pick(2) == 0 ? "c1" : "c2", 1 + pick(5)}).is_ok());
    return;
  }
  if (pick(12) == 0) {
    ASSERT_TRUE(store.claim({group, "c3", 3}, milliseconds(pick(20)), {}).is_ok());
    return;
  }
  const std::string key = "k" + std::to_string(pick(40));
  const std::string counter = "c" + std::to_string(pick(4));
  const std::string value(pick(50), static_cast<char>('a' + pick(26)));
  const Fields fields{{"n", std::to_string(step)}};
  Unit unit;
  const auto pending = *store.pending_entries(group, 10);
  if (!pending.empty() && pick(2) == 0) {
    unit.group = group;
    unit.entry = pending[pick(pending.size())].id;
    unit.ack = pick(5) != 0;
  }
  if (pick(4) == 0) {
    Condition& condition = unit.conditions.emplace_back();
    condition.kind = static_cast<ConditionKind>(pick(4));
    condition.key = condition.kind == ConditionKind::kReserve ? counter : key;
    condition.value = value;
    condition.present = pick(2) == 0;
    condition.ttl = milliseconds(pick(100));
    condition.amount = static_cast<int64_t>(pick(3));
    condition.limit = 10;
    condition.window = {counter < "c2" ? stream::WindowKind::kFixed : stream::WindowKind::kSliding,
                        milliseconds(50)};
  }
  for (uint64_t left = pick(4); left > 0; --left) {
    Effect& effect = unit.effects.emplace_back();
    effect.kind = pick(2) == 0 ? EffectKind::kEmit : static_cast<EffectKind>(pick(6));
    effect.stream = streams[pick(streams.size())];
    effect.key = effect.kind == EffectKind::kRelease ? counter : key;
    effect.bytes = effect.kind == EffectKind::kEmit || effect.kind == EffectKind::kPutFields
                       ? std::string_view(fields.encoded())
                       : std::string_view(value);
    effect.ttl = milliseconds(pick(100));
    effect.amount = static_cast<int64_t>(pick(2));
    effect.reserved_at = store.last_commit_time();
    const auto first = store.range(effect.stream, {}, 3);
    if (effect.kind == EffectKind::kRemove && !first->empty())
      effect.entry = (*first)[pick(first->size())].id;
  }
  ASSERT_TRUE(store.commit({&unit, 1}, nullptr).is_ok());
}

// Whatever was done: killed and replayed, or restored from a checkpoint, it looks the same.
TEST_F(EmbeddedStoreTest, ReplayAndCheckpointsGiveTheStateThatWasLive) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    SimDisk disk;
    SeededRandom random(seed);
    options_.checkpoint_bytes = seed % 3 == 0 ? 1500 : 1 << 30;
    auto store = *EmbeddedStore::open(kPath, options_, disk, clock_);
    for (int step = 0; step < 600; ++step) {
      stream::StreamOptions keep;
      keep.keep = 10;
      keep.trim_hard = seed % 4 == 0;
      const uint32_t a = *store->open_stream("a", {});
      const uint32_t b = *store->open_stream("b", keep);
      const uint32_t g = *store->open_group(a, "g", stream::GroupStart::kBeginning);
      const uint32_t h = *store->open_group(b, "h", stream::GroupStart::kBeginning);
      random_step(*store, random, {a, b}, {g, h}, step);
      if (HasFatalFailure()) return;
      clock_.advance(milliseconds(random.next() % 4));
      if (step % 60 != 59) continue;
      const std::string before = picture(*store);
      if (step % 180 == 59) {
        ASSERT_TRUE(store->checkpoint());
      }
      disk.kill();
      store.reset();
      auto again = EmbeddedStore::open(kPath, options_, disk, clock_);
      ASSERT_TRUE(again.is_ok()) << again.status().text();
      store = std::move(again).value();
      ASSERT_EQ(picture(*store), before);
    }
  }
}

TEST_F(EmbeddedStoreTest, ConcurrentCommitsAllLandWithTheThreadOfTheStoreAtWork) {
  SystemClock clock;
  for (const Durability durability : {Durability::kCommit, Durability::kGroup}) {
    SimDisk disk;
    options_.durability = durability;
    options_.background = true;
    options_.group_interval = milliseconds(1);
    options_.checkpoint_bytes = 20'000;
    auto store = *EmbeddedStore::open(kPath, options_, disk, clock);
    const uint32_t stream = *store->open_stream("s", {});
    const uint32_t group = *store->open_group(stream, "g", stream::GroupStart::kBeginning);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        const std::string consumer = "c" + std::to_string(t);
        for (int i = 0; i < 100; ++i) {
          EXPECT_TRUE(append(*store, stream, consumer));
          const auto got = store->read({group, consumer, 1});
          if (!got.is_ok() || got->empty()) continue;
          Unit unit;
          unit.group = group;
          unit.entry = (*got)[0].entry.id;
          EXPECT_TRUE(store->commit({&unit, 1}, nullptr).is_ok());
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_TRUE(store->flush(store->last_commit()));
    disk.power_cut();
    store.reset();
    options_.background = false;
    store = *EmbeddedStore::open(kPath, options_, disk, clock);
    EXPECT_EQ(store->streams()[0].entries_added, 400u);
    EXPECT_EQ(store->lag(1) + store->pending(1), 0u);
  }
}

uint64_t resident_bytes() {
  uint64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * 4096;
}

// On the real disk. SLUICE_LONG=1 runs it at the size that the design promises.
TEST(EmbeddedStoreMemory, WaitingEntriesAndKeysCostTheirPlacesNotTheirPayloads) {
  const bool full = std::getenv("SLUICE_LONG") != nullptr;
  const int count = full ? 1'500'000 : 60'000;
  const std::string path =
      (std::filesystem::temp_directory_path() / ("sluice-memory-" + std::to_string(system_seed())))
          .string();
  SystemClock clock;
  Options options;
  options.durability = Durability::kOs;
  const uint64_t before = resident_bytes();
  {
    auto store = *EmbeddedStore::open(path, options, system_disk(), clock);
    const uint32_t stream = *store->open_stream("s", {});
    const uint32_t group = *store->open_group(stream, "g", stream::GroupStart::kBeginning);
    const Fields fields{{"payload", std::string(290, 'x')}};
    for (int n = 0; n < count; n += 100) {
      std::vector<std::string> keys;
      for (int i = n; i < n + 100; ++i)
        keys.push_back("dedup:" + std::string(40, 'k') + std::to_string(i));
      std::vector<Unit> units(100);
      for (size_t i = 0; i < 100; ++i) {
        units[i].conditions.resize(1);
        units[i].conditions[0].key = keys[i];
        units[i].conditions[0].value = "1700000000000-0";
        units[i].effects.resize(1);
        units[i].effects[0].stream = stream;
        units[i].effects[0].bytes = fields.encoded();
      }
      ASSERT_TRUE(store->commit(units, nullptr).is_ok());
    }
    EXPECT_EQ(store->lag(group), static_cast<uint64_t>(count));
    const uint64_t used = resident_bytes() - std::min(before, resident_bytes());
    std::printf("%d entries and keys: %.1f MiB resident\n", count,
                static_cast<double>(used) / 1048576);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    // 32 MiB for caches and buffers, 150 bytes for a place and a key; payloads would be 300 more.
    EXPECT_LT(used, (uint64_t{32} << 20) + static_cast<uint64_t>(count) * 150);
    if (full) {
      EXPECT_LT(resident_bytes(), uint64_t{256} << 20);
    }
#endif
  }
  std::filesystem::remove_all(path);
}

}  // namespace
}  // namespace sluice::engine
