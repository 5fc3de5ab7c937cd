// The engine on a cluster against the one suite: its names get a common hash tag on their way to
// the store, and lose it on their way back.
//
// The clock is the recorded one: nodes whose own clocks stand still would not find each other.

#include <deque>

#include "fixtures/redis_server.h"
#include "host/stream/conformance.h"
#include "redis/redis_store.h"

namespace sluice::stream::conformance {

namespace {

constexpr std::string_view kTag = "{tag}";

std::string tagged(std::string_view name) { return std::string(kTag).append(name); }

// A store that names everything with the tag.
class TaggedStore final : public Store, private Listener {
 public:
  explicit TaggedStore(Store& store) : store_(store) {}
  ~TaggedStore() override { store_.set_listener(nullptr); }

  Result<StreamId> open_stream(std::string_view name, const StreamOptions& options) override {
    return store_.open_stream(tagged(name), options);
  }
  StreamId find_stream(std::string_view name) const override {
    return store_.find_stream(tagged(name));
  }
  Result<GroupId> open_group(StreamId stream, std::string_view name, GroupStart start) override {
    return store_.open_group(stream, name, start);
  }
  Result<std::vector<Delivery>> read(const ReadRequest& request) override {
    return store_.read(request);
  }
  Result<std::vector<Delivery>> claim(const ReadRequest& request, milliseconds idle_min,
                                      EntryId after) override {
    return store_.claim(request, idle_min, after);
  }
  Result<CommitResult> commit(std::span<const Unit> units, const ReadRequest* next) override {
    std::deque<std::string> names;
    const auto tag = [&](auto& part) {
      if (!part.key.empty()) part.key = names.emplace_back(tagged(part.key));
    };
    std::vector<Unit> copies(units.begin(), units.end());
    for (Unit& unit : copies) {
      for (Condition& condition : unit.conditions) tag(condition);
      for (Effect& effect : unit.effects) tag(effect);
    }
    return store_.commit(copies, next);
  }
  Status flush(CommitSeq seq) override { return store_.flush(seq); }
  CommitSeq durable() const override { return store_.durable(); }
  CommitSeq last_commit() const override { return store_.last_commit(); }
  Result<std::optional<KeyValue>> get(std::string_view key) const override {
    return store_.get(tagged(key));
  }
  Result<int64_t> counter(std::string_view counter) const override {
    return store_.counter(tagged(counter));
  }
  Status scan(std::string_view prefix,
              const std::function<bool(std::string_view, const KeyValue&)>& visit) const override {
    return store_.scan(tagged(prefix), [&](std::string_view key, const KeyValue& value) {
      return visit(key.substr(kTag.size()), value);
    });
  }
  void set_listener(Listener* listener) override {
    listener_ = listener;
    store_.set_listener(listener == nullptr ? nullptr : this);
  }
  void watch(std::string_view key) override { store_.watch(tagged(key)); }
  void unwatch(std::string_view key) override { store_.unwatch(tagged(key)); }
  Result<std::vector<Entry>> range(StreamId stream, EntryId after,
                                   size_t count_max) const override {
    return store_.range(stream, after, count_max);
  }
  std::vector<StreamInfo> streams() const override {
    auto infos = store_.streams();
    for (StreamInfo& info : infos) info.name.erase(0, kTag.size());
    return infos;
  }
  uint64_t length(StreamId stream) const override { return store_.length(stream); }
  uint64_t lag(GroupId group) const override { return store_.lag(group); }
  uint64_t pending(GroupId group) const override { return store_.pending(group); }
  Result<std::vector<PendingInfo>> pending_entries(GroupId group, size_t count_max) const override {
    return store_.pending_entries(group, count_max);
  }
  WallTime last_commit_time() const override { return store_.last_commit_time(); }

 private:
  void stream_appended(StreamId stream) override { listener_->stream_appended(stream); }
  void key_changed(std::string_view key) override {
    listener_->key_changed(key.substr(kTag.size()));
  }

  Store& store_;
  Listener* listener_ = nullptr;
};

class ClusterBackend final : public Backend {
 public:
  ClusterBackend() {
    for (size_t i = 0; i < cluster().size(); ++i) cluster().node(i).command({"FLUSHALL"});
    open();
  }

  Store& store() override { return *tagged_; }
  void advance(milliseconds by) override { clock_.advance(by); }
  WallTime now() const override { return clock_.now(); }
  void reopen() override {
    tagged_.reset();
    store_.reset();
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
    store_ = std::move(store).value();
    tagged_ = std::make_unique<TaggedStore>(*store_);
  }

  ManualClock clock_{from_ms(1'700'000'000'000)};
  std::unique_ptr<redis::RedisStore> store_;
  std::unique_ptr<TaggedStore> tagged_;
};

std::unique_ptr<Backend> make_cluster() { return std::make_unique<ClusterBackend>(); }

}  // namespace

INSTANTIATE_TEST_SUITE_P(RedisCluster, StoreConformance, ::testing::Values(&make_cluster));

}  // namespace sluice::stream::conformance
