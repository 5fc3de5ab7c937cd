#include "runtime/input.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/iso_time.h"
#include "runtime/dead_letter.h"

namespace sluice::runtime {

namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kBatchLines = 500;

// FNV-1a over the content: says whether two inputs begin alike, not that nobody forged one.
constexpr uint64_t kDigestStart = 0xcbf29ce484222325u;
uint64_t digest_on(uint64_t digest, std::string_view bytes) {
  for (const char c : bytes) digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return digest;
}
uint64_t digest_line(uint64_t digest, std::string_view line) {
  return digest_on(digest_on(digest, line), "\n");
}

struct Position {
  uint64_t lines = 0;
  uint64_t digest = kDigestStart;
  bool operator==(const Position&) const = default;
};

uint64_t number(std::optional<std::string_view> text, int base) {
  return text ? std::strtoull(std::string(*text).c_str(), nullptr, base) : 0;
}

Position read_position(const stream::KeyValue& value) {
  return {number(value.fields().find("lines"), 10), number(value.fields().find("digest"), 16)};
}

}  // namespace

// --- Lines ---

Result<std::unique_ptr<LineReader>> LineReader::open(Disk& disk, const std::string& path) {
  std::unique_ptr<LineReader> reader(new LineReader());
  if (path == "-") return reader;
  SLUICE_ASSIGN(file, disk.open(path, OpenMode::kRead));
  SLUICE_ASSIGN(size, file->size());
  reader->file_ = std::move(file);
  reader->total_ = size;
  return reader;
}

Status LineReader::refill() {
  buffer_.erase(0, at_);
  at_ = 0;
  const size_t have = buffer_.size();
  buffer_.resize(have + kReadBytes);
  size_t got = 0;
  if (file_ != nullptr) {
    auto read = file_->read(offset_, {buffer_.data() + have, kReadBytes});
    if (!read) return read.status();
    got = *read;
  } else {
    ssize_t n = 0;
    do {
      n = ::read(STDIN_FILENO, buffer_.data() + have, kReadBytes);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return Status(Code::kIo, std::string("standard input: ") + strerror(errno));
    got = static_cast<size_t>(n);
  }
  buffer_.resize(have + got);
  offset_ += got;
  ended_ = got == 0;
  return Status::ok();
}

bool LineReader::has_more() const {
  if (file_ != nullptr || ended_ || buffer_.find('\n', at_) != std::string::npos) return true;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 0) > 0;
}

Result<std::optional<LineReader::Line>> LineReader::next() {
  size_t searched = 0;
  uint64_t dropped = 0;  // of an oversized line
  for (;;) {
    const size_t end = buffer_.find('\n', at_ + searched);
    const bool whole = end != std::string::npos;
    if (whole || ended_) {
      const size_t stop = whole ? end : buffer_.size();
      if (!whole && stop == at_ && dropped == 0) return std::optional<Line>();
      Line line;
      line.text = std::string_view(buffer_).substr(at_, std::min(stop - at_, kLineBytesMax));
      line.oversized = dropped > 0 || stop - at_ > kLineBytesMax;
      line.bytes = dropped + (stop - at_) + (whole ? 1 : 0);
      at_ = whole ? end + 1 : stop;
      if (!line.text.empty() && line.text.back() == '\r') line.text.remove_suffix(1);
      return std::optional<Line>(line);
    }
    searched = buffer_.size() - at_;
    if (searched > 2 * kLineBytesMax) {
      // Keep the beginning for the dead letter; the rest only counts.
      buffer_.resize(at_ + kLineBytesMax);
      dropped += searched - kLineBytesMax;
      searched = kLineBytesMax;
    }
    SLUICE_TRY(refill());
  }
}

// --- The input ---

Result<std::unique_ptr<Input>> Input::open(stream::Store& store, const Clock& clock, Disk& disk,
                                           Observer* observer, const Target& target,
                                           const std::string& path) {
  std::unique_ptr<Input> input(
      new Input(store, clock, observer, target, "input " + target.spec->key));
  SLUICE_ASSIGN(reader, LineReader::open(disk, path));
  input->reader_ = std::move(reader);
  input->digest_ = kDigestStart;
  SLUICE_TRY(input->skip_known(disk, path));
  input->done_ = input->at_end();
  return input;
}

