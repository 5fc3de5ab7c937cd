// SHA-256 for plan ids, plan hashes and client order ids.
#pragma once

#include <string>
#include <string_view>

namespace sluice::trade {

// The first `digits` of 64 lower-case hex digits. Throws std::runtime_error when the library
// refuses (out of memory).
std::string sha256_hex(std::string_view bytes, size_t digits = 64);

}  // namespace sluice::trade
