#include "graph/listen_address.h"

#include <gtest/gtest.h>

namespace sluice::graph {
namespace {

TEST(ListenAddress, OneFormForAllThatMeanTheSame) {
  for (const char* text : {"9100", ":9100", "localhost:9100", "127.0.0.1:9100", "127.0.0.1:09100"})
    EXPECT_EQ(parse_listen_address(text), "127.0.0.1:9100") << text;
  EXPECT_EQ(parse_listen_address("[0:0:0:0:0:0:0:1]:9100"), "[::1]:9100");
  EXPECT_EQ(parse_listen_address("[::]:0"), "[::]:0");
  EXPECT_EQ(parse_listen_address("0.0.0.0:65535"), "0.0.0.0:65535");
}

TEST(ListenAddress, WhatIsNoAddressIsNone) {
  for (const char* text :
       {"", ":", "a", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1",
        "127.0.0.1: 1", "127.0.0:1", "256.0.0.1:1", "::1:9100", "[::1]", "[::1:9100", "[]:1",
        "[127.0.0.1]:1", "monitor.example:9100", "http://127.0.0.1:9100", "127.0.0.1:9100/metrics"})
    EXPECT_EQ(parse_listen_address(text), std::nullopt) << text;
}

}  // namespace
}  // namespace sluice::graph
