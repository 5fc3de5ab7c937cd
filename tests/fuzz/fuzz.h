// What the fuzz targets share: one function called with any bytes, and a way to say no.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

// Called by libFuzzer, or by replay.cc for each file of a corpus.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace sluice::fuzz {

inline std::string_view text_of(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Ends the process, so that the input is kept, when `holds` is false.
inline void require(bool holds, std::string_view what, std::string_view detail) {
  if (holds) return;
  std::cerr << "fuzz: " << what << ": " << detail << std::endl;
  std::abort();
}

}  // namespace sluice::fuzz
