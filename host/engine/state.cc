#include "engine/state.h"

#include <algorithm>
#include <cstring>

#include "base/mutant.h"
#include "engine/codec.h"
#include "engine/log_record.h"

namespace sluice::engine {

using stream::GroupStart;

namespace {

EntryId read_id(ByteReader& in) {
  EntryId id;
  id.ms = in.varint();
  id.seq = in.varint();
  return id;
}

int64_t ms_of(int64_t us) { return us / 1000; }

// Blocks of a checkpoint. On disk: never renumbered.
enum class Block : uint8_t {
  kStream = 1,
  kPositions = 2,
  kGroup = 3,
  kPending = 4,
  kCounters = 5,
  kKeys = 6,
};

// The log holds only blocks that a mirror puts there.
bool is_of_mirror(std::string_view block) {
  const auto kind = static_cast<Block>(ByteReader(block).fixed<uint8_t>());
  return kind == Block::kGroup || kind == Block::kPending || kind == Block::kCounters;
}

}  // namespace

Stream* State::stream(StreamId id) {
  return id == 0 || id > streams_.size() ? nullptr : &streams_[id - 1];
}
const Stream* State::stream(StreamId id) const {
  return id == 0 || id > streams_.size() ? nullptr : &streams_[id - 1];
}
Group* State::group(GroupId id) {
  return id == 0 || id > groups_.size() ? nullptr : &groups_[id - 1];
}
const Group* State::group(GroupId id) const {
  return id == 0 || id > groups_.size() ? nullptr : &groups_[id - 1];
}

StreamId State::find_stream(std::string_view name) const {
  const auto it = names_.find(std::string(name));
  return it == names_.end() ? 0 : it->second;
}

GroupId State::find_group(StreamId stream_id, std::string_view name) const {
  const Stream* stream = this->stream(stream_id);
  if (stream == nullptr) return 0;
  for (const GroupId id : stream->groups) {
    if (groups_[id - 1].name == name) return id;
  }
  return 0;
}

StreamId State::open_stream(std::string_view name) {
  streams_.emplace_back().name = name;
  const auto id = static_cast<StreamId>(streams_.size());
  names_.emplace(name, id);
  return id;
}

GroupId State::open_group(StreamId stream_id, std::string_view name, GroupStart start) {
  Stream& stream = *this->stream(stream_id);
  Group& group = groups_.emplace_back();
  const auto id = static_cast<GroupId>(groups_.size());
  group.name = name;
  group.stream = stream_id;
  group.next_index = stream.first_index;
  group.lag = stream.length();
  if (start == GroupStart::kEnd) {
    group.next_index = stream.end_index();
    group.last_delivered = stream.last;
    group.lag = 0;
  }
  stream.groups.push_back(id);
  return id;
}

EntryId State::next_id(const Stream& stream, int64_t now_ms) {
  const EntryId id =
      next_entry_id(stream.last, static_cast<uint64_t>(std::max<int64_t>(now_ms, 0)));
  // A position holds 32 bits of sequence; a clock that stood still longer moves on by one.
  return id.seq <= UINT32_MAX ? id : EntryId{id.ms + 1, 0};
}

void State::emit(StreamId stream_id, const Position& position) {
  Stream& stream = *this->stream(stream_id);
  stream.positions.push_back(position);
  stream.last = position.id();
  ++stream.entries_added;
  for (const GroupId id : stream.groups) ++groups_[id - 1].lag;
}

bool State::ack(GroupId group_id, EntryId entry) {
  Group& group = *this->group(group_id);
  Pending* pending = group.pending.find(entry);
  if (pending == nullptr) return false;
  group.pending.erase(pending);
  return true;
}

bool State::remove(StreamId stream_id, EntryId entry) {
  Stream& stream = *this->stream(stream_id);
  const auto index = stream.index_of(entry);
  if (!index) return false;
  stream.at(*index).offset = 0;
  ++stream.removed;
  for (const GroupId id : stream.groups) {
    Group& group = groups_[id - 1];
    if (*index >= group.next_index)
      --group.lag;
    else
      ack(id, entry);
  }
  return true;
}

void State::deliver(GroupId group_id, std::string_view consumer, size_t count, int64_t now_us) {
  Group& group = *this->group(group_id);
  const Stream& stream = *this->stream(group.stream);
  Pending pending;
  pending.first_us = pending.last_us = now_us;
  pending.consumer = group.consumer_index(consumer);
  pending.delivery_count = 1;
  for (size_t done = 0; done < count; ++group.next_index) {
    const Position& position = stream.at(group.next_index);
    if (position.removed()) continue;
    pending.ms = position.ms;
    pending.seq = position.seq;
    pending.index = group.next_index;
    group.pending.add(pending);
    group.last_delivered = position.id();
    --group.lag;
    ++done;
  }
}

bool State::claim(GroupId group_id, std::string_view consumer, EntryId entry, int64_t now_us) {
  Group& group = *this->group(group_id);
  Pending* pending = group.pending.find(entry);
  if (pending == nullptr) return false;
  pending->consumer = group.consumer_index(consumer);
  pending->last_us = now_us;
  if (!SLUICE_MUTANT(claim_not_counted)) ++pending->delivery_count;
  return true;
}

uint64_t State::trim_due(const Stream& stream) const {
  const bool known = stream.options.has_value();
  const uint64_t keep = known ? stream.options->keep : 0;
  const bool everything = !known || (keep == 0 && stream.groups.empty());
  uint64_t floor = everything ? stream.first_index : stream.end_index();
  if (!everything && (!stream.options->trim_hard || keep == 0)) {
    for (const GroupId id : stream.groups) {
      const Group& group = groups_[id - 1];
      floor = std::min(floor, SLUICE_MUTANT(trim_below_unacked) ? group.next_index : group.floor());
    }
  }
  uint64_t length = stream.length();
  uint64_t index = stream.first_index;
  for (; index < stream.end_index(); ++index) {
    if (stream.at(index).removed()) continue;
    if (index >= floor || length <= keep) break;
    --length;
  }
  return index;
}

void State::trim(StreamId stream_id, uint64_t first_index) {
  Stream& stream = *this->stream(stream_id);
  for (const GroupId id : stream.groups) {
    Group& group = groups_[id - 1];
    for (; group.next_index < first_index; ++group.next_index) {
      if (!stream.at(group.next_index).removed()) --group.lag;
    }
    group.pending.erase_before(first_index);
  }
  for (; stream.first_index < first_index; ++stream.first_index) {
    if (stream.positions.front().removed()) --stream.removed;
    stream.positions.pop_front();
  }
}

bool State::end_stream(StreamId stream_id, uint64_t entries_added, EntryId last) {
  Stream& stream = *this->stream(stream_id);
  if (!stream.groups.empty() || entries_added < stream.positions.size() || last < stream.last)
    return false;
  stream.entries_added = entries_added;
  stream.first_index = entries_added - stream.positions.size();
  stream.last = last;
  return true;
}

uint32_t State::first_live_segment(uint32_t none) const {
  uint32_t first = none;
  for (const Stream& stream : streams_) {
    // Gaps keep their segment: the entries behind them are in the same or a later one.
    if (!stream.positions.empty()) first = std::min(first, stream.positions.front().segment);
  }
  return first;
}

uint32_t State::last_segment() const {
  uint32_t last = 0;
  for (const Stream& stream : streams_) {
    if (!stream.positions.empty()) last = std::max(last, stream.positions.back().segment);
  }
  return last;
}

// --- Replay

Status State::replay(std::string_view body, int64_t time_us, uint32_t segment,
                     uint32_t body_offset) {
  ByteReader in(body);
  while (!in.done()) {
    const size_t at = in.offset();
    if (!replay_one(in, time_us, segment, body_offset) || !in.ok())
      return Status(Code::kCorrupt, "operation at byte " + std::to_string(at) +
                                        " of the record does not fit the state");
  }
  return Status::ok();
}

bool State::replay_one(ByteReader& in, int64_t time_us, uint32_t segment, uint32_t body_offset) {
  const int64_t now_ms = ms_of(time_us);
  switch (static_cast<Op>(in.fixed<uint8_t>())) {
    case Op::kOpenStream: {
      const uint32_t id = in.varint32();
      const std::string_view name = in.text();
      return in.ok() && find_stream(name) == 0 && open_stream(name) == id;
    }
    case Op::kOpenGroup: {
      const uint32_t id = in.varint32();
      const uint32_t stream_id = in.varint32();
      const auto start = in.varint() == 1 ? GroupStart::kEnd : GroupStart::kBeginning;
      const std::string_view name = in.text();
      return in.ok() && stream(stream_id) != nullptr && open_group(stream_id, name, start) == id;
    }
    case Op::kEmit: {
      const uint32_t stream_id = in.varint32();
      const Stream* stream = this->stream(stream_id);
      const EntryId id = read_id(in);
      const uint32_t length = in.varint32();
      const size_t at = in.offset();
      in.take(uint64_t{kEntryPrefixSize} + length);
      if (!in.ok() || stream == nullptr || id <= stream->last || id.seq > UINT32_MAX) return false;
      emit(stream_id, {id.ms, static_cast<uint32_t>(id.seq), segment,
                       body_offset + static_cast<uint32_t>(at), length});
      return true;
    }
    case Op::kAck: {
      const uint32_t group_id = in.varint32();
      const EntryId id = read_id(in);
      return in.ok() && group(group_id) != nullptr && ack(group_id, id);
    }
    case Op::kPut: {
      const bool is_fields = in.varint() == 1;
      const int64_t expires_ms = in.signed_varint();
      const std::string_view key = in.text();
      const std::string_view value = in.text();
      if (!in.ok() || key.size() > KeyTable::kKeySizeMax || value.size() > KeyTable::kValueSizeMax)
        return false;
      keys.put(key, value, is_fields, expires_ms);
      return true;
    }
    case Op::kErase:
      keys.erase(in.text());
      return true;
    case Op::kReserve: {
      const uint64_t kind = in.varint();
      if (kind > 1) return false;
      stream::Window window{static_cast<stream::WindowKind>(kind)};
      window.length = stream::milliseconds(in.signed_varint());
      const int64_t amount = in.signed_varint();
      counters.reserve(in.text(), amount, window, now_ms);
      return true;
    }
    case Op::kRelease: {
      const int64_t amount = in.signed_varint();
      const int64_t reserved_ms = in.signed_varint();
      counters.release(in.text(), amount, reserved_ms, now_ms);
      return true;
    }
    case Op::kRemove: {
      const uint32_t stream_id = in.varint32();
      const EntryId id = read_id(in);
      return in.ok() && stream(stream_id) != nullptr && remove(stream_id, id);
    }
    case Op::kDeliver: {
      const uint32_t group_id = in.varint32();
      const std::string_view consumer = in.text();
      const uint64_t count = in.varint();
      if (!in.ok() || group(group_id) == nullptr || count > group(group_id)->lag) return false;
      deliver(group_id, consumer, count, time_us);
      return true;
    }
    case Op::kClaim: {
      const uint32_t group_id = in.varint32();
      const std::string_view consumer = in.text();
      const EntryId id = read_id(in);
      return in.ok() && group(group_id) != nullptr && claim(group_id, consumer, id, time_us);
    }
    case Op::kTrim: {
      const uint32_t stream_id = in.varint32();
      const uint64_t first = in.varint();
      const Stream* stream = this->stream(stream_id);
      if (!in.ok() || stream == nullptr || first < stream->first_index ||
          first > stream->end_index())
        return false;
      trim(stream_id, first);
      return true;
    }
    case Op::kClose:
      return true;
    case Op::kEndStream: {
      const uint32_t stream_id = in.varint32();
      const uint64_t entries_added = in.varint();
      const EntryId last = read_id(in);
      return in.ok() && stream(stream_id) != nullptr && end_stream(stream_id, entries_added, last);
    }
    case Op::kState: {
      const std::string_view block = in.text();
      return in.ok() && is_of_mirror(block) && load(block).is_ok();
    }
  }
  return false;
}

// --- Checkpoint blocks

namespace {

constexpr size_t kBlockSize = 1 << 20;

void begin(std::string& block, Block kind) { block.assign(1, static_cast<char>(kind)); }

template <typename Item>
void put_raw(std::string& out, const Item& item) {
  char bytes[sizeof item];
  std::memcpy(bytes, &item, sizeof item);
  out.append(bytes, sizeof item);
}

template <typename Item>
bool read_raw(ByteReader& in, Item& item) {
  const std::string_view bytes = in.take(sizeof item);
  if (!in.ok()) return false;
  std::memcpy(&item, bytes.data(), sizeof item);
  return true;
}

// Writes `items` as blocks of `kind`, each with the owner's id in front.
template <typename Iterator, typename Skip, typename Write>
Status save_raw(Block kind, uint32_t owner, Iterator it, Iterator end, Skip skip, Write& write) {
  std::string block;
  for (; it != end; ++it) {
    if (skip(*it)) continue;
    if (block.empty()) {
      begin(block, kind);
      put_varint(block, owner);
    }
    put_raw(block, *it);
    if (block.size() < kBlockSize) continue;
    SLUICE_TRY(write(block));
    block.clear();
  }
  return block.empty() ? Status::ok() : write(block);
}

// Entries are in the log in the order of their ids.
bool may_follow(const Stream& stream, const Position& next) {
  if (next.id() > stream.last) return false;
  if (stream.positions.empty()) return true;
  const Position& before = stream.positions.back();
  return next.id() > before.id() && next.segment >= before.segment;
}

}  // namespace

std::string State::group_block(const Group& group) {
  std::string block;
  begin(block, Block::kGroup);
  put_varint(block, group.stream);
  put_text(block, group.name);
  put_varint(block, group.next_index);
  put_varint(block, group.last_delivered.ms);
  put_varint(block, group.last_delivered.seq);
  put_varint(block, group.lag);
  put_varint(block, group.consumers.size());
  for (const std::string& consumer : group.consumers) put_text(block, consumer);
  return block;
}

std::string State::pending_block(GroupId group, std::span<const Pending> entries) {
  std::string block;
  begin(block, Block::kPending);
  put_varint(block, group);
  for (const Pending& entry : entries) put_raw(block, entry);
  return block;
}

std::string State::counters_block(const CounterTable& counters) {
  std::string block;
  begin(block, Block::kCounters);
  counters.save([&](std::string_view encoded) { block.append(encoded); });
  return block;
}

Status State::save(const std::function<Status(std::string_view)>& write) const {
  std::string block;
  for (StreamId id = 1; id <= streams_.size(); ++id) {
    const Stream& stream = streams_[id - 1];
    begin(block, Block::kStream);
    put_text(block, stream.name);
    put_varint(block, stream.first_index);
    put_varint(block, stream.entries_added);
    put_varint(block, stream.last.ms);
    put_varint(block, stream.last.seq);
    SLUICE_TRY(write(block));
    SLUICE_TRY(save_raw(
        Block::kPositions, id, stream.positions.begin(), stream.positions.end(),
        [](const Position&) { return false; }, write));
  }
  for (GroupId id = 1; id <= groups_.size(); ++id) {
    const Group& group = groups_[id - 1];
    SLUICE_TRY(write(group_block(group)));
    SLUICE_TRY(save_raw(
        Block::kPending, id, group.pending.above({}), group.pending.end(),
        [](const Pending& entry) { return entry.delivery_count == 0; }, write));
  }
  begin(block, Block::kCounters);
  Status status;
  counters.save([&](std::string_view encoded) {
    block.append(encoded);
    if (block.size() < kBlockSize || !status) return;
    status = write(block);
    begin(block, Block::kCounters);
  });
  SLUICE_TRY(status);
  return write(block);
}

std::string State::save_keys(size_t shard) const {
  std::string block;
  begin(block, Block::kKeys);
  keys.visit_shard(shard, [&](const KeyTable::Found& found) {
    put_put(block, found.key, found.value, found.is_fields, found.expires_ms);
  });
  return block;
}

Status State::load(std::string_view block) {
  ByteReader in(block);
  if (load_block(in) && in.ok()) return Status::ok();
  return Status(Code::kCorrupt, "checkpoint block does not fit the state");
}

bool State::load_block(ByteReader& in) {
  switch (static_cast<Block>(in.fixed<uint8_t>())) {
    case Block::kStream: {
      const std::string_view name = in.text();
      if (!in.ok() || find_stream(name) != 0) return false;
      Stream& stream = *this->stream(open_stream(name));
      stream.first_index = in.varint();
      stream.entries_added = in.varint();
      stream.last = read_id(in);
      return true;
    }
    case Block::kPositions: {
      Stream* stream = this->stream(in.varint32());
      if (stream == nullptr) return false;
      for (Position position; !in.done() && read_raw(in, position);) {
        if (!may_follow(*stream, position)) return false;
        stream->positions.push_back(position);
        if (position.removed()) ++stream->removed;
      }
      return true;
    }
    case Block::kGroup: {
      const uint32_t stream_id = in.varint32();
      const std::string_view name = in.text();
      const uint64_t next = in.varint();
      const Stream* stream = this->stream(stream_id);
      if (!in.ok() || stream == nullptr || find_group(stream_id, name) != 0 ||
          next < stream->first_index || next > stream->end_index())
        return false;
      Group& group = *this->group(open_group(stream_id, name, GroupStart::kBeginning));
      group.next_index = next;
      group.last_delivered = read_id(in);
      group.lag = in.varint();
      for (uint64_t left = in.varint(); left > 0 && in.ok(); --left)
        group.consumers.emplace_back(in.text());
      return true;
    }
    case Block::kPending: {
      Group* group = this->group(in.varint32());
      if (group == nullptr) return false;
      const Stream& stream = *this->stream(group->stream);
      for (Pending pending; !in.done() && read_raw(in, pending);) {
        if (pending.consumer >= group->consumers.size() || pending.delivery_count == 0 ||
            pending.index >= group->next_index || pending.id() <= group->pending.last() ||
            stream.index_of(pending.id()) != pending.index)
          return false;
        group->pending.add(pending);
      }
      return true;
    }
    case Block::kCounters:
      while (!in.done()) {
        if (!counters.load(in)) return false;
      }
      return true;
    case Block::kKeys:
      while (!in.done()) {
        if (!replay_one(in, 0, 0, 0)) return false;
      }
      return true;
  }
  return false;
}

}  // namespace sluice::engine
