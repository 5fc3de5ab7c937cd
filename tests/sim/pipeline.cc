#include "sim/pipeline.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <set>

#include "plugin/catalog.h"

namespace sluice::sim {
namespace {

constexpr int64_t kLedgerTtlUs = 365LL * 24 * 3600 * 1'000'000;

struct Trade {
  Trade() {
    auto scanned = plugin::Catalog::scan(SLUICE_BINARY_DIR "/plugins");
    if (!scanned) give_up(scanned.status().text());
    catalog = std::make_unique<plugin::Catalog>(std::move(*scanned));
    graph::LoadOptions options;
    options.environment = std::map<std::string, std::string>{{"SLUICE_DATA", "unused"}};
    auto loaded =
        graph::load_pipeline(SLUICE_SOURCE_DIR "/pipelines/trade.yaml", *catalog, options);
    std::string findings;
    for (const graph::Finding& finding : loaded.findings) findings += finding_text(finding);
    if (!loaded.pipeline) give_up(findings);
    pipeline = std::make_unique<graph::Pipeline>(std::move(*loaded.pipeline));
    // A fill that is booked after its ledger has expired starts one that lacks what was held; P3.3
    // then denies until an operator repairs it. Here ledgers outlive all leaps of a case.
    for (graph::StageSpec& stage : pipeline->stages)
      if (const auto ttl = stage.settings.find("ledger_ttl"); ttl != stage.settings.end())
        ttl->second.integer = kLedgerTtlUs;
  }

  [[noreturn]] static void give_up(const std::string& why) {
    std::fprintf(stderr, "the trade pipeline cannot be loaded: %s\n", why.c_str());
    std::exit(3);
  }

  std::unique_ptr<plugin::Catalog> catalog;
  std::unique_ptr<graph::Pipeline> pipeline;
};

template <typename T>
T one_of(Random& random, std::initializer_list<T> choices) {
  return choices.begin()[random.next() % choices.size()];
}

}  // namespace

const graph::Pipeline& shipped_pipeline() {
  static const Trade trade;
  return *trade.pipeline;
}

graph::Pipeline varied_pipeline(Random& random, const std::string& state, bool on_paper,
                                bool answers) {
  graph::Pipeline pipeline = shipped_pipeline();
  pipeline.seed = random.next();
  if (!on_paper) {
    const std::set<std::string> left_out = {"harvest", "snapshot", "fills"};
    std::erase_if(pipeline.stages,
                  [&](const graph::StageSpec& stage) { return left_out.contains(stage.name); });
  }
  const std::map<std::string, double> rates = {{"reject_rate", one_of(random, {0.0, 0.1})},
                                               {"timeout_rate", one_of(random, {0.0, 0.3})},
                                               {"late_rate", one_of(random, {0.0, 0.3})},
                                               {"throttle_rate", one_of(random, {0.0, 0.3})},
                                               {"partial_fill_rate", one_of(random, {0.0, 0.2})},
                                               {"slow_fill_rate", one_of(random, {0.0, 0.3})},
                                               {"stall_rate", one_of(random, {0.0, 0.2})}};
  const auto price_seed = static_cast<int64_t>(random.next() % 1'000'000);
  for (graph::StageSpec& stage : pipeline.stages) {
    stage.batch = one_of<size_t>(random, {1, 2, 7, 100});
    stage.workers = one_of<size_t>(random, {1, 1, 1, 3});
    stage.concurrency = one_of<size_t>(random, {1, 4});
    stage.parked_max = one_of<size_t>(random, {3, 10'000, 10'000, 10'000});
    for (auto& [name, value] : stage.settings) {
      if (name == "state") value.text = state;
      if (name == "seed") value.integer = price_seed;
      if (name == "sync") value.integer = 0;  // the folder is no part of the simulated disk
      if (const auto rate = rates.find(name); rate != rates.end() && answers)
        value.number = rate->second;
    }
  }
  for (graph::StreamSpec& stream : pipeline.streams)
    stream.lag_max = one_of<uint64_t>(random, {2, 1'000'000, 1'000'000, 1'000'000});
  return pipeline;
}

void shorten_streams(Random& random, graph::Pipeline& pipeline) {
  std::set<size_t> read;
  for (const graph::StageSpec& stage : pipeline.stages)
    for (const graph::Wire& wire : stage.inputs) read.insert(wire.stream);
  for (const size_t i : read) {
    graph::StreamSpec& stream = pipeline.streams[i];
    const auto keep = one_of<uint64_t>(random, {1, 2, 5});
    if (stream.key != "commands" && stream.key != "dead") stream.keep = keep;
  }
}

}  // namespace sluice::sim
