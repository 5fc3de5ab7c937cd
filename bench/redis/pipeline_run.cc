#include "redis/bench_pipeline.h"
#include "redis/workload.h"

namespace sluice::bench {

namespace {

constexpr std::chrono::seconds kTimeMax{300};

class PipelineRun final : public Contender {
 public:
  PipelineRun(std::string name, std::string file)
      : name_(std::move(name)), file_(std::move(file)) {}

  std::string name() const override { return name_; }

  Cost run(testing::RedisServer& server, const redis::Endpoint& endpoint,
           const Workload& workload) override {
    BenchPipeline pipeline(file_, endpoint, workload.batch);
    Meter meter(server);
    meter.start();
    const auto started = std::chrono::steady_clock::now();
    pipeline.run(workload.entries, kTimeMax);
    Cost cost = meter.stop();
    // It learns up to 100 ms later that all is done.
    cost.wall_s = std::chrono::duration<double>(pipeline.progress().last() - started).count();
    return cost;
  }

 private:
  const std::string name_, file_;
};

}  // namespace

std::unique_ptr<Contender> pipeline_run(std::string name, std::string file) {
  return std::make_unique<PipelineRun>(std::move(name), std::move(file));
}

}  // namespace sluice::bench
