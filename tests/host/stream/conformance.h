// What every engine must do: store.h, sentence by sentence.
//
// A backend's test file includes this once and instantiates the suite with a factory:
//   INSTANTIATE_TEST_SUITE_P(Embedded, StoreConformance, ::testing::Values(&make_backend));
// Times come from the backend's clock; a backend on a real clock may advance it by waiting.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "host/stream/units.h"
#include "stream/store.h"

namespace sluice::stream::conformance {

using namespace std::chrono_literals;

// A store under test and the world around it.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual Store& store() = 0;
  virtual void advance(milliseconds by) = 0;
  virtual WallTime now() const = 0;
  // Closes and opens again.
  virtual void reopen() = 0;
  // The process is killed, then the store is opened again; what was committed is there.
  virtual void crash_and_reopen() = 0;
  // Returns when what the engine does later is done: trimming, and telling the listener.
  virtual void settle() {}
};

using BackendFactory = std::unique_ptr<Backend> (*)();

// Remembers what it was told. A change may be told more than once.
class Recorder final : public Listener {
 public:
  void stream_appended(StreamId stream) override {
    std::lock_guard lock(mutex_);
    streams_.push_back(stream);
  }
  void key_changed(std::string_view key) override {
    std::lock_guard lock(mutex_);
    keys_.emplace(key);
  }
  std::vector<StreamId> streams() {
    std::lock_guard lock(mutex_);
    return streams_;
  }
  // Since the last time.
  std::set<std::string> take_keys() {
    std::lock_guard lock(mutex_);
    return std::exchange(keys_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<StreamId> streams_;
  std::set<std::string> keys_;
};

class StoreConformance : public ::testing::TestWithParam<BackendFactory> {
 protected:
  StoreConformance() : backend_(GetParam()()) {}

  Store& store() { return backend_->store(); }

  StreamId stream(std::string_view name, StreamOptions options = {}) {
    auto id = store().open_stream(name, options);
    EXPECT_TRUE(id.is_ok()) << id.status().text();
    return *id;
  }
  GroupId group(StreamId stream, std::string_view name, GroupStart start = GroupStart::kBeginning) {
    auto id = store().open_group(stream, name, start);
    EXPECT_TRUE(id.is_ok()) << id.status().text();
    return *id;
  }
  CommitResult commit(std::vector<Unit> units, const ReadRequest* next = nullptr) {
    auto result = store().commit(units, next);
    EXPECT_TRUE(result.is_ok()) << result.status().text();
    return result.is_ok() ? *result : CommitResult{};
  }
  UnitOutcome apply(std::vector<Condition> conditions, std::vector<Effect> effects = {}) {
    Unit unit;
    unit.conditions = std::move(conditions);
    unit.effects = std::move(effects);
    return commit({unit}).outcomes.at(0);
  }
  EntryId append(StreamId stream, const Fields& fields) {
    return apply({}, {emit(stream, fields)}).emitted.at(0);
  }
  std::vector<EntryId> append_many(StreamId stream, int count) {
    std::vector<EntryId> ids;
    for (int i = 0; i < count; ++i) ids.push_back(append(stream, {{"n", std::to_string(i)}}));
    return ids;
  }
  std::vector<Delivery> read_as(std::string_view consumer, GroupId group, size_t count = 100) {
    auto deliveries = store().read({group, consumer, count});
    EXPECT_TRUE(deliveries.is_ok()) << deliveries.status().text();
    return deliveries.is_ok() ? *deliveries : std::vector<Delivery>{};
  }
  std::vector<Delivery> claim_as(std::string_view consumer, GroupId group, milliseconds idle_min,
                                 EntryId after = {}, size_t count = 100) {
    auto deliveries = store().claim({group, consumer, count}, idle_min, after);
    EXPECT_TRUE(deliveries.is_ok()) << deliveries.status().text();
    return deliveries.is_ok() ? *deliveries : std::vector<Delivery>{};
  }
  static Unit ack_of(GroupId group, EntryId entry, std::vector<Effect> effects = {}) {
    Unit unit;
    unit.group = group;
    unit.entry = entry;
    unit.effects = std::move(effects);
    return unit;
  }
  UnitState ack(GroupId group, EntryId entry) {
    return commit({ack_of(group, entry)}).outcomes.at(0).state;
  }
  std::optional<std::string> text_of(std::string_view key) {
    auto value = store().get(key);
    EXPECT_TRUE(value.is_ok());
    if (!value.is_ok() || !value->has_value()) return std::nullopt;
    return (*value)->bytes;
  }
  int64_t count_of(std::string_view counter) { return *store().counter(counter); }
  static std::vector<EntryId> ids_of(const std::vector<Delivery>& deliveries) {
    std::vector<EntryId> ids;
    for (const Delivery& delivery : deliveries) ids.push_back(delivery.entry.id);
    return ids;
  }
  // What is there once trimming is done.
  uint64_t length_of(StreamId stream) {
    backend_->settle();
    return store().length(stream);
  }
  std::vector<EntryId> stored(StreamId stream) {
    backend_->settle();
    std::vector<EntryId> ids;
    const auto entries = *store().range(stream, {}, 10'000);
    for (const Entry& entry : entries) ids.push_back(entry.id);
    return ids;
  }

  std::unique_ptr<Backend> backend_;
};

// --- Streams and groups

TEST_P(StoreConformance, AStreamIsCreatedOnceAndFoundByName) {
  EXPECT_EQ(store().find_stream("orders"), 0u);
  const StreamId id = stream("orders");
  EXPECT_NE(id, 0u);
  EXPECT_EQ(stream("orders"), id);
  EXPECT_EQ(store().find_stream("orders"), id);
  EXPECT_NE(stream("results"), id);
}

TEST_P(StoreConformance, IdsAscendAlsoWithinAMillisecondAndOverReopening) {
  const StreamId id = stream("s");
  std::vector<EntryId> ids = append_many(id, 3);
  backend_->advance(5ms);
  ids.push_back(append(id, {}));
  backend_->reopen();
  ids.push_back(append(stream("s"), {}));
  for (size_t i = 1; i < ids.size(); ++i) EXPECT_LT(ids[i - 1], ids[i]);
}

TEST_P(StoreConformance, AGroupFromTheEndSeesOnlyWhatComesLater) {
  const StreamId id = stream("s");
  append_many(id, 2);
  const GroupId all = group(id, "all");
  const GroupId later = group(id, "later", GroupStart::kEnd);
  const EntryId third = append(id, {{"n", "3"}});
  EXPECT_EQ(read_as("c", all).size(), 3u);
  EXPECT_EQ(ids_of(read_as("c", later)), std::vector<EntryId>{third});
  EXPECT_EQ(group(id, "later", GroupStart::kBeginning), later);
  EXPECT_TRUE(read_as("c", later).empty());
}

TEST_P(StoreConformance, UnknownHandlesAreRefused) {
  EXPECT_EQ(store().open_group(77, "g", GroupStart::kEnd).status().code(), Code::kInvalid);
  EXPECT_EQ(store().read({77, "c", 1}).status().code(), Code::kInvalid);
  EXPECT_EQ(store().claim({77, "c", 1}, 0ms, {}).status().code(), Code::kInvalid);
  Unit unit;
  const Fields none;
  unit.effects = {put("k", "v"), emit(77, none)};
  EXPECT_EQ(store().commit({&unit, 1}).status().code(), Code::kInvalid);
  EXPECT_EQ(text_of("k"), std::nullopt);
}

// --- Reading

TEST_P(StoreConformance, ReadGivesOldestFirstUpToTheCountAndMakesPending) {
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 3);
  const auto first = read_as("c1", g, 2);
  EXPECT_EQ(ids_of(first), (std::vector<EntryId>{ids[0], ids[1]}));
  EXPECT_EQ(first[1].entry.fields.find("n"), "1");
  EXPECT_EQ(first[0].delivery_count, 1u);
  EXPECT_EQ(first[0].first_delivered_at, backend_->now());
  EXPECT_EQ(ids_of(read_as("c2", g)), std::vector<EntryId>{ids[2]});
  EXPECT_TRUE(read_as("c1", g).empty());
  EXPECT_EQ(store().pending(g), 3u);
  EXPECT_EQ(store().lag(g), 0u);
}

TEST_P(StoreConformance, ReadStopsAtTheBytesAskedForButGivesAtLeastOne) {
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  for (int i = 0; i < 3; ++i) append(id, {{"v", std::string(100, 'x')}});
  EXPECT_EQ(store().read({g, "c", 10, 1})->size(), 1u);
  EXPECT_EQ(store().read({g, "c", 10, 1000})->size(), 2u);
}

TEST_P(StoreConformance, GroupsOfOneStreamReadIndependently) {
  const StreamId id = stream("s");
  const GroupId a = group(id, "a");
  const GroupId b = group(id, "b");
  const auto ids = append_many(id, 2);
  EXPECT_EQ(ids_of(read_as("c", a)), ids);
  EXPECT_EQ(store().lag(b), 2u);
  EXPECT_EQ(ids_of(read_as("c", b)), ids);
}

TEST_P(StoreConformance, ClaimTakesIdleEntriesOfOthersAndCountsADelivery) {
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 2);
  const WallTime first_at = backend_->now();
  read_as("c1", g, 1);
  backend_->advance(100ms);
  read_as("c1", g, 1);
  EXPECT_TRUE(claim_as("c2", g, 200ms).empty());
  const auto claimed = claim_as("c2", g, 100ms);
  EXPECT_EQ(ids_of(claimed), std::vector<EntryId>{ids[0]});
  EXPECT_EQ(claimed[0].delivery_count, 2u);
  EXPECT_EQ(claimed[0].first_delivered_at, first_at);
  EXPECT_EQ(claimed[0].entry.fields.find("n"), "0");
  const auto pending = *store().pending_entries(g, 10);
  ASSERT_EQ(pending.size(), 2u);
  EXPECT_EQ(pending[0].consumer, "c2");
  EXPECT_EQ(pending[0].delivery_count, 2u);
  EXPECT_EQ(pending[0].last_delivered_at, backend_->now());
  EXPECT_EQ(pending[1].consumer, "c1");
  EXPECT_TRUE(claim_as("c3", g, 100ms).empty()) << "a claim starts the idle time anew";
}

TEST_P(StoreConformance, ClaimWithoutIdleTimeGivesAllPendingBehindAnId) {
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 4);
  read_as("c", g, 3);
  EXPECT_EQ(ids_of(claim_as("c", g, 0ms)), (std::vector<EntryId>{ids[0], ids[1], ids[2]}));
  EXPECT_EQ(ids_of(claim_as("c", g, 0ms, ids[0])), (std::vector<EntryId>{ids[1], ids[2]}));
  EXPECT_EQ(ids_of(claim_as("c", g, 0ms, {}, 1)), std::vector<EntryId>{ids[0]});
}

