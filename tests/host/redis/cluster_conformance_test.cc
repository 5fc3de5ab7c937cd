// The engine on a cluster against the one suite, as a shard: its names have a common hash tag
// there.
//
// The clock is the recorded one: nodes whose own clocks stand still would not find each other.

#include "fixtures/redis_server.h"
#include "host/stream/conformance.h"
#include "redis/redis_store.h"
#include "redis/shard_store.h"

namespace sluice::stream::conformance {

namespace {

class ClusterBackend final : public Backend {
 public:
  ClusterBackend() {
    for (size_t i = 0; i < cluster().size(); ++i) cluster().node(i).command({"FLUSHALL"});
    open();
  }

  Store& store() override { return *shard_; }
  void advance(milliseconds by) override { clock_.advance(by); }
  WallTime now() const override { return clock_.now(); }
  void reopen() override {
    shard_.reset();
    open();
  }
  void crash_and_reopen() override { reopen(); }
  void settle() override { ASSERT_TRUE(store_->settle().is_ok()); }

 private:
  // One for all tests: it takes longer to start than they do to run.
  static testing::RedisCluster& cluster() {
    static testing::RedisCluster one(3);
    return one;
  }

  void open() {
    redis::Options options;
    options.servers.target = *redis::parse_url(cluster().url());
    options.recorded = true;
    options.numbers_age_max = milliseconds(0);
    auto store = redis::RedisStore::open(options, redis::system_network(), clock_);
    ASSERT_TRUE(store.is_ok()) << store.status().text();
    store_ = store->get();
    shard_ = std::make_unique<redis::ShardStore>(std::move(store).value(),
                                                 redis::shard_prefix("suite", 3));
  }

  ManualClock clock_{from_ms(1'700'000'000'000)};
  redis::RedisStore* store_ = nullptr;  // of the shard
  std::unique_ptr<redis::ShardStore> shard_;
};

std::unique_ptr<Backend> make_cluster() { return std::make_unique<ClusterBackend>(); }

}  // namespace

INSTANTIATE_TEST_SUITE_P(RedisCluster, StoreConformance, ::testing::Values(&make_cluster));

}  // namespace sluice::stream::conformance
