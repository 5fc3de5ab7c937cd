#include "common/stores.h"

#include <fmt/format.h>

#include "base/iso_time.h"

namespace sluice::bench {

namespace {

const SystemClock kClock;
constexpr size_t kAppendBatch = 500;

}  // namespace

const char* sync_name(Sync sync) {
  switch (sync) {
    case Sync::kCommit:
      return "commit";
    case Sync::kGroup:
      return "group";
    case Sync::kOs:
      break;
  }
  return "os";
}

std::unique_ptr<engine::EmbeddedStore> open_embedded(const std::string& folder, Sync sync) {
  engine::Options options;
  options.durability = sync;
  return must(engine::EmbeddedStore::open(folder, options, system_disk(), kClock));
}

std::unique_ptr<redis::RedisStore> open_redis(const redis::Endpoint& endpoint) {
  redis::Options options;
  options.servers.target.endpoints = {endpoint};
  options.consumer = "bench";
  return must(redis::RedisStore::open(options, redis::system_network(), kClock));
}

AnyStore::AnyStore(const std::string& engine) {
  if (engine == "embedded") {
    store_ = open_embedded(folder_ / "store", Sync::kGroup);
    return;
  }
  server_ = std::make_unique<testing::RedisServer>();
  store_ = open_redis(server_->endpoint());
}

void append_entries(stream::Store& store, const std::string& name, size_t count,
                    const std::function<void(size_t i, stream::Fields& fields)>& make) {
  const stream::StreamId stream = must(store.open_stream(name, {}));
  std::vector<stream::Unit> units(1);
  std::vector<stream::Fields> fields(kAppendBatch);
  for (size_t done = 0; done < count;) {
    units[0].effects.clear();
    for (size_t at = 0; at < kAppendBatch && done < count; ++at, ++done) {
      fields[at].clear();
      make(done, fields[at]);
      stream::Effect emit;
      emit.stream = stream;
      emit.bytes = fields[at].encoded();
      units[0].effects.push_back(emit);
    }
    must(store.commit(units));
  }
}

void append_workload(stream::Store& store, size_t count) {
  append_entries(store, kIn, count, [](size_t i, stream::Fields& fields) {
    fields.add("id", id_of(i));
    fields.add("payload", payload_of(i));
  });
}

void make_decision(size_t i, WallTime at, stream::Fields& fields) {
  static constexpr const char* kSymbols[] = {"BTCUSDT", "ETHUSDT", "SOLUSDT"};
  const std::string time = iso_time_text(at);
  const char* const side = i / 3 % 2 == 0 ? "BUY" : "SELL";
  std::string payload =
      fmt::format(R"({{"symbol":"{}","side":"{}","confidence":0.{:06},"timestamp":"{}",)"
                  R"("consensus":"strong","consensus_count":3)",
                  kSymbols[i % 3], side, 500'000 + i * 7919 % 400'000, time);
  // Every eighth producer sends no more than it must.
  if (i % 8 != 7) {
    payload += R"(,"models":{)";
    for (const char* const model : {"xgboost", "lightgbm", "nhits", "patchtst"})
      payload += fmt::format(R"({}"{}":{{"action":"{}","confidence":0.{:06},"model":"{}_bench"}})",
                             payload.back() == '{' ? "" : ",", model, side, i * 104'729 % 1'000'000,
                             model);
    payload += R"(},"votes":{"BUY":0.25,"SELL":0.75,"HOLD":0.0})";
  }
  payload += "}";
  fields.add("event_type", "ai.decision.made");
  fields.add("timestamp", time);
  fields.add("source", "bench");
  fields.add("trace_id", std::string(kTracePrefix) + std::to_string(i));
  fields.add("payload", payload);
}

}  // namespace sluice::bench
