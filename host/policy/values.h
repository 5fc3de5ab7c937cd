// Results of hooks: what a policy returned, checked against the description and made plain.
//
// Nothing here raises a Lua error or runs Lua code: values are read raw.
#pragma once

#include <cstdint>
#include <lua.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "plugin/catalog.h"
#include "sluice/abi.h"
#include "sluice/decimal.h"

namespace sluice::policy {

// One checked value. Durations are microseconds; text holds texts and plain decimals.
struct Answer {
  uint32_t type = SLUICE_NULL;
  int64_t integer = 0;
  double number = 0;
  std::string text;

  sluice_value view() const;  // valid while this is unchanged
};

// A described result, with its bounds read once.
class ResultRule {
 public:
  // Errors: kInvalid for a type that is no result (list, record), a missing default, or a bound or
  // default that does not read as the type.
  static Result<ResultRule> make(const plugin::Param& param);

  const std::string& name() const { return param_.name; }
  const Answer& default_answer() const { return default_; }

  // Checks the value at `index` and puts it into `into`, whose text keeps its memory.
  //
  // Errors: "" when fine, otherwise `expected a duration from 1ms to 1h, got -1`.
  std::string read(lua_State* lua, int index, size_t text_bytes_max, Answer& into) const;

 private:
  bool read_text(lua_State* lua, int index, size_t text_bytes_max, Answer& into) const;
  bool read_integer(lua_State* lua, int index, Answer& into) const;
  bool read_number(lua_State* lua, int index, Answer& into) const;
  bool read_decimal(lua_State* lua, int index, Answer& into) const;
  bool read_duration(lua_State* lua, int index, Answer& into) const;
  bool in_range(int64_t value) const;

  plugin::Param param_;
  std::string expected_;  // "a duration from 1ms to 1h, in milliseconds"
  Answer default_;
  std::optional<int64_t> integer_min_, integer_max_;  // durations as well
  std::optional<double> number_min_, number_max_;
  std::optional<Decimal> decimal_min_, decimal_max_;
};

// A Lua value in a message: `-1`, `"soon"`, `nil`, `a table`.
std::string describe_value(lua_State* lua, int index);

// A described hook with its results made ready.
struct HookRule {
  plugin::Hook hook;
  std::vector<ResultRule> results;
  std::vector<std::string> result_names;

  static Result<HookRule> make(const plugin::Hook& hook);
  std::vector<Answer> default_answers() const;
  std::string signature() const;  // "permit_wait(plan)"
};

}  // namespace sluice::policy
