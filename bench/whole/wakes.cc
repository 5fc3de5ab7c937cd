#include "whole/wakes.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "common/measure.h"

namespace sluice::bench {

namespace {

class Bell {
 public:
  void ring() {
    {
      const std::lock_guard lock(mutex_);
      ++rung_;
    }
    changed_.notify_one();
  }
  // Waits until it rang `times` times in all.
  void wait(size_t times) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return rung_ >= times; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  size_t rung_ = 0;
};

}  // namespace

std::vector<double> measure_wakes(size_t hops, size_t count, std::chrono::nanoseconds gap) {
  std::deque<Bell> bells(hops + 1);  // the last one is ours
  std::vector<Steady::time_point> woken(count);
  std::vector<std::thread> threads;
  for (size_t hop = 0; hop < hops; ++hop) {
    threads.emplace_back([&, hop] {
      for (size_t i = 0; i < count; ++i) {
        bells[hop].wait(i + 1);
        if (hop + 1 == hops) woken[i] = Steady::now();
        bells[hop + 1].ring();
      }
    });
  }
  std::vector<double> us(count);
  auto due = Steady::now();
  for (size_t i = 0; i < count; ++i) {
    std::this_thread::sleep_until(due += gap);
    const auto start = Steady::now();
    bells[0].ring();
    bells[hops].wait(i + 1);
    us[i] = std::chrono::duration<double, std::micro>(woken[i] - start).count();
  }
  for (std::thread& thread : threads) thread.join();
  return us;
}

}  // namespace sluice::bench
