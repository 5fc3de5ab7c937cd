// What two hosts say of each other when they run different things.
#include "cli/fingerprint.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

constexpr char kHere[] =
    R"({"plugin gate.so":{"file":"3f2c","version":"1.1.0"},)"
    R"("stage gate":{"use":"aa","with.window":"bb"},"stream in":{"name":"cc"}})";

TEST(FingerprintDifference, FilesAreShownWithVersionAndDigestFromBothSides) {
  EXPECT_EQ(
      fingerprint_difference(
          kHere, R"({"plugin gate.so":{"file":"8b1e","version":"1.0.0"},)"
                 R"("stage gate":{"use":"aa","with.window":"bb"},"stream in":{"name":"cc"}})"),
      "plugin gate.so (here 1.1.0 of 3f2c, there 1.0.0 of 8b1e)");
}

TEST(FingerprintDifference, OtherThingsAreShownWithTheirPartsOrTheSideThatHasThem) {
  EXPECT_EQ(fingerprint_difference(
                kHere, R"({"plugin gate.so":{"file":"3f2c","version":"1.1.0"},)"
                       R"("stage gate":{"use":"a0","with.limit":"1"},"stage log":{"use":"d"}})"),
            "stage gate (use, with.window, with.limit), stream in (here only), stage log (there "
            "only)");
}

TEST(FingerprintDifference, BeyondFiveTheRestIsCounted) {
  EXPECT_EQ(fingerprint_difference(R"({"a":{},"b":{},"c":{},"d":{},"e":{},"f":{},"g":{}})",
                                   R"({"z":{}})"),
            "a (here only), b (here only), c (here only), d (here only), e (here only) and 3 more");
}

TEST(FingerprintDifference, WhatIsNoTextOfOursIsAnotherVersion) {
  for (const char* text : {"", "{", "{}", "[]", "7", R"({"a":7})", R"({"a":{"b":7}})",
                           R"({"a":{"b":null}})", "\xff\xfe"})
    EXPECT_EQ(fingerprint_difference(kHere, text), "version of sluice") << text;
}

}  // namespace
}  // namespace sluice::cli
