#include "whole/growth.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "common/child.h"
#include "common/measure.h"
#include "common/running.h"
#include "common/stores.h"
#include "whole/stage.h"

namespace sluice::bench {

namespace {

constexpr std::chrono::seconds kTimeMax{120};
constexpr size_t kBatch = 100;
constexpr size_t kWakesMax = 500;

// Keys of which as many are stored as entries.
void put_keys(stream::Store& store, size_t count) {
  std::vector<std::string> keys(500);
  std::vector<stream::Unit> units(1);
  for (size_t done = 0; done < count;) {
    units[0].effects.clear();
    for (size_t at = 0; at < keys.size() && done < count; ++at, ++done) {
      keys[at] = "stored:" + id_of(done);
      stream::Effect put;
      put.kind = stream::EffectKind::kPut;
      put.key = keys[at];
      put.bytes = "1763711111111-0";
      put.ttl = kSeenTtl * 24;
      units[0].effects.push_back(put);
    }
    must(store.commit(units));
  }
}

void measure_stored(size_t count, const GrowthOptions& options) {
  const TempFolder folder;
  run_again({"store-fill", folder / "store", std::to_string(count)});
  run_again({"store-reopen", folder / "store", std::to_string(count)});
  // One that is due is not the cost of these entries: it is spread over as many bytes as it has.
  must(open_embedded(folder / "store", Sync::kOs)->checkpoint());
  const auto peer = store_units();
  const Cost cost =
      peer->run(folder / "store", {.entries = options.entries, .batch = kBatch}, Sync::kOs);
  const auto entries = static_cast<double>(options.entries);
  const std::string name = fmt::format("growth/stored/{}", count);
  print_measured(name + "/cpu", "us/entry", cost.client_s * 1e6 / entries);
  print_measured(name + "/wall", "us/entry", cost.wall_s * 1e6 / entries);
}

// A run of `pipeline`, from its start to the last entry in the stream that counts.
void measure_run(const std::string& name, RunningPipeline& pipeline, size_t count, double units) {
  const double cpu = cpu_seconds();
  const auto started = Steady::now();
  pipeline.start();
  pipeline.wait_for(count, kTimeMax);
  const double wall = std::chrono::duration<double>(pipeline.appends().last() - started).count();
  print_measured(name + "/cpu", "us/entry", (cpu_seconds() - cpu) * 1e6 / units);
  print_measured(name + "/wall", "us/entry", wall * 1e6 / units);
  pipeline.stop();
}

// A chain; what is measured is one entry in one stage.
void measure_stages(size_t stages, const GrowthOptions& options) {
  const TempFolder folder;
  const std::string file = folder / "chain.yaml";
  std::ofstream out(file);
  out << "api: sluice/v1\npipeline: bench\nclock: wall\n"
         "engine: { kind: embedded, path: unused }\nstreams:\n"
         "  s0: { name: \""
      << kIn << "\", external: true }\n";
  for (size_t i = 1; i <= stages; ++i)
    out << fmt::format("  s{}: {{ {}keep: 1000 }}\n", i, i == stages ? "unread: true, " : "");
  out << "  dead: {}\nstages:\n";
  for (size_t i = 1; i <= stages; ++i)
    out << fmt::format("  stage{}: {{ use: bench.relay, from: s{}, to: {{ out: s{} }} }}\n", i,
                       i - 1, i);
  out << "defaults: { dead_letter: dead }\n";
  out.close();
  // As many entries in stages altogether, and enough to fill some batches.
  const size_t entries = std::max<size_t>(options.entries * 2 / stages, 2 * kBatch);
  const auto store = open_embedded(folder / "store", Sync::kGroup);
  append_workload(*store, entries);
  RunningPipeline pipeline({.file = file}, *store, fmt::format("s{}", stages));
  measure_run(fmt::format("growth/stages/{}", stages), pipeline, entries,
              static_cast<double>(entries * stages));
}

void measure_symbols(size_t symbols, const GrowthOptions& options) {
  const TempFolder folder;
  const auto store = open_embedded(folder / "store", Sync::kGroup);
  append_entries(*store, kIn, options.entries, [&](size_t i, stream::Fields& fields) {
    fields.add("id", id_of(i));
    fields.add("symbol", fmt::format("S{}USDT", i * 7919 % symbols));
    fields.add("payload", payload_of(i));
  });
  RunningPipeline pipeline({.file = BENCH_FOLDER "/whole/ordered.yaml"}, *store, "out");
  measure_run(fmt::format("growth/symbols/{}", symbols), pipeline, options.entries,
              static_cast<double>(options.entries));
}

// Permits of entries that all wait: first one by one, then the rest 100 in a commit.
void measure_parked(size_t parked, const GrowthOptions&) {
  const TempFolder folder;
  const auto store = open_embedded(folder / "store", Sync::kGroup);
  append_entries(*store, kIn, parked,
                 [](size_t i, stream::Fields& fields) { fields.add("id", std::to_string(i)); });
  RunningPipeline pipeline({.file = BENCH_FOLDER "/redis/gate.yaml"}, *store, "out");
  pipeline.start();
  const runtime::StageCounts& counts = pipeline.runtime().stages()[0]->counts();
  testing::eventually("all entries wait", [&] { return counts.waits >= parked; });

  const auto permit = [&](size_t from, size_t to) {
    std::vector<std::string> keys;
    stream::Unit unit;
    for (size_t i = from; i < to; ++i) keys.push_back("bench:permit:" + std::to_string(i));
    for (const std::string& key : keys) {
      stream::Effect put;
      put.kind = stream::EffectKind::kPut;
      put.key = key;
      put.bytes = "yes";
      unit.effects.push_back(put);
    }
    must(store->commit({&unit, 1}, nullptr));
  };
  const std::string name = fmt::format("growth/parked/{}", parked);
  const size_t single = std::min(parked, kWakesMax);
  std::vector<double> wake_us;
  for (size_t i = 0; i < single; ++i) {
    const auto set = Steady::now();
    permit(i, i + 1);
    while (pipeline.appends().count() <= i) std::this_thread::yield();
    wake_us.push_back(
        std::chrono::duration<double, std::micro>(pipeline.appends().last() - set).count());
  }
  print_percentiles(name + "/wake", std::move(wake_us));
  if (parked > single) {
    const double cpu = cpu_seconds();
    for (size_t i = single; i < parked; i += kBatch) permit(i, std::min(parked, i + kBatch));
    pipeline.wait_for(parked, kTimeMax);
    print_measured(name + "/cpu", "us/entry",
                   (cpu_seconds() - cpu) * 1e6 / static_cast<double>(parked - single));
  }
  pipeline.stop();
}

}  // namespace

void fill_store(const std::string& folder, size_t count) {
  const auto store = open_embedded(folder, Sync::kOs);
  append_entries(*store, "bench:stored", count, [](size_t i, stream::Fields& fields) {
    fields.add("id", id_of(i));
    fields.add("payload", payload_of(i));
  });
  put_keys(*store, count);
  must(store->flush(store->last_commit()));
  _exit(0);
}

void reopen_store(const std::string& folder, size_t count) {
  const double before = resident().now_mib, cpu = cpu_seconds();
  const auto started = Steady::now();
  const auto store = open_embedded(folder, Sync::kOs);
  const double took = seconds_since(started), used = cpu_seconds() - cpu;
  if (store->length(store->find_stream("bench:stored")) != count)
    throw std::runtime_error("not all entries are back");
  const std::string name = fmt::format("recovery/{}", count);
  print_measured(name + "/open", "s", took);
  print_measured(name + "/cpu", "s", used);
  print_measured(name + "/resident", "MiB", resident().now_mib - before);
}

void measure_growth(const GrowthOptions& options) {
  for (size_t round = 0; round < options.rounds; ++round) {
    for (const size_t count : options.stored) measure_stored(count, options);
    for (const size_t count : options.stages) measure_stages(count, options);
    for (const size_t count : options.symbols) measure_symbols(count, options);
    for (const size_t count : options.parked) measure_parked(count, options);
    if (options.recovered == 0) continue;
    const TempFolder folder;
    run_again({"store-fill", folder / "store", std::to_string(options.recovered)});
    run_again({"store-reopen", folder / "store", std::to_string(options.recovered)});
  }
}

}  // namespace sluice::bench
