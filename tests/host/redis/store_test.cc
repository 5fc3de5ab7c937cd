// What the engine on Redis does beyond the suite that all engines share: cut connections, servers
// that refuse, what other programs write beside us, and several hosts on one server.

#include "redis/redis_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

#include "fixtures/redis_server.h"
#include "host/redis/fake_network.h"
#include "host/stream/units.h"

namespace sluice::redis {

namespace {

using stream::CommitResult;
using stream::Delivery;
using stream::Fields;
using stream::GroupStart;
using stream::KeyValue;
using stream::ReadRequest;
using stream::Unit;
using stream::UnitState;
using stream::Window;
using stream::WindowKind;
using stream::conformance::claim_key;
using stream::conformance::emit;
using stream::conformance::erase;
using stream::conformance::put;
using stream::conformance::put_fields;
using stream::conformance::release;
using stream::conformance::reserve;
using stream::conformance::take;
using stream::conformance::unchanged;
using ::testing::ElementsAre;
using testing::eventually;
using ::testing::HasSubstr;
using testing::RedisServer;

const Fields kNumber{{"n", "1"}};

class RedisStoreTest : public ::testing::Test {
 protected:
  explicit RedisStoreTest(RedisServer::Options options = {}) : server_(std::move(options)) {}

  Options options() const {
    Options options;
    options.servers.target.endpoints = {server_.endpoint()};
    options.numbers_age_max = milliseconds(0);
    return options;
  }

  std::unique_ptr<RedisStore> open(const Options& with) {
    auto store = RedisStore::open(with, network_, clock_);
    EXPECT_TRUE(store.is_ok()) << store.status().text();
    return store.is_ok() ? std::move(*store) : nullptr;
  }
  std::unique_ptr<RedisStore> open() { return open(options()); }

  // Store with the stream "in", a group "g" that has read one entry of it, and the stream "out".
  struct Pipeline {
    std::unique_ptr<RedisStore> store;
    StreamId in = 0, out = 0;
    GroupId group = 0;
    EntryId entry;
  };
  Pipeline pipeline(const Options& with) {
    Pipeline made;
    made.store = open(with);
    made.in = *made.store->open_stream("in", {});
    made.out = *made.store->open_stream("out", {});
    made.group = *made.store->open_group(made.in, "g", GroupStart::kBeginning);
    redis({"XADD", "in", "*", "n", "1"});
    made.entry = read(made, "c").at(0).entry.id;
    return made;
  }
  Pipeline pipeline() { return pipeline(options()); }

  static std::vector<Delivery> read(Pipeline& of, std::string_view consumer) {
    auto found = of.store->read({of.group, consumer, 100});
    EXPECT_TRUE(found.is_ok()) << found.status().text();
    return found.is_ok() ? *found : std::vector<Delivery>();
  }
  static Unit work(const Pipeline& of) {
    Unit unit;
    unit.group = of.group;
    unit.entry = of.entry;
    unit.effects = {emit(of.out, kNumber)};
    return unit;
  }
  static Unit source(const Pipeline& of) {
    Unit unit;
    unit.effects = {emit(of.out, kNumber)};
    return unit;
  }

  Reply redis(const std::vector<std::string>& arguments) { return server_.command(arguments); }
  int64_t number(const std::vector<std::string>& arguments) { return redis(arguments).integer; }
  std::string text(const std::vector<std::string>& arguments) { return redis(arguments).text; }
  int64_t pending() { return redis({"XPENDING", "in", "g"}).items.at(0).integer; }

