#include "sluice/decimal.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

using sluice::Decimal;

namespace {

Decimal dec(std::string_view text) {
  const auto value = Decimal::parse(text);
  if (!value) throw std::invalid_argument(std::string(text));
  return *value;
}

std::string text_of(const std::optional<Decimal>& value) { return value ? value->text() : "none"; }

// Any decimal that parse can give; wide and narrow ones about equally often.
rc::Gen<Decimal> any_decimal() {
  return rc::gen::exec([] {
    const int digits = *rc::gen::inRange(0, 37);
    std::string text = *rc::gen::arbitrary<bool>() ? "-0" : "0";
    for (int i = 0; i < digits; ++i) text += static_cast<char>('0' + *rc::gen::inRange(0, 10));
    text += "e-" + std::to_string(*rc::gen::inRange(0, 19));
    return dec(text);
  });
}

rc::Gen<Decimal> positive_step() {
  return rc::gen::map(rc::gen::pair(rc::gen::inRange<int64_t>(1, 100'000), rc::gen::inRange(0, 19)),
                      [](const std::pair<int64_t, int>& parts) {
                        return Decimal::from_scaled(parts.first, parts.second);
                      });
}

}  // namespace

namespace sluice {
// NOLINTNEXTLINE(readability-identifier-naming): found by rapidcheck under this name
void showValue(const Decimal& value, std::ostream& out) { out << value.text(); }
}  // namespace sluice

TEST(DecimalParse, PlainAndScientificTextIsRead) {
  EXPECT_EQ(dec("0").text(), "0");
  EXPECT_EQ(dec("-0.000").text(), "0");
  EXPECT_EQ(dec("-12.50").text(), "-12.5");
  EXPECT_EQ(dec("0.001").text(), "0.001");
  EXPECT_EQ(dec("007.10").text(), "7.1");
  EXPECT_EQ(dec("1e-18").text(), "0.000000000000000001");
  EXPECT_EQ(dec("1.5E+2").text(), "150");
  EXPECT_EQ(dec("0e999999999999").text(), "0");
  EXPECT_EQ(dec("100000000000000000000000000000000000").text(),
            "100000000000000000000000000000000000");
  EXPECT_EQ(dec("999999999999999999").text(), "999999999999999999");
  EXPECT_EQ(dec("-18446744073709551615.5").text(), "-18446744073709551615.5");
  EXPECT_EQ(dec("18446744073709551616").text(), "18446744073709551616");
  EXPECT_EQ(dec("0.99999999999999999900").text(), "0.999999999999999999");
}

TEST(DecimalParse, AnythingElseIsRefused) {
  for (const char* text : {"", "-", ".", ".5", "1.", "+1", " 1", "1 ", "1,5", "0x1", "1e", "1e+",
                           "1e1.5", "--1", "1.2.3", "inf", "nan", "NaN", "1_000"})
    EXPECT_FALSE(Decimal::parse(text)) << '"' << text << '"';
}

TEST(DecimalParse, ValuesOutsideTheRangeAreRefused) {
  EXPECT_FALSE(Decimal::parse("1e-19"));
  EXPECT_FALSE(Decimal::parse("0.1234567890123456789"));
  EXPECT_FALSE(Decimal::parse("1e36"));
  EXPECT_FALSE(Decimal::parse("1e4000000000000"));
  EXPECT_FALSE(Decimal::parse("1e-4000000000000"));
  EXPECT_FALSE(Decimal::parse("1234567890123456789012345678901234567"));  // 37 digits
  EXPECT_TRUE(Decimal::parse("0.1000000000000000000000000000000"));       // zeros need no room
}

TEST(DecimalFromDouble, ShortestTextThatReadsBackIsTaken) {
  EXPECT_EQ(text_of(Decimal::from_double(0.1)), "0.1");
  EXPECT_EQ(text_of(Decimal::from_double(0.009000000000000001)), "0.009000000000000001");
  EXPECT_EQ(text_of(Decimal::from_double(1e-7)), "0.0000001");
  EXPECT_EQ(text_of(Decimal::from_double(-2.5)), "-2.5");
  EXPECT_FALSE(Decimal::from_double(std::numeric_limits<double>::infinity()));
  EXPECT_FALSE(Decimal::from_double(std::numeric_limits<double>::quiet_NaN()));
  EXPECT_FALSE(Decimal::from_double(1e300));
}

// Golden cases of the exchange's filters: step 0.001, tick 0.10, mark 97123.4.
TEST(DecimalTowardsZero, ExchangeFiltersCutAndNeverRoundUp) {
  const Decimal step = dec("0.001"), tick = dec("0.10");
  EXPECT_EQ(text_of(dec("0.0019999").towards_zero_to(step)), "0.001");
  EXPECT_EQ(text_of(dec("0.0029999").towards_zero_to(step)), "0.002");
  EXPECT_EQ(text_of(dec("120.0004").towards_zero_to(step)), "120");
  EXPECT_EQ(text_of(dec("120.001").towards_zero_to(step)), "120.001");
  EXPECT_EQ(text_of(dec("0.0005").towards_zero_to(step)), "0");
  EXPECT_EQ(text_of(dec("97000.17").towards_zero_to(tick)), "97000.1");
  EXPECT_EQ(text_of(dec("97000.11").towards_zero_to(tick)->plus(tick)), "97000.2");
  EXPECT_EQ(text_of(dec("97123.4").times(dec("0.002"))), "194.2468");
  EXPECT_EQ(text_of(dec("97123.4").times(dec("1.05"))), "101979.57");
  EXPECT_EQ(text_of(dec("17").towards_zero_to(dec("5"))), "15");
  EXPECT_EQ(text_of(dec("-1.29").towards_zero_to(dec("0.05"))), "-1.25");
}

// In binary floating point int(0.29 / 0.01) is 28 and int(0.3 / 0.1) is 2.
TEST(DecimalTowardsZero, StepsThatBinaryFloatsMissAreHit) {
  EXPECT_EQ(text_of(dec("0.29").divided_by(dec("0.01"), 0)), "29");
  EXPECT_EQ(text_of(dec("0.3").divided_by(dec("0.1"), 0)), "3");
  EXPECT_TRUE(dec("0.3").is_multiple_of(dec("0.1")));
  EXPECT_EQ(text_of(dec("0.29").towards_zero_to(dec("0.01"))), "0.29");
}

TEST(DecimalTowardsZero, StepThatIsNotPositiveGivesNone) {
  EXPECT_FALSE(dec("1").towards_zero_to(dec("0")));
  EXPECT_FALSE(dec("1").towards_zero_to(dec("-0.1")));
  EXPECT_FALSE(dec("0").is_multiple_of(dec("0")));
}

// The exact column of the quantities a closing permit allows: position times share, cut to 0.001.
TEST(DecimalTowardsZero, PermittedQuantitiesAreTheExactFloor) {
  const struct {
    const char *position, *share, *exact;
  } cases[] = {
      {"0.002", "0.75", "0.001"}, {"0.038", "0.75", "0.028"}, {"0.062", "0.75", "0.046"},
      {"0.001", "0.5", "0"},      {"0.001", "0.75", "0"},     {"0.003", "0.5", "0.001"},
      {"0.005", "0.5", "0.002"},  {"12.3456", "1", "12.345"}, {"0.009", "1", "0.009"},
  };
  for (const auto& c : cases) {
    const auto amount = dec(c.position).times(dec(c.share));
    ASSERT_TRUE(amount);
    EXPECT_EQ(text_of(amount->towards_zero_to(dec("0.001"))), c.exact)
        << c.position << " * " << c.share;
  }
}

TEST(DecimalArithmetic, ResultsOutsideTheRangeAreNone) {
  const Decimal wide = dec("999999999999999999999999999999999999");
  EXPECT_FALSE(wide.plus(dec("1")));
  EXPECT_FALSE(wide.plus(dec("0.1")));
  EXPECT_FALSE(wide.times(dec("10")));
  EXPECT_FALSE(wide.times(wide));
  EXPECT_FALSE(dec("1e-18").times(dec("0.1")));
  EXPECT_FALSE(wide.divided_by(dec("0.1"), 0));
  EXPECT_FALSE(wide.divided_by(dec("0"), 0));
  EXPECT_EQ(text_of(wide.minus(wide)), "0");
}

TEST(DecimalArithmetic, WideProductThatFitsIsExact) {
  EXPECT_EQ(text_of(dec("0.000000000000000002").times(dec("500000000000000000"))), "1");
  EXPECT_EQ(text_of(dec("1e18").times(dec("1e17"))), "100000000000000000000000000000000000");
  // Mantissas of 2^54 and 5^40: only cancelled tens make room for the product.
  EXPECT_EQ(text_of(dec("0.018014398509481984").times(dec("9094947017729282379150390.625"))),
            "163840000000000000000000");
}

TEST(DecimalDivision, CutTowardsZeroAtTheScale) {
  EXPECT_EQ(text_of(dec("1").divided_by(dec("3"), 18)), "0.333333333333333333");
  EXPECT_EQ(text_of(dec("-2").divided_by(dec("3"), 2)), "-0.66");
  EXPECT_EQ(text_of(dec("2").divided_by(dec("-3"), 0)), "0");
  EXPECT_EQ(text_of(dec("1e35").divided_by(dec("1"), 18)), "100000000000000000000000000000000000");
  EXPECT_EQ(text_of(dec("1e17").divided_by(dec("1e-18"), 4)),
            "100000000000000000000000000000000000");
  EXPECT_EQ(text_of(dec("0.123456789012345678").divided_by(dec("1"), 3)), "0.123");
  EXPECT_FALSE(dec("1").divided_by(dec("3"), 19));
}

TEST(DecimalOrder, ComparedByValueAcrossScales) {
  EXPECT_EQ(dec("1.50"), dec("1.5"));
  EXPECT_LT(dec("-0.2"), dec("-0.1"));
  EXPECT_LT(dec("-0.1"), dec("0"));
  EXPECT_GT(dec("999999999999999999999999999999999999"), dec("0.000000000000000001"));
  EXPECT_LE(dec("2"), dec("2"));
}

TEST(DecimalScaled, WholeNumbersThatFitOnly) {
  EXPECT_EQ(dec("12.345").scaled(3), 12345);
  EXPECT_EQ(dec("12.345").scaled(2), std::nullopt);
  EXPECT_EQ(dec("9223372036854775807").scaled(0), INT64_MAX);
  EXPECT_EQ(dec("9223372036854775808").scaled(0), std::nullopt);
  EXPECT_EQ(dec("-9223372036854775808").scaled(0), INT64_MIN);
}

RC_GTEST_PROP(DecimalProperty, TextReadsBackToTheSameValue, ()) {
  const Decimal value = *any_decimal();
  const auto again = Decimal::parse(value.text());
  RC_ASSERT(again.has_value());
  RC_ASSERT(*again == value);
  RC_ASSERT(again->text() == value.text());
}

// With an exponent a number takes the long way.
RC_GTEST_PROP(DecimalProperty, ShortNumbersAreReadAsWithAnExponent, ()) {
  const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("0012345.-")));
  const auto quick = Decimal::parse(text);
  const auto full = Decimal::parse(text + "e0");
  RC_ASSERT(quick.has_value() == full.has_value());
  if (quick) RC_ASSERT(quick->text() == full->text());
}

