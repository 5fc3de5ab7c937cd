// The host's own metrics: what every stage did, how long it took, and how full the streams are.
#pragma once

#include <prometheus/metric_family.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/pipeline.h"
#include "runtime/runtime.h"
#include "stream/store.h"

namespace sluice::ops {

// Where they are read from. All outlive whoever looks.
struct HostView {
  const graph::Pipeline& pipeline;
  const runtime::Runtime& runtime;
  const stream::Store& store;
  std::string shard = {};  // a label of every series; empty: there is none
};

// Every series has the label `pipeline` as well, and `shard` where there are several and the metric
// is not of the whole process. Counters start at 0 with the process.
struct HostMetric {
  std::string_view name;
  prometheus::MetricType type;
  std::string_view labels;  // beside `pipeline`, comma-separated
  std::string_view doc;
  void (*fill)(const HostView& view, prometheus::MetricFamily& out);
  bool of_process = false;  // filled once for all shards
};

// All of them, in the order of the page.
std::span<const HostMetric> host_metrics();

// As they are now, of all shards. Stages count for themselves; this only reads. [any]
std::vector<prometheus::MetricFamily> collect_host(std::span<const HostView> views);

}  // namespace sluice::ops
