// This program once more, so that what it measures is in a process of its own.
#pragma once

#include <string>
#include <vector>

namespace sluice::bench {

// Runs it with `arguments` and prints what it printed. Throws what it said when it fails.
void run_again(const std::vector<std::string>& arguments);

}  // namespace sluice::bench
