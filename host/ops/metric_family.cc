#include "ops/metric_family.h"

#include "graph/text.h"

namespace sluice::ops {

namespace {

// Bytes that UTF-8 does not have.
constexpr char kEndOfValue = '\xff';
constexpr std::string_view kOtherKey = "\xfe";

std::string_view servable(std::string_view value) {
  return value.size() <= kLabelBytesMax && graph::is_utf8(value) ? value : kOtherLabel;
}

void set_value(prometheus::ClientMetric& metric, prometheus::MetricType type, double value) {
  if (type == prometheus::MetricType::Counter) metric.counter.value = value;
  if (type == prometheus::MetricType::Gauge) metric.gauge.value = value;
  if (type == prometheus::MetricType::Untyped) metric.untyped.value = value;
}

}  // namespace

MetricFamily::MetricFamily(const plugin::Metric& metric, prometheus::MetricType type,
                           std::vector<prometheus::ClientMetric::Label> fixed, size_t series_max)
    : metric_(metric), type_(type), fixed_(std::move(fixed)), series_max_(series_max) {
  // A counter that is there from the start shows its first step to whoever looks at rates.
  if (metric_.labels.empty() && metric_.type == plugin::MetricType::kCounter) series_[""];
}

void MetricFamily::add(const runtime::Measure& measure) {
  const std::lock_guard lock(mutex_);
  Series& series = series_of(measure);
  series.counter.clear();
  switch (measure.kind) {
    case runtime::Measure::Kind::kCount:
      series.value += measure.value;
      break;
    case runtime::Measure::Kind::kGauge:
      series.value = measure.value;
      break;
    case runtime::Measure::Kind::kReserved:
      series.counter = measure.counter;
      break;
  }
}

MetricFamily::Series& MetricFamily::series_of(const runtime::Measure& measure) {
  std::string key;
  for (const std::string_view value : measure.labels) (key += servable(value)) += kEndOfValue;
  const auto known = series_.find(key);
  if (known != series_.end()) return known->second;
  std::vector<std::string> labels;
  const bool is_full = series_.size() >= series_max_;
  if (is_full) key = kOtherKey;
  for (const std::string_view value : measure.labels)
    labels.emplace_back(is_full ? kOtherLabel : servable(value));
  Series& series = series_[key];
  series.labels = std::move(labels);
  return series;
}

// nullopt when a store cannot say.
static std::optional<int64_t> sum_of(std::span<const stream::Store* const> stores,
                                     const std::string& counter) {
  int64_t sum = 0;
  for (const stream::Store* store : stores) {
    const auto reserved = store->counter(counter);
    if (!reserved) return std::nullopt;
    sum += *reserved;
  }
  return sum;
}

void MetricFamily::collect(std::span<const stream::Store* const> stores,
                           prometheus::MetricFamily& out) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, series] : series_) {
    double value = series.value;
    if (!series.counter.empty()) {
      const auto reserved = sum_of(stores, series.counter);
      if (!reserved) continue;
      value = static_cast<double>(*reserved);
    }
    prometheus::ClientMetric metric;
    metric.label = fixed_;
    for (size_t i = 0; i < series.labels.size(); ++i)
      metric.label.push_back({metric_.labels[i], series.labels[i]});
    set_value(metric, type_, value);
    out.metric.push_back(std::move(metric));
  }
}

}  // namespace sluice::ops
