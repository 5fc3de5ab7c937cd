// The streams and groups a store has open, by the ids it gave them.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "redis/names.h"
#include "stream/store.h"

namespace sluice::redis {

using std::chrono::milliseconds;
using stream::GroupId;
using stream::StreamId;
using SteadyTime = std::chrono::steady_clock::time_point;

struct OpenStream {
  std::string name;
  StreamId id = 0;

  // Guarded by Handles.
  stream::StreamOptions options;
  std::vector<GroupId> groups;

  // Emits and acks since the stream was trimmed, and when that was; see Trimming.
  std::atomic<uint64_t> touched{0};
  std::atomic<int64_t> trimmed_us{0};
  std::atomic<uint64_t> room{0};  // entries below its `keep` then: nothing to trim before
};

// Lag and pending as the server said, corrected by what we did since.
struct GroupNumbers {
  SteadyTime asked;  // the clock's epoch: never
  uint64_t lag = 0, pending = 0, length = 0;
};

// What one consumer was handed.
struct Consumer {
  EntryId handed;     // the newest
  bool lost = false;  // a reply was cut off: entries behind `handed` may be pending for it unknown
  std::deque<stream::Delivery> surplus;  // delivered by the server and not asked for yet
  bool tidied = false;                   // consumers of hosts that are gone were looked for
};

struct OpenGroup {
  std::string name;
  GroupId id = 0;
  OpenStream* stream = nullptr;
  std::string times;  // key of the times of its entries

  // The newest read may have found nothing: an append is worth telling of.
  std::atomic<bool> hungry{false};

  // Guarded by mutex.
  std::mutex mutex;
  std::map<std::string, Consumer, std::less<>> consumers;
  GroupNumbers numbers;
};

// Threads: [any]. What is pointed to lives as long as the Handles.
class Handles {
 public:
  // `names` outlives this.
  explicit Handles(const Names& names) : own_names_(names) {}

  OpenStream& open_stream(std::string_view name);
  OpenGroup& open_group(OpenStream& stream, std::string_view name);
  void set_options(OpenStream& stream, const stream::StreamOptions& options);
  stream::StreamOptions options(const OpenStream& stream) const;

  // nullptr when there is none.
  OpenStream* stream(StreamId id) const;
  OpenStream* stream(std::string_view name) const;
  OpenGroup* group(GroupId id) const;
  OpenGroup* group(const OpenStream& stream, std::string_view name) const;

  std::vector<OpenStream*> streams() const;
  std::vector<OpenGroup*> groups(const OpenStream& stream) const;

 private:
  const Names& own_names_;
  mutable std::shared_mutex mutex_;
  mutable std::deque<OpenStream> streams_;
  mutable std::deque<OpenGroup> groups_;
  std::map<std::string, StreamId, std::less<>> names_;
};

}  // namespace sluice::redis
