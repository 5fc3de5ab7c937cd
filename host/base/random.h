// Randomness, behind an interface: seeded in tests and recorded runs, from the system otherwise.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

class Random {
 public:
  virtual ~Random() = default;
  virtual uint64_t next() = 0;
};

// xoshiro256**: the same seed and label give the same numbers on every machine. The label splits
// one seed into independent streams, so that a draw added in one component does not shift another.
//
// Threads: one caller at a time.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed, std::string_view label = {});
  uint64_t next() override;

 private:
  uint64_t state_[4];
};

// A seed from the operating system.
uint64_t system_seed();

}  // namespace sluice
