// The contract every engine keeps: streams, consumer groups, keys, counters and units of work.
//
// A unit is what one entry did: conditions, effects and the ack of that entry. The engine applies a
// unit whole or not at all, and the units of one `commit` call in one durable step. That is the
// whole idea: a dedup key, the entry published because of it and the ack cannot come apart.
//
// The words are those of Redis Streams; a second backend passes the same conformance suite
// (tests/host/stream/conformance.h).
#pragma once

#include <boost/container/small_vector.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/entry_id.h"
#include "base/status.h"
#include "stream/fields.h"

namespace sluice::stream {

using std::chrono::milliseconds;

// Handles given out by a Store, dense from 1; 0 means none. Stable while the store is open.
using StreamId = uint32_t;
using GroupId = uint32_t;

// Number of a commit, ascending by one from 1 over the life of a store; in an engine that several
// hosts share, of the open store.
using CommitSeq = uint64_t;

struct Entry {
  EntryId id;
  Fields fields;
};

// An entry handed to a consumer: pending until a unit acks it.
struct Delivery {
  Entry entry;
  uint32_t delivery_count = 1;    // 1 at the first delivery
  WallTime first_delivered_at{};  // kept over re-deliveries and restarts; waits count from here
};

// What a key holds. Plain text, or fields (a hash, as Redis calls it).
struct KeyValue {
  bool is_fields = false;
  std::string bytes;       // text, or encoded fields
  int64_t expires_ms = 0;  // wall milliseconds since the epoch; 0: never

  FieldsView fields() const {
    return FieldsView(is_fields ? std::string_view(bytes) : std::string_view());
  }
};

// How a counter forgets.
//   kFixed:   one total, gone `length` after the first reservation in it (INCR with EXPIRE).
//   kSliding: each reservation is forgotten `length` after it was made.
enum class WindowKind : uint8_t { kFixed = 0, kSliding = 1 };  // on disk: never renumbered

struct Window {
  WindowKind kind = WindowKind::kFixed;
  milliseconds length{0};
};

enum class ConditionKind : uint8_t { kClaim, kTake, kReserve, kUnchanged };

// Something that must hold when the unit is applied. Views must live until `commit` returns.
struct Condition {
  ConditionKind kind = ConditionKind::kClaim;
  std::string_view key;

  // kClaim: the text set by the commit; say who claims, a later duplicate is shown it.
  // kUnchanged: the bytes the stage was shown, when `present`.
  std::string_view value;
  bool present = true;     // kUnchanged: false means "was absent"
  bool is_fields = false;  // kUnchanged: the value shown was fields
  milliseconds ttl{0};     // kClaim; 0: for ever

  // kReserve: counter + amount <= limit, then counter += amount. The unit of both is the caller's
  // (orders, or quote currency times 10^8). Negative amounts fail the condition.
  int64_t amount = 0;
  int64_t limit = 0;
  Window window;
};

enum class EffectKind : uint8_t { kEmit, kPut, kPutFields, kErase, kRelease, kRemove };

// Something that is done when all conditions of the unit hold. Views as above.
struct Effect {
  EffectKind kind = EffectKind::kEmit;
  StreamId stream = 0;     // kEmit, kRemove
  EntryId entry;           // kRemove: deletes this entry; not an error when it is not there
  std::string_view key;    // kPut, kPutFields, kErase, kRelease
  std::string_view bytes;  // kPut: text; kEmit, kPutFields: encoded fields
  milliseconds ttl{0};     // kPut, kPutFields; 0: for ever
  int64_t amount = 0;      // kRelease
  WallTime reserved_at{};  // kRelease: when it was reserved; a window that has rolled over since
                           // is left alone, so giving back never frees somebody else's share
};

// One entry's work.
struct Unit {
  // The fence: with a group the unit applies only while `entry` is pending there, so a second try
  // after a crash, a claim or an unknown outcome changes nothing. Without one (group 0) there is no
  // fence: sources use it, and guard themselves with `unchanged`.
  GroupId group = 0;
  EntryId entry;
  bool ack = true;  // false: fenced, but the entry stays pending (an external stage before it acts)

  // Index of an earlier unit of the commit that this one builds on: looked at only when that one
  // was applied. So entries that must be done in order may be in one commit.
  std::optional<size_t> behind;

