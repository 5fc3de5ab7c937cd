#include "policy/text.h"

#include <gtest/gtest.h>

namespace sluice::policy {
namespace {

TEST(Suggestion, NearNameIsOfferedAndFarOneIsNot) {
  EXPECT_EQ(suggestion("permit_wiat", {"cooldown", "permit_wait"}),
            ", did you mean \"permit_wait\"?");
  EXPECT_EQ(suggestion("zebra", {"cooldown", "permit_wait"}), "");
  EXPECT_EQ(suggestion("zebra", {}), "");
}

TEST(LineOfKey, FindsTheAssignmentAndNotOtherUses) {
  const std::string_view source =
      "local x = cooldown_max\nif cooldown == 3 then end\nreturn {\n  cooldown = 3,\n"
      "  [\"side\"] = 1 }";
  EXPECT_EQ(line_of_key(source, "cooldown"), 4);
  EXPECT_EQ(line_of_key(source, "side"), 5);
  EXPECT_EQ(line_of_key(source, "down_max"), 0);
}

TEST(LineOfZeroByte, EveryWayToWriteOneIsFoundAndLookalikesAreNot) {
  for (const char* source : {"\n\"\\0\"", "\n\"\\00\"", "\n\"\\000\"", "\n\"\\x00\"",
                             "\n\"\\u{0}\"", "\n\"\\u{0000}\"", "\n\"a\\0b\"", "\n\"\\00a\""})
    EXPECT_EQ(line_of_zero_byte(source), 2) << source;
  EXPECT_EQ(line_of_zero_byte(std::string_view("a\0b", 3)), 1);
  for (const char* source : {"\"\\\\0\"", "\"\\10\"", "\"\\010\"", "\"\\x10\"", "\"\\u{10}\"",
                             "\"\\001\"", "\"\\u{01}\"", "0", ""})
    EXPECT_EQ(line_of_zero_byte(source), 0) << source;
}

TEST(Digest, EqualTextsShareADigestAndOtherTextsDoNot) {
  EXPECT_EQ(digest("return {}"), digest("return {}"));
  EXPECT_NE(digest("return {}"), digest("return { }"));
  EXPECT_EQ(digest("").size(), 8u);
}

TEST(Cut, LongTextIsCutAndControlCharactersBecomeSpaces) {
  EXPECT_EQ(cut("abcdef", 3), "abc...");
  EXPECT_EQ(cut("a\nb", 3), "a b");
}

}  // namespace
}  // namespace sluice::policy
