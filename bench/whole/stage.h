// The stage workload of bench/redis on the embedded engine and on what else could keep it: bare
// writes, SQLite, RocksDB.
//
// A batch of entries is read; for each a dedup key is claimed, the entry appended to another stream
// and acked, all in one step. Whoever did not do all of it has no result.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/stores.h"

namespace sluice::bench {

class Peer {
 public:
  virtual ~Peer() = default;
  virtual std::string name() const = 0;
  virtual bool can(Sync) const { return true; }

  // Does the workload in the empty folder `folder`. What is there before the first step is not
  // measured. Throws what went wrong.
  virtual Cost run(const std::string& folder, const Workload& workload, Sync sync) = 0;
};

// `pwrite` of as many bytes as the store wrote for the same, into a file that is there already.
// `bytes`: for one entry, by its batch.
std::unique_ptr<Peer> bare_writes(double bytes);
// WAL, synchronous=FULL. Entries are rows that an ack deletes.
std::unique_ptr<Peer> sqlite_units();
// One WriteBatch for a batch. Entries are keys that an ack deletes.
std::unique_ptr<Peer> rocksdb_units();
// EmbeddedStore alone.
std::unique_ptr<Peer> store_units();
// A pipeline of one stage on it; `file` lies in bench/redis.
std::unique_ptr<Peer> pipeline_units(std::string name, std::string file);

// Bytes the store writes for an entry of the workload.
double store_bytes(const std::string& folder, size_t batch);

// Options of the embedded engine with this sync.
struct StageOptions {
  Workload workload{.entries = 100'000};
  std::vector<size_t> batches = {100, 10, 1};
  std::vector<std::string> syncs = {"commit", "group", "os"};
  std::vector<std::string> only;  // names of peers; empty: all
  size_t rounds = 3;
  // Of a run that syncs with each: the disk sets its time, not the entries.
  size_t steps_max = 2'000;
};
void measure_stage(const StageOptions& options);

}  // namespace sluice::bench