TEST_P(StoreConformance, DeliveryCountsSurviveACrashThatTheEntryCaused) {
  const StreamId id = stream("s");
  append(id, {{"n", "1"}});
  const WallTime first_at = backend_->now();
  for (uint32_t count = 1; count <= 3; ++count) {
    const GroupId g = group(stream("s"), "g");
    if (count == 1) read_as("c", g);
    if (count > 1) {
      const auto back = claim_as("c", g, 0ms);
      ASSERT_EQ(back.size(), 1u);
      EXPECT_EQ(back[0].delivery_count, count);
      EXPECT_EQ(back[0].first_delivered_at, first_at);
    }
    backend_->advance(10ms);
    backend_->crash_and_reopen();
  }
}

// --- Units

TEST_P(StoreConformance, AUnitAppliesEffectsAndAckTogether) {
  const StreamId in = stream("in");
  const StreamId out = stream("out");
  const GroupId g = group(in, "g");
  const EntryId entry = append(in, {{"n", "1"}});
  read_as("c", g);
  const Fields fields{{"made", "yes"}};
  const auto result = commit({ack_of(g, entry, {emit(out, fields), put("k", "v")})});
  ASSERT_EQ(result.outcomes.size(), 1u);
  EXPECT_EQ(result.outcomes[0].state, UnitState::kApplied);
  ASSERT_EQ(result.outcomes[0].emitted.size(), 1u);
  EXPECT_GT(result.seq, 0u);
  EXPECT_EQ(store().pending(g), 0u);
  EXPECT_EQ(text_of("k"), "v");
  const auto entries = *store().range(out, {}, 10);
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries[0].id, result.outcomes[0].emitted[0]);
  EXPECT_EQ(entries[0].fields, fields);
}

