// A store that notes when entries were appended, delivered and committed, and passes all on.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "common/measure.h"
#include "stream/store.h"

namespace sluice::bench {

// Threads: [any]; what was noted is read when nobody writes any more.
class TimedStore final : public stream::Store, private stream::Listener {
 public:
  // `store` outlives it.
  explicit TimedStore(stream::Store& store) : store_(store) {}

  struct Moment {
    uint32_t handle;  // of the stream or group
    EntryId id;
    Steady::time_point at;
  };
  struct Append : Moment {
    size_t number;  // of the decision it goes back to, by its trace id; kNoNumber: none
  };
  struct Step : Moment {       // `at`: the commit is called
    Steady::time_point ended;  // it is done, and others are told
  };
  struct Group {
    stream::StreamId stream;
    std::string name;
  };
  static constexpr size_t kNoNumber = SIZE_MAX;

  const std::vector<Append>& appends() const { return appends_; }  // emitted by units with a group
  const std::vector<Moment>& deliveries() const { return deliveries_; }
  const std::vector<Step>& steps() const { return steps_; }          // of units with a group
  const std::vector<double>& flush_us() const { return flush_us_; }  // how long each took
  const std::map<stream::GroupId, Group>& groups() const { return groups_; }

  Result<stream::StreamId> open_stream(std::string_view name,
                                       const stream::StreamOptions& options) override {
    return store_.open_stream(name, options);
  }
  stream::StreamId find_stream(std::string_view name) const override {
    return store_.find_stream(name);
  }
  Result<stream::GroupId> open_group(stream::StreamId stream, std::string_view name,
                                     stream::GroupStart start) override;
  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override;
  Result<std::vector<stream::Delivery>> claim(const stream::ReadRequest& request,
                                              stream::milliseconds idle_min,
                                              EntryId after) override {
    return store_.claim(request, idle_min, after);
  }
  bool shared() const override { return store_.shared(); }
  Status renew(stream::GroupId group, std::string_view consumer,
               std::span<const EntryId> ids) override {
    return store_.renew(group, consumer, ids);
  }
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay* behind) override;
  Status flush(stream::CommitSeq seq) override;
  stream::CommitSeq durable() const override { return store_.durable(); }
  stream::CommitSeq last_commit() const override { return store_.last_commit(); }
  Result<std::optional<stream::KeyValue>> get(std::string_view key) const override {
    return store_.get(key);
  }
  Result<int64_t> counter(std::string_view counter) const override {
    return store_.counter(counter);
  }
  Status scan(std::string_view prefix,
              const std::function<bool(std::string_view key, const stream::KeyValue&)>& visit)
      const override {
    return store_.scan(prefix, visit);
  }
  void set_listener(stream::Listener* listener) override {
    listener_ = listener;
    store_.set_listener(listener == nullptr ? nullptr : this);
  }
  void watch(std::string_view key) override { store_.watch(key); }
  void unwatch(std::string_view key) override { store_.unwatch(key); }
  Result<std::vector<stream::Entry>> range(stream::StreamId stream, EntryId after,
                                           size_t count_max) const override {
    return store_.range(stream, after, count_max);
  }
  std::vector<stream::StreamInfo> streams() const override { return store_.streams(); }
  uint64_t length(stream::StreamId stream) const override { return store_.length(stream); }
  uint64_t lag(stream::GroupId group) const override { return store_.lag(group); }
  uint64_t pending(stream::GroupId group) const override { return store_.pending(group); }
  Result<std::vector<stream::PendingInfo>> pending_entries(stream::GroupId group,
                                                           size_t count_max) const override {
    return store_.pending_entries(group, count_max);
  }
  WallTime last_commit_time() const override { return store_.last_commit_time(); }

 private:
  class UnderWay;

  void stream_appended(stream::StreamId stream) override;
  void key_changed(std::string_view key) override;
  void note(std::span<const stream::Unit> units, const stream::ReadRequest* next,
            const stream::CommitResult& result, Steady::time_point began, Steady::time_point ended);
  void note(stream::GroupId group, const std::vector<stream::Delivery>& deliveries,
            Steady::time_point at);

  stream::Store& store_;
  stream::Listener* listener_ = nullptr;
  std::mutex mutex_;
  std::vector<Append> appends_;
  std::vector<Moment> deliveries_;
  std::vector<Step> steps_;
  std::vector<double> flush_us_;
  std::map<stream::GroupId, Group> groups_;
};

}  // namespace sluice::bench