  std::vector<Condition> conditions;  // checked in order, the first that fails is reported
  std::vector<Effect> effects;        // applied in order
};

// For engines: whether the unit at `index` of a commit builds on one before it.
inline Status check_behind(const Unit& unit, size_t index) {
  if (!unit.behind || *unit.behind < index) return Status::ok();
  return Status(Code::kInvalid, "unit " + std::to_string(index) + " builds on unit " +
                                    std::to_string(*unit.behind) + ", expected one before it");
}

// kBehind: its entry is pending, but the unit that it builds on was not applied. Tried in this
// order: the fence, what it builds on, its conditions.
enum class UnitState : uint8_t { kApplied, kFenced, kConditionFailed, kBehind };

struct UnitOutcome {
  UnitState state = UnitState::kApplied;

  // kConditionFailed: which, and what it met.
  size_t failed_condition = 0;
  std::optional<KeyValue> met_value;  // claim, unchanged: what is there; take: nothing
  int64_t met_count = 0;              // reserve: the counter as it is
  WallTime met_until{};               // reserve: when its window makes room; the epoch: never

  // kApplied: one id for each kEmit effect, in order. Most units have one.
  boost::container::small_vector<EntryId, 1> emitted;
};

struct ReadRequest {
  GroupId group = 0;
  std::string_view consumer;
  size_t count_max = 1;
  size_t bytes_max = 4 << 20;  // stop after this many bytes of entries; at least one is returned
};

struct CommitResult {
  std::vector<UnitOutcome> outcomes;  // one for each unit
  CommitSeq seq = 0;                  // number of the commit; 0 when nothing was applied
  std::vector<Delivery> next;         // of `next`, when asked for
};

// A commit that was begun, and whose outcome is not known yet.
class CommitUnderWay {
 public:
  virtual ~CommitUnderWay() = default;

  // What `commit` returns. Called once.
  virtual Result<CommitResult> wait() = 0;
};

struct StreamOptions {
  // Entries to keep. Older ones are trimmed once every group has acked them; 0 keeps them until all
  // groups have acked, and for ever when there is no group.
  // An engine may trim later than it could.
  uint64_t keep = 0;
  bool trim_hard =
      false;  // trim at `keep` even what a group has not acked: loses entries, on purpose
};

enum class GroupStart { kBeginning, kEnd };

struct GroupInfo {
  std::string name;
  GroupId id = 0;
  uint64_t lag = 0;      // entries in the stream not yet delivered to the group
  uint64_t pending = 0;  // delivered, not acked
  EntryId last_delivered;
  std::optional<WallTime>
      oldest;  // when the oldest entry not yet acked (pending or lag) was appended
};

struct StreamInfo {
  std::string name;
  StreamId id = 0;
  uint64_t length = 0;         // entries stored now
  uint64_t entries_added = 0;  // ever
  EntryId first, last;
  uint64_t keep = 0;
  std::vector<GroupInfo> groups;
};

struct PendingInfo {
  EntryId id;
  std::string consumer;
  uint32_t delivery_count = 0;
  WallTime first_delivered_at{};
  WallTime last_delivered_at{};
};

// Called by the store after a commit, outside its locks: on the committing thread, and for commits
// of other hosts on one of the store's own. A change may be told more than once.
// Implementations return fast and do not call `commit`.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void stream_appended(StreamId stream) = 0;
  virtual void key_changed(std::string_view key) = 0;  // only keys under `watch`
};

// Threads: [any], unless a function says otherwise.
//
// Errors of every writing call: kIo poisons the store; from then on each call returns kIo and the
// process is expected to exit. kClosed on a store opened for reading only.
class Store {
 public:
  virtual ~Store() = default;

  // --- Streams and groups ---

  // Opens or creates a stream. Options are not stored: the pipeline file is the truth, each start.
  virtual Result<StreamId> open_stream(std::string_view name, const StreamOptions& options) = 0;

  // The stream called `name`, 0 when there is none.
  virtual StreamId find_stream(std::string_view name) const = 0;

  // Opens or creates a group. `start` counts only at creation.
  virtual Result<GroupId> open_group(StreamId stream, std::string_view name, GroupStart start) = 0;

  // --- Reading as a group ---

  // Delivers entries the group has not seen, oldest first, and makes them pending for the consumer.
  //
  // Shape:   empty when there are none; never waits.
  // Durable: the delivery is written (kill -9 safe) before this returns, so that delivery counts
  // survive
  //          a crash that the entry itself caused.
  // Errors:  kCorrupt when a stored entry fails its checksum; nothing is delivered.
  virtual Result<std::vector<Delivery>> read(const ReadRequest& request) = 0;

