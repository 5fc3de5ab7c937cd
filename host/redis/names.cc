#include "redis/names.h"

#include <algorithm>
#include <array>

#include "redis/cluster.h"

namespace sluice::redis {

std::string Names::single(std::string_view name, std::string_view key) const {
  std::string full(name);
  if (is_cluster_) full.append(":{").append(slot_tag(slot_of(key))).append("}");
  return full;
}

std::string Names::named(std::string_view prefix, std::string_view key,
                         std::string_view name) const {
  std::string full(prefix);
  if (is_cluster_) full.append("{").append(slot_tag(slot_of(key))).append("}:");
  return full.append(name);
}

bool is_our_key(std::string_view key) {
  if (!key.starts_with("sluice:")) return false;
  constexpr std::array kSingles = {kGuardKey, kExpiryKey, kClockKey};
  constexpr std::array kPrefixes = {kNotePrefix,   kTimesPrefix,  kTokenPrefix,
                                    kSettlePrefix, kMirrorPrefix, kHostsPrefix};
  const auto is_single = [key](std::string_view name) {
    return key.starts_with(name) && (key.size() == name.size() || key[name.size()] == ':');
  };
  const auto begins = [key](std::string_view prefix) { return key.starts_with(prefix); };
  return std::any_of(kSingles.begin(), kSingles.end(), is_single) ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(), begins);
}

}  // namespace sluice::redis
