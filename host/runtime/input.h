// Entries from a file of NDJSON or standard input: one JSON object a line.
//
// Each top-level member becomes a field: strings as they are, objects and arrays as their JSON
// text, numbers and booleans as their literal, null left out. A line that cannot be read becomes a
// dead letter with its line number, and the next one is read.
//
// How far a file was read is kept in the store, in the same unit as the entries, under the digest
// of its first line. When the same content is read again (after a crash, or by a second run) its
// known beginning is skipped: an entry enters once. A file that was appended to goes on where it
// ended. Two processes cannot read the same content into one store at the same time.
//
// Of several runtimes that divide the entries each reads the whole file and takes its share; lines
// that do not say whose they are become dead letters of the first.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/disk.h"
#include "graph/pipeline.h"
#include "runtime/actor.h"
#include "runtime/observer.h"
#include "runtime/share.h"
#include "stream/store.h"

namespace sluice::runtime {

inline constexpr size_t kLineBytesMax = 1 << 20;
// Standard input cannot be read twice: this much of it is held while its beginning is compared.
inline constexpr size_t kHeldBytesMax = 64 << 20;

// Lines of a file or of standard input ("-"), with their count.
class LineReader {
 public:
  static Result<std::unique_ptr<LineReader>> open(Disk& disk, const std::string& path);

  // The next line without its end, or nothing at the end. The view is valid until the next call. A
  // line of more than kLineBytesMax bytes comes cut, with `oversized` set.
  struct Line {
    std::string_view text;
    uint64_t bytes = 0;  // with its end
    bool oversized = false;
  };
  Result<std::optional<Line>> next();

  // False while standard input is open and has nothing to say: `next` would wait.
  bool has_more() const;

  // Size of the whole input when it is known.
  std::optional<uint64_t> total_bytes() const { return total_; }

 private:
  LineReader() = default;
  Status refill();

  std::unique_ptr<File> file_;  // null: standard input
  std::optional<uint64_t> total_;
  uint64_t offset_ = 0;
  std::string buffer_;
  size_t at_ = 0;
  bool ended_ = false;
};

// Of the lines that are taken.
struct InputCounts {
  uint64_t lines = 0;    // read in this run, skipped ones not included
  uint64_t entries = 0;  // of these, appended to the stream
  uint64_t bad = 0;      // of these, dead letters
  uint64_t skipped = 0;  // known from an earlier run
  uint64_t bytes = 0;    // read or skipped
};

class Input final : public Actor {
 public:
  struct Target {
    const graph::StreamSpec* spec = nullptr;
    stream::StreamId stream = 0;
    stream::StreamId dead_letter = 0;
    // Groups whose lag stops the reading.
    std::vector<stream::GroupId> readers;
    Share share;  // other lines are passed over
  };

  // Opens `path` and skips what the store already has of it.
  //
  // Errors: kNotFound, kIo. kInvalid when standard input would have to be held beyond
  // kHeldBytesMax.
  static Result<std::unique_ptr<Input>> open(stream::Store& store, const Clock& clock, Disk& disk,
                                             Observer* observer, const Target& target,
                                             const std::string& path);

  const std::string& name() const override { return name_; }
  // Appends one batch. With threads; a recorded run calls `append` instead.
  Progress step() override;
  Waker& waker() override { return waker_; }

  // When the next line happened, by its `timestamp`; the epoch for one that does not say. Nothing
  // at the end of the input.
  Result<std::optional<WallTime>> next_time();

  // Appends up to `lines_max` lines that happened at or before `until` in one commit; returns how
  // many. With no such time (WallTime::max()) it does not wait for lines behind those it has; with
  // one it does, so that what is appended together does not hang on how fast it comes.
  //
  // Errors: those of the input and the store; kConflict when another process reads the same.
  Result<size_t> append(size_t lines_max, WallTime until);

  void stop() { stopped_ = true; }
  // Whether all there is to read is in the store.
  bool done() const { return done_ || stopped_; }
  InputCounts counts() const;  // [any]
  std::optional<uint64_t> total_bytes() const { return reader_->total_bytes(); }

 private:
  // A line whose reader went on.
  struct Held {
    std::string text;
    uint64_t bytes = 0;
    bool oversized = false;
  };
  // A line read ahead.
  struct Pending {
    stream::Fields fields;  // of an entry, or what there is of a bad line
    std::optional<std::string> fault;
    uint64_t number = 0;
    uint64_t bytes = 0;
    uint64_t digest = 0;  // of the input up to its end
    WallTime time{};
  };

  Input(stream::Store& store, const Clock& clock, Observer* observer, const Target& target,
        std::string name)
      : store_(store),
        clock_(clock),
        observer_(observer),
        target_(target),
        name_(std::move(name)) {}

  Status skip_known(Disk& disk, const std::string& path);
  Status look_ahead();
  bool is_taken(std::string_view line) const;
  std::optional<Pending> read_line(const LineReader::Line& line);
  bool has_room() const;
  bool has_more() const;
  bool at_end() const { return ended_ && !ahead_; }

  stream::Store& store_;
  const Clock& clock_;
  Observer* const observer_;
  const Target target_;
  const std::string name_;
  Waker waker_;
  std::unique_ptr<LineReader> reader_;
  std::deque<Held> held_;  // lines of standard input that turned out to be new
  std::optional<Pending> ahead_;
  std::string position_key_;             // empty until the first line is known
  std::optional<std::string> position_;  // the key's fields, encoded, as the store has them
  uint64_t lines_ = 0;                   // of the input, so far
  uint64_t bytes_ = 0;
  uint64_t digest_ = 0;
  bool ended_ = false;  // the reader; lines may wait for their commit
  std::atomic<bool> done_{false};
  std::atomic<bool> stopped_{false};

  mutable std::mutex mutex_;
  InputCounts counts_;  // guarded by mutex_
};

// One line as fields.
//
// Errors: kInvalid with what was expected: not a JSON object, invalid UTF-8, a doubled member,
// nesting deeper than 32, more than 10,000 values.
Result<stream::Fields> parse_ndjson_line(std::string_view line);

}  // namespace sluice::runtime
