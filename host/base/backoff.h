// Pauses between tries.
#pragma once

#include <chrono>

#include "base/random.h"

namespace sluice {

// Pauses that double from `first` to `max`, each shortened by up to half at random, so that hosts
// do not come back together. None is below one millisecond.
//
// Threads: one caller at a time.
class Backoff {
 public:
  explicit Backoff(Random& random, std::chrono::milliseconds first = std::chrono::milliseconds(1),
                   std::chrono::milliseconds max = std::chrono::milliseconds(1000));
  std::chrono::milliseconds next();
  void reset() { pause_ = first_; }

 private:
  Random& random_;
  const std::chrono::milliseconds first_, max_;
  std::chrono::milliseconds pause_;  // the next one, before it is shortened
};

}  // namespace sluice
