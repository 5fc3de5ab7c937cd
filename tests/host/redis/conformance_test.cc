// The engine on Redis against the one suite, under both clocks and each way of writing a file.
//
// The server's own clock stands still as well, and moves when told: fixtures/still_clock.c.

#include "host/stream/conformance.h"
#include "fixtures/redis_server.h"
#include "fixtures/still_clock.h"
#include "redis/redis_store.h"

namespace sluice::stream::conformance {

namespace {

using testing::RedisServer;
using Append = RedisServer::Append;

constexpr int64_t kStartMs = 1'700'000'000'000;

class RedisBackend final : public Backend {
 public:
  RedisBackend(Append append, bool recorded) : append_(append), recorded_(recorded) {
    RedisServer::Options options;
    options.append = append;
    if (!recorded) {
      still_ = std::make_unique<testing::StillClock>(clock_.now());
      options.environment = still_->environment();
    }
    server_ = std::make_unique<RedisServer>(options);
    open();
  }

  Store& store() override { return *store_; }
  void advance(milliseconds by) override {
    clock_.advance(by);
    if (still_) still_->set(clock_.now());
  }
  WallTime now() const override { return clock_.now(); }
  void reopen() override {
    store_.reset();
    open();
  }
  // The host goes without a word; with a file that is written at once so does the server.
  void crash_and_reopen() override {
    store_.reset();
    if (append_ == Append::kAlways) server_->restart();
    open();
  }
  void settle() override { ASSERT_TRUE(store_->settle().is_ok()); }

 private:
  void open() {
    redis::Options options;
    options.servers.target.endpoints = {server_->endpoint()};
    options.recorded = recorded_;
    options.numbers_age_max = milliseconds(0);
    auto store = redis::RedisStore::open(options, redis::system_network(), clock_);
    ASSERT_TRUE(store.is_ok()) << store.status().text();
    store_ = std::move(store).value();
  }

  const Append append_;
  const bool recorded_;
  ManualClock clock_{from_ms(kStartMs)};
  std::unique_ptr<testing::StillClock> still_;  // the server's, unless it is recorded
  std::unique_ptr<RedisServer> server_;
  std::unique_ptr<redis::RedisStore> store_;
};

template <Append append, bool recorded>
std::unique_ptr<Backend> make_redis() {
  return std::make_unique<RedisBackend>(append, recorded);
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(RedisServersClock, StoreConformance,
                         ::testing::Values(&make_redis<Append::kNo, false>,
                                           &make_redis<Append::kEverySecond, false>,
                                           &make_redis<Append::kAlways, false>));
INSTANTIATE_TEST_SUITE_P(RedisRecordedClock, StoreConformance,
                         ::testing::Values(&make_redis<Append::kNo, true>,
                                           &make_redis<Append::kEverySecond, true>,
                                           &make_redis<Append::kAlways, true>));

}  // namespace sluice::stream::conformance
