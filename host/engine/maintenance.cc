#include "engine/maintenance.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/embedded_store.h"
#include "engine/recovery.h"

namespace sluice::engine {

namespace {

constexpr size_t kCopySize = 1 << 20;
constexpr size_t kReadCount = 256;  // entries checked at a time
constexpr int kRepairRoundsMax = 100;

// A new folder `damaged-<n>` in the store's.
Result<std::string> make_damaged_folder(Disk& disk, const std::string& path) {
  for (int n = 1;; ++n) {
    std::string name = fmt::format("damaged-{}", n);
    const auto taken = disk.list(path + "/" + name);
    if (taken.is_ok()) continue;
    if (taken.status().code() != Code::kNotFound) return taken.status();
    SLUICE_TRY(disk.make_directory(path + "/" + name));
    SLUICE_TRY(disk.sync_directory(path));
    return name;
  }
}

Status copy_file(Disk& disk, const std::string& from, const std::string& to) {
  SLUICE_ASSIGN(source, disk.open(from, OpenMode::kRead));
  SLUICE_ASSIGN(target, disk.open(to, OpenMode::kCreate));
  std::string bytes;
  for (uint64_t at = 0;; at += bytes.size()) {
    bytes.resize(kCopySize);
    SLUICE_ASSIGN(got, source->read(at, bytes));
    if (got == 0) break;
    bytes.resize(got);
    SLUICE_TRY(target->write(at, bytes));
  }
  return target->sync();
}

struct BadEntry {
  StreamId stream = 0;
  Position position;
  std::string text;
};

// Reads every live entry back; returns those that fail.
Result<std::vector<BadEntry>> check_entries(Disk& disk, const std::string& path,
                                            const Recovered& recovered, uint64_t& entries) {
  const SegmentLog log(disk, path, recovered.store_id, 1, 0);
  std::vector<BadEntry> bad;
  std::vector<Position> batch;
  const auto check_batch = [&](StreamId id) -> Status {
    entries += batch.size();
    if (log.read(id, batch).is_ok()) return Status::ok();
    for (const Position& position : batch) {
      const Status status = log.read(id, {&position, 1}).status();
      if (!status && status.code() == Code::kIo) return status;
      if (!status) bad.push_back({id, position, status.text()});
    }
    return Status::ok();
  };
  for (StreamId id = 1; id <= recovered.state.stream_count(); ++id) {
    for (const Position& position : recovered.state.stream(id)->positions) {
      if (!position.removed()) batch.push_back(position);
      if (batch.size() < kReadCount) continue;
      SLUICE_TRY(check_batch(id));
      batch.clear();
    }
    SLUICE_TRY(check_batch(id));
    batch.clear();
  }
  return bad;
}

void report_bad(VerifyReport& report, uint32_t segment, uint64_t offset, std::string text) {
  if (report.bad_segment.empty()) {
    report.bad_segment = segment_name(segment);
    report.bad_offset = offset;
  }
  report.faults.push_back(std::move(text));
}

// Walks the whole log from its first file.
Status verify_log(Disk& disk, const std::string& path, uint64_t proven_seq, VerifyReport& report) {
  SLUICE_ASSIGN(segments, list_segments(disk, path));
  report.segments = segments.size();
  if (segments.empty()) return Status::ok();
  const auto header = read_segment_header(disk, path, segments.front());
  if (!header.is_ok()) {
    if (header.status().code() == Code::kIo) return header.status();
    // A crash while the very first file was made leaves this, and nothing else.
    SLUICE_ASSIGN(tail, examine_tail(disk, path, 0, {}, proven_seq));
    report.torn_tail = tail.kind == Tail::Kind::kTorn;
    if (!report.torn_tail) report_bad(report, segments.front(), 0, header.status().text());
    return Status::ok();
  }
  LogPosition from;
  from.segment = header->number;
  from.offset = kSegmentHeaderSize;
  from.seq = header->first_seq - 1;
  from.chain = header->chain;
  LogScanner scanner(disk, path, header->store_id, from);
  LogScanner::Record record;
  while (true) {
    SLUICE_ASSIGN(found, scanner.next(record));
    if (!found) break;
    ++report.records;
  }
  SLUICE_ASSIGN(tail, examine_tail(disk, path, header->store_id, scanner.position(), proven_seq));
  report.torn_tail = tail.kind == Tail::Kind::kTorn;
  if (tail.kind == Tail::Kind::kCorrupt)
    report_bad(report, scanner.position().segment, scanner.position().offset, tail.text);
  return Status::ok();
}

}  // namespace

Result<std::string> move_aside(Disk& disk, const std::string& path,
                               const std::vector<std::string>& names) {
  SLUICE_ASSIGN(folder, make_damaged_folder(disk, path));
  for (const std::string& name : names)
    SLUICE_TRY(disk.rename(path + "/" + name, path + "/" + folder + "/" + name));
  SLUICE_TRY(disk.sync_directory(path + "/" + folder));
  SLUICE_TRY(disk.sync_directory(path));
  return folder;
}

Result<VerifyReport> verify(const std::string& path, Disk& disk) {
  VerifyReport report;
  SLUICE_ASSIGN(seqs, list_checkpoints(disk, path));
  SLUICE_ASSIGN(segments, list_segments(disk, path));
  if (seqs.empty() && segments.empty())
    return Status(Code::kNotFound, path + ": no store in this folder");
  if (const Status mirrored = check_mirrored(disk, path); !mirrored) {
    if (mirrored.code() != Code::kCorrupt) return mirrored;
    report.faults.push_back(mirrored.text());
  }
  uint64_t proven_seq = 0;
  for (const uint64_t seq : seqs) {
    State state;
    const auto info = load_checkpoint(disk, path, seq, state);
    if (info.is_ok()) {
      ++report.checkpoints;
      proven_seq = std::max(proven_seq, info->end_seq);
    } else {
      if (info.status().code() == Code::kIo) return info.status();
      report.faults.push_back(info.status().text());
      proven_seq = std::max(proven_seq, seq);
    }
  }
  SLUICE_TRY(verify_log(disk, path, proven_seq, report));
  const auto recovered = recover(disk, path);
  if (!recovered.is_ok()) {
    if (recovered.status().code() == Code::kIo) return recovered.status();
    report.faults.push_back(recovered.status().text());
    return report;
  }
  if (const Status status = check_segments(disk, path, *recovered); !status)
    report.faults.push_back(status.text());
  report.keys = recovered->state.keys.size();
  SLUICE_ASSIGN(bad, check_entries(disk, path, *recovered, report.entries));
  for (const BadEntry& entry : bad)
    report_bad(report, entry.position.segment, entry.position.offset, entry.text);
  return report;
}

namespace {

// One repair: remembers the folder and what was done.
class Repair {
 public:
  Repair(Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}

