#include "runtime/watchdog.h"

#include <gmock/gmock.h>

namespace sluice::runtime {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WatchdogTest : public ::testing::Test {
 protected:
  // `looks` of them, each on time.
  void look(int looks) {
    for (int i = 0; i < looks; ++i) {
      clock_.advance(dog_.interval());
      dog_.look();
    }
  }

  graph::StageSpec spec_ = [] {
    graph::StageSpec spec;
    spec.call_slow = milliseconds(400);
    spec.call_max = milliseconds(2000);
    return spec;
  }();
  CallWatch watch_;
  std::atomic<uint64_t> slow_{0};
  ManualClock clock_;
  std::vector<std::string> hung_;
  Watchdog dog_{{{"gate/0", &spec_, &watch_, &slow_}}, clock_, [this](std::string_view text) {
                  hung_.emplace_back(text);
                }};
};

TEST_F(WatchdogTest, LooksFourTimesWithinTheShortestLimit) {
  EXPECT_EQ(dog_.interval(), milliseconds(100));
}

TEST_F(WatchdogTest, ACallThatComesBackInTimeIsNotNamed) {
  for (int i = 0; i < 50; ++i) {
    const CallWatch::Call call(watch_, CallWatch::Kind::kProcess, {7, 1});
    look(3);
  }
  look(50);
  EXPECT_EQ(slow_, 0u);
  EXPECT_THAT(hung_, IsEmpty());
}

TEST_F(WatchdogTest, ASlowCallIsCountedOnce) {
  {
    const CallWatch::Call call(watch_, CallWatch::Kind::kProcess, {7, 1});
    look(15);
    EXPECT_EQ(slow_, 1u);
  }
  look(1);
  const CallWatch::Call next(watch_, CallWatch::Kind::kProcess, {7, 1});
  look(6);
  EXPECT_EQ(slow_, 2u);
  EXPECT_THAT(hung_, IsEmpty());
}

TEST_F(WatchdogTest, ACallThatDoesNotComeBackIsToldWithStageEntryAndTime) {
  const CallWatch::Call call(watch_, CallWatch::Kind::kAct, {7, 1});
  look(21);
  ASSERT_THAT(hung_, SizeIs(1));
  EXPECT_THAT(hung_[0], AllOf(HasSubstr("gate/0: act of entry 7-1"), HasSubstr("2.0 s")));
}

TEST_F(WatchdogTest, APollHasNoEntry) {
  const CallWatch::Call call(watch_, CallWatch::Kind::kPoll, {});
  look(21);
  ASSERT_THAT(hung_, SizeIs(1));
  EXPECT_THAT(hung_[0], HasSubstr("gate/0: poll has not come back"));
}

// The process was stopped, or the machine slept: nobody could have come back.
TEST_F(WatchdogTest, TimeInWhichNobodyLookedDoesNotCount) {
  const CallWatch::Call call(watch_, CallWatch::Kind::kProcess, {7, 1});
  look(1);
  for (int stop = 0; stop < 5; ++stop) {
    clock_.advance(std::chrono::hours(1));
    dog_.look();
  }
  EXPECT_THAT(hung_, IsEmpty());
  look(10);
  EXPECT_THAT(hung_, SizeIs(1));
}

}  // namespace
}  // namespace sluice::runtime