// Reads on while the content is what the store has seen. Where it differs the input is a new one
// that begins alike, and all of it goes in: a file is read from its start again, what came by
// standard input was held.
Status Input::skip_known(Disk& disk, const std::string& path) {
  const bool hold = path == "-";
  SLUICE_ASSIGN(line, reader_->next());
  if (!line) {
    ended_ = true;
    return Status::ok();
  }
  position_key_ = fmt::format("sluice:input:{}:{:016x}", target_.spec->name,
                              digest_line(kDigestStart, line->text));
  SLUICE_ASSIGN(known, store_.get(position_key_));
  if (known) position_ = known->bytes;
  const Position position = known ? read_position(*known) : Position{};
  uint64_t digest = kDigestStart, lines = 0, bytes = 0, taken = 0;
  size_t held_bytes = 0;
  while (line && lines < position.lines) {
    digest = digest_line(digest, line->text);
    bytes += line->bytes;
    ++lines;
    if (is_taken(line->text)) ++taken;
    if (hold) {
      held_.push_back({std::string(line->text), line->bytes, line->oversized});
      held_bytes += line->text.size();
      if (held_bytes > kHeldBytesMax)
        return Status(Code::kInvalid,
                      "standard input begins like one that was read before, and is "
                      "too long to hold; give it as a file");
    }
    SLUICE_ASSIGN(next, reader_->next());
    line = next;
  }
  const bool seen = lines == position.lines && digest == position.digest;
  if (seen) {
    held_.clear();
    lines_ = lines;
    bytes_ = bytes;
    digest_ = digest;
    counts_.skipped = taken;
    counts_.bytes = bytes;
  } else if (!hold) {
    SLUICE_ASSIGN(again, LineReader::open(disk, path));
    reader_ = std::move(again);
    return look_ahead();
  }
  if (line) held_.push_back({std::string(line->text), line->bytes, line->oversized});
  return look_ahead();
}

bool Input::is_taken(std::string_view line) const {
  if (target_.share.is_whole()) return true;
  const auto fields = parse_ndjson_line(line);
  return target_.share.takes(fields ? fields->view() : stream::FieldsView());
}

Status Input::look_ahead() {
  while (!ahead_ && !ended_) {
    if (!held_.empty()) {
      const Held held = std::move(held_.front());
      held_.pop_front();
      ahead_ = read_line({held.text, held.bytes, held.oversized});
      continue;
    }
    SLUICE_ASSIGN(line, reader_->next());
    if (line) {
      ahead_ = read_line(*line);
    } else {
      ended_ = true;
    }
  }
  return Status::ok();
}

// Nothing for a blank line and one of another share, which count and are passed over.
std::optional<Input::Pending> Input::read_line(const LineReader::Line& line) {
  Pending pending;
  pending.number = ++lines_;
  bytes_ += line.bytes;
  pending.bytes = bytes_;
  digest_ = digest_line(digest_, line.text);
  pending.digest = digest_;
  if (line.text.find_first_not_of(" \t") == std::string_view::npos) return std::nullopt;
  if (line.oversized) {
    if (!target_.share.takes({})) return std::nullopt;
    pending.fault = fmt::format("line {}: {} bytes, expected at most {}", pending.number,
                                line.bytes, kLineBytesMax);
    pending.fields.add("line", line.text.substr(0, 1024));
    return pending;
  }
  auto fields = parse_ndjson_line(line.text);
  if (!target_.share.takes(fields ? fields->view() : stream::FieldsView())) return std::nullopt;
  if (!fields) {
    pending.fault = fmt::format("line {}: {}", pending.number, fields.status().text());
    pending.fields.add("line", line.text);
    return pending;
  }
  pending.fields = std::move(fields).value();
  if (!target_.share.of(pending.fields.view()))
    pending.fault =
        fmt::format("line {}: no {}, which says the shard", pending.number, target_.share.by);
  if (const auto timestamp = pending.fields.find("timestamp"))
    pending.time = parse_iso_time(*timestamp).value_or(WallTime{});
  return pending;
}

