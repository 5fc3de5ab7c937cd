// Bytes from a child whose library may have done anything: what is not whole is not read.
#include "plugin/wire.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sluice::plugin {
namespace {

Description sample() {
  Description plugin;
  plugin.name = "router";
  plugin.abi_major = 1;
  Kind kind;
  kind.name = "route";
  kind.type = KindType::kExternal;
  kind.settings.push_back({.name = "rate", .type = ValueType::kInteger, .default_text = "3"});
  kind.hooks.push_back({.name = "ttl", .args = {{.name = "plan", .fields = {"a", "b"}}}});
  kind.reasons = {"stale", "duplicate"};
  plugin.kinds.push_back(kind);
  return plugin;
}

TEST(Wire, DescriptionComesBackWhole) {
  const auto back = description_from(to_bytes(sample()));
  ASSERT_TRUE(back && *back);
  const Description& plugin = **back;
  EXPECT_EQ(plugin.name, "router");
  ASSERT_EQ(plugin.kinds.size(), 1u);
  EXPECT_EQ(plugin.kinds[0].type, KindType::kExternal);
  EXPECT_EQ(plugin.kinds[0].settings[0].default_text, "3");
  EXPECT_EQ(plugin.kinds[0].settings[0].min_text, std::nullopt);
  EXPECT_EQ(plugin.kinds[0].hooks[0].args[0].fields, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(plugin.kinds[0].reasons, (std::vector<std::string>{"stale", "duplicate"}));
}

TEST(Wire, RefusalKeepsCodeAndText) {
  const auto back = description_from(to_bytes(Status(Code::kNotFound, "not there")));
  ASSERT_TRUE(back && !*back);
  EXPECT_EQ(back->status().code(), Code::kNotFound);
  EXPECT_EQ(back->status().text(), "not there");
}

TEST(Wire, EveryCutIsRefused) {
  const std::string bytes = to_bytes(sample());
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(description_from(std::string_view(bytes).substr(0, size))) << size;
  EXPECT_FALSE(description_from(bytes + "x"));
}

RC_GTEST_PROP(WireProperty, FlippedBytesAreReadOrRefusedButNeverMisused, ()) {
  std::string bytes = to_bytes(sample());
  bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  const auto back = description_from(bytes);
  if (back && *back) RC_ASSERT(to_bytes(*back).size() <= bytes.size());
}

}  // namespace
}  // namespace sluice::plugin
