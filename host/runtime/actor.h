// What a driver drives: small steps, so that threads and a virtual clock run the same code.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/status.h"

namespace sluice::runtime {

// What one step came to.
struct Progress {
  bool worked = false;               // something was done: step again before waiting
  std::optional<WallTime> next_due;  // when not woken earlier, step again then
  Status error;                      // fatal to the run
};

// Lets one or several threads sleep until there may be work.
// Threads: [any].
class Waker {
 public:
  void wake() {
    {
      const std::lock_guard lock(mutex_);
      ++generation_;
    }
    condition_.notify_all();
  }

  // As `wake`, but of several threads that sleep one alone.
  void wake_one() {
    {
      const std::lock_guard lock(mutex_);
      ++generation_;
    }
    condition_.notify_one();
  }

  uint64_t generation() const {
    const std::lock_guard lock(mutex_);
    return generation_;
  }

  // Returns when `wake` was called since `seen` was read, or after `at_most`.
  void wait(uint64_t seen, Micros at_most) {
    std::unique_lock lock(mutex_);
    condition_.wait_for(lock, at_most, [&] { return generation_ != seen; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable condition_;
  uint64_t generation_ = 0;
};

// One thing that can take steps: a stage's worker, an act of an external stage, a source, an input.
// Threads: one step at a time.
class Actor {
 public:
  virtual ~Actor() = default;
  virtual const std::string& name() const = 0;
  virtual Progress step() = 0;
  virtual Waker& waker() = 0;
};

}  // namespace sluice::runtime
