// A pipeline of the bench on a RedisStore, running in this process.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

#include "base/clock.h"
#include "graph/pipeline.h"
#include "plugin/catalog.h"
#include "redis/redis_store.h"
#include "runtime/runtime.h"

namespace sluice::bench {

// Counts what the pipeline appended, and remembers when it did last.
class Progress final : public runtime::Observer {
 public:
  using Time = std::chrono::steady_clock::time_point;

  size_t emitted() const { return emitted_; }
  Time last() const { return Time(Time::duration(last_)); }
  std::string first_dead_letter();

  void emitted(const graph::StreamSpec& stream, stream::FieldsView fields, WallTime now) override;
  void dead_lettered(const graph::StageSpec* stage, std::string_view reason,
                     std::string_view detail) override;

 private:
  std::atomic<size_t> emitted_{0};
  std::atomic<Time::rep> last_{0};
  std::mutex mutex_;
  std::string dead_;  // guarded by mutex_
};

class BenchPipeline {
 public:
  // Loads `file` of the bench's folder and opens it. Throws what is wrong with it.
  BenchPipeline(const std::string& file, const redis::Endpoint& endpoint, size_t batch);

  // Until `count` entries were emitted, one was given up on, or `time_max` is over; looks ten
  // times a second. Throws unless they were emitted.
  void run(size_t count, std::chrono::seconds time_max);

  Progress& progress() { return progress_; }
  stream::Store& store() { return *store_; }

 private:
  const SystemClock clock_;
  Progress progress_;
  std::unique_ptr<plugin::Catalog> catalog_;
  std::unique_ptr<graph::Pipeline> pipeline_;
  std::unique_ptr<redis::RedisStore> store_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::function<bool()> should_stop_;
};

}  // namespace sluice::bench
