// A store as a network gives it: away now and then, its commits of unknown outcome, and its groups
// shared with other hosts.
#include <gmock/gmock.h>

#include <mutex>
#include <set>

#include "base/memory_disk.h"
#include "fixtures/pipeline_fixture.h"
#include "runtime/patient_store.h"
#include "runtime/runtime.h"

namespace sluice::runtime {
namespace {

using ::testing::Contains;
using ::testing::Gt;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::SizeIs;

const std::string kPlugins = SLUICE_BINARY_DIR "/tests/runtime_plugins";

// Counts what is asked of the store behind it, and fails as told.
class StoreOnANetwork final : public PatientStore {
 public:
  explicit StoreOnANetwork(stream::Store& store) : PatientStore(store, {}) {}

  size_t lose_every = 0;  // commits: each so-many-th is done and says that it may not be
  size_t refuse = 0;      // calls of `flush` to refuse
  size_t overtake = 0;    // the commit before which another host acks the entry of the first unit
  std::string untouched;  // a file that must not be there meanwhile
  bool is_shared = false;

  bool shared() const override { return is_shared; }
  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override {
    auto read = PatientStore::read(request);
    const std::lock_guard lock(mutex);
    if (read && !read->empty()) ++reads;
    return read;
  }
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override {
    bool is_lost = false;
    {
      const std::lock_guard lock(mutex);
      is_lost = lose_every > 0 && ++commits % lose_every == 0;
    }
    if (overtake > 0 && !units.empty() && --overtake == 0) {
      stream::Unit ack;
      ack.group = units[0].group;
      ack.entry = units[0].entry;
      EXPECT_TRUE(PatientStore::commit({&ack, 1}, nullptr).is_ok());
    }
    // What a lost answer would have brought is for the store to hand out again.
    auto result = PatientStore::commit(units, is_lost ? nullptr : next);
    if (is_lost) return Status(Code::kUnavailable, "the connection broke");
    const std::lock_guard lock(mutex);
    if (result) brought += result->next.size();
    return result;
  }
  // Applied when it is waited for, which is as late as can be.
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay*) override {
    class Late final : public stream::CommitUnderWay {
     public:
      Late(StoreOnANetwork& store, std::span<const stream::Unit> units,
           const stream::ReadRequest* next)
          : store_(store), units_(units), next_(next) {
        store_.under_way_max = std::max(store_.under_way_max, ++store_.under_way);
      }
      Result<stream::CommitResult> wait() override {
        --store_.under_way;
        return store_.commit(units_, next_);
      }

     private:
      StoreOnANetwork& store_;
      const std::span<const stream::Unit> units_;
      const stream::ReadRequest* const next_;
    };
    return std::make_unique<Late>(*this, units, next);
  }
  Status flush(stream::CommitSeq seq) override {
    {
      const std::lock_guard lock(mutex);
      ++flushes;
      if (refuse > 0) {
        --refuse;
        touched_early = touched_early || std::filesystem::exists(untouched);
        return Status(Code::kUnavailable, "0 of 1 replicas");
      }
    }
    return PatientStore::flush(seq);
  }
  Status renew(stream::GroupId, std::string_view, std::span<const EntryId> ids) override {
    const std::lock_guard lock(mutex);
    renewed.insert(ids.begin(), ids.end());
    return Status::ok();
  }

  std::mutex mutex;
  size_t reads = 0, commits = 0, brought = 0, flushes = 0;
  bool touched_early = false;
  std::set<EntryId> renewed;
  size_t under_way = 0, under_way_max = 0;  // commits; one worker's
};

class SharedStore : public testing::PipelineTest {
 protected:
  void load_stages(const std::string& stages, const std::string& defaults = {}) {
    load(
        "api: sluice/v1\npipeline: test\nengine: { kind: embedded, path: store }\n"
        "streams:\n  in: { external: true, keep: 100000 }\n  out: { unread: true, external: true "
        "}\n  late: { unread: true, external: true }\n  dead: {}\nstages:\n" +
            stages + "defaults: { dead_letter: dead" + defaults + " }\n",
        kPlugins);
  }

  RunEnd run_on(stream::Store& store, const std::string& lines) {
    write("in.ndjson", lines);
    RunOptions options;
    options.inputs = {{0, at("in.ndjson")}};
    options.real_clock = &wall_;
    auto opened =
        Runtime::open(*pipeline_, store, clock(), manual_.get(), nullptr, std::move(options));
    EXPECT_TRUE(opened.is_ok()) << opened.status().text();
    if (!opened) return RunEnd::kStopped;
    const auto end = (*opened)->run();
    EXPECT_TRUE(end.is_ok()) << end.status().text();
    delivered_ = (*opened)->stages().front()->counts().delivered;
    return end.is_ok() ? *end : RunEnd::kStopped;
  }

  static std::string numbered(int count) {
    std::string lines;
    for (int i = 0; i < count; ++i) lines += "{\"id\":\"" + std::to_string(i) + "\",\"n\":\"1\"}\n";
    return lines;
  }

