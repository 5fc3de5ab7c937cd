// The work that all contenders do, and how it is measured.
//
// A stage: read entries as a consumer group, claim a dedup key for each (SET NX PX), append it to
// another stream, ack it. Whoever did not do all of it has no result.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "fixtures/redis_server.h"
#include "redis/network.h"
#include "stream/store.h"

namespace sluice::bench {

inline constexpr const char* kIn = "bench:in";
inline constexpr const char* kOut = "bench:out";
inline constexpr const char* kGroup = "stage";
inline constexpr const char* kSeen = "bench:seen:";  // and the entry's id
inline constexpr std::chrono::milliseconds kSeenTtl{3'600'000};

// What an error of the bench itself is: there is no result then.
template <typename T>
T must(Result<T> result) {
  if (!result.is_ok()) throw std::runtime_error(result.status().text());
  return std::move(result).value();
}
inline void must(const Status& status) {
  if (!status.is_ok()) throw std::runtime_error(status.text());
}

struct Workload {
  size_t entries = 20'000;
  size_t batch = 100;  // entries read and committed together
};

// The fields of entry `i`: names and values have 288 to 300 bytes together.
//
// `id` tells it from all others; `payload` is a JSON object, such as a trade intent.
std::string id_of(size_t i);
std::string payload_of(size_t i);

// The units of the workload: a claim, an append to the stream `out`, the ack.
class StageUnits {
 public:
  StageUnits(stream::GroupId group, stream::StreamId out) : group_(group), out_(out) {}

  // Of what a read found; valid until the next call and while `found` lives.
  std::span<const stream::Unit> of(const std::vector<stream::Delivery>& found);

 private:
  const stream::GroupId group_;
  const stream::StreamId out_;
  std::vector<stream::Unit> units_;
  std::vector<std::string> keys_, values_;
};

// What a run took.
struct Cost {
  double wall_s = 0;    // from the first read to the reply to the last commit
  double client_s = 0;  // processor time of the client's process
  double server_s = 0;  // of the server
};

// Measures between `start` and `stop`.
class Meter {
 public:
  explicit Meter(testing::RedisServer& server) : server_(server) {}

  void start();
  Cost stop();

 private:
  double server_cpu() const;

  testing::RedisServer& server_;
  double client_before_ = 0, server_before_ = 0;
  std::chrono::steady_clock::time_point started_;
};

// One way to do the workload.
class Contender {
 public:
  virtual ~Contender() = default;

  virtual std::string name() const = 0;
  // Slow ones are given fewer entries: what counts is the time for one.
  virtual size_t entries_of(const Workload& workload) const { return workload.entries; }

  // Does the workload on a server that has it, and nothing else. Throws what went wrong.
  virtual Cost run(testing::RedisServer& server, const redis::Endpoint& endpoint,
                   const Workload& workload) = 0;
};

// hiredis, in the strongest form that does the same commands: for a batch one write with SET NX and
// XADD of each entry, one XACK of all and the next XREADGROUP, and one wait for the replies. It
// appends also what somebody else had claimed. With `looks`, it waits for the replies to SET first
// and appends what it won: two waits for a batch.
std::unique_ptr<Contender> bare_loop(bool looks);
// python3-redis, one command at a time, as the reference system does.
std::unique_ptr<Contender> python_loop();
// RedisStore alone: commits of units that read on in the same step.
std::unique_ptr<Contender> store_loop();
// A pipeline of one stage on RedisStore; `file` lies in the bench's folder.
std::unique_ptr<Contender> pipeline_run(std::string name, std::string file);

// Empties the server and fills it with the workload.
void fill(testing::RedisServer& server, size_t entries);
// Throws unless all of the workload was done: claimed, appended and acked.
void check_done(testing::RedisServer& server, size_t entries);

}  // namespace sluice::bench
