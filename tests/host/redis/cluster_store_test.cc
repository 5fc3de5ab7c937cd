// The store on a cluster: what must lie in one slot, and what is left of a load when masters die,
// slots move and a host stands still.
//
// SLUICE_KILLS=n kills a master n times instead of once, and moves a slot as often.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "fixtures/redis_server.h"
#include "host/stream/units.h"
#include "redis/cluster.h"
#include "redis/names.h"
#include "redis/redis_store.h"

namespace sluice::redis {

namespace {

using namespace std::chrono_literals;
using stream::Delivery;
using stream::Fields;
using stream::GroupStart;
using stream::KeyValue;
using stream::Unit;
using stream::UnitState;
using stream::conformance::claim_key;
using stream::conformance::emit;
using stream::conformance::put;
using stream::conformance::reserve;
using ::testing::ElementsAre;
using testing::eventually;
using ::testing::HasSubstr;
using testing::RedisCluster;
using testing::RedisServer;

const Fields kNumber{{"n", "1"}};

int rounds() {
  const char* wanted = std::getenv("SLUICE_KILLS");
  return wanted == nullptr ? 1 : std::max(std::atoi(wanted), 1);
}

// A hash tag in the part of the slots that master `i` of 3 has at the start.
std::string tag_at(size_t i, size_t nth = 0) {
  return "{" + std::string(slot_tag(static_cast<uint16_t>(16'384 * i / 3 + 100 + nth))) + "}";
}

Options options_of(const RedisCluster& cluster, uint32_t min_replicas = 0) {
  Options options;
  options.servers.target = *parse_url(cluster.url());
  options.numbers_age_max = milliseconds(0);
  options.min_replicas = min_replicas;
  options.replicas_wait = 200ms;
  return options;
}

std::unique_ptr<RedisStore> open(const Options& options) {
  static SystemClock clock;
  auto store = RedisStore::open(options, system_network(), clock);
  EXPECT_TRUE(store.is_ok()) << store.status().text();
  return store.is_ok() ? std::move(*store) : nullptr;
}

// --- One slot

class RedisClusterStore : public ::testing::Test {
 protected:
  static RedisCluster& cluster() {
    static RedisCluster one(3);
    return one;
  }
  RedisClusterStore() {
    for (size_t i = 0; i < 3; ++i) cluster().node(i).command({"FLUSHALL"});
  }
};

TEST_F(RedisClusterStore, KeysOfItsOwnLieBesideWhatTheyBelongTo) {
  const Names names(true);
  for (const std::string key : {"rate", "{a}rate", "a}b", "{}x", "{813}", "x{", "\xff"}) {
    for (const std::string& own :
         {names.guard(key), names.expiry(key), names.clock(key), names.note(key),
          names.times(key, "{g}"), names.token(key, "{1}"), names.settle(key, "{2}"),
          names.hosts(key)}) {
      EXPECT_EQ(slot_of(own), slot_of(key)) << own << " of " << key;
      EXPECT_TRUE(is_our_key(own)) << own;
    }
  }
  EXPECT_NE(names.note("a"), names.note("{" + std::string(slot_tag(slot_of("a"))) + "}:a"));
  EXPECT_EQ(Names(false).note("rate"), "sluice:since:rate");
}

TEST_F(RedisClusterStore, ACommitOverTwoSlotsIsRefusedByNameAndNothingIsSent) {
  const auto store = open(options_of(cluster()));
  const StreamId a = *store->open_stream("{a}in", {}), b = *store->open_stream("{b}out", {});
  const auto refusal = [&](const std::vector<stream::Condition>& conditions,
                           const std::vector<stream::Effect>& effects) {
    Unit unit;
    unit.conditions = conditions;
    unit.effects = effects;
    const auto result = store->commit({&unit, 1}, nullptr);
    EXPECT_EQ(result.status().code(), Code::kInvalid);
    return result.status().text();
  };
  EXPECT_THAT(refusal({}, {emit(a, kNumber), emit(b, kNumber)}),
              HasSubstr("{a}in is in slot 15495 of the cluster and {b}out in slot 3300"));
  EXPECT_THAT(refusal({claim_key("dedup", "me")}, {emit(a, kNumber)}), HasSubstr("dedup"));
  EXPECT_THAT(refusal({reserve("rate", 1, 5)}, {emit(a, kNumber)}), HasSubstr("rate"));
  EXPECT_THAT(refusal({}, {emit(a, kNumber), put("k", "v")}), HasSubstr("k in slot 7629"));
  EXPECT_EQ(store->length(a), 0u);
  EXPECT_EQ(store->get("dedup")->has_value(), false);
}

TEST_F(RedisClusterStore, KeysAreFoundOnAllMastersAndChangesOfEachAreTold) {
  class Heard final : public stream::Listener {
   public:
    void stream_appended(StreamId) override { ++appended; }
    void key_changed(std::string_view key) override {
      std::lock_guard lock(mutex);
      keys.emplace(key);
    }
    std::atomic<int> appended{0};
    std::mutex mutex;
    std::set<std::string> keys;
  };
  const auto store = open(options_of(cluster()));
  Heard heard;
  std::set<std::string> keys;
  std::vector<GroupId> groups;
  for (size_t i = 0; i < 3; ++i) {
    keys.insert("permit:" + tag_at(i));
    store->watch("permit:" + tag_at(i));
    groups.push_back(
        *store->open_group(*store->open_stream("s" + tag_at(i), {}), "g", GroupStart::kBeginning));
  }
  ASSERT_TRUE(store->settle().is_ok());
  for (const GroupId group : groups) EXPECT_TRUE(store->read({group, "c", 1})->empty());
  store->set_listener(&heard);
  for (size_t i = 0; i < 3; ++i) {
    RedisServer& node = cluster().node(i);
    EXPECT_EQ(node.command({"SETEX", "permit:" + tag_at(i), "60", "yes"}).text, "OK");
    EXPECT_FALSE(node.command({"XADD", "s" + tag_at(i), "*", "n", "1"}).is_error());
  }
  ASSERT_TRUE(store->settle().is_ok());
  store->set_listener(nullptr);
  EXPECT_EQ(heard.keys, keys);
  EXPECT_EQ(heard.appended, 3);
  std::set<std::string> found;
  const auto visit = [&](std::string_view key, const KeyValue& value) {
    EXPECT_EQ(value.bytes, "yes");
    return found.emplace(key).second;
  };
  ASSERT_TRUE(store->scan("permit:", visit).is_ok());
  EXPECT_EQ(found, keys);
  EXPECT_EQ(store->streams().size(), 3u);
}

// --- A host that stands still

// Holds what is written while it is closed.
class Gate final : public Network {
 public:
  Result<std::unique_ptr<Stream>> connect(const Endpoint& endpoint, milliseconds timeout) override {
    SLUICE_ASSIGN(stream, system_network().connect(endpoint, timeout));
    return std::unique_ptr<Stream>(new Held(*this, std::move(stream)));
  }
  void close() { set(true); }
  void open() { set(false); }
  void wait_for_one() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ > 0; });
  }

 private:
  class Held final : public Stream {
   public:
    Held(Gate& gate, std::unique_ptr<Stream> stream) : gate_(gate), stream_(std::move(stream)) {}
    Status write(std::span<const char> bytes, milliseconds timeout) override {
      gate_.pass();
      return stream_->write(bytes, timeout);
    }
    Result<size_t> read(std::span<char> into, milliseconds timeout) override {
      return stream_->read(into, timeout);
    }
    void shut_down() override { stream_->shut_down(); }

   private:
    Gate& gate_;
    const std::unique_ptr<Stream> stream_;
  };

  void set(bool closed) {
    std::lock_guard lock(mutex_);
    closed_ = closed;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !closed_; });
    --waiting_;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
  int waiting_ = 0;
};

TEST_F(RedisClusterStore, AHostHeldForLongerThanTheClaimTimeDoublesNothing) {
  Gate gate;
  SystemClock clock;
  Options with = options_of(cluster());
  with.tracking = false;  // the gate is for calls
  with.consumer = "held";
  const auto held = std::move(*RedisStore::open(with, gate, clock));
  with.consumer = "other";
  const auto other = open(with);
  struct Host {
    StreamId in, out;
    GroupId group;
  };
  const auto enter = [](RedisStore& store) {
    const StreamId in = *store.open_stream("{a}in", {}), out = *store.open_stream("{a}out", {});
    return Host{in, out, *store.open_group(in, "g", GroupStart::kBeginning)};
  };
  const Host a = enter(*held), b = enter(*other);
  constexpr int kEntries = 20;
  for (int i = 0; i < kEntries; ++i) {
    Unit source;
    const Fields fields{{"n", std::to_string(i)}};
    source.effects = {emit(a.in, fields)};
    ASSERT_TRUE(other->commit({&source, 1}, nullptr).is_ok());
  }
  std::atomic<int> effects = 0;
  const auto work = [&](RedisStore& store, const Host& host, const std::vector<Delivery>& got) {
    std::deque<std::string> keys;
    std::deque<Fields> fields;
    std::vector<Unit> units;
    for (const Delivery& delivery : got) {
      Unit& unit = units.emplace_back();
      unit.group = host.group;
      unit.entry = delivery.entry.id;
      const std::string n(*delivery.entry.fields.find("n"));
      unit.conditions = {claim_key(keys.emplace_back("{a}dedup:" + n), "me")};
      unit.effects = {emit(host.out, fields.emplace_back(Fields{{"n", n}}))};
    }
    const auto result = store.commit(units, nullptr);
    ASSERT_TRUE(result.is_ok()) << result.status().text();
    ASSERT_TRUE(store.flush(result->seq).is_ok());
    for (const auto& outcome : result->outcomes)
      if (outcome.state == UnitState::kApplied) ++effects;
  };
  const auto mine = *held->read({a.group, "p", kEntries});
  ASSERT_EQ(mine.size(), size_t{kEntries});
  gate.close();
  std::thread frozen([&] { work(*held, a, mine); });
  gate.wait_for_one();
  std::vector<Delivery> taken;
  eventually("they are idle for 20 ms", [&] {
    taken = *other->claim({b.group, "p", kEntries}, 20ms, {});
    return !taken.empty();
  });
  ASSERT_EQ(taken.size(), size_t{kEntries});
  work(*other, b, taken);
  EXPECT_EQ(effects, kEntries);
  gate.open();
  frozen.join();
  EXPECT_EQ(effects, kEntries);
  EXPECT_EQ(other->length(b.out), uint64_t{kEntries});
  EXPECT_EQ(other->pending(b.group), 0u);
}

// --- Failover

// What a failover loses is not flushed, and is done by the next store.
TEST(RedisClusterFailover, ACommitThatTheReplicaNeverHadIsToldByFlushAndDoneAgain) {
  RedisCluster cluster(3, 1);
  const std::string tag = tag_at(0);
  RedisServer& master = cluster.node(0);
  RedisServer& replica = cluster.node(3);
  auto store = open(options_of(cluster, 1));
  const auto work = [&](RedisStore& on) {
    const StreamId in = *on.open_stream("in" + tag, {}), out = *on.open_stream("out" + tag, {});
    const GroupId group = *on.open_group(in, "g", GroupStart::kBeginning);
    Unit unit;
    unit.group = group;
    auto got = *on.claim({group, "c", 1}, 0ms, {});
    if (got.empty()) got = *on.read({group, "c", 1});
    if (got.empty()) return std::pair(UnitState::kFenced, stream::CommitSeq{0});
    unit.entry = got[0].entry.id;
    unit.effects = {emit(out, kNumber)};
    return std::pair(UnitState::kApplied, on.commit({&unit, 1}, nullptr)->seq);
  };
  Unit source;
  source.effects = {emit(*store->open_stream("in" + tag, {}), kNumber)};
  const auto sent = *store->commit({&source, 1}, nullptr);
  work(*store);  // what does not matter here but makes stream, group and entry known
  ASSERT_TRUE(store->flush(store->last_commit()).is_ok());
  EXPECT_EQ(store->durable(), store->last_commit());
  ASSERT_TRUE(store->commit({&source, 1}, nullptr).is_ok());
  ASSERT_TRUE(store->flush(store->last_commit()).is_ok());

  replica.freeze();
  master.command({"CLIENT", "KILL", "TYPE", "replica"});
  const auto [state, seq] = work(*store);
  ASSERT_EQ(state, UnitState::kApplied);
  EXPECT_EQ(store->flush(seq).code(), Code::kUnavailable);
  EXPECT_LT(store->durable(), seq);
  master.kill();
  replica.resume();
  const Status flushed = store->flush(seq);
  EXPECT_EQ(flushed.code(), Code::kIo) << flushed.text();
  EXPECT_THAT(flushed.text(), HasSubstr("1 commits were lost"));
  EXPECT_TRUE(store->flush(sent.seq).is_ok()) << "that was flushed before";

  store = open(options_of(cluster, 1));
  EXPECT_EQ(work(*store).first, UnitState::kApplied);
  EXPECT_EQ(store->length(store->find_stream("out" + tag)), 2u);
  master.start();
  eventually("the old master has it", [&] { return store->flush(store->last_commit()).is_ok(); });
}

// Producers and workers over some hash tags, each with a store of its own, and what they were
// promised. A store that cannot keep a promise is opened again, as a host would be.
class Load {
 public:
  Load(const RedisCluster& cluster, const std::vector<std::string>& tags, uint32_t min_replicas)
      : options_(options_of(cluster, min_replicas)) {
    options_.tracking = false;
    for (const std::string& tag : tags) sides_.emplace_back().tag = tag;
    for (Side& side : sides_) {
      threads_.emplace_back([this, &side] { produce(side); });
      threads_.emplace_back([this, &side] { work(side); });
    }
  }
  ~Load() { join(); }

