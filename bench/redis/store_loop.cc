#include "base/clock.h"
#include "redis/redis_store.h"
#include "redis/workload.h"

namespace sluice::bench {

namespace {

class StoreLoop final : public Contender {
 public:
  std::string name() const override { return "store"; }

  Cost run(testing::RedisServer& server, const redis::Endpoint& endpoint,
           const Workload& workload) override {
    redis::Options options;
    options.servers.target.endpoints = {endpoint};
    options.consumer = "bench";
    const SystemClock clock;
    auto store = must(redis::RedisStore::open(options, redis::system_network(), clock));
    const stream::StreamOptions keep_all{.keep = UINT32_MAX};
    const stream::StreamId in = must(store->open_stream(kIn, keep_all));
    const stream::StreamId out = must(store->open_stream(kOut, keep_all));
    const stream::GroupId group =
        must(store->open_group(in, kGroup, stream::GroupStart::kBeginning));
    const stream::ReadRequest request{
        .group = group, .consumer = "store", .count_max = workload.batch};
    StageUnits units(group, out);

    Meter meter(server);
    meter.start();
    for (auto found = must(store->read(request)); !found.empty();) {
      found = std::move(must(store->commit(units.of(found), &request)).next);
    }
    return meter.stop();
  }
};

}  // namespace

std::unique_ptr<Contender> store_loop() { return std::make_unique<StoreLoop>(); }

}  // namespace sluice::bench