  // Until the store can be recovered to its end.
  Status make_recoverable() {
    for (int round = 0; round < kRepairRoundsMax; ++round) {
      auto recovered = recover(disk_, path_);
      if (!recovered.is_ok()) return recovered.status();
      SLUICE_TRY(move_checkpoints_above(recovered->checkpoint.start.seq, "is damaged"));
      const LogPosition end = recovered->end();
      SLUICE_ASSIGN(tail,
                    examine_tail(disk_, path_, recovered->store_id, end, recovered->proven_seq));
      if (tail.kind != Tail::Kind::kCorrupt) return Status::ok();
      if (recovered->checkpoint.end_seq > end.seq) {
        // It needs more log than there is: an older one, or the whole log, takes its place.
        SLUICE_TRY(move_checkpoints_above(recovered->checkpoint.start.seq - 1,
                                          "needs records that are damaged"));
        continue;
      }
      SLUICE_TRY(cut(end, tail));
    }
    return Status(Code::kCorrupt, path_ + ": still damaged after many repairs");
  }

  // Entries that cannot be read are taken out of their streams.
  Status drop_unreadable(const Clock& clock) {
    SLUICE_ASSIGN(recovered, recover(disk_, path_));
    uint64_t entries = 0;
    SLUICE_ASSIGN(bad, check_entries(disk_, path_, recovered, entries));
    if (bad.empty()) return Status::ok();
    std::set<uint32_t> segments;
    std::vector<stream::Unit> units;
    for (const BadEntry& entry : bad) {
      segments.insert(entry.position.segment);
      stream::Effect remove;
      remove.kind = stream::EffectKind::kRemove;
      remove.stream = entry.stream;
      remove.entry = entry.position.id();
      units.emplace_back().effects.push_back(remove);
      report_.actions.push_back(
          fmt::format("removed entry {} of {}: {}", entry.position.id().text(),
                      recovered.state.stream(entry.stream)->name, entry.text));
    }
    for (const uint32_t segment : segments) {
      const Status copied = copy_aside(segment_name(segment));
      if (!copied && copied.code() != Code::kNotFound) return copied;
    }
    SLUICE_ASSIGN(present, list_segments(disk_, path_));
    if (present.empty()) return Status(Code::kCorrupt, path_ + ": no log is left");
    Options options;
    options.background = false;
    options.accept_missing_segments = true;
    lock_.reset();  // the store takes it
    SLUICE_ASSIGN(store, EmbeddedStore::open(path_, options, disk_, clock));
    return store->commit(units, nullptr).status();
  }

