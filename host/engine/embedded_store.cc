#include "engine/embedded_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/mutant.h"
#include "base/thread.h"
#include "engine/maintenance.h"

namespace sluice::engine {

using stream::Condition;
using stream::ConditionKind;
using stream::Delivery;
using stream::Effect;
using stream::EffectKind;
using stream::KeyValue;
using stream::ReadRequest;
using stream::Unit;
using stream::UnitOutcome;
using stream::UnitState;

namespace {

constexpr uint64_t kSegmentBytesMin = 4096;
constexpr uint64_t kSegmentBytesMax = 1u << 30;
constexpr size_t kCheckpointsKept = 2;  // the older one is there in case the newer is damaged
constexpr int kOpenAttemptsMax = 8;     // of a reader while the writer removes files

// Each commit also looks for expired keys, over this many bytes and a multiple of what it wrote.
constexpr size_t kSweepBytes = 256;
constexpr size_t kSweepFactor = 4;

KeyValue to_value(const KeyTable::Found& found) {
  return {found.is_fields, std::string(found.value), found.expires_ms};
}

// Ids differ between stores that were made at different times or in different folders.
uint64_t make_store_id(const std::string& path, const Clock& clock) {
  uint64_t id = static_cast<uint64_t>(to_us(clock.now())) * 0x9e3779b97f4a7c15u;
  id ^= static_cast<uint64_t>(clock.steady().count()) * 0xbf58476d1ce4e5b9u;
  id ^= std::hash<std::string>()(path) * 0x94d049bb133111ebu;
  // The low half tags records, where zero would stand for unknown.
  return (id & UINT32_MAX) == 0 ? id | 1 : id;
}

Status check_options(const Options& options) {
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax)
    return Status(Code::kInvalid,
                  fmt::format("segment_bytes is {}, expected {} to {}", options.segment_bytes,
                              kSegmentBytesMin, kSegmentBytesMax));
  if (options.group_interval.count() < 0)
    return Status(Code::kInvalid, "group_interval is negative");
  return Status::ok();
}

}  // namespace

Status check_mirrored(Disk& disk, const std::string& path) {
  const Status opened =
      disk.open(fmt::format("{}/{}", path, kMirrorMark), OpenMode::kRead).status();
  if (opened.code() == Code::kNotFound) return Status::ok();
  SLUICE_TRY(opened);
  return Status(
      Code::kCorrupt,
      fmt::format("{}: a mirror into this store did not finish, and what is in it is half "
                  "of a store; remove the folder and mirror again",
                  path));
}

// --- Opening and closing

EmbeddedStore::EmbeddedStore(std::string path, const Options& options, Disk& disk,
                             const Clock& clock, bool read_only)
    : path_(std::move(path)),
      options_(options),
      disk_(disk),
      clock_(clock),
      read_only_(read_only) {}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open(const std::string& path,
                                                           const Options& options, Disk& disk,
                                                           const Clock& clock) {
  SLUICE_TRY(check_options(options));
  SLUICE_TRY(disk.make_directory(path));
  SLUICE_ASSIGN(lock, disk.lock(path + "/lock"));
  if (!options.accept_unfinished_mirror) SLUICE_TRY(check_mirrored(disk, path));
  std::unique_ptr<EmbeddedStore> store(new EmbeddedStore(path, options, disk, clock, false));
  store->file_lock_ = std::move(lock);
  SLUICE_TRY(store->start_writing());
  return store;
}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open_read_only(const std::string& path,
                                                                     Disk& disk, const Clock& clock,
                                                                     const Options& options) {
  if (!options.accept_unfinished_mirror) SLUICE_TRY(check_mirrored(disk, path));
  std::unique_ptr<EmbeddedStore> store(new EmbeddedStore(path, options, disk, clock, true));
  SLUICE_TRY(store->start_reading());
  return store;
}

