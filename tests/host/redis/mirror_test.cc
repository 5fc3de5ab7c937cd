// A store that is moved from engine to engine goes on as one that stayed.
//
// The conformance suite runs on a store that moves at each reopening, and a random day is lived
// twice: by a store that stays, and by one that moves in between. Then what a mirror refuses.
#include "redis/mirror.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <random>

#include "engine/mirror.h"
#include "fixtures/redis_server.h"
#include "fixtures/seed.h"
#include "host/stream/conformance.h"
#include "redis/redis_store.h"

namespace sluice::stream::conformance {

namespace {

using ::testing::HasSubstr;
using testing::RedisServer;

constexpr int64_t kStartMs = 1'700'000'000'000;
const MirrorProgress kSilent = [](uint64_t, uint64_t) {};

engine::Options embedded_options() {
  engine::Options options;
  options.durability = engine::Durability::kOs;
  options.background = false;
  return options;
}

// A store under a recorded clock that moves to the other engine when told.
class MovingStore {
 public:
  MovingStore(const ManualClock& clock, bool on_redis, RedisServer& server)
      : clock_(clock), server_(server), on_redis_(on_redis) {
    server_.command({"FLUSHALL"});
    open();
  }

  Store& store() { return *store_; }
  bool on_redis() const { return on_redis_; }
  std::string path() const { return folder_ / std::to_string(round_); }

  Status settle() { return on_redis_ ? redis_->settle() : Status::ok(); }

  void move() {
    const WallTime last = store_->last_commit_time();
    const bool used = !store_->streams().empty() || last != WallTime{};
    store_.reset();
    if (!used) return open();
    const auto mirror = connect(last);
    redis::ServerMirrorReader on_server(*mirror);
    if (on_redis_) {
      ++round_;
      engine::StoreMirrorWriter writer(path(), "redis", system_disk(), clock_);
      ASSERT_EQ(writer.begin().text(), "");
      ASSERT_EQ(copy(on_server, &writer, kSilent).status().text(), "");
      expect_same(on_server, true);
      ASSERT_EQ(writer.finish().text(), "");
      // What the log says must do without the checkpoint.
      if (round_ % 2 == 0)
        for (const auto& file : std::filesystem::directory_iterator(path()))
          if (file.path().filename().string().starts_with("checkpoint"))
            std::filesystem::remove(file.path());
      server_.command({"FLUSHALL"});
    } else {
      auto reader = engine::StoreMirrorReader::open(path(), system_disk(), clock_);
      ASSERT_EQ(reader.status().text(), "");
      redis::ServerMirrorWriter writer(*mirror, path());
      ASSERT_EQ(writer.begin().text(), "");
      ASSERT_EQ(copy(**reader, &writer, kSilent).status().text(), "");
      reader->reset();  // one at a time may hold the store
      expect_same(on_server, false);
      ASSERT_EQ(writer.finish().text(), "");
    }
    on_redis_ = !on_redis_;
    open();
  }

 private:
  void open() {
    redis_ = nullptr;
    if (!on_redis_) {
      auto opened = engine::EmbeddedStore::open(path(), embedded_options(), system_disk(), clock_);
      ASSERT_EQ(opened.status().text(), "");
      store_ = std::move(*opened);
      return;
    }
    redis::Options options;
    options.servers.target.endpoints = {server_.endpoint()};
    options.recorded = true;
    options.numbers_age_max = milliseconds(0);
    auto opened = redis::RedisStore::open(options, redis::system_network(), clock_);
    ASSERT_EQ(opened.status().text(), "");
    redis_ = opened->get();
    store_ = std::move(*opened);
  }

