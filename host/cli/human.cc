#include "cli/human.h"

#include <fmt/format.h>

namespace sluice::cli {

std::string count_text(uint64_t count) {
  std::string text = std::to_string(count);
  for (size_t at = text.size(); at > 3;) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string plural(uint64_t count, const char* one, const char* many) {
  return count_text(count) + ' ' + (count == 1 ? one : many);
}

std::string age_text(Micros age) {
  const int64_t us = age.count() > 0 ? age.count() : 0;
  if (us < 1'000) return fmt::format("{}us", us);
  // Tenths are cut, not rounded: 59.96 s is not "60.0s".
  if (us < 1'000'000) return fmt::format("{}.{}ms", us / 1'000, us / 100 % 10);
  const int64_t seconds = us / 1'000'000;
  if (seconds < 60) return fmt::format("{}.{}s", seconds, us / 100'000 % 10);
  if (seconds < 3'600) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  if (seconds < 86'400) return fmt::format("{}h {}m", seconds / 3'600, seconds / 60 % 60);
  return fmt::format("{}d {}h", seconds / 86'400, seconds / 3'600 % 24);
}

}  // namespace sluice::cli