Status EmbeddedStore::start_writing() {
  SLUICE_ASSIGN(recovered, recover(disk_, path_));
  recovered_ = std::move(recovered);
  for (const std::string& text : recovered_.damaged)
    log::warning("{}: passed over a damaged checkpoint: {}", path_, text);
  const LogPosition end = recovered_.end();
  SLUICE_ASSIGN(tail, examine_tail(disk_, path_, recovered_.store_id, end, recovered_.proven_seq));
  if (tail.kind == Tail::Kind::kCorrupt && SLUICE_MUTANT(damage_taken_for_torn))
    tail.kind = Tail::Kind::kTorn;
  if (tail.kind == Tail::Kind::kCorrupt)
    return Status(Code::kCorrupt, fmt::format("{}: {}; run `sluice store verify {}`, then `sluice "
                                              "store repair {}`",
                                              path_, tail.text, path_, path_));
  if (!options_.accept_missing_segments)
    SLUICE_TRY(check_segments(disk_, path_, recovered_).within(path_));
  if (tail.kind == Tail::Kind::kTorn) {
    log::warning("{}: cut a torn tail: {}", path_, tail.text);
    SLUICE_TRY(put_aside(tail));
  }
  store_id_ = recovered_.store_id != 0 ? recovered_.store_id : make_store_id(path_, clock_);
  log_.emplace(disk_, path_, store_id_, options_.segment_bytes, options_.cache_bytes);
  SLUICE_TRY(log_->open_for_writing(end, tail.kind == Tail::Kind::kTorn,
                                    recovered_.checkpoint.start.segment, recovered_.proven_end()));
  recovered_.scanner.reset();
  recovered_.unproven.clear();
  durable_ = end.seq;
  bytes_since_checkpoint_ = recovered_.bytes;
  SLUICE_ASSIGN(seqs, list_checkpoints(disk_, path_));
  for (const uint64_t seq : seqs) {
    const bool used = seq == recovered_.checkpoint.start.seq;
    checkpoints_.push_back({seq, used ? recovered_.checkpoint.start.segment : 0});
  }
  if (options_.background) {
    SLUICE_ASSIGN(thread, start_thread([this] { run_background(); }));
    thread_ = std::move(thread);
  }
  return Status::ok();
}

// Segments behind the cut are no part of the log: those that hold records are kept for a look.
Status EmbeddedStore::put_aside(const Tail& tail) {
  std::vector<std::string> kept;
  for (const Tail::After& after : tail.segments_after) {
    if (after.has_records)
      kept.push_back(segment_name(after.number));
    else
      SLUICE_TRY(disk_.remove(path_ + "/" + segment_name(after.number)));
  }
  SLUICE_TRY(disk_.sync_directory(path_));
  if (kept.empty()) return Status::ok();
  SLUICE_ASSIGN(folder, move_aside(disk_, path_, kept));
  log::warning("{}: moved {} segments behind the cut to {}", path_, kept.size(), folder);
  return Status::ok();
}

Status EmbeddedStore::start_reading() {
  Status status;
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    auto recovered = recover(disk_, path_);
    if (!recovered.is_ok()) {
      status = recovered.status();
      if (status.code() == Code::kNotFound) break;
      continue;
    }
    if (recovered->store_id == 0)
      return Status(Code::kNotFound, path_ + ": no store in this folder");
    recovered_ = std::move(recovered).value();
    store_id_ = recovered_.store_id;
    const LogPosition& end = recovered_.end();
    log_.emplace(disk_, path_, store_id_, options_.segment_bytes, 0);
    status = recovered_.proven_seq > end.seq
                 ? Status(Code::kCorrupt,
                          fmt::format("{}: log ends at record {} and was durable up to {}", path_,
                                      end.seq, recovered_.proven_seq))
                 : log_->hold_open(state_.first_live_segment(end.segment), end.segment);
    if (status) return Status::ok();
    // A writer may have removed it meanwhile; what is gone at every look is damage.
    if (status.code() == Code::kNotFound)
      status = Status(Code::kCorrupt, status.text() + ", and it holds live entries");
  }
  return status.within(path_);
}

EmbeddedStore::~EmbeddedStore() {
  stop_background();
  close();
}

// Leaves proof in the log that everything before was durable, so that later damage to it is told
// from a torn tail.
void EmbeddedStore::close() {
  Lock lock(mutex_);
  if (read_only_ || !log_ || !poison_ || !wrote_) return;
  if (!sync_to(lock, log_->tail().seq) || !begin_record()) return;
  record_us_ = log_->tail().time_us;
  put_close(*record_);
  if (!end_record()) return;
  if (const Status status = sync_to(lock, log_->tail().seq); !status)
    log::error("{}: {}", path_, status.text());
}

Status EmbeddedStore::refresh() {
  Lock lock(mutex_);
  if (!read_only_) return Status::ok();
  // Twice, as the writer may move to a new segment between two looks.
  for (int attempt = 0; attempt < 2; ++attempt) {
    SLUICE_TRY(follow(recovered_));
    SLUICE_ASSIGN(segments, list_segments(disk_, path_));
    if (segments.empty() || segments.back() <= recovered_.end().segment) {
      const uint32_t last = recovered_.end().segment;
      if (log_->hold_open(state_.first_live_segment(last), last)) return Status::ok();
    }
  }
  // What came next has been removed already: start over from a newer checkpoint.
  return start_reading();
}

// --- Small helpers

Status EmbeddedStore::writable() const {
  if (read_only_) return Status(Code::kClosed, path_ + " is open for reading only");
  return poison_;
}

Status EmbeddedStore::poison(Status status) {
  if (poison_) {
    log::error("{}: no more writing: {}", path_, status.text());
    poison_ = Status(Code::kIo, path_ + ": no more writing after: " + status.text());
  }
  work_.notify_all();
  synced_.notify_all();
  return poison_;
}

// Never below the newest commit, so that nothing that expired comes back.
int64_t EmbeddedStore::now_us() const {
  const int64_t now = to_us(clock_.now());
  return std::max(now, read_only_ ? recovered_.end().time_us : log_->tail().time_us);
}

