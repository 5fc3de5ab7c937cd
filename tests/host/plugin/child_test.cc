// Libraries whose constructors misbehave, described in a child.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

TEST(DescribeInChild, RefusalsOfTheLoaderComeThrough) {
  EXPECT_EQ(described("no_kinds"), "its description is not sound: no kind is described");
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
