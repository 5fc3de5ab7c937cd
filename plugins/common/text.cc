#include "common/text.h"

#include <array>
#include <charconv>
#include <cmath>

namespace sluice::trade {

namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// `value` with zeros in front, at least `width` characters.
void append_padded(std::string& out, int64_t value, size_t width) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const auto size = static_cast<size_t>(end - digits.data());
  if (size < width) out.append(width - size, '0');
  out.append(digits.data(), size);
}

std::string padded(int64_t value, size_t width) {
  std::string text;
  append_padded(text, value, width);
  return text;
}

// Digits and decimal exponent of the shortest form: 123.4 is "1234" and 2 (1.234e2).
struct Shortest {
  std::string digits;
  int exponent = 0;
};

Shortest shortest(double magnitude) {
  std::array<char, 40> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), magnitude,
                                          std::chars_format::scientific);
  const std::string_view text(buffer.data(), static_cast<size_t>(end - buffer.data()));
  const size_t e = text.find('e');
  Shortest result;
  for (const char c : text.substr(0, e)) {
    if (is_digit(c)) result.digits += c;
  }
  const char* exponent = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(exponent, end, result.exponent);
  return result;
}

// Reads from the front of a text, part by part. A part that does not fit leaves `ok` false.
struct Scanner {
  std::string_view rest;
  bool ok = true;

  int64_t digits(size_t count) {
    int64_t value = 0;
    if (rest.size() < count) ok = false;
    for (size_t i = 0; ok && i < count; ++i) {
      if (!is_digit(rest[i])) ok = false;
      value = value * 10 + (rest[i] - '0');
    }
    if (ok) rest.remove_prefix(count);
    return value;
  }
  bool skip(char c) {
    if (rest.empty() || rest.front() != c) return false;
    rest.remove_prefix(1);
    return true;
  }
  void expect(char c) { ok = skip(c) && ok; }

  // ".1234" to microseconds; at least one digit.
  int64_t fraction() {
    int64_t value = 0;
    size_t count = 0;
    for (; !rest.empty() && is_digit(rest.front()); rest.remove_prefix(1), ++count) {
      if (count < 6) value = value * 10 + (rest.front() - '0');
    }
    if (count == 0) ok = false;
    for (; count < 6; ++count) value *= 10;
    return value;
  }

  // Offset east of UTC in minutes.
  int64_t zone() {
    if (rest.empty() || skip('Z') || skip('z')) return 0;
    const int64_t sign = rest.front() == '-' ? -1 : 1;
    if (!skip('+') && !skip('-')) ok = false;
    const int64_t hours = digits(2);
    int64_t minutes = 0;
    if (skip(':') || (ok && !rest.empty())) minutes = digits(2);
    if (hours > 23 || minutes > 59) ok = false;
    return sign * (hours * 60 + minutes);
  }
};

// `value`, which is below 100, and the character in front of it.
void append_two(std::string& out, char before, int64_t value) {
  const std::array<char, 3> text = {before, static_cast<char>('0' + value / 10),
                                    static_cast<char>('0' + value % 10)};
  out.append(text.data(), text.size());
}

void append_date(std::string& out, Time time) {
  const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(time));
  append_padded(out, static_cast<int>(date.year()), 4);
  append_two(out, '-', static_cast<unsigned>(date.month()));
  append_two(out, '-', static_cast<unsigned>(date.day()));
}

std::string iso_text(Time time, std::string_view zone) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const int64_t us = (time - day).count();
  std::string text;
  text.reserve(sizeof "2026-01-31T23:59:59.999999Z");
  append_date(text, time);
  append_two(text, 'T', us / 3'600'000'000);
  append_two(text, ':', us / 60'000'000 % 60);
  append_two(text, ':', us / 1'000'000 % 60);
  if (us % 1'000'000 != 0) append_padded(text += '.', us % 1'000'000, 6);
  text += zone;
  return text;
}

}  // namespace

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return result;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

std::optional<std::string_view> usable_id(std::string_view text) {
  const std::string_view id = trim(text);
  if (id.empty() || id == "0") return std::nullopt;
  const std::string word = lower(id.substr(0, 5));
  if (word == "null" || word == "none") return std::nullopt;
  return id;
}

std::string_view first_usable(std::string_view a, std::string_view b, std::string_view c) {
  for (const std::string_view text : {a, b, c}) {
    if (const auto id = usable_id(text)) return *id;
  }
  return {};
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  const std::string sign = std::signbit(value) ? "-" : "";
  const auto [digits, exponent] = shortest(std::fabs(value));
  const int size = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    const std::string fraction = size > 1 ? "." + digits.substr(1) : "";
    return sign + digits.substr(0, 1) + fraction + (exponent < 0 ? "e-" : "e+") +
           padded(std::abs(exponent), 2);
  }
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (size <= exponent + 1)
    return sign + digits + std::string(static_cast<size_t>(exponent + 1 - size), '0') + ".0";
  const size_t whole = static_cast<size_t>(exponent + 1);
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string fixed6(double value) {
  std::array<char, 400> buffer{};  // 1.8e308 has 309 digits before the point
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                          std::chars_format::fixed, 6);
  return {buffer.data(), end};
}

std::optional<double> read_double(std::string_view text) {
  const std::string_view body = !text.empty() && text.front() == '-' ? text.substr(1) : text;
  if (body.empty() || !is_digit(body.front())) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<int64_t> read_integer(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string decimal_text(const Decimal& value) {
  std::string text = value.text();
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

std::string iso(Time time) { return iso_text(time, ""); }

std::string iso_z(Time time) { return iso_text(time, "Z"); }

std::string utc_date(Time time) {
  std::string text;
  append_date(text, time);
  return text;
}

std::optional<Time> parse_iso(std::string_view text) {
  Scanner scan{trim(text)};
  const int64_t year = scan.digits(4);
  scan.expect('-');
  const int64_t month = scan.digits(2);
  scan.expect('-');
  const int64_t day = scan.digits(2);
  if (!scan.skip('T') && !scan.skip('t') && !scan.skip(' ')) return std::nullopt;
  const int64_t hour = scan.digits(2);
  scan.expect(':');
  const int64_t minute = scan.digits(2);
  const int64_t second = scan.skip(':') ? scan.digits(2) : 0;
  const int64_t fraction = scan.skip('.') ? scan.fraction() : 0;
  const int64_t zone = scan.zone();
  if (!scan.ok || !scan.rest.empty() || year < 1970) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok() || hour > 23 || minute > 59 || second > 59) return std::nullopt;
  return Time(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute - zone) + std::chrono::seconds(second) + Duration(fraction);
}

int64_t epoch_seconds(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

std::string epoch_text(Time time) { return std::to_string(epoch_seconds(time)); }

std::string epoch_fraction_text(Time time) {
  return decimal_text(Decimal::from_scaled(micros(time), 6));
}

int64_t micros(Time time) { return time.time_since_epoch().count(); }
std::string micros_text(Time time) { return std::to_string(micros(time)); }

}  // namespace sluice::trade
