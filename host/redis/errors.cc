#include "redis/errors.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::redis {
namespace {

constexpr std::string_view kRetryCodes[] = {"LOADING",     "BUSY",     "MASTERDOWN",
                                            "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS",
                                            "MISCONF",     "OOM",      "UNKILLABLE"};
constexpr std::string_view kRerouteCodes[] = {"MOVED", "ASK", "READONLY", "UNBLOCKED"};

std::string_view first_word(std::string_view text) { return text.substr(0, text.find(' ')); }

// What a command inside a script met: Redis 6.2 puts it behind its own words
// ("ERR Error running script (call to f_1f..): @user_script:1: @user_script: 1: -OOM command ...").
std::string_view without_script(std::string_view error) {
  if (!error.starts_with("ERR Error running script")) return error;
  constexpr std::string_view kInner = "@user_script: ";
  const size_t place = error.find(kInner);
  const size_t minus = place == error.npos ? place : error.find(": -", place + kInner.size());
  return minus == error.npos ? error : error.substr(minus + 3);
}

template <size_t size>
bool contains(const std::string_view (&words)[size], std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

}  // namespace

ErrorClass class_of(std::string_view error) {
  error = without_script(error);
  const std::string_view code = first_word(error);
  if (contains(kRetryCodes, code)) return ErrorClass::kRetry;
  if (contains(kRerouteCodes, code)) return ErrorClass::kReroute;
  if (code == "NOSCRIPT") return ErrorClass::kNoScript;
  if (code == "NOGROUP") return ErrorClass::kNoGroup;
  if (error.starts_with("ERR max number of clients")) return ErrorClass::kRetry;
  return ErrorClass::kRefused;
}

Status error_status(std::string_view command, std::string_view error) {
  const ErrorClass kind = class_of(error);
  const bool later = kind == ErrorClass::kRetry || kind == ErrorClass::kReroute;
  return {later ? Code::kUnavailable : Code::kInvalid, fmt::format("{}: {}", command, error)};
}

}  // namespace sluice::redis
