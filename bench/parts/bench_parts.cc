// The parts of the host, each by itself. Options are those of Google Benchmark.
//
// Names: part/what/size. Items are entries, keys or calls, as the part says.
#include <benchmark/benchmark.h>

#include <limits>
#include <numeric>

#include "base/log.h"
#include "common/running.h"
#include "common/stores.h"
#include "engine/key_table.h"
#include "graph/schema.h"
#include "policy/policy.h"
#include "runtime/call.h"
#include "runtime/input.h"
#include "runtime/json_member.h"
#include "sluice/plugin.h"

namespace sluice::bench {

namespace {

using benchmark::State;

constexpr const char* kIntentSchema = SLUICE_SOURCE_DIR "/pipelines/schemas/trade_intent.json";
constexpr const char* kDecisionSchema = SLUICE_SOURCE_DIR "/pipelines/schemas/ai_decision.json";

// What is wrong ends the benchmark with its text, not the program.
template <typename Function>
void guarded(State& state, Function function) {
  try {
    function();
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

// --- Store ---

// A unit for each of a batch: claim, emit, ack. What is emitted is what is read: a ring, so that it
// goes on for as long as it is asked to.
void commit_units(State& state, Sync sync) {
  guarded(state, [&] {
    const TempFolder folder;
    const auto store = open_embedded(folder.path(), sync);
    const auto batch = static_cast<size_t>(state.range(0));
    append_workload(*store, batch * 4);
    const stream::StreamId ring = store->find_stream(kIn);
    const stream::GroupId group =
        must(store->open_group(ring, kGroup, stream::GroupStart::kBeginning));
    const stream::ReadRequest request{.group = group, .consumer = "bench", .count_max = batch};
    std::vector<stream::Unit> units(batch);
    std::vector<std::string> keys(batch);
    auto found = must(store->read(request));
    for (auto _ : state) {
      for (size_t i = 0; i < batch; ++i) {
        const stream::Entry& entry = found[i].entry;
        keys[i].assign(kSeen).append(entry.id.text());
        units[i].group = group;
        units[i].entry = entry.id;
        units[i].conditions = {{.kind = stream::ConditionKind::kClaim,
                                .key = keys[i],
                                .value = "1",
                                .ttl = std::chrono::seconds(1)}};
        units[i].effects = {{.kind = stream::EffectKind::kEmit,
                             .stream = ring,
                             .entry = {},
                             .bytes = entry.fields.encoded()}};
      }
      found = std::move(must(store->commit(units, &request)).next);
    }
    state.SetItemsProcessed(static_cast<int64_t>(batch) * state.iterations());
  });
}
void commit_each(State& state) { commit_units(state, Sync::kCommit); }
void commit_group(State& state) { commit_units(state, Sync::kGroup); }
void commit_os(State& state) { commit_units(state, Sync::kOs); }
// Real time: most of it is the disk's.
BENCHMARK(commit_each)->Name("commit/each")->Arg(1)->Arg(10)->Arg(100)->UseRealTime();
BENCHMARK(commit_group)->Name("commit/group")->Arg(1)->Arg(10)->Arg(100)->UseRealTime();
BENCHMARK(commit_os)->Name("commit/os")->Arg(1)->Arg(10)->Arg(100);

constexpr size_t kStored = 50'000;

// Deliveries that nobody acks; begun again with another group when the stream is read.
void read_entries(State& state) {
  guarded(state, [&] {
    const TempFolder folder;
    const auto store = open_embedded(folder.path(), Sync::kOs);
    append_workload(*store, kStored);
    const stream::StreamId in = store->find_stream(kIn);
    const auto batch = static_cast<size_t>(state.range(0));
    stream::ReadRequest request{.consumer = "bench", .count_max = batch};
    size_t left = 0, groups = 0;
    for (auto _ : state) {
      if (left < batch) {
        state.PauseTiming();
        request.group =
            must(store->open_group(in, std::to_string(groups++), stream::GroupStart::kBeginning));
        left = kStored;
        state.ResumeTiming();
      }
      left -= must(store->read(request)).size();
    }
    state.SetItemsProcessed(static_cast<int64_t>(batch) * state.iterations());
  });
}
BENCHMARK(read_entries)->Name("read")->Arg(1)->Arg(10)->Arg(100);

// Pending entries taken over by another consumer.
void claim_entries(State& state) {
  guarded(state, [&] {
    const TempFolder folder;
    const auto store = open_embedded(folder.path(), Sync::kOs);
    append_workload(*store, 10'000);
    const stream::GroupId group =
        must(store->open_group(store->find_stream(kIn), kGroup, stream::GroupStart::kBeginning));
    must(store->read({.group = group, .consumer = "a", .count_max = 10'000, .bytes_max = 1 << 30}));
    const auto batch = static_cast<size_t>(state.range(0));
    const stream::ReadRequest request{.group = group, .consumer = "a", .count_max = batch};
    EntryId after;
    for (auto _ : state) {
      const auto claimed = must(store->claim(request, stream::milliseconds(0), after));
      after = claimed.size() < batch ? EntryId{} : claimed.back().entry.id;
    }
    state.SetItemsProcessed(static_cast<int64_t>(batch) * state.iterations());
  });
}
BENCHMARK(claim_entries)->Name("claim/entries")->Arg(100);

// A dedup key that is not there, 100 in a commit.
void claim_keys(State& state) {
  guarded(state, [&] {
    const TempFolder folder;
    const auto store = open_embedded(folder.path(), Sync::kOs);
    std::vector<std::string> keys(100);
    std::vector<stream::Unit> units(keys.size());
    size_t made = 0;
    for (auto _ : state) {
      for (size_t i = 0; i < keys.size(); ++i) {
        keys[i].assign(kSeen).append(std::to_string(made++));
        units[i].conditions = {{.kind = stream::ConditionKind::kClaim,
                                .key = keys[i],
                                .value = "1",
                                .ttl = std::chrono::seconds(1)}};
      }
      must(store->commit(units, nullptr));
    }
    state.SetItemsProcessed(static_cast<int64_t>(keys.size()) * state.iterations());
  });
}
BENCHMARK(claim_keys)->Name("claim/keys")->Arg(100);

// Keys put and swept once they have expired.
void expire_keys(State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  std::vector<std::string> keys;
  for (size_t i = 0; i < count; ++i) keys.push_back(kSeen + id_of(i));
  engine::KeyTable table;
  int64_t now_ms = 1;
  for (auto _ : state) {
    for (const std::string& key : keys) table.put(key, "1763711111111-0", false, now_ms + 1);
    now_ms += 2;
    while (table.size() > 0) table.sweep(now_ms, 1 << 20);
  }
  state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
}
BENCHMARK(expire_keys)->Name("expire")->Arg(1'000)->Arg(100'000);

// --- Policy ---

sluice_text raw(std::string_view text) { return {text.data(), text.size()}; }

sluice_value text_value(std::string_view text) {
  sluice_value value{};
  value.type = SLUICE_TEXT;
  value.text = raw(text);
  return value;
}

const plugin::Hook& hook_of(const plugin::Catalog& catalog, const char* use, const char* hook) {
  return *must(catalog.find(use)).kind->find_hook(hook);
}

// A hook of a shipped policy: two texts in, a table of four limits out.
void policy_limits(State& state) {
  guarded(state, [&] {
    const plugin::Catalog& catalog = catalog_of(BENCH_TRADE_PLUGINS);
    const auto& hooks = must(catalog.find("governor")).kind->hooks;
    const auto script = must(policy::Script::load(SLUICE_SOURCE_DIR "/lua/governor.lua", hooks,
                                                  policy::Limits{}, system_disk()));
    const auto lua = must(policy::State::open(script, policy::Limits{}));
    const sluice_value arguments[] = {text_value("BTCUSDT"), text_value("BUY")};
    std::vector<sluice_value> results(hook_of(catalog, "governor", "limits").results.size());
    for (auto _ : state) must(lua->call("limits", arguments, results));
    state.SetItemsProcessed(state.iterations());
  });
}
BENCHMARK(policy_limits)->Name("policy/limits");

// A hook that looks at one member of a record with two.
void policy_record(State& state) {
  guarded(state, [&] {
    const plugin::Catalog& catalog = catalog_of(BENCH_PLUGINS);
    const auto& hooks = must(catalog.find("bench.asked")).kind->hooks;
    const auto script = must(policy::Script::load(BENCH_FOLDER "/redis/lua/asked.lua", hooks,
                                                  policy::Limits{}, system_disk()));
    const auto lua = must(policy::State::open(script, policy::Limits{}));
    const std::string id = id_of(7), payload = payload_of(7);
    PolicyRecord record;
    record.text("id", id).text("payload", payload);
    const sluice_value arguments[] = {record.raw()};
    sluice_value results[1] = {};
    for (auto _ : state) must(lua->call("ttl", arguments, results));
    state.SetItemsProcessed(state.iterations());
  });
}
BENCHMARK(policy_record)->Name("policy/record");

// --- JSON and schemas ---

stream::Fields intent_fields() {
  stream::Fields fields;
  fields.add("id", id_of(7));
  fields.add("payload", payload_of(7));
  return fields;
}

stream::Fields decision_fields() {
  stream::Fields fields;
  make_decision(3, from_ms(1'763'711'111'111), fields);
  return fields;
}

void json_one_member(State& state) {
  const std::string payload = payload_of(7);
  for (auto _ : state) benchmark::DoNotOptimize(runtime::json_member(payload, "source"));
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(json_one_member)->Name("json/member");

void json_line(State& state) {
  guarded(state, [&] {
    std::string line = "{";
    const stream::Fields fields = decision_fields();
    for (const stream::FieldView& field : fields.view()) {
      if (line.size() > 1) line += ',';
      line.append("\"").append(field.name).append("\":");
      const bool is_object = field.value.starts_with('{');
      line.append(is_object ? "" : "\"").append(field.value).append(is_object ? "" : "\"");
    }
    line += '}';
    for (auto _ : state) benchmark::DoNotOptimize(must(runtime::parse_ndjson_line(line)));
    state.SetItemsProcessed(state.iterations());
  });
}
BENCHMARK(json_line)->Name("json/line");

void check_schema(State& state, const char* file, const stream::Fields& fields, bool oracle) {
  guarded(state, [&] {
    const auto schema = must(graph::Schema::load(file));
    if (schema->check(fields.view())) throw std::runtime_error("the entry breaks its schema");
    for (auto _ : state) {
      if (oracle) {
        benchmark::DoNotOptimize(schema->oracle_accepts(fields.view()));
      } else {
        benchmark::DoNotOptimize(schema->check(fields.view()));
      }
    }
    state.SetItemsProcessed(state.iterations());
  });
}
void schema_intent(State& state) { check_schema(state, kIntentSchema, intent_fields(), false); }
void schema_decision(State& state) {
  check_schema(state, kDecisionSchema, decision_fields(), false);
}
void schema_intent_rapidjson(State& state) {
  check_schema(state, kIntentSchema, intent_fields(), true);
}
void schema_decision_rapidjson(State& state) {
  check_schema(state, kDecisionSchema, decision_fields(), true);
}
BENCHMARK(schema_intent)->Name("schema/intent/compiled");
BENCHMARK(schema_intent_rapidjson)->Name("schema/intent/rapidjson");
BENCHMARK(schema_decision)->Name("schema/decision/compiled");
BENCHMARK(schema_decision_rapidjson)->Name("schema/decision/rapidjson");

// --- Units through the C table ---

// What a stage's call costs beside what it does: claim and emit of an entry, in a plugin.
void unit_by_plugin(State& state) {
  guarded(state, [&] {
    const plugin::Catalog& catalog = catalog_of(BENCH_PLUGINS);
    const auto choice = must(catalog.find("bench.once"));
    const auto library = must(plugin::Library::load(choice.plugin->path));
    const auto instance = must(plugin::Instance::open(library, "once", "bench", "stage", {}));
    const SystemClock clock;
    runtime::CallSite site;
    site.stage = "stage";
    site.kind = choice.kind;
    site.clock = &clock;
    site.input_ports = {"in"};
    site.outputs = {{"out", 0, 1, nullptr}};
    runtime::Arena arena;
    runtime::Call call(site, arena);
    runtime::Item item;
    item.delivery.entry = {EntryId{1'763'711'111'111, 0}, intent_fields()};
    for (auto _ : state) {
      arena.reset();
      call.begin(&item, nullptr, nullptr);
      if (instance->process(call.raw()) != SLUICE_ACK) throw std::runtime_error("no ack");
      benchmark::DoNotOptimize(call.take_unit());
    }
    state.SetItemsProcessed(state.iterations());
  });
}
BENCHMARK(unit_by_plugin)->Name("unit/plugin");

// The same unit, built without a table.
void unit_by_hand(State& state) {
  runtime::Item item;
  item.delivery.entry = {EntryId{1'763'711'111'111, 0}, intent_fields()};
  runtime::Arena arena;
  for (auto _ : state) {
    arena.reset();
    const stream::Fields& fields = item.delivery.entry.fields;
    stream::Unit unit;
    unit.conditions.push_back(
        {.kind = stream::ConditionKind::kClaim,
         .key = arena.copy(std::string(kSeen).append(fields.find("id").value_or(""))),
         .value = arena.copy(item.delivery.entry.id.text()),
         .ttl = kSeenTtl});
    unit.effects.push_back({.kind = stream::EffectKind::kEmit,
                            .stream = 1,
                            .entry = {},
                            .bytes = arena.copy(fields.encoded())});
    benchmark::DoNotOptimize(unit);
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(unit_by_hand)->Name("unit/hand");

}  // namespace

}  // namespace sluice::bench

int main(int argc, char** argv) {
  sluice::log::configure(sluice::log::Level::kWarning, sluice::log::Format::kText);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  // Before any thread.
  for (const char* folder : {BENCH_PLUGINS, BENCH_TRADE_PLUGINS}) sluice::bench::catalog_of(folder);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
