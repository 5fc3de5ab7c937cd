// The one place of the program that knows which engines there are, and opens their stores.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "cli/common.h"
#include "graph/pipeline.h"
#include "redis/host_lease.h"
#include "redis/redis_store.h"
#include "stream/store.h"

namespace sluice::cli {

enum class StoreUse {
  kRun,     // by the host: alone in an embedded store, one of several on Redis
  kChange,  // by hand: few changes, each durable when it was made; embedded: while nobody runs
  kLook,    // reading, also while others write; embedded: what was committed when this was called
};

// The store of `engine`. `clock` outlives it; on Redis it counts only when time is `recorded`,
// else the server's does. `pipeline`, which may be null, names the connections of a run, and else
// the streams that `Store::streams` lists on Redis before they are opened. Of a pipeline in shards
// it is that of `shard`; there are `engine.stores()`.
//
// Errors: kNotFound for an embedded store that is only looked at and is not there; kConflict while
//         another process writes an embedded store; kUnavailable when Redis cannot be reached;
//         kInvalid for what Redis refuses.
Result<std::unique_ptr<stream::Store>> open_store(Common& common, const graph::EngineSpec& engine,
                                                  StoreUse use, const Clock& clock,
                                                  bool recorded = false,
                                                  const graph::Pipeline* pipeline = nullptr,
                                                  uint32_t shard = 0);

// The servers of `engine`, as `open_store` opens them; names are those in Redis.
Result<std::unique_ptr<redis::RedisStore>> open_redis(const graph::EngineSpec& engine, StoreUse use,
                                                      const Clock& clock, bool recorded = false,
                                                      const graph::Pipeline* pipeline = nullptr);

// One shard of the pipeline of `engine` on Redis, `shard` and `store` as of `open_store`; the names
// in the store are those of the file.
std::unique_ptr<stream::Store> in_shard(const graph::EngineSpec& engine, uint32_t shard,
                                        std::unique_ptr<stream::Store> store);

// How a run enters the hosts of its pipeline on Redis.
struct Entering {
  redis::Runs runs;            // of the whole file
  bool mixed = false;          // whatever others run
  std::function<bool()> stop;  // asked while it waits
};

// `store`, of `open_store` for kRun, for as long as this host has a lease on the pipeline. On the
// embedded engine as it is: its folder has one writer.
//
// Errors: of redis::HostLease::join.
Result<std::unique_ptr<stream::Store>> enter_hosts(const graph::Pipeline& pipeline,
                                                   const Entering& entering, uint32_t shard,
                                                   std::unique_ptr<stream::Store> store);

// The pipeline's name as redis::find_hosts takes it.
std::string hosts_name(const graph::Pipeline& pipeline, uint32_t shard);

// How this program reads pipeline files: with all its engines.
graph::LoadOptions load_options();

// Where the store is, as a user is told: a folder, or a url without its password.
std::string store_name(const graph::EngineSpec& engine);

// What `open_store` connects to and as whom. Errors: kInvalid for the url.
Result<redis::Options> redis_options(const graph::EngineSpec& engine, StoreUse use);

inline bool on_redis(const graph::EngineSpec& engine) {
  return engine.kind == graph::EngineKind::kRedis;
}

}  // namespace sluice::cli
