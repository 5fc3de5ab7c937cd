// Durability: what was acked survives every cut, and damage never passes for data.
//
// A disk in memory drops what was not synced, fails at the n-th change or keeps unsynced sectors by
// chance. A run appends numbered entries, one a commit; what came back as done must be there after
// the cut, in order and whole, with at most what was under way behind it.
#include <gtest/gtest.h>

#include <set>

#include "engine/embedded_store.h"
#include "engine/maintenance.h"
#include "fixtures/sim_disk.h"

namespace sluice::engine {
namespace {

using stream::Effect;
using stream::EffectKind;
using stream::Fields;
using stream::Unit;
using testing::SimDisk;

constexpr const char* kPath = "/store";
constexpr const char* kFirstSegment = "/store/segment-0000000001.log";

Options small_options() {
  Options options;
  options.background = false;
  options.segment_bytes = 4096;
  options.checkpoint_bytes = 1 << 30;
  options.cache_bytes = 0;
  return options;
}

class Crash : public ::testing::Test {
 protected:
  Result<std::unique_ptr<EmbeddedStore>> open(const Options& options) {
    return EmbeddedStore::open(kPath, options, *disk_, clock_);
  }

  std::unique_ptr<EmbeddedStore> must_open(const Options& options) {
    auto store = open(options);
    EXPECT_TRUE(store.is_ok()) << store.status().text();
    return store.is_ok() ? std::move(store).value() : nullptr;
  }

  // Appends entry `n` and sets key `k<n>` in one unit.
  static Status append(EmbeddedStore& store, stream::StreamId stream, int n) {
    const std::string text = std::to_string(n);
    const std::string key = "k" + text;
    const Fields fields{{"n", text}, {"fill", std::string(100, 'x')}};
    Unit unit;
    unit.effects.resize(2);
    unit.effects[0].stream = stream;
    unit.effects[0].bytes = fields.encoded();
    unit.effects[1].kind = EffectKind::kPut;
    unit.effects[1].key = key;
    unit.effects[1].bytes = text;
    return store.commit({&unit, 1}, nullptr).status();
  }

  // Appends `count` entries to a new store; returns how many were acked.
  int append_until_failure(const Options& options, int count) {
    auto store = open(options);
    if (!store.is_ok()) return 0;
    auto stream = (*store)->open_stream("s", {});
    if (!stream.is_ok()) return 0;
    for (int n = 0; n < count; ++n) {
      if (append(**store, *stream, n)) continue;
      // Nothing works any more once a write failed.
      EXPECT_EQ(append(**store, *stream, n).code(), Code::kIo);
      EXPECT_EQ((*store)->get("k0").status().code(), Code::kIo);
      EXPECT_EQ((*store)->flush(1).code(), Code::kIo);
      return n;
    }
    return count;
  }

