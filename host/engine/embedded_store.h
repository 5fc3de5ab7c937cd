// The embedded engine: one folder, one writing process, one commit log. FORMAT.md gives the bytes.
//
// Memory holds where entries are, who works on them, keys and counters; payloads stay in the log.
// An old live entry keeps its whole segment and every later one on disk.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/disk.h"
#include "engine/recovery.h"
#include "engine/segment_log.h"
#include "engine/state.h"
#include "stream/store.h"

namespace sluice::engine {

enum class Durability : uint8_t {
  kCommit,  // synced before `commit` returns; commits that wait together share one sync
  kGroup,   // synced at most `group_interval` later; a power cut takes the last of them
  kOs,      // synced by `flush` and checkpoints only; safe against kill -9, not a power cut
};

struct Options {
  Durability durability = Durability::kCommit;

  // kGroup: longer means fewer syncs and more to lose in a power cut.
  std::chrono::milliseconds group_interval{5};

  // kGroup: a commit that goes past half of this syncs by itself, while the other half may be in a
  // running sync. More rides out a slow disk, and more is lost in a power cut.
  uint64_t unsynced_bytes_max = 8 << 20;

  // Size of a log file, at most 1 GiB. Larger means fewer files; disk space comes back in these
  // pieces.
  uint64_t segment_bytes = 64 << 20;

  // Log written between two checkpoints, and at least the size of the last checkpoint. Less means a
  // faster start after a crash and more writing while running.
  uint64_t checkpoint_bytes = 64 << 20;

  // Newest log bytes held in memory, so that the next stage reads its input without the disk.
  size_t cache_bytes = 8 << 20;

  // A thread of the store does syncs of kGroup and checkpoints. Without it a commit does them when
  // they are due by `Clock::steady`: deterministic, for simulations and tests.
  bool background = true;

  // Opens although files that hold live entries are gone; those entries cannot be read. For repair,
  // which removes them.
  bool accept_missing_segments = false;

  // Opens although a mirror into the store has not finished. For the mirror.
  bool accept_unfinished_mirror = false;
};

// The file in a store's folder as long as a mirror into it has not finished.
inline constexpr std::string_view kMirrorMark = "mirroring";

// kCorrupt, saying what to do, when that file is there.
Status check_mirrored(Disk& disk, const std::string& path);

// Threads: [any], as Store says. One mutex guards everything; no sync is made while holding it,
// except in opening and for checkpoints' own files.
class EmbeddedStore final : public stream::Store {
 public:
  // Opens or creates the store in the folder `path` for writing.
  //
  // A torn tail, bytes of a commit that was never durable, is cut and logged. `disk` and `clock`
  // outlive the store.
  // Errors: kConflict when another process writes (names its process id); kCorrupt when durable
  //         records are damaged (names segment and offset); kInvalid for options that cannot be.
  static Result<std::unique_ptr<EmbeddedStore>> open(const std::string& path,
                                                     const Options& options, Disk& disk,
                                                     const Clock& clock);

  // Opens what is there for looking in, also while another process writes: a snapshot, see
  // `refresh`. Writing calls return kClosed.
  // Errors: kNotFound when there is no store.
  static Result<std::unique_ptr<EmbeddedStore>> open_read_only(const std::string& path, Disk& disk,
                                                               const Clock& clock,
                                                               const Options& options = {});

  // Syncs what was written, unless the store is poisoned.
  ~EmbeddedStore() override;

  // Catches up with the writer; handles stay valid. Nothing to do in a writer.
  // [control]
  Status refresh();

  // Takes a checkpoint now.
  Status checkpoint();

  uint64_t store_id() const { return store_id_; }

  // Of all counters, by name.
  std::vector<stream::CounterState> counters() const;

  Result<StreamId> open_stream(std::string_view name,
                               const stream::StreamOptions& options) override;
  StreamId find_stream(std::string_view name) const override;
  Result<GroupId> open_group(StreamId stream, std::string_view name,
                             stream::GroupStart start) override;
  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override;
  Result<std::vector<stream::Delivery>> claim(const stream::ReadRequest& request,
                                              stream::milliseconds idle_min,
                                              EntryId after) override;
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  Status flush(stream::CommitSeq seq) override;
  stream::CommitSeq durable() const override;
  stream::CommitSeq last_commit() const override;
  Result<std::optional<stream::KeyValue>> get(std::string_view key) const override;
  Result<int64_t> counter(std::string_view counter) const override;
  Status scan(std::string_view prefix,
              const std::function<bool(std::string_view key, const stream::KeyValue&)>& visit)
      const override;
  void set_listener(stream::Listener* listener) override;
  void watch(std::string_view key) override;
  void unwatch(std::string_view key) override;
  Result<std::vector<stream::Entry>> range(StreamId stream, EntryId after,
                                           size_t count_max) const override;
  std::vector<stream::StreamInfo> streams() const override;
  uint64_t length(StreamId stream) const override;
  uint64_t lag(GroupId group) const override;
  uint64_t pending(GroupId group) const override;
  Result<std::vector<stream::PendingInfo>> pending_entries(GroupId group,
                                                           size_t count_max) const override;
  WallTime last_commit_time() const override;