// --- One record

Status EmbeddedStore::begin_record() {
  auto record = log_->begin_record();
  if (!record.is_ok()) return poison(record.status());
  record_ = *record;
  record_us_ = now_us();
  touched_.clear();
  news_ = {};
  return Status::ok();
}

Status EmbeddedStore::end_record() {
  trim_touched();
  if (log_->unsynced_bytes() == 0) unsynced_since_ = clock_.steady();
  const size_t size = record_->size();
  state_.keys.sweep(record_us_ / 1000, kSweepBytes + kSweepFactor * size);
  if (const Status status = log_->end_record(durable_, record_us_); !status) return poison(status);
  bytes_since_checkpoint_ += size;
  wrote_ = true;
  return Status::ok();
}

// Does what the durability setting asks for after a record was written.
Status EmbeddedStore::settle(Lock& lock, bool durable_wanted) {
  const uint64_t seq = log_->tail().seq - (SLUICE_MUTANT(ack_before_sync) ? 1 : 0);
  bool sync = false;
  if (options_.durability == Durability::kCommit) sync = durable_wanted;
  if (options_.durability == Durability::kGroup) {
    sync = log_->unsynced_bytes() >= options_.unsynced_bytes_max / 2 ||
           (!options_.background &&
            clock_.steady() - unsynced_since_ >= Micros(options_.group_interval));
    if (!sync && options_.background) work_.notify_one();
  }
  if (sync) SLUICE_TRY(sync_to(lock, seq));
  if (!checkpoint_due()) return Status::ok();
  if (!options_.background) return take_checkpoint(lock);
  work_.notify_one();
  return Status::ok();
}

// One caller syncs for all that wait; commits go on meanwhile.
Status EmbeddedStore::sync_to(Lock& lock, uint64_t seq) {
  while (poison_ && durable_ < seq) {
    if (syncing_) {
      synced_.wait(lock);
      continue;
    }
    syncing_ = true;
    const uint64_t target = log_->tail().seq;
    const SegmentLog::Unsynced unsynced = log_->take_unsynced();
    lock.unlock();
    const Status status = log_->sync(unsynced);
    lock.lock();
    syncing_ = false;
    if (!status && SLUICE_MUTANT(retry_failed_sync)) return status;
    if (!status) return poison(status);
    durable_ = std::max(durable_, target);
    synced_.notify_all();
  }
  return poison_;
}

void EmbeddedStore::touch(StreamId stream) {
  if (std::find(touched_.begin(), touched_.end(), stream) == touched_.end())
    touched_.push_back(stream);
}

// Trims go to the log: a reader and a later start do not know this process's options.
void EmbeddedStore::trim_touched() {
  for (const StreamId id : touched_) {
    const Stream& stream = *state_.stream(id);
    const uint64_t first = state_.trim_due(stream);
    if (first == stream.first_index) continue;
    put_trim(*record_, id, first);
    state_.trim(id, first);
  }
}

// --- Streams and groups

Result<StreamId> EmbeddedStore::open_stream(std::string_view name,
                                            const stream::StreamOptions& options) {
  Lock lock(mutex_);
  if (read_only_) {
    const StreamId known = state_.find_stream(name);
    if (known != 0) return known;
  }
  SLUICE_TRY(writable());
  if (name.empty()) return Status(Code::kInvalid, "a stream needs a name");
  SLUICE_TRY(begin_record());
  StreamId id = state_.find_stream(name);
  if (id == 0) {
    id = state_.open_stream(name);
    put_open_stream(*record_, id, name);
  }
  state_.stream(id)->options = options;
  // Not where nobody reads yet: the first group, which is opened next, is to have what is there.
  if (!state_.stream(id)->groups.empty()) touch(id);
  trim_touched();
  if (!record_is_empty()) {
    SLUICE_TRY(end_record());
    SLUICE_TRY(settle(lock, true));
  }
  return id;
}

StreamId EmbeddedStore::find_stream(std::string_view name) const {
  Lock lock(mutex_);
  return state_.find_stream(name);
}

Result<GroupId> EmbeddedStore::open_group(StreamId stream, std::string_view name,
                                          stream::GroupStart start) {
  Lock lock(mutex_);
  if (const GroupId known = state_.find_group(stream, name); known != 0 && poison_) return known;
  SLUICE_TRY(writable());
  if (state_.stream(stream) == nullptr)
    return Status(Code::kInvalid, fmt::format("stream {} is not open", stream));
  if (name.empty()) return Status(Code::kInvalid, "a group needs a name");
  SLUICE_TRY(begin_record());
  const GroupId id = state_.open_group(stream, name, start);
  put_open_group(*record_, id, stream, start, name);
  SLUICE_TRY(end_record());
  SLUICE_TRY(settle(lock, true));
  return id;
}

// --- Reading as a group

