// Times in ids and fields, which anybody may have written and which may be any number: held between
// the epoch and the end of the year 9999, they can be added, subtracted and shown.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"
#include "base/entry_id.h"

namespace sluice::audit {

inline constexpr int64_t kLastUs = 253'402'300'799'999'999;

// Microseconds as a field says them; 0 says that there is none.
inline int64_t held_us(int64_t said) {
  return said == 0 ? 0 : std::clamp<int64_t>(said, 1, kLastUs);
}

inline int64_t ms_of(EntryId id) {
  return static_cast<int64_t>(std::min<uint64_t>(id.ms, kLastUs / 1000));
}
inline WallTime time_of_id(EntryId id) { return from_ms(ms_of(id)); }

}  // namespace sluice::audit