  // Appends entries to "in" before anybody reads, and lets a pipeline on a shared store have them.
  RunEnd run_shared(StoreOnANetwork& store, int count) {
    const auto in = *store_->open_stream("in", {});
    EXPECT_TRUE(
        store_->open_group(in, pipeline_->stages[0].group, stream::GroupStart::kBeginning).is_ok());
    std::vector<stream::Fields> fields(static_cast<size_t>(count));
    std::vector<stream::Unit> units(fields.size());
    for (size_t i = 0; i < fields.size(); ++i) {
      fields[i].add("id", std::to_string(i));
      fields[i].add("n", "1");
      stream::Effect emit;
      emit.stream = in;
      emit.bytes = fields[i].encoded();
      units[i].effects = {emit};
    }
    EXPECT_TRUE(store_->commit(units, nullptr).is_ok());
    store.is_shared = true;
    return run_on(store, "");
  }

  uint64_t delivered_ = 0;  // to the first stage
};

TEST_F(SharedStore, ACommitBringsTheNextEntries) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out }, batch: 10 }\n");
  open_recorded();
  StoreOnANetwork store(*store_);
  EXPECT_EQ(run_on(store, numbered(250)), RunEnd::kDrained);
  EXPECT_THAT(entries("out"), SizeIs(250));
  EXPECT_EQ(store.brought, 240u);
  EXPECT_EQ(store.reads, 1u);
}

TEST_F(SharedStore, NextEntriesOfOneKeyStayInOrderWithSeveralWorkers) {
  load_stages("  sum: { use: probe.sum, from: in, batch: 3, workers: 4, order_by: n }\n");
  open_wall();
  StoreOnANetwork store(*store_);
  EXPECT_EQ(run_on(store, numbered(400)), RunEnd::kDrained);
  EXPECT_EQ((*store_->get("sum"))->bytes, "400");
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(SharedStore, CommitsOfUnknownOutcomeLoseAndDoubleNothing) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out }, batch: 10 }\n");
  open_recorded();
  StoreOnANetwork store(*store_);
  store.lose_every = 3;
  EXPECT_EQ(run_on(store, numbered(250)), RunEnd::kDrained);
  const auto ids = values("out", "id");
  EXPECT_THAT(std::set<std::string>(ids.begin(), ids.end()), SizeIs(250));
  EXPECT_THAT(ids, SizeIs(250));
}

// The third batch has four entries, and three were called behind the one that somebody else did.
TEST_F(SharedStore, WhatBuiltOnAnEntryThatAnotherHostDidIsCalledAgain) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out }, order_by: n }\n");
  open_recorded();
  StoreOnANetwork store(*store_);
  store.overtake = 3;
  EXPECT_EQ(run_shared(store, 20), RunEnd::kDrained);
  std::vector<std::string> others;
  for (int i = 0; i < 20; ++i)
    if (i != 3) others.push_back(std::to_string(i));
  EXPECT_EQ(values("out", "id"), others);
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(SharedStore, UnderLoadTheNextBatchIsCalledWhileOneIsCommitted) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out }, batch: 10 }\n");
  open_wall();
  StoreOnANetwork store(*store_);
  store.lose_every = 3;
  EXPECT_EQ(run_shared(store, 255), RunEnd::kDrained);
  EXPECT_EQ(store.under_way_max, 2u);
  std::vector<std::string> all;
  for (int i = 0; i < 255; ++i) all.push_back(std::to_string(i));
  EXPECT_EQ(values("out", "id"), all);
}

// Two batches that changed the same key: what does not hold is called again, alone.
TEST_F(SharedStore, AnEntryThatMustBeAloneSeesWhatTheCommitUnderWayDid) {
  load_stages("  sum: { use: probe.sum, from: in, batch: 3 }\n");
  open_wall();
  StoreOnANetwork store(*store_);
  EXPECT_EQ(run_shared(store, 100), RunEnd::kDrained);
  EXPECT_EQ(store.under_way_max, 2u);
  EXPECT_EQ((*store_->get("sum"))->bytes, "100");
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(SharedStore, EntriesOfOneKeyStayInOrderWhileCommitsAreUnderWay) {
  load_stages("  sum: { use: probe.sum, from: in, batch: 3, order_by: n }\n");
  open_wall();
  StoreOnANetwork store(*store_);
  EXPECT_EQ(run_shared(store, 100), RunEnd::kDrained);
  EXPECT_EQ((*store_->get("sum"))->bytes, "100");
  EXPECT_THAT(entries("dead"), IsEmpty());
}

TEST_F(SharedStore, WithSeveralWorkersEachCommitIsWaitedFor) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out }, batch: 10, workers: 2 }\n");
  open_wall();
  StoreOnANetwork store(*store_);
  EXPECT_EQ(run_shared(store, 250), RunEnd::kDrained);
  EXPECT_EQ(store.under_way_max, 0u);
  EXPECT_THAT(entries("out"), SizeIs(250));
}