  // Everything the server and the last folder hold belongs to the store.
  std::unique_ptr<redis::MirrorServer> connect(WallTime now) {
    redis::MirrorScope scope;
    scope.pipeline = "moved";
    scope.prefixes = {""};
    scope.is_key = scope.is_counter = [](std::string_view) { return true; };
    if (on_redis_) {
      for (const redis::Reply& name : server_.command({"KEYS", "*"}).items)
        if (server_.command({"TYPE", name.text}).text == "stream")
          scope.streams.push_back(name.text);
    } else {
      const auto reader = engine::StoreMirrorReader::open(path(), system_disk(), clock_);
      const auto streams = (*reader)->streams();
      for (const StreamState& stream : *streams) scope.streams.push_back(stream.name);
    }
    redis::Servers::Options options;
    options.target.endpoints = {server_.endpoint()};
    auto opened = redis::MirrorServer::open(options, std::move(scope), redis::system_network());
    EXPECT_EQ(opened.status().text(), "");
    (*opened)->set_recorded(std::max(now, clock_.now()));
    return std::move(*opened);
  }

  void expect_same(redis::ServerMirrorReader& on_server, bool unfinished) {
    const auto on_disk = engine::StoreMirrorReader::open(path(), system_disk(), clock_, unfinished);
    ASSERT_EQ(on_disk.status().text(), "");
    MirrorTerms terms;
    terms.now = [this] { return clock_.now(); };
    for (const bool turned : {false, true}) {
      const auto compared = turned ? compare(**on_disk, on_server, terms, kSilent)
                                   : compare(on_server, **on_disk, terms, kSilent);
      ASSERT_EQ(compared.status().text(), "");
      ASSERT_TRUE(compared->is_same()) << compared->shown.front();
    }
  }

  const ManualClock& clock_;
  RedisServer& server_;
  const testing::TempFolder folder_;
  int round_ = 0;
  bool on_redis_;
  redis::RedisStore* redis_ = nullptr;
  std::unique_ptr<Store> store_;
};

class MovingBackend final : public Backend {
 public:
  explicit MovingBackend(bool on_redis) : moving_(clock_, on_redis, server_) {}

  Store& store() override { return moving_.store(); }
  void advance(milliseconds by) override { clock_.advance(by); }
  WallTime now() const override { return clock_.now(); }
  void reopen() override { moving_.move(); }
  void crash_and_reopen() override { moving_.move(); }
  void settle() override { ASSERT_TRUE(moving_.settle().is_ok()); }

