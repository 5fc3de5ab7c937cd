// What is left of a chain of stages when they do nothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace sluice::bench {

// `hops` threads in a row sleep on a condition variable each; the first is woken `count` times, one
// `gap` apart, and each wakes the next one. Microseconds from the first's call to the last's
// waking.
std::vector<double> measure_wakes(size_t hops, size_t count, std::chrono::nanoseconds gap);

}  // namespace sluice::bench
