// Keys of our own beside those of the pipeline. Nobody else may use them.
#pragma once

#include <string>
#include <string_view>

namespace sluice::redis {

// Never there: what is asked or written without effect, is so of this key.
inline constexpr std::string_view kGuardKey = "sluice:guard";

// Under a recorded clock: deadlines of keys, and the time of the newest commit.
inline constexpr std::string_view kExpiryKey = "sluice:expiry";
inline constexpr std::string_view kClockKey = "sluice:clock";

inline constexpr std::string_view kNotePrefix = "sluice:since:";
inline constexpr std::string_view kTimesPrefix = "sluice:first:";
inline constexpr std::string_view kTokenPrefix = "sluice:commit:";
inline constexpr std::string_view kSettlePrefix = "sluice:settle:";

// The note of a counter; see scripts/counters.lua.
inline std::string note_key(std::string_view counter) {
  return std::string(kNotePrefix).append(counter);
}

// When entries pending in a group were delivered, as fields by id.
inline std::string times_key(std::string_view stream, std::string_view group) {
  return std::string(kTimesPrefix).append(stream).append(":").append(group);
}

inline bool is_our_key(std::string_view key) {
  if (!key.starts_with("sluice:")) return false;
  return key == kGuardKey || key == kExpiryKey || key == kClockKey ||
         key.starts_with(kNotePrefix) || key.starts_with(kTimesPrefix) ||
         key.starts_with(kTokenPrefix) || key.starts_with(kSettlePrefix);
}

}  // namespace sluice::redis
