// Everything the engine knows in memory, and the only ways to change it.
//
// A commit and the replay of its record call the same functions with the same arguments, so replay
// ends in the same state. Nothing here reads a clock or a file: time comes from the record.
//
// Threads: [worker].
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "engine/counter_table.h"
#include "engine/key_table.h"
#include "engine/stream_index.h"

namespace sluice::engine {

class State {
 public:
  // --- Lookups. Ids are dense from 1; nullptr for none.
  Stream* stream(StreamId id);
  const Stream* stream(StreamId id) const;
  Group* group(GroupId id);
  const Group* group(GroupId id) const;
  StreamId find_stream(std::string_view name) const;
  GroupId find_group(StreamId stream, std::string_view name) const;
  size_t stream_count() const { return streams_.size(); }
  size_t group_count() const { return groups_.size(); }

  // --- Changes
  StreamId open_stream(std::string_view name);
  GroupId open_group(StreamId stream, std::string_view name, stream::GroupStart start);

  // The id the next entry of `stream` gets.
  static EntryId next_id(const Stream& stream, int64_t now_ms);
  void emit(StreamId stream, const Position& position);

  // False when it was not pending.
  bool ack(GroupId group, EntryId entry);
  // Also ends its pending state in every group. False when it was not there.
  bool remove(StreamId stream, EntryId entry);

  // Delivers the next `count` entries; the caller knows that there are as many.
  void deliver(GroupId group, std::string_view consumer, size_t count, int64_t now_us);
  // False when it is not pending.
  bool claim(GroupId group, std::string_view consumer, EntryId entry, int64_t now_us);

  // First index to keep by the stream's options and its groups; first_index when nothing is due.
  uint64_t trim_due(const Stream& stream) const;
  void trim(StreamId stream, uint64_t first_index);

  // A stream without groups got all its entries from elsewhere, where it had given ids up to `last`
  // and `entries_added` of them. False when it has more.
  bool end_stream(StreamId stream, uint64_t entries_added, EntryId last);

  KeyTable keys;
  CounterTable counters;

  // Lowest segment that holds a live entry; `none` when there is no entry.
  uint32_t first_live_segment(uint32_t none) const;

  // Highest segment that an entry is in; 0 when there is no entry.
  uint32_t last_segment() const;

  // Applies the body of one record. kCorrupt when it does not fit the state.
  // `segment` and `body_offset` say where the body is, for the entries in it.
  Status replay(std::string_view body, int64_t time_us, uint32_t segment, uint32_t body_offset);

  // Everything but keys, as blocks of at most about 1 MiB; `load` takes them back in order.
  Status save(const std::function<Status(std::string_view block)>& write) const;
  std::string save_keys(size_t shard) const;
  Status load(std::string_view block);

  // Blocks of groups, pending entries and counters that are made elsewhere, for `load`. Pending
  // entries name their consumer by its index in the group's.
  static std::string group_block(const Group& group);
  static std::string pending_block(GroupId group, std::span<const Pending> entries);
  static std::string counters_block(const CounterTable& counters);

 private:
  bool replay_one(ByteReader& in, int64_t time_us, uint32_t segment, uint32_t body_offset);
  bool load_block(ByteReader& in);

  std::deque<Stream> streams_;  // a deque keeps references while streams are added
  std::deque<Group> groups_;
  std::unordered_map<std::string, StreamId> names_;
};

}  // namespace sluice::engine
