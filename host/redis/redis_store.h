// The contract on Redis Streams, with the names and types that `redis-cli` and other programs use.
//
// A stream is a stream, a group a consumer group, a key text or a hash with its expiry, a fixed
// counter a number with its expiry. What Redis has no place for is in keys of our own (names.h). A
// name is one thing in Redis: a key cannot be called like a stream or a counter.
//
// Nothing is held here that a restart would miss, and any number of hosts share one server: their
// groups, fences, counters and waits. What is durable is what the server promises by its own
// settings; a reply is all there is to wait for, unless replicas are asked for.
//
// In a cluster the names of one commit lie in one slot, by a common hash tag: anything else is
// refused before it is sent. While a slot moves between nodes, its commits wait for that.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "redis/handles.h"
#include "redis/scripts.h"
#include "redis/servers.h"
#include "redis/tracking.h"
#include "stream/store.h"

namespace sluice::redis {

struct Options {
  Servers::Options servers;

  // Appended to the name of every consumer, after a dash: what tells this host from others that
  // share its groups. The same after a restart, or what is pending waits to be claimed.
  std::string consumer;

  // Time comes from the store's clock, not from the server's: for recorded days and simulations.
  // Only hosts with the same clock may share the server then.
  bool recorded = false;

  // Replicas that have what was committed before `flush` returns; 0 asks none. More waits longer
  // and loses less in a failover. What a failover did lose is never flushed: `flush` is kIo from
  // then on, and what the lost commits acked is pending again, for a new store.
  uint32_t min_replicas = 0;
  milliseconds replicas_wait{1000};  // for them, in one flush

  // Lag and pending are asked anew after this long; in between they count what we did ourselves.
  milliseconds numbers_age_max{20};

  // A stream is trimmed after so many emits and acks, or when it was last trimmed so long ago.
  // More leaves more entries than `keep` says.
  uint64_t trim_touches = 256;
  milliseconds trim_interval{1000};

  // Consumers of other hosts that have nothing pending and were silent for so long are removed.
  milliseconds consumer_idle_max{24 * 3600 * 1000};

  // Is told of changes that others make. Without it `Listener` hears of our own only.
  bool tracking = true;

  // Asks for no right to write, and `open_group` makes no group: one that is not there is
  // kNotFound.
  bool look = false;
};

// Entries that somebody trimmed before a group had read them.
struct Loss {
  std::string stream, group;
  uint64_t entries = 0;
};

// Errors: kUnavailable when the server was gone for longer than `servers.give_up_after`, and the
//         call may have been done; trying again is safe, as Store says. kInvalid for what the
//         server refuses: rights, types, unknown commands. Network faults never poison the store.
class RedisStore final : public stream::Store {
 public:
  // Connects, and asks for the rights that the store needs. `network` and `clock` outlive it;
  // `clock` counts with `recorded` only.
  //
  // Errors: as above.
  static Result<std::unique_ptr<RedisStore>> open(const Options& options, Network& network,
                                                  const Clock& clock);
  ~RedisStore() override;

  // Entries that were trimmed by others before one of our groups read them, and entries that were
  // deleted while pending; since the store was opened.
  uint64_t lost() const { return lost_; }

  // What the groups of the streams that were opened or found never get, by what the server counts
  // (Redis 7.0 and later; 6.2 does not, and none counts for a group that never read). Errors: as
  // above.
  Result<std::vector<Loss>> losses() const;

  // Trims what is due, whatever the interval, and returns when every change made before was told.
  Status settle();

  Result<StreamId> open_stream(std::string_view name,
                               const stream::StreamOptions& options) override;
  StreamId find_stream(std::string_view name) const override;
  Result<GroupId> open_group(StreamId stream, std::string_view name,
                             stream::GroupStart start) override;
  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override;
  Result<std::vector<stream::Delivery>> claim(const stream::ReadRequest& request,
                                              milliseconds idle_min, EntryId after) override;
  bool shared() const override { return true; }
  Status renew(GroupId group, std::string_view consumer, std::span<const EntryId> ids) override;
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay* behind) override;
  Status flush(stream::CommitSeq seq) override;
  stream::CommitSeq durable() const override { return durable_; }
  // Counts the commits of this store object.
  stream::CommitSeq last_commit() const override { return last_commit_; }
  Result<std::optional<stream::KeyValue>> get(std::string_view key) const override;
  Result<int64_t> counter(std::string_view counter) const override;
  // Collects the names first: a key that appears meanwhile may be missed.
  Status scan(std::string_view prefix,
              const std::function<bool(std::string_view key, const stream::KeyValue&)>& visit)
      const override;
  void set_listener(stream::Listener* listener) override;
  void watch(std::string_view key) override;
  void unwatch(std::string_view key) override;
  Result<std::vector<stream::Entry>> range(StreamId stream, EntryId after,
                                           size_t count_max) const override;
  // The streams that were opened or found, with all their groups; those not opened have id 0.
  std::vector<stream::StreamInfo> streams() const override;
  uint64_t length(StreamId stream) const override;
  // As the server said at most `numbers_age_max` ago.
  uint64_t lag(GroupId group) const override;
  uint64_t pending(GroupId group) const override;
  Result<std::vector<stream::PendingInfo>> pending_entries(GroupId group,
                                                           size_t count_max) const override;
  WallTime last_commit_time() const override;

 private:
  using Answer = Servers::Answer;

  RedisStore(const Options& options, Network& network, const Clock& clock);
  Status start();

