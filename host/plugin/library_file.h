// The file of a plugin: who may have written it, and whether it is still the same.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"

namespace sluice::plugin {

// Differs once the file at a path was written, replaced or had its access changed.
struct FileId {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t written_ns = 0, changed_ns = 0;

  friend bool operator==(const FileId&, const FileId&) = default;
};

// Looks at a library before any of its code runs.
//
// Errors: kNotFound; kInvalid with a remedy: not a regular file, or it or its folder can be written
// by group or others, or belongs to neither root nor the user this process runs as.
Result<FileId> check_library_file(const std::string& path);

}  // namespace sluice::plugin