TEST_P(StoreConformance, AUnitOfAnEntryThatIsNotPendingIsFencedAndLeavesNoTrace) {
  const StreamId in = stream("in");
  const GroupId g = group(in, "g");
  const EntryId entry = append(in, {});
  EXPECT_EQ(commit({ack_of(g, entry, {put("k", "1")})}).outcomes[0].state, UnitState::kFenced);
  read_as("c", g);
  EXPECT_EQ(ack(g, entry), UnitState::kApplied);
  const auto again = commit({ack_of(g, entry, {put("k", "2"), emit(in, {})})});
  EXPECT_EQ(again.outcomes[0].state, UnitState::kFenced);
  EXPECT_EQ(again.seq, 0u);
  EXPECT_EQ(text_of("k"), std::nullopt);
}

TEST_P(StoreConformance, TheFenceHoldsWithinOneBatchAndOverACrash) {
  const StreamId in = stream("in");
  GroupId g = group(in, "g");
  const EntryId entry = append(in, {});
  read_as("c", g);
  const auto both = commit({ack_of(g, entry, {put("k", "1")}), ack_of(g, entry, {put("k", "2")})});
  EXPECT_EQ(both.outcomes[0].state, UnitState::kApplied);
  EXPECT_EQ(both.outcomes[1].state, UnitState::kFenced);
  backend_->crash_and_reopen();
  g = group(stream("in"), "g");
  EXPECT_EQ(ack(g, entry), UnitState::kFenced);
  EXPECT_EQ(text_of("k"), "1");
}

TEST_P(StoreConformance, WithoutAckTheEntryStaysPending) {
  const StreamId in = stream("in");
  const GroupId g = group(in, "g");
  const EntryId entry = append(in, {});
  read_as("c", g);
  Unit before = ack_of(g, entry, {put("sent", "1")});
  before.ack = false;
  EXPECT_EQ(commit({before}).outcomes[0].state, UnitState::kApplied);
  EXPECT_EQ(store().pending(g), 1u);
  EXPECT_EQ(ack(g, entry), UnitState::kApplied);
}

TEST_P(StoreConformance, AFailedConditionLeavesNoTraceAndTheEntryPending) {
  const StreamId in = stream("in");
  const GroupId g = group(in, "g");
  const EntryId entry = append(in, {});
  read_as("c", g);
  apply({}, {put("there", "x")});
  Unit unit = ack_of(g, entry, {put("k", "v"), emit(in, {})});
  unit.conditions = {claim_key("mine", "me"), reserve("n", 1, 5), claim_key("there", "me")};
  const auto result = commit({unit});
  EXPECT_EQ(result.outcomes[0].state, UnitState::kConditionFailed);
  EXPECT_EQ(result.outcomes[0].failed_condition, 2u);
  EXPECT_EQ(result.seq, 0u);
  EXPECT_EQ(text_of("mine"), std::nullopt);
  EXPECT_EQ(text_of("k"), std::nullopt);
  EXPECT_EQ(count_of("n"), 0);
  EXPECT_EQ(store().pending(g), 1u);
  EXPECT_EQ(store().length(in), 1u);
}

