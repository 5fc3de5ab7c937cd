// An embedded store as one side of a mirror.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/disk.h"
#include "engine/embedded_store.h"
#include "stream/mirror.h"

namespace sluice::engine {

// Shows a store. It is held closed to writers as long as this lives.
class StoreMirrorReader final : public stream::MirrorReader {
 public:
  // `clock` says which keys are expired; `unfinished`: also what a mirror has not finished.
  // Errors: kNotFound when there is no store; kConflict while another process writes it.
  static Result<std::unique_ptr<StoreMirrorReader>> open(const std::string& path, Disk& disk,
                                                         const Clock& clock,
                                                         bool unfinished = false);

  WallTime last_commit_time() const { return store_->last_commit_time(); }

  Result<std::vector<stream::StreamState>> streams() override;
  Result<std::vector<stream::Entry>> entries(const std::string& stream, EntryId after,
                                             size_t count_max) override;
  Result<std::vector<stream::PendingInfo>> pending(const std::string& stream,
                                                   const std::string& group) override;
  Result<std::vector<std::string>> key_names() override;
  Result<std::vector<std::optional<stream::KeyValue>>> values(
      std::span<const std::string> names) override;
  Result<std::vector<stream::CounterState>> counters() override;

 private:
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<EmbeddedStore> store_;
};

// Fills a new store. Its commits are at the time of `clock`, which outlives it.
//
// Ids whose sequence does not fit 32 bits are refused.
class StoreMirrorWriter final : public stream::MirrorWriter {
 public:
  // `from` is named in the mark.
  StoreMirrorWriter(std::string path, std::string from, Disk& disk, const Clock& clock)
      : path_(std::move(path)), from_(std::move(from)), disk_(disk), clock_(clock) {}

  Status begin() override;
  Status append(const std::string& stream, std::span<const stream::Entry> entries) override;
  Status end_stream(const stream::StreamState& stream) override;
  Status add_group(const stream::StreamState& stream, const stream::GroupState& group,
                   std::span<const stream::PendingInfo> pending) override;
  Status add_counters(std::span<const stream::CounterState> counters) override;
  Status put(std::span<const std::pair<std::string, stream::KeyValue>> keys) override;
  // The store is closed on return.
  Status flush() override;
  Status finish() override;

 private:
  // Runs `change` in one record, with the store's lock.
  template <typename Change>
  Status record(Change change);
  StreamId stream_of(const std::string& name, std::string& record);
  Status apply_block(std::string& record, const std::string& block);

  const std::string path_;
  const std::string from_;
  Disk& disk_;
  const Clock& clock_;
  std::unique_ptr<EmbeddedStore> store_;
};

// kConflict when the folder holds anything but a lock, and kCorrupt when it holds half of a mirror.
Status check_empty(Disk& disk, const std::string& path);

}  // namespace sluice::engine
