#include "base/disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

namespace sluice {
namespace {

class DiskTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-disk-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string at(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
  Disk& disk_ = system_disk();
};

TEST_F(DiskTest, WrittenBytesReadBackAndReadsStopAtTheEnd) {
  auto file = disk_.open(at("a"), OpenMode::kCreate);
  ASSERT_TRUE(file.is_ok()) << file.status().text();
  ASSERT_TRUE((*file)->write(3, std::string_view("hello")).is_ok());
  char bytes[16] = {};
  EXPECT_EQ(*(*file)->read(3, bytes), 5u);
  EXPECT_EQ(std::string_view(bytes, 5), "hello");
  EXPECT_EQ(*(*file)->size(), 8u);
}

TEST_F(DiskTest, OnlyRegularFilesAreOpened) {
  ASSERT_EQ(mkfifo(at("pipe").c_str(), 0600), 0);
  EXPECT_EQ(read_file(disk_, at("pipe"), 100).status().text(), at("pipe") + ": not a regular file");
  EXPECT_EQ(read_file(disk_, folder_, 100).status().code(), Code::kIo);
}

TEST_F(DiskTest, CreateRefusesAnExistingFileAndOpenAMissingOne) {
  { auto file = disk_.open(at("a"), OpenMode::kCreate); }
  EXPECT_EQ(disk_.open(at("a"), OpenMode::kCreate).status().code(), Code::kIo);
  const Status missing = disk_.open(at("b"), OpenMode::kRead).status();
  EXPECT_EQ(missing.code(), Code::kNotFound);
  EXPECT_NE(missing.text().find(at("b")), std::string::npos);
}

TEST_F(DiskTest, AtomicWriteReplacesWholeAndIgnoresAnOldLeftover) {
  ASSERT_TRUE(write_file_atomically(disk_, at("f"), "one").is_ok());
  { auto leftover = disk_.open(at("f.tmp"), OpenMode::kCreate); }
  ASSERT_TRUE(write_file_atomically(disk_, at("f"), "second").is_ok());
  EXPECT_EQ(*read_file(disk_, at("f"), 100), "second");
  EXPECT_EQ(*disk_.list(folder_), std::vector<std::string>{"f"});
}

TEST_F(DiskTest, ReadFileRefusesMoreThanAsked) {
  ASSERT_TRUE(write_file_atomically(disk_, at("f"), "12345").is_ok());
  EXPECT_EQ(read_file(disk_, at("f"), 4).status().code(), Code::kInvalid);
}

TEST_F(DiskTest, SecondLockNamesTheHolder) {
  auto first = disk_.lock(at("lock"));
  ASSERT_TRUE(first.is_ok()) << first.status().text();
  const Status second = disk_.lock(at("lock")).status();
  EXPECT_EQ(second.code(), Code::kConflict);
  EXPECT_NE(second.text().find(std::to_string(getpid())), std::string::npos);
  first->reset();
  EXPECT_TRUE(disk_.lock(at("lock")).is_ok());
}

TEST_F(DiskTest, FoldersAreCreatedWithParents) {
  ASSERT_TRUE(disk_.make_directory(at("x/y/z")).is_ok());
  ASSERT_TRUE(disk_.make_directory(at("x/y/z")).is_ok());
  EXPECT_TRUE(disk_.sync_directory(at("x/y")).is_ok());
}

}  // namespace
}  // namespace sluice
