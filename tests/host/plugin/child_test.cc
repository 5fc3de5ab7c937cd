// Libraries whose constructors misbehave, described in a child.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "bad_plugins.h"
#include "plugin/catalog.h"

namespace sluice::plugin {
namespace {

std::string described(const std::string& name, int timeout_ms = 20'000) {
  const auto description = describe_in_child(fixture(name), timeout_ms);
  if (description) return "described " + description->name;
  EXPECT_EQ(description.status().code(), Code::kInvalid);
  const std::string prefix = fixture(name) + ": ";
  EXPECT_THAT(description.status().text(), testing::StartsWith(prefix));
  return description.status().text().substr(prefix.size());
}

TEST(DescribeInChild, CrashInConstructorIsARefusal) {
  EXPECT_EQ(described("crash_in_constructor"),
            "crashed with signal 11 (Segmentation fault) while it was described");
}

TEST(DescribeInChild, ExitInConstructorIsARefusal) {
  EXPECT_EQ(described("exit_in_constructor"), "exited with status 3 while it was described");
}

TEST(DescribeInChild, HangInConstructorIsARefusal) {
  EXPECT_EQ(described("hang_in_constructor", 100),
            "did not answer within 100ms while it was described");
}

TEST(DescribeInChild, PrintInConstructorIsHarmless) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const std::string answer = described("print_in_constructor");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(answer, "described print_in_constructor");
}

TEST(DescribeInChild, AParentOfMuchAddressSpaceLeavesRoomForTheLibrary) {
  constexpr size_t kSize = size_t{1} << 30;  // twice what a child may take beyond it
  void* const much =
      mmap(nullptr, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(much, MAP_FAILED);
  EXPECT_EQ(described("good_two_kinds"), "described good_two_kinds");
  munmap(much, kSize);
}

TEST(DescribeInChild, RefusalsOfTheLoaderComeThrough) {
  EXPECT_EQ(described("no_kinds"), "its description is not sound: no kind is described");
}

// Bytes of a sound library, changed or cut, beside its own file.
class ChangedLibrary {
 public:
  ChangedLibrary() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-elf-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    std::stringstream text;
    text << std::ifstream(fixture("good_two_kinds"), std::ios::binary).rdbuf();
    sound_ = text.str();
  }
  ~ChangedLibrary() { std::filesystem::remove_all(folder_); }

  const std::string& sound() const { return sound_; }
  Status describe(const std::string& bytes) const {
    const std::string path = folder_ + "/changed.so";
    std::ofstream(path, std::ios::binary) << bytes;
    std::filesystem::permissions(path, std::filesystem::perms(0644));
    return describe_in_child(path, 20'000).status();
  }

 private:
  std::string folder_, sound_;
};

// What is cut off behind all that is loaded, such as symbols for debuggers, is missed by nobody.
TEST(DescribeInChild, LibraryCutAnywhereIsARefusalOrWhole) {
  const ChangedLibrary library;
  const size_t size = library.sound().size();
  for (const size_t part : {0, 1, 2, 5, 12, 30, 50, 60}) {
    const Status status = library.describe(library.sound().substr(0, size * part / 64));
    EXPECT_TRUE(status.is_ok() || status.code() == Code::kInvalid) << part << ": " << status.text();
    if (part <= 5) {
      EXPECT_FALSE(status.is_ok()) << part << "/64";
    }
  }
}

TEST(DescribeInChild, LibraryOfAnotherMachineOrClassIsARefusal) {
  const ChangedLibrary library;
  std::string machine = library.sound(), word_size = library.sound(), no_elf = library.sound();
  machine[18] = machine[18] == '\x3e' ? '\xb7' : '\x3e';  // e_machine: x86-64 and aarch64
  word_size[4] = '\x01';                                  // 32 bits
  no_elf[0] = 'x';
  for (const std::string& bytes : {machine, word_size, no_elf}) {
    const Status status = library.describe(bytes);
    EXPECT_EQ(status.code(), Code::kInvalid);
    EXPECT_THAT(status.text(), testing::HasSubstr("changed.so"));
  }
}

TEST(DescribeInChild, SameDescriptionAsInTheHost) {
  const auto child = describe_in_child(fixture("good_two_kinds"), 20'000);
  const auto host = Library::load(fixture("good_two_kinds"));
  ASSERT_TRUE(child) << child.status().text();
  ASSERT_TRUE(host) << host.status().text();
  EXPECT_EQ(child->path, (*host)->description().path);
  ASSERT_EQ(child->kinds.size(), 2u);
  EXPECT_EQ(child->kinds[0].settings.size(), 7u);
  EXPECT_EQ(child->kinds[0].hooks[0].args[0].fields.size(), 2u);
}

}  // namespace
}  // namespace sluice::plugin
