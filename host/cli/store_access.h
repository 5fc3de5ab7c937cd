// Stores as the commands open them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/engine.h"
#include "cli/pipeline_file.h"
#include "stream/store.h"

namespace sluice::cli {

// Whose store a command looks at: that of a pipeline file, or a store's own folder.
struct StorePlace {
  std::unique_ptr<PipelineFile> file;  // null: a folder was named
  graph::EngineSpec engine;
  std::optional<uint32_t> only = {};  // the one shard that is meant

  // As a user is told: a folder, or a url.
  std::string name() const { return store_name(engine); }
  const graph::Pipeline* pipeline() const { return file ? &file->pipeline : nullptr; }

  // The engine's name of a stream called by its key in the file or by its name.
  std::string stream_name(const std::string& name) const;
};

// Errors are said on `err`; nullopt ends the command with `exit`.
std::optional<StorePlace> find_store(Common& common, const std::string& file_or_folder, int& exit);

// The same for commands that work on the files of an embedded store.
std::optional<StorePlace> find_files(Common& common, const std::string& file_or_folder, int& exit);

// The same error with what to do about it: no store yet, or another process has it.
Status with_remedy(const Status& error, const StorePlace& place);

// Opens for reading, also while another process writes: embedded what was committed when this was
// called, on Redis what is there at each look.
//
// Errors: kNotFound with what creates a store; kCorrupt; kIo.
Result<std::unique_ptr<stream::Store>> open_for_reading(Common& common, const StorePlace& place,
                                                        uint32_t shard = 0);

// Runs `each` for every shard that is meant; once when there are no shards.
//
// With several, what `each` writes to the `out` it is given stands below a line that names the
// shard, or as JSON in {"shard": 0, `name`: ...}. Returns the largest exit code.
int each_shard(Common& common, const StorePlace& place, std::string_view name,
               const std::function<int(Common& common, uint32_t shard)>& each);

// A store opened for reading, under a clock that stands at its last commit.
struct StoreAsLeft {
  std::unique_ptr<Clock> clock;  // declared first: the store borrows it
  std::unique_ptr<stream::Store> store;
};

// Opens for reading as of the last commit: keys that have expired since are still there, so that
// what is judged is one moment. Redis has no such moment: it is read as it is, and hosts may go on.
// Errors: as `open_for_reading`.
Result<StoreAsLeft> open_as_left(Common& common, const StorePlace& place, uint32_t shard = 0);

// Shows `look` each store of a pipeline file as its last commit left it; see `each_shard`. A host
// that runs may remove old log files while they are read: what fails is tried again, three times in
// all.
//
// Returns the exit code, that of `look` unless it failed; errors are said on `err`. `command` is
// named when a store was given instead of a pipeline file.
int look_as_left(
    Common& common, const std::string& file, std::string_view command,
    const std::function<Result<int>(Common&, const graph::Pipeline&, const stream::Store&)>& look);

// A store for a command that changes entries, and the clock it runs on.
struct WritableStore {
  std::unique_ptr<Clock> clock;  // declared first: the store borrows it
  std::unique_ptr<stream::Store> store;
};

// Opens for writing with the streams of the pipeline as their options say; creates nothing. On
// Redis runs go on beside it, and the server's clock counts.
//
// Embedded: the clock stands at the last commit unless the pipeline runs on wall time: under a
// recorded clock the system's time is months ahead, and opening with it would expire every key.
//
// Errors: kConflict while a run has the store, with its process id and what to do; else as above.
Result<WritableStore> open_for_writing(Common& common, const StorePlace& place, uint32_t shard = 0);

}  // namespace sluice::cli