  // Entries 0, 1, 2 … in order with their keys; returns how many.
  static int check_prefix(EmbeddedStore& store) {
    const stream::StreamId id = store.find_stream("s");
    if (id == 0) return 0;
    const auto entries = store.range(id, {}, 10'000);
    EXPECT_TRUE(entries.is_ok()) << entries.status().text();
    if (!entries.is_ok()) return -1;
    for (size_t n = 0; n < entries->size(); ++n) {
      EXPECT_EQ((*entries)[n].fields.find("n"), std::to_string(n));
      const auto value = store.get("k" + std::to_string(n));
      EXPECT_TRUE(value.is_ok() && *value && (*value)->bytes == std::to_string(n)) << n;
    }
    const auto count = static_cast<int>(entries->size());
    EXPECT_FALSE(store.get("k" + std::to_string(count))->has_value()) << "half a unit";
    return count;
  }

  std::unique_ptr<SimDisk> disk_ = std::make_unique<SimDisk>();
  ManualClock clock_{from_ms(1'700'000'000'000)};
};

// Each cut gets its own disk.
TEST_F(Crash, NothingAckedIsLostWhereverAWriteFails) {
  Options options = small_options();
  options.checkpoint_bytes = 2000;
  uint64_t cut = 0;
  for (;; ++cut) {
    disk_ = std::make_unique<SimDisk>();
    disk_->fail_after(cut);
    const int acked = append_until_failure(options, 60);
    if (acked == 60) break;
    disk_->power_cut();
    const auto store = must_open(options);
    ASSERT_NE(store, nullptr) << "cut at change " << cut;
    const int found = check_prefix(*store);
    ASSERT_GE(found, acked) << "cut at change " << cut;
    ASSERT_LE(found, acked + 1) << "cut at change " << cut;
  }
  EXPECT_GT(cut, 100u);
}

TEST_F(Crash, AKilledProcessLosesNothingInAnyMode) {
  for (const Durability durability : {Durability::kCommit, Durability::kGroup, Durability::kOs}) {
    disk_ = std::make_unique<SimDisk>();
    Options options = small_options();
    options.durability = durability;
    {
      const auto store = must_open(options);
      const auto stream = store->open_stream("s", {});
      for (int n = 0; n < 60; ++n) ASSERT_TRUE(append(*store, *stream, n));
      disk_->kill();
    }
    EXPECT_EQ(check_prefix(*must_open(options)), 60);
  }
}

TEST_F(Crash, PowerCutsThatKeepSectorsByChanceLeaveAPrefixWithEverythingFlushed) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    disk_ = std::make_unique<SimDisk>();
    SeededRandom random(seed);
    Options options = small_options();
    options.durability = seed % 2 == 0 ? Durability::kOs : Durability::kGroup;
    options.checkpoint_bytes = seed % 3 == 0 ? 3000 : 1 << 30;
    const int flushed = static_cast<int>(random.next() % 60);
    {
      const auto store = must_open(options);
      const auto stream = store->open_stream("s", {});
      for (int n = 0; n < 60; ++n) {
        ASSERT_TRUE(append(*store, *stream, n));
        if (n + 1 == flushed) {
          ASSERT_TRUE(store->flush(store->last_commit()));
        }
      }
      disk_->power_cut(&random);
    }
    const auto store = must_open(options);
    ASSERT_NE(store, nullptr) << "seed " << seed;
    ASSERT_GE(check_prefix(*store), flushed) << "seed " << seed;
    const stream::StreamId stream = *store->open_stream("s", {});
    ASSERT_TRUE(append(*store, stream, 1000)) << "goes on after the cut";
  }
}

TEST_F(Crash, AFailedSyncPoisonsAndNothingMoreIsAcked) {
  const auto store = must_open(small_options());
  const auto stream = store->open_stream("s", {});
  ASSERT_TRUE(append(*store, *stream, 0));
  disk_->fail_syncs(true);
  EXPECT_EQ(append(*store, *stream, 1).code(), Code::kIo);
  disk_->fail_syncs(false);
  EXPECT_EQ(append(*store, *stream, 2).code(), Code::kIo) << "not retried";
  EXPECT_EQ(store->range(*stream, {}, 1).status().code(), Code::kIo);
}

TEST_F(Crash, ATornLastRecordIsCutAtEveryByte) {
  {
    const auto store = must_open(small_options());
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 3; ++n) ASSERT_TRUE(append(*store, *stream, n));
    disk_->kill();
  }
  const std::string whole = disk_->bytes(kFirstSegment);
  const size_t end = whole.find_last_not_of('\0') + 1;
  const size_t start = whole.rfind("SLR1");
  ASSERT_LT(start, end);
  for (size_t size = start; size < end; ++size) {
    std::string torn = whole;
    std::fill(torn.begin() + static_cast<std::ptrdiff_t>(size), torn.end(), '\0');
    disk_->set_bytes(kFirstSegment, torn);
    const auto store = must_open(small_options());
    ASSERT_NE(store, nullptr) << size;
    ASSERT_EQ(check_prefix(*store), 2) << size;
    ASSERT_TRUE(append(*store, store->find_stream("s"), 2));
    ASSERT_EQ(check_prefix(*store), 3) << size;
    disk_->kill();
  }
}