  Status take_lock() {
    SLUICE_ASSIGN(lock, disk_.lock(path_ + "/lock"));
    lock_ = std::move(lock);
    return Status::ok();
  }

  RepairReport take_report() { return std::move(report_); }

 private:
  Result<std::string> folder() {
    if (report_.folder.empty()) {
      SLUICE_ASSIGN(made, make_damaged_folder(disk_, path_));
      report_.folder = made;
    }
    return path_ + "/" + report_.folder;
  }

  Status move(const std::string& name, const std::string& why) {
    SLUICE_ASSIGN(to, folder());
    SLUICE_TRY(disk_.rename(path_ + "/" + name, to + "/" + name));
    SLUICE_TRY(disk_.sync_directory(to));
    SLUICE_TRY(disk_.sync_directory(path_));
    report_.actions.push_back(fmt::format("moved {} to {}: it {}", name, report_.folder, why));
    return Status::ok();
  }

  Status copy_aside(const std::string& name) {
    SLUICE_ASSIGN(to, folder());
    const auto there = disk_.open(to + "/" + name, OpenMode::kRead);
    if (there.is_ok()) return Status::ok();
    SLUICE_TRY(copy_file(disk_, path_ + "/" + name, to + "/" + name));
    SLUICE_TRY(disk_.sync_directory(to));
    report_.actions.push_back(fmt::format("copied {} to {}", name, report_.folder));
    return Status::ok();
  }

  Status move_checkpoints_above(uint64_t seq, const std::string& why) {
    SLUICE_ASSIGN(seqs, list_checkpoints(disk_, path_));
    for (const uint64_t other : seqs) {
      if (other > seq) SLUICE_TRY(move(checkpoint_name(other), why));
    }
    return Status::ok();
  }

  Status cut(const LogPosition& end, const Tail& tail) {
    for (auto after = tail.segments_after.rbegin(); after != tail.segments_after.rend(); ++after)
      SLUICE_TRY(move(segment_name(after->number), "follows a damaged record"));
    if (end.segment == 0) return Status::ok();
    const std::string name = segment_name(end.segment);
    SLUICE_TRY(copy_aside(name));
    SLUICE_ASSIGN(file, disk_.open(path_ + "/" + name, OpenMode::kReadWrite));
    SLUICE_TRY(file->truncate(end.offset));
    SLUICE_TRY(file->sync());
    report_.actions.push_back(
        fmt::format("cut {} at offset {}, behind record {}", name, end.offset, end.seq));
    return Status::ok();
  }

  Disk& disk_;
  const std::string path_;
  std::unique_ptr<FileLock> lock_;
  RepairReport report_;
};

}  // namespace

Result<RepairReport> repair(const std::string& path, Disk& disk, const Clock& clock) {
  SLUICE_TRY(disk.list(path).status());
  Repair repair(disk, path);
  SLUICE_TRY(repair.take_lock());
  SLUICE_TRY(repair.make_recoverable());
  SLUICE_TRY(repair.drop_unreadable(clock));
  return repair.take_report();
}

}  // namespace sluice::engine