// Reads what is in the picked entries; drops those beyond `bytes_max`, but not the first.
Status EmbeddedStore::fill(StreamId stream, Picked& picked, size_t bytes_max) const {
  size_t bytes = 0;
  size_t count = 0;
  for (; count < picked.positions.size(); ++count) {
    bytes += picked.positions[count].length;
    if (count > 0 && bytes > bytes_max) break;
  }
  picked.positions.resize(count);
  SLUICE_ASSIGN(encoded, log_->read(stream, picked.positions));
  picked.deliveries.resize(count);
  for (size_t i = 0; i < count; ++i) {
    SLUICE_ASSIGN(fields, stream::Fields::decode(std::move(encoded[i])));
    picked.deliveries[i].entry = {picked.positions[i].id(), std::move(fields)};
  }
  return Status::ok();
}

Result<EmbeddedStore::Picked> EmbeddedStore::pick_new(const ReadRequest& request) const {
  const Group& group = *state_.group(request.group);
  const Stream& stream = *state_.stream(group.stream);
  Picked picked;
  size_t bytes = 0;
  for (uint64_t index = group.next_index; index < stream.end_index(); ++index) {
    if (picked.positions.size() >= request.count_max || bytes > request.bytes_max) break;
    const Position& position = stream.at(index);
    if (position.removed()) continue;
    picked.positions.push_back(position);
    bytes += position.length;
  }
  SLUICE_TRY(fill(group.stream, picked, request.bytes_max));
  return picked;
}

void EmbeddedStore::deliver(const ReadRequest& request, Picked& picked) {
  if (picked.deliveries.empty()) return;
  put_deliver(*record_, request.group, request.consumer, picked.deliveries.size());
  state_.deliver(request.group, request.consumer, picked.deliveries.size(), record_us_);
  for (Delivery& delivery : picked.deliveries) delivery.first_delivered_at = from_us(record_us_);
}

Result<std::vector<Delivery>> EmbeddedStore::read(const ReadRequest& request) {
  Lock lock(mutex_);
  SLUICE_TRY(writable());
  if (state_.group(request.group) == nullptr)
    return Status(Code::kInvalid, fmt::format("group {} is not open", request.group));
  SLUICE_ASSIGN(picked, pick_new(request));
  if (picked.deliveries.empty()) return std::move(picked.deliveries);
  SLUICE_TRY(begin_record());
  deliver(request, picked);
  SLUICE_TRY(end_record());
  SLUICE_TRY(settle(lock, false));
  return std::move(picked.deliveries);
}

Result<std::vector<Delivery>> EmbeddedStore::claim(const ReadRequest& request,
                                                   stream::milliseconds idle_min, EntryId after) {
  Lock lock(mutex_);
  SLUICE_TRY(writable());
  const Group* group = state_.group(request.group);
  if (group == nullptr)
    return Status(Code::kInvalid, fmt::format("group {} is not open", request.group));
  const Stream& stream = *state_.stream(group->stream);
  const int64_t idle_since_us = now_us() - std::chrono::microseconds(idle_min).count();
  Picked picked;
  size_t bytes = 0;
  for (auto it = group->pending.above(after); it != group->pending.end(); ++it) {
    if (picked.positions.size() >= request.count_max || bytes > request.bytes_max) break;
    if (it->delivery_count == 0 || it->last_us > idle_since_us) continue;
    picked.positions.push_back(stream.at(it->index));
    bytes += picked.positions.back().length;
  }
  SLUICE_TRY(fill(group->stream, picked, request.bytes_max));
  if (picked.deliveries.empty()) return std::move(picked.deliveries);
  SLUICE_TRY(begin_record());
  for (Delivery& delivery : picked.deliveries) {
    put_claim(*record_, request.group, request.consumer, delivery.entry.id);
    state_.claim(request.group, request.consumer, delivery.entry.id, record_us_);
    const Pending* pending = group->pending.find(delivery.entry.id);
    delivery.delivery_count = pending->delivery_count;
    delivery.first_delivered_at = from_us(pending->first_us);
  }
  SLUICE_TRY(end_record());
  SLUICE_TRY(settle(lock, false));
  return std::move(picked.deliveries);
}

// --- Units of work

Status EmbeddedStore::check(const Condition& condition) const {
  if (condition.key.empty() || condition.key.size() > KeyTable::kKeySizeMax)
    return Status(Code::kInvalid, fmt::format("a key has {} bytes, expected 1 to {}",
                                              condition.key.size(), KeyTable::kKeySizeMax));
  if (condition.value.size() > KeyTable::kValueSizeMax)
    return Status(Code::kInvalid, fmt::format("value of {} is too long", condition.key));
  if (condition.ttl.count() < 0 || condition.window.length.count() < 0)
    return Status(Code::kInvalid, fmt::format("{}: a negative duration", condition.key));
  return Status::ok();
}

