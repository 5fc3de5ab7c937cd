// How long a parked entry waits for its next call once somebody else has set the key it waits for.
#pragma once

#include <cstddef>

#include "fixtures/redis_server.h"

namespace sluice::bench {

struct Percentiles {
  double p50_us = 0, p99_us = 0, p999_us = 0, max_us = 0;
};

struct Latency {
  size_t trials = 0;
  Percentiles call;   // from before SETEX is sent to the call that sees the permit
  Percentiles reply;  // from before SETEX is sent to its reply: the floor, in the same trials
  size_t early = 0;   // not counted: the permit came before the entry was parked
};

// One entry at a time is parked on a pipeline's stage in this process, and its permit set by
// another connection after a random pause; all times are of one steady clock. Throws what went
// wrong.
Latency measure_latency(testing::RedisServer& server, const redis::Endpoint& endpoint,
                        size_t trials);

}  // namespace sluice::bench
