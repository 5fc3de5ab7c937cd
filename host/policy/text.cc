#include "policy/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>

#include "plugin/nearest.h"

namespace sluice::policy {

namespace {

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

int line_at(std::string_view source, size_t offset) {
  return 1 + static_cast<int>(
                 std::count(source.begin(), source.begin() + static_cast<ptrdiff_t>(offset), '\n'));
}

// Whether `escape` (what follows a backslash) stands for a zero byte: 0, 00, 000, x00, u{0}.
bool is_zero_escape(std::string_view escape) {
  if (escape.starts_with("x00")) return true;
  if (escape.starts_with("u{0")) {
    const size_t end = escape.find_first_not_of('0', 2);
    return end != std::string_view::npos && escape[end] == '}';
  }
  size_t digits = 0;
  while (digits < 3 && digits < escape.size() &&
         std::isdigit(static_cast<unsigned char>(escape[digits])) != 0) {
    if (escape[digits] != '0') return false;
    ++digits;
  }
  return digits > 0;
}

}  // namespace

std::string suggestion(std::string_view met, const std::vector<std::string>& names) {
  const auto near = plugin::nearest(met, names);
  return near ? fmt::format(", did you mean \"{}\"?", *near) : std::string();
}

std::string cut(std::string_view text, size_t bytes_max) {
  std::string result(text.substr(0, bytes_max));
  if (text.size() > bytes_max) result += "...";
  for (char& c : result)
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = ' ';
  return result;
}

std::string listed(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string digest(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return fmt::format("{:08x}", static_cast<uint32_t>(hash ^ (hash >> 32)));
}

std::string_view file_name(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

int line_of_key(std::string_view source, std::string_view key) {
  if (key.empty()) return 0;
  for (size_t at = source.find(key); at != std::string_view::npos; at = source.find(key, at + 1)) {
    if (at > 0 && is_word(source[at - 1])) continue;
    const size_t next = source.find_first_not_of(" \t\"']", at + key.size());
    if (next == at + key.size() && next < source.size() && is_word(source[next])) continue;
    if (next != std::string_view::npos && source[next] == '=' &&
        !source.substr(next).starts_with("=="))
      return line_at(source, at);
  }
  return 0;
}

int line_of_zero_byte(std::string_view source) {
  for (size_t at = 0; at < source.size(); ++at) {
    if (source[at] == '\0') return line_at(source, at);
    if (source[at] != '\\') continue;
    if (is_zero_escape(source.substr(at + 1))) return line_at(source, at);
    ++at;  // `\\0` is a backslash and a digit
  }
  return 0;
}

}  // namespace sluice::policy