Status EmbeddedStore::check(const Effect& effect) const {
  if (effect.kind == EffectKind::kEmit || effect.kind == EffectKind::kRemove) {
    if (state_.stream(effect.stream) == nullptr)
      return Status(Code::kInvalid, fmt::format("stream {} is not open", effect.stream));
  } else if (effect.key.empty() || effect.key.size() > KeyTable::kKeySizeMax) {
    return Status(Code::kInvalid, fmt::format("a key has {} bytes, expected 1 to {}",
                                              effect.key.size(), KeyTable::kKeySizeMax));
  }
  if (effect.bytes.size() > KeyTable::kValueSizeMax)
    return Status(Code::kInvalid, "an effect has too many bytes");
  if ((effect.kind == EffectKind::kEmit || effect.kind == EffectKind::kPutFields) &&
      !stream::FieldsView::is_whole(effect.bytes))
    return Status(Code::kInvalid, "the fields of an effect are not whole");
  if (effect.ttl.count() < 0 || effect.amount < 0)
    return Status(Code::kInvalid, fmt::format("{}: a negative ttl or amount", effect.key));
  return Status::ok();
}

Status EmbeddedStore::check(const Unit& unit) const {
  if (unit.group != 0 && state_.group(unit.group) == nullptr)
    return Status(Code::kInvalid, fmt::format("group {} is not open", unit.group));
  for (const Condition& condition : unit.conditions) SLUICE_TRY(check(condition));
  for (const Effect& effect : unit.effects) SLUICE_TRY(check(effect));
  return Status::ok();
}

Result<stream::CommitResult> EmbeddedStore::commit(std::span<const Unit> units,
                                                   const ReadRequest* next) {
  Lock lock(mutex_);
  SLUICE_TRY(writable());
  uint64_t bytes = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    const Unit& unit = units[i];
    SLUICE_TRY(check(unit));
    SLUICE_TRY(stream::check_behind(unit, i));
    for (const Condition& condition : unit.conditions)
      bytes += 64 + condition.key.size() + condition.value.size();
    for (const Effect& effect : unit.effects) bytes += 64 + effect.key.size() + effect.bytes.size();
  }
  if (bytes > kRecordBodyMax / 2)
    return Status(Code::kInvalid, fmt::format("a commit of {} bytes, expected at most {}", bytes,
                                              kRecordBodyMax / 2));
  if (next != nullptr && state_.group(next->group) == nullptr)
    return Status(Code::kInvalid, fmt::format("group {} is not open", next->group));

  SLUICE_TRY(begin_record());
  stream::CommitResult result;
  result.outcomes.resize(units.size());
  for (size_t i = 0; i < units.size(); ++i) {
    const std::optional<size_t> behind = units[i].behind;
    const bool follows = !behind || result.outcomes[*behind].state == UnitState::kApplied ||
                         SLUICE_MUTANT(unit_behind_ignored);
    apply(units[i], follows, result.outcomes[i]);
  }
  const bool applied = !record_is_empty();
  if (next != nullptr) {
    // A stored entry that fails its checksum must not undo the units; `read` reports it.
    if (auto picked = pick_new(*next); picked.is_ok()) {
      deliver(*next, *picked);
      result.next = std::move(picked->deliveries);
    }
  }
  if (record_is_empty()) return result;
  SLUICE_TRY(end_record());
  if (applied) result.seq = log_->tail().seq;
  const News news = std::move(news_);
  SLUICE_TRY(settle(lock, applied));
  stream::Listener* const listener = listener_;
  lock.unlock();
  if (listener == nullptr) return result;
  for (const StreamId id : news.appended) listener->stream_appended(id);
  for (const std::string& key : news.changed) listener->key_changed(key);
  return result;
}

// All conditions are looked at before the first is carried out: a unit that fails leaves no trace.
void EmbeddedStore::apply(const Unit& unit, bool follows, UnitOutcome& outcome) {
  if (unit.group != 0 && !SLUICE_MUTANT(ack_without_fence) &&
      state_.group(unit.group)->pending.find(unit.entry) == nullptr) {
    outcome.state = UnitState::kFenced;
    return;
  }
  if (!follows) {
    outcome.state = UnitState::kBehind;
    return;
  }
  for (size_t i = 0; i < unit.conditions.size(); ++i) {
    if (holds(unit, i, outcome)) {
      if (SLUICE_MUTANT(half_a_unit)) carry_out(unit.conditions[i]);
      continue;
    }
    outcome.state = UnitState::kConditionFailed;
    outcome.failed_condition = i;
    return;
  }
  for (const Condition& condition : unit.conditions) carry_out(condition);
  for (const Effect& effect : unit.effects) carry_out(effect, outcome);
  if (unit.group == 0 || !unit.ack) return;
  // An effect may have removed the entry, which ends its pending state as well.
  if (!state_.ack(unit.group, unit.entry)) return;
  put_ack(*record_, unit.group, unit.entry);
  touch(state_.group(unit.group)->stream);
}

