// Hooks, policy files and records for the tests of host/policy.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/policy.h"

namespace sluice::policy {

inline plugin::Param param(std::string name, plugin::ValueType type, std::string default_text) {
  plugin::Param result;
  result.name = std::move(name);
  result.type = type;
  result.default_text = std::move(default_text);
  return result;
}

inline plugin::Param ranged(plugin::Param result, std::string min, std::string max) {
  result.min_text = std::move(min);
  result.max_text = std::move(max);
  return result;
}

inline plugin::HookArg record_arg(std::string name, std::vector<std::string> fields) {
  return {std::move(name), plugin::ValueType::kRecord, std::move(fields)};
}

inline plugin::HookArg text_arg(std::string name) {
  return {std::move(name), plugin::ValueType::kText, {}};
}

// One hook for each shape there is.
inline std::vector<plugin::Hook> test_hooks() {
  using plugin::ValueType;
  const auto plan = record_arg("plan", {"symbol", "qty", "notional_quote", "age", "closing",
                                        "score", "count", "tags", "price", "note"});
  auto side = param("side", ValueType::kText, "both");
  side.choices = {"buy", "sell", "both"};
  return {
      {"permit_wait",
       "",
       {plan},
       {ranged(param("permit_wait", ValueType::kDuration, "1200ms"), "1ms", "1h")}},
      {"cooldown", "", {}, {ranged(param("cooldown", ValueType::kDuration, "15s"), "0s", "1h")}},
      {"dedup_id", "", {plan}, {param("dedup_id", ValueType::kText, "id")}},
      {"limits",
       "",
       {text_arg("symbol")},
       {ranged(param("per_hour", ValueType::kInteger, "3"), "0", "1000"),
        ranged(param("per_day", ValueType::kDecimal, "5000.50"), "0", "100000")}},
      {"tolerance",
       "",
       {text_arg("symbol")},
       {ranged(param("tolerance", ValueType::kNumber, "1.5"), "0", "100")}},
      {"grants", "", {plan}, {param("grants", ValueType::kBoolean, "false")}},
      {"side", "", {}, {side}},
      {"count", "", {plan}, {param("count", ValueType::kInteger, "1")}},
      {"both", "", {plan, record_arg("ledger", {})}, {param("both", ValueType::kText, "")}},
  };
}

// Fields of a record, whose texts live as long as this.
class RecordOf {
 public:
  RecordOf& text(std::string_view name, std::string_view value) {
    return add(name, SLUICE_TEXT, value);
  }
  RecordOf& decimal(std::string_view name, std::string_view value) {
    return add(name, SLUICE_DECIMAL, value);
  }
  RecordOf& integer(std::string_view name, uint32_t type, int64_t value) {
    add(name, type, {}).members_.back().value.integer = value;
    return *this;
  }
  RecordOf& number(std::string_view name, double value) {
    add(name, SLUICE_NUMBER, {}).members_.back().value.number = value;
    return *this;
  }
  RecordOf& list(std::string_view name, const std::vector<sluice_text>& items) {
    sluice_value& value = add(name, SLUICE_LIST, {}).members_.back().value;
    value.items = items.data();
    value.count = items.size();
    return *this;
  }
  sluice_value value() const {
    sluice_value result{};
    result.type = SLUICE_RECORD;
    result.items = members_.data();
    result.count = members_.size();
    return result;
  }

 private:
  RecordOf& add(std::string_view name, uint32_t type, std::string_view text) {
    sluice_member member{};
    member.name = {name.data(), name.size()};
    member.value.type = type;
    member.value.text = {text.data(), text.size()};
    members_.push_back(member);
    return *this;
  }

  std::vector<sluice_member> members_;
};

inline sluice_value text_value(std::string_view text) {
  sluice_value result{};
  result.type = SLUICE_TEXT;
  result.text = {text.data(), text.size()};
  return result;
}

inline std::string text_of(const sluice_value& value) {
  return std::string(value.text.data, value.text.size);
}

// A folder of its own with one policy file, `apply.lua`.
class PolicyTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "sluice-policy-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    path_ = folder_ + "/apply.lua";
    plan_.text("symbol", "BTCUSDT").decimal("qty", "0.5").decimal("notional_quote", "5000");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(std::string_view text) const {
    std::ofstream file(path_, std::ios::binary | std::ios::trunc);
    file << text;
  }

  Result<std::shared_ptr<const Script>> load(std::string_view text) const {
    write(text);
    return Script::load(path_, hooks_, limits_, system_disk());
  }

  // Why a file is refused, without the folder; "" when it is not.
  std::string refusal(std::string_view text) const {
    return without_folder(load(text).status().text());
  }

  std::string without_folder(std::string text) const {
    for (size_t at = text.find(folder_ + "/"); at != std::string::npos;
         at = text.find(folder_ + "/"))
      text.erase(at, folder_.size() + 1);
    return text;
  }

  std::unique_ptr<State> open(std::string_view text) const {
    auto script = load(text);
    EXPECT_TRUE(script.is_ok()) << script.status().text();
    if (!script.is_ok()) return nullptr;
    auto state = State::open(*script, limits_);
    EXPECT_TRUE(state.is_ok()) << state.status().text();
    return state.is_ok() ? std::move(*state) : nullptr;
  }

  // Calls a hook that takes the plan and returns one value.
  Status call(State& state, std::string_view hook, sluice_value& result) const {
    const sluice_value args[] = {plan_.value()};
    return state.call(hook, args, std::span(&result, 1));
  }

  // Why `hook` of a file fails when it is called; "" when it does not.
  std::string failure(std::string_view text, std::string_view hook = "permit_wait") const {
    const auto state = open(text);
    if (state == nullptr) return "not loaded";
    sluice_value result{};
    return without_folder(call(*state, hook, result).text());
  }

  std::string folder_, path_;
  std::vector<plugin::Hook> hooks_ = test_hooks();
  Limits limits_;
  RecordOf plan_;
};

}  // namespace sluice::policy
