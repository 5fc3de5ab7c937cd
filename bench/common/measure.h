// What the bench programs print, and what a process used.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

using Steady = std::chrono::steady_clock;

// Prints one measurement as a line of JSON: {"name": ..., "unit": ..., "value": ...}.
//
// `name` is made of parts with slashes; the same name again is another round of the same. `unit` is
// a time, a size or a share, of which less is better, unless it ends in "/s".
void print_measured(std::string_view name, std::string_view unit, double value);

// Prints p50, p99, p99.9 and the largest of `us` under `name`, with their number; nothing when
// there are none.
void print_percentiles(const std::string& name, std::vector<double> us);

// Seconds of processor time of this process, kernel included.
double cpu_seconds();

// Bytes this process gave to write calls.
uint64_t bytes_written();

// MiB of this process in memory, now and at most so far.
struct Resident {
  double now_mib = 0, peak_mib = 0;
};
Resident resident();

inline double seconds_since(Steady::time_point start) {
  return std::chrono::duration<double>(Steady::now() - start).count();
}

}  // namespace sluice::bench
