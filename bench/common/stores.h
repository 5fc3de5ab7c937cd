// Stores as the bench opens them, and what it puts into them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/embedded_store.h"
#include "fixtures/redis_server.h"
#include "redis/redis_store.h"
#include "redis/workload.h"

namespace sluice::bench {

// A folder below $TMPDIR or /tmp that goes with it.
using testing::TempFolder;

// When a step is on the disk: on return, 5 ms later, or when the system likes.
using Sync = engine::Durability;
// "commit", "group", "os".
const char* sync_name(Sync sync);

std::unique_ptr<engine::EmbeddedStore> open_embedded(const std::string& folder, Sync sync);

std::unique_ptr<redis::RedisStore> open_redis(const redis::Endpoint& endpoint);

// An embedded store, or one on a redis-server of its own.
class AnyStore {
 public:
  // `engine`: "embedded" or "redis".
  explicit AnyStore(const std::string& engine);

  stream::Store& operator*() { return *store_; }
  // For the files of stages that keep some.
  std::string folder() const { return folder_ / "files"; }

 private:
  const TempFolder folder_;
  std::unique_ptr<testing::RedisServer> server_;
  std::unique_ptr<stream::Store> store_;
};

// Appends `count` entries to the stream called `name`, 500 in a commit.
void append_entries(stream::Store& store, const std::string& name, size_t count,
                    const std::function<void(size_t i, stream::Fields& fields)>& make);

// The stage workload's entries, in kIn.
void append_workload(stream::Store& store, size_t count);

// An AI decision as the models of the reference send it: 730 to 740 bytes, every eighth of them
// with few members. `i` decides symbol, side and the rest; its trace id is "bench-<i>".
void make_decision(size_t i, WallTime at, stream::Fields& fields);
inline constexpr std::string_view kTracePrefix = "bench-";

}  // namespace sluice::bench
