// Checksums, numbers, the key table, counters and blocks of a checkpoint, each by itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/codec.h"
#include "engine/counter_table.h"
#include "engine/crc32c.h"
#include "engine/key_table.h"
#include "engine/state.h"

namespace sluice::engine {
namespace {

TEST(Crc32c, GivesThePublishedValueBothWays) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c_by_table("123456789"), 0xe3069283u);
}

TEST(Crc32c, BothWaysAgreeOnEveryLengthAndSplit) {
  std::string bytes;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(crc32c(bytes), crc32c_by_table(bytes)) << i;
    const std::string_view view = bytes;
    EXPECT_EQ(crc32c(view.substr(bytes.size() / 3), crc32c(view.substr(0, bytes.size() / 3))),
              crc32c(bytes));
    bytes.push_back(static_cast<char>(i * 37));
  }
}

TEST(Codec, NumbersComeBackAndShortBytesAreRefused) {
  std::string out;
  for (const int64_t value : {int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX})
    put_signed(out, value);
  put_varint(out, UINT64_MAX);
  put_text(out, "text");
  ByteReader in(out);
  for (const int64_t value : {int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX})
    EXPECT_EQ(in.signed_varint(), value);
  EXPECT_EQ(in.varint(), UINT64_MAX);
  EXPECT_EQ(in.text(), "text");
  EXPECT_TRUE(in.ok() && in.done());
  ByteReader cut(std::string_view(out).substr(0, 5));
  for (int i = 0; i < 4; ++i) cut.signed_varint();
  EXPECT_FALSE(cut.ok());
}

TEST(KeyTable, AgreesWithAMapOverRandomChanges) {
  SeededRandom random(7);
  KeyTable table;
  std::map<std::string, std::pair<std::string, int64_t>> model;
  int64_t now = 1;
  for (int step = 0; step < 60'000; ++step) {
    const std::string key = "key:" + std::to_string(random.next() % 3000);
    const uint64_t kind = random.next() % 10;
    if (kind < 6) {
      const std::string value(random.next() % (kind == 0 ? 20'000 : 60), 'v');
      const int64_t expires = kind < 3 ? now + static_cast<int64_t>(random.next() % 2000) + 1 : 0;
      table.put(key, value, kind == 1, expires);
      model[key] = {value, expires};
    } else if (kind < 8) {
      table.erase(key);
      model.erase(key);
    } else {
      now += static_cast<int64_t>(random.next() % 3);
      table.sweep(now, 2000);
    }
    const auto it = model.find(key);
    const bool live = it != model.end() && (it->second.second == 0 || it->second.second > now);
    const auto found = table.find(key, now);
    ASSERT_EQ(found.has_value(), live) << step;
    if (live) {
      ASSERT_EQ(found->value, it->second.first) << step;
    }
  }
  size_t live = 0;
  for (const auto& [key, held] : model) {
    live += held.second == 0 || held.second > now;
    ASSERT_EQ(table.find(key, now).has_value(), held.second == 0 || held.second > now) << key;
  }
  // Everything is looked at once, a chunk of 16 KiB at a time.
  for (int i = 0; i < 4000; ++i) table.sweep(now, 1 << 14);
  EXPECT_EQ(table.size(), live);
}

TEST(Counter, AWindowGivenBackToZeroStillEndsWhenItWould) {
  const stream::Window window{stream::WindowKind::kFixed, stream::milliseconds(100)};
  CounterTable counters;
  counters.reserve("n", 2, window, 1000);
  counters.release("n", 2, 1000, 1010);
  counters.reserve("n", 2, window, 1090);
  EXPECT_EQ(counters.count("n", 1099), 2);
  EXPECT_EQ(counters.count("n", 1100), 0);
}

TEST(CounterTable, DropsIdleCounters) {
  const stream::Window window{stream::WindowKind::kSliding, stream::milliseconds(10)};
  CounterTable counters;
  for (int i = 0; i < 10'000; ++i) counters.reserve("n" + std::to_string(i), 1, window, i * 10);
  EXPECT_LT(counters.size(), 3000u);
}

// Blocks of a stream with three entries of which a group got two.
std::vector<std::string> blocks_of_three() {
  State state;
  const StreamId stream = state.open_stream("s");
  for (uint32_t i = 1; i <= 3; ++i)
    state.emit(stream, {.ms = i, .seq = 0, .segment = 7 + i, .offset = 64, .length = 1});
  const GroupId group = state.open_group(stream, "g", stream::GroupStart::kBeginning);
  state.deliver(group, "c", 2, 1000);
  std::vector<std::string> blocks;
  EXPECT_TRUE(state.save([&](std::string_view block) {
    blocks.emplace_back(block);
    return Status::ok();
  }));
  return blocks;
}

// The item at `from` changes places with the one at `to`, counted from the end of the block.
void swap_items(std::string& block, size_t size, size_t from, size_t to) {
  std::swap_ranges(block.end() - from * size, block.end() - (from - 1) * size,
                   block.end() - to * size);
}

void break_item(std::string& block, size_t size, size_t item, size_t field) {
  ++block[block.size() - item * size + field];
}

TEST(State, TakesBlocksThatFitAndNoOthers) {
  enum { kStream, kPositions, kGroup, kPending };
  using Blocks = std::vector<std::string>;
  const std::map<std::string, std::function<void(Blocks&)>> faults = {
      {"entries out of order",
       [](Blocks& b) { swap_items(b[kPositions], sizeof(Position), 3, 2); }},
      {"an older segment behind a newer one",
       [](Blocks& b) {
         break_item(b[kPositions], sizeof(Position), 3, offsetof(Position, segment) + 1);
       }},
      {"an entry above the last id",
       [](Blocks& b) { break_item(b[kPositions], sizeof(Position), 1, offsetof(Position, ms)); }},
      {"a group ahead of its stream", [](Blocks& b) { std::swap(b[kPositions], b[kGroup]); }},
      {"a group twice", [](Blocks& b) { b[kPending] = b[kGroup]; }},
      {"a pending entry that is not there",
       [](Blocks& b) { break_item(b[kPending], sizeof(Pending), 1, offsetof(Pending, ms) + 1); }},
      {"a pending entry with a foreign index",
       [](Blocks& b) { break_item(b[kPending], sizeof(Pending), 2, offsetof(Pending, index)); }},
      {"a consumer that is not there",
       [](Blocks& b) { break_item(b[kPending], sizeof(Pending), 1, offsetof(Pending, consumer)); }},
      {"pending entries out of order",
       [](Blocks& b) { swap_items(b[kPending], sizeof(Pending), 2, 1); }},
      {"pending entries twice", [](Blocks& b) { b.push_back(b[kPending]); }},
  };
  const auto load = [](const Blocks& blocks) {
    State state;
    for (const std::string& block : blocks) SLUICE_TRY(state.load(block));
    return Status::ok();
  };
  ASSERT_TRUE(load(blocks_of_three()));
  for (const auto& [name, damage] : faults) {
    Blocks blocks = blocks_of_three();
    damage(blocks);
    EXPECT_EQ(load(blocks).code(), Code::kCorrupt) << name;
  }
}

}  // namespace
}  // namespace sluice::engine
