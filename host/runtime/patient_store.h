// A store that is waited for: calls that end in kUnavailable are made again until they succeed.
//
// So a server that is restarted, or too few replicas, make a run wait and nothing else. Said once
// when it begins and once when it is over. A commit whose outcome is open is made again like any
// other: fences and conditions tell what was done already.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/random.h"
#include "stream/forwarding_store.h"

namespace sluice::runtime {

class PatientStore : public stream::ForwardingStore {
 public:
  struct Options {
    stream::milliseconds wait_min{10};
    stream::milliseconds wait_max{1000};  // between two tries: see Backoff
    // Asked before each try after the first; true returns the error instead. [any]
    std::function<bool()> gives_up;
    // Sleeps; replaced in tests.
    std::function<void(stream::milliseconds)> sleep;
  };

  // `store` outlives this.
  PatientStore(stream::Store& store, Options options);

  // Not `scan`: what was visited would be visited twice.
  Result<stream::StreamId> open_stream(std::string_view name,
                                       const stream::StreamOptions& options) override;
  Result<stream::GroupId> open_group(stream::StreamId stream, std::string_view name,
                                     stream::GroupStart start) override;
  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override;
  Result<std::vector<stream::Delivery>> claim(const stream::ReadRequest& request,
                                              stream::milliseconds idle_min,
                                              EntryId after) override;
  Status renew(stream::GroupId group, std::string_view consumer,
               std::span<const EntryId> ids) override;
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay* behind) override;
  Status flush(stream::CommitSeq seq) override;
  Result<std::optional<stream::KeyValue>> get(std::string_view key) const override;
  Result<int64_t> counter(std::string_view counter) const override;
  Result<std::vector<stream::Entry>> range(stream::StreamId stream, EntryId after,
                                           size_t count_max) const override;
  Result<std::vector<stream::PendingInfo>> pending_entries(stream::GroupId group,
                                                           size_t count_max) const override;

 private:
  class UnderWay;

  template <typename Call>
  auto patiently(const Call& call, bool asks_the_store = true) const -> decltype(call());
  void say_lost(const Status& status) const;
  void say_back() const;
  uint64_t next_seed() const;

  const Options options_;
  mutable std::atomic<bool> lost_{false};
  mutable std::mutex mutex_;
  mutable SeededRandom random_;  // guarded by mutex_
};

}  // namespace sluice::runtime
