// A whole store out of one engine and into another, or into a new one of the same kind.
//
// What a reader shows of a store, a writer of either engine takes: entries under their own ids,
// positions and pending entries of groups, keys with their deadlines, counters with their windows.
// Whoever consumes from the target goes on as it would have from the source.
//
// Nobody else may use either store meanwhile. Deadlines and windows are points in time and stay
// what they are: what is left of a key's life at the copy goes on running.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "stream/store.h"

namespace sluice::stream {

// A counter as it stands: nothing that time has forgotten is in it.
struct CounterState {
  struct Reservation {
    int64_t made_ms = 0;
    int64_t amount = 0;
    bool operator==(const Reservation&) const = default;
  };

  std::string name;
  Window window;

  // kFixed. A closed window is kept for a while, so that a late release finds the one it belongs
  // to.
  bool open = false;
  int64_t total = 0;       // 0 when closed
  int64_t started_ms = 0;  // first reservation of the window
  int64_t before_ms = 0;   // when the window before ended; 0 when closed or none

  std::vector<Reservation> reservations;  // kSliding, oldest first

  bool operator==(const CounterState& other) const;
};

struct GroupState {
  std::string name;
  EntryId last_delivered;
  std::optional<uint64_t> lag;  // as the engine counts it; absent when it does not know
};

struct StreamState {
  std::string name;
  uint64_t length = 0;
  std::optional<uint64_t> entries_added;  // ever; absent from a server that does not count
  EntryId last;                           // the highest id ever given
  std::vector<GroupState> groups;         // by name
};

// Threads: [control].
//
// Errors: those of the engine; kCorrupt when a stored entry fails its checksum; kInvalid for what
//         no store of ours could have written, by its name.
class MirrorReader {
 public:
  virtual ~MirrorReader() = default;

  // By name. A stream that was never used is left out.
  virtual Result<std::vector<StreamState>> streams() = 0;

  // Entries with id > `after`, oldest first; none when there is no such stream.
  virtual Result<std::vector<Entry>> entries(const std::string& stream, EntryId after,
                                             size_t count_max) = 0;

  // Ids ascending; those whose entry is gone are left out, as nobody can work on them.
  virtual Result<std::vector<PendingInfo>> pending(const std::string& stream,
                                                   const std::string& group) = 0;

  // Ascending. Names that turn out to hold nothing, or no key, may be among them.
  virtual Result<std::vector<std::string>> key_names() = 0;

  // One for each of `names`; nothing for a key that is not there (any more).
  virtual Result<std::vector<std::optional<KeyValue>>> values(
      std::span<const std::string> names) = 0;

  // By name.
  virtual Result<std::vector<CounterState>> counters() = 0;
};

// The order of calls: `begin`; for each stream its entries, `end_stream` and its groups; counters,
// then keys; `flush`; `finish`.
//
// From `begin` to `finish` the target is marked: no store opens there. A copy that was cut in the
// middle stays so.
//
// Threads: [control].
//
// Errors: those of the engine; kInvalid for what the engine has no place for, by its name.
class MirrorWriter {
 public:
  virtual ~MirrorWriter() = default;

  // Errors: kConflict, saying what is there, when the target holds anything or is marked; nothing
  //         is changed then.
  virtual Status begin() = 0;

  virtual Status append(const std::string& stream, std::span<const Entry> entries) = 0;
  virtual Status end_stream(const StreamState& stream) = 0;
  // `lag` is present, `pending` in order of ids.
  virtual Status add_group(const StreamState& stream, const GroupState& group,
                           std::span<const PendingInfo> pending) = 0;
  virtual Status add_counters(std::span<const CounterState> counters) = 0;
  virtual Status put(std::span<const std::pair<std::string, KeyValue>> keys) = 0;

  // Everything is in the store and durable, on the engine's terms.
  virtual Status flush() = 0;
  // Takes the mark away.
  virtual Status finish() = 0;
};

struct MirrorCount {
  struct Of {
    std::string stream;
    uint64_t entries = 0, groups = 0, pending = 0;
  };
  std::vector<Of> streams;
  uint64_t keys = 0, counters = 0;
};

// Told how many entries and keys were done so far, every few hundred.
using MirrorProgress = std::function<void(uint64_t entries, uint64_t keys)>;

// Copies everything into a target that was begun, up to `flush`. A null `to` counts what would go.
Result<MirrorCount> copy(MirrorReader& from, MirrorWriter* to, const MirrorProgress& progress);

struct MirrorComparison {
  static constexpr size_t kShownMax = 20;

  MirrorCount count;               // of the first
  std::vector<std::string> shown;  // a sentence for each difference, at most kShownMax
  uint64_t differences = 0;

  bool is_same() const { return differences == 0; }
};

struct MirrorTerms {
  // How far times of deliveries may be apart: Redis tells how long ago, not when.
  milliseconds delivery_slack{0};
  // The same of deadlines, for servers that tell what is left of them.
  milliseconds deadline_slack{0};
  // A key that only one side has is none that is missing when it expired by this time.
  std::function<WallTime()> now;
};

// Reads both once and compares everything.
Result<MirrorComparison> compare(MirrorReader& left, MirrorReader& right, const MirrorTerms& terms,
                                 const MirrorProgress& progress);

}  // namespace sluice::stream
