// A pipeline running in this process, on a store that the bench opened.
#pragma once

#include <atomic>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "common/measure.h"
#include "graph/pipeline.h"
#include "plugin/catalog.h"
#include "runtime/runtime.h"
#include "stream/store.h"

namespace sluice::bench {

// The plugins of a folder, described once. Asked before there are threads: a child that describes
// them may have 512 MiB of addresses, those of our threads' arenas included. [control]
const plugin::Catalog& catalog_of(const std::string& folder);

struct PipelineRequest {
  std::string file;                              // its engine is not looked at
  std::string plugins = BENCH_PLUGINS;           // folder
  std::map<std::string, std::string> variables;  // of the file
  std::vector<std::string> only;                 // stages; empty: all
  std::function<void(graph::Pipeline&)> change;  // what the bench sets otherwise
};

// Counts appends by stream. What the bench waits for is looked at every millisecond; what it
// reports, the time of the last append, is exact.
class Appends final : public runtime::Observer {
 public:
  explicit Appends(std::string stream) : stream_(std::move(stream)) {}

  uint64_t count() const { return count_; }
  Steady::time_point last() const { return Steady::time_point(Steady::duration(last_)); }
  uint64_t dead() const { return dead_; }
  std::string first_dead() const;

  void emitted(const graph::StreamSpec& stream, stream::FieldsView fields, WallTime now) override;
  void dead_lettered(const graph::StageSpec* stage, std::string_view reason,
                     std::string_view detail) override;

 private:
  const std::string stream_;  // key of the one that counts
  std::atomic<uint64_t> count_{0}, dead_{0};
  std::atomic<Steady::rep> last_{0};
  mutable std::mutex mutex_;
  std::string first_dead_;  // guarded by mutex_
};

class RunningPipeline {
 public:
  // Loads the file and opens it on `store`, which outlives it. `counted`: key of the stream whose
  // appends are counted. Throws what is wrong.
  RunningPipeline(const PipelineRequest& request, stream::Store& store, const std::string& counted);
  ~RunningPipeline();

  void start();
  // Until `count` entries were appended to the stream that counts. Throws when the pipeline ended
  // with an error, or `time_max` is over.
  void wait_for(uint64_t count, std::chrono::seconds time_max);
  // Stops and waits for the end. Throws what went wrong.
  void stop();

  const Appends& appends() const { return appends_; }
  const graph::Pipeline& pipeline() const { return *pipeline_; }
  const runtime::Runtime& runtime() const { return *runtime_; }

 private:
  const SystemClock clock_;
  Appends appends_;
  std::unique_ptr<graph::Pipeline> pipeline_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::atomic<bool> stop_{false}, ended_{false};
  std::exception_ptr failure_;  // of thread_, read once it has ended
  std::thread thread_;
};

}  // namespace sluice::bench
