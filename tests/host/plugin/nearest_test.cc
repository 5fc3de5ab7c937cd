#include "plugin/nearest.h"

#include <gtest/gtest.h>

namespace sluice::plugin {
namespace {

const std::vector<std::string> kNames{"router", "governor", "apply", "execution", "p33"};

TEST(Nearest, SlipsOfThePenFindTheWord) {
  EXPECT_EQ(nearest("ruter", kNames), "router");
  EXPECT_EQ(nearest("exceution", kNames), "execution");
  EXPECT_EQ(nearest("Apply", kNames), "apply");
  EXPECT_EQ(nearest("p3", kNames), "p33");
}

TEST(Nearest, OtherWordsFindNothing) {
  EXPECT_EQ(nearest("zebra", kNames), std::nullopt);
  EXPECT_EQ(nearest("", kNames), std::nullopt);
  EXPECT_EQ(nearest("router", {}), std::nullopt);
}

TEST(Nearest, FirstOfEquallyNearIsTaken) { EXPECT_EQ(nearest("tack", {"tick", "tock"}), "tick"); }

}  // namespace
}  // namespace sluice::plugin
