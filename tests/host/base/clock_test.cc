#include "base/clock.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(ManualClockAdvanceTo, EarlierTimeIsIgnored) {
  ManualClock clock(from_ms(1000));
  clock.advance_to(from_ms(500));
  EXPECT_EQ(to_ms(clock.now()), 1000);
  clock.advance(milliseconds(7));
  EXPECT_EQ(to_ms(clock.now()), 1007);
  EXPECT_EQ(clock.steady(), milliseconds(1007));
}

TEST(SystemClockSteady, NeverGoesBack) {
  const SystemClock clock;
  const Micros before = clock.steady();
  EXPECT_LE(before, clock.steady());
}

TEST(SeededRandomNext, SameSeedAndLabelRepeat) {
  SeededRandom a(7, "exchange"), b(7, "exchange");
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
}

TEST(SeededRandomNext, LabelsAndSeedsAreIndependent) {
  EXPECT_NE(SeededRandom(7, "a").next(), SeededRandom(7, "b").next());
  EXPECT_NE(SeededRandom(7, "a").next(), SeededRandom(8, "a").next());
}

}  // namespace
}  // namespace sluice
