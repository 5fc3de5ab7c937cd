#include "engine/segment_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cstring>
#include <utility>

#include "base/mutant.h"
#include "engine/codec.h"
#include "engine/crc32c.h"

namespace sluice::engine {

namespace {

constexpr std::string_view kSegmentMagic = "SLUICELG";
constexpr uint32_t kFormatVersion = 1;
constexpr size_t kReadAhead = 64 * 1024;
constexpr size_t kCopySize = 1 << 20;
constexpr size_t kReadersMax = 64;
constexpr size_t kHeldMax = 512;   // a reader's open files
constexpr uint64_t kSector = 512;  // what a disk writes whole
constexpr uint64_t kHoleMin = 64;  // a shorter run of zeros may be part of a record

std::string path_of(const std::string& folder, uint32_t number) {
  return folder + "/" + segment_name(number);
}

std::string encode_header(const SegmentHeader& header) {
  std::string bytes(kSegmentMagic);
  put_fixed(bytes, kFormatVersion);
  put_fixed(bytes, header.number);
  put_fixed(bytes, header.store_id);
  put_fixed(bytes, header.first_seq);
  put_fixed(bytes, header.chain);
  bytes.resize(kSegmentHeaderSize - 4, '\0');
  put_fixed(bytes, crc32c(bytes));
  return bytes;
}

uint32_t store_tag(uint64_t store_id) { return static_cast<uint32_t>(store_id); }

}  // namespace

std::string segment_name(uint32_t number) { return fmt::format("segment-{:010}.log", number); }

std::optional<uint32_t> segment_number(std::string_view name) {
  constexpr std::string_view kHead = "segment-";
  constexpr std::string_view kEnd = ".log";
  if (!name.starts_with(kHead) || !name.ends_with(kEnd)) return std::nullopt;
  const std::string_view digits =
      name.substr(kHead.size(), name.size() - kHead.size() - kEnd.size());
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || digits.size() != 10)
    return std::nullopt;
  return number;
}

Result<std::vector<uint32_t>> list_segments(Disk& disk, const std::string& folder) {
  SLUICE_ASSIGN(names, disk.list(folder));
  std::vector<uint32_t> numbers;
  for (const std::string& name : names) {
    if (const auto number = segment_number(name)) numbers.push_back(*number);
  }
  return numbers;
}

Result<SegmentHeader> read_segment_header(Disk& disk, const std::string& folder, uint32_t number) {
  SLUICE_ASSIGN(file, disk.open(path_of(folder, number), OpenMode::kRead));
  std::string bytes(kSegmentHeaderSize, '\0');
  SLUICE_ASSIGN(got, file->read(0, bytes));
  bytes.resize(got);
  ByteReader in(bytes);
  const std::string_view magic = in.take(kSegmentMagic.size());
  const auto version = in.fixed<uint32_t>();
  SegmentHeader header;
  header.number = in.fixed<uint32_t>();
  header.store_id = in.fixed<uint64_t>();
  header.first_seq = in.fixed<uint64_t>();
  header.chain = in.fixed<uint32_t>();
  if (got < kSegmentHeaderSize || magic != kSegmentMagic || bytes != encode_header(header)) {
    if (in.ok() && magic == kSegmentMagic && version != kFormatVersion)
      return Status(Code::kCorrupt, fmt::format("{}: format version {}, expected {}",
                                                segment_name(number), version, kFormatVersion));
    return Status(Code::kCorrupt, segment_name(number) + ": not a segment header");
  }
  if (header.number != number)
    return Status(Code::kCorrupt,
                  fmt::format("{}: header is of segment {}", segment_name(number), header.number));
  return header;
}

// --- LogScanner