RC_GTEST_PROP(DecimalProperty, TowardsZeroIsTheLargestMultipleNotBeyond, ()) {
  const Decimal value = *any_decimal(), step = *positive_step();
  const auto cut = value.towards_zero_to(step);
  RC_PRE(cut.has_value());
  RC_ASSERT(cut->abs() <= value.abs());
  RC_ASSERT(cut->is_zero() || cut->is_negative() == value.is_negative());
  RC_ASSERT(cut->is_multiple_of(step));
  const auto lost = value.abs().minus(cut->abs());
  RC_ASSERT(lost.has_value());
  RC_ASSERT(*lost < step);
}

RC_GTEST_PROP(DecimalProperty, MinusUndoesPlus, ()) {
  const Decimal a = *any_decimal(), b = *any_decimal();
  const auto sum = a.plus(b);
  RC_PRE(sum.has_value());
  const auto back = sum->minus(b);
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == a);
}

RC_GTEST_PROP(DecimalProperty, QuotientTimesDivisorLosesLessThanOneUnitOfTheScale, ()) {
  const Decimal a = Decimal::from_scaled(*rc::gen::arbitrary<int32_t>(), *rc::gen::inRange(0, 6));
  const Decimal b = *positive_step();
  const int scale = *rc::gen::inRange(0, 10);
  const auto quotient = a.divided_by(b, scale);
  RC_ASSERT(quotient.has_value());
  const auto back = quotient->times(b);
  RC_PRE(back.has_value());
  RC_ASSERT(back->abs() <= a.abs());
  const auto unit = b.times(Decimal::from_scaled(1, scale));
  RC_PRE(unit.has_value());
  RC_ASSERT(*a.abs().minus(back->abs()) < *unit);
}

RC_GTEST_PROP(DecimalProperty, OrderAgreesWithTheSignOfTheDifference, ()) {
  const Decimal a = *any_decimal(), b = *any_decimal();
  const auto difference = a.minus(b);
  RC_PRE(difference.has_value());
  RC_ASSERT((a < b) == difference->is_negative());
  RC_ASSERT((a == b) == difference->is_zero());
}