bool EmbeddedStore::holds(const Unit& unit, size_t index, UnitOutcome& outcome) const {
  const Condition& condition = unit.conditions[index];
  if (condition.kind == ConditionKind::kReserve) return reserve_holds(unit, index, outcome);
  const auto found = state_.keys.find(condition.key, record_us_ / 1000);
  bool held = false;
  switch (condition.kind) {
    case ConditionKind::kClaim:
      held = !found;
      break;
    case ConditionKind::kTake:
      held = found.has_value();
      break;
    case ConditionKind::kUnchanged:
      held = condition.present ? found && found->is_fields == condition.is_fields &&
                                     found->value == condition.value
                               : !found;
      held = held || SLUICE_MUTANT(unchanged_ignored);
      break;
    case ConditionKind::kReserve:
      break;
  }
  if (!held && found) outcome.met_value = to_value(*found);
  return held;
}

bool EmbeddedStore::reserve_holds(const Unit& unit, size_t index, UnitOutcome& outcome) const {
  const Condition& condition = unit.conditions[index];
  const int64_t met = state_.counters.count_for(condition.key, condition.window, record_us_ / 1000);
  int64_t total = met;
  bool fits = condition.amount >= 0;
  // Reservations of one counter in one unit add up.
  for (size_t i = 0; i <= index; ++i) {
    const Condition& other = unit.conditions[i];
    if (other.kind == ConditionKind::kReserve && other.key == condition.key)
      fits = fits && !__builtin_add_overflow(total, other.amount, &total);
  }
  if (fits && total <= condition.limit + (SLUICE_MUTANT(limit_off_by_one) ? 1 : 0)) return true;
  outcome.met_count = met;
  if (fits)
    outcome.met_until = from_ms(state_.counters.room_at(
        condition.key, condition.window, total - condition.limit, record_us_ / 1000));
  return false;
}

void EmbeddedStore::carry_out(const Condition& condition) {
  switch (condition.kind) {
    case ConditionKind::kClaim:
      set_key(condition.key, condition.value, false, condition.ttl);
      break;
    case ConditionKind::kTake:
      erase_key(condition.key);
      break;
    case ConditionKind::kReserve:
      put_reserve(*record_, condition.key, condition.amount, condition.window);
      state_.counters.reserve(condition.key, condition.amount, condition.window, record_us_ / 1000);
      break;
    case ConditionKind::kUnchanged:
      break;
  }
}

void EmbeddedStore::carry_out(const Effect& effect, UnitOutcome& outcome) {
  switch (effect.kind) {
    case EffectKind::kEmit: {
      const EntryId id = State::next_id(*state_.stream(effect.stream), record_us_ / 1000);
      const size_t at = put_emit(*record_, effect.stream, id, effect.bytes);
      state_.emit(effect.stream, {id.ms, static_cast<uint32_t>(id.seq), log_->segment(),
                                  log_->offset_of(at), static_cast<uint32_t>(effect.bytes.size())});
      touch(effect.stream);
      if (std::find(news_.appended.begin(), news_.appended.end(), effect.stream) ==
          news_.appended.end())
        news_.appended.push_back(effect.stream);
      outcome.emitted.push_back(id);
      break;
    }
    case EffectKind::kPut:
    case EffectKind::kPutFields:
      set_key(effect.key, effect.bytes, effect.kind == EffectKind::kPutFields, effect.ttl);
      break;
    case EffectKind::kErase:
      erase_key(effect.key);
      break;
    case EffectKind::kRelease:
      put_release(*record_, effect.key, effect.amount, to_ms(effect.reserved_at));
      state_.counters.release(effect.key, effect.amount, to_ms(effect.reserved_at),
                              record_us_ / 1000);
      break;
    case EffectKind::kRemove:
      if (!state_.remove(effect.stream, effect.entry)) break;
      put_remove(*record_, effect.stream, effect.entry);
      touch(effect.stream);
      break;
  }
}

void EmbeddedStore::set_key(std::string_view key, std::string_view value, bool is_fields,
                            stream::milliseconds ttl) {
  const int64_t expires_ms = ttl.count() == 0 ? 0 : record_us_ / 1000 + ttl.count();
  put_put(*record_, key, value, is_fields, expires_ms);
  state_.keys.put(key, value, is_fields, expires_ms);
  key_changed(key);
}

void EmbeddedStore::erase_key(std::string_view key) {
  const bool was_there = state_.keys.find(key, record_us_ / 1000).has_value();
  if (!state_.keys.erase(key)) return;
  put_erase(*record_, key);
  if (was_there) key_changed(key);
}

void EmbeddedStore::key_changed(std::string_view key) {
  if (!watched_.empty() && watched_.contains(std::string(key))) news_.changed.emplace_back(key);
}

Status EmbeddedStore::flush(stream::CommitSeq seq) {
  Lock lock(mutex_);
  SLUICE_TRY(writable());
  return sync_to(lock, std::min(seq, log_->tail().seq));
}

