// The sizes and offsets themselves are asserted in abi_layout.c, which is compiled as C11.
#include "sluice/abi.h"

#include <gtest/gtest.h>

extern "C" size_t abi_layout_plugin_size(void);
extern "C" size_t abi_layout_kind_size(void);
extern "C" size_t abi_layout_host_size(void);

TEST(AbiLayout, SameInC11AndInCxx20) {
  EXPECT_EQ(abi_layout_plugin_size(), sizeof(sluice_plugin));
  EXPECT_EQ(abi_layout_kind_size(), sizeof(sluice_kind));
  EXPECT_EQ(abi_layout_host_size(), sizeof(sluice_host));
}

TEST(AbiNumbers, KeptForTheLifeOfTheMajorVersion) {
  EXPECT_EQ(SLUICE_ABI_MAJOR, 1u);
  EXPECT_STREQ(SLUICE_PLUGIN_SYMBOL, "sluice_plugin_v1");
  EXPECT_EQ(SLUICE_RECORD, 8);
  EXPECT_EQ(SLUICE_FAILED, 6);
  EXPECT_EQ(SLUICE_GET_PENDING, 3);
  EXPECT_EQ(SLUICE_UNCHANGED, 3);
  EXPECT_EQ(SLUICE_EXTERNAL, 2);
  EXPECT_EQ(SLUICE_ACT_FAILED, 2);
  EXPECT_EQ(SLUICE_POLL_FAILED, 3);
}
