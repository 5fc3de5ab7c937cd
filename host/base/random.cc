#include "base/random.h"

#include <sys/random.h>

#include <bit>

namespace sluice {

namespace {

// splitmix64: spreads a seed over the generator's state.
uint64_t spread(uint64_t& state) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

SeededRandom::SeededRandom(uint64_t seed, std::string_view label) {
  uint64_t mixed = seed;
  for (const char c : label) mixed = (mixed ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  for (uint64_t& word : state_) word = spread(mixed);
}

uint64_t SeededRandom::next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t shifted = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= shifted;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

uint64_t system_seed() {
  uint64_t seed = 0;
  // At most 256 bytes: the call cannot be interrupted or return short once the pool is up.
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) return 0x5eed5eed5eed5eedu;
  return seed;
}

}  // namespace sluice