TEST_P(StoreConformance, ALaterUnitSeesWhatAnEarlierOneDid) {
  Unit first, second, third;
  first.conditions = {claim_key("dedup", "first")};
  second.conditions = {claim_key("dedup", "second")};
  second.effects = {put("k", "second")};
  third.conditions = {take("dedup")};
  const auto result = commit({first, second, third});
  EXPECT_EQ(result.outcomes[0].state, UnitState::kApplied);
  ASSERT_EQ(result.outcomes[1].state, UnitState::kConditionFailed);
  ASSERT_TRUE(result.outcomes[1].met_value.has_value());
  EXPECT_EQ(result.outcomes[1].met_value->bytes, "first");
  EXPECT_EQ(result.outcomes[2].state, UnitState::kApplied);
  EXPECT_EQ(text_of("k"), std::nullopt);
  EXPECT_EQ(text_of("dedup"), std::nullopt);
}

TEST_P(StoreConformance, AUnitThatBuildsOnOneThatWasNotAppliedLeavesNoTrace) {
  const StreamId in = stream("in");
  const StreamId out = stream("out");
  const GroupId g = group(in, "g");
  const auto ids = append_many(in, 7);
  read_as("c", g);
  EXPECT_EQ(ack(g, ids[6]), UnitState::kApplied);
  const Fields fields{{"n", "1"}};
  const auto work = [&](size_t entry, std::optional<size_t> behind, std::string_view claimed) {
    Unit unit = ack_of(g, ids[entry], {emit(out, fields), put(claimed, "written")});
    unit.conditions = {claim_key(claimed, "claimed")};
    unit.behind = behind;
    return unit;
  };
  const auto result =
      commit({work(0, std::nullopt, "a"), work(1, 0, "b"), work(2, 1, "a"), work(3, 2, "c"),
              work(4, 3, "d"), work(5, std::nullopt, "e"), work(6, 2, "f")});
  std::vector<UnitState> states;
  for (const UnitOutcome& outcome : result.outcomes) states.push_back(outcome.state);
  EXPECT_EQ(states,
            (std::vector<UnitState>{UnitState::kApplied, UnitState::kApplied,
                                    UnitState::kConditionFailed, UnitState::kBehind,
                                    UnitState::kBehind, UnitState::kApplied, UnitState::kFenced}));
  EXPECT_EQ(store().length(out), 3u);
  EXPECT_EQ(store().pending(g), 3u);
  for (const std::string_view key : {"a", "b", "e"}) EXPECT_EQ(text_of(key), "written") << key;
  for (const std::string_view key : {"c", "d", "f"}) EXPECT_EQ(text_of(key), std::nullopt) << key;

  // Without a group nothing fences it either.
  Unit first, second;
  first.conditions = {take("never there")};
  second.effects = {put("k", "v")};
  second.behind = 0;
  EXPECT_EQ(commit({first, second}).outcomes.at(1).state, UnitState::kBehind);
  EXPECT_EQ(text_of("k"), std::nullopt);
}

TEST_P(StoreConformance, AUnitThatBuildsOnNoneBeforeItIsRefused) {
  Unit first, second;
  first.effects = {put("k", "v")};
  second.behind = 1;
  const std::vector<Unit> units = {first, second};
  const auto result = store().commit(units);
  ASSERT_FALSE(result.is_ok());
  EXPECT_EQ(result.status().code(), Code::kInvalid);
  EXPECT_EQ(text_of("k"), std::nullopt);
}

TEST_P(StoreConformance, CommitReadsOnInTheSameStep) {
  const StreamId in = stream("in");
  const StreamId out = stream("out");
  const GroupId g = group(in, "g");
  const GroupId h = group(out, "h");
  const auto ids = append_many(in, 3);
  read_as("c", g, 1);
  const ReadRequest next{g, "c", 1};
  EXPECT_EQ(ids_of(commit({ack_of(g, ids[0])}, &next).next), std::vector<EntryId>{ids[1]});
  EXPECT_EQ(store().pending(g), 1u);
  const ReadRequest from_out{h, "c", 10};
  const Fields fields{{"x", "y"}};
  const auto result = commit({ack_of(g, ids[1], {emit(out, fields)})}, &from_out);
  ASSERT_EQ(result.next.size(), 1u) << "what the commit itself emitted can be read";
  EXPECT_EQ(result.next[0].entry.fields, fields);
  EXPECT_EQ(result.next[0].entry.id, result.outcomes[0].emitted[0]);
}

