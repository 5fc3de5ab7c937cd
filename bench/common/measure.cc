#include "common/measure.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

namespace sluice::bench {

namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

// The number after `name` in a file of /proc; 0 when it is not there.
uint64_t proc_number(const char* file, std::string_view name) {
  std::ifstream in(file);
  for (std::string word; in >> word;) {
    if (word != name) continue;
    uint64_t number = 0;
    in >> number;
    return number;
  }
  return 0;
}

}  // namespace

void print_measured(std::string_view name, std::string_view unit, double value) {
  fmt::print("{{\"name\": \"{}\", \"unit\": \"{}\", \"value\": {:.6g}}}\n", name, unit, value);
  std::fflush(stdout);
}

void print_percentiles(const std::string& name, std::vector<double> us) {
  if (us.empty()) return;
  std::sort(us.begin(), us.end());
  const auto at = [&](double part) {
    const double rank = std::ceil(part * static_cast<double>(us.size()));
    return us[static_cast<size_t>(std::max(rank, 1.0)) - 1];
  };
  print_measured(name + "/p50", "us", at(0.5));
  print_measured(name + "/p99", "us", at(0.99));
  print_measured(name + "/p99.9", "us", at(0.999));
  print_measured(name + "/max", "us", us.back());
  print_measured(name + "/count", "entries", static_cast<double>(us.size()));
}

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

uint64_t bytes_written() { return proc_number("/proc/self/io", "wchar:"); }

Resident resident() {
  const auto mib = [](std::string_view name) {
    return static_cast<double>(proc_number("/proc/self/status", name)) / 1024;
  };
  return {mib("VmRSS:"), mib("VmHWM:")};
}

}  // namespace sluice::bench
