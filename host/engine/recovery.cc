#include "engine/recovery.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::engine {

namespace {

// Loads the newest good checkpoint. Leaves `out` without one when there is none.
Status load_newest(Disk& disk, const std::string& folder, Recovered& out) {
  SLUICE_ASSIGN(seqs, list_checkpoints(disk, folder));
  for (auto seq = seqs.rbegin(); seq != seqs.rend(); ++seq) {
    // A checkpoint gets its name after the log was synced that far.
    out.proven_seq = std::max(out.proven_seq, *seq);
    out.state = State();
    auto info = load_checkpoint(disk, folder, *seq, out.state);
    if (info.is_ok()) {
      out.checkpoint = *info;
      out.store_id = info->store_id;
      out.proven_seq = std::max(out.proven_seq, info->end_seq);
      return Status::ok();
    }
    if (info.status().code() == Code::kIo) return info.status();
    out.damaged.push_back(info.status().text());
  }
  out.state = State();
  return Status::ok();
}

}  // namespace

Result<Recovered> recover(Disk& disk, const std::string& folder) {
  Recovered out;
  SLUICE_TRY(load_newest(disk, folder, out));
  if (out.checkpoint.start.seq == 0) {
    SLUICE_ASSIGN(segments, list_segments(disk, folder));
    const uint32_t first = segments.empty() ? 0 : segments.front();
    if (first != 1 && (first != 0 || !out.damaged.empty()))
      return Status(
          Code::kCorrupt,
          fmt::format("{}: no good checkpoint, and the log begins at segment {}{}", folder, first,
                      out.damaged.empty() ? "" : " (" + out.damaged.front() + ")"));
    if (first == 1) {
      auto header = read_segment_header(disk, folder, 1);
      if (header.is_ok()) out.store_id = header->store_id;
      if (!header.is_ok() && header.status().code() == Code::kIo) return header.status();
    }
  }
  out.scanner = std::make_unique<LogScanner>(disk, folder, out.store_id, out.checkpoint.start);
  SLUICE_TRY(follow(out));
  return out;
}

LogPosition Recovered::proven_end() const {
  LogPosition place = end();
  if (unproven.empty()) return place;
  place.segment = unproven.front().segment;
  place.offset = unproven.front().offset;
  return place;
}

Status follow(Recovered& recovered) {
  recovered.scanner->forget();
  uint64_t proven = recovered.proven_seq;
  std::deque<Recovered::Place>& unproven = recovered.unproven;
  LogScanner::Record record;
  while (true) {
    SLUICE_ASSIGN(found, recovered.scanner->next(record));
    if (!found) return Status::ok();
    const Status replayed = recovered.state.replay(record.body, record.header.time_us,
                                                   record.segment, record.body_offset);
    if (!replayed)
      return replayed.within(fmt::format("{} offset {}: record {}", segment_name(record.segment),
                                         record.body_offset - kRecordHeaderSize,
                                         record.header.seq));
    proven = std::max(proven, record.header.durable_seq);
    unproven.push_back({record.header.seq, record.segment,
                        static_cast<uint32_t>(record.body_offset - kRecordHeaderSize)});
    while (!unproven.empty() && unproven.front().seq <= proven) unproven.pop_front();
    ++recovered.records;
    recovered.bytes += record_size(record.body.size());
    // Replay frees expired keys as the writer did, or a long log would hold them all at once.
    recovered.state.keys.sweep(record.header.time_us / 1000, 4 * record.body.size());
  }
}

Status check_segments(Disk& disk, const std::string& folder, const Recovered& recovered) {
  const uint32_t last = recovered.end().segment;
  SLUICE_ASSIGN(segments, list_segments(disk, folder));
  for (uint32_t number = recovered.state.first_live_segment(last); number <= last; ++number) {
    if (number != 0 && !std::binary_search(segments.begin(), segments.end(), number))
      return Status(Code::kCorrupt, segment_name(number) + " is missing and holds live entries");
  }
  return Status::ok();
}

}  // namespace sluice::engine