// True when segment `number` continues the chain; then the scanner is at its first record.
Result<bool> LogScanner::enter(uint32_t number) {
  const auto header = read_segment_header(disk_, folder_, number);
  if (!header.is_ok()) {
    const Code code = header.status().code();
    if (code == Code::kNotFound || code == Code::kCorrupt) return false;
    return header.status();
  }
  if (header->store_id != store_id_ || header->first_seq != position_.seq + 1 ||
      header->chain != position_.chain)
    return false;
  position_.segment = number;
  position_.offset = kSegmentHeaderSize;
  window_.reset();
  return true;
}

Result<bool> LogScanner::read_here(Record& out) {
  if (!window_) {
    auto file = disk_.open(path_of(folder_, position_.segment), OpenMode::kRead);
    if (!file.is_ok() && file.status().code() == Code::kNotFound) return false;
    if (!file.is_ok()) return file.status();
    window_.emplace(std::move(file).value());
  }
  SLUICE_ASSIGN(head, window_->view(position_.offset, kRecordHeaderSize));
  if (head.size() < kRecordHeaderSize || !read_record_header(head, out.header)) return false;
  if (out.header.store != store_tag(store_id_) || out.header.seq != position_.seq + 1 ||
      out.header.chain != position_.chain)
    return false;
  const size_t size = kRecordHeaderSize + out.header.body_size;
  SLUICE_ASSIGN(record, window_->view(position_.offset, size));
  if (record.size() < size) return false;
  const bool fits = record_checksum_fits(record, out.header);
  if (!fits && !SLUICE_MUTANT(bad_record_skipped)) return false;
  out.body = record.substr(kRecordHeaderSize);
  out.segment = position_.segment;
  out.body_offset = position_.offset + kRecordHeaderSize;
  position_.offset += static_cast<uint32_t>(record_size(out.header.body_size));
  position_.seq = out.header.seq;
  position_.chain = out.header.checksum;
  position_.time_us = out.header.time_us;
  if (!fits) return read_here(out);
  return true;
}

Result<bool> LogScanner::next(Record& out) {
  while (true) {
    if (position_.segment != 0) {
      SLUICE_ASSIGN(found, read_here(out));
      if (found) return true;
    }
    SLUICE_ASSIGN(entered, enter(position_.segment + 1));
    if (!entered) return false;
  }
}

// --- examine_tail

