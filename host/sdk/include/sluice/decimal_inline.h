// Bodies of "sluice/decimal.h"; include that one.
//
// Every Decimal is kept without trailing zeros after the point. Several results below are exact
// only because of that: a sum of two values with different scales cannot lose decimals, and a
// product that is too wide after its tens were cancelled has no narrower form.
#pragma once

#include <array>
#include <cassert>
#include <charconv>
#include <cmath>
#include <system_error>

namespace sluice {

namespace detail {

__extension__ typedef __int128 Int128;

constexpr std::array<Int128, 37> make_powers_of_ten() {
  std::array<Int128, 37> powers{};
  powers[0] = 1;
  for (size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}
inline constexpr std::array<Int128, 37> kPowersOfTen = make_powers_of_ten();
inline constexpr Int128 kMantissaEnd = kPowersOfTen[36];  // sizes stay below

// value * 10^exponent while its size stays below kMantissaEnd; exponent >= 0.
constexpr std::optional<Int128> times_power_of_ten(Int128 value, int exponent) {
  if (value == 0) return 0;
  if (exponent >= static_cast<int>(kPowersOfTen.size())) return std::nullopt;
  Int128 product = 0;
  if (__builtin_mul_overflow(value, kPowersOfTen[static_cast<size_t>(exponent)], &product))
    return std::nullopt;
  if (product >= kMantissaEnd || product <= -kMantissaEnd) return std::nullopt;
  return product;
}

// Reads `[+-]digits` at the end of a number. Large exponents stop at a bound no value can use.
inline std::optional<int> parse_exponent(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text.empty()) return std::nullopt;
  int exponent = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    if (exponent < 100'000'000) exponent = exponent * 10 + (c - '0');
  }
  return negative ? -exponent : exponent;
}

// The quick way for most numbers, `digits[.digits]` of at most 18 characters: they need no wide
// arithmetic. nullopt for all else, sound or not.
struct PlainDecimal {
  uint64_t mantissa;
  int scale;  // no trailing zeros
};
inline std::optional<PlainDecimal> parse_plain(std::string_view text) {
  if (text.empty() || text.size() > 18) return std::nullopt;
  uint64_t mantissa = 0;
  size_t point = text.size();
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = static_cast<unsigned>(text[i] - '0');
    if (digit <= 9) {
      mantissa = mantissa * 10 + digit;
    } else if (text[i] == '.' && point == text.size()) {
      point = i;
    } else {
      return std::nullopt;
    }
  }
  if (point == text.size()) return PlainDecimal{mantissa, 0};
  if (point == 0 || point + 1 == text.size()) return std::nullopt;
  auto scale = static_cast<int>(text.size() - point - 1);
  for (; scale > 0 && mantissa % 10 == 0; --scale) mantissa /= 10;
  return PlainDecimal{mantissa, scale};
}

}  // namespace detail

inline std::optional<Decimal> Decimal::parse(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (const auto plain = detail::parse_plain(text)) {
    Decimal result;
    result.mantissa_ = negative ? -Wide{plain->mantissa} : Wide{plain->mantissa};
    result.scale_ = plain->scale;
    return result;
  }

  // Zeros are held back until a later digit needs them, so leading and trailing ones cost nothing.
  Wide mantissa = 0;
  int64_t zeros = 0, decimals = 0;
  bool point = false, digit_before = false, digit_after = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (point || !digit_before) return std::nullopt;
      point = true;
      continue;
    }
    if (c < '0' || c > '9') break;
    (point ? digit_after : digit_before) = true;
    if (point) ++decimals;
    if (c == '0') {
      ++zeros;
      continue;
    }
    const auto shifted =
        detail::times_power_of_ten(mantissa, static_cast<int>(std::min<int64_t>(zeros + 1, 100)));
    if (!shifted || *shifted + (c - '0') >= detail::kMantissaEnd) return std::nullopt;
    mantissa = *shifted + (c - '0');
    zeros = 0;
  }
  if (!digit_before || (point && !digit_after)) return std::nullopt;

  int64_t scale = decimals - zeros;
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') return std::nullopt;
    const auto exponent = detail::parse_exponent(text.substr(i + 1));
    if (!exponent) return std::nullopt;
    scale -= *exponent;
  }
  if (mantissa == 0) return Decimal();
  if (scale > kScaleMax) return std::nullopt;
  if (scale < 0) {
    const auto whole =
        detail::times_power_of_ten(mantissa, static_cast<int>(std::min<int64_t>(-scale, 100)));
    if (!whole) return std::nullopt;
    mantissa = *whole;
    scale = 0;
  }
  Decimal result;
  result.mantissa_ = negative ? -mantissa : mantissa;
  result.scale_ = static_cast<int>(scale);
  return result;
}

