// Checkpoints: the state at one commit, so that recovery reads the log from there only.
//
// A checkpoint is taken while commits go on: streams, groups and counters are those of `start`; the
// keys are written shard after shard and may show commits up to `end_seq`. That is sound because
// replay sets and erases keys without looking at what was there: after the log up to `end_seq` the
// keys are right. Hence a checkpoint needs the log to reach `end_seq`, and the log is synced that
// far before the file gets its name.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "engine/segment_log.h"
#include "engine/state.h"

namespace sluice::engine {

struct CheckpointInfo {
  uint64_t store_id = 0;
  LogPosition start;  // replay begins here
  uint64_t end_seq = 0;
};

std::string checkpoint_name(uint64_t seq);

// Sequence numbers of the checkpoints in a folder, ascending.
Result<std::vector<uint64_t>> list_checkpoints(Disk& disk, const std::string& folder);

// Writes one checkpoint beside its name; `finish` makes it durable and gives it its name.
class CheckpointWriter {
 public:
  static Result<CheckpointWriter> create(Disk& disk, const std::string& folder,
                                         const CheckpointInfo& info);

  Status add(std::string_view block);
  Status finish(uint64_t end_seq);
  uint64_t size() const { return offset_; }

 private:
  CheckpointWriter(Disk& disk, std::string folder, uint64_t seq, std::unique_ptr<File> file)
      : disk_(&disk), folder_(std::move(folder)), seq_(seq), file_(std::move(file)) {}

  Disk* disk_;
  std::string folder_;
  uint64_t seq_;
  std::unique_ptr<File> file_;
  uint64_t offset_ = 0;
  uint64_t blocks_ = 0;
};

// Loads a checkpoint into an empty state. kCorrupt leaves the state unusable.
Result<CheckpointInfo> load_checkpoint(Disk& disk, const std::string& folder, uint64_t seq,
                                       State& state);

}  // namespace sluice::engine