namespace {

// What the bytes from an offset to the end of a segment hold.
struct Remains {
  bool any_byte = false;  // not zero
  bool hole = false;      // before the first valid record something was never written
  uint64_t valid_seq = 0;
  uint64_t valid_offset = 0;  // first valid record with a seq above the asked one
  uint64_t durable_seq = 0;   // highest that a valid record vouches for
};

bool all_zero(std::string_view bytes) {
  return bytes.empty() ||
         (bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// The record at `offset`, when it is whole and of this store.
Result<bool> valid_record(FileWindow& window, uint64_t offset, uint32_t store,
                          RecordHeader& header) {
  SLUICE_ASSIGN(head, window.view(offset, kRecordHeaderSize));
  if (head.size() < kRecordHeaderSize || !read_record_header(head, header) ||
      (store != 0 && header.store != store))
    return false;
  const size_t size = kRecordHeaderSize + header.body_size;
  SLUICE_ASSIGN(record, window.view(offset, size));
  return record.size() == size && record_checksum_fits(record, header);
}

// Whether the file ends before the record at `offset` does: the rest was never brought to the disk.
Result<bool> is_cut_short(FileWindow& window, uint64_t offset, uint64_t file_size) {
  SLUICE_ASSIGN(head, window.view(offset, kRecordHeaderSize));
  if (head.size() < kRecordHeaderSize) return true;
  RecordHeader header;
  return read_record_header(head, header) &&
         offset + kRecordHeaderSize + header.body_size > file_size;
}

Result<Remains> examine(Disk& disk, const std::string& path, uint64_t from, uint32_t store,
                        uint64_t above_seq) {
  Remains remains;
  SLUICE_ASSIGN(file, disk.open(path, OpenMode::kRead));
  SLUICE_ASSIGN(size, file->size());
  FileWindow window(std::move(file));
  SLUICE_ASSIGN(cut_short, is_cut_short(window, from, size));
  remains.hole = cut_short;
  for (uint64_t at = from; at < size;) {
    const uint64_t sector_end = std::min(size, at / kSector * kSector + kSector);
    SLUICE_ASSIGN(sector, window.view(at, sector_end - at));
    if (all_zero(sector)) {
      // At the place of a record zeros are never its own: a record begins with its magic.
      if (remains.valid_seq == 0 && (at == from || sector.size() >= kHoleMin)) remains.hole = true;
      at = sector_end;
      continue;
    }
    remains.any_byte = true;
    for (; at < sector_end; at += kRecordAlign) {
      RecordHeader header;
      SLUICE_ASSIGN(valid, valid_record(window, at, store, header));
      if (!valid || header.seq <= above_seq) continue;
      if (remains.valid_seq == 0) {
        remains.valid_seq = header.seq;
        remains.valid_offset = at;
      }
      remains.durable_seq = std::max(remains.durable_seq, header.durable_seq);
    }
  }
  return remains;
}

// kCorrupt for a segment of another format than ours: to a newer program it may be sound, so it is
// no torn tail.
Status check_format(Disk& disk, const std::string& folder, uint32_t number) {
  SLUICE_ASSIGN(file, disk.open(path_of(folder, number), OpenMode::kRead));
  std::string bytes(kSegmentHeaderSize, '\0');
  SLUICE_ASSIGN(got, file->read(0, bytes));
  ByteReader in(bytes);
  const bool is_segment = in.take(kSegmentMagic.size()) == kSegmentMagic;
  const auto version = in.fixed<uint32_t>();
  in.take(kSegmentHeaderSize - 4 - in.offset());
  const bool is_whole =
      got == kSegmentHeaderSize &&
      in.fixed<uint32_t>() == crc32c(std::string_view(bytes).substr(0, kSegmentHeaderSize - 4));
  if (!is_segment || !is_whole || version == kFormatVersion) return Status::ok();
  return Status(Code::kCorrupt,
                fmt::format("{}/{}: format version {}, expected {}; open it with the program that "
                            "wrote it",
                            folder, segment_name(number), version, kFormatVersion));
}

}  // namespace

Result<Tail> examine_tail(Disk& disk, const std::string& folder, uint64_t store_id,
                          const LogPosition& end, uint64_t proven_seq) {
  Tail tail;
  const uint64_t bad_seq = end.seq + 1;
  SLUICE_ASSIGN(segments, list_segments(disk, folder));
  Remains here;
  std::string found;
  bool hole = false;
  bool followed = false;
  uint64_t durable_seq = proven_seq;
  for (const uint32_t number : segments) {
    if (number < end.segment) continue;
    SLUICE_TRY(check_format(disk, folder, number));
    SLUICE_ASSIGN(remains, examine(disk, path_of(folder, number),
                                   number == end.segment ? end.offset : kSegmentHeaderSize,
                                   store_tag(store_id), end.seq));
    if (number == end.segment)
      here = remains;
    else
      tail.segments_after.push_back({number, remains.valid_seq != 0});
    if (!followed) hole = hole || remains.hole;
    durable_seq = std::max(durable_seq, remains.durable_seq);
    if (remains.valid_seq == 0 || followed) continue;
    followed = true;
    found = fmt::format("record {} in {} at offset {} is whole", remains.valid_seq,
                        segment_name(number), remains.valid_offset);
  }
  const std::string place =
      fmt::format("{}: no valid record {} at offset {}",
                  segment_name(std::max<uint32_t>(end.segment, 1)), bad_seq, end.offset);
  if (durable_seq >= bad_seq) {
    tail.kind = Tail::Kind::kCorrupt;
    tail.text = fmt::format("{}, which was durable (up to {}){}", place, durable_seq,
                            found.empty() ? "" : "; " + found);
  } else if (followed && !hole) {
    tail.kind = Tail::Kind::kCorrupt;
    tail.text = fmt::format("{}, but {}", place, found);
  } else if (followed || here.any_byte || !tail.segments_after.empty()) {
    tail.kind = Tail::Kind::kTorn;
    tail.text = place + ", and nothing durable behind it";
  }
  return tail;
}

// --- SegmentLog

// After a sync that failed the system takes for written what the disk does not have, and a sync of
// that does nothing: only what is written again is brought there.
Status SegmentLog::write_again(File& file, uint64_t from, uint64_t to) {
  std::string bytes;
  for (uint64_t at = from; at < to; at += bytes.size()) {
    bytes.resize(std::min<uint64_t>(kCopySize, to - at));
    SLUICE_ASSIGN(got, file.read(at, bytes));
    if (got == 0) break;
    bytes.resize(got);
    SLUICE_TRY(file.write(at, bytes));
  }
  return Status::ok();
}

Status SegmentLog::open_for_writing(const LogPosition& tail, bool cut, uint32_t unsynced_from,
                                    const LogPosition& proven) {
  tail_ = tail;
  if (tail_.segment == 0) return Status::ok();
  // With its first record a segment's header is not proven either.
  const uint64_t proven_from = proven.offset <= kSegmentHeaderSize ? 0 : proven.offset;
  const std::string path = path_of(folder_, tail_.segment);
  SLUICE_ASSIGN(writer, disk_.open(path, OpenMode::kReadWrite));
  if (cut && !SLUICE_MUTANT(torn_tail_kept)) {
    // Bytes of the torn record must not be taken for part of a later one.
    SLUICE_TRY(writer->truncate(tail_.offset));
    SLUICE_TRY(writer->preallocate(std::max<uint64_t>(segment_bytes_, tail_.offset)));
  }
  // What a killed process wrote may be in the system's memory only; from here it is on disk.
  for (uint32_t number = std::max<uint32_t>(unsynced_from, 1); number < tail_.segment; ++number) {
    SLUICE_ASSIGN(earlier, disk_.open(path_of(folder_, number), OpenMode::kReadWrite));
    if (number >= proven.segment) {
      SLUICE_ASSIGN(size, earlier->size());
      SLUICE_TRY(write_again(*earlier, number == proven.segment ? proven_from : 0, size));
    }
    SLUICE_TRY(earlier->sync());
  }
  SLUICE_TRY(write_again(*writer, tail_.segment == proven.segment ? proven_from : 0, tail_.offset));
  SLUICE_TRY(writer->sync());
  SLUICE_TRY(disk_.sync_directory(folder_));
  SLUICE_ASSIGN(syncer, disk_.open(path, OpenMode::kReadWrite));
  writer_ = std::move(writer);
  syncer_ = std::move(syncer);
  return Status::ok();
}

Status SegmentLog::roll() {
  // A power cut must not leave the next name without this one: a start takes a gap for damage.
  if (directory_unsynced_) SLUICE_TRY(disk_.sync_directory(folder_));
  const uint32_t number = tail_.segment + 1;
  const std::string path = path_of(folder_, number);
  SLUICE_ASSIGN(writer, disk_.open(path, OpenMode::kCreate));
  SLUICE_TRY(writer->write(0, encode_header({number, store_id_, tail_.seq + 1, tail_.chain})));
  SLUICE_TRY(writer->preallocate(segment_bytes_));
  SLUICE_ASSIGN(syncer, disk_.open(path, OpenMode::kReadWrite));
  if (tail_unsynced_) full_unsynced_.push_back(syncer_);
  writer_ = std::move(writer);
  syncer_ = std::move(syncer);
  tail_unsynced_ = true;
  directory_unsynced_ = true;
  tail_.segment = number;
  tail_.offset = kSegmentHeaderSize;
  return Status::ok();
}

Result<std::string*> SegmentLog::begin_record() {
  if (tail_.segment == 0 || tail_.offset >= segment_bytes_) SLUICE_TRY(roll());
  record_.assign(kRecordHeaderSize, '\0');
  return &record_;
}

Status SegmentLog::end_record(uint64_t durable_seq, int64_t time_us) {
  RecordHeader header;
  header.chain = tail_.chain;
  header.store = store_tag(store_id_);
  header.seq = tail_.seq + 1;
  header.durable_seq = durable_seq;
  header.time_us = time_us;
  const uint32_t checksum = seal_record(record_, header);
  SLUICE_TRY(writer_->write(tail_.offset, record_));
  remember(record_);
  tail_unsynced_ = true;
  unsynced_bytes_ += record_.size();
  tail_.offset += static_cast<uint32_t>(record_.size());
  tail_.seq = header.seq;
  tail_.chain = checksum;
  tail_.time_us = time_us;
  record_.clear();
  return Status::ok();
}

SegmentLog::Unsynced SegmentLog::take_unsynced() {
  Unsynced unsynced;
  unsynced.files = std::exchange(full_unsynced_, {});
  if (tail_unsynced_) unsynced.files.push_back(syncer_);
  unsynced.directory = std::exchange(directory_unsynced_, false);
  tail_unsynced_ = false;
  unsynced_bytes_ = 0;
  return unsynced;
}

Status SegmentLog::sync(const Unsynced& unsynced) {
  if (SLUICE_MUTANT(no_sync)) return Status::ok();
  for (const auto& file : unsynced.files) SLUICE_TRY(file->sync());
  if (SLUICE_MUTANT(directory_not_synced)) return Status::ok();
  return unsynced.directory ? disk_.sync_directory(folder_) : Status::ok();
}

void SegmentLog::remember(std::string_view bytes) {
  if (cache_bytes_ == 0) return;
  if (cache_.empty()) cache_.resize(cache_bytes_);
  if (cached_segments_.empty() || cached_segments_.back().segment != tail_.segment)
    cached_segments_.push_back({tail_.segment, cached_end_ - tail_.offset});
  while (cached_segments_.size() > 1 && cached_end_ > cache_bytes_ &&
         cached_segments_[1].base + kSegmentHeaderSize + cache_bytes_ < cached_end_)
    cached_segments_.pop_front();
  if (bytes.size() > cache_bytes_) {  // only its end fits
    cached_end_ += bytes.size() - cache_bytes_;
    bytes.remove_prefix(bytes.size() - cache_bytes_);
  }
  const size_t at = cached_end_ % cache_bytes_;
  const size_t first = std::min(bytes.size(), cache_bytes_ - at);
  std::memcpy(cache_.data() + at, bytes.data(), first);
  std::memcpy(cache_.data(), bytes.data() + first, bytes.size() - first);
  cached_end_ += bytes.size();
}

// Checksum and fields from the record being built or from the cache.
bool SegmentLog::from_memory(const Position& position, std::string_view& out) const {
  const size_t size = kEntryPrefixSize + position.length;
  if (!record_.empty() && position.segment == tail_.segment && position.offset >= tail_.offset) {
    out = std::string_view(record_).substr(position.offset - tail_.offset, size);
    return true;
  }
  for (auto it = cached_segments_.rbegin(); it != cached_segments_.rend(); ++it) {
    if (it->segment != position.segment) continue;
    const uint64_t start = it->base + position.offset;  // wraps for bytes from before opening
    const uint64_t first_cached = cached_end_ > cache_bytes_ ? cached_end_ - cache_bytes_ : 0;
    if (start < first_cached || start > cached_end_ || cached_end_ - start < size) return false;
    const size_t at = start % cache_bytes_;
    if (at + size <= cache_bytes_) {
      out = std::string_view(cache_).substr(at, size);
    } else {
      scratch_segment_ = 0;
      scratch_.assign(cache_, at);
      scratch_.append(cache_, 0, size - (cache_bytes_ - at));
      out = scratch_;
    }
    return true;
  }
  return false;
}

Result<std::shared_ptr<File>> SegmentLog::reader(uint32_t segment) const {
  if (const auto it = readers_.find(segment); it != readers_.end()) return it->second;
  SLUICE_ASSIGN(file, disk_.open(path_of(folder_, segment), OpenMode::kRead));
  if (readers_.size() >= kReadersMax && writer_) readers_.erase(readers_.begin());
  return readers_.emplace(segment, std::move(file)).first->second;
}

// Checksum and fields of one entry. `then` is the one wanted next: when it is near, both are read
// at once. Valid until the next call.
Result<std::string_view> SegmentLog::fetch(const Position& position, const Position* then) const {
  std::string_view bytes;
  if (from_memory(position, bytes)) return bytes;
  const size_t size = kEntryPrefixSize + position.length;
  if (scratch_segment_ != position.segment || position.offset < scratch_offset_ ||
      position.offset + size > scratch_offset_ + scratch_.size()) {
    SLUICE_ASSIGN(file, reader(position.segment));
    const bool near = then != nullptr && then->segment == position.segment &&
                      then->offset - position.offset < kReadAhead / 4;
    scratch_segment_ = 0;
    scratch_.resize(near ? std::max(size, kReadAhead) : size);
    SLUICE_ASSIGN(got, file->read(position.offset, scratch_));
    scratch_.resize(got);
    scratch_segment_ = position.segment;
    scratch_offset_ = position.offset;
  }
  return std::string_view(scratch_).substr(position.offset - scratch_offset_, size);
}

Result<std::vector<std::string>> SegmentLog::read(StreamId stream,
                                                  std::span<const Position> positions) const {
  std::vector<std::string> entries;
  entries.reserve(positions.size());
  scratch_segment_ = 0;  // the tail may have been written since it was read
  for (size_t i = 0; i < positions.size(); ++i) {
    const Position& position = positions[i];
    SLUICE_ASSIGN(bytes, fetch(position, i + 1 < positions.size() ? &positions[i + 1] : nullptr));
    uint32_t stored = 0;
    if (bytes.size() >= kEntryPrefixSize) std::memcpy(&stored, bytes.data(), sizeof stored);
    const std::string_view fields = bytes.substr(std::min<size_t>(kEntryPrefixSize, bytes.size()));
    const uint32_t computed = entry_checksum(stream, position.id(), fields);
    if (fields.size() != position.length || computed != stored)
      return Status(Code::kCorrupt,
                    fmt::format("{} offset {}: entry {} has checksum {:#010x}, stored {:#010x}",
                                segment_name(position.segment), position.offset,
                                position.id().text(), computed, stored));
    entries.emplace_back(fields);
  }
  return entries;
}

Status SegmentLog::hold_open(uint32_t first, uint32_t last) const {
  readers_.erase(readers_.begin(), readers_.lower_bound(first));
  for (uint32_t number = std::max<uint32_t>(first, 1); number <= last; ++number) {
    if (readers_.size() >= kHeldMax || readers_.contains(number)) continue;
    SLUICE_ASSIGN(file, disk_.open(path_of(folder_, number), OpenMode::kRead));
    readers_.emplace(number, std::move(file));
  }
  return Status::ok();
}

Status SegmentLog::remove_below(uint32_t number) {
  SLUICE_ASSIGN(segments, list_segments(disk_, folder_));
  bool removed = false;
  for (const uint32_t segment : segments) {
    if (segment >= std::min(number, tail_.segment)) break;
    SLUICE_TRY(disk_.remove(path_of(folder_, segment)));
    readers_.erase(segment);
    removed = true;
  }
  return removed ? disk_.sync_directory(folder_) : Status::ok();
}

}  // namespace sluice::engine