stream::CommitSeq EmbeddedStore::durable() const {
  Lock lock(mutex_);
  return read_only_ ? recovered_.end().seq : durable_;
}

stream::CommitSeq EmbeddedStore::last_commit() const {
  Lock lock(mutex_);
  return read_only_ ? recovered_.end().seq : log_->tail().seq;
}

WallTime EmbeddedStore::last_commit_time() const {
  Lock lock(mutex_);
  return from_us(read_only_ ? recovered_.end().time_us : log_->tail().time_us);
}

// --- Keys

Result<std::optional<KeyValue>> EmbeddedStore::get(std::string_view key) const {
  Lock lock(mutex_);
  SLUICE_TRY(usable());
  const auto found = state_.keys.find(key, now_ms());
  if (!found) return std::optional<KeyValue>();
  return std::optional<KeyValue>(to_value(*found));
}

Result<int64_t> EmbeddedStore::counter(std::string_view counter) const {
  Lock lock(mutex_);
  SLUICE_TRY(usable());
  return state_.counters.count(counter, now_ms());
}

std::vector<stream::CounterState> EmbeddedStore::counters() const {
  Lock lock(mutex_);
  auto states = state_.counters.states(now_ms());
  std::ranges::sort(states, {}, &stream::CounterState::name);
  return states;
}

Status EmbeddedStore::scan(
    std::string_view prefix,
    const std::function<bool(std::string_view key, const KeyValue&)>& visit) const {
  Lock lock(mutex_);
  SLUICE_TRY(usable());
  const int64_t now = now_ms();
  std::vector<KeyTable::Found> matches;
  for (size_t shard = 0; shard < KeyTable::kShards; ++shard) {
    state_.keys.visit_shard(shard, [&](const KeyTable::Found& found) {
      const bool live = found.expires_ms == 0 || found.expires_ms > now;
      if (live && found.key.starts_with(prefix)) matches.push_back(found);
    });
  }
  std::sort(matches.begin(), matches.end(),
            [](const auto& a, const auto& b) { return a.key < b.key; });
  for (const KeyTable::Found& found : matches) {
    if (!visit(found.key, to_value(found))) break;
  }
  return Status::ok();
}

// --- Being told

void EmbeddedStore::set_listener(stream::Listener* listener) {
  Lock lock(mutex_);
  listener_ = listener;
}

void EmbeddedStore::watch(std::string_view key) {
  Lock lock(mutex_);
  ++watched_[std::string(key)];
}

void EmbeddedStore::unwatch(std::string_view key) {
  Lock lock(mutex_);
  const auto it = watched_.find(std::string(key));
  if (it != watched_.end() && --it->second == 0) watched_.erase(it);
}

// --- Looking in

Result<std::vector<stream::Entry>> EmbeddedStore::range(StreamId id, EntryId after,
                                                        size_t count_max) const {
  Lock lock(mutex_);
  SLUICE_TRY(usable());
  const Stream* stream = state_.stream(id);
  if (stream == nullptr) return Status(Code::kInvalid, fmt::format("stream {} is not open", id));
  Picked picked;
  for (uint64_t index = stream->index_above(after);
       index < stream->end_index() && picked.positions.size() < count_max; ++index) {
    if (!stream->at(index).removed()) picked.positions.push_back(stream->at(index));
  }
  const Status filled = fill(id, picked, SIZE_MAX);
  if (read_only_ && filled.code() == Code::kNotFound)
    return Status(Code::kUnavailable, "entries were trimmed meanwhile: " + filled.text());
  SLUICE_TRY(filled);
  std::vector<stream::Entry> entries;
  entries.reserve(picked.deliveries.size());
  for (Delivery& delivery : picked.deliveries) entries.push_back(std::move(delivery.entry));
  return entries;
}

std::vector<stream::StreamInfo> EmbeddedStore::streams() const {
  Lock lock(mutex_);
  std::vector<stream::StreamInfo> infos;
  for (StreamId id = 1; id <= state_.stream_count(); ++id) {
    const Stream& stream = *state_.stream(id);
    stream::StreamInfo& info = infos.emplace_back();
    info.name = stream.name;
    info.id = id;
    info.length = stream.length();
    info.entries_added = stream.entries_added;
    info.last = stream.last;
    if (stream.options) info.keep = stream.options->keep;
    const auto first = std::find_if(stream.positions.begin(), stream.positions.end(),
                                    [](const Position& at) { return !at.removed(); });
    if (first != stream.positions.end()) info.first = first->id();
    for (const GroupId group_id : stream.groups) {
      const Group& group = *state_.group(group_id);
      stream::GroupInfo& of = info.groups.emplace_back();
      of.name = group.name;
      of.id = group_id;
      of.lag = group.lag;
      of.pending = group.pending.size();
      of.last_delivered = group.last_delivered;
      uint64_t oldest = group.floor();
      while (oldest < stream.end_index() && stream.at(oldest).removed()) ++oldest;
      if (oldest < stream.end_index())
        of.oldest = from_ms(static_cast<int64_t>(stream.at(oldest).ms));
    }
  }
  return infos;
}

