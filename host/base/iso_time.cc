#include "base/iso_time.h"

#include <fmt/format.h>

namespace sluice {

namespace {

// Takes text from the front, one piece after the other; false once something does not fit.
class Cursor {
 public:
  explicit Cursor(std::string_view rest) : rest_(rest) {}

  bool number(size_t digits, int& out) {
    if (rest_.size() < digits) return false;
    out = 0;
    for (size_t i = 0; i < digits; ++i) {
      if (rest_[i] < '0' || rest_[i] > '9') return false;
      out = out * 10 + (rest_[i] - '0');
    }
    rest_.remove_prefix(digits);
    return true;
  }

  bool literal(char c) {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // Digits after the point, as microseconds.
  bool fraction(int64_t& us) {
    us = 0;
    int64_t scale = 100'000;
    size_t digits = 0;
    for (; digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9'; ++digits) {
      us += (rest_[digits] - '0') * scale;
      scale /= 10;
    }
    rest_.remove_prefix(digits);
    return digits > 0;
  }

  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace

std::optional<WallTime> parse_iso_time(std::string_view text) {
  namespace c = std::chrono;
  Cursor at(text);
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  const bool date = at.number(4, year) && at.literal('-') && at.number(2, month) &&
                    at.literal('-') && at.number(2, day);
  if (!date || !(at.literal('T') || at.literal(' '))) return std::nullopt;
  if (!(at.number(2, hour) && at.literal(':') && at.number(2, minute) && at.literal(':') &&
        at.number(2, second)))
    return std::nullopt;
  int64_t us = 0;
  if (at.literal('.') && !at.fraction(us)) return std::nullopt;
  int zone_minutes = 0;
  if (!at.done() && !at.literal('Z')) {
    const int sign = at.literal('+') ? 1 : at.literal('-') ? -1 : 0;
    int zone_hour = 0, zone_minute = 0;
    if (sign == 0 || !at.number(2, zone_hour) || !at.literal(':') || !at.number(2, zone_minute) ||
        zone_hour > 23 || zone_minute > 59)
      return std::nullopt;
    zone_minutes = sign * (zone_hour * 60 + zone_minute);
  }
  const c::year_month_day ymd{c::year(year), c::month(static_cast<unsigned>(month)),
                              c::day(static_cast<unsigned>(day))};
  // A leap second (60) is taken as the first instant of the next minute.
  if (!at.done() || !ymd.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  return WallTime(c::sys_days(ymd)) + c::hours(hour) + c::minutes(minute - zone_minutes) +
         c::seconds(second) + Micros(us);
}

std::string iso_time_text(WallTime time) {
  namespace c = std::chrono;
  const auto days = c::floor<c::days>(time);
  const c::year_month_day date(days);
  const c::hh_mm_ss<Micros> clock(time - days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

}  // namespace sluice
