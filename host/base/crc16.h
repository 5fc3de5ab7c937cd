// CRC-16/XMODEM: polynomial 0x1021, start 0, nothing reflected. "123456789" gives 0x31C3.
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

uint16_t crc16(std::string_view bytes);

}  // namespace sluice
