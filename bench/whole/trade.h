// The trade pipeline under load: how much it takes, and how long each entry takes at a fixed rate.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace sluice::bench {

// What is shipped runs, with limits that let every decision become an order, and a paper exchange
// that answers at once and keeps its journal in the cache. Out of it are the stages beside this
// lane: harvest, stops, refunds, reconciliation, operators, and the ledger, whose position P3.3
// would compare.
struct TradeOptions {
  std::vector<std::string> engines = {"embedded", "redis"};
  size_t entries = 5'000;  // decisions that lie ready when the most it can do is measured
  size_t rounds = 3;
  std::chrono::seconds seconds{5};              // of each rate
  std::vector<size_t> percents = {10, 50, 80};  // of the median rate of the rounds; empty: none
};
void measure_trade(const TradeOptions& options);

}  // namespace sluice::bench
