#include "whole/backlog.h"

#include <algorithm>

#include "common/child.h"
#include "common/measure.h"
#include "common/running.h"
#include "common/stores.h"

namespace sluice::bench {

namespace {

constexpr const char* kDecisions = "quantum:stream:ai.decision.made";
constexpr std::chrono::seconds kTimeMax{600};

std::unique_ptr<stream::Store> open_store(const std::string& engine, const std::string& place,
                                          Sync sync) {
  if (engine == "embedded") return open_embedded(place, sync);
  return open_redis({.host = "", .path = place});
}

}  // namespace

void fill_backlog(const std::string& engine, const std::string& place, size_t entries) {
  const auto store = open_store(engine, place, Sync::kOs);
  // Before the entries: a stream that nobody reads keeps no more than the pipeline says.
  must(store->open_group(must(store->open_stream(kDecisions, {})), "router",
                         stream::GroupStart::kBeginning));
  const WallTime at = SystemClock().now();
  append_entries(*store, kDecisions, entries,
                 [&](size_t i, stream::Fields& fields) { make_decision(i, at, fields); });
}

void drain_backlog(const std::string& engine, const std::string& place, size_t entries) {
  const auto store = open_store(engine, place, Sync::kGroup);
  RunningPipeline pipeline({.file = SLUICE_SOURCE_DIR "/pipelines/trade.yaml",
                            .plugins = BENCH_TRADE_PLUGINS,
                            .variables = {},
                            .only = {"router"}},
                           *store, "intents");
  const double cpu = cpu_seconds();
  const auto started = Steady::now();
  pipeline.start();
  pipeline.wait_for(entries, kTimeMax);
  const std::string name = "backlog/" + engine;
  const auto count = static_cast<double>(entries);
  const double wall = std::chrono::duration<double>(pipeline.appends().last() - started).count();
  const double used = cpu_seconds() - cpu;
  pipeline.stop();
  print_measured(name + "/entries", "entries", count);
  print_measured(name + "/wall", "us/entry", wall * 1e6 / count);
  print_measured(name + "/cpu", "us/entry", used * 1e6 / count);
  print_measured(name + "/seconds", "s", wall);
  print_measured(name + "/resident", "MiB", resident().peak_mib);
}

void measure_backlog(const BacklogOptions& options) {
  for (size_t round = 0; round < options.rounds; ++round) {
    for (const std::string& engine : options.engines) {
      const TempFolder folder;
      std::unique_ptr<testing::RedisServer> server;
      std::string place = folder / "store";
      if (engine == "redis") {
        server = std::make_unique<testing::RedisServer>();
        place = server->endpoint().path;
      }
      const std::string entries =
          std::to_string(engine == "redis" ? options.redis_entries : options.entries);
      run_again({"backlog-fill", engine, place, entries});
      run_again({"backlog-drain", engine, place, entries});
    }
  }
}

}  // namespace sluice::bench
