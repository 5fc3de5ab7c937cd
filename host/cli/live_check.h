// `sluice check --live`: what the file's engine would find on this machine, without touching it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/common.h"
#include "cli/exit_codes.h"
#include "cli/json_writer.h"
#include "graph/pipeline.h"
#include "redis/host_lease.h"

namespace sluice::cli {

struct LiveReport {
  // One thing looked at: "store", "durability", "streams", "groups", "integrity", "disk", "clock";
  // on Redis "server", "promise", "hosts", "streams", "groups".
  struct Topic {
    std::string name;
    std::string text;  // a sentence or two
  };
  std::vector<Topic> topics;
  std::vector<graph::Finding> findings;  // at the engine, stream or stage concerned

  std::string path;                     // of the store
  bool exists = false;                  // false: the first run creates it
  std::optional<uint64_t> writer;       // process that has the store open; 0: somebody unknown
  std::optional<uint64_t> free_bytes;   // on the store's file system
  std::optional<WallTime> last_commit;  // of a store that holds any
};

// Looks at the store of `pipeline`. Embedded: folder, permissions, who writes it, what is in it,
// whether every record is what was written, room on the disk, the clock. Redis: version, settings
// and what they promise, replicas, memory, the clock, which hosts run it and whether they run the
// same as `runs`, what is in it. Without `runs` they are not compared.
//
// Reads only, also while another process writes; reading an embedded store back takes as long as it
// is large. What is wrong is in the report, never an error.
LiveReport check_live(const graph::Pipeline& pipeline, Disk& disk, const Clock& clock,
                      const redis::Runs& runs = {});

// kFine; kCorruptStore or kStore when `run` would be refused.
Exit exit_of(const LiveReport& report);

std::string live_text(const LiveReport& report);

// {"store", "exists", "writer", "free_bytes", "last_commit_us", "topics": {name: text}}; findings
// are the caller's to list.
void add_live(JsonWriter& json, const LiveReport& report);

}  // namespace sluice::cli
