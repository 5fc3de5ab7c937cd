#include "whole/stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "common/measure.h"
#include "common/running.h"
#include "common/stores.h"

namespace sluice::bench {

namespace {

constexpr std::chrono::seconds kTimeMax{300};

stream::GroupId open_group(stream::Store& store) {
  const stream::StreamId in = must(store.open_stream(kIn, {}));
  return must(store.open_group(in, kGroup, stream::GroupStart::kBeginning));
}

void check_done(stream::Store& store, size_t entries) {
  const stream::StreamId out = store.find_stream(kOut);
  const uint64_t appended = out == 0 ? 0 : store.length(out);
  if (appended != entries)
    throw std::runtime_error(fmt::format("{} of {} entries appended", appended, entries));
  if (!must(store.get(kSeen + id_of(entries - 1)))) throw std::runtime_error("no claim");
}

class StoreUnits final : public Peer {
 public:
  std::string name() const override { return "store"; }

  Cost run(const std::string& folder, const Workload& workload, Sync sync) override {
    const auto store = open_embedded(folder, sync);
    append_workload(*store, workload.entries);
    const stream::GroupId group = open_group(*store);
    const stream::StreamId out = must(store->open_stream(kOut, {}));
    const stream::ReadRequest request{
        .group = group, .consumer = "store", .count_max = workload.batch};
    StageUnits units(group, out);
    must(store->flush(store->last_commit()));

    const double cpu = cpu_seconds();
    const auto started = Steady::now();
    for (auto found = must(store->read(request)); !found.empty();) {
      found = std::move(must(store->commit(units.of(found), &request)).next);
    }
    if (sync != Sync::kOs) must(store->flush(store->last_commit()));
    const Cost cost{seconds_since(started), cpu_seconds() - cpu, 0};
    check_done(*store, workload.entries);
    return cost;
  }
};

class PipelineUnits final : public Peer {
 public:
  PipelineUnits(std::string name, std::string file)
      : name_(std::move(name)), file_(std::move(file)) {}

  std::string name() const override { return name_; }

  Cost run(const std::string& folder, const Workload& workload, Sync sync) override {
    const auto store = open_embedded(folder, sync);
    append_workload(*store, workload.entries);
    RunningPipeline pipeline({.file = BENCH_FOLDER "/redis/" + file_,
                              .variables = {{"BENCH_BATCH", std::to_string(workload.batch)}}},
                             *store, "out");
    must(store->flush(store->last_commit()));
    const double cpu = cpu_seconds();
    const auto started = Steady::now();
    pipeline.start();
    pipeline.wait_for(workload.entries, kTimeMax);
    const Cost cost{std::chrono::duration<double>(pipeline.appends().last() - started).count(),
                    cpu_seconds() - cpu, 0};
    pipeline.stop();
    check_done(*store, workload.entries);
    return cost;
  }

 private:
  const std::string name_, file_;
};

std::vector<std::unique_ptr<Peer>> peers(double bytes, const std::vector<std::string>& only) {
  std::vector<std::unique_ptr<Peer>> all;
  all.push_back(bare_writes(bytes));
  all.push_back(store_units());
  all.push_back(pipeline_units("pipeline", "forward.yaml"));
  all.push_back(pipeline_units("checked", "checked.yaml"));
  all.push_back(rocksdb_units());
  all.push_back(sqlite_units());
  std::erase_if(all, [&](const auto& each) {
    return !only.empty() && std::ranges::count(only, each->name()) == 0;
  });
  return all;
}

}  // namespace

std::unique_ptr<Peer> store_units() { return std::make_unique<StoreUnits>(); }
std::unique_ptr<Peer> pipeline_units(std::string name, std::string file) {
  return std::make_unique<PipelineUnits>(std::move(name), std::move(file));
}

double store_bytes(const std::string& folder, size_t batch) {
  // Of two sizes, so that what was there before the first step does not count.
  const auto written = [&](const std::string& name, size_t entries) {
    const std::string own = folder + "/" + name;
    const uint64_t before = bytes_written();
    store_units()->run(own, {.entries = entries, .batch = batch}, Sync::kOs);
    const uint64_t all = bytes_written() - before;
    const uint64_t fill_before = bytes_written();
    append_workload(*open_embedded(own + "-fill", Sync::kOs), entries);
    return static_cast<double>(all) - static_cast<double>(bytes_written() - fill_before);
  };
  const size_t few = batch * 4, many = batch * 24;
  return (written("many", many) - written("few", few)) / static_cast<double>(many - few);
}

void measure_stage(const StageOptions& options) {
  for (const size_t batch : options.batches) {
    const TempFolder calibration;
    const double bytes = store_bytes(calibration.path(), batch);
    print_measured(fmt::format("stage-bytes/batch-{}", batch), "bytes/entry", bytes);
    const auto all = peers(bytes, options.only);
    for (const Sync sync : {Sync::kCommit, Sync::kGroup, Sync::kOs}) {
      if (std::ranges::count(options.syncs, sync_name(sync)) == 0) continue;
      Workload workload{.entries = options.workload.entries, .batch = batch};
      if (sync == Sync::kCommit)
        workload.entries = std::min(workload.entries, options.steps_max * batch);
      // Each comes first once: nobody always follows the same one.
      for (size_t round = 0; round < options.rounds; ++round) {
        for (size_t i = 0; i < all.size(); ++i) {
          Peer& peer = *all[(i + round) % all.size()];
          if (!peer.can(sync)) continue;
          const TempFolder folder;
          const Cost cost = peer.run(folder.path(), workload, sync);
          const std::string name =
              fmt::format("stage/{}/batch-{}/{}", sync_name(sync), batch, peer.name());
          const double entries = static_cast<double>(workload.entries);
          print_measured(name + "/wall", "us/entry", cost.wall_s * 1e6 / entries);
          print_measured(name + "/cpu", "us/entry", cost.client_s * 1e6 / entries);
        }
      }
    }
  }
}

}  // namespace sluice::bench