  // --- Calls

  // Runs `commands` with one EVALSHA or none in front; scripts that the server does not know are
  // loaded. Replies may be errors.
  Result<Answer> call(std::string_view key, const Commands& commands) const;
  // The same for one command; an error is returned as such, under the name `what`.
  Result<Reply> ask(std::string_view what, std::string_view key, const Commands& commands) const;
  Status load_scripts(std::string_view key) const;
  Status load_scripts_everywhere() const;
  // All names that begin so, sorted, each once.
  Result<std::vector<std::string>> names_with(std::string_view prefix) const;
  // Text of the recorded time in microseconds; empty under the server's clock.
  std::string clock_text() const;

  // --- Streams and groups (redis_store.cc)

  Status check_room(std::string_view name) const;
  Status find_group(const OpenStream& stream, std::string_view name) const;
  Status create_group(const OpenStream& stream, std::string_view name, std::string_view from);
  Status mend(const OpenGroup& group);
  Status count_lost(const OpenGroup& group);

  // --- Reading (reading.cc)

  std::string consumer_name(std::string_view name) const;
  Result<OpenGroup*> group_of(const stream::ReadRequest& request) const;
  void add_read(Commands& commands, const OpenGroup& group, std::string_view consumer,
                size_t count) const;
  std::vector<stream::Delivery> take_surplus(OpenGroup& group, const std::string& consumer,
                                             const stream::ReadRequest& request);
  std::vector<stream::Delivery> hand_out(OpenGroup& group, const std::string& consumer,
                                         const stream::ReadRequest& request,
                                         std::vector<stream::Delivery> deliveries);
  void keep(OpenGroup& group, const std::string& consumer,
            std::vector<stream::Delivery>& deliveries, size_t first);
  bool is_lost(OpenGroup& group, const std::string& consumer) const;
  bool has_surplus(OpenGroup& group, const std::string& consumer) const;
  void lose(OpenGroup& group, const std::string& consumer);
  Result<std::vector<stream::Delivery>> recover(OpenGroup& group, const std::string& consumer,
                                                const stream::ReadRequest& request);
  Result<std::vector<stream::Delivery>> read_new(OpenGroup& group, const std::string& consumer,
                                                 const stream::ReadRequest& request);
  Result<std::vector<stream::Delivery>> take_over(OpenGroup& group, const std::string& consumer,
                                                  const stream::ReadRequest& request,
                                                  milliseconds idle_min, EntryId after);
  void tidy(OpenGroup& group, const std::string& consumer, std::string_view begin);

  // --- Units (committing.cc)

  struct Try;
  class UnderWay;

  // A commit that replicas may not have yet. Its token is there where the commit is: a server that
  // took over without it shows that it was lost.
  struct Unflushed {
    stream::CommitSeq seq = 0;
    std::string token;
  };

  Status begin(Try& attempt, const Try* behind);
  Status send_behind(Try& attempt, const Try* behind);
  Result<stream::CommitResult> finish(Try& attempt);
  Status take_answer(Try& attempt);
  Result<Reply> commit_again(Try& attempt);
  std::string new_token();
  stream::CommitSeq count_commit(const Try& attempt);
  Status flush_server(std::span<const Unflushed> commits);
  void note(std::span<const stream::Unit> units, const std::vector<stream::UnitOutcome>& outcomes);
  void tell(std::span<const stream::Unit> units,
            const std::vector<stream::UnitOutcome>& outcomes) const;

  // --- Trimming (trimming.cc)

  void touch(OpenStream& stream, uint64_t count);
  void trim_due();
  Status trim(OpenStream& stream);

  // --- Numbers (numbers.cc)

  Result<GroupNumbers> numbers(OpenGroup& group) const;
  Result<GroupNumbers> ask_numbers(const OpenGroup& group) const;
  Result<uint64_t> lag_of(const OpenStream& stream, const Reply& about, uint64_t length) const;
  Result<std::vector<Loss>> losses_of(const OpenStream& stream) const;
  stream::GroupInfo describe_group(const OpenStream& stream, const Reply& about,
                                   uint64_t length) const;

  // --- Being told (redis_store.cc)

  void changed_by_others(std::string_view key);
  void everything_changed();
  Status settle(const Endpoint& master);

  // Fixed after construction.
  const Options options_;
  const Clock& clock_;
  std::string token_start_;  // differs from every other store's

  const Names names_;

  mutable Handles handles_{names_};
  mutable Servers servers_;

  std::atomic<uint64_t> last_commit_{0}, durable_{0}, next_token_{0}, lost_{0};
  std::atomic<int64_t> commit_us_{0};  // wall time of the newest commit

  // Held while the tracking thread calls the listener, so that it can be taken away.
  std::mutex listener_mutex_;
  std::atomic<stream::Listener*> listener_{nullptr};

  std::mutex unflushed_mutex_;
  std::vector<Unflushed> unflushed_;  // guarded by unflushed_mutex_; with min_replicas only

  // Guarded by settle_mutex_: the newest change of our own that the server told of.
  std::mutex settle_mutex_;
  std::condition_variable settle_told_;
  std::string settle_seen_;

  mutable std::mutex watch_mutex_;
  std::map<std::string, size_t, std::less<>> watched_;  // guarded by watch_mutex_
  std::atomic<bool> watches_{false};                    // there are any

  std::unique_ptr<TrackingOfAll> tracking_;  // declared last: its thread uses all of the above
};

}  // namespace sluice::redis
