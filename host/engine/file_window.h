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
  Result<std::string_view> view(uint64_t offset, size_t size) {
    if (offset < start_ || offset + size > start_ + bytes_.size()) {
      bytes_.resize(std::max(size, kWindowSize));
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