inline std::optional<Decimal> Decimal::from_double(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  if (end.ec != std::errc()) return std::nullopt;
  return parse({buffer.data(), static_cast<size_t>(end.ptr - buffer.data())});
}

inline std::string Decimal::text() const {
  std::array<char, 64> buffer{};  // a sign, 36 digits, a point and at most 18 leading zeros
  char* const end = buffer.data() + buffer.size();
  char* out = end;
  int decimals_left = scale_;
  const auto put = [&](int digit, bool is_first) {
    *--out = static_cast<char>('0' + digit);
    if (decimals_left > 0 && --decimals_left == 0) {
      *--out = '.';
      if (is_first) *--out = '0';
    }
  };
  Wide wide = mantissa_ < 0 ? -mantissa_ : mantissa_;
  for (; wide > UINT64_MAX; wide /= 10) put(static_cast<int>(wide % 10), false);
  auto rest = static_cast<uint64_t>(wide);  // all of most: dividing it is many times cheaper
  do {
    put(static_cast<int>(rest % 10), rest < 10);
    rest /= 10;
  } while (rest != 0 || decimals_left > 0);
  if (mantissa_ < 0) *--out = '-';
  return std::string(out, end);
}

inline std::optional<Decimal> Decimal::plus(const Decimal& other) const {
  const int scale = scale_ > other.scale_ ? scale_ : other.scale_;
  const auto left = detail::times_power_of_ten(mantissa_, scale - scale_);
  const auto right = detail::times_power_of_ten(other.mantissa_, scale - other.scale_);
  if (!left || !right) return std::nullopt;
  const Wide sum = *left + *right;  // below 2 * 10^36: fits
  if (sum >= detail::kMantissaEnd || sum <= -detail::kMantissaEnd) return std::nullopt;
  Decimal result;
  result.mantissa_ = sum;
  result.scale_ = scale;
  return result.normalized();
}

inline std::optional<Decimal> Decimal::times(const Decimal& other) const {
  if (is_zero() || other.is_zero()) return Decimal();
  Wide left = mantissa_, right = other.mantissa_;
  int scale = scale_ + other.scale_;
  // Cancels every ten of the product before multiplying; what is then too wide has no other form.
  for (; scale > 0; --scale) {
    if (left % 10 == 0) {
      left /= 10;
    } else if (right % 10 == 0) {
      right /= 10;
    } else if (left % 2 == 0 && right % 5 == 0) {
      left /= 2;
      right /= 5;
    } else if (left % 5 == 0 && right % 2 == 0) {
      left /= 5;
      right /= 2;
    } else {
      break;
    }
  }
  Wide product = 0;
  if (scale > kScaleMax || __builtin_mul_overflow(left, right, &product)) return std::nullopt;
  if (product >= detail::kMantissaEnd || product <= -detail::kMantissaEnd) return std::nullopt;
  Decimal result;
  result.mantissa_ = product;
  result.scale_ = scale;
  return result;
}