// A sector's write that is lost takes the beginning of a record with it, however few bytes of it
// lie in front of the sector's edge.
TEST_F(Crash, ARecordWhoseFirstSectorWasLostIsCutThoughLaterOnesAreWhole) {
  constexpr size_t kSector = 512;
  Options options = small_options();
  options.durability = Durability::kOs;
  std::set<size_t> lengths;  // of what was lost
  for (size_t padding = 0; padding < kSector; padding += 8) {
    disk_ = std::make_unique<SimDisk>();
    {
      const auto store = must_open(options);
      const std::string text(padding, 'x');
      Unit pad;
      pad.effects.resize(1);
      pad.effects[0].kind = EffectKind::kPut;
      pad.effects[0].key = "pad";
      pad.effects[0].bytes = text;
      ASSERT_TRUE(store->commit({&pad, 1}, nullptr));
      const auto stream = store->open_stream("s", {});
      for (int n = 0; n < 8; ++n) ASSERT_TRUE(append(*store, *stream, n));
      disk_->kill();
    }
    std::string bytes = disk_->bytes(kFirstSegment);
    const size_t last = bytes.rfind("SLR1");
    const size_t lost = bytes.rfind("SLR1", last - 1);
    const size_t edge = (lost / kSector + 1) * kSector;
    if (edge > last) continue;
    lengths.insert(edge - lost);
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(lost),
              bytes.begin() + static_cast<std::ptrdiff_t>(edge), '\0');
    disk_->set_bytes(kFirstSegment, bytes);
    const auto store = must_open(options);
    ASSERT_NE(store, nullptr) << edge - lost << " bytes lost";
    EXPECT_EQ(check_prefix(*store), 6);
  }
  EXPECT_TRUE(lengths.contains(8));
}

// A power cut lost the records of 4 to 7 and kept those of 8 and 9, which go with the tail. The
// same entries again end where the record of 8 began.
TEST_F(Crash, RecordsBehindACutTailAreNeverMetAgain) {
  Options options = small_options();
  options.durability = Durability::kOs;
  {
    const auto store = must_open(options);
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 10; ++n) ASSERT_TRUE(append(*store, *stream, n));
    disk_->kill();
  }
  std::string bytes = disk_->bytes(kFirstSegment);
  std::vector<size_t> records;  // the first opens the stream
  for (size_t at = bytes.find("SLR1"); at != std::string::npos; at = bytes.find("SLR1", at + 1))
    records.push_back(at);
  ASSERT_EQ(records.size(), 11u);
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(records[5]),
            bytes.begin() + static_cast<std::ptrdiff_t>(records[9]), '\0');
  disk_->set_bytes(kFirstSegment, bytes);
  clock_.advance(std::chrono::seconds(1));
  {
    const auto store = must_open(options);
    ASSERT_NE(store, nullptr);
    ASSERT_EQ(check_prefix(*store), 4);
    for (int n = 4; n < 8; ++n) ASSERT_TRUE(append(*store, store->find_stream("s"), n));
    disk_->kill();
  }
  const auto store = must_open(options);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(check_prefix(*store), 8);
}

