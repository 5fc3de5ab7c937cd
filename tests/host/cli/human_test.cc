#include "cli/human.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

TEST(CountText, ThousandsAreSeparated) {
  EXPECT_EQ(count_text(0), "0");
  EXPECT_EQ(count_text(999), "999");
  EXPECT_EQ(count_text(1'000), "1,000");
  EXPECT_EQ(count_text(1'430'000), "1,430,000");
  EXPECT_EQ(count_text(UINT64_MAX), "18,446,744,073,709,551,615");
}

TEST(Plural, OneAndManyAreTold) {
  EXPECT_EQ(plural(1, "entry", "entries"), "1 entry");
  EXPECT_EQ(plural(0, "entry", "entries"), "0 entries");
  EXPECT_EQ(plural(2000, "entry", "entries"), "2,000 entries");
}

TEST(AgeText, LargestUnitsAreShownAndNeverRoundedUp) {
  using std::chrono::hours, std::chrono::minutes, std::chrono::seconds;
  EXPECT_EQ(age_text(Micros(-5)), "0us");
  EXPECT_EQ(age_text(Micros(999)), "999us");
  EXPECT_EQ(age_text(Micros(3'290)), "3.2ms");
  EXPECT_EQ(age_text(Micros(59'990'000)), "59.9s");
  EXPECT_EQ(age_text(seconds(192)), "3m 12s");
  EXPECT_EQ(age_text(hours(2) + minutes(5)), "2h 5m");
  EXPECT_EQ(age_text(hours(99)), "4d 3h");
}

}  // namespace
}  // namespace sluice::cli
