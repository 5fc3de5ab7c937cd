#include "engine/mirror.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/log_record.h"

namespace sluice::engine {

using stream::CounterState;
using stream::Entry;
using stream::GroupState;
using stream::KeyValue;
using stream::PendingInfo;
using stream::StreamState;

namespace {

constexpr size_t kPendingAtOnce = 10'000;

Options mirror_options() {
  Options options;
  options.durability = Durability::kOs;  // `flush` syncs
  options.background = false;
  options.accept_unfinished_mirror = true;
  return options;
}

}  // namespace

// --- Reading

Result<std::unique_ptr<StoreMirrorReader>> StoreMirrorReader::open(const std::string& path,
                                                                   Disk& disk, const Clock& clock,
                                                                   bool unfinished) {
  std::unique_ptr<StoreMirrorReader> reader(new StoreMirrorReader());
  Options options;
  options.accept_unfinished_mirror = unfinished;
  // Looked at before it is locked, which would leave a file where no store is.
  SLUICE_TRY(EmbeddedStore::open_read_only(path, disk, clock, options).status());
  SLUICE_ASSIGN(lock, disk.lock(path + "/lock"));
  SLUICE_ASSIGN(store, EmbeddedStore::open_read_only(path, disk, clock, options));
  reader->lock_ = std::move(lock);
  reader->store_ = std::move(store);
  return reader;
}

Result<std::vector<StreamState>> StoreMirrorReader::streams() {
  std::vector<StreamState> states;
  for (const stream::StreamInfo& info : store_->streams()) {
    if (info.entries_added == 0 && info.last.is_zero() && info.groups.empty()) continue;
    StreamState& state = states.emplace_back();
    state.name = info.name;
    state.length = info.length;
    state.entries_added = info.entries_added;
    state.last = info.last;
    for (const stream::GroupInfo& group : info.groups)
      state.groups.push_back({group.name, group.last_delivered, group.lag});
    std::ranges::sort(state.groups, {}, &GroupState::name);
  }
  std::ranges::sort(states, {}, &StreamState::name);
  return states;
}

Result<std::vector<Entry>> StoreMirrorReader::entries(const std::string& stream, EntryId after,
                                                      size_t count_max) {
  const StreamId id = store_->find_stream(stream);
  if (id == 0) return std::vector<Entry>();
  return store_->range(id, after, count_max);
}

Result<std::vector<PendingInfo>> StoreMirrorReader::pending(const std::string& stream,
                                                            const std::string& group) {
  for (const stream::StreamInfo& info : store_->streams()) {
    if (info.name != stream) continue;
    for (const stream::GroupInfo& of : info.groups)
      if (of.name == group) return store_->pending_entries(of.id, SIZE_MAX);
  }
  return std::vector<PendingInfo>();
}

Result<std::vector<std::string>> StoreMirrorReader::key_names() {
  std::vector<std::string> names;
  SLUICE_TRY(store_->scan({}, [&](std::string_view key, const KeyValue&) {
    names.emplace_back(key);
    return true;
  }));
  return names;
}

Result<std::vector<std::optional<KeyValue>>> StoreMirrorReader::values(
    std::span<const std::string> names) {
  std::vector<std::optional<KeyValue>> values;
  values.reserve(names.size());
  for (const std::string& name : names) {
    SLUICE_ASSIGN(value, store_->get(name));
    values.push_back(std::move(value));
  }
  return values;
}

Result<std::vector<CounterState>> StoreMirrorReader::counters() { return store_->counters(); }

// --- Writing

Status check_empty(Disk& disk, const std::string& path) {
  SLUICE_TRY(check_mirrored(disk, path));
  auto names = disk.list(path);
  if (!names && names.status().code() == Code::kNotFound) return Status::ok();
  SLUICE_TRY(names.status());
  // `paper` is the account of the paper exchange, which the shipped pipelines keep beside the
  // store.
  std::erase_if(*names, [](const std::string& name) { return name == "lock" || name == "paper"; });
  if (names->empty()) return Status::ok();
  return Status(Code::kConflict,
                fmt::format("{} is not empty: it holds {}{}; name a folder that is not there yet",
                            path, names->front(), names->size() > 1 ? " and more" : ""));
}

template <typename Change>
Status StoreMirrorWriter::record(Change change) {
  EmbeddedStore::Lock lock(store_->mutex_);
  SLUICE_TRY(store_->writable());
  SLUICE_TRY(store_->begin_record());
  // A change that does not fit may have been begun: nothing more is written behind it.
  if (const Status changed = change(*store_->record_); !changed) {
    (void)store_->poison(changed);
    return changed;
  }
  if (store_->record_is_empty()) return Status::ok();
  SLUICE_TRY(store_->end_record());
  return store_->settle(lock, false);
}

StreamId StoreMirrorWriter::stream_of(const std::string& name, std::string& record) {
  State& state = store_->state_;
  if (const StreamId known = state.find_stream(name); known != 0) return known;
  const StreamId id = state.open_stream(name);
  put_open_stream(record, id, name);
  return id;
}

Status StoreMirrorWriter::apply_block(std::string& record, const std::string& block) {
  SLUICE_TRY(store_->state_.load(block));
  put_state(record, block);
  return Status::ok();
}

Status StoreMirrorWriter::begin() {
  SLUICE_TRY(check_empty(disk_, path_));
  SLUICE_TRY(disk_.make_directory(path_));
  SLUICE_TRY(write_file_atomically(disk_, fmt::format("{}/{}", path_, kMirrorMark),
                                   "from " + from_ + "\n"));
  SLUICE_ASSIGN(store, EmbeddedStore::open(path_, mirror_options(), disk_, clock_));
  store_ = std::move(store);
  return Status::ok();
}

Status StoreMirrorWriter::append(const std::string& name, std::span<const Entry> entries) {
  return record([&](std::string& record) -> Status {
    State& state = store_->state_;
    const StreamId id = stream_of(name, record);
    for (const Entry& entry : entries) {
      if (entry.id.seq > UINT32_MAX)
        return Status(Code::kInvalid,
                      fmt::format("entry {}: its sequence number is above {}, and the embedded "
                                  "engine has no place for it",
                                  entry.id.text(), UINT32_MAX));
      if (entry.id <= state.stream(id)->last)
        return Status(Code::kInvalid, fmt::format("entry {} is not behind {}", entry.id.text(),
                                                  state.stream(id)->last.text()));
      const std::string& fields = entry.fields.encoded();
      const size_t at = put_emit(record, id, entry.id, fields);
      state.emit(id, {entry.id.ms, static_cast<uint32_t>(entry.id.seq), store_->log_->segment(),
                      store_->log_->offset_of(at), static_cast<uint32_t>(fields.size())});
    }
    return Status::ok();
  });
}

Status StoreMirrorWriter::end_stream(const StreamState& stream) {
  if (stream.last.seq > UINT32_MAX)
    return Status(Code::kInvalid,
                  fmt::format("its last id {} has a sequence number above {}, and the embedded "
                              "engine has no place for it",
                              stream.last.text(), UINT32_MAX));
  return record([&](std::string& record) -> Status {
    State& state = store_->state_;
    const StreamId id = stream_of(stream.name, record);
    // More entries than there ever were: a server that began to count late.
    const uint64_t added =
        std::max<uint64_t>(stream.entries_added.value_or(0), state.stream(id)->positions.size());
    if (!state.end_stream(id, added, stream.last))
      return Status(Code::kInvalid,
                    fmt::format("its last id {} is below its last entry", stream.last.text()));
    put_end_stream(record, id, added, stream.last);
    return Status::ok();
  });
}

Status StoreMirrorWriter::add_group(const StreamState& stream, const GroupState& group,
                                    std::span<const PendingInfo> pending) {
  State& state = store_->state_;
  Group made;
  GroupId id = 0;
  std::vector<Pending> entries;
  const Status added = record([&](std::string& record) -> Status {
    made.stream = state.find_stream(stream.name);
    const Stream& of = *state.stream(made.stream);
    made.name = group.name;
    made.next_index = of.index_above(group.last_delivered);
    made.last_delivered = group.last_delivered;
    made.lag = of.end_index() - made.next_index;  // a stream that was filled has no gaps
    for (const PendingInfo& info : pending) {
      const auto index = of.index_of(info.id);
      if (!index || *index >= made.next_index)
        return Status(Code::kInvalid,
                      fmt::format("entry {} is pending and was not delivered yet", info.id.text()));
      Pending& entry = entries.emplace_back();
      entry.ms = info.id.ms;
      entry.seq = static_cast<uint32_t>(info.id.seq);
      entry.index = *index;
      entry.first_us = to_us(info.first_delivered_at);
      entry.last_us = to_us(info.last_delivered_at);
      entry.consumer = made.consumer_index(info.consumer);
      entry.delivery_count = std::max(info.delivery_count, 1u);
    }
    SLUICE_TRY(apply_block(record, State::group_block(made)));
    id = state.find_group(made.stream, made.name);
    return Status::ok();
  });
  SLUICE_TRY(added);
  for (size_t at = 0; at < entries.size(); at += kPendingAtOnce) {
    const auto some = std::span(entries).subspan(at, std::min(kPendingAtOnce, entries.size() - at));
    SLUICE_TRY(record(
        [&](std::string& record) { return apply_block(record, State::pending_block(id, some)); }));
  }
  return Status::ok();
}

Status StoreMirrorWriter::add_counters(std::span<const CounterState> counters) {
  if (counters.empty()) return Status::ok();
  return record([&](std::string& record) {
    CounterTable table;
    for (const CounterState& counter : counters) table.restore(counter);
    return apply_block(record, State::counters_block(table));
  });
}

Status StoreMirrorWriter::put(std::span<const std::pair<std::string, KeyValue>> keys) {
  return record([&](std::string& record) -> Status {
    for (const auto& [name, value] : keys) {
      if (name.empty() || name.size() > KeyTable::kKeySizeMax ||
          value.bytes.size() > KeyTable::kValueSizeMax)
        return Status(Code::kInvalid,
                      fmt::format("key {}: a name of {} bytes, expected 1 to {}, or a value of {} "
                                  "bytes, expected at most {}",
                                  name.substr(0, 60), name.size(), KeyTable::kKeySizeMax,
                                  value.bytes.size(), KeyTable::kValueSizeMax));
      put_put(record, name, value.bytes, value.is_fields, value.expires_ms);
      store_->state_.keys.put(name, value.bytes, value.is_fields, value.expires_ms);
    }
    return Status::ok();
  });
}

Status StoreMirrorWriter::flush() {
  SLUICE_TRY(store_->flush(store_->last_commit()));
  SLUICE_TRY(store_->checkpoint());
  store_.reset();
  return Status::ok();
}

Status StoreMirrorWriter::finish() {
  SLUICE_TRY(disk_.remove(fmt::format("{}/{}", path_, kMirrorMark)));
  return disk_.sync_directory(path_);
}

}  // namespace sluice::engine
