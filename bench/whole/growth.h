// What an entry costs as things grow: entries and keys stored, stages, symbols, waits.
#pragma once

#include <string>
#include <vector>

namespace sluice::bench {

struct GrowthOptions {
  std::vector<size_t> stored = {1'000, 10'000, 100'000, 1'000'000};  // entries, and as many keys
  size_t recovered = 1'500'000;  // entries and keys of the store that is opened after kill -9
  std::vector<size_t> stages = {1, 4, 16, 64};
  std::vector<size_t> symbols = {1, 10, 100, 1'000};
  std::vector<size_t> parked = {1, 10, 100, 1'000, 10'000};
  size_t entries = 20'000;  // of one run
  size_t rounds = 3;
};
void measure_growth(const GrowthOptions& options);

// The halves of what is measured about stores, each a process of its own. The first dies without
// closing the store.
void fill_store(const std::string& folder, size_t count);
void reopen_store(const std::string& folder, size_t count);

}  // namespace sluice::bench
