#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "bad_plugins.h"
#include "plugin/catalog.h"

namespace sluice::plugin {
namespace {

using testing::HasSubstr;

std::vector<std::string> names(const Catalog& catalog) {
  std::vector<std::string> list;
  for (const Description& plugin : catalog.plugins()) list.push_back(plugin.name);
  return list;
}

TEST(CatalogScan, LibrariesAfterOnesThatKillTheChildAreDescribed) {
  TemporaryFolder folder;
  folder.take({"crash_in_constructor", "exit_in_constructor", "good_two_kinds", "no_kinds",
               "print_in_constructor"});
  const auto catalog = Catalog::scan(folder.path());
  ASSERT_TRUE(catalog) << catalog.status().text();
  EXPECT_EQ(names(*catalog), (std::vector<std::string>{"good_two_kinds", "print_in_constructor"}));
  ASSERT_EQ(catalog->refusals().size(), 3u);
  EXPECT_EQ(catalog->refusals()[0].path, folder.in("crash_in_constructor.so"));
  EXPECT_THAT(catalog->refusals()[0].text, HasSubstr("crashed with signal 11"));
  EXPECT_THAT(catalog->refusals()[1].text, HasSubstr("exited with status 3"));
  EXPECT_THAT(catalog->refusals()[2].text, HasSubstr("no kind is described"));
}

TEST(CatalogScan, OnlyLibrariesDirectlyInTheFolderCount) {
  TemporaryFolder folder;
  folder.take({"good_two_kinds"});
  std::filesystem::create_directory(folder.in("below"));
  std::filesystem::copy_file(fixture("no_kinds"), folder.in("below/no_kinds.so"));
  std::filesystem::copy_file(fixture("no_kinds"), folder.in("no_kinds.so.old"));
  const auto catalog = Catalog::scan(folder.path());
  ASSERT_TRUE(catalog);
  EXPECT_EQ(names(*catalog), std::vector<std::string>{"good_two_kinds"});
  EXPECT_TRUE(catalog->refusals().empty());
}

TEST(CatalogScan, LinkIsRefusedAndSaidSo) {
  TemporaryFolder folder;
  std::filesystem::create_symlink(fixture("good_two_kinds"), folder.in("link.so"));
  const auto catalog = Catalog::scan(folder.path());
  ASSERT_TRUE(catalog);
  EXPECT_TRUE(catalog->plugins().empty());
  ASSERT_EQ(catalog->refusals().size(), 1u);
  EXPECT_THAT(catalog->refusals()[0].text, HasSubstr("is a symbolic link"));
}

TEST(CatalogScan, SecondLibraryOfOneNameIsRefused) {
  TemporaryFolder folder;
  std::filesystem::copy_file(fixture("good_two_kinds"), folder.in("a.so"));
  std::filesystem::copy_file(fixture("good_two_kinds"), folder.in("b.so"));
  const auto catalog = Catalog::scan(folder.path());
  ASSERT_TRUE(catalog);
  EXPECT_EQ(catalog->plugins().size(), 1u);
  ASSERT_EQ(catalog->refusals().size(), 1u);
  EXPECT_EQ(catalog->refusals()[0].text, folder.in("b.so") +
                                             ": offers plugin \"good_two_kinds\", which " +
                                             folder.in("a.so") + " offers already");
}

TEST(CatalogScan, MissingFolderIsNotFound) {
  const auto catalog = Catalog::scan("/nowhere/at/all");
  ASSERT_FALSE(catalog);
  EXPECT_EQ(catalog.status().code(), Code::kNotFound);
  EXPECT_EQ(catalog.status().text(), "plugin folder /nowhere/at/all: No such file or directory");
}

class CatalogFind : public testing::Test {
 protected:
  CatalogFind() {
    folder_.take({"good_two_kinds", "no_kinds", "print_in_constructor"});
    auto catalog = Catalog::scan(folder_.path());
    if (!catalog) throw std::runtime_error(catalog.status().text());
    catalog_ = *std::move(catalog);
  }

  std::string found(std::string_view use) const {
    const auto choice = catalog_->find(use);
    return choice ? choice->plugin->name + "." + choice->kind->name : choice.status().text();
  }
  Code code(std::string_view use) const { return catalog_->find(use).status().code(); }

  TemporaryFolder folder_;
  std::optional<Catalog> catalog_;
};

TEST_F(CatalogFind, PluginWithOneKindAndPluginDotKindAreFound) {
  EXPECT_EQ(found("print_in_constructor"), "print_in_constructor.stage");
  EXPECT_EQ(found("print_in_constructor.stage"), "print_in_constructor.stage");
  EXPECT_EQ(found("good_two_kinds.tick"), "good_two_kinds.tick");
}

TEST_F(CatalogFind, PluginWithSeveralKindsListsThem) {
  EXPECT_EQ(found("good_two_kinds"),
            "plugin \"good_two_kinds\" offers several kinds; write one of good_two_kinds.forward, "
            "good_two_kinds.tick");
  EXPECT_EQ(code("good_two_kinds"), Code::kInvalid);
}

TEST_F(CatalogFind, UnknownNamesSuggestTheNearest) {
  EXPECT_EQ(found("good_two_kind.tick"), "no plugin \"good_two_kind\" in " + folder_.path() +
                                             "; did you mean \"good_two_kinds\"?");
  EXPECT_EQ(found("good_two_kinds.tikc"),
            "plugin \"good_two_kinds\" has no kind \"tikc\"; did you mean "
            "\"good_two_kinds.tick\"?");
  EXPECT_EQ(found("zebra"), "no plugin \"zebra\" in " + folder_.path() +
                                "; there are good_two_kinds, print_in_constructor");
  EXPECT_EQ(code("zebra"), Code::kNotFound);
}

TEST_F(CatalogFind, RefusedPluginSaysWhy) {
  EXPECT_EQ(found("no_kinds"), "plugin \"no_kinds\" was refused: " + folder_.in("no_kinds.so") +
                                   ": its description is not sound: no kind is described");
}

}  // namespace
}  // namespace sluice::plugin