TEST_P(StoreConformance, CommitNumbersAscendAndFlushMakesThemDurable) {
  const auto first = commit({[] {
    Unit unit;
    unit.effects = {put("a", "1")};
    return unit;
  }()});
  Unit unit;
  unit.effects = {put("b", "2")};
  const auto second = commit({unit});
  EXPECT_GT(first.seq, 0u);
  EXPECT_GT(second.seq, first.seq);
  EXPECT_EQ(store().last_commit(), second.seq);
  ASSERT_TRUE(store().flush(second.seq).is_ok());
  EXPECT_GE(store().durable(), second.seq);
  EXPECT_EQ(store().last_commit_time(), backend_->now());
}

// --- Conditions

TEST_P(StoreConformance, ClaimedKeysExpire) {
  EXPECT_EQ(apply({claim_key("k", "a", 100ms)}).state, UnitState::kApplied);
  backend_->advance(99ms);
  const auto met = apply({claim_key("k", "b", 100ms)});
  EXPECT_EQ(met.state, UnitState::kConditionFailed);
  ASSERT_TRUE(met.met_value.has_value());
  EXPECT_EQ(met.met_value->bytes, "a");
  EXPECT_EQ(met.met_value->expires_ms, to_ms(backend_->now()) + 1);
  backend_->advance(1ms);
  EXPECT_EQ(text_of("k"), std::nullopt);
  EXPECT_EQ(apply({claim_key("k", "b", 100ms)}).state, UnitState::kApplied);
}

