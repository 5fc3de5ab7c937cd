// What a shard's names are in Redis, and that shards share nothing.
#include "redis/shard_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixtures/redis_server.h"
#include "host/stream/units.h"
#include "redis/redis_store.h"

namespace sluice::redis {
namespace {

using stream::Fields;
using stream::Unit;
using stream::conformance::claim_key;
using stream::conformance::emit;
using stream::conformance::put;
using stream::conformance::reserve;
using ::testing::IsSupersetOf;
using testing::RedisServer;

class Shards : public ::testing::Test {
 protected:
  std::unique_ptr<ShardStore> open(uint32_t shard) {
    Options options;
    options.servers.target = *parse_url(server_.url());
    auto store = RedisStore::open(options, system_network(), clock_);
    EXPECT_TRUE(store.is_ok()) << store.status().text();
    return std::make_unique<ShardStore>(std::move(store).value(), shard_prefix("trade", shard));
  }

  std::vector<std::string> keys() {
    std::vector<std::string> names;
    for (const Reply& key : server_.command({"KEYS", "*"}).items) names.push_back(key.text);
    return names;
  }

  RedisServer server_;
  SystemClock clock_;
};

TEST_F(Shards, NamesBeginWithTheHashTagInRedisAndWithoutItHere) {
  const auto shard = open(2);
  const stream::StreamId in = *shard->open_stream("in", {});
  const Fields entry{{"n", "1"}};
  Unit unit;
  unit.conditions = {claim_key("seen:1", "me"), reserve("rate", 1, 5)};
  unit.effects = {emit(in, entry), put("position:X", "7")};
  ASSERT_TRUE(shard->commit({&unit, 1}, nullptr).is_ok());
  EXPECT_THAT(keys(), IsSupersetOf({"{trade/2}:in", "{trade/2}:seen:1", "{trade/2}:rate",
                                    "{trade/2}:position:X"}));
  EXPECT_EQ((*shard->get("position:X"))->bytes, "7");
  EXPECT_EQ(*shard->counter("rate"), 1);
  ASSERT_EQ(shard->streams().size(), 1u);
  EXPECT_EQ(shard->streams()[0].name, "in");
  std::vector<std::string> found;
  const auto visit = [&](std::string_view key, const stream::KeyValue&) {
    found.emplace_back(key);
    return true;
  };
  ASSERT_TRUE(shard->scan("position:", visit).is_ok());
  EXPECT_EQ(found, std::vector<std::string>{"position:X"});
}

TEST_F(Shards, OneShardHasNothingOfAnother) {
  const auto one = open(0), other = open(1);
  const stream::StreamId in = *one->open_stream("in", {});
  const Fields entry{{"n", "1"}};
  Unit unit;
  unit.conditions = {reserve("rate", 1, 1)};
  unit.effects = {emit(in, entry), put("kill", "1")};
  ASSERT_TRUE(one->commit({&unit, 1}, nullptr).is_ok());
  EXPECT_EQ(other->find_stream("in"), 0u);
  EXPECT_FALSE(other->get("kill")->has_value());
  EXPECT_EQ(*other->counter("rate"), 0);
  const auto visit = [](std::string_view key, const stream::KeyValue&) {
    ADD_FAILURE() << key;
    return true;
  };
  EXPECT_TRUE(other->scan("", visit).is_ok());
}

}  // namespace
}  // namespace sluice::redis
