#include "whole/trade.h"

#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <thread>

#include "common/running.h"
#include "common/stores.h"
#include "whole/timed_store.h"
#include "whole/wakes.h"

namespace sluice::bench {

namespace {

constexpr const char* kDecisions = "quantum:stream:ai.decision.made";
constexpr const char* kPlans = "quantum:stream:apply.plan";
constexpr const char* kOrders = "quantum:stream:apply.order";
constexpr const char* kOutcomes = "quantum:stream:apply.result";
constexpr const char* kResults = "quantum:stream:execution.result";
constexpr std::chrono::seconds kTimeMax{120};

// Policies and settings that do not stand in the way of a rate.
void open_gates(graph::Pipeline& pipeline) {
  for (graph::StageSpec& stage : pipeline.stages) {
    const std::string name = stage.name;
    if (name == "governor" || name == "p33" || name == "execution")
      stage.policy_path = BENCH_FOLDER "/lua/" + name + ".lua";
    const auto set = [&](const char* setting, int64_t integer, std::string text) {
      const auto found = stage.settings.find(setting);
      if (found == stage.settings.end()) return;
      found->second.integer = integer;
      found->second.text = std::move(text);
    };
    if (name == "execution" || name == "snapshot") {
      set("balance", 0, "1000000000");
      set("latency", 0, "0s");
      set("sync", 0, "false");
    }
    // Nobody trades in what P3.3 sees: at this rate its snapshots would be behind the fills.
    if (name == "snapshot") set("account", 0, "flat");
  }
}

PipelineRequest trade_request(const AnyStore& store) {
  return {.file = SLUICE_SOURCE_DIR "/pipelines/trade.yaml",
          .plugins = BENCH_TRADE_PLUGINS,
          .variables = {{"SLUICE_DATA", store.folder()}, {"SLUICE_DISARM_ON_BURST", "false"}},
          .only = {"router", "plan", "governor", "p33", "gate", "execution", "result", "snapshot"},
          .change = open_gates};
}

// All gets an order or there is no result: what is refused costs less.
void check_ordered(stream::Store& store, size_t entries) {
  for (const stream::StreamInfo& info : store.streams())
    if (info.name == kOrders && info.entries_added >= entries) return;
  for (const stream::Entry& entry : must(store.range(store.find_stream(kOutcomes), {}, entries))) {
    const std::string reason(entry.fields.find("reason").value_or(""));
    if (!reason.empty()) throw std::runtime_error("a decision became no order: " + reason);
  }
  throw std::runtime_error("not every decision became an order");
}

// Decisions a second when they all lie ready.
double measure_most(const std::string& engine, size_t entries) {
  AnyStore store(engine);
  const SystemClock clock;
  append_entries(*store, kDecisions, entries,
                 [&](size_t i, stream::Fields& fields) { make_decision(i, clock.now(), fields); });
  RunningPipeline pipeline(trade_request(store), *store, "outcomes");
  const double cpu = cpu_seconds();
  const auto started = Steady::now();
  pipeline.start();
  pipeline.wait_for(entries, kTimeMax);
  const double wall = std::chrono::duration<double>(pipeline.appends().last() - started).count();
  const auto count = static_cast<double>(entries);
  print_measured("trade/" + engine + "/most", "decisions/s", count / wall);
  print_measured("trade/" + engine + "/cpu", "us/entry", (cpu_seconds() - cpu) * 1e6 / count);
  pipeline.stop();
  check_ordered(*store, entries);
  return count / wall;
}

// Appends decisions when they are due, whether or not those before are done: what comes late has
// waited.
std::vector<Steady::time_point> arrive(stream::Store& store, size_t entries, double rate) {
  const SystemClock clock;
  const stream::StreamId stream = must(store.open_stream(kDecisions, {}));
  std::vector<Steady::time_point> due(entries);
  const auto start = Steady::now();
  for (size_t i = 0; i < entries; ++i)
    due[i] =
        start + std::chrono::nanoseconds(static_cast<int64_t>(static_cast<double>(i) * 1e9 / rate));
  std::vector<stream::Fields> fields;
  for (size_t next = 0; next < entries;) {
    std::this_thread::sleep_until(due[next]);
    fields.clear();
    const auto now = Steady::now();
    for (; next < entries && due[next] <= now; ++next) {
      fields.emplace_back();
      make_decision(next, clock.now(), fields.back());
    }
    stream::Unit unit;
    for (const stream::Fields& each : fields) {
      stream::Effect emit;
      emit.stream = stream;
      emit.bytes = each.encoded();
      unit.effects.push_back(emit);
    }
    must(store.commit({&unit, 1}));
  }
  return due;
}

using Place = std::pair<uint32_t, EntryId>;
using Times = std::map<Place, Steady::time_point>;

double us_between(Steady::time_point from, Steady::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

// Of each stage: in the stream, in the stage (the plugin's call, and its wait), in the commit.
void print_stages(const std::string& name, const TimedStore& store, const Times& appended,
                  const Times& delivered) {
  struct Parts {
    std::vector<double> queue, handle, commit;
  };
  std::map<std::string, Parts> stages;
  std::map<Place, bool> seen;
  for (const TimedStore::Step& step : store.steps()) {
    const Place place{step.handle, step.id};
    const auto taken = delivered.find(place);
    // An external stage commits an entry twice: what comes second is the world's time.
    if (taken == delivered.end() || !seen.emplace(place, true).second) continue;
    const TimedStore::Group& group = store.groups().at(step.handle);
    Parts& parts = stages[group.name];
    const auto from = appended.find({group.stream, step.id});
    if (from != appended.end())
      // One that was awake may take it before others are told.
      parts.queue.push_back(std::max(0.0, us_between(from->second, taken->second)));
    parts.handle.push_back(us_between(taken->second, step.at));
    parts.commit.push_back(us_between(step.at, step.ended));
  }
  for (auto& [stage, parts] : stages) {
    print_percentiles(name + "/stage/" + stage + "/queue", std::move(parts.queue));
    print_percentiles(name + "/stage/" + stage + "/handle", std::move(parts.handle));
    print_percentiles(name + "/stage/" + stage + "/commit", std::move(parts.commit));
  }
}

void measure_latency_at(const std::string& engine, size_t percent, double rate, size_t entries) {
  AnyStore store(engine);
  TimedStore timed(*store);
  RunningPipeline pipeline(trade_request(store), timed, "outcomes");
  pipeline.start();
  // Its sources have shown what they know.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const std::vector<Steady::time_point> due = arrive(*store, entries, rate);
  pipeline.wait_for(entries, kTimeMax);
  pipeline.stop();

  const auto stream = [&](const char* name) { return (*store).find_stream(name); };
  Times appended, delivered;
  std::vector<Steady::time_point> planned(entries), ended(entries);
  std::vector<size_t> number_of_order;
  std::map<EntryId, size_t> orders;
  for (const TimedStore::Append& append : timed.appends()) {
    appended.emplace(Place{append.handle, append.id}, append.at);
    if (append.number >= entries) continue;
    if (append.handle == stream(kPlans)) planned[append.number] = append.at;
    if (append.handle == stream(kOrders)) orders[append.id] = append.number;
    if (append.handle == stream(kResults)) ended[append.number] = append.at;
  }
  std::vector<double> plan_to_order, decision_to_result;
  for (const TimedStore::Moment& delivery : timed.deliveries()) {
    delivered.emplace(Place{delivery.handle, delivery.id}, delivery.at);
    if (timed.groups().at(delivery.handle).name != "execution") continue;
    const auto order = orders.find(delivery.id);
    if (order != orders.end())
      plan_to_order.push_back(us_between(planned[order->second], delivery.at));
  }
  for (size_t i = 0; i < entries; ++i)
    if (ended[i] != Steady::time_point{})
      decision_to_result.push_back(us_between(due[i], ended[i]));

  const std::string name = fmt::format("latency/{}/{}", engine, percent);
  print_measured(name + "/rate", "decisions/s", rate);
  print_percentiles(name + "/plan-to-order", std::move(plan_to_order));
  print_percentiles(name + "/decision-to-result", std::move(decision_to_result));
  print_percentiles(name + "/sync", timed.flush_us());
  // To the permits, to the gate, to execution.
  constexpr size_t kHops = 3;
  const std::chrono::nanoseconds gap(static_cast<int64_t>(1e9 / rate));
  print_percentiles(name + "/bare-wakes", measure_wakes(kHops, entries, gap));
  print_stages(name, timed, appended, delivered);
}

}  // namespace

void measure_trade(const TradeOptions& options) {
  for (const std::string& engine : options.engines) {
    std::vector<double> rates;
    for (size_t round = 0; round < options.rounds; ++round)
      rates.push_back(measure_most(engine, options.entries));
    std::ranges::nth_element(rates, rates.begin() + static_cast<std::ptrdiff_t>(rates.size() / 2));
    const double most = rates[rates.size() / 2];
    for (const size_t percent : options.percents) {
      const double rate = most * static_cast<double>(percent) / 100;
      const double entries = rate * static_cast<double>(options.seconds.count());
      measure_latency_at(engine, percent, rate, std::max<size_t>(static_cast<size_t>(entries), 50));
    }
  }
}

}  // namespace sluice::bench
