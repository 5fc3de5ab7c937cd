#include "base/clock.h"

namespace sluice {

WallTime SystemClock::now() const {
  return std::chrono::time_point_cast<Micros>(std::chrono::system_clock::now());
}

Micros SystemClock::steady() const {
  return std::chrono::duration_cast<Micros>(std::chrono::steady_clock::now().time_since_epoch());
}

void ManualClock::advance_to(WallTime time) {
  const int64_t wanted = to_us(time);
  int64_t now = now_us_.load(std::memory_order_relaxed);
  while (now < wanted && !now_us_.compare_exchange_weak(now, wanted, std::memory_order_relaxed)) {
  }
}

}  // namespace sluice