  // Returns when every worker did `count` more.
  void wait_for(size_t count) {
    for (Side& side : sides_) {
      const size_t before = side.acted_count;
      eventually("the load goes on at " + side.tag,
                 [&] { return side.acted_count >= before + count; });
    }
  }

  // Ends the producers, then the workers when nothing is left; then looks at everything.
  void audit() {
    producing_ = false;
    join();
    const auto store = open(options_);
    for (Side& side : sides_) {
      SCOPED_TRACE(side.tag);
      const auto in = numbers(*store, "in" + side.tag), out = numbers(*store, "out" + side.tag);
      for (const auto& [n, count] : in) ASSERT_EQ(count, 1) << n << " came twice";
      for (const auto& [n, count] : out) ASSERT_EQ(count, 1) << n << " was done twice";
      for (const std::string& n : side.sent) ASSERT_EQ(in.count(n), 1u) << n << " was lost";
      for (const auto& [n, count] : in) ASSERT_EQ(out.count(n), 1u) << n << " was not done";
      for (const auto& [n, count] : side.acted) {
        ASSERT_EQ(count, 1) << n << " was acted on twice";
        ASSERT_EQ(out.count(n), 1u) << n << " was acted on and is lost";
      }
      for (const auto& [n, count] : out)
        ASSERT_EQ(store->get("dedup" + side.tag + n)->has_value(), true) << n;
      EXPECT_GT(side.acted.size(), 0u);
    }
  }

