#include "base/iso_time.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(ParseIsoTime, FormsOfProducersAreTheSameInstant) {
  const auto expected = from_us(1763818338282193);
  EXPECT_EQ(parse_iso_time("2025-11-22T13:32:18.282193+00:00"), expected);
  EXPECT_EQ(parse_iso_time("2025-11-22T13:32:18.282193Z"), expected);
  EXPECT_EQ(parse_iso_time("2025-11-22T13:32:18.282193"), expected);
  EXPECT_EQ(parse_iso_time("2025-11-22 14:32:18.2821939+01:00"), expected);
  EXPECT_EQ(parse_iso_time("2025-11-22T13:32:18"), from_us(1763818338000000));
}

TEST(ParseIsoTime, AnythingElseIsRefused) {
  for (const char* text :
       {"", "2025-11-22", "2025-11-22T13:32", "2025-02-30T00:00:00Z", "2025-11-22T24:00:00Z",
        "2025-11-22T13:32:18.Z", "2025-11-22T13:32:18x", "2025-11-22T13:32:18+1", "1763818338"})
    EXPECT_FALSE(parse_iso_time(text)) << text;
}

TEST(IsoTimeText, ReadsBack) {
  EXPECT_EQ(iso_time_text(from_us(1763818338000193)), "2025-11-22T13:32:18.000193Z");
  EXPECT_EQ(parse_iso_time(iso_time_text(from_us(1763818338000193))), from_us(1763818338000193));
}

}  // namespace
}  // namespace sluice
