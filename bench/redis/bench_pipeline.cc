#include "redis/bench_pipeline.h"

#include <cstdlib>

#include "redis/workload.h"

namespace sluice::bench {

std::string Progress::first_dead_letter() {
  const std::lock_guard lock(mutex_);
  return dead_;
}

void Progress::emitted(const graph::StreamSpec&, stream::FieldsView, WallTime) {
  last_ = std::chrono::steady_clock::now().time_since_epoch().count();
  ++emitted_;
}

void Progress::dead_lettered(const graph::StageSpec*, std::string_view reason,
                             std::string_view detail) {
  const std::lock_guard lock(mutex_);
  if (dead_.empty()) dead_.append(reason).append(": ").append(detail);
}

BenchPipeline::BenchPipeline(const std::string& file, const redis::Endpoint& endpoint,
                             size_t batch) {
  catalog_ = std::make_unique<plugin::Catalog>(must(plugin::Catalog::scan(BENCH_PLUGINS)));
  graph::LoadOptions load;
  load.environment.emplace();
  (*load.environment)["BENCH_BATCH"] = std::to_string(batch);
  load.ask_plugins = false;
  graph::Loaded loaded =
      graph::load_pipeline(std::string(BENCH_FOLDER "/") + file, *catalog_, load);
  if (!loaded.pipeline) {
    std::string text;
    for (const graph::Finding& finding : loaded.findings) text += finding_text(finding) + "\n";
    throw std::runtime_error(text);
  }
  pipeline_ = std::make_unique<graph::Pipeline>(std::move(*loaded.pipeline));

  redis::Options options;
  options.servers.target.endpoints = {endpoint};
  options.consumer = "bench";
  store_ = must(redis::RedisStore::open(options, redis::system_network(), clock_));
  runtime::RunOptions run;
  run.real_clock = &clock_;
  run.should_stop = [this] { return should_stop_(); };
  runtime_ = must(
      runtime::Runtime::open(*pipeline_, *store_, clock_, nullptr, &progress_, std::move(run)));
}

void BenchPipeline::run(size_t count, std::chrono::seconds time_max) {
  const auto end = std::chrono::steady_clock::now() + time_max;
  should_stop_ = [&] {
    return progress_.emitted() >= count || std::chrono::steady_clock::now() > end ||
           !progress_.first_dead_letter().empty();
  };
  must(runtime_->run());
  if (progress_.emitted() < count)
    throw std::runtime_error(std::to_string(progress_.emitted()) + " of " + std::to_string(count) +
                             " entries came through; " + progress_.first_dead_letter());
}

}  // namespace sluice::bench
