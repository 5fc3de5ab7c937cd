#include "base/backoff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;

TEST(BackoffNext, PausesDoubleUpToTheLongestAndAreShortenedByAtMostHalf) {
  SeededRandom random(7, "backoff");
  Backoff backoff(random, milliseconds(1), milliseconds(1000));
  milliseconds longest(1);
  for (int i = 0; i < 40; ++i) {
    const milliseconds pause = backoff.next();
    EXPECT_GE(pause, std::max((longest + milliseconds(1)) / 2, milliseconds(1)));
    EXPECT_LE(pause, longest);
    longest = std::min(longest * 2, milliseconds(1000));
  }
  backoff.reset();
  EXPECT_EQ(backoff.next(), milliseconds(1));
}

TEST(BackoffNext, SameSeedGivesTheSamePausesAndAnotherOthers) {
  const auto pauses = [](uint64_t seed) {
    SeededRandom random(seed);
    Backoff backoff(random);
    std::vector<int64_t> all;
    for (int i = 0; i < 20; ++i) all.push_back(backoff.next().count());
    return all;
  };
  EXPECT_EQ(pauses(1), pauses(1));
  EXPECT_NE(pauses(1), pauses(2));
}

TEST(BackoffNext, NeverPausesForNothing) {
  SeededRandom random(1);
  Backoff backoff(random, milliseconds(0), milliseconds(0));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(backoff.next(), milliseconds(1));
}

}  // namespace
}  // namespace sluice
