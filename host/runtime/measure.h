// What stages say of their kinds' metrics, and how long batches took.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "graph/pipeline.h"

namespace sluice::runtime {

// One thing said of one metric. Fits the kind's description: labels, and the kind of metric.
struct Measure {
  enum class Kind {
    kCount,    // a counter grows by `value`
    kGauge,    // a gauge becomes `value`
    kReserved  // a gauge shows from now on what is reserved under `counter`
  };
  size_t metric = 0;  // index in the kind's metrics
  Kind kind = Kind::kCount;
  std::vector<std::string_view> labels;  // values, in the order of the description
  double value = 0;
  std::string_view counter;
};

// Told what stages counted, once the units they said it in are committed.
// Threads: [any], outside all locks of the runtime. Implementations return fast.
class MetricSink {
 public:
  virtual ~MetricSink() = default;

  // One call for each commit that had any. The views are valid during the call only.
  virtual void measured(const graph::StageSpec& stage, std::span<const Measure> measures) = 0;
};

// Durations by size. Threads: [any]; who reads while another adds may miss the newest in one place
// and see it in another.
class DurationHistogram {
 public:
  // Upper bounds; whatever is longer has a bucket of its own.
  static constexpr std::array kBoundsUs =
      std::to_array<int64_t>({10, 50, 100, 500, 1'000, 5'000, 10'000, 50'000, 100'000, 500'000,
                              1'000'000, 5'000'000, 10'000'000});

  void add(Micros duration) {
    size_t i = 0;
    while (i < kBoundsUs.size() && duration.count() > kBoundsUs[i]) ++i;
    counts_[i].fetch_add(1, std::memory_order_relaxed);
    sum_us_.fetch_add(static_cast<uint64_t>(duration.count()), std::memory_order_relaxed);
  }

  uint64_t count(size_t bucket) const { return counts_[bucket].load(std::memory_order_relaxed); }
  uint64_t sum_us() const { return sum_us_.load(std::memory_order_relaxed); }

 private:
  std::array<std::atomic<uint64_t>, kBoundsUs.size() + 1> counts_{};
  std::atomic<uint64_t> sum_us_{0};
};

}  // namespace sluice::runtime