TEST_F(Crash, AFlippedBitInFrontOfValidRecordsIsRefusedAndRepairCutsThere) {
  {
    const auto store = must_open(small_options());
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 5; ++n) ASSERT_TRUE(append(*store, *stream, n));
  }
  const std::string whole = disk_->bytes(kFirstSegment);
  const size_t end = whole.rfind("SLR1");  // of the record that closing wrote
  size_t bad_record = 0;
  for (size_t at = kSegmentHeaderSize; at < end; ++at) {
    if (whole.compare(at, 4, "SLR1") == 0) bad_record = at;
    if (at % 8 == 7) continue;  // the padding behind a record is not part of it
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    disk_->set_bytes(kFirstSegment, flipped);
    const auto store = open(small_options());
    if (store.is_ok()) {
      EXPECT_EQ(check_prefix(**store), 5) << "byte " << at;  // padding
      disk_->kill();
      continue;
    }
    ASSERT_EQ(store.status().code(), Code::kCorrupt) << "byte " << at;
    const std::string text = store.status().text();
    ASSERT_NE(text.find("segment-0000000001.log"), std::string::npos) << text;
    ASSERT_NE(text.find("offset " + std::to_string(bad_record)), std::string::npos) << text;
    ASSERT_NE(text.find("sluice store repair"), std::string::npos) << text;
  }
  std::string flipped = whole;
  const size_t third = whole.find("SLR1", whole.find("n\x01"
                                                     "2") -
                                              80);
  flipped[third + 60] = static_cast<char>(flipped[third + 60] ^ 1);
  disk_->set_bytes(kFirstSegment, flipped);
  const auto verified = verify(kPath, *disk_);
  ASSERT_TRUE(verified.is_ok());
  EXPECT_FALSE(verified->is_good());
  EXPECT_EQ(verified->bad_segment, "segment-0000000001.log");
  EXPECT_EQ(verified->bad_offset, third);
  const auto repaired = repair(kPath, *disk_, clock_);
  ASSERT_TRUE(repaired.is_ok()) << repaired.status().text();
  EXPECT_EQ(repaired->folder, "damaged-1");
  EXPECT_EQ(disk_->bytes("/store/damaged-1/segment-0000000001.log"), flipped);
  EXPECT_EQ(check_prefix(*must_open(small_options())), 2);
  EXPECT_TRUE(verify(kPath, *disk_)->is_good());
}

TEST_F(Crash, ADamagedEntryIsReportedOnReadingAndRepairRemovesIt) {
  {
    const auto store = must_open(small_options());
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 3; ++n) ASSERT_TRUE(append(*store, *stream, n));
    ASSERT_TRUE(store->checkpoint());
    ASSERT_TRUE(append(*store, *stream, 3));
  }
  std::string bytes = disk_->bytes(kFirstSegment);
  bytes[bytes.find(std::string("n\x01"
                               "1")) +
        30] ^= 1;
  disk_->set_bytes(kFirstSegment, bytes);
  {
    const auto store = must_open(small_options());
    const stream::StreamId stream = store->find_stream("s");
    EXPECT_EQ(store->range(stream, {}, 10).status().code(), Code::kCorrupt);
    const auto group = store->open_group(stream, "g", stream::GroupStart::kBeginning);
    EXPECT_EQ(store->read({*group, "c", 10}).status().code(), Code::kCorrupt);
    EXPECT_EQ(store->pending(*group), 0u) << "nothing is delivered";
  }
  EXPECT_FALSE(verify(kPath, *disk_)->is_good());
  const auto repaired = repair(kPath, *disk_, clock_);
  ASSERT_TRUE(repaired.is_ok()) << repaired.status().text();
  EXPECT_FALSE(repaired->actions.empty());
  const auto store = must_open(small_options());
  EXPECT_EQ(store->range(store->find_stream("s"), {}, 10)->size(), 3u);
}

TEST_F(Crash, ADamagedCheckpointFallsBackToTheOneBefore) {
  Options options = small_options();
  {
    const auto store = must_open(options);
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 40; ++n) {
      ASSERT_TRUE(append(*store, *stream, n));
      if (n % 10 == 9) {
        ASSERT_TRUE(store->checkpoint());
      }
    }
    disk_->kill();
  }
  const auto seqs = *list_checkpoints(*disk_, kPath);
  ASSERT_EQ(seqs.size(), 2u);
  const std::string newest = std::string(kPath) + "/" + checkpoint_name(seqs[1]);
  std::string bytes = disk_->bytes(newest);
  bytes[bytes.size() / 2] ^= 1;
  disk_->set_bytes(newest, bytes);
  EXPECT_EQ(check_prefix(*must_open(options)), 40);
}

