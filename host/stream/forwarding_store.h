// A store that hands every call on to another one: a base for those that change some of them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "stream/store.h"

namespace sluice::stream {

// Threads: [any], as the store behind it.
class ForwardingStore : public Store {
 public:
  Result<StreamId> open_stream(std::string_view name, const StreamOptions& options) override {
    return store_.open_stream(name, options);
  }
  StreamId find_stream(std::string_view name) const override { return store_.find_stream(name); }
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
  bool shared() const override { return store_.shared(); }
  Status renew(GroupId group, std::string_view consumer, std::span<const EntryId> ids) override {
    return store_.renew(group, consumer, ids);
  }
  Result<CommitResult> commit(std::span<const Unit> units, const ReadRequest* next) override {
    return store_.commit(units, next);
  }
  // `behind` goes on as it is: whoever overrides this unwraps it.
  std::unique_ptr<CommitUnderWay> begin_commit(std::span<const Unit> units, const ReadRequest* next,
                                               CommitUnderWay* behind) override {
    return store_.begin_commit(units, next, behind);
  }
  Status flush(CommitSeq seq) override { return store_.flush(seq); }
  CommitSeq durable() const override { return store_.durable(); }
  CommitSeq last_commit() const override { return store_.last_commit(); }
  Result<std::optional<KeyValue>> get(std::string_view key) const override {
    return store_.get(key);
  }
  Result<int64_t> counter(std::string_view counter) const override {
    return store_.counter(counter);
  }
  Status scan(
      std::string_view prefix,
      const std::function<bool(std::string_view key, const KeyValue&)>& visit) const override {
    return store_.scan(prefix, visit);
  }
  void set_listener(Listener* listener) override { store_.set_listener(listener); }
  void watch(std::string_view key) override { store_.watch(key); }
  void unwatch(std::string_view key) override { store_.unwatch(key); }
  Result<std::vector<Entry>> range(StreamId stream, EntryId after,
                                   size_t count_max) const override {
    return store_.range(stream, after, count_max);
  }
  std::vector<StreamInfo> streams() const override { return store_.streams(); }
  uint64_t length(StreamId stream) const override { return store_.length(stream); }
  uint64_t lag(GroupId group) const override { return store_.lag(group); }
  uint64_t pending(GroupId group) const override { return store_.pending(group); }
  Result<std::vector<PendingInfo>> pending_entries(GroupId group, size_t count_max) const override {
    return store_.pending_entries(group, count_max);
  }
  WallTime last_commit_time() const override { return store_.last_commit_time(); }

 protected:
  // `store` outlives this.
  explicit ForwardingStore(Store& store) : store_(store) {}

  Store& store_;
};

}  // namespace sluice::stream
