#include <atomic>
#include <thread>

#include "policy_fixture.h"

namespace sluice::policy {
namespace {

class LiveTest : public PolicyTest {
 protected:
  Live live() const { return Live(path_, hooks_, limits_, system_disk()); }

  static int64_t cooldown_ms(const std::shared_ptr<const Script>& script) {
    auto state = State::open(script, Limits{});
    sluice_value result{};
    EXPECT_TRUE((*state)->call("cooldown", {}, std::span(&result, 1)).is_ok());
    return result.integer / 1000;
  }
};

TEST_F(LiveTest, LoadReportsTheErrorsOfScriptLoadAndLeavesNothingInUse) {
  Live policy = live();
  EXPECT_EQ(policy.current(), nullptr);
  EXPECT_EQ(policy.load().code(), Code::kNotFound);
  write("return { cooldown = -1 }");
  EXPECT_EQ(policy.load().code(), Code::kInvalid);
  EXPECT_EQ(policy.current(), nullptr);
}

TEST_F(LiveTest, ChangedFileIsSwappedInOnceAndNamed) {
  write("return { cooldown = 1 * s }");
  Live policy = live();
  ASSERT_TRUE(policy.load().is_ok());
  EXPECT_EQ(policy.poll().change, Live::Change::kNone);
  const auto before = policy.current();

  write("return { cooldown = 2 * s }");
  const Live::Report report = policy.poll();
  EXPECT_EQ(report.change, Live::Change::kSwapped);
  EXPECT_NE(report.text.find(policy.current()->version()), std::string::npos) << report.text;
  EXPECT_EQ(cooldown_ms(policy.current()), 2000);
  EXPECT_EQ(cooldown_ms(before), 1000);  // who still runs the old version keeps it whole
  EXPECT_NE(before->version(), policy.current()->version());
  EXPECT_EQ(policy.poll().change, Live::Change::kNone);
}

TEST_F(LiveTest, RefusedVersionLeavesTheOldOneAndIsReportedOnce) {
  write("return { cooldown = 1 * s }");
  Live policy = live();
  ASSERT_TRUE(policy.load().is_ok());
  const auto before = policy.current();

  write("return { cooldown = 'soon' }");
  const Live::Report report = policy.poll();
  EXPECT_EQ(report.change, Live::Change::kRefused);
  EXPECT_NE(report.text.find("apply.lua:1: cooldown: expected"), std::string::npos) << report.text;
  EXPECT_NE(report.text.find(before->version() + " stays in use"), std::string::npos);
  EXPECT_EQ(policy.poll().change, Live::Change::kNone);
  EXPECT_EQ(policy.current(), before);

  write("return { cooldown = 'soon' } ");  // other content, same fault
  EXPECT_EQ(policy.poll().change, Live::Change::kRefused);
  write("return { cooldown = 1 * s }");
  EXPECT_EQ(policy.poll().change, Live::Change::kSwapped);
  EXPECT_EQ(policy.current()->version(), before->version());
}

TEST_F(LiveTest, VersionWhoseTestsFailIsNotSwappedIn) {
  write("return { cooldown = 1 * s }");
  Live policy = live();
  ASSERT_TRUE(policy.load().is_ok());
  write("return { cooldown = 2 * s, tests = { function() assert(1 == 2, 'no') end } }");
  const Live::Report report = policy.poll();
  EXPECT_EQ(report.change, Live::Change::kRefused);
  EXPECT_NE(report.text.find("test 1: no"), std::string::npos) << report.text;
  EXPECT_EQ(cooldown_ms(policy.current()), 1000);
}

TEST_F(LiveTest, MissingFileIsReportedOnceAndItsReturnIsNoChange) {
  write("return { cooldown = 1 * s }");
  Live policy = live();
  ASSERT_TRUE(policy.load().is_ok());
  std::filesystem::remove(path_);
  EXPECT_EQ(policy.poll().change, Live::Change::kRefused);
  EXPECT_EQ(policy.poll().change, Live::Change::kNone);
  EXPECT_EQ(cooldown_ms(policy.current()), 1000);
  write("return { cooldown = 1 * s }");
  EXPECT_EQ(policy.poll().change, Live::Change::kNone);
  std::filesystem::remove(path_);
  EXPECT_EQ(policy.poll().change, Live::Change::kRefused);
}

TEST_F(LiveTest, ReadersSeeWholeVersionsWhileTheFileChanges) {
  write("return { cooldown = 0 }");
  Live policy = live();
  ASSERT_TRUE(policy.load().is_ok());
  std::atomic<bool> done = false;
  std::atomic<int> wrong = 0;
  std::thread reader([&] {
    int64_t last = 0;
    while (!done) {
      const int64_t met = cooldown_ms(policy.current());
      if (met < last) ++wrong;  // versions only go up
      last = met;
    }
  });
  for (int i = 1; i <= 50; ++i) {
    write("return { cooldown = " + std::to_string(i) + " }");
    EXPECT_EQ(policy.poll().change, Live::Change::kSwapped);
  }
  done = true;
  reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(cooldown_ms(policy.current()), 50);
}

}  // namespace
}  // namespace sluice::policy
