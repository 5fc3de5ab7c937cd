// Time, behind an interface, so that a recorded day and a simulation run the same code.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace sluice {

using Micros = std::chrono::microseconds;
using WallTime = std::chrono::sys_time<Micros>;  // UTC

inline int64_t to_us(WallTime time) { return time.time_since_epoch().count(); }
inline int64_t to_ms(WallTime time) { return to_us(time) / 1000; }
inline WallTime from_us(int64_t us) { return WallTime(Micros(us)); }
inline WallTime from_ms(int64_t ms) { return WallTime(Micros(ms * 1000)); }

// Threads: [any].
class Clock {
 public:
  virtual ~Clock() = default;

  // Wall time, UTC. May step; what must not go back is guarded by its user (see next_entry_id).
  virtual WallTime now() const = 0;

  // Time since an arbitrary start that never goes back; for durations and deadlines inside a
  // process.
  virtual Micros steady() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime now() const override;
  Micros steady() const override;
};

// A clock that stands still until told otherwise. It never goes back, so it serves `clock:
// recorded` (time comes from the entries) and tests.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = WallTime{}) : now_us_(to_us(start)) {}

  WallTime now() const override { return from_us(now_us_.load(std::memory_order_relaxed)); }
  Micros steady() const override { return Micros(now_us_.load(std::memory_order_relaxed)); }

  void advance(Micros by) { advance_to(now() + by); }

  // Earlier times are ignored.
  void advance_to(WallTime time);

 private:
  std::atomic<int64_t> now_us_;
};

}  // namespace sluice
