#include "common/running.h"

#include "graph/only.h"
#include "redis/workload.h"

namespace sluice::bench {

const plugin::Catalog& catalog_of(const std::string& folder) {
  static std::map<std::string, plugin::Catalog> catalogs;
  const auto known = catalogs.find(folder);
  if (known != catalogs.end()) return known->second;
  return catalogs.emplace(folder, must(plugin::Catalog::scan(folder))).first->second;
}

std::string Appends::first_dead() const {
  const std::lock_guard lock(mutex_);
  return first_dead_;
}

void Appends::emitted(const graph::StreamSpec& stream, stream::FieldsView, WallTime) {
  if (stream.key != stream_) return;
  last_ = Steady::now().time_since_epoch().count();
  ++count_;
}

void Appends::dead_lettered(const graph::StageSpec* stage, std::string_view reason,
                            std::string_view detail) {
  ++dead_;
  const std::lock_guard lock(mutex_);
  if (!first_dead_.empty()) return;
  if (stage != nullptr) first_dead_.append(stage->name).append(": ");
  first_dead_.append(reason).append(": ").append(detail);
}

RunningPipeline::RunningPipeline(const PipelineRequest& request, stream::Store& store,
                                 const std::string& counted)
    : appends_(counted) {
  graph::LoadOptions load;
  load.environment = request.variables;
  load.ask_plugins = false;
  load.redis = true;
  graph::Loaded loaded = graph::load_pipeline(request.file, catalog_of(request.plugins), load);
  if (!loaded.pipeline) {
    std::string text;
    for (const graph::Finding& finding : loaded.findings) text += finding_text(finding) + "\n";
    throw std::runtime_error(text);
  }
  pipeline_ = std::make_unique<graph::Pipeline>(std::move(*loaded.pipeline));
  if (!request.only.empty()) must(graph::keep_only(*pipeline_, request.only));
  if (request.change) request.change(*pipeline_);

  runtime::RunOptions run;
  run.real_clock = &clock_;
  run.should_stop = [this] { return stop_.load(); };
  runtime_ =
      must(runtime::Runtime::open(*pipeline_, store, clock_, nullptr, &appends_, std::move(run)));
}

RunningPipeline::~RunningPipeline() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void RunningPipeline::start() {
  thread_ = std::thread([this] {
    try {
      must(runtime_->run());
    } catch (...) {
      failure_ = std::current_exception();
    }
    ended_ = true;
  });
}

void RunningPipeline::wait_for(uint64_t count, std::chrono::seconds time_max) {
  const auto end = Steady::now() + time_max;
  while (appends_.count() < count) {
    if (ended_) stop();
    if (ended_ || Steady::now() > end)
      throw std::runtime_error(std::to_string(appends_.count()) + " of " + std::to_string(count) +
                               " entries came through; " + appends_.first_dead());
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void RunningPipeline::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

}  // namespace sluice::bench
