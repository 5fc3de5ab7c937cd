#include "policy/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/mutant.h"
#include "policy/text.h"

namespace sluice::policy {

namespace {

using plugin::Param;
using plugin::Value;
using plugin::ValueType;

// Reads a default or a bound, which need not respect the range or the choices.
Result<Value> parse_bare(const Param& param, const std::string& text) {
  Param bare;
  bare.name = param.name;
  bare.type = param.type;
  bare.unit = param.unit;
  return plugin::parse_value(bare, text);
}

std::string_view article(ValueType type) {
  if (type == ValueType::kText) return "";
  return type == ValueType::kInteger ? "an " : "a ";
}

std::string describe_rule(const Param& param) {
  if (!param.choices.empty()) return "one of " + listed(param.choices);
  std::string text(article(param.type));
  text += plugin::type_name(param.type);
  if (param.min_text && param.max_text)
    text += fmt::format(" from {} to {}", *param.min_text, *param.max_text);
  else if (param.min_text)
    text += " of at least " + *param.min_text;
  else if (param.max_text)
    text += " of at most " + *param.max_text;
  if (param.type == ValueType::kDuration) text += " as a number of milliseconds";
  if (param.type == ValueType::kDecimal) text += " as a number or text";
  return text;
}

Result<Answer> answer_of(const Param& param, const Value& value) {
  Answer answer;
  answer.type = static_cast<uint32_t>(param.type);
  answer.integer = value.integer;
  answer.number = value.number;
  if (param.type == ValueType::kText) answer.text = value.text;
  if (param.type == ValueType::kDecimal) {
    const auto decimal = Decimal::parse(value.text);
    if (!decimal) return Status(Code::kInvalid, "not a decimal: " + value.text);
    answer.text = decimal->text();
  }
  return answer;
}

}  // namespace

sluice_value Answer::view() const {
  sluice_value value{};
  value.type = type;
  value.integer = integer;
  value.number = number;
  value.text = {text.data(), text.size()};
  return value;
}

Result<ResultRule> ResultRule::make(const Param& param) {
  if (param.type == ValueType::kNull || param.type == ValueType::kList ||
      param.type == ValueType::kRecord)
    return Status(Code::kInvalid, param.name + ": not a type a hook can return");
  if (!param.default_text)
    return Status(Code::kInvalid, param.name + ": described without default");
  ResultRule rule;
  rule.param_ = param;
  rule.expected_ = describe_rule(param);
  SLUICE_ASSIGN(value, plugin::parse_value(param, *param.default_text));
  SLUICE_ASSIGN(answer, answer_of(param, value));
  rule.default_ = std::move(answer);

  auto read_bound = [&](const std::optional<std::string>& text, auto& integer, auto& number,
                        auto& decimal) -> Status {
    if (!text || param.type == ValueType::kText || param.type == ValueType::kBoolean)
      return Status::ok();
    SLUICE_ASSIGN(bound, parse_bare(param, *text));
    if (param.type == ValueType::kNumber)
      number = bound.number;
    else if (param.type == ValueType::kDecimal)
      decimal = Decimal::parse(bound.text);
    else
      integer = bound.integer;
    return Status::ok();
  };
  SLUICE_TRY(read_bound(param.min_text, rule.integer_min_, rule.number_min_, rule.decimal_min_));
  SLUICE_TRY(read_bound(param.max_text, rule.integer_max_, rule.number_max_, rule.decimal_max_));
  return rule;
}

std::string ResultRule::read(lua_State* lua, int index, size_t text_bytes_max, Answer& into) const {
  into.type = static_cast<uint32_t>(param_.type);
  into.integer = 0;
  into.number = 0;
  into.text.clear();
  bool good = false;
  switch (param_.type) {
    case ValueType::kText:
      good = read_text(lua, index, text_bytes_max, into);
      break;
    case ValueType::kInteger:
      good = read_integer(lua, index, into);
      break;
    case ValueType::kNumber:
      good = read_number(lua, index, into);
      break;
    case ValueType::kBoolean:
      good = lua_type(lua, index) == LUA_TBOOLEAN;
      into.integer = lua_toboolean(lua, index);
      break;
    case ValueType::kDecimal:
      good = read_decimal(lua, index, into);
      break;
    case ValueType::kDuration:
      good = read_duration(lua, index, into);
      break;
    default:
      break;  // refused by make
  }
  if (good) return {};
  return fmt::format("expected {}, got {}", expected_, describe_value(lua, index));
}

bool ResultRule::read_text(lua_State* lua, int index, size_t text_bytes_max, Answer& into) const {
  if (lua_type(lua, index) != LUA_TSTRING) return false;
  size_t size = 0;
  const char* data = lua_tolstring(lua, index, &size);
  if (size > text_bytes_max) return false;
  into.text.assign(data, size);
  return param_.choices.empty() ||
         std::find(param_.choices.begin(), param_.choices.end(), into.text) != param_.choices.end();
}

bool ResultRule::in_range(int64_t value) const {
  if (SLUICE_MUTANT(policy_range_unchecked)) return true;
  return (!integer_min_ || value >= *integer_min_) && (!integer_max_ || value <= *integer_max_);
}

bool ResultRule::read_integer(lua_State* lua, int index, Answer& into) const {
  if (lua_type(lua, index) != LUA_TNUMBER) return false;
  int whole = 0;
  into.integer = lua_tointegerx(lua, index, &whole);  // 3.0 is whole, 3.5 is not
  return whole != 0 && in_range(into.integer);
}

bool ResultRule::read_number(lua_State* lua, int index, Answer& into) const {
  if (lua_type(lua, index) != LUA_TNUMBER) return false;
  into.number = lua_tonumber(lua, index);
  return std::isfinite(into.number) && (!number_min_ || into.number >= *number_min_) &&
         (!number_max_ || into.number <= *number_max_);
}

bool ResultRule::read_decimal(lua_State* lua, int index, Answer& into) const {
  std::optional<Decimal> value;
  if (lua_type(lua, index) == LUA_TSTRING) {
    size_t size = 0;
    const char* data = lua_tolstring(lua, index, &size);
    value = Decimal::parse({data, size});
  } else if (lua_type(lua, index) == LUA_TNUMBER) {
    if (lua_isinteger(lua, index))
      value = Decimal(lua_tointeger(lua, index));
    else
      value = Decimal::from_double(lua_tonumber(lua, index));
  }
  if (!value || (decimal_min_ && *value < *decimal_min_) ||
      (decimal_max_ && *value > *decimal_max_))
    return false;
  into.text = value->text();
  return true;
}

bool ResultRule::read_duration(lua_State* lua, int index, Answer& into) const {
  constexpr int64_t kUsPerMs = 1000;
  if (lua_type(lua, index) != LUA_TNUMBER) return false;
  if (lua_isinteger(lua, index)) {
    if (__builtin_mul_overflow(int64_t{lua_tointeger(lua, index)}, kUsPerMs, &into.integer))
      return false;
    return in_range(into.integer);
  }
  constexpr double kUsMax = 9e15;     // whole numbers are exact in a double up to there
  constexpr double kRounding = 1e-3;  // of a microsecond: 0.3 ms is not exact in binary
  const double us = lua_tonumber(lua, index) * kUsPerMs;
  if (!(std::fabs(us) < kUsMax)) return false;  // also NaN
  if (std::fabs(us - std::nearbyint(us)) > kRounding) return false;
  into.integer = static_cast<int64_t>(std::nearbyint(us));
  return in_range(into.integer);
}

std::string describe_value(lua_State* lua, int index) {
  constexpr size_t kShownMax = 40;
  switch (lua_type(lua, index)) {
    case LUA_TNIL:
    case LUA_TNONE:
      return "nil";
    case LUA_TBOOLEAN:
      return lua_toboolean(lua, index) != 0 ? "true" : "false";
    case LUA_TNUMBER:
      if (lua_isinteger(lua, index)) return fmt::format("{}", lua_tointeger(lua, index));
      return fmt::format("{}", lua_tonumber(lua, index));
    case LUA_TSTRING: {
      size_t size = 0;
      const char* data = lua_tolstring(lua, index, &size);
      std::string shown = fmt::format("\"{}\"", cut({data, size}, kShownMax));
      if (size > kShownMax) shown += fmt::format(" ({} bytes)", size);
      return shown;
    }
    case LUA_TTABLE:
      return "a table";
    case LUA_TFUNCTION:
      return "a function";
    default:
      return "a record";
  }
}

Result<HookRule> HookRule::make(const plugin::Hook& hook) {
  HookRule rule;
  rule.hook = hook;
  if (hook.results.empty()) return Status(Code::kInvalid, hook.name + ": described without result");
  for (const Param& param : hook.results) {
    auto result = ResultRule::make(param);
    if (!result.is_ok()) return result.status().within("hook " + hook.name);
    rule.results.push_back(std::move(result).value());
    rule.result_names.push_back(param.name);
  }
  return rule;
}

std::vector<Answer> HookRule::default_answers() const {
  std::vector<Answer> answers;
  for (const ResultRule& rule : results) answers.push_back(rule.default_answer());
  return answers;
}

std::string HookRule::signature() const {
  std::vector<std::string> names;
  for (const plugin::HookArg& arg : hook.args) names.push_back(arg.name);
  return fmt::format("{}({})", hook.name, listed(names));
}

}  // namespace sluice::policy