TEST_P(StoreConformance, TakeWorksOnceAndNotOnAnExpiredKey) {
  apply({}, {put("permit", "yes", 60'000ms)});
  EXPECT_EQ(apply({take("permit")}).state, UnitState::kApplied);
  const auto again = apply({take("permit")});
  EXPECT_EQ(again.state, UnitState::kConditionFailed);
  EXPECT_FALSE(again.met_value.has_value());
  apply({}, {put("permit", "yes", 50ms)});
  backend_->advance(50ms);
  EXPECT_EQ(apply({take("permit")}).state, UnitState::kConditionFailed);
}

TEST_P(StoreConformance, UnchangedComparesBytesKindAndAbsence) {
  const Fields fields{{"a", "1"}};
  apply({}, {put("text", "x"), put_fields("hash", fields)});
  const auto ok = [&](const Condition& condition) {
    return apply({condition}).state == UnitState::kApplied;
  };
  EXPECT_TRUE(ok(unchanged("text", "x")));
  EXPECT_FALSE(ok(unchanged("text", "y")));
  EXPECT_FALSE(ok(unchanged("text", "x", true, true)));
  EXPECT_FALSE(ok(unchanged("text", "", false)));
  EXPECT_TRUE(ok(unchanged("hash", fields.encoded(), true, true)));
  EXPECT_TRUE(ok(unchanged("none", "", false)));
  EXPECT_FALSE(ok(unchanged("none", "x")));
  const auto met = apply({unchanged("text", "y")});
  ASSERT_TRUE(met.met_value.has_value());
  EXPECT_EQ(met.met_value->bytes, "x");
}

TEST_P(StoreConformance, ReserveKeepsTheLimit) {
  EXPECT_EQ(apply({reserve("n", 2, 5)}).state, UnitState::kApplied);
  EXPECT_EQ(apply({reserve("n", 3, 5)}).state, UnitState::kApplied);
  const auto full = apply({reserve("n", 1, 5)});
  EXPECT_EQ(full.state, UnitState::kConditionFailed);
  EXPECT_EQ(full.met_count, 5);
  EXPECT_EQ(full.met_until, WallTime{});  // without a window there is never room by itself
  EXPECT_EQ(count_of("n"), 5);
  EXPECT_EQ(apply({reserve("other", -1, 5)}).state, UnitState::kConditionFailed);
  EXPECT_EQ(apply({reserve("big", INT64_MAX, INT64_MAX)}).state, UnitState::kApplied);
  EXPECT_EQ(apply({reserve("big", 1, INT64_MAX)}).state, UnitState::kConditionFailed);
}

TEST_P(StoreConformance, ReservationsOfOneCounterInOneUnitAddUp) {
  EXPECT_EQ(apply({reserve("n", 3, 5), reserve("n", 3, 5)}).state, UnitState::kConditionFailed);
  EXPECT_EQ(count_of("n"), 0);
  EXPECT_EQ(apply({reserve("n", 3, 6), reserve("n", 3, 6)}).state, UnitState::kApplied);
  EXPECT_EQ(count_of("n"), 6);
}

TEST_P(StoreConformance, AFixedWindowEndsItsLengthAfterTheFirstReservation) {
  const Window window{WindowKind::kFixed, 1000ms};
  apply({reserve("n", 1, 2, window)});
  backend_->advance(900ms);
  apply({reserve("n", 1, 2, window)});
  const auto full = apply({reserve("n", 1, 2, window)});
  EXPECT_EQ(full.state, UnitState::kConditionFailed);
  EXPECT_EQ(full.met_until, from_ms(to_ms(backend_->now()) + 100));
  backend_->advance(99ms);
  EXPECT_EQ(count_of("n"), 2);
  backend_->advance(1ms);
  EXPECT_EQ(count_of("n"), 0);
  EXPECT_EQ(apply({reserve("n", 2, 2, window)}).state, UnitState::kApplied);
}

TEST_P(StoreConformance, ASlidingWindowForgetsEachReservationByItself) {
  const Window window{WindowKind::kSliding, 1000ms};
  apply({reserve("n", 1, 2, window)});
  backend_->advance(900ms);
  apply({reserve("n", 1, 2, window)});
  backend_->advance(100ms);
  EXPECT_EQ(count_of("n"), 1);
  const auto full = apply({reserve("n", 2, 2, window)});
  EXPECT_EQ(full.state, UnitState::kConditionFailed);
  EXPECT_EQ(full.met_until, from_ms(to_ms(backend_->now()) + 900));
  EXPECT_EQ(apply({reserve("n", 1, 2, window)}).state, UnitState::kApplied);
  backend_->advance(900ms);
  EXPECT_EQ(count_of("n"), 1);
}

TEST_P(StoreConformance, ReleaseGivesBackOnlyInTheWindowThatReserved) {
  for (const WindowKind kind : {WindowKind::kFixed, WindowKind::kSliding}) {
    const std::string name = kind == WindowKind::kFixed ? "fixed" : "sliding";
    const Window window{kind, 1000ms};
    const WallTime first_at = backend_->now();
    apply({reserve(name, 2, 3, window)});
    apply({}, {release(name, 1, first_at)});
    EXPECT_EQ(count_of(name), 1);
    backend_->advance(1000ms);
    apply({reserve(name, 3, 3, window)});
    apply({}, {release(name, 1, first_at)});
    EXPECT_EQ(count_of(name), 3) << name << ": somebody else's share";
    apply({}, {release(name, 10, backend_->now())});
    EXPECT_EQ(count_of(name), 0) << name << ": never below zero";
    backend_->advance(1000ms);
  }
}

// --- Keys

TEST_P(StoreConformance, KeysHoldTextOrFieldsUntilTheyExpireOrAreErased) {
  const Fields fields{{"a", "1"}, {"b", "2"}};
  apply({}, {put("text", "x"), put_fields("hash", fields), put("short", "z", 10ms)});
  const auto hash = *store().get("hash");
  ASSERT_TRUE(hash.has_value());
  EXPECT_TRUE(hash->is_fields);
  EXPECT_EQ(hash->fields().find("b"), "2");
  EXPECT_EQ(hash->expires_ms, 0);
  EXPECT_EQ((*store().get("short"))->expires_ms, to_ms(backend_->now()) + 10);
  backend_->advance(10ms);
  EXPECT_EQ(text_of("short"), std::nullopt);
  apply({}, {put("text", "longer than before"), erase("hash"), erase("never there")});
  EXPECT_EQ(text_of("text"), "longer than before");
  EXPECT_EQ(text_of("hash"), std::nullopt);
}

TEST_P(StoreConformance, PutReplacesTheExpiryToo) {
  apply({}, {put("k", "x", 10ms)});
  apply({}, {put("k", "y")});
  backend_->advance(20ms);
  EXPECT_EQ(text_of("k"), "y");
}

TEST_P(StoreConformance, ScanVisitsLiveKeysOfAPrefixInOrderUntilToldToStop) {
  apply({reserve("p:counter", 1, 1)}, {put("p:b", "2"), put("p:a", "1"), put("q:a", "3"),
                                       put("p:gone", "4", 1ms), put("p:c", "5")});
  backend_->advance(1ms);
  std::vector<std::string> seen;
  ASSERT_TRUE(store()
                  .scan("p:",
                        [&](std::string_view key, const KeyValue& value) {
                          seen.push_back(std::string(key) + "=" + value.bytes);
                          return true;
                        })
                  .is_ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"p:a=1", "p:b=2", "p:c=5"}));
  seen.clear();
  ASSERT_TRUE(store()
                  .scan("",
                        [&](std::string_view key, const KeyValue&) {
                          seen.emplace_back(key);
                          return seen.size() < 2;
                        })
                  .is_ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"p:a", "p:b"}));
}

// --- Retention

TEST_P(StoreConformance, WithoutGroupsNothingIsTrimmedUnlessKeepSaysSo) {
  const StreamId all = stream("all");
  append_many(all, 5);
  EXPECT_EQ(length_of(all), 5u);
  StreamOptions keep;
  keep.keep = 2;
  const StreamId two = stream("two", keep);
  const auto ids = append_many(two, 5);
  EXPECT_EQ(stored(two), (std::vector<EntryId>{ids[3], ids[4]}));
}

TEST_P(StoreConformance, EntriesAreTrimmedWhenEveryGroupHasAckedThem) {
  const StreamId id = stream("s");
  const GroupId a = group(id, "a");
  const GroupId b = group(id, "b");
  const auto ids = append_many(id, 3);
  read_as("c", a);
  read_as("c", b);
  for (const EntryId entry : ids) ack(a, entry);
  EXPECT_EQ(length_of(id), 3u);
  ack(b, ids[1]);
  EXPECT_EQ(length_of(id), 3u) << "never past the oldest pending entry";
  ack(b, ids[0]);
  EXPECT_EQ(stored(id), std::vector<EntryId>{ids[2]});
}

