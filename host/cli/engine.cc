#include "cli/engine.h"

#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>

#include <array>

#include "cli/fingerprint.h"
#include "engine/embedded_store.h"
#include "graph/effective.h"
#include "redis/network.h"
#include "redis/shard_store.h"
#include "redis/url.h"
#include "runtime/operator_command.h"

namespace sluice::cli {

namespace {

// The runtime waits for a server that is gone, and looks at signals in between.
constexpr redis::milliseconds kGiveUpRunning{1000};
// By hand somebody sits there and waits.
constexpr redis::milliseconds kGiveUpByHand{3000};

engine::Options embedded_options(const graph::EngineSpec& spec, StoreUse use) {
  engine::Options options;
  if (use == StoreUse::kChange) {
    options.durability = engine::Durability::kCommit;
    options.background = false;
    return options;
  }
  options.segment_bytes = spec.segment_bytes;
  options.checkpoint_bytes = spec.checkpoint_bytes;
  switch (spec.durability) {
    case graph::Durability::kCommit:
      options.durability = engine::Durability::kCommit;
      break;
    case graph::Durability::kGroup:
      options.durability = engine::Durability::kGroup;
      options.group_interval = spec.group_interval;
      break;
    case graph::Durability::kOs:
      options.durability = engine::Durability::kOs;
      break;
  }
  return options;
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : "host";
}

// A store of Redis lists what it was asked for, and looks into groups that are open. What is there
// is opened; nothing is created.
Status find_streams(stream::Store& store, const graph::Pipeline& pipeline) {
  for (const graph::StreamSpec& spec : pipeline.streams) store.find_stream(spec.name);
  store.find_stream(runtime::kOperatorStream);
  for (const stream::StreamInfo& stream : store.streams())
    for (const stream::GroupInfo& group : stream.groups)
      if (group.id == 0)
        SLUICE_TRY(
            store.open_group(stream.id, group.name, stream::GroupStart::kBeginning).status());
  return Status::ok();
}

// A mirror knows by it that the pipeline runs.
void name_connections(redis::Options& options, const graph::Pipeline& pipeline) {
  options.servers.target.login.client_name += "-" + pipeline.name;
}

template <typename T>
Result<std::unique_ptr<stream::Store>> as_store(Result<std::unique_ptr<T>> opened) {
  if (!opened) return opened.status();
  return std::unique_ptr<stream::Store>(std::move(opened).value());
}

}  // namespace

graph::LoadOptions load_options() {
  graph::LoadOptions options;
  options.redis = true;
  options.check_redis_url = [](std::string_view url) { return redis::parse_url(url).status(); };
  return options;
}

std::string store_name(const graph::EngineSpec& engine) {
  return on_redis(engine) ? graph::without_passwords(engine.url) : engine.path;
}

Result<redis::Options> redis_options(const graph::EngineSpec& engine, StoreUse use) {
  redis::Options options;
  SLUICE_ASSIGN(target, redis::parse_url(engine.url));
  target.login.client_name = "sluice";
  options.servers.target = std::move(target);
  options.servers.give_up_after = use == StoreUse::kRun ? kGiveUpRunning : kGiveUpByHand;
  options.consumer = engine.consumer.empty() ? host_name() : engine.consumer;
  options.min_replicas = engine.min_replicas;
  options.tracking = use == StoreUse::kRun;
  options.look = use == StoreUse::kLook;
  return options;
}

Result<std::unique_ptr<redis::RedisStore>> open_redis(const graph::EngineSpec& engine, StoreUse use,
                                                      const Clock& clock, bool recorded,
                                                      const graph::Pipeline* pipeline) {
  auto options = redis_options(engine, use);
  if (!options) return options.status().within("engine.url");
  options->recorded = recorded;
  if (use == StoreUse::kRun && pipeline != nullptr) name_connections(*options, *pipeline);
  return redis::RedisStore::open(*options, redis::system_network(), clock);
}

Result<std::unique_ptr<stream::Store>> open_store(Common& common, const graph::EngineSpec& engine,
                                                  StoreUse use, const Clock& clock, bool recorded,
                                                  const graph::Pipeline* pipeline, uint32_t shard) {
  if (!on_redis(engine)) {
    return use == StoreUse::kLook
               ? as_store(engine::EmbeddedStore::open_read_only(engine.path, common.disk, clock))
               : as_store(engine::EmbeddedStore::open(engine.path, embedded_options(engine, use),
                                                      common.disk, clock));
  }
  auto store = as_store(open_redis(engine, use, clock, recorded, pipeline));
  if (store) store = in_shard(engine, shard, std::move(store).value());
  if (store && use != StoreUse::kRun && pipeline != nullptr)
    SLUICE_TRY(find_streams(**store, *pipeline));
  return store;
}

std::unique_ptr<stream::Store> in_shard(const graph::EngineSpec& engine, uint32_t shard,
                                        std::unique_ptr<stream::Store> store) {
  if (engine.shards == 0) return store;
  return std::make_unique<redis::ShardStore>(std::move(store),
                                             redis::shard_prefix(engine.pipeline, shard));
}

std::string hosts_name(const graph::Pipeline& pipeline, uint32_t shard) {
  const graph::EngineSpec& engine = pipeline.engine;
  return (engine.shards == 0 ? "" : redis::shard_prefix(engine.pipeline, shard)) + pipeline.name;
}

Result<std::unique_ptr<stream::Store>> enter_hosts(const graph::Pipeline& pipeline,
                                                   const Entering& entering, uint32_t shard,
                                                   std::unique_ptr<stream::Store> store) {
  if (!on_redis(pipeline.engine)) return store;
  SLUICE_ASSIGN(options, redis_options(pipeline.engine, StoreUse::kRun));
  name_connections(options, pipeline);
  redis::HostLease::Options lease;
  lease.servers = options.servers;
  lease.pipeline = hosts_name(pipeline, shard);
  lease.consumer = options.consumer;
  lease.runs = entering.runs;
  lease.mixed = entering.mixed;
  lease.gives_up = entering.stop;
  lease.difference = [here = entering.runs.text](std::string_view there) {
    return fingerprint_difference(here, there);
  };
  SLUICE_ASSIGN(joined, redis::HostLease::join(std::move(lease), redis::system_network()));
  return std::unique_ptr<stream::Store>(
      new redis::LeasedStore(std::move(store), std::move(joined)));
}

}  // namespace sluice::cli
