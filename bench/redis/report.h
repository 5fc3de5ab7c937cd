// Medians, spread and ratios of what was measured, as text and as JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "redis/latency.h"
#include "redis/workload.h"

namespace sluice::bench {

// Where and how the server works, and the size of a batch.
struct Setup {
  bool tcp = false;      // of the loopback address; false: a unix socket
  bool appends = false;  // appendonly yes, appendfsync everysec
  size_t batch = 100;

  std::string text() const;
};

// Microseconds for one entry.
struct EntryCost {
  double wall_us = 0, client_us = 0, server_us = 0;
};

struct Spread {
  double median = 0, min = 0, max = 0;
};

// Of one setup: a row for each contender, a cost for each round.
class Table {
 public:
  Table(Setup setup, std::vector<std::string> names)
      : setup_(setup), names_(std::move(names)), rounds_(names_.size()) {}

  void add(size_t contender, const Cost& cost, size_t entries);
  std::string text() const;

  const Setup& setup() const { return setup_; }
  const std::vector<std::string>& names() const { return names_; }

  Spread of(size_t contender, double EntryCost::*what) const;
  // How often the work of `other` is done in the time of its own, round by round; nullopt when the
  // other did not take part.
  std::optional<Spread> ratio(size_t contender, const std::string& other) const;

 private:
  const Setup setup_;
  const std::vector<std::string> names_;
  std::vector<std::vector<EntryCost>> rounds_;  // by contender
};

struct LatencyRow {
  Setup setup;
  Latency latency;
};
std::string latency_text(const std::vector<LatencyRow>& rows);

// All of it; `machine` is a line about it.
std::string report_json(const std::string& machine, const std::vector<Table>& tables,
                        const std::vector<LatencyRow>& latencies);

}  // namespace sluice::bench