  // Takes over entries pending longer than `idle_min`, oldest first, whoever had them, and counts
  // one more delivery for each. With `idle_min` 0 the consumer's own pending entries after `after`
  // come back: that is how a stage picks up its work after a restart. In an engine of one process
  // these are all there are; where hosts share a group, the others may be alive.
  virtual Result<std::vector<Delivery>> claim(const ReadRequest& request, milliseconds idle_min,
                                              EntryId after) = 0;

  // Other processes may consume from the same groups. Who reads there claims what they left behind,
  // and renews what it keeps.
  virtual bool shared() const { return false; }

  // Entries of `ids` still pending for `consumer` count as delivered now, so that nobody claims
  // them; delivery counts stay. Those acked or claimed by others are left alone. Nothing to do
  // where the store is not shared.
  virtual Status renew(GroupId /*group*/, std::string_view /*consumer*/,
                       std::span<const EntryId> /*ids*/) {
    return Status::ok();
  }

  // --- Units of work ---

  // Applies `units` in order in one durable step, each whole or not at all; a later unit sees what
  // an earlier one did. Optionally reads on for a group in the same step.
  //
  // Errors: kUnavailable from an engine on a network leaves it open whether the units were applied.
  //         The same units again do no harm where the fence or an `unchanged` holds.
  //         Entries that it delivered for `next` come with the next read.
  // Durable: as the engine's durability setting says; `flush` to be sure.
  virtual Result<CommitResult> commit(std::span<const Unit> units,
                                      const ReadRequest* next = nullptr) = 0;

  // As `commit`, but the caller may work while the engine does, or begin another one. `behind`, of
  // the same caller and still under way: this one is applied after it, as long as no call fails.
  // They are waited for in the order in which they were begun. What is given up without a wait may
  // have been done.
  //
  // Never null: errors are the wait's. `units`, `next` and what they view live until it returned.
  // An engine that does not wait for others is done when this returns.
  virtual std::unique_ptr<CommitUnderWay> begin_commit(std::span<const Unit> units,
                                                       const ReadRequest* next,
                                                       CommitUnderWay* /*behind*/) {
    class Done final : public CommitUnderWay {
     public:
      explicit Done(Result<CommitResult> result) : result_(std::move(result)) {}
      Result<CommitResult> wait() override { return std::move(result_); }

     private:
      Result<CommitResult> result_;
    };
    return std::make_unique<Done>(commit(units, next));
  }

  // Returns when everything up to `seq` is durable on this engine's terms. External effects call it
  // before they act, in every durability mode.
  virtual Status flush(CommitSeq seq) = 0;
  virtual CommitSeq durable() const = 0;
  virtual CommitSeq last_commit() const = 0;

  // --- Keys ---

  // Expired keys are absent.
  virtual Result<std::optional<KeyValue>> get(std::string_view key) const = 0;

  // What is reserved under `counter` now, as the window it was reserved with counts it.
  virtual Result<int64_t> counter(std::string_view counter) const = 0;

  // Calls `visit` for each live key (not counters) starting with `prefix`, in key order, until it
  // returns false. The views are valid during the call only; `visit` must not call the store.
  virtual Status scan(
      std::string_view prefix,
      const std::function<bool(std::string_view key, const KeyValue&)>& visit) const = 0;

  // --- Being told ---

  // At most one listener, set before the first commit and cleared (nullptr) before it dies.
  // [control]
  virtual void set_listener(Listener* listener) = 0;

  // Reports changes of `key` (put, erase, claim, take; not expiry) to the listener until `unwatch`
  // was called as often as `watch`.
  virtual void watch(std::string_view key) = 0;
  virtual void unwatch(std::string_view key) = 0;

  // --- Looking in ---

  // Up to `count_max` entries with id > `after`, oldest first. Does not touch groups.
  virtual Result<std::vector<Entry>> range(StreamId stream, EntryId after,
                                           size_t count_max) const = 0;

  virtual std::vector<StreamInfo> streams() const = 0;
  virtual uint64_t length(StreamId stream) const = 0;
  virtual uint64_t lag(GroupId group) const = 0;
  virtual uint64_t pending(GroupId group) const = 0;
  virtual Result<std::vector<PendingInfo>> pending_entries(GroupId group,
                                                           size_t count_max) const = 0;

  // Wall time of the newest commit; the epoch for an empty store. A recorded clock starts here.
  virtual WallTime last_commit_time() const = 0;
};

}  // namespace sluice::stream
