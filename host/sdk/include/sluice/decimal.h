// Exact decimals for money: prices, quantities, limits. No binary floating point anywhere.
//
// Invariant: value = mantissa / 10^scale, 0 <= scale <= 18, |mantissa| < 10^36. Operations that
// would leave that range give nullopt; nothing wraps, nothing rounds unless the name says so.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

class Decimal {
 public:
  static constexpr int kScaleMax = 18;

  constexpr Decimal() = default;
  constexpr explicit Decimal(int64_t whole) : mantissa_(whole) {}

  // Mantissa over 10^scale, e.g. from_scaled(123, 2) is 1.23; 0 <= scale <= 18.
  static constexpr Decimal from_scaled(int64_t mantissa, int scale) {
    assert(scale >= 0 && scale <= kScaleMax);
    Decimal result;
    result.mantissa_ = mantissa;
    result.scale_ = scale;
    return result.normalized();
  }

  // Reads `-?digits[.digits][(e|E)[+-]digits]`, nothing else: no sign +, no spaces, no inf or nan.
  // nullopt as well when the value needs more than 18 decimals or 36 digits.
  static std::optional<Decimal> parse(std::string_view text);

  // The exact decimal of the shortest text that reads back to `value`; nullopt for nan and
  // infinity.
  static std::optional<Decimal> from_double(double value);

  // Plain decimal text without exponent or trailing zeros: "0", "-12.5", "0.001".
  std::string text() const;

  constexpr bool is_zero() const { return mantissa_ == 0; }
  constexpr bool is_negative() const { return mantissa_ < 0; }
  constexpr bool is_positive() const { return mantissa_ > 0; }
  Decimal abs() const { return is_negative() ? negated() : *this; }
  Decimal negated() const {
    Decimal result = *this;
    result.mantissa_ = -result.mantissa_;
    return result;
  }

  std::optional<Decimal> plus(const Decimal& other) const;
  std::optional<Decimal> minus(const Decimal& other) const { return plus(other.negated()); }
  std::optional<Decimal> times(const Decimal& other) const;

  // this / other, cut (towards zero) to `scale` decimals. nullopt when other is zero or the scale
  // is not in 0..18.
  std::optional<Decimal> divided_by(const Decimal& other, int scale) const;

  // The largest multiple of `step` whose size does not exceed this one's: towards zero, never up.
  // nullopt when step is not positive.
  std::optional<Decimal> towards_zero_to(const Decimal& step) const;

  // Cut (towards zero) to `scale` decimals.
  Decimal truncated(int scale) const;

  bool is_multiple_of(const Decimal& step) const;

  // Value times 10^scale when that is a whole number that fits; for engine counters.
  std::optional<int64_t> scaled(int scale) const;

  // For display and policies only; never for a decision about money.
  double to_double() const;

  friend bool operator==(const Decimal& a, const Decimal& b) { return a.compare(b) == 0; }
  friend bool operator<(const Decimal& a, const Decimal& b) { return a.compare(b) < 0; }
  friend bool operator>(const Decimal& a, const Decimal& b) { return a.compare(b) > 0; }
  friend bool operator<=(const Decimal& a, const Decimal& b) { return a.compare(b) <= 0; }
  friend bool operator>=(const Decimal& a, const Decimal& b) { return a.compare(b) >= 0; }

 private:
  __extension__ typedef __int128 Wide;  // GCC and Clang, x86-64 and aarch64

  constexpr Decimal normalized() const {
    Decimal result = *this;
    while (result.scale_ > 0 && result.mantissa_ % 10 == 0) {
      result.mantissa_ /= 10;
      --result.scale_;
    }
    return result;
  }
  int compare(const Decimal& other) const;
  Decimal remainder(const Decimal& step) const;

  Wide mantissa_ = 0;
  int scale_ = 0;
};

}  // namespace sluice

#include "sluice/decimal_inline.h"
