// Reads a file front to back through one buffer, so that no file is ever in memory whole.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/disk.h"

namespace sluice::engine {

class FileWindow {
 public:
  static constexpr size_t kWindowSize = 1 << 20;

  explicit FileWindow(std::unique_ptr<File> file) : file_(std::move(file)) {}

  // Up to `size` bytes at `offset`, fewer only at the end of the file. Valid until the next call.
  // A size that damaged bytes announce takes no memory beyond that of the file.
  Result<std::string_view> view(uint64_t offset, size_t size) {
    if (offset < start_ || offset + size > start_ + bytes_.size()) {
      SLUICE_ASSIGN(end, file_->size());
      const uint64_t left = end - std::min(end, offset);
      bytes_.resize(static_cast<size_t>(std::min<uint64_t>(std::max(size, kWindowSize), left)));
      start_ = offset;
      SLUICE_ASSIGN(got, file_->read(offset, bytes_));
      bytes_.resize(got);
    }
    return std::string_view(bytes_).substr(offset - start_, size);
  }

  // Forgets what was read: the file may have grown or changed.
  void forget() { bytes_.clear(); }

  const File& file() const { return *file_; }

 private:
  std::unique_ptr<File> file_;
  std::string bytes_;
  uint64_t start_ = 0;
};

}  // namespace sluice::engine
