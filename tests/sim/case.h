// One seed from its beginning to its end, and the smallest part of it that still fails.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "sim/world.h"

namespace sluice::sim {

// What is left out of a seed.
struct Selection {
  std::vector<Fault> without;
  size_t plans_max = std::numeric_limits<size_t>::max();  // decisions and proposals
  std::optional<std::vector<size_t>> steps;               // those that stay; none: all
};

// "0,3-7,12" and back; nothing for a text that is no such list.
std::string list_text(const std::vector<size_t>& numbers);
std::optional<std::vector<size_t>> read_list(const std::string& text);

// How to repeat it: the options of sluice-sim.
std::string options_text(uint64_t seed, const Selection& selection);

struct Outcome {
  std::optional<Broken> broken;
  Conditions conditions;
  std::vector<size_t> steps;  // that were taken, by their place in the seed
  uint64_t trace_hash = 0;
  uint64_t events = 0;  // steps of actors
  Marks marks;
  std::vector<std::string> trace;  // the last events, when they are kept
};

Outcome run_case(uint64_t seed, const Selection& selection, bool traced = false);

// Leaves out faults, then plans, then single steps, as long as the same rule is broken.
struct Shrunk {
  Selection selection;
  Outcome outcome;  // with its trace
  size_t tries = 0;
};
Shrunk shrink(uint64_t seed, Selection selection, const Outcome& failed);

}  // namespace sluice::sim
