#include "base/crc16.h"

#include <array>

namespace sluice {
namespace {

constexpr std::array<uint16_t, 256> make_table() {
  std::array<uint16_t, 256> table{};
  for (unsigned i = 0; i < table.size(); ++i) {
    unsigned crc = i << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021 : 0);
    table[i] = static_cast<uint16_t>(crc);
  }
  return table;
}

constexpr auto kTable = make_table();

}  // namespace

uint16_t crc16(std::string_view bytes) {
  unsigned crc = 0;
  for (const char byte : bytes)
    crc = (crc << 8) ^ kTable[((crc >> 8) ^ static_cast<unsigned char>(byte)) & 0xFF];
  return static_cast<uint16_t>(crc);
}

}  // namespace sluice
