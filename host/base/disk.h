// The disk, behind an interface, so that crash tests can drop, tear and fail what was not synced.
//
// Errors: kNotFound for a missing path, kConflict for a held lock, kIo for everything a device or a
// file system can do. After a failed write or sync the caller must stop writing: nobody knows what
// is on disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace sluice {

// An open file. Threads: [any] for `read`; one caller at a time for the rest.
class File {
 public:
  virtual ~File() = default;

  // Reads up to `into.size()` bytes at `offset`; fewer only at the end of the file.
  virtual Result<size_t> read(uint64_t offset, std::span<char> into) const = 0;

  // Writes all of `bytes` at `offset`. EINTR and short writes are completed; a write that cannot be
  // is kIo. Not durable before `sync`.
  virtual Status write(uint64_t offset, std::span<const char> bytes) = 0;

  // What was written so far is durable on return (fdatasync).
  virtual Status sync() = 0;

  // Reserves disk blocks up to `size` and makes the file that long, so that a sync after a write
  // inside it has no metadata to flush.
  virtual Status preallocate(uint64_t size) = 0;

  virtual Status truncate(uint64_t size) = 0;
  virtual Result<uint64_t> size() const = 0;
};

// Held until destroyed; released by the system when the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

enum class OpenMode { kRead, kReadWrite, kCreate };  // kCreate: must not exist yet

// Threads: [any].
class Disk {
 public:
  virtual ~Disk() = default;

  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;

  // Creates `path` and its parents; an existing folder is fine.
  virtual Status make_directory(const std::string& path) = 0;

  // Names (no path) of the plain files in a folder, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;

  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& path) = 0;

  // Makes creations, renames and removals in a folder durable.
  virtual Status sync_directory(const std::string& path) = 0;

  // Takes an exclusive lock; kConflict with the holder's process id when somebody has it. The file
  // holds the locker's process id as text.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path) = 0;
};

// The operating system's disk. Lives as long as the process.
Disk& system_disk();

// Whole file as text; `size_max` guards memory.
Result<std::string> read_file(Disk& disk, const std::string& path, uint64_t size_max);

// Writes `text` beside `path`, syncs it, renames it over `path` and syncs the folder: after a crash
// the old or the new content is there, whole.
Status write_file_atomically(Disk& disk, const std::string& path, std::string_view text);

}  // namespace sluice
