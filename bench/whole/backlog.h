// The router over decisions that lie ready, in a process that did not put them there.
#pragma once

#include <string>
#include <vector>

namespace sluice::bench {

struct BacklogOptions {
  std::vector<std::string> engines = {"embedded", "redis"};
  size_t entries = 1'430'000;
  size_t redis_entries = 143'000;  // a server keeps them all in memory
  size_t rounds = 1;
};
void measure_backlog(const BacklogOptions& options);

// The two halves, each a process of its own. `place`: a folder, or the socket of a redis-server.
void fill_backlog(const std::string& engine, const std::string& place, size_t entries);
void drain_backlog(const std::string& engine, const std::string& place, size_t entries);

}  // namespace sluice::bench
