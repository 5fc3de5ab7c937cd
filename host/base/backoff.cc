#include "base/backoff.h"

#include <algorithm>

namespace sluice {

Backoff::Backoff(Random& random, std::chrono::milliseconds first, std::chrono::milliseconds max)
    : random_(random),
      first_(std::max(first, std::chrono::milliseconds(1))),
      max_(std::max(max, first_)),
      pause_(first_) {}

std::chrono::milliseconds Backoff::next() {
  const auto longest = static_cast<uint64_t>(pause_.count());
  const uint64_t less = random_.next() % (longest / 2 + 1);
  pause_ = std::min(pause_ * 2, max_);
  return std::chrono::milliseconds(longest - less);
}

}  // namespace sluice
