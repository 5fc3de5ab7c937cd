// Looking at a store that may be damaged, and setting it right: `sluice store verify` and `repair`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "base/status.h"

namespace sluice::engine {

struct VerifyReport {
  uint64_t segments = 0;
  uint64_t records = 0;  // in the log, trimmed history included
  uint64_t entries = 0;  // live, each read back and checked
  uint64_t keys = 0;
  uint64_t checkpoints = 0;  // good ones
  bool torn_tail = false;    // harmless: the next start cuts it

  // The first place that is not what was written; empty segment when everything is.
  std::string bad_segment;
  uint64_t bad_offset = 0;
  std::vector<std::string> faults;  // a sentence for each fault found

  bool is_good() const { return faults.empty(); }
};

// Reads everything and changes nothing. While another process writes, what it appends meanwhile may
// be reported as a torn tail.
//
// Errors: kNotFound when there is no store; kIo. Damage is no error: it is in the report.
Result<VerifyReport> verify(const std::string& path, Disk& disk);

struct RepairReport {
  std::string folder;                // "damaged-<n>" in the store's folder; empty: nothing was done
  std::vector<std::string> actions;  // a sentence for each thing done
};

// Makes the store open again: damaged checkpoints, and the log from the first bad record on, are
// moved to a folder `damaged-<n>`; entries that cannot be read any more are removed from their
// streams. Nothing is deleted. What the moved records did is undone, so read the report.
//
// Errors: kConflict while another process writes; kCorrupt when neither a checkpoint nor the
//         beginning of the log is left; kIo.
Result<RepairReport> repair(const std::string& path, Disk& disk, const Clock& clock);

// Moves files of a store into a new folder `damaged-<n>` in it and returns the folder's name.
Result<std::string> move_aside(Disk& disk, const std::string& path,
                               const std::vector<std::string>& names);

}  // namespace sluice::engine
