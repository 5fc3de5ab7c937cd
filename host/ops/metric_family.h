// One metric of a page, with its series.
#pragma once

#include <prometheus/metric_family.h>

#include <cstddef>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/measure.h"
#include "stream/store.h"

namespace sluice::ops {

// Longer label values, and what is no UTF-8, count as `other`: they come from entries, and one that
// a scraper refuses would cost it the whole page.
inline constexpr size_t kLabelBytesMax = 128;
inline constexpr std::string_view kOtherLabel = "other";

// A metric as one or several stages count it.
//
// Holds: at most `series_max` series, and one more, all of whose labels are `other`, for whatever
//        comes beyond. So entries with made-up symbols cost a bounded amount of memory.
// Threads: [any].
class MetricFamily {
 public:
  // `fixed` are labels of every series, in front of the described ones.
  MetricFamily(const plugin::Metric& metric, prometheus::MetricType type,
               std::vector<prometheus::ClientMetric::Label> fixed, size_t series_max);

  void add(const runtime::Measure& measure);

  const std::string& name() const { return metric_.name; }

  // Puts the series as they are now behind those `out` has; a gauge shows the sum of its counter
  // over `stores`, and is left out when one cannot be read.
  void collect(std::span<const stream::Store* const> stores, prometheus::MetricFamily& out) const;

 private:
  struct Series {
    std::vector<std::string> labels;
    double value = 0;
    std::string counter;  // not empty: shows what is reserved there
  };

  Series& series_of(const runtime::Measure& measure);

  const plugin::Metric metric_;
  const prometheus::MetricType type_;
  const std::vector<prometheus::ClientMetric::Label> fixed_;
  const size_t series_max_;

  mutable std::mutex mutex_;
  std::map<std::string, Series> series_;  // by label values, each ended by a byte that
                                          // UTF-8 does not have; guarded by mutex_
};

}  // namespace sluice::ops
