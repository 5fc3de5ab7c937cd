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
inline constexpr std::string_view kMirrorPrefix = "sluice:mirror:";
inline constexpr std::string_view kHostsPrefix = "sluice:hosts:";

// Their full names. Those of a cluster carry a hash tag of the slot of what they belong to, since a
// script's keys must lie in one slot: "sluice:since:{813}:rate" is in that of "rate".
class Names {
 public:
  explicit Names(bool is_cluster) : is_cluster_(is_cluster) {}

  bool is_cluster() const { return is_cluster_; }

  std::string guard(std::string_view key) const { return single(kGuardKey, key); }
  std::string expiry(std::string_view key) const { return single(kExpiryKey, key); }
  std::string clock(std::string_view key) const { return single(kClockKey, key); }

  // The note of a counter; see scripts/counters.lua.
  std::string note(std::string_view counter) const { return named(kNotePrefix, counter, counter); }

  // When entries pending in a group were delivered, as fields by id.
  std::string times(std::string_view stream, std::string_view group) const {
    return named(kTimesPrefix, stream, stream).append(":").append(group);
  }

  // Of one commit, which has `key` among its own.
  std::string token(std::string_view key, std::string_view id) const {
    return named(kTokenPrefix, key, id);
  }

  // Set for the server to tell of it.
  std::string settle(std::string_view key, std::string_view id) const {
    return named(kSettlePrefix, key, id);
  }

  // There as long as a mirror into the stream has not finished.
  std::string mirror(std::string_view stream) const { return named(kMirrorPrefix, stream, stream); }

  // Who runs a pipeline; its name has that of its shard in front.
  std::string hosts(std::string_view pipeline) const {
    return named(kHostsPrefix, pipeline, pipeline);
  }

 private:
  std::string single(std::string_view name, std::string_view key) const;
  std::string named(std::string_view prefix, std::string_view key, std::string_view name) const;

  const bool is_cluster_;
};

bool is_our_key(std::string_view key);

}  // namespace sluice::redis
