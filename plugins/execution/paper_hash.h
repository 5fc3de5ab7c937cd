// A hash for decisions that must come out the same after a restart. Not for security.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::paper {

// Finaliser of splitmix64 (public domain): every bit of the input reaches every bit of the result.
constexpr uint64_t mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// FNV-1a from a seed, mixed.
constexpr uint64_t hash(uint64_t seed, std::string_view text) {
  uint64_t h = 0xcbf29ce484222325u ^ mix(seed);
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return mix(h);
}

}  // namespace sluice::paper
