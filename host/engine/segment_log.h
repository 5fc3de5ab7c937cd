// The commit log: records, one after the other, in numbered segment files.
//
// FORMAT.md gives the bytes. A record never spans two files; a segment takes records until it has
// reached its size, so it is at most one record longer than that.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "engine/file_window.h"
#include "engine/log_record.h"
#include "engine/stream_index.h"

namespace sluice::engine {

// A place in the log, and what came before it.
struct LogPosition {
  uint32_t segment = 0;  // 0: before the first segment
  uint32_t offset = 0;
  uint64_t seq = 0;    // of the last record before
  uint32_t chain = 0;  // its checksum
  int64_t time_us = 0;
};

std::string segment_name(uint32_t number);
std::optional<uint32_t> segment_number(std::string_view name);

// Numbers of the segments in a folder, ascending.
Result<std::vector<uint32_t>> list_segments(Disk& disk, const std::string& folder);

inline constexpr uint32_t kSegmentHeaderSize = 64;

struct SegmentHeader {
  uint32_t number = 0;
  uint64_t store_id = 0;
  uint64_t first_seq = 0;
  uint32_t chain = 0;  // of the last record in the segment before
};

// kNotFound when the file is missing, kCorrupt when its header is not one.
Result<SegmentHeader> read_segment_header(Disk& disk, const std::string& folder, uint32_t number);

// Walks the records from a position on. Stops at the first place where none continues the chain;
// whether that is the end or damage, `examine_tail` says.
//
// Threads: [worker].
class LogScanner {
 public:
  struct Record {
    RecordHeader header;
    std::string_view body;  // valid until the next call
    uint32_t segment = 0;
    uint32_t body_offset = 0;
  };

  LogScanner(Disk& disk, std::string folder, uint64_t store_id, const LogPosition& from)
      : disk_(disk), folder_(std::move(folder)), store_id_(store_id), position_(from) {}

  // False at the end of what can be read.
  // Errors: kIo.
  Result<bool> next(Record& out);

  // Behind the last record returned.
  const LogPosition& position() const { return position_; }

  // Reads again what may have grown since.
  void forget() {
    if (window_) window_->forget();
  }

 private:
  Result<bool> enter(uint32_t number);
  Result<bool> read_here(Record& out);

  Disk& disk_;
  const std::string folder_;
  const uint64_t store_id_;
  LogPosition position_;
  std::optional<FileWindow> window_;  // over position_.segment
};

// What lies behind the last record that could be read.
struct Tail {
  enum class Kind {
    kClean,    // nothing
    kTorn,     // bytes of a commit that was never durable
    kCorrupt,  // durable records were damaged
  };
  Kind kind = Kind::kClean;
  std::string text;  // what was found; names segment and offset

  struct After {
    uint32_t number = 0;
    bool has_records = false;  // false: the file was only being created
  };
  std::vector<After> segments_after;  // files behind the end, ascending
};

// Decides by evidence: a valid later record, or `proven_seq`, shows that the place where reading
// stopped had been durable. Without that proof a hole of zeros in front of valid records is what a
// power cut leaves of writes the disk had not been told to keep. `store_id` 0: not known.
// Errors: kIo; kCorrupt for a segment of another format version.
Result<Tail> examine_tail(Disk& disk, const std::string& folder, uint64_t store_id,
                          const LogPosition& end, uint64_t proven_seq);

// Appends records and reads entries back.
//
// Threads: [worker], except `sync`.
class SegmentLog {
 public:
  // What has to be synced for everything written so far to be durable.
  struct Unsynced {
    std::vector<std::shared_ptr<File>> files;
    bool directory = false;
    bool empty() const { return files.empty() && !directory; }
  };

  SegmentLog(Disk& disk, std::string folder, uint64_t store_id, uint64_t segment_bytes,
             size_t cache_bytes)
      : disk_(disk),
        folder_(std::move(folder)),
        store_id_(store_id),
        segment_bytes_(segment_bytes),
        cache_bytes_(cache_bytes) {}

  // Continues writing at `tail`; with `cut`, what is behind it in that segment is dropped. What
  // lies between `proven` and the tail is written once more. Durable: everything from segment
  // `unsynced_from` to the tail.
  Status open_for_writing(const LogPosition& tail, bool cut, uint32_t unsynced_from,
                          const LogPosition& proven);

  // Starts a record; entries may be put into it until `end_record`. Opens the next segment when
  // this one is full.
  // Errors: kIo; nothing may be written afterwards.
  Result<std::string*> begin_record();

  // Where byte `at` of the record will be.
  uint32_t segment() const { return tail_.segment; }
  uint32_t offset_of(size_t at) const { return tail_.offset + static_cast<uint32_t>(at); }

  // Writes the record as one piece. Durable: after `sync` of what `take_unsynced` gives.
  Status end_record(uint64_t durable_seq, int64_t time_us);

  const LogPosition& tail() const { return tail_; }
  uint64_t unsynced_bytes() const { return unsynced_bytes_; }

  Unsynced take_unsynced();
  // Threads: [any], without holding what guards the log; one call at a time.
  Status sync(const Unsynced& unsynced);

  // The fields of the entries at `positions` (ids ascending), each checked against its checksum.
  // Errors: kCorrupt naming the place; kNotFound when the segment was removed; kIo.
  Result<std::vector<std::string>> read(StreamId stream, std::span<const Position> positions) const;

  // Opens segments for reading ahead of need, so that their entries can be read after the writer
  // removed the files. kNotFound when one is gone already.
  Status hold_open(uint32_t first, uint32_t last) const;

  // Removes segments below `number`, oldest first.
  Status remove_below(uint32_t number);

 private:
  Status roll();
  static Status write_again(File& file, uint64_t from, uint64_t to);
  Result<std::shared_ptr<File>> reader(uint32_t segment) const;
  Result<std::string_view> fetch(const Position& position, const Position* then) const;
  bool from_memory(const Position& position, std::string_view& out) const;
  void remember(std::string_view bytes);

  Disk& disk_;
  const std::string folder_;
  const uint64_t store_id_;
  const uint64_t segment_bytes_;
  const size_t cache_bytes_;

  LogPosition tail_;
  std::string record_;  // being built; empty otherwise
  std::unique_ptr<File> writer_;
  std::shared_ptr<File> syncer_;  // a second handle: a sync runs while the next record is written
  std::vector<std::shared_ptr<File>> full_unsynced_;  // syncers of earlier segments
  bool tail_unsynced_ = false;
  bool directory_unsynced_ = false;
  uint64_t unsynced_bytes_ = 0;

  // The newest bytes of the log, so that the next stage finds its input without a read. A ring:
  // byte `at` of the log since opening is at `at % cache_bytes_`.
  std::string cache_;
  uint64_t cached_end_ = 0;
  struct CachedSegment {
    uint32_t segment;
    uint64_t base;  // of its byte 0, modulo 2^64
  };
  std::deque<CachedSegment> cached_segments_;

  mutable std::map<uint32_t, std::shared_ptr<File>> readers_;
  mutable std::string scratch_;
  mutable uint32_t scratch_segment_ = 0;  // what scratch_ holds; 0: nothing
  mutable uint64_t scratch_offset_ = 0;
};

}  // namespace sluice::engine