inline std::optional<Decimal> Decimal::divided_by(const Decimal& other, int scale) const {
  if (other.is_zero() || scale < 0 || scale > kScaleMax) return std::nullopt;
  const bool negative = is_negative() != other.is_negative();
  const Wide divisor = other.is_negative() ? -other.mantissa_ : other.mantissa_;
  const Wide dividend = is_negative() ? -mantissa_ : mantissa_;
  Wide quotient = dividend / divisor;
  Wide rest = dividend % divisor;

  // The quotient of the mantissas, as if over 10^(scale_ - other.scale_); digits are added to or
  // cut from it until it is over 10^scale.
  int digits = scale + other.scale_ - scale_;
  int zeros = 0;  // held back until a later digit needs them
  for (; digits > 0; --digits) {
    rest *= 10;  // rest < 10^36
    const Wide digit = rest / divisor;
    rest %= divisor;
    ++zeros;
    if (digit == 0) continue;
    const auto shifted = detail::times_power_of_ten(quotient, zeros);
    if (!shifted || *shifted + digit >= detail::kMantissaEnd) return std::nullopt;
    quotient = *shifted + digit;
    zeros = 0;
  }
  if (digits < 0) quotient /= detail::kPowersOfTen[static_cast<size_t>(-digits)];
  if (zeros > scale) {
    const auto whole = detail::times_power_of_ten(quotient, zeros - scale);
    if (!whole) return std::nullopt;
    quotient = *whole;
    zeros = scale;
  }
  Decimal result;
  result.mantissa_ = negative ? -quotient : quotient;
  result.scale_ = scale - zeros;
  return result.normalized();
}

// this % step with the sign of this; step is positive.
inline Decimal Decimal::remainder(const Decimal& step) const {
  assert(step.is_positive());
  Decimal result;
  if (scale_ < step.scale_) {
    Wide rest = mantissa_ % step.mantissa_;
    for (int i = scale_; i < step.scale_; ++i) rest = rest * 10 % step.mantissa_;
    result.mantissa_ = rest;
    result.scale_ = step.scale_;
  } else {
    const auto modulus = detail::times_power_of_ten(step.mantissa_, scale_ - step.scale_);
    // A modulus that is too wide is larger than any mantissa.
    result.mantissa_ = modulus ? mantissa_ % *modulus : mantissa_;
    result.scale_ = scale_;
  }
  return result.normalized();
}

inline std::optional<Decimal> Decimal::towards_zero_to(const Decimal& step) const {
  if (!step.is_positive()) return std::nullopt;
  return minus(remainder(step));
}

inline Decimal Decimal::truncated(int scale) const {
  assert(scale >= 0);
  if (scale >= scale_) return *this;
  Decimal result;
  result.mantissa_ = mantissa_ / detail::kPowersOfTen[static_cast<size_t>(scale_ - scale)];
  result.scale_ = scale;
  return result.normalized();
}

inline bool Decimal::is_multiple_of(const Decimal& step) const {
  return step.is_positive() && remainder(step).is_zero();
}

inline std::optional<int64_t> Decimal::scaled(int scale) const {
  if (scale < scale_) return std::nullopt;
  const auto value = detail::times_power_of_ten(mantissa_, scale - scale_);
  if (!value || *value > INT64_MAX || *value < INT64_MIN) return std::nullopt;
  return static_cast<int64_t>(*value);
}

inline double Decimal::to_double() const {
  const std::string digits = text();
  double value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

// Whole parts first, then decimals on one scale: neither can overflow.
inline int Decimal::compare(const Decimal& other) const {
  const Wide power = detail::kPowersOfTen[static_cast<size_t>(scale_)];
  const Wide other_power = detail::kPowersOfTen[static_cast<size_t>(other.scale_)];
  const Wide whole = mantissa_ / power, other_whole = other.mantissa_ / other_power;
  if (whole != other_whole) return whole < other_whole ? -1 : 1;
  const Wide part = mantissa_ % power * (detail::kPowersOfTen[kScaleMax] / power);
  const Wide other_part =
      other.mantissa_ % other_power * (detail::kPowersOfTen[kScaleMax] / other_power);
  if (part == other_part) return 0;
  return part < other_part ? -1 : 1;
}

}  // namespace sluice