 private:
  ManualClock clock_{from_ms(kStartMs)};
  RedisServer server_;
  MovingStore moving_;
};

template <bool on_redis>
std::unique_ptr<Backend> make_moving() {
  return std::make_unique<MovingBackend>(on_redis);
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Moving, StoreConformance,
                         ::testing::Values(&make_moving<false>, &make_moving<true>));

// --- A day lived twice

namespace {

const std::vector<std::string> kStreams = {"a", "b"}, kGroups = {"g", "h"}, kKeys = {"k", "l", "m"};

// One call, made by names, since handles are a store's own; what it answers, as text.
struct Step {
  size_t what = 0, stream = 0, group = 0, key = 0;
  int amount = 0;
};

std::string text_of(const Delivery& delivery) {
  return delivery.entry.id.text() + " x" + std::to_string(delivery.delivery_count) + " since " +
         std::to_string(to_ms(delivery.first_delivered_at)) + "\n";
}

std::string text_of(const UnitOutcome& outcome) {
  std::string text = std::to_string(static_cast<int>(outcome.state));
  if (outcome.state == UnitState::kConditionFailed)
    text += " condition " + std::to_string(outcome.failed_condition) + " met " +
            std::to_string(outcome.met_count) + " until " +
            std::to_string(to_ms(outcome.met_until)) + " " +
            (outcome.met_value ? outcome.met_value->bytes : "-");
  for (const EntryId id : outcome.emitted) text += " " + id.text();
  return text;
}

std::string answer_to(Store& store, const Step& step, WallTime now) {
  const StreamId stream = *store.open_stream(kStreams[step.stream], {});
  const GroupId group = *store.open_group(stream, kGroups[step.group], GroupStart::kBeginning);
  const std::string& key = kKeys[step.key];
  const std::string fixed = "fixed" + key, sliding = "sliding" + key, hash = key + "f";
  const Fields fields{{"n", std::to_string(step.amount)}, {"m", key}};
  const std::string value = std::to_string(step.amount);
  Unit unit;
  switch (step.what) {
    case 0:
    case 1:
      unit.effects = {emit(stream, fields), put_fields(hash, fields)};
      break;
    case 2: {
      std::string text;
      const auto read = store.read({group, "c", static_cast<size_t>(step.amount % 4 + 1)});
      for (const Delivery& delivery : *read) text += text_of(delivery);
      return text;
    }
    case 3: {
      std::string text;
      const auto claimed = store.claim({group, "d", 2}, milliseconds(step.amount + 1), {});
      for (const Delivery& delivery : *claimed) text += text_of(delivery);
      return text;
    }
    case 4:
    case 5: {
      const auto pending = store.pending_entries(group, 10);
      if (pending->empty()) return "none";
      unit.group = group;
      unit.entry = (*pending)[static_cast<size_t>(step.amount) % pending->size()].id;
      if (step.what == 5) unit.effects = {remove(stream, unit.entry)};
      break;
    }
    case 6:
      unit.conditions = {claim_key(key, value, milliseconds(step.amount * 10))};
      break;
    case 7:
      unit.conditions = {take(key)};
      break;
    case 8:
      unit.effects = {put(key, value, milliseconds(step.amount % 3 == 0 ? 0 : step.amount))};
      break;
    case 9:
      unit.conditions = {reserve(fixed, step.amount % 5, 12, {WindowKind::kFixed, 60ms})};
      break;
    case 10:
      unit.conditions = {reserve(sliding, step.amount % 5, 12, {WindowKind::kSliding, 60ms})};
      break;
    case 11:
      unit.effects = {release(step.key == 0 ? sliding : fixed, step.amount % 3,
                              now - milliseconds(step.amount))};
      break;
    default: {
      std::string text = std::to_string(*store.counter(fixed)) + " " +
                         std::to_string(*store.counter(sliding)) + " lag " +
                         std::to_string(store.lag(group)) + " pending " +
                         std::to_string(store.pending(group));
      const auto found = store.get(key);
      if (*found) text += " " + (*found)->bytes + " until " + std::to_string((*found)->expires_ms);
      return text;
    }
  }
  const auto done = store.commit({&unit, 1});
  return done ? text_of(done->outcomes[0]) : done.status().text();
}

TEST(Mirror, AStoreThatMovesAnswersAsOneThatStays) {
  constexpr int kTrials = 10;
  constexpr size_t kSteps = 60, kStepsBetweenMoves = 9;
  constexpr int kWaits[] = {0, 0, 1, 7, 25, 70};
  RedisServer server;
  const unsigned seed = testing::any_seed();
  std::mt19937 random(seed);
  const auto any = [&](size_t count) { return static_cast<size_t>(random() % count); };
  for (int trial = 0; trial < kTrials; ++trial) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " trial " + std::to_string(trial));
    ManualClock clock(from_ms(kStartMs));
    const testing::TempFolder folder;
    const auto stays =
        engine::EmbeddedStore::open(folder / "store", embedded_options(), system_disk(), clock);
    ASSERT_TRUE(stays.is_ok());
    MovingStore moves(clock, trial % 2 == 0, server);
    for (size_t i = 0; i < kSteps; ++i) {
      clock.advance(milliseconds(kWaits[any(std::size(kWaits))]));
      if (i % kStepsBetweenMoves == kStepsBetweenMoves - 1) moves.move();
      const Step step{any(13), any(2), any(2), any(3), static_cast<int>(any(50))};
      ASSERT_EQ(answer_to(moves.store(), step, clock.now()), answer_to(**stays, step, clock.now()))
          << "step " << i << ", kind " << step.what << (moves.on_redis() ? " on redis" : "");
    }
  }
}

}  // namespace

}  // namespace sluice::stream::conformance
