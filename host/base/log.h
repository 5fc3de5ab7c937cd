// Log lines on standard error through spdlog, text or JSON; level set once at start-up.
//
// Logging never blocks the trade path: what standard error does not take at once, a full pipe or a
// full disk, is lost, and said once it takes lines again. A terminal is waited for.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

namespace sluice::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

void configure(Level level, Format format);
bool enabled(Level level);
void write(Level level, std::string_view text);

// Lines that standard error did not take since the process began.
uint64_t lines_lost();

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kDebug))
    write(Level::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::kInfo)) write(Level::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  write(Level::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace sluice::log
