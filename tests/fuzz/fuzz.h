// What the fuzz targets share: one function called with any bytes, and a way to say no.
#pragma once

#include <algorithm>
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

// Lines of NAME=VALUE as the fields of a `Record` or `stream::Fields`; without a sign a line is a
// name.
template <typename Fields>
Fields fields_of(std::string_view text) {
  Fields fields;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t equals = std::min(line.find('='), line.size());
    fields.add(line.substr(0, equals), line.substr(std::min(equals + 1, line.size())));
  }
  return fields;
}

// Ends the process, so that the input is kept, when `holds` is false.
inline void require(bool holds, std::string_view what, std::string_view detail) {
  if (holds) return;
  std::cerr << "fuzz: " << what << ": " << detail << std::endl;
  std::abort();
}

}  // namespace sluice::fuzz