uint64_t EmbeddedStore::length(StreamId stream) const {
  Lock lock(mutex_);
  const Stream* found = state_.stream(stream);
  return found == nullptr ? 0 : found->length();
}

uint64_t EmbeddedStore::lag(GroupId group) const {
  Lock lock(mutex_);
  const Group* found = state_.group(group);
  return found == nullptr ? 0 : found->lag;
}

uint64_t EmbeddedStore::pending(GroupId group) const {
  Lock lock(mutex_);
  const Group* found = state_.group(group);
  return found == nullptr ? 0 : found->pending.size();
}

Result<std::vector<stream::PendingInfo>> EmbeddedStore::pending_entries(GroupId id,
                                                                        size_t count_max) const {
  Lock lock(mutex_);
  SLUICE_TRY(usable());
  const Group* group = state_.group(id);
  if (group == nullptr) return Status(Code::kInvalid, fmt::format("group {} is not open", id));
  std::vector<stream::PendingInfo> infos;
  for (auto it = group->pending.above({}); it != group->pending.end(); ++it) {
    if (infos.size() >= count_max) break;
    if (it->delivery_count == 0) continue;
    infos.push_back({it->id(), group->consumers[it->consumer], it->delivery_count,
                     from_us(it->first_us), from_us(it->last_us)});
  }
  return infos;
}

// --- Checkpoints

bool EmbeddedStore::checkpoint_due() const {
  // Not more often than its own size, or a store of many keys would write little else.
  return !checkpointing_ &&
         bytes_since_checkpoint_ >= std::max(options_.checkpoint_bytes, checkpoint_size_);
}

Status EmbeddedStore::checkpoint() {
  Lock lock(mutex_);
  SLUICE_TRY(writable());
  synced_.wait(lock, [this] { return !checkpointing_; });
  return take_checkpoint(lock);
}

Status EmbeddedStore::take_checkpoint(Lock& lock) {
  const LogPosition start = log_->tail();
  if (start.seq == 0 || (!checkpoints_.empty() && checkpoints_.back().seq == start.seq))
    return poison_;
  checkpointing_ = true;
  bytes_since_checkpoint_ = 0;
  auto writer = CheckpointWriter::create(disk_, path_, {store_id_, start, 0});
  const Status status = writer.is_ok() ? write_checkpoint(lock, *writer) : writer.status();
  if (status) {
    checkpoint_size_ = writer->size();
    checkpoints_.push_back({start.seq, start.segment});
  }
  const Status dropped = status ? drop_old_files() : status;
  checkpointing_ = false;
  synced_.notify_all();
  return dropped ? poison_ : poison(dropped);
}

// Streams, groups and counters in one go; keys shard by shard, with commits in between.
Status EmbeddedStore::write_checkpoint(Lock& lock, CheckpointWriter& writer) {
  SLUICE_TRY(state_.save([&](std::string_view block) { return writer.add(block); }));
  for (size_t shard = 0; shard < KeyTable::kShards; ++shard) {
    const std::string block = state_.save_keys(shard);
    lock.unlock();
    const Status status = writer.add(block);
    lock.lock();
    SLUICE_TRY(status);
  }
  const uint64_t end_seq = log_->tail().seq;
  SLUICE_TRY(sync_to(lock, end_seq));
  lock.unlock();
  const Status status = writer.finish(end_seq);
  lock.lock();
  return status;
}

Status EmbeddedStore::drop_old_files() {
  while (checkpoints_.size() > kCheckpointsKept) {
    SLUICE_TRY(disk_.remove(path_ + "/" + checkpoint_name(checkpoints_.front().seq)));
    checkpoints_.erase(checkpoints_.begin());
  }
  // With one checkpoint the whole log is what a damaged one would be replaced by.
  if (checkpoints_.size() < kCheckpointsKept) return Status::ok();
  const uint32_t first_live = state_.first_live_segment(log_->tail().segment);
  return log_->remove_below(std::min(first_live, checkpoints_.front().segment));
}

// --- The store's thread

void EmbeddedStore::run_background() {
  Lock lock(mutex_);
  const auto unsynced = [this] {
    return options_.durability == Durability::kGroup && log_->unsynced_bytes() > 0;
  };
  while (!stopping_ && poison_) {
    work_.wait(lock, [&] { return stopping_ || !poison_ || unsynced() || checkpoint_due(); });
    if (stopping_ || !poison_) return;
    if (unsynced()) {
      stopped_.wait_for(lock, options_.group_interval, [this] { return stopping_; });
      if (!sync_to(lock, log_->tail().seq)) return;
    }
    if (checkpoint_due() && !take_checkpoint(lock)) return;
  }
}

void EmbeddedStore::stop_background() {
  {
    Lock lock(mutex_);
    stopping_ = true;
    work_.notify_all();
    stopped_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace sluice::engine
