// From the files of a store to its state: newest good checkpoint, then the log from there.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/disk.h"
#include "engine/checkpoint.h"
#include "engine/segment_log.h"
#include "engine/state.h"

namespace sluice::engine {

struct Recovered {
  struct Place {
    uint64_t seq;
    uint32_t segment;
    uint32_t offset;  // of the record's header
  };

  State state;
  uint64_t store_id = 0;                // 0: unknown, or a store without a log
  CheckpointInfo checkpoint;            // start.seq 0: none was used
  uint64_t proven_seq = 0;              // the log was durable up to here, say the checkpoints
  uint64_t records = 0;                 // replayed
  uint64_t bytes = 0;                   // of the records replayed
  std::deque<Place> unproven;           // records that nothing says were ever synced, ascending
  std::unique_ptr<LogScanner> scanner;  // at the end of what could be read
  std::vector<std::string> damaged;     // a sentence for each checkpoint that was passed over

  const LogPosition& end() const { return scanner->position(); }
  // Where the bytes begin that nothing says were ever synced.
  LogPosition proven_end() const;
};

// Reads, never writes; what lies behind the end is the caller's to examine. A folder without a
// store gives an empty state.
//
// Errors: kCorrupt when no checkpoint is good and the log does not begin at its first record, or
//         when a record does not fit the state; kNotFound when the folder is missing; kIo.
Result<Recovered> recover(Disk& disk, const std::string& folder);

// Replays what was appended since; used by a reader that follows a writer.
Status follow(Recovered& recovered);

// kCorrupt, naming the segment, when a file that holds live entries is missing.
Status check_segments(Disk& disk, const std::string& folder, const Recovered& recovered);

}  // namespace sluice::engine
