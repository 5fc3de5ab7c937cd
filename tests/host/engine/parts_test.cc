// Checksums, numbers, the key table and counters, each by itself.
#include <gtest/gtest.h>

#include <map>

#include "base/random.h"
#include "engine/codec.h"
#include "engine/counter_table.h"
#include "engine/crc32c.h"
#include "engine/key_table.h"

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

}  // namespace
}  // namespace sluice::engine
