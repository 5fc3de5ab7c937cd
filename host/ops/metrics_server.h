// Serves a running pipeline's metrics over HTTP, in Prometheus' text format, under /metrics.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "ops/host_metrics.h"
#include "ops/plugin_metrics.h"

namespace prometheus {
class Exposer;
}

namespace sluice::ops {

// True when the pipeline names an address anywhere.
bool has_metrics(const graph::Pipeline& pipeline);

// One page for each address the pipeline names: the plugins' metrics of the stages served there,
// and the host's where the pipeline itself is.
//
// Threads: [control]; two threads of its own for each page read and answer.
class MetricsServer {
 public:
  // Binds all addresses and serves until destroyed. `metrics` and what `views` name outlive it: one
  // for each shard of the pipeline, at least one.
  //
  // Errors: kIo; names file, line, whose address it is, the address and why it cannot be bound.
  static Result<std::unique_ptr<MetricsServer>> open(std::vector<HostView> views,
                                                     const PluginMetrics& metrics);
  ~MetricsServer();

  // "http://127.0.0.1:9100/metrics", with the ports that were bound, in the order of the file.
  std::vector<std::string> urls() const;

 private:
  class Page;
  MetricsServer() = default;

  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace sluice::ops