TEST_P(StoreConformance, KeepHoldsAckedEntriesAndNeverPassesAGroup) {
  StreamOptions keep;
  keep.keep = 2;
  const StreamId id = stream("s", keep);
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 4);
  EXPECT_EQ(length_of(id), 4u);
  read_as("c", g);
  ack(g, ids[0]);
  EXPECT_EQ(length_of(id), 3u);
  for (size_t i = 1; i < 4; ++i) ack(g, ids[i]);
  EXPECT_EQ(stored(id), (std::vector<EntryId>{ids[2], ids[3]}));
}

TEST_P(StoreConformance, WhatIsThereBeforeTheFirstGroupIsKeptForIt) {
  const StreamId id = stream("s");
  const auto ids = append_many(id, 4);
  StreamOptions keep;
  keep.keep = 2;
  stream("s", keep);
  EXPECT_EQ(ids_of(read_as("c", group(id, "g"))), ids);
}

TEST_P(StoreConformance, HardTrimPassesGroups) {
  StreamOptions hard;
  hard.keep = 2;
  hard.trim_hard = true;
  const StreamId id = stream("s", hard);
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 2);
  read_as("c", g, 1);
  const auto more = append_many(id, 2);
  EXPECT_EQ(stored(id), more);
  EXPECT_EQ(store().lag(g), 2u);
  EXPECT_EQ(ids_of(read_as("c", g)), more);
  EXPECT_EQ(ids_of(claim_as("c", g, 0ms)), more) << "trimmed entries do not come back";
}

TEST_P(StoreConformance, RemovedEntriesAreGoneFromReadingAndFromRange) {
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 4);
  read_as("c", g, 1);
  apply({}, {remove(id, ids[0]), remove(id, ids[2]), remove(id, {1, 1})});
  EXPECT_EQ(length_of(id), 2u);
  EXPECT_EQ(store().lag(g), 2u);
  EXPECT_EQ(stored(id), (std::vector<EntryId>{ids[1], ids[3]}));
  EXPECT_EQ(ids_of(read_as("c", g)), (std::vector<EntryId>{ids[1], ids[3]}));
  EXPECT_EQ(ids_of(claim_as("c", g, 0ms)), (std::vector<EntryId>{ids[1], ids[3]}));
}

// --- Being told

TEST_P(StoreConformance, TheListenerHearsOfStreamsOncePerCommitAndOfWatchedKeys) {
  Recorder recorder;
  store().set_listener(&recorder);
  const StreamId id = stream("s");
  store().watch("k");
  const Fields none;
  Unit unit;
  unit.effects = {emit(id, none), emit(id, none), put("k", "1"), put("unwatched", "1")};
  commit({unit, unit});
  backend_->settle();
  EXPECT_EQ(recorder.streams(), std::vector<StreamId>{id});
  EXPECT_EQ(recorder.take_keys(), std::set<std::string>{"k"});
  const auto told_of = [&](std::vector<Condition> conditions, std::vector<Effect> effects) {
    apply(std::move(conditions), std::move(effects));
    backend_->settle();
    return recorder.take_keys() == std::set<std::string>{"k"};
  };
  EXPECT_TRUE(told_of({take("k")}, {}));
  EXPECT_TRUE(told_of({claim_key("k", "me")}, {}));
  EXPECT_TRUE(told_of({}, {erase("k")}));
  EXPECT_TRUE(told_of({}, {put("k", "2")}));
  EXPECT_FALSE(told_of({claim_key("k", "no")}, {})) << "a unit that fails tells nothing";
  store().watch("k");
  store().unwatch("k");
  EXPECT_TRUE(told_of({}, {put("k", "3")})) << "watched twice, unwatched once";
  store().unwatch("k");
  EXPECT_FALSE(told_of({}, {put("k", "4")}));
  store().set_listener(nullptr);
}

// --- Looking in

TEST_P(StoreConformance, RangeReadsOnFromAnIdAndTouchesNoGroup) {
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 4);
  const auto middle = *store().range(id, ids[0], 2);
  ASSERT_EQ(middle.size(), 2u);
  EXPECT_EQ(middle[0].id, ids[1]);
  EXPECT_EQ(middle[1].fields.find("n"), "2");
  EXPECT_EQ(store().lag(g), 4u);
  EXPECT_TRUE(store().range(id, ids[3], 10)->empty());
}

TEST_P(StoreConformance, StreamInfosCountEverything) {
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 3);
  const WallTime appended_at = from_ms(static_cast<int64_t>(ids[1].ms));
  read_as("c", g, 2);
  backend_->advance(10ms);
  ack(g, ids[0]);
  backend_->settle();
  const auto infos = store().streams();
  ASSERT_EQ(infos.size(), 1u);
  EXPECT_EQ(infos[0].name, "s");
  EXPECT_EQ(infos[0].id, id);
  EXPECT_EQ(infos[0].length, 2u);
  EXPECT_EQ(infos[0].entries_added, 3u);
  EXPECT_EQ(infos[0].first, ids[1]);
  EXPECT_EQ(infos[0].last, ids[2]);
  ASSERT_EQ(infos[0].groups.size(), 1u);
  EXPECT_EQ(infos[0].groups[0].name, "g");
  EXPECT_EQ(infos[0].groups[0].id, g);
  EXPECT_EQ(infos[0].groups[0].lag, 1u);
  EXPECT_EQ(infos[0].groups[0].pending, 1u);
  EXPECT_EQ(infos[0].groups[0].last_delivered, ids[1]);
  EXPECT_EQ(infos[0].groups[0].oldest, appended_at);
}