// Of one checkpoint the one before takes the place; of both, the log, which is there from its first
// record on.
TEST_F(Crash, AnyFlippedByteOfCheckpointsCostsNothing) {
  const Options options = small_options();
  {
    const auto store = must_open(options);
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 20; ++n) {
      ASSERT_TRUE(append(*store, *stream, n));
      if (n % 6 == 5) {
        ASSERT_TRUE(store->checkpoint());
      }
    }
    disk_->kill();
  }
  const auto seqs = *list_checkpoints(*disk_, kPath);
  ASSERT_EQ(seqs.size(), 2u);
  const std::string newest = std::string(kPath) + "/" + checkpoint_name(seqs[1]);
  const std::string older = std::string(kPath) + "/" + checkpoint_name(seqs[0]);
  const std::string whole = disk_->bytes(newest), whole_older = disk_->bytes(older);
  for (size_t at = 0; at < whole.size(); at += 1 + at / 40) {
    for (const int bit : {0, 3, 7}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      disk_->set_bytes(newest, flipped);
      if (at % 3 == 0) disk_->set_bytes(older, whole_older.substr(0, at % whole_older.size()));
      ASSERT_EQ(check_prefix(*must_open(options)), 20) << "byte " << at << " bit " << bit;
      disk_->kill();
      disk_->set_bytes(older, whole_older);
    }
  }
}

TEST_F(Crash, SegmentsThatAreSwappedDoubledStaleOrOfAnotherStoreAreRefused) {
  const auto segment = [](int n) {
    return std::string(kPath) + "/" + segment_name(static_cast<uint32_t>(n));
  };
  const auto fill = [&] {
    const auto store = must_open(small_options());
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 60; ++n) {
      EXPECT_TRUE(append(*store, *stream, n));
    }
    EXPECT_TRUE(store->checkpoint());
    disk_->kill();
  };
  fill();
  const std::string foreign = disk_->bytes(segment(2));
  clock_.advance(std::chrono::seconds(1));
  disk_ = std::make_unique<SimDisk>();
  fill();
  const auto all = *list_segments(*disk_, kPath);
  ASSERT_GE(all.size(), 3u);
  const int last = static_cast<int>(all.back());
  const auto refused_with = [&](std::vector<std::pair<int, std::string>> files, const char* what) {
    std::vector<std::pair<int, std::string>> before;
    for (const auto& [n, bytes] : files) {
      before.emplace_back(n, disk_->bytes(segment(n)));
      disk_->set_bytes(segment(n), bytes);
    }
    // The checkpoint alone would do: entries are read where it says they are.
    const auto store = open(small_options());
    const bool refused = !store.is_ok() && store.status().code() == Code::kCorrupt;
    const bool unreadable =
        store.is_ok() &&
        (*store)->range((*store)->find_stream("s"), {}, 1000).status().code() == Code::kCorrupt;
    EXPECT_TRUE(refused || unreadable) << what;
    EXPECT_FALSE(verify(kPath, *disk_)->is_good()) << what;
    disk_->kill();
    for (const auto& [n, bytes] : before) disk_->set_bytes(segment(n), bytes);
  };
  const std::string second = disk_->bytes(segment(2)), third = disk_->bytes(segment(3));
  const std::string end = disk_->bytes(segment(last));
  refused_with({{2, third}, {3, second}}, "swapped");
  refused_with({{3, second}}, "doubled");
  refused_with({{2, foreign}}, "of another store");
  refused_with({{2, second.substr(0, 2000) + std::string(second.size() - 2000, '\0')}}, "stale");
  refused_with({{last, end.substr(0, 600) + std::string(end.size() - 600, '\0')}},
               "older than the checkpoint");
  EXPECT_EQ(check_prefix(*must_open(small_options())), 60);
}

TEST_F(Crash, AMissingSegmentIsRefused) {
  {
    const auto store = must_open(small_options());
    const auto stream = store->open_stream("s", {});
    for (int n = 0; n < 60; ++n) ASSERT_TRUE(append(*store, *stream, n));
  }
  ASSERT_TRUE(disk_->remove("/store/segment-0000000002.log"));
  const auto store = open(small_options());
  ASSERT_FALSE(store.is_ok());
  EXPECT_EQ(store.status().code(), Code::kCorrupt);
}

}  // namespace
}  // namespace sluice::engine
