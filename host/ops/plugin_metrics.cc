#include "ops/plugin_metrics.h"

#include <algorithm>
#include <utility>

namespace sluice::ops {

namespace {

prometheus::MetricType type_of(plugin::MetricType type) {
  return type == plugin::MetricType::kCounter ? prometheus::MetricType::Counter
                                              : prometheus::MetricType::Gauge;
}

bool is_alike(const plugin::Metric& a, const plugin::Metric& b) {
  return a.type == b.type && a.labels == b.labels;
}

}  // namespace

// A metric of a stage.
struct PluginMetrics::Described {
  size_t stage;
  size_t index;
  const plugin::Metric* metric;
};

PluginMetrics::PluginMetrics(const graph::Pipeline& pipeline) : pipeline_(pipeline) {
  std::map<std::pair<std::string, std::string>, std::vector<Described>> named;  // page and name
  for (size_t i = 0; i < pipeline.stages.size(); ++i) {
    const graph::StageSpec& stage = pipeline.stages[i];
    const auto& metrics = stage.kind->metrics;
    families_.emplace_back(metrics.size(), nullptr);
    if (stage.metrics.address.empty()) continue;
    for (size_t m = 0; m < metrics.size(); ++m)
      named[{stage.metrics.address, metrics[m].name}].push_back({i, m, &metrics[m]});
  }
  for (const auto& [page, described] : named) add(page.first, described);
}

void PluginMetrics::add(std::string_view address, const std::vector<Described>& described) {
  const plugin::Metric& first = *described.front().metric;
  const auto all = [&](auto holds) {
    return std::ranges::all_of(described, [&](const Described& d) { return holds(*d.metric); });
  };
  const bool alike = all([&](const plugin::Metric& m) { return is_alike(m, first); });
  const bool one_type = all([&](const plugin::Metric& m) { return m.type == first.type; });
  // A plugin may have a label of that name itself.
  const bool is_free = all([](const plugin::Metric& m) {
    return std::ranges::find(m.labels, "stage") == m.labels.end();
  });
  Metric& metric = pages_[std::string(address)][first.name];
  metric.doc = first.doc;
  metric.type = one_type ? type_of(first.type) : prometheus::MetricType::Untyped;
  for (const Described& d : described) {
    if (!alike || metric.families.empty()) {
      std::vector<prometheus::ClientMetric::Label> fixed;
      if (!alike)
        fixed.push_back({is_free ? "stage" : "sluice_stage", pipeline_.stages[d.stage].name});
      metric.families.push_back(std::make_unique<MetricFamily>(
          *d.metric, metric.type, std::move(fixed), pipeline_.metric_series));
    }
    families_[d.stage][d.index] = metric.families.back().get();
  }
}

void PluginMetrics::measured(const graph::StageSpec& stage,
                             std::span<const runtime::Measure> measures) {
  const auto& families = families_[static_cast<size_t>(&stage - pipeline_.stages.data())];
  for (const runtime::Measure& measure : measures) {
    if (MetricFamily* family = families[measure.metric]) family->add(measure);
  }
}

std::vector<prometheus::MetricFamily> PluginMetrics::collect(
    std::string_view address, std::span<const stream::Store* const> stores) const {
  std::vector<prometheus::MetricFamily> families;
  const auto page = pages_.find(address);
  if (page == pages_.end()) return families;
  for (const auto& [name, metric] : page->second) {
    prometheus::MetricFamily& out = families.emplace_back();
    out.name = name;
    out.help = metric.doc;
    out.type = metric.type;
    for (const auto& family : metric.families) family->collect(stores, out);
  }
  return families;
}

}  // namespace sluice::ops
