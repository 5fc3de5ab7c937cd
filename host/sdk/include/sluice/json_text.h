// What JSON readers ask of a document's bytes and of its texts, the host's and those of plugins
// alike: what one takes, all take.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace sluice {

// Whether no byte is part of a longer character. Eight at a time.
inline bool is_ascii(std::string_view text) {
  uint64_t seen = 0;
  size_t at = 0;
  for (uint64_t word = 0; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    seen |= word;
  }
  for (; at < text.size(); ++at) seen |= static_cast<unsigned char>(text[at]);
  return (seen & 0x8080808080808080) == 0;
}

// What RapidJSON lets pass in a text, decoded: a zero byte that was escaped, and the second half of
// a surrogate pair on its own. Empty when it is sound.
inline std::string_view json_text_fault(std::string_view text) {
  if (text.find('\0') != text.npos) return "a text holds a zero byte";
  for (size_t at = text.find('\xED'); at != text.npos; at = text.find('\xED', at + 1)) {
    if (at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) >= 0xA0)
      return "a text holds half a surrogate pair";
  }
  return {};
}

}  // namespace sluice