  RedisServer server_;
  testing::Faults faults_;
  testing::FaultyNetwork network_{faults_};
  SystemClock clock_;
};

// --- Hosts that share a group

TEST_F(RedisStoreTest, RenewedEntriesAreNotIdleAndCountNoDelivery) {
  Pipeline made = pipeline();
  const auto about = [&] {
    return redis({"XPENDING", "in", "g", "-", "+", "1"}).items.at(0).items;
  };
  eventually("the entry is idle", [&] { return about().at(2).integer > 1000; });
  ASSERT_TRUE(made.store->renew(made.group, "another", {{made.entry}}).is_ok());
  EXPECT_GT(about().at(2).integer, 1000);
  ASSERT_TRUE(made.store->renew(made.group, "c", {{made.entry, EntryId{1, 1}}}).is_ok());
  EXPECT_LT(about().at(2).integer, 1000);
  EXPECT_EQ(about().at(1).text, "c");
  EXPECT_EQ(about().at(3).integer, 1);
  EXPECT_TRUE(made.store->shared());
}

// --- Cut connections

// Cuts the connection after every number of bytes that a commit sends or is answered with.
class RedisStoreCut : public RedisStoreTest {
 protected:
  void cut_everywhere(std::atomic<size_t> testing::Faults::*where, size_t step) {
    for (size_t bytes = 0; bytes < 100'000; bytes += step) {
      redis({"FLUSHALL"});
      Options with = options();
      with.tracking = false;  // the next bytes are those of the commit
      Pipeline made = pipeline(with);
      redis({"XADD", "in", "*", "n", "2"});
      Unit work = this->work(made), source = this->source(made);
      work.conditions = {claim_key("dedup", "me"), reserve("rate", 1, 5, kHour)};
      source.conditions = {reserve("sources", 1, 5, kHour)};
      const ReadRequest next{made.group, "c", 10};
      (faults_.*where) = bytes;
      const auto result = made.store->commit({{work, source}}, &next);
      const bool was_cut = (faults_.*where) == testing::Faults::kNever;
      (faults_.*where) = testing::Faults::kNever;
      ASSERT_TRUE(result.is_ok()) << bytes << ": " << result.status().text();
      EXPECT_NE(result->outcomes[0].state, UnitState::kConditionFailed) << bytes;
      EXPECT_EQ(result->outcomes[1].state, UnitState::kApplied) << bytes;
      EXPECT_EQ(result->outcomes[1].emitted.size(), 1u) << bytes;
      ASSERT_EQ(number({"XLEN", "out"}), 2) << bytes;
      ASSERT_EQ(text({"GET", "rate"}), "1") << bytes;
      ASSERT_EQ(text({"GET", "sources"}), "1") << bytes;
      ASSERT_EQ(result->next.size(), 1u) << bytes;
      EXPECT_EQ(result->next[0].entry.fields.find("n"), "2") << bytes;
      EXPECT_EQ(pending(), 1) << bytes;
      if (!was_cut) {
        EXPECT_GT(bytes, 100u) << "nothing was cut";
        return;
      }
    }
    FAIL() << "cut to the end";
  }
  static constexpr Window kHour{WindowKind::kFixed, milliseconds(3'600'000)};
};

TEST_F(RedisStoreCut, WhileACommitIsSentItsEffectsAreThereOnceAndNothingReadIsMissed) {
  cut_everywhere(&testing::Faults::cut_after_sent, 23);
}

TEST_F(RedisStoreCut, WhileACommitIsAnsweredItsEffectsAreThereOnceAndNothingReadIsMissed) {
  cut_everywhere(&testing::Faults::cut_after_received, 5);
}

TEST_F(RedisStoreCut, AReadThatWasCutOffIsGivenByTheNextOne) {
  Options with = options();
  with.tracking = false;
  Pipeline made = pipeline(with);
  for (size_t bytes = 1; bytes < 200; bytes += 9) {
    const std::string id = text({"XADD", "in", "*", "n", "x"});
    faults_.cut_after_received = bytes;
    const auto found = read(made, "c");
    faults_.cut_after_received = testing::Faults::kNever;
    ASSERT_EQ(found.size(), 1u) << bytes;
    EXPECT_EQ(found[0].entry.id.text(), id);
    EXPECT_TRUE(read(made, "c").empty());
  }
}

// --- Two commits under way

class RedisStoreUnderWay : public RedisStoreTest {
 protected:
  struct Two {
    Pipeline made;
    Unit first, second;
    ReadRequest next;  // of each
  };
  // Units for two entries that were read, and two more to come.
  Two two(const Options& with, size_t bytes_max = 1 << 20) {
    redis({"FLUSHALL"});
    Two two{pipeline(with), {}, {}, {}};
    redis({"XADD", "in", "*", "n", "2"});
    two.first = two.second = work(two.made);
    two.second.entry = read(two.made, "c").at(0).entry.id;
    redis({"XADD", "in", "*", "n", "3"});
    redis({"XADD", "in", "*", "n", "4"});
    two.next = {two.made.group, "c", 1, bytes_max};
    return two;
  }
  static std::vector<std::string> numbers(const std::vector<Delivery>& deliveries) {
    std::vector<std::string> numbers;
    for (const Delivery& delivery : deliveries)
      numbers.emplace_back(delivery.entry.fields.find("n").value_or("none"));
    return numbers;
  }
  void cut_everywhere(std::atomic<size_t> testing::Faults::*where, size_t step) {
    Options with = options();
    with.tracking = false;  // the next bytes are those of the commits
    for (size_t bytes = 0; bytes < 100'000; bytes += step) {
      Two of = two(with);
      (faults_.*where) = bytes;
      const auto a = of.made.store->begin_commit({&of.first, 1}, &of.next, nullptr);
      const auto b = of.made.store->begin_commit({&of.second, 1}, &of.next, a.get());
      const auto first = a->wait(), second = b->wait();
      const bool was_cut = (faults_.*where) == testing::Faults::kNever;
      (faults_.*where) = testing::Faults::kNever;
      ASSERT_TRUE(first.is_ok() && second.is_ok()) << bytes;
      EXPECT_NE(first->outcomes[0].state, UnitState::kConditionFailed) << bytes;
      ASSERT_EQ(number({"XLEN", "out"}), 2) << bytes;
      std::vector<Delivery> found = first->next;
      found.insert(found.end(), second->next.begin(), second->next.end());
      for (const Delivery& delivery : read(of.made, "c")) found.push_back(delivery);
      ASSERT_THAT(numbers(found), ElementsAre("3", "4")) << bytes;
      EXPECT_EQ(pending(), 2) << bytes;
      if (!was_cut) {
        EXPECT_GT(bytes, 100u) << "nothing was cut";
        return;
      }
    }
    FAIL() << "cut to the end";
  }
};

TEST_F(RedisStoreUnderWay, TwoAreAppliedInOrderOnOneConnectionAndEachReadsOn) {
  Options with = options();
  with.tracking = false;  // it connects when it likes
  Two of = two(with);
  const size_t connected = faults_.connected;
  const auto a = of.made.store->begin_commit({&of.first, 1}, &of.next, nullptr);
  const auto b = of.made.store->begin_commit({&of.second, 1}, &of.next, a.get());
  EXPECT_EQ(faults_.connected, connected);
  const auto first = a->wait(), second = b->wait();
  ASSERT_TRUE(first.is_ok() && second.is_ok());
  EXPECT_LT(first->outcomes[0].emitted.at(0), second->outcomes[0].emitted.at(0));
  EXPECT_THAT(numbers(first->next), ElementsAre("3"));
  EXPECT_THAT(numbers(second->next), ElementsAre("4"));
}

TEST_F(RedisStoreUnderWay, CutWhileTheyAreSentTheirEffectsAreThereOnceAndNothingReadIsMissed) {
  cut_everywhere(&testing::Faults::cut_after_sent, 41);
}

TEST_F(RedisStoreUnderWay, CutWhileTheyAreAnsweredTheirEffectsAreThereOnceAndNothingReadIsMissed) {
  cut_everywhere(&testing::Faults::cut_after_received, 7);
}

TEST_F(RedisStoreUnderWay, WhatTheFirstKeepsBackComesBeforeWhatTheSecondRead) {
  Two of = two(options(), 1);
  of.next.count_max = 2;
  ReadRequest one = of.next;
  one.count_max = 1;
  const auto a = of.made.store->begin_commit({&of.first, 1}, &of.next, nullptr);
  redis({"XADD", "in", "*", "n", "5"});
  const auto b = of.made.store->begin_commit({&of.second, 1}, &one, a.get());
  const auto first = a->wait(), second = b->wait();
  EXPECT_THAT(numbers(first->next), ElementsAre("3"));
  EXPECT_THAT(numbers(second->next), ElementsAre("4"));
  EXPECT_THAT(numbers(read(of.made, "c")), ElementsAre("5"));
}

TEST_F(RedisStoreUnderWay, OneThatNobodyWaitsForDisturbsNoLaterCall) {
  Two of = two(options());
  of.made.store->begin_commit({&of.first, 1}, nullptr, nullptr).reset();
  const auto second = of.made.store->commit({&of.second, 1}, nullptr);
  ASSERT_TRUE(second.is_ok());
  EXPECT_EQ(second->outcomes[0].state, UnitState::kApplied);
}

TEST_F(RedisStoreUnderWay, UnitsThatCannotBeAreTheWaitsError) {
  Two of = two(options());
  of.first.effects[0].stream = 99;
  const auto a = of.made.store->begin_commit({&of.first, 1}, &of.next, nullptr);
  const auto b = of.made.store->begin_commit({&of.second, 1}, &of.next, a.get());
  EXPECT_EQ(a->wait().status().code(), Code::kInvalid);
  EXPECT_TRUE(b->wait().is_ok());
}

TEST_F(RedisStoreTest, AServerThatStaysAwayGivesUnavailableAndWorksOnWhenItIsBack) {
  Options with = options();
  with.servers.give_up_after = milliseconds(50);
  with.servers.timeouts = {milliseconds(50), milliseconds(50)};
  Pipeline made = pipeline(with);
  server_.kill();
  EXPECT_EQ(made.store->commit({{work(made)}}, nullptr).status().code(), Code::kUnavailable);
  EXPECT_EQ(made.store->read({made.group, "c", 1}).status().code(), Code::kUnavailable);
  server_.start();
  EXPECT_TRUE(made.store->get("k").is_ok());
}

// --- What servers answer

TEST_F(RedisStoreTest, ScriptsThatTheServerForgotAreLoadedAgain) {
  Pipeline made = pipeline();
  redis({"SCRIPT", "FLUSH"});
  const ReadRequest next{made.group, "c", 10};
  redis({"XADD", "in", "*", "n", "2"});
  const auto result = made.store->commit({{work(made)}}, &next);
  ASSERT_TRUE(result.is_ok()) << result.status().text();
  EXPECT_EQ(result->outcomes[0].state, UnitState::kApplied);
  EXPECT_EQ(result->next.size(), 1u);
  EXPECT_EQ(number({"XLEN", "out"}), 1);
}

// Whatever stops a server from writing stops the batch in front of its first write.
class RedisStoreRefused : public RedisStoreTest {
 protected:
  Options hasty() const {
    Options with = options();
    with.servers.give_up_after = milliseconds(30);
    return with;
  }
  void expect_nothing_done() {
    EXPECT_EQ(pending(), 1);
    EXPECT_EQ(number({"XLEN", "out"}), 0);
    EXPECT_EQ(number({"EXISTS", "dedup"}), 0);
  }
  Code commit_code(Pipeline& made) {
    Unit unit = work(made);
    unit.conditions = {claim_key("dedup", "me")};
    const auto result = made.store->commit({{unit}}, nullptr);
    return result.is_ok() ? Code::kOk : result.status().code();
  }
};

TEST_F(RedisStoreRefused, OutOfMemoryNothingIsAckedAndWithRoomItIs) {
  Pipeline made = pipeline(hasty());
  redis({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(commit_code(made), Code::kUnavailable);
  expect_nothing_done();
  redis({"CONFIG", "SET", "maxmemory", "0"});
  EXPECT_EQ(commit_code(made), Code::kOk);
  EXPECT_EQ(pending(), 0);
}

TEST_F(RedisStoreRefused, WithTooFewReplicasNothingIsDone) {
  Pipeline made = pipeline(hasty());
  redis({"CONFIG", "SET", "min-replicas-to-write", "1"});
  EXPECT_EQ(commit_code(made), Code::kUnavailable);
  expect_nothing_done();
}

TEST_F(RedisStoreRefused, ByAReplicaNothingIsDoneAndByItsMasterItIs) {
  Pipeline made = pipeline(hasty());
  redis({"REPLICAOF", "127.0.0.1", "1"});
  EXPECT_EQ(commit_code(made), Code::kUnavailable);
  expect_nothing_done();
  redis({"REPLICAOF", "NO", "ONE"});
  EXPECT_EQ(commit_code(made), Code::kOk);
}

TEST_F(RedisStoreRefused, WhileAScriptRunsTheCommitWaitsForItsEnd) {
  redis({"CONFIG", "SET", "lua-time-limit", "1"});
  Pipeline made = pipeline();
  std::thread busy([this] {
    auto connection = Connection::open(system_network(), server_.endpoint(), {}, {});
    Commands commands;
    commands.add({"EVAL",
                  "local t = redis.call('TIME')[1] + 0 "
                  "while redis.call('TIME')[1] - t < 2 do end",
                  "0"});
    (void)(*connection)->call(commands);
  });
  eventually("the server is busy", [this] { return redis({"PING"}).is_error(); });
  EXPECT_EQ(commit_code(made), Code::kOk);
  busy.join();
  EXPECT_EQ(pending(), 0);
}

TEST_F(RedisStoreRefused, WithoutARightTheStoreDoesNotOpenAndSaysWhich) {
  redis({"ACL", "SETUSER", "half", "on", ">word", "~*", "&*", "+@all", "-xadd"});
  Options with = options();
  with.servers.target.login = {.user = "half", .password = "word"};
  const auto store = RedisStore::open(with, network_, clock_);
  ASSERT_FALSE(store.is_ok());
  EXPECT_EQ(store.status().code(), Code::kInvalid);
  EXPECT_THAT(store.status().text(), HasSubstr("NOPERM"));
  EXPECT_THAT(store.status().text(), HasSubstr("XADD"));
}

TEST_F(RedisStoreRefused, ARightTakenAwayStopsACommitBeforeItsAck) {
  redis({"ACL", "SETUSER", "host", "on", ">word", "~*", "&*", "+@all"});
  Options with = hasty();
  with.servers.target.login = {.user = "host", .password = "word"};
  Pipeline made = pipeline(with);
  for (const char* command : {"xadd", "set", "del"}) {
    redis({"ACL", "SETUSER", "host", std::string("-") + command});
    EXPECT_EQ(commit_code(made), Code::kInvalid) << command;
    expect_nothing_done();
    redis({"ACL", "SETUSER", "host", std::string("+") + command});
  }
  EXPECT_EQ(commit_code(made), Code::kOk);
}

// Each name is what it should not be when the batch arrives.
TEST_F(RedisStoreRefused, ByATypeThatAnotherProgramWroteNothingIsDone) {
  Pipeline made = pipeline(hasty());
  const auto refused = [&](std::vector<std::string> foreign, Unit unit) {
    const std::string key = foreign[1];
    redis(foreign);
    // The first unit is fine: it must not be applied by itself.
    const auto result = made.store->commit({{work(made), unit}}, nullptr);
    EXPECT_EQ(result.status().code(), Code::kInvalid) << key;
    EXPECT_THAT(result.status().text(), HasSubstr("WRONGTYPE")) << key;
    EXPECT_THAT(result.status().text(), HasSubstr(key));
    expect_nothing_done();
    redis({"DEL", key});
  };
  const auto with = [](std::vector<stream::Condition> conditions,
                       std::vector<stream::Effect> effects) {
    Unit unit;
    unit.conditions = std::move(conditions);
    unit.effects = std::move(effects);
    return unit;
  };
  const StreamId other = *made.store->open_stream("other", {});
  const Window sliding{WindowKind::kSliding, milliseconds(1000)};
  refused({"SET", "other", "x"}, with({}, {emit(other, kNumber)}));
  refused({"SET", "other", "x"}, with({}, {stream::conformance::remove(other, {1, 1})}));
  refused({"LPUSH", "list", "x"}, with({}, {put("list", "v")}));
  refused({"XADD", "foreign", "*", "a", "b"}, with({}, {put("foreign", "v")}));
  refused({"SADD", "set", "x"}, with({}, {put_fields("set", kNumber)}));
  refused({"SADD", "set", "x"}, with({}, {erase("set")}));
  refused({"SET", "rate", "many"}, with({reserve("rate", 1, 5)}, {}));
  refused({"HSET", "rate", "a", "b"}, with({reserve("rate", 1, 5, sliding)}, {}));
  refused({"LPUSH", "rate", "b"}, with({}, {release("rate", 1, WallTime{})}));
  refused({"LPUSH", "sluice:since:rate", "b"}, with({reserve("rate", 1, 5)}, {}));
  refused({"SET", "sluice:first:in:g", "x"}, with({}, {}));
}

TEST_F(RedisStoreRefused, ByAStreamWithoutRoomForIdsNothingIsDone) {
  Pipeline made = pipeline(hasty());
  redis({"XADD", "out", "18446744073709551615-18446744073709551615", "a", "b"});
  EXPECT_EQ(commit_code(made), Code::kInvalid);
  EXPECT_EQ(pending(), 1);
  EXPECT_EQ(number({"EXISTS", "dedup"}), 0);
}

TEST_F(RedisStoreRefused, ANameUsedInTwoWaysInOneCommitIsRefused) {
  Pipeline made = pipeline(hasty());
  const auto code = [&](std::vector<stream::Condition> conditions,
                        std::vector<stream::Effect> effects) {
    Unit unit;
    unit.conditions = std::move(conditions);
    unit.effects = std::move(effects);
    return made.store->commit({{unit}}, nullptr).status().code();
  };
  EXPECT_EQ(code({reserve("k", 1, 5)}, {put("k", "v")}), Code::kInvalid);
  EXPECT_EQ(code({claim_key("out", "me")}, {emit(made.out, kNumber)}), Code::kInvalid);
  EXPECT_EQ(code({reserve("out", 1, 5)}, {emit(made.out, kNumber)}), Code::kInvalid);
  EXPECT_EQ(code({}, {put("sluice:since:k", "v")}), Code::kInvalid);
  EXPECT_EQ(number({"EXISTS", "k", "out"}), 0);
}

TEST_F(RedisStoreRefused, LargeEntriesAndHashesAreWrittenOrRefusedWhole) {
  Pipeline made = pipeline();
  Fields many, too_many;
  for (int i = 0; i < 2000; ++i) many.add("name" + std::to_string(i), "v");
  too_many = many;
  too_many.add("one", "more");
  Unit fits = work(made), unfit = work(made);
  fits.effects = {emit(made.out, many), put_fields("hash", too_many)};
  unfit.effects = {emit(made.out, too_many)};
  EXPECT_EQ(made.store->commit({{unfit}}, nullptr).status().code(), Code::kInvalid);
  EXPECT_EQ(pending(), 1);
  const auto result = made.store->commit({{fits}}, nullptr);
  ASSERT_TRUE(result.is_ok()) << result.status().text();
  EXPECT_EQ((*made.store->range(made.out, {}, 1))[0].fields, many);
  EXPECT_EQ(number({"HLEN", "hash"}), 2001);
}

TEST_F(RedisStoreTest, AGroupThatSomebodyRemovedIsMadeAnew) {
  Pipeline made = pipeline();
  redis({"XGROUP", "DESTROY", "in", "g"});
  EXPECT_EQ(read(made, "c").size(), 1u);
  redis({"XGROUP", "DESTROY", "in", "g"});
  const auto result = made.store->commit({{work(made)}}, nullptr);
  ASSERT_TRUE(result.is_ok()) << result.status().text();
  EXPECT_EQ(result->outcomes[0].state, UnitState::kFenced);
  EXPECT_EQ(number({"XLEN", "out"}), 0);
}

class RedisStoreLoading : public RedisStoreTest {
 protected:
  RedisStoreLoading()
      : RedisStoreTest(
            {.append = RedisServer::Append::kAlways, .config = sluice::testing::slow_loading()}) {}
};

TEST_F(RedisStoreLoading, AfterACrashOfTheServerTheCommitWaitsUntilItHasReadItsFile) {
  Pipeline made = pipeline();
  for (int i = 0; i < 20; ++i) redis({"SET", "k" + std::to_string(i), std::string(500, 'x')});
  server_.kill();
  server_.launch();
  const auto result = made.store->commit({{work(made)}}, nullptr);
  ASSERT_TRUE(result.is_ok()) << result.status().text();
  EXPECT_EQ(result->outcomes[0].state, UnitState::kApplied);
  EXPECT_EQ(number({"XLEN", "out"}), 1);
}

// --- Being told of others

// Counts what it is told, and waits for it.
class Ear final : public stream::Listener {
 public:
  void stream_appended(StreamId stream) override { heard("stream " + std::to_string(stream)); }
  void key_changed(std::string_view key) override { heard(std::string(key)); }

  // True when `what` comes within 10 s; forgets everything then.
  bool hears(const std::string& what) {
    std::unique_lock lock(mutex_);
    const bool came =
        told_.wait_for(lock, std::chrono::seconds(10), [&] { return heard_.contains(what); });
    heard_.clear();
    return came;
  }
  bool heard_nothing() {
    std::lock_guard lock(mutex_);
    return heard_.empty();
  }

 private:
  void heard(const std::string& what) {
    std::lock_guard lock(mutex_);
    heard_.insert(what);
    told_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable told_;
  std::set<std::string> heard_;
};

class RedisStoreTold : public RedisStoreTest {
 protected:
  RedisStoreTold() {
    EXPECT_TRUE(made_.store->settle().is_ok());
    EXPECT_TRUE(read(made_, "c").empty());
    made_.store->set_listener(&ear_);
  }
  ~RedisStoreTold() override { made_.store->set_listener(nullptr); }

  const std::string stream_name() const { return "stream " + std::to_string(made_.in); }

  Pipeline made_ = pipeline();
  Ear ear_;
};

TEST_F(RedisStoreTold, OfAppendsToAStreamThatWasReadToItsEnd) {
  redis({"XADD", "in", "*", "n", "2"});
  EXPECT_TRUE(ear_.hears(stream_name()));
  redis({"XADD", "in", "*", "n", "3"});
  ASSERT_TRUE(made_.store->settle().is_ok());
  EXPECT_TRUE(ear_.heard_nothing()) << "there was more to read already";
  EXPECT_EQ(read(made_, "c").size(), 2u);
}

// The first read brings an entry, and is answered when the second one has found none.
TEST_F(RedisStoreTold, OfAppendsBehindTwoReadsUnderWay) {
  redis({"XADD", "in", "*", "n", "2"});
  EXPECT_TRUE(ear_.hears(stream_name()));
  const ReadRequest next{made_.group, "c", 10};
  Unit units[] = {work(made_), work(made_)};
  units[1].entry = {1, 1};  // fenced
  const auto a = made_.store->begin_commit({&units[0], 1}, &next, nullptr);
  const auto b = made_.store->begin_commit({&units[1], 1}, &next, a.get());
  EXPECT_EQ(a->wait()->next.size(), 1u);
  EXPECT_TRUE(b->wait()->next.empty());
  redis({"XADD", "in", "*", "n", "3"});
  EXPECT_TRUE(ear_.hears(stream_name()));
}

TEST_F(RedisStoreTold, OfWatchedKeysThatAreSetAndErased) {
  made_.store->watch("permit:1");
  made_.store->watch("permit:2");
  redis({"SETEX", "permit:2", "60", "yes"});
  EXPECT_TRUE(ear_.hears("permit:2"));
  redis({"DEL", "permit:2"});
  EXPECT_TRUE(ear_.hears("permit:2"));
  made_.store->unwatch("permit:2");
  redis({"SET", "permit:2", "yes"});
  redis({"SET", "permit:3", "yes"});
  ASSERT_TRUE(made_.store->settle().is_ok());
  EXPECT_TRUE(ear_.heard_nothing());
}

// "permit" begins "permit:1": the server refuses to tell of both.
TEST_F(RedisStoreTold, OfKeysThatBeginWithOneAnother) {
  made_.store->watch("permit:1");
  made_.store->watch("permit");
  made_.store->watch("per:mit:2");
  for (const std::string key : {"permit:1", "permit", "per:mit:2"}) {
    redis({"SET", key, "yes"});
    EXPECT_TRUE(ear_.hears(key)) << key;
  }
}

TEST_F(RedisStoreTold, AlsoAfterTheConnectionsOfTrackingWereKilled) {
  made_.store->watch("permit:1");
  for (const char* kind : {"pubsub", "normal"}) {
    redis({"SET", "permit:1", "yes"});
    EXPECT_TRUE(ear_.hears("permit:1"));
    // The one that is told has the first kind, the one that asked and the pool have the other.
    redis({"CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes"});
    EXPECT_TRUE(ear_.hears("permit:1")) << "what came in between is not known";
    ASSERT_TRUE(made_.store->settle().is_ok());
  }
  redis({"SET", "permit:1", "again"});
  EXPECT_TRUE(ear_.hears("permit:1"));
}

TEST(Tracking, PrefixesAreCoveredByTheShortest) {
  using Names = std::set<std::string>;
  EXPECT_EQ(Tracking::shortest({"a", "ab", "abc", "b:", "b:c", "c"}), (Names{"a", "b:", "c"}));
  EXPECT_EQ(Tracking::shortest({}), Names());
}

// --- Several hosts

class RedisStoreHosts : public RedisStoreTest {
 protected:
  Pipeline host(const std::string& name) {
    Options with = options();
    with.consumer = name;
    Pipeline made;
    made.store = open(with);
    made.in = *made.store->open_stream("in", {});
    made.out = *made.store->open_stream("out", {});
    made.group = *made.store->open_group(made.in, "g", GroupStart::kBeginning);
    return made;
  }
};

TEST_F(RedisStoreHosts, EachEntryGoesToOneAndIsTheirsAfterARestart) {
  Pipeline a = host("a"), b = host("b");
  for (const char* n : {"1", "2", "3"}) redis({"XADD", "in", "*", "n", n});
  EXPECT_EQ(a.store->read({a.group, "p-stage", 2})->size(), 2u);
  EXPECT_EQ(b.store->read({b.group, "p-stage", 2})->size(), 1u);
  a.store.reset();
  a = host("a");
  const auto own = *a.store->claim({a.group, "p-stage", 10}, milliseconds(0), {});
  ASSERT_EQ(own.size(), 2u) << "b's entry is b's: b may be alive";
  EXPECT_EQ(own[0].delivery_count, 2u);
}

TEST_F(RedisStoreHosts, AnEntryTakenOverIsFencedForTheOneThatHadIt) {
  Pipeline a = host("a"), b = host("b");
  redis({"XADD", "in", "*", "n", "1"});
  a.entry = (*a.store->read({a.group, "p-stage", 1}))[0].entry.id;
  eventually("it is idle for 20 ms", [&] {
    const auto found = *b.store->claim({b.group, "p-stage", 1}, milliseconds(20), {});
    if (!found.empty()) b.entry = found[0].entry.id;
    return !found.empty();
  });
  ASSERT_EQ(b.entry, a.entry);
  EXPECT_EQ(b.store->commit({{work(b)}}, nullptr)->outcomes[0].state, UnitState::kApplied);
  EXPECT_EQ(a.store->commit({{work(a)}}, nullptr)->outcomes[0].state, UnitState::kFenced);
  EXPECT_EQ(number({"XLEN", "out"}), 1);
}

TEST_F(RedisStoreHosts, OnlyConsumersWithNothingPendingAreRemoved) {
  Pipeline a = host("a"), b = host("b");
  redis({"XADD", "in", "*", "n", "1"});
  ASSERT_EQ(a.store->read({a.group, "p-stage", 1})->size(), 1u);
  ASSERT_EQ(b.store->read({b.group, "p-stage", 1})->size(), 0u);
  redis({"XGROUP", "CREATECONSUMER", "in", "g", "python-1"});
  Options with = options();
  with.consumer = "c";
  with.consumer_idle_max = milliseconds(0);
  Pipeline c;
  c.store = open(with);
  c.in = *c.store->open_stream("in", {});
  c.group = *c.store->open_group(c.in, "g", GroupStart::kBeginning);
  ASSERT_TRUE(c.store->read({c.group, "p-stage", 1}).is_ok());
  std::set<std::string> names;
  for (const Reply& about : redis({"XINFO", "CONSUMERS", "in", "g"}).items)
    names.insert(about.items.at(1).text);
  EXPECT_TRUE(names.contains("p-stage-a")) << "it has an entry pending";
  EXPECT_FALSE(names.contains("p-stage-b"));
  EXPECT_TRUE(names.contains("python-1")) << "not one of ours";
}

TEST_F(RedisStoreHosts, AClaimAndACounterHoldAcrossHosts) {
  Pipeline a = host("a"), b = host("b");
  Unit first, second;
  first.conditions = {claim_key("dedup", "a"), reserve("rate", 3, 5)};
  second.conditions = {reserve("rate", 3, 5)};
  EXPECT_EQ(a.store->commit({{first}}, nullptr)->outcomes[0].state, UnitState::kApplied);
  const auto met = b.store->commit({{first, second}}, nullptr)->outcomes;
  EXPECT_EQ(met[0].met_value->bytes, "a");
  EXPECT_EQ(met[1].met_count, 3);
}

// --- Trimming and loss

TEST_F(RedisStoreTest, TrimmingStopsAtWhatAForeignGroupHasNotAcked) {
  Pipeline made = pipeline();
  redis({"XGROUP", "CREATE", "in", "python", "0"});
  const std::string second = text({"XADD", "in", "*", "n", "2"});
  ASSERT_TRUE(made.store->commit({{work(made)}}, nullptr).is_ok());
  ASSERT_TRUE(made.store->settle().is_ok());
  EXPECT_EQ(number({"XLEN", "in"}), 2);
  redis({"XREADGROUP", "GROUP", "python", "x", "COUNT", "1", "STREAMS", "in", ">"});
  ASSERT_TRUE(made.store->open_stream("in", {}).is_ok());
  ASSERT_TRUE(made.store->settle().is_ok());
  EXPECT_EQ(number({"XLEN", "in"}), 2) << "pending there";
  redis({"XACK", "in", "python", made.entry.text()});
  ASSERT_TRUE(made.store->open_stream("in", {}).is_ok());
  ASSERT_TRUE(made.store->settle().is_ok());
  EXPECT_EQ(number({"XLEN", "in"}), 1);
  EXPECT_EQ(redis({"XRANGE", "in", "-", "+"}).items.at(0).items.at(0).text, second);
}

TEST_F(RedisStoreTest, AKeepIsReachedInPiecesAndNotPassed) {
  const auto store = open();
  stream::StreamOptions keep;
  keep.keep = 10;
  const StreamId id = *store->open_stream("s", keep);
  for (int i = 0; i < 1000; ++i) redis({"XADD", "s", "*", "n", std::to_string(i)});
  ASSERT_TRUE(store->open_stream("s", keep).is_ok());
  ASSERT_TRUE(store->settle().is_ok());
  const auto left = *store->range(id, {}, 100);
  ASSERT_EQ(left.size(), 10u);
  EXPECT_EQ(left[0].fields.find("n"), "990");
}

TEST_F(RedisStoreTest, EntriesTrimmedByOthersBeforeAGroupReadThemAreCountedAsLost) {
  { Pipeline before = pipeline(); }
  for (int i = 0; i < 5; ++i) redis({"XADD", "in", "*", "n", "x"});
  redis({"XTRIM", "in", "MAXLEN", "2"});
  const auto store = open();
  const StreamId in = *store->open_stream("in", {});
  ASSERT_TRUE(store->open_group(in, "g", GroupStart::kBeginning).is_ok());
  EXPECT_EQ(store->lost(), 3u);
}

TEST_F(RedisStoreTest, WhatEachGroupLostIsNamed) {
  { Pipeline before = pipeline(); }
  redis({"XGROUP", "CREATE", "in", "late", "$"});
  for (int i = 0; i < 5; ++i) redis({"XADD", "in", "*", "n", "x"});
  redis({"XREADGROUP", "GROUP", "late", "c", "COUNT", "4", "STREAMS", "in", ">"});
  redis({"XTRIM", "in", "MAXLEN", "2"});
  const auto store = open();
  store->find_stream("in");
  const auto losses = store->losses();
  ASSERT_TRUE(losses.is_ok()) << losses.status().text();
  ASSERT_EQ(losses->size(), 1u);
  EXPECT_EQ(losses->front().stream, "in");
  EXPECT_EQ(losses->front().group, "g");
  EXPECT_EQ(losses->front().entries, 3u);
}

TEST_F(RedisStoreTest, AStoreThatOnlyLooksNeedsNoRightToWriteAndMakesNothing) {
  { Pipeline before = pipeline(); }
  redis({"SET", "k", "v"});
  redis({"ACL", "SETUSER", "looks", "on", ">secret", "~*", "&*", "+@read", "+@scripting",
         "+@connection", "+info", "+time"});
  Options with = options();
  with.servers.target.login.user = "looks";
  with.servers.target.login.password = "secret";
  EXPECT_FALSE(RedisStore::open(with, network_, clock_).is_ok()) << "may not write";
  with.look = true;
  with.tracking = false;
  const auto store = open(with);
  const StreamId in = store->find_stream("in");
  ASSERT_NE(in, 0u);
  ASSERT_TRUE(store->open_group(in, "g", GroupStart::kBeginning).is_ok());
  EXPECT_EQ(store->pending_entries(*store->open_group(in, "g", GroupStart::kBeginning), 10)->size(),
            1u);
  EXPECT_EQ((*store->get("k"))->bytes, "v");
  EXPECT_EQ(store->open_group(in, "other", GroupStart::kBeginning).status().code(),
            Code::kNotFound);
  EXPECT_EQ(redis({"XINFO", "GROUPS", "in"}).items.size(), 1u);
}

TEST_F(RedisStoreTest, AnEntryDeletedWhilePendingIsAckedAndCounted) {
  Pipeline made = pipeline();
  redis({"XDEL", "in", made.entry.text()});
  EXPECT_TRUE(made.store->claim({made.group, "c", 10}, milliseconds(0), {})->empty());
  EXPECT_EQ(made.store->lost(), 1u);
  EXPECT_EQ(pending(), 0);
}

// --- Replicas

class RedisStoreReplicas : public RedisStoreTest {
 protected:
  RedisStoreReplicas() : RedisStoreTest({.tcp = true}) {}
  Options one_replica() const {
    Options with = options();
    with.min_replicas = 1;
    with.replicas_wait = milliseconds(100);
    return with;
  }
};

TEST_F(RedisStoreReplicas, WithoutOneFlushIsUnavailableAndWithOneItIsDurable) {
  Pipeline made = pipeline(one_replica());
  const auto result = made.store->commit({{work(made)}}, nullptr);
  ASSERT_TRUE(result.is_ok());
  EXPECT_EQ(made.store->flush(result->seq).code(), Code::kUnavailable);
  EXPECT_LT(made.store->durable(), result->seq);
  RedisServer replica({.config = {"replicaof 127.0.0.1 " + std::to_string(server_.port())}});
  eventually("the replica has everything",
             [&] { return replica.info("master_link_status") == "up"; });
  eventually("a flush is done", [&] { return made.store->flush(result->seq).is_ok(); });
  EXPECT_GE(made.store->durable(), result->seq);
  EXPECT_EQ(replica.command({"XLEN", "out"}).integer, 1);
}

// --- Beside other programs

TEST_F(RedisStoreTest, TextAndHashesOfOthersAreReadWithTheirExpiry) {
  const auto store = open();
  redis({"SETEX", "text", "60", "yes"});
  redis({"HSET", "hash", "a", "1", "b", "2"});
  redis({"LPUSH", "list", "x"});
  const auto text = *store->get("text");
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->bytes, "yes");
  const int64_t left = text->expires_ms - to_ms(clock_.now());
  EXPECT_GT(left, 50'000);
  EXPECT_LE(left, 60'000);
  const auto hash = *store->get("hash");
  ASSERT_TRUE(hash.has_value() && hash->is_fields);
  EXPECT_EQ(hash->fields().find("b"), "2");
  // The order of a hash's fields is the server's.
  const Fields turned{{"b", "2"}, {"a", "1"}};
  Unit unit;
  unit.conditions = {unchanged("hash", turned.encoded(), true, true), take("text")};
  EXPECT_EQ(store->commit({{unit}}, nullptr)->outcomes[0].state, UnitState::kApplied);
  EXPECT_EQ(number({"EXISTS", "text"}), 0);
  unit.conditions = {take("list")};
  EXPECT_EQ(store->commit({{unit}}, nullptr)->outcomes[0].state, UnitState::kConditionFailed)
      << "a list is no permit";
}

TEST_F(RedisStoreTest, ARecordedClockGoesOnByTheMicrosecond) {
  const ManualClock recorded(from_us(1'700'000'000'123'456));
  Options with = options();
  with.recorded = true;
  const auto opened = [&] { return *RedisStore::open(with, network_, recorded); };
  stream::Unit unit;
  unit.effects = {put("k", "v")};
  ASSERT_TRUE(opened()->commit({&unit, 1}, nullptr).is_ok());
  EXPECT_EQ(opened()->last_commit_time(), recorded.now());
}

TEST_F(RedisStoreTest, APutWithoutTimeEndsTheExpiryThatAnotherSet) {
  const auto store = open();
  redis({"SETEX", "k", "60", "theirs"});
  Unit unit;
  unit.effects = {put("k", "ours")};
  ASSERT_TRUE(store->commit({{unit}}, nullptr).is_ok());
  EXPECT_EQ(number({"TTL", "k"}), -1);
  unit.effects = {put("k", "ours", milliseconds(60'000))};
  ASSERT_TRUE(store->commit({{unit}}, nullptr).is_ok());
  EXPECT_GT(number({"TTL", "k"}), 50);
}

TEST_F(RedisStoreTest, AFixedCounterIsTheOneThatOthersCountWithIncrAndExpire) {
  const auto store = open();
  const Window minute{WindowKind::kFixed, milliseconds(60'000)};
  redis({"INCR", "rate"});
  redis({"EXPIRE", "rate", "30"});
  Unit unit;
  unit.conditions = {reserve("rate", 1, 2, minute)};
  EXPECT_EQ(store->commit({{unit}}, nullptr)->outcomes[0].state, UnitState::kApplied);
  EXPECT_EQ(text({"GET", "rate"}), "2");
  EXPECT_LE(number({"TTL", "rate"}), 30) << "the window is the one that was open";
  redis({"INCR", "rate"});
  const auto met = store->commit({{unit}}, nullptr)->outcomes[0];
  EXPECT_EQ(met.state, UnitState::kConditionFailed);
  EXPECT_EQ(met.met_count, 3);
  EXPECT_EQ(*store->counter("rate"), 3);
}

TEST_F(RedisStoreTest, AmountsAreExactTo64Bits) {
  const auto store = open();
  const int64_t big = 9'007'199'254'740'993;  // not a double
  const auto reserved = [&](int64_t amount, int64_t limit) {
    Unit unit;
    unit.conditions = {reserve("big", amount, limit)};
    return store->commit({{unit}}, nullptr)->outcomes[0].state == UnitState::kApplied;
  };
  EXPECT_TRUE(reserved(big, INT64_MAX));
  EXPECT_FALSE(reserved(2, big + 1));
  EXPECT_TRUE(reserved(1, big + 1));
  EXPECT_EQ(*store->counter("big"), big + 1);
  Unit unit;
  unit.effects = {release("big", 2, clock_.now())};
  ASSERT_TRUE(store->commit({{unit}}, nullptr).is_ok());
  EXPECT_EQ(*store->counter("big"), big - 1);
}

}  // namespace

}  // namespace sluice::redis
