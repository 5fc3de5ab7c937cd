// What memory holds of a stream and its groups: where each entry is, and who still works on it.
//
// Payloads stay in the log. An entry costs 24 bytes here, a pending one 48 more per group.
//
// Threads: [worker].
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/entry_id.h"
#include "stream/store.h"

namespace sluice::engine {

using stream::GroupId;
using stream::StreamId;

// Where an entry is. On disk in checkpoints: the layout is fixed.
struct Position {
  uint64_t ms = 0;
  uint32_t seq = 0;
  uint32_t segment = 0;
  uint32_t offset = 0;  // of the entry's checksum; its fields follow. 0: the entry was removed
  uint32_t length = 0;  // of the fields

  EntryId id() const { return {ms, seq}; }
  bool removed() const { return offset == 0; }
};
static_assert(sizeof(Position) == 24);

// A delivered entry that is not acked. On disk in checkpoints: the layout is fixed.
struct Pending {
  uint64_t ms = 0;
  uint64_t index = 0;  // in the stream, counted from its first entry ever
  int64_t first_us = 0;
  int64_t last_us = 0;
  uint32_t seq = 0;
  uint32_t consumer = 0;        // index in Group::consumers
  uint32_t delivery_count = 0;  // 0: acked, a gap waiting to be closed
  uint32_t reserved = 0;

  EntryId id() const { return {ms, seq}; }
};
static_assert(sizeof(Pending) == 48);

// The pending entries of one group, ids ascending.
//
// Invariant: groups deliver in id order, so an entry is added at the end; an ack in the middle
// leaves a gap, and the first element is never a gap. Gaps are closed when they are the majority.
class PendingList {
 public:
  void add(const Pending& entry) { entries_.push_back(entry), ++live_; }
  Pending* find(EntryId id);
  const Pending* find(EntryId id) const;
  void erase(Pending* entry);

  // Ends the pending state of everything before `index`.
  void erase_before(uint64_t index);

  size_t size() const { return live_; }
  bool empty() const { return live_ == 0; }
  const Pending& front() const { return entries_.front(); }

  // Nothing up to it can be added any more.
  EntryId last() const { return entries_.empty() ? EntryId() : entries_.back().id(); }

  // The first pending entry with an id above `after`; gaps (delivery count 0) may follow.
  std::deque<Pending>::const_iterator above(EntryId after) const;
  std::deque<Pending>::const_iterator end() const { return entries_.end(); }

 private:
  void close_gaps();

  std::deque<Pending> entries_;
  size_t live_ = 0;
};

struct Group {
  std::string name;
  StreamId stream = 0;
  uint64_t next_index = 0;  // first entry not delivered yet
  EntryId last_delivered;
  uint64_t lag = 0;
  PendingList pending;
  std::vector<std::string> consumers;

  uint32_t consumer_index(std::string_view consumer);

  // Everything before it is acked.
  uint64_t floor() const { return pending.empty() ? next_index : pending.front().index; }
};

struct Stream {
  std::string name;
  std::deque<Position> positions;
  uint64_t first_index = 0;  // of positions.front(), counted from the first entry ever
  uint64_t removed = 0;      // positions that are gaps
  uint64_t entries_added = 0;
  EntryId last;
  std::vector<GroupId> groups;

  // Unknown until the stream is opened in this process; nothing is trimmed before.
  std::optional<stream::StreamOptions> options;

  uint64_t end_index() const { return first_index + positions.size(); }
  uint64_t length() const { return positions.size() - removed; }
  const Position& at(uint64_t index) const { return positions[index - first_index]; }
  Position& at(uint64_t index) { return positions[index - first_index]; }

  // Index of the first entry with an id above `id`; gaps count.
  uint64_t index_above(EntryId id) const;
  std::optional<uint64_t> index_of(EntryId id) const;
};

}  // namespace sluice::engine
