// Small text helpers that the readers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::graph {

// Whether two short texts are the same; for names of about eight bytes memcmp is not worth its
// call.
inline bool is_same(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  const auto fits = [&]<typename Word>(Word of_a, size_t at) {
    Word of_b = 0;
    std::memcpy(&of_a, a.data() + at, sizeof of_a);
    std::memcpy(&of_b, b.data() + at, sizeof of_b);
    return of_a == of_b;
  };
  const size_t size = a.size();
  if (size >= 8) {
    for (size_t at = 0; at + 8 < size; at += 8)
      if (!fits(uint64_t{}, at)) return false;
    return fits(uint64_t{}, size - 8);  // the last ones, some of them again
  }
  if (size >= 4) return fits(uint32_t{}, 0) && fits(uint32_t{}, size - 4);
  for (size_t at = 0; at < size; ++at)
    if (a[at] != b[at]) return false;
  return true;
}

// Bytes of the UTF-8 character at the front of `text`; 0 when it is not valid (overlong forms,
// surrogates and values above U+10FFFF are not). `text` is not empty.
inline size_t utf8_size(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto follows = [&](size_t i) { return i < text.size() && (at(i) & 0xC0) == 0x80; };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  if (c >= 0xC2 && c <= 0xDF) return follows(1) ? 2 : 0;
  if (c >= 0xE0 && c <= 0xEF) {
    if (!follows(1) || !follows(2)) return 0;
    if (c == 0xE0 && at(1) < 0xA0) return 0;
    if (c == 0xED && at(1) > 0x9F) return 0;
    return 3;
  }
  if (c >= 0xF0 && c <= 0xF4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (c == 0xF0 && at(1) < 0x90) return 0;
    if (c == 0xF4 && at(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

inline bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t size = utf8_size(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

// `text` fit for a message: at most `bytes_max` bytes, cut between characters, no control
// characters.
inline std::string printable(std::string_view text, size_t bytes_max = 100) {
  std::string out;
  while (!text.empty()) {
    const size_t size = utf8_size(text);
    const auto c = static_cast<unsigned char>(text[0]);
    const bool odd = size == 0 || c < 0x20 || c == 0x7F;
    if (out.size() + (odd ? 1 : size) > bytes_max) break;
    out += odd ? std::string_view("?") : text.substr(0, size);
    text.remove_prefix(odd ? 1 : size);
  }
  return out;
}

}  // namespace sluice::graph
