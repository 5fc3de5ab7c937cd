// What the plugins of a pipeline count, by the address it is served at.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graph/pipeline.h"
#include "ops/metric_family.h"
#include "runtime/measure.h"

namespace sluice::ops {

// Every stage's metrics stand on the page of its address, with the names and labels of the plugin's
// description. Stages of one page that describe a metric alike count in it together; where they
// describe one name with other labels, each keeps its own and a label `stage` tells them apart.
// Where even the types differ the page says none.
//
// Threads: [any]; which metrics there are is fixed after construction.
class PluginMetrics final : public runtime::MetricSink {
 public:
  explicit PluginMetrics(const graph::Pipeline& pipeline);

  void measured(const graph::StageSpec& stage, std::span<const runtime::Measure> measures) override;

  // The metrics of one page, by name, as they are now; counters of the store are added up over
  // `stores`.
  std::vector<prometheus::MetricFamily> collect(std::string_view address,
                                                std::span<const stream::Store* const> stores) const;

 private:
  // Families of one name on one page.
  struct Metric {
    std::string doc;
    prometheus::MetricType type = prometheus::MetricType::Untyped;
    std::vector<std::unique_ptr<MetricFamily>> families;
  };
  using Page = std::map<std::string, Metric, std::less<>>;  // by name

  struct Described;
  void add(std::string_view address, const std::vector<Described>& alike);

  const graph::Pipeline& pipeline_;
  std::map<std::string, Page, std::less<>> pages_;  // by address
  // By index of the stage and of the metric in its kind; null for a stage that is served nowhere.
  std::vector<std::vector<MetricFamily*>> families_;
};

}  // namespace sluice::ops