 private:
  struct Side {
    std::string tag;
    std::set<std::string> sent;        // flushed
    std::map<std::string, int> acted;  // outside, each after a flush
    std::atomic<size_t> acted_count{0};
    std::atomic<bool> produced{false};  // no more will come
  };

  // Whether replicas have it; false when it was lost or nobody can say.
  bool is_kept(RedisStore& store, stream::CommitSeq seq) const {
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (std::chrono::steady_clock::now() < end) {
      const Status flushed = store.flush(seq);
      if (flushed.is_ok()) return true;
      if (flushed.code() != Code::kUnavailable) return false;
    }
    return false;
  }

  void produce(Side& side) {
    std::unique_ptr<RedisStore> store;
    StreamId in = 0;
    for (int i = 0; producing_; ++i) {
      if (!store) {
        store = open(options_);
        in = *store->open_stream("in" + side.tag, {.keep = 1'000'000});
      }
      const std::string n = std::to_string(i);
      Unit unit;
      const Fields fields{{"n", n}};
      unit.effects = {emit(in, fields)};
      const auto result = store->commit({&unit, 1}, nullptr);
      if (result.is_ok() && is_kept(*store, result->seq))
        side.sent.insert(n);
      else
        store.reset();
    }
    side.produced = true;
  }

  void work(Side& side) {
    std::unique_ptr<RedisStore> store;
    StreamId in = 0, out = 0;
    GroupId group = 0;
    bool own = true;  // what is pending for us comes first
    for (;;) {
      if (!store) {
        store = open(options_);
        in = *store->open_stream("in" + side.tag, {.keep = 1'000'000});
        out = *store->open_stream("out" + side.tag, {.keep = 1'000'000});
        group = *store->open_group(in, "g", GroupStart::kBeginning);
        own = true;
      }
      const bool last = side.produced;
      const auto got =
          own ? store->claim({group, "w", 16}, 0ms, {}) : store->read({group, "w", 16});
      if (!got.is_ok()) {
        store.reset();
        continue;
      }
      if (got->empty()) {
        if (!own && last && store->pending(group) == 0) return;
        own = !own && last;
        continue;
      }
      if (!handle(*store, side, group, out, *got)) store.reset();
    }
  }

