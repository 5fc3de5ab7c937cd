// Values as people write them: durations, ranges, choices.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "plugin/catalog.h"
#include "sluice/decimal.h"

namespace sluice::plugin {

namespace {

struct Unit {
  std::string_view suffix;
  int64_t us;
};
// Largest first: the first that divides a duration gives its shortest text.
constexpr std::array<Unit, 6> kUnits{{{"d", 86'400'000'000},
                                      {"h", 3'600'000'000},
                                      {"m", 60'000'000},
                                      {"s", 1'000'000},
                                      {"ms", 1'000},
                                      {"us", 1}}};

// All of `text` as a number; nullopt when something is left over or it does not fit.
template <typename Number>
std::optional<Number> read_number(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end) return std::nullopt;
  return number;
}

// "[a, b]" or "a, b"; quotes around an item are taken off.
std::vector<std::string> split_list(std::string_view text) {
  const auto trimmed = [](std::string_view part) {
    const size_t first = part.find_first_not_of(" \t");
    if (first == std::string_view::npos) return std::string_view();
    return part.substr(first, part.find_last_not_of(" \t") - first + 1);
  };
  text = trimmed(text);
  if (text.size() >= 2 && text.front() == '[' && text.back() == ']')
    text = trimmed(text.substr(1, text.size() - 2));
  std::vector<std::string> items;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    std::string_view item = trimmed(text.substr(0, comma));
    if (item.size() >= 2 && (item.front() == '"' || item.front() == '\'') &&
        item.back() == item.front())
      item = item.substr(1, item.size() - 2);
    items.emplace_back(item);
    text = comma == std::string_view::npos ? std::string_view() : trimmed(text.substr(comma + 1));
  }
  return items;
}

// Type only, no range and no choices. nullopt when `text` is not of that type.
std::optional<Value> read(ValueType type, std::string_view text) {
  Value value;
  value.type = type;
  value.text = std::string(text);
  switch (type) {
    case ValueType::kText:
      return value;
    case ValueType::kInteger: {
      const auto integer = read_number<int64_t>(text);
      if (!integer) return std::nullopt;
      value.integer = *integer;
      value.number = static_cast<double>(*integer);
      return value;
    }
    case ValueType::kNumber: {
      const auto number = read_number<double>(text);
      if (!number || !std::isfinite(*number)) return std::nullopt;
      value.number = *number;
      return value;
    }
    case ValueType::kBoolean:
      if (text != "true" && text != "false") return std::nullopt;
      value.integer = text == "true" ? 1 : 0;
      return value;
    case ValueType::kDecimal: {
      const auto decimal = Decimal::parse(text);
      if (!decimal) return std::nullopt;
      value.text = decimal->text();  // the C table knows no exponents
      return value;
    }
    case ValueType::kDuration: {
      const auto us = parse_duration(text);
      if (!us) return std::nullopt;
      value.integer = *us;
      return value;
    }
    case ValueType::kList:
      value.list = split_list(text);
      return value;
    case ValueType::kNull:
    case ValueType::kRecord:
      break;
  }
  return std::nullopt;
}

bool has_order(ValueType type) {
  return type == ValueType::kInteger || type == ValueType::kNumber || type == ValueType::kDecimal ||
         type == ValueType::kDuration;
}

// a < b for two values of one ordered type.
bool less(const Value& a, const Value& b) {
  if (a.type == ValueType::kNumber) return a.number < b.number;
  if (a.type == ValueType::kDecimal) {
    const auto left = Decimal::parse(a.text), right = Decimal::parse(b.text);
    return left && right && *left < *right;
  }
  return a.integer < b.integer;
}

// A bound that cannot be read holds nothing; descriptions with one are refused at loading.
bool within_range(const Param& param, const Value& value) {
  if (!has_order(param.type)) return true;
  const auto min = param.min_text ? read(param.type, *param.min_text) : std::nullopt;
  const auto max = param.max_text ? read(param.type, *param.max_text) : std::nullopt;
  return !(min && less(value, *min)) && !(max && less(*max, value));
}

bool is_choice(const Param& param, std::string_view text) {
  return param.choices.empty() ||
         std::find(param.choices.begin(), param.choices.end(), text) != param.choices.end();
}

std::string_view with_article(ValueType type) {
  switch (type) {
    case ValueType::kInteger:
      return "an integer";
    case ValueType::kNumber:
      return "a number";
    case ValueType::kBoolean:
      return "true or false";
    case ValueType::kDecimal:
      return "a decimal";
    case ValueType::kDuration:
      return "a duration";
    case ValueType::kList:
      return "a list";
    case ValueType::kText:
    case ValueType::kNull:
    case ValueType::kRecord:
      break;
  }
  return "text";
}

// A value that would have been right, for types whose form is not obvious.
std::string sample(const Param& param) {
  if (param.type != ValueType::kDuration) return {};
  for (const auto& candidate :
       {param.default_text, std::optional<std::string>("10s"), param.min_text, param.max_text}) {
    if (!candidate) continue;
    const auto value = read(param.type, *candidate);
    if (value && within_range(param, *value)) return ", such as " + *candidate;
  }
  return {};
}

std::string expected(const Param& param) {
  if (!param.choices.empty()) {
    const char* const intro = param.type == ValueType::kList ? "a list of" : "one of";
    return fmt::format("{} {}", intro, fmt::join(param.choices, ", "));
  }
  std::string text(with_article(param.type));
  if (!param.unit.empty()) text += " in " + param.unit;
  if (param.min_text && param.max_text)
    text += fmt::format(" from {} to {}", *param.min_text, *param.max_text);
  else if (param.min_text)
    text += " of at least " + *param.min_text;
  else if (param.max_text)
    text += " of at most " + *param.max_text;
  return text + sample(param);
}

Status mismatch(const Param& param, std::string_view text) {
  return Status(Code::kInvalid, fmt::format("expected {}, got \"{}\"", expected(param), text));
}

}  // namespace

std::string_view type_name(ValueType type) {
  switch (type) {
    case ValueType::kText:
      return "text";
    case ValueType::kInteger:
      return "integer";
    case ValueType::kNumber:
      return "number";
    case ValueType::kBoolean:
      return "boolean";
    case ValueType::kDecimal:
      return "decimal";
    case ValueType::kDuration:
      return "duration";
    case ValueType::kList:
      return "list";
    case ValueType::kRecord:
      return "record";
    case ValueType::kNull:
      break;
  }
  return "null";
}

Result<Value> parse_value(const Param& param, std::string_view text) {
  auto value = read(param.type, text);
  if (!value) return mismatch(param, text);
  if (param.type == ValueType::kList) return parse_list(param, value->list);
  if (!is_choice(param, text) || !within_range(param, *value)) return mismatch(param, text);
  return *std::move(value);
}

Result<Value> parse_list(const Param& param, const std::vector<std::string>& items) {
  const std::string text = fmt::format("[{}]", fmt::join(items, ", "));
  if (param.type != ValueType::kList)
    return Status(Code::kInvalid, fmt::format("expected {}, got a list", expected(param)));
  for (const std::string& item : items) {
    if (!is_choice(param, item)) return mismatch(param, item);
  }
  Value value;
  value.type = ValueType::kList;
  value.text = text;
  value.list = items;
  return value;
}

std::optional<int64_t> parse_duration(std::string_view text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto count = read_number<int64_t>(text.substr(0, digits));
  if (!count) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (unit.suffix != text.substr(digits)) continue;
    int64_t us = 0;
    if (__builtin_mul_overflow(*count, unit.us, &us)) return std::nullopt;
    return us;
  }
  return std::nullopt;
}

std::string duration_text(int64_t us) {
  if (us == 0) return "0s";
  for (const Unit& unit : kUnits) {
    if (us % unit.us == 0) return fmt::format("{}{}", us / unit.us, unit.suffix);
  }
  return fmt::format("{}us", us);
}

}  // namespace sluice::plugin
