// CRC32C (Castagnoli), by the processor where it can.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice::engine {

// The checksum of `bytes` appended to bytes whose checksum is `before`.
//
// Source: RFC 3720 appendix B.4; "123456789" gives 0xe3069283.
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

// The same by table only, so that both ways can be tested against each other.
uint32_t crc32c_by_table(std::string_view bytes, uint32_t before = 0);

}  // namespace sluice::engine