  // False when the store cannot keep its promise.
  bool handle(RedisStore& store, Side& side, GroupId group, StreamId out,
              const std::vector<Delivery>& got) {
    std::deque<std::string> keys;
    std::deque<Fields> fields;
    std::vector<Unit> units(got.size());
    for (size_t i = 0; i < got.size(); ++i) {
      const std::string n(*got[i].entry.fields.find("n"));
      units[i].group = group;
      units[i].entry = got[i].entry.id;
      units[i].conditions = {claim_key(keys.emplace_back("dedup" + side.tag + n), "w", 1h)};
      units[i].effects = {emit(out, fields.emplace_back(Fields{{"n", n}}))};
    }
    const auto result = store.commit(units, nullptr);
    if (!result.is_ok()) return false;
    if (!is_kept(store, result->seq == 0 ? store.last_commit() : result->seq)) return false;
    for (size_t i = 0; i < got.size(); ++i) {
      if (result->outcomes[i].state != UnitState::kApplied) continue;
      ++side.acted[std::string(*got[i].entry.fields.find("n"))];
      ++side.acted_count;
    }
    return true;
  }

  std::map<std::string, int> numbers(RedisStore& store, const std::string& name) const {
    std::map<std::string, int> counts;
    const StreamId stream = *store.open_stream(name, {.keep = 1'000'000});
    EntryId after;
    for (;;) {
      const auto entries = *store.range(stream, after, 10'000);
      if (entries.empty()) return counts;
      for (const auto& entry : entries) ++counts[std::string(*entry.fields.find("n"))];
      after = entries.back().id;
    }
  }

  void join() {
    producing_ = false;
    for (std::thread& thread : threads_)
      if (thread.joinable()) thread.join();
  }

  Options options_;
  std::deque<Side> sides_;
  std::atomic<bool> producing_{true};
  std::vector<std::thread> threads_;
};

// The node that is master of `slot`, of those that are alive.
size_t master_now(RedisCluster& cluster, uint16_t slot, size_t ask) {
  const Reply slots = cluster.node(ask).command({"CLUSTER", "SLOTS"});
  for (const Reply& range : slots.items) {
    if (slot < range.items[0].integer || slot > range.items[1].integer) continue;
    for (size_t i = 0; i < cluster.size(); ++i)
      if (cluster.node(i).port() == range.items[2].items[1].integer) return i;
  }
  throw std::runtime_error("nobody serves the slot");
}

TEST(RedisClusterFailover, AMasterKilledUnderLoadLosesNothingThatWasFlushedAndDoublesNothing) {
  RedisCluster cluster(3, 1);
  const std::vector<std::string> tags = {tag_at(0), tag_at(0, 1), tag_at(1), tag_at(2)};
  Load load(cluster, tags, 1);
  load.wait_for(100);
  for (int i = 0; i < rounds(); ++i) {
    const std::string tag = tags[static_cast<size_t>(i) % tags.size()];
    const uint16_t slot = slot_of(tag);
    const size_t dead = master_now(cluster, slot, 1);
    const size_t other = dead == 1 ? 2 : 1;
    cluster.node(dead).kill();
    eventually("its replica takes over", [&] { return master_now(cluster, slot, other) != dead; });
    cluster.node(dead).start();
    eventually("it follows", [&] { return cluster.node(dead).info("master_link_status") == "up"; });
    load.wait_for(100);
  }
  load.audit();
}

// --- Slots that move

TEST(RedisClusterMoves, ASlotMovedUnderLoadLosesNothingAndDoublesNothing) {
  RedisCluster cluster(2);
  const std::string tag = "{" + std::string(slot_tag(100)) + "}";
  Load load(cluster, {tag}, 0);
  load.wait_for(100);
  const std::string slot = std::to_string(slot_of(tag));
  for (int i = 0; i < 2 * rounds(); ++i) {
    RedisServer& from = cluster.node(static_cast<size_t>(i) % 2);
    RedisServer& to = cluster.node(static_cast<size_t>(i + 1) % 2);
    const std::string from_id = from.command({"CLUSTER", "MYID"}).text;
    const std::string to_id = to.command({"CLUSTER", "MYID"}).text;
    ASSERT_EQ(to.command({"CLUSTER", "SETSLOT", slot, "IMPORTING", from_id}).text, "OK");
    ASSERT_EQ(from.command({"CLUSTER", "SETSLOT", slot, "MIGRATING", to_id}).text, "OK");
    for (;;) {
      const Reply keys = from.command({"CLUSTER", "GETKEYSINSLOT", slot, "10"});
      if (keys.items.empty()) break;
      std::vector<std::string> move = {"MIGRATE", "127.0.0.1", std::to_string(to.port()), "", "0",
                                       "5000",    "KEYS"};
      for (const Reply& key : keys.items) move.push_back(key.text);
      const std::string moved = from.command(move).text;
      ASSERT_TRUE(moved == "OK" || moved == "NOKEY") << moved;
    }
    ASSERT_EQ(to.command({"CLUSTER", "SETSLOT", slot, "NODE", to_id}).text, "OK");
    ASSERT_EQ(from.command({"CLUSTER", "SETSLOT", slot, "NODE", to_id}).text, "OK");
    load.wait_for(100);
  }
  const auto told = [&](const char* what) {
    return cluster.node(0).info(what) + cluster.node(1).info(what);
  };
  EXPECT_THAT(told("errorstat_TRYAGAIN") + told("errorstat_ASK"), HasSubstr("count="));
  EXPECT_THAT(told("errorstat_MOVED"), HasSubstr("count="));
  load.audit();
}

}  // namespace

}  // namespace sluice::redis
