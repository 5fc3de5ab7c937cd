// The part of a pipeline's entries that one of several runtimes has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "stream/fields.h"

namespace sluice::runtime {

// Which of `count` shares a value belongs to: its CRC-16/XMODEM modulo `count`. Foreign producers
// compute the same, so this never changes. "BTCUSDT" is in share 2 of 4.
uint32_t share_of(std::string_view value, uint32_t count);

// The text of the field `name`, or else of that member of the JSON in field `payload` or `data`;
// nullopt when there is neither, or it is empty.
std::optional<std::string> find_value(stream::FieldsView fields, std::string_view name);

// What stands for `{name}` of `pattern` in `key`: "BTCUSDT" for `symbol` in "position:BTCUSDT" of
// the family "position:{symbol}". nullopt when the key is not of that family, or the placeholder is
// not its first.
std::optional<std::string_view> value_in_key(std::string_view key, std::string_view pattern,
                                             std::string_view name);

// Entries are divided by the value of a field. Each share is a world of its own: streams, groups
// and keys.
struct Share {
  uint32_t index = 0;  // from 0
  uint32_t count = 1;
  std::string by;  // the field

  bool is_whole() const { return count == 1; }

  // Of the entry with these fields; nullopt: it does not say.
  std::optional<uint32_t> of(stream::FieldsView fields) const;

  // True for an entry from outside all shares that this one is to take: its own, and in the first
  // one those that do not say whose they are, which are refused there.
  bool takes(stream::FieldsView fields) const { return of(fields).value_or(0) == index; }
};

}  // namespace sluice::runtime
