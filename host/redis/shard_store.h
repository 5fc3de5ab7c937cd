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

#include "stream/forwarding_store.h"

namespace sluice::redis {

// What the names of a shard begin with: "{trade/2}:". `shard` counts from 0.
std::string shard_prefix(std::string_view pipeline, uint32_t shard);

// Threads: [any], as the store behind it. Errors are its own, and name things as Redis has them.
class ShardStore final : public stream::ForwardingStore, private stream::Listener {
 public:
  ShardStore(std::unique_ptr<stream::Store> store, std::string prefix);
  ~ShardStore() override;

  Result<stream::StreamId> open_stream(std::string_view name,
                                       const stream::StreamOptions& options) override;
  stream::StreamId find_stream(std::string_view name) const override;
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay* behind) override;
  Result<std::optional<stream::KeyValue>> get(std::string_view key) const override;
  Result<int64_t> counter(std::string_view counter) const override;
  Status scan(
      std::string_view prefix,
      const std::function<bool(std::string_view, const stream::KeyValue&)>& visit) const override;
  void set_listener(stream::Listener* listener) override;
  void watch(std::string_view key) override;
  void unwatch(std::string_view key) override;
  std::vector<stream::StreamInfo> streams() const override;

 private:
  class Named;
  class UnderWay;

  void stream_appended(stream::StreamId stream) override { listener_->stream_appended(stream); }
  void key_changed(std::string_view key) override;

  std::string full(std::string_view name) const { return prefix_ + std::string(name); }

  const std::unique_ptr<stream::Store> owned_;
  const std::string prefix_;
  stream::Listener* listener_ = nullptr;  // while the store behind calls us
};

}  // namespace sluice::redis
