#include "base/memory_disk.h"

#include <gmock/gmock.h>

namespace sluice {
namespace {

using ::testing::ElementsAre;

TEST(MemoryDisk, WrittenBytesAreReadBackAndPreallocatedOnesAreZero) {
  MemoryDisk disk;
  auto file = disk.open("a/f", OpenMode::kCreate);
  ASSERT_TRUE(file.is_ok());
  ASSERT_TRUE((*file)->preallocate(8).is_ok());
  ASSERT_TRUE((*file)->write(1, std::string_view("xy")).is_ok());
  char bytes[16] = {};
  EXPECT_EQ(*(*file)->read(0, bytes), 8u);
  EXPECT_EQ(std::string_view(bytes, 8), std::string_view("\0xy\0\0\0\0\0", 8));
  EXPECT_EQ(*(*file)->size(), 8u);
  ASSERT_TRUE((*file)->truncate(2).is_ok());
  ASSERT_TRUE((*file)->truncate(3).is_ok());
  EXPECT_EQ(*(*file)->read(0, bytes), 3u);
  EXPECT_EQ(std::string_view(bytes, 3), std::string_view("\0x\0", 3));
}

TEST(MemoryDisk, NamesAreCreatedOnceListedRenamedAndRemoved) {
  MemoryDisk disk;
  EXPECT_EQ(disk.open("a/f", OpenMode::kRead).status().code(), Code::kNotFound);
  EXPECT_EQ(disk.list("a").status().code(), Code::kNotFound);
  ASSERT_TRUE(disk.make_directory("a").is_ok());
  ASSERT_TRUE(write_file_atomically(disk, "a/f", "text").is_ok());
  EXPECT_EQ(disk.open("a/f", OpenMode::kCreate).status().code(), Code::kIo);
  ASSERT_TRUE(disk.rename("a/f", "a/g").is_ok());
  EXPECT_THAT(*disk.list("a"), ElementsAre("g"));
  EXPECT_EQ(*read_file(disk, "a/g", 100), "text");
  ASSERT_TRUE(disk.remove("a/g").is_ok());
  EXPECT_EQ(disk.remove("a/g").code(), Code::kNotFound);
}

TEST(MemoryDisk, LockIsHeldUntilItIsDropped) {
  MemoryDisk disk;
  {
    const auto lock = disk.lock("l");
    ASSERT_TRUE(lock.is_ok());
    EXPECT_EQ(disk.lock("l").status().code(), Code::kConflict);
  }
  EXPECT_TRUE(disk.lock("l").is_ok());
}

}  // namespace
}  // namespace sluice
