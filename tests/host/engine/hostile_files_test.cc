// Files of a store that were not written by one: sizes that are only announced, files that are gone
// while somebody only looks. What damage and power cuts do is in crash_test.cc.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/memory_disk.h"
#include "engine/codec.h"
#include "engine/crc32c.h"
#include "engine/embedded_store.h"
#include "engine/file_window.h"
#include "engine/segment_log.h"

namespace sluice::engine {
namespace {

// A file of zeros that remembers the largest piece it was asked for.
class Zeros final : public File {
 public:
  Zeros(uint64_t size, size_t& asked_most) : size_(size), asked_most_(asked_most) {}
  Result<size_t> read(uint64_t offset, std::span<char> into) const override {
    asked_most_ = std::max(asked_most_, into.size());
    const size_t count = std::min<uint64_t>(into.size(), size_ - std::min(size_, offset));
    std::fill_n(into.begin(), count, '\0');
    return count;
  }
  Status write(uint64_t, std::span<const char>) override { return Status::ok(); }
  Status sync() override { return Status::ok(); }
  Status preallocate(uint64_t) override { return Status::ok(); }
  Status truncate(uint64_t) override { return Status::ok(); }
  Result<uint64_t> size() const override { return size_; }

 private:
  const uint64_t size_;
  size_t& asked_most_;
};

TEST(FileWindowView, AnnouncedSizeTakesNoMoreMemoryThanTheFileHas) {
  size_t asked_most = 0;
  FileWindow window(std::make_unique<Zeros>(3 << 20, asked_most));
  const auto whole = window.view(48, size_t{1} << 31);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->size(), (3u << 20) - 48);
  EXPECT_LE(asked_most, 3u << 20);
  const auto behind = window.view(10 << 20, size_t{1} << 31);
  ASSERT_TRUE(behind);
  EXPECT_EQ(behind->size(), 0u);
  EXPECT_LE(asked_most, 3u << 20);
}

// A store of several segments.
void fill(Disk& disk, const Clock& clock, const Options& options) {
  const auto store = EmbeddedStore::open("/store", options, disk, clock).value();
  const auto stream = *store->open_stream("s", {});
  const stream::Fields fields{{"fill", std::string(100, 'x')}};
  for (int n = 0; n < 60; ++n) {
    stream::Unit unit;
    unit.effects.resize(1);
    unit.effects[0].stream = stream;
    unit.effects[0].bytes = fields.encoded();
    ASSERT_TRUE(store->commit({&unit, 1}, nullptr).is_ok());
  }
}

// Gives the header of a segment another format version, and the checksum that fits.
void set_version(Disk& disk, const std::string& path, char version) {
  auto file = disk.open(path, OpenMode::kReadWrite);
  ASSERT_TRUE(file.is_ok());
  std::string header(kSegmentHeaderSize, '\0');
  ASSERT_TRUE((*file)->read(0, header).is_ok());
  header[8] = version;
  header.resize(kSegmentHeaderSize - 4);
  put_fixed(header, crc32c(header));
  ASSERT_TRUE((*file)->write(0, header).is_ok());
}

// A newer program wrote on in the same folder; the older one must not take that for a torn tail.
TEST(EmbeddedStoreOpen, SegmentOfANewerFormatIsRefusedAndLeftAlone) {
  for (const uint32_t newer : {1u, 2u}) {
    MemoryDisk disk;
    const ManualClock clock(from_ms(1'700'000'000'000));
    Options options;
    options.background = false;
    options.segment_bytes = 4096;
    fill(disk, clock, options);
    const std::string path = "/store/" + segment_name(newer);
    set_version(disk, path, 2);
    const std::string before = *read_file(disk, path, 1 << 20);
    for (int start = 0; start < 2; ++start) {
      const auto store = EmbeddedStore::open("/store", options, disk, clock);
      EXPECT_EQ(store.status().code(), Code::kCorrupt) << newer;
      EXPECT_NE(store.status().text().find("format version 2, expected 1"), std::string::npos)
          << newer << ": " << store.status().text();
    }
    EXPECT_EQ(*read_file(disk, path, 1 << 20), before);
  }
}

TEST(EmbeddedStoreReadOnly, SegmentThatIsGoneIsDamageAndNotAStoreThatIsNotThere) {
  MemoryDisk disk;
  const ManualClock clock(from_ms(1'700'000'000'000));
  Options options;
  options.background = false;
  options.segment_bytes = 4096;
  fill(disk, clock, options);
  ASSERT_TRUE((*EmbeddedStore::open("/store", options, disk, clock))->checkpoint().is_ok());
  ASSERT_TRUE(disk.remove("/store/" + segment_name(1)).is_ok());
  const auto reader = EmbeddedStore::open_read_only("/store", disk, clock);
  EXPECT_EQ(reader.status().code(), Code::kCorrupt);
  EXPECT_NE(reader.status().text().find(segment_name(1)), std::string::npos)
      << reader.status().text();
  EXPECT_EQ(EmbeddedStore::open_read_only("/other", disk, clock).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace sluice::engine