bool Input::has_more() const { return !held_.empty() || reader_->has_more(); }

bool Input::has_room() const {
  return std::none_of(target_.readers.begin(), target_.readers.end(), [&](stream::GroupId group) {
    return store_.lag(group) >= target_.spec->lag_max;
  });
}

Progress Input::step() {
  Progress progress;
  if (done()) return progress;
  if (!has_room() || !(ahead_ || has_more())) {
    progress.next_due = clock_.now() + std::chrono::milliseconds(5);
    return progress;
  }
  auto appended = append(kBatchLines, WallTime::max());
  progress.error = appended.status();
  progress.worked = appended.is_ok();
  return progress;
}

Result<std::optional<WallTime>> Input::next_time() {
  if (stopped_) return std::optional<WallTime>();
  SLUICE_TRY(look_ahead());
  done_ = at_end();
  if (!ahead_) return std::optional<WallTime>();
  return std::optional<WallTime>(ahead_->time);
}

Result<size_t> Input::append(size_t lines_max, WallTime until) {
  std::deque<Pending> batch;
  while (batch.size() < lines_max) {
    if (until == WallTime::max() && !batch.empty() && !has_more()) break;
    SLUICE_TRY(look_ahead());
    if (!ahead_ || ahead_->time > until) break;
    batch.push_back(std::move(*ahead_));
    ahead_.reset();
  }
  if (batch.empty()) {
    done_ = at_end();
    return size_t{0};
  }
  stream::Unit unit;
  std::deque<std::string> texts;  // views into it
  InputCounts added;
  for (Pending& line : batch) {
    stream::Effect emit;
    emit.kind = stream::EffectKind::kEmit;
    emit.stream = target_.stream;
    ++added.lines;
    if (line.fault) {
      DeadLetter letter;
      letter.stage = "input";
      letter.reason = "bad_line";
      letter.detail = *line.fault;
      letter.stream = target_.spec->name;
      letter.at = clock_.now();
      line.fields = dead_letter_fields(line.fields.view(), letter);
      emit.stream = target_.dead_letter;
      ++added.bad;
    } else {
      ++added.entries;
    }
    emit.bytes = line.fields.encoded();
    unit.effects.push_back(emit);
  }
  const Pending& last = batch.back();
  stream::Fields position;
  position.add("lines", std::to_string(last.number));
  position.add("digest", fmt::format("{:016x}", last.digest));
  stream::Effect put;
  put.kind = stream::EffectKind::kPutFields;
  put.key = position_key_;
  put.bytes = position.encoded();
  unit.effects.push_back(put);
  stream::Condition mine;
  mine.kind = stream::ConditionKind::kUnchanged;
  mine.key = position_key_;
  mine.present = position_.has_value();
  mine.is_fields = true;
  mine.value = position_ ? std::string_view(*position_) : std::string_view();
  unit.conditions.push_back(mine);
  auto committed = store_.commit({&unit, 1});
  if (!committed) return committed.status();
  const stream::UnitOutcome& outcome = committed->outcomes.front();
  // Made again after an open outcome: it was done.
  const bool done = outcome.state == stream::UnitState::kConditionFailed && outcome.met_value &&
                    read_position(*outcome.met_value) == Position{last.number, last.digest};
  if (outcome.state != stream::UnitState::kApplied && !done)
    return Status(Code::kConflict, name_ + ": another process reads the same input");
  position_ = position.encoded();

  {
    const std::lock_guard lock(mutex_);
    counts_.lines += added.lines;
    counts_.entries += added.entries;
    counts_.bad += added.bad;
    counts_.bytes = last.bytes;
  }
  if (observer_ != nullptr) {
    for (const Pending& line : batch) {
      if (line.fault) observer_->dead_lettered(nullptr, "bad_line", *line.fault);
    }
  }
  done_ = at_end();
  return batch.size();
}

InputCounts Input::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace sluice::runtime
