// Entry ids: milliseconds and a sequence, ascending in a stream, written "ms-seq" as in Redis
// Streams.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct EntryId {
  uint64_t ms = 0;   // milliseconds since the Unix epoch
  uint64_t seq = 0;  // order within that millisecond

  auto operator<=>(const EntryId&) const = default;

  // 0-0 is below every stored id.
  bool is_zero() const { return ms == 0 && seq == 0; }

  std::string text() const;

  // The same without memory of its own.
  class Text {
   public:
    explicit Text(EntryId id);
    std::string_view view() const { return {bytes_.data(), size_}; }

   private:
    std::array<char, 2 * 20 + 1> bytes_;
    size_t size_;
  };

  // Reads "ms-seq" or "ms" (sequence 0); nothing else, no signs, no spaces.
  static std::optional<EntryId> parse(std::string_view text);
};

// The next possible id in a stream whose last id is `last`, at wall time `now_ms`.
//
// Never goes back: when the clock did, the last millisecond is kept and the sequence counts on.
EntryId next_entry_id(EntryId last, uint64_t now_ms);

}  // namespace sluice
