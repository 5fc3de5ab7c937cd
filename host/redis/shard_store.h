// One shard of a pipeline: a store whose names all begin with the same hash tag.
//
// Streams, keys and counters are called here as the pipeline file calls them, and
// "{trade/2}:" and that name in Redis. So everything of a shard lies in one slot, and no two shards
// share anything.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "stream/store.h"

namespace sluice::redis {

// What the names of a shard begin with: "{trade/2}:". `shard` counts from 0.
std::string shard_prefix(std::string_view pipeline, uint32_t shard);

// Threads: [any], as the store behind it. Errors are its own, and name things as Redis has them.
class ShardStore final : public stream::Store, private stream::Listener {
 public:
  ShardStore(std::unique_ptr<stream::Store> store, std::string prefix);
  ~ShardStore() override;

  Result<stream::StreamId> open_stream(std::string_view name,
                                       const stream::StreamOptions& options) override;
  stream::StreamId find_stream(std::string_view name) const override;
  Result<stream::GroupId> open_group(stream::StreamId stream, std::string_view name,
                                     stream::GroupStart start) override {
    return store_->open_group(stream, name, start);
  }
  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override {
    return store_->read(request);
  }
  Result<std::vector<stream::Delivery>> claim(const stream::ReadRequest& request,
                                              stream::milliseconds idle_min,
                                              EntryId after) override {
    return store_->claim(request, idle_min, after);
  }
  bool shared() const override { return store_->shared(); }
  Status renew(stream::GroupId group, std::string_view consumer,
               std::span<const EntryId> ids) override {
    return store_->renew(group, consumer, ids);
  }
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay* behind) override;
  Status flush(stream::CommitSeq seq) override { return store_->flush(seq); }
  stream::CommitSeq durable() const override { return store_->durable(); }
  stream::CommitSeq last_commit() const override { return store_->last_commit(); }
  Result<std::optional<stream::KeyValue>> get(std::string_view key) const override;
  Result<int64_t> counter(std::string_view counter) const override;
  Status scan(
      std::string_view prefix,
      const std::function<bool(std::string_view, const stream::KeyValue&)>& visit) const override;
  void set_listener(stream::Listener* listener) override;
  void watch(std::string_view key) override;
  void unwatch(std::string_view key) override;
  Result<std::vector<stream::Entry>> range(stream::StreamId stream, EntryId after,
                                           size_t count_max) const override {
    return store_->range(stream, after, count_max);
  }
  std::vector<stream::StreamInfo> streams() const override;
  uint64_t length(stream::StreamId stream) const override { return store_->length(stream); }
  uint64_t lag(stream::GroupId group) const override { return store_->lag(group); }
  uint64_t pending(stream::GroupId group) const override { return store_->pending(group); }
  Result<std::vector<stream::PendingInfo>> pending_entries(stream::GroupId group,
                                                           size_t count_max) const override {
    return store_->pending_entries(group, count_max);
  }
  WallTime last_commit_time() const override { return store_->last_commit_time(); }

 private:
  class Named;
  class UnderWay;

  void stream_appended(stream::StreamId stream) override { listener_->stream_appended(stream); }
  void key_changed(std::string_view key) override;

  std::string full(std::string_view name) const { return prefix_ + std::string(name); }

  const std::unique_ptr<stream::Store> store_;
  const std::string prefix_;
  stream::Listener* listener_ = nullptr;  // while the store behind calls us
};

}  // namespace sluice::redis
