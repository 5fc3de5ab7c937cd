// How the trade stages write numbers, times and ids as text. Pure functions.
//
// Source of the forms: the reference contract, sections 0.2 and 0.3.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sluice/plugin.h"

namespace sluice::trade {

// Without spaces, tabs and line ends on both sides.
std::string_view trim(std::string_view text);

// ASCII letters in upper case; other bytes untouched.
std::string upper(std::string_view text);
std::string lower(std::string_view text);

// Trimmed `text` when it serves as an id: not empty and not 0, null or none in any case.
std::optional<std::string_view> usable_id(std::string_view text);

// The first usable id, or empty text.
std::string_view first_usable(std::string_view a, std::string_view b, std::string_view c);

// Shortest text that reads back to the same double, with `.0` for whole numbers below 1e16 and an
// exponent of at least two digits from 1e16 up and below 1e-4: "7.0", "1e+16", "1e-05", "-0.0".
std::string float_text(double value);

// Six decimals, correctly rounded from the binary value, ties to even.
std::string fixed6(double value);

// A finite double from `-?digits...`, or nullopt: no sign +, no spaces, no nan or infinity.
std::optional<double> read_double(std::string_view text);

// A whole number that fits, or nullopt.
std::optional<int64_t> read_integer(std::string_view text);

// Decimal text that always shows a fraction, as floats are written in hashes: "0.0", "0.031".
std::string decimal_text(const Decimal& value);

// "2026-01-24T23:33:31.123456"; the fraction is absent when it is exactly 0. UTC.
std::string iso(Time time);
// The same with a trailing Z.
std::string iso_z(Time time);
// "2026-01-24", UTC.
std::string utc_date(Time time);

// Reads ISO 8601 `YYYY-MM-DDTHH:MM[:SS[.fraction]]` with Z, ±HH:MM, ±HHMM or ±HH; a space may stand
// for T; without a zone it is UTC. Fractions finer than a microsecond are cut. Years 1970 to 9999.
std::optional<Time> parse_iso(std::string_view text);

// Whole seconds since the epoch, towards the past.
int64_t epoch_seconds(Time time);
// The same as text.
std::string epoch_text(Time time);
// Seconds with a fraction, "1769297714.196"; always shows a fraction.
std::string epoch_fraction_text(Time time);

int64_t micros(Time time);
std::string micros_text(Time time);

}  // namespace sluice::trade
