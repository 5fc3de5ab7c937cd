// Memory for the texts of one batch: given out in one go, forgotten in one go.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice::runtime {

// Views stay valid until `reset`. Threads: one at a time.
class Arena {
 public:
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* at = take(text.size());
    std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
  }

  // Keeps one block, so that a steady load allocates nothing.
  void reset() {
    if (blocks_.size() > 1) blocks_.resize(1);
    used_ = 0;
  }

 private:
  static constexpr size_t kBlockBytes = 256 << 10;

  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };

  char* take(size_t size) {
    if (blocks_.empty() || used_ + size > blocks_.back().size) {
      const size_t wanted = size > kBlockBytes ? size : kBlockBytes;
      blocks_.push_back({std::make_unique_for_overwrite<char[]>(wanted), wanted});
      used_ = 0;
    }
    char* at = blocks_.back().bytes.get() + used_;
    used_ += size;
    return at;
  }

  std::vector<Block> blocks_;
  size_t used_ = 0;  // of the last block
};

}  // namespace sluice::runtime
