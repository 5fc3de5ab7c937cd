// What the libraries under a stage take for its entries, and nothing else.
#pragma once

#include <cstddef>

namespace sluice::bench {

struct LibraryOptions {
  size_t entries = 200'000;
  int rounds = 5;
};

// Of the stage with schema and policy: its payload read by simdjson's DOM parser, and a Lua
// function called that searches it. Of the router: decision and intent read, three Lua functions
// called, one SHA-256. Each is the fastest use of the library known to us: memory is used again,
// nothing is checked or copied that the library does not check or copy by itself.
void measure_libraries(const LibraryOptions& options);

}  // namespace sluice::bench
