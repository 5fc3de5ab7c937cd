// Stores as the commands open them: the one place of the program, beside `run`, that knows which
// engine stands behind the contract.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cli/common.h"
#include "cli/pipeline_file.h"
#include "stream/store.h"

namespace sluice::cli {

// Whose store a command looks at: that of a pipeline file, or a store's own folder.
struct StorePlace {
  std::unique_ptr<PipelineFile> file;  // null: a folder was named
  std::string path;                    // of the store

  const graph::Pipeline* pipeline() const { return file ? &file->pipeline : nullptr; }

  // The engine's name of a stream called by its key in the file or by its name.
  std::string stream_name(const std::string& name) const;
};

// Errors are said on `err`; nullopt ends the command with `exit`.
std::optional<StorePlace> find_store(Common& common, const std::string& file_or_folder, int& exit);

// The same error with what to do about it: no store yet, or another process has it.
Status with_remedy(const Status& error, const StorePlace& place);

// Opens for reading, also while another process writes: what was committed when this was called.
//
// Errors: kNotFound with what creates a store; kCorrupt; kIo.
Result<std::unique_ptr<stream::Store>> open_for_reading(Common& common, const StorePlace& place);

// A store opened for reading, under a clock that stands at its last commit.
struct StoreAsLeft {
  std::unique_ptr<Clock> clock;  // declared first: the store borrows it
  std::unique_ptr<stream::Store> store;
};

// Opens for reading as of the last commit: keys that have expired since are still there, so that
// what is judged is one moment. Errors: as `open_for_reading`.
Result<StoreAsLeft> open_as_left(Common& common, const StorePlace& place);

// Shows `look` the store of a pipeline file as its last commit left it. A host that runs may remove
// old log files while they are read: what fails is tried again, three times in all.
//
// Returns the exit code, that of `look` unless it failed; errors are said on `err`. `command` is
// named when a store was given instead of a pipeline file.
int look_as_left(
    Common& common, const std::string& file, std::string_view command,
    const std::function<Result<int>(const graph::Pipeline&, const stream::Store&)>& look);

// A store for a command that changes entries, and the clock it runs on.
struct WritableStore {
  std::unique_ptr<Clock> clock;  // declared first: the store borrows it
  std::unique_ptr<stream::Store> store;
};

// Opens for writing with the streams of the pipeline as their options say; creates nothing.
//
// The clock stands at the last commit unless the pipeline runs on wall time: under a recorded clock
// the system's time is months ahead, and opening with it would expire every key.
//
// Errors: kConflict while a run has the store, with its process id and what to do; else as above.
Result<WritableStore> open_for_writing(Common& common, const StorePlace& place);

}  // namespace sluice::cli