 private:
  friend class StoreMirrorWriter;  // writes what other engines kept, by the same records

  using Lock = std::unique_lock<std::mutex>;

  // What one commit tells the listener.
  struct News {
    std::vector<StreamId> appended;
    std::vector<std::string> changed;
  };

  // Entries picked for a group, in order, with what is in them.
  struct Picked {
    std::vector<Position> positions;
    std::vector<stream::Delivery> deliveries;
  };

  EmbeddedStore(std::string path, const Options& options, Disk& disk, const Clock& clock,
                bool read_only);

  Status start_writing();
  Status start_reading();
  Status put_aside(const Tail& tail);

  // The rest expects mutex_ to be held.
  Status usable() const { return poison_; }
  Status writable() const;
  Status poison(Status status);
  int64_t now_us() const;
  int64_t now_ms() const { return now_us() / 1000; }

  Status begin_record();
  bool record_is_empty() const { return record_->size() == kRecordHeaderSize; }
  Status end_record();
  Status settle(Lock& lock, bool durable_wanted);
  Status sync_to(Lock& lock, uint64_t seq);
  void touch(StreamId stream);
  void trim_touched();

  Status check(const stream::Unit& unit) const;
  Status check(const stream::Condition& condition) const;
  Status check(const stream::Effect& effect) const;
  // `follows`: what it builds on was applied.
  void apply(const stream::Unit& unit, bool follows, stream::UnitOutcome& outcome);
  bool holds(const stream::Unit& unit, size_t index, stream::UnitOutcome& outcome) const;
  bool reserve_holds(const stream::Unit& unit, size_t index, stream::UnitOutcome& outcome) const;
  void carry_out(const stream::Condition& condition);
  void carry_out(const stream::Effect& effect, stream::UnitOutcome& outcome);
  void set_key(std::string_view key, std::string_view value, bool is_fields,
               stream::milliseconds ttl);
  void erase_key(std::string_view key);
  void key_changed(std::string_view key);

  Result<Picked> pick_new(const stream::ReadRequest& request) const;
  Status fill(StreamId stream, Picked& picked, size_t bytes_max) const;
  void deliver(const stream::ReadRequest& request, Picked& picked);

  bool checkpoint_due() const;
  Status take_checkpoint(Lock& lock);
  Status write_checkpoint(Lock& lock, CheckpointWriter& writer);
  Status drop_old_files();

  void run_background();
  void stop_background();
  void close();

  // Fixed after construction.
  const std::string path_;
  const Options options_;
  Disk& disk_;
  const Clock& clock_;
  const bool read_only_;
  std::unique_ptr<FileLock> file_lock_;

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  Status poison_;
  Recovered recovered_;  // a reader follows the log with it
  State& state_ = recovered_.state;
  std::optional<SegmentLog> log_;
  uint64_t store_id_ = 0;
  std::string* record_ = nullptr;  // the commit being built
  int64_t record_us_ = 0;          // its time
  std::vector<StreamId> touched_;  // streams it may have made trimmable
  News news_;                      // what it will tell
  uint64_t durable_ = 0;
  bool wrote_ = false;        // since opening
  bool syncing_ = false;      // somebody syncs without the mutex
  Micros unsynced_since_{0};  // steady time of the oldest unsynced commit
  std::condition_variable synced_;
  std::unordered_map<std::string, uint32_t> watched_;
  stream::Listener* listener_ = nullptr;

  struct KnownCheckpoint {
    uint64_t seq;
    uint32_t segment;  // where replay from it begins
  };
  std::vector<KnownCheckpoint> checkpoints_;  // ascending
  uint64_t checkpoint_size_ = 0;
  uint64_t bytes_since_checkpoint_ = 0;
  bool checkpointing_ = false;

  bool stopping_ = false;
  std::condition_variable work_;     // for the thread: something to sync or to checkpoint
  std::condition_variable stopped_;  // for the thread while it lets commits gather
  std::thread thread_;
};

}  // namespace sluice::engine