TEST_F(SharedStore, AnActWaitsUntilTheStorePromisesWhatItNeeds) {
  load_stages("  sender: { use: probe.sender, from: in, to: { out: out }, with: { world: \"" +
              at("world") + "\" } }\n");
  open_recorded();
  StoreOnANetwork store(*store_);
  store.refuse = 5;
  store.untouched = at("world");
  EXPECT_EQ(run_on(store, numbered(1)), RunEnd::kDrained);
  EXPECT_FALSE(store.touched_early);
  EXPECT_THAT(entries("out"), SizeIs(1));
  EXPECT_THAT(store.flushes, Gt(5u));
}

TEST_F(SharedStore, WhatAnotherHostLeftIsClaimedOnceItIsIdle) {
  load_stages("  copy: { use: probe.copy, from: in, to: { out: out } }\n", ", claim_idle: 100ms");
  open_wall();
  const auto in = *store_->open_stream("in", {});
  const auto group =
      *store_->open_group(in, pipeline_->stages[0].group, stream::GroupStart::kBeginning);
  stream::Fields fields;
  fields.add("id", "left");
  stream::Effect emit;
  emit.stream = in;
  emit.bytes = fields.encoded();
  stream::Unit unit;
  unit.effects = {emit};
  ASSERT_TRUE(store_->commit({&unit, 1}, nullptr).is_ok());
  ASSERT_THAT(*store_->read({group, "another host", 10}), SizeIs(1));

  // Its own come first, which on this engine are all: another name hides them.
  class OfSeveralHosts final : public PatientStore {
   public:
    using PatientStore::PatientStore;
    bool shared() const override { return true; }
    Result<std::vector<stream::Delivery>> claim(const stream::ReadRequest& request,
                                                stream::milliseconds idle_min,
                                                EntryId after) override {
      if (idle_min.count() == 0) return std::vector<stream::Delivery>();
      return PatientStore::claim(request, idle_min, after);
    }
  } store(*store_, {});
  EXPECT_EQ(run_on(store, numbered(1)), RunEnd::kDrained);
  EXPECT_THAT(values("out", "id"), Contains("left"));
  EXPECT_EQ(delivered_, 2u);
}

TEST_F(SharedStore, WhatWaitsHereIsRenewedAndNotHandledTwice) {
  load_stages(
      "  gate: { use: probe.gate, from: in, to: { out: out, late: late }, with: { window: 500ms } "
      "}\n",
      ", claim_idle: 100ms");
  open_wall();
  StoreOnANetwork store(*store_);
  store.is_shared = true;
  EXPECT_EQ(run_on(store, numbered(3)), RunEnd::kDrained);
  EXPECT_THAT(entries("late"), SizeIs(3));
  EXPECT_THAT(store.renewed, SizeIs(3));
  EXPECT_EQ(store_->pending(1), 0u);
}

TEST(PatientStore, OtherErrorsThanUnavailableAreReturnedAtOnce) {
  class Broken final : public PatientStore {
   public:
    using PatientStore::PatientStore;
    Status flush(stream::CommitSeq) override {
      ++calls;
      return calls < 4 ? Status(Code::kUnavailable, "away") : Status(Code::kIo, "gone");
    }
    int calls = 0;
  };
  MemoryDisk disk;
  ManualClock clock;
  auto inner = engine::EmbeddedStore::open("store", {.background = false}, disk, clock);
  ASSERT_TRUE(inner.is_ok());
  Broken broken(**inner, {});
  std::vector<stream::milliseconds> slept;
  PatientStore patient(broken, {.wait_min = stream::milliseconds(10),
                                .wait_max = stream::milliseconds(20),
                                .gives_up = {},
                                .sleep = [&](auto wait) { slept.push_back(wait); }});
  EXPECT_EQ(patient.flush(1).code(), Code::kIo);
  EXPECT_EQ(broken.calls, 4);
  ASSERT_THAT(slept, SizeIs(3));
  for (const auto wait : slept) EXPECT_THAT(wait.count(), Lt(21));
  EXPECT_THAT(slept.back().count(), Gt(9));
}

TEST(PatientStore, WhoGivesUpGetsTheError) {
  class Away final : public PatientStore {
   public:
    using PatientStore::PatientStore;
    Status flush(stream::CommitSeq) override { return Status(Code::kUnavailable, "away"); }
  };
  MemoryDisk disk;
  ManualClock clock;
  auto inner = engine::EmbeddedStore::open("store", {.background = false}, disk, clock);
  ASSERT_TRUE(inner.is_ok());
  Away away(**inner, {});
  int tries = 0;
  PatientStore patient(away, {.gives_up = [&] { return ++tries == 3; }, .sleep = [](auto) {}});
  EXPECT_EQ(patient.flush(1).code(), Code::kUnavailable);
  EXPECT_EQ(tries, 3);
}

}  // namespace
}  // namespace sluice::runtime
