// A store that notes when entries were appended, delivered and committed, and passes all on.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "common/measure.h"
#include "stream/forwarding_store.h"

namespace sluice::bench {

// Threads: [any]; what was noted is read when nobody writes any more.
class TimedStore final : public stream::ForwardingStore, private stream::Listener {
 public:
  // `store` outlives it.
  explicit TimedStore(stream::Store& store) : ForwardingStore(store) {}

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

  Result<stream::GroupId> open_group(stream::StreamId stream, std::string_view name,
                                     stream::GroupStart start) override;
  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override;
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay* behind) override;
  Status flush(stream::CommitSeq seq) override;
  void set_listener(stream::Listener* listener) override {
    listener_ = listener;
    store_.set_listener(listener == nullptr ? nullptr : this);
  }

 private:
  class UnderWay;

  void stream_appended(stream::StreamId stream) override;
  void key_changed(std::string_view key) override;
  void note(std::span<const stream::Unit> units, const stream::ReadRequest* next,
            const stream::CommitResult& result, Steady::time_point began, Steady::time_point ended);
  void note(stream::GroupId group, const std::vector<stream::Delivery>& deliveries,
            Steady::time_point at);

  stream::Listener* listener_ = nullptr;
  std::mutex mutex_;
  std::vector<Append> appends_;
  std::vector<Moment> deliveries_;
  std::vector<Step> steps_;
  std::vector<double> flush_us_;
  std::map<stream::GroupId, Group> groups_;
};

}  // namespace sluice::bench