// --- Many at once

// Eight producers send the same 100 things, each in one unit with its dedup key.
TEST_P(StoreConformance, OfCopiesThatComeAtOnceOneIsPublishedAndTheOthersMeetItsKey) {
  constexpr int kProducers = 8, kThings = 100;
  const StreamId id = stream("s");
  std::atomic<int> published = 0, met = 0, other = 0;
  std::vector<std::thread> producers;
  for (int p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (int i = 0; i < kThings; ++i) {
        // In another order each, so that they meet at other keys.
        const std::string thing = std::to_string((i * (2 * p + 1)) % kThings);
        const std::string key = "dedup:" + thing, mine = std::to_string(p);
        const Fields fields{{"thing", thing}, {"by", mine}};
        Unit unit;
        unit.conditions = {claim_key(key, mine)};
        unit.effects = {emit(id, fields)};
        const auto result = store().commit({&unit, 1}, nullptr);
        if (!result.is_ok()) {
          ++other;
          continue;
        }
        const UnitOutcome& outcome = result->outcomes.at(0);
        const bool has_met =
            outcome.state == UnitState::kConditionFailed && outcome.met_value.has_value();
        ++(outcome.state == UnitState::kApplied ? published : has_met ? met : other);
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(other, 0);
  EXPECT_EQ(published, kThings);
  EXPECT_EQ(met, (kProducers - 1) * kThings);
  const auto entries = store().range(id, {}, 10 * kThings);
  ASSERT_TRUE(entries.is_ok()) << entries.status().text();
  std::set<std::string> things;
  for (const Entry& entry : *entries) {
    const std::string thing(entry.fields.find("thing").value_or(""));
    EXPECT_TRUE(things.insert(thing).second) << thing << " is there twice";
    EXPECT_EQ(text_of("dedup:" + thing), entry.fields.find("by"));
  }
  EXPECT_EQ(things.size(), static_cast<size_t>(kThings));
}

// --- Persistence

TEST_P(StoreConformance, OverTwentyCrashesEachEntryIsDoneOnceAndNothingStaysPending) {
  const StreamId id = stream("s");
  group(id, "g");
  append_many(id, 60);
  for (int crash = 0; crash < 20; ++crash) {
    const GroupId g = group(stream("s"), "g");
    const StreamId out = stream("out");
    // What the life before left, then new ones; two of them are finished.
    auto deliveries = claim_as("c", g, 0ms);
    for (Delivery& delivery : read_as("c", g, 4)) deliveries.push_back(std::move(delivery));
    for (size_t i = 0; i < std::min<size_t>(deliveries.size(), 3); ++i) {
      Unit unit;
      unit.group = g;
      unit.entry = deliveries[i].entry.id;
      unit.effects = {emit(out, deliveries[i].entry.fields)};
      EXPECT_EQ(commit({unit, unit}).outcomes.at(1).state, UnitState::kFenced);
    }
    backend_->crash_and_reopen();
  }
  const GroupId g = group(stream("s"), "g");
  EXPECT_EQ(store().pending(g) + store().lag(g), 0u);
  std::set<std::string> done;
  const auto entries = store().range(stream("out"), {}, 1000);
  ASSERT_TRUE(entries.is_ok()) << entries.status().text();
  for (const Entry& entry : *entries)
    EXPECT_TRUE(done.emplace(entry.fields.find("n").value_or("")).second);
  EXPECT_EQ(done.size(), 60u);
}

TEST_P(StoreConformance, EverythingSurvivesReopeningAndCrashing) {
  const Window window{WindowKind::kSliding, 1000ms};
  const StreamId id = stream("s");
  const GroupId g = group(id, "g");
  const auto ids = append_many(id, 5);
  read_as("c", g, 3);
  ack(g, ids[0]);
  apply({reserve("n", 2, 9, window), claim_key("k", "v", 500ms)}, {remove(id, ids[4])});
  for (const bool crash : {false, true, false}) {
    crash ? backend_->crash_and_reopen() : backend_->reopen();
    EXPECT_EQ(stream("s"), id);
    EXPECT_EQ(group(id, "g", GroupStart::kEnd), g);
    EXPECT_EQ(stored(id), (std::vector<EntryId>{ids[1], ids[2], ids[3]}));
    EXPECT_EQ(store().pending(g), 2u);
    EXPECT_EQ(store().lag(g), 1u);
    EXPECT_EQ((*store().pending_entries(g, 1))[0].consumer, "c");
    EXPECT_EQ(count_of("n"), 2);
    EXPECT_EQ(text_of("k"), "v");
  }
  backend_->advance(1000ms);
  EXPECT_EQ(count_of("n"), 0);
  EXPECT_EQ(text_of("k"), std::nullopt);
}

}  // namespace sluice::stream::conformance
