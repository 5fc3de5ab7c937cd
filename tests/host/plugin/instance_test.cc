#include <gtest/gtest.h>

#include "bad_plugins.h"
#include "plugin/catalog.h"

namespace sluice::plugin {
namespace {

std::shared_ptr<Library> loaded(const std::string& name) {
  auto library = Library::load(fixture(name));
  if (!library) throw std::runtime_error(library.status().text());
  return *std::move(library);
}

Value value_of(const Param& param, std::string_view text) {
  auto value = parse_value(param, text);
  if (!value) throw std::runtime_error(value.status().text());
  return *std::move(value);
}

// Defaults of a kind; its required duration is a minute.
SettingValues complete(const Kind& kind) {
  SettingValues values;
  for (const Param& param : kind.settings)
    values[param.name] = value_of(param, param.default_text.value_or("1m"));
  return values;
}

std::string opened(const std::string& library, std::string_view kind,
                   const SettingValues& settings = {}) {
  const auto instance = Instance::open(loaded(library), kind, "trade", "s", settings);
  return instance ? "opened" : instance.status().text();
}

// Just enough of a host for a stage that fails at once.
struct Explanation {
  Explanation() {
    host.struct_size = sizeof host;
    host.explain = [](void* self, sluice_text, sluice_text detail) {
      static_cast<Explanation*>(self)->text.assign(detail.data, detail.size);
    };
  }
  sluice_host host{};
  std::string text;
};

TEST(CheckSettings, CompleteSettingsAreFine) {
  const auto library = loaded("good_two_kinds");
  const SettingValues values = complete(library->description().kinds[0]);
  EXPECT_TRUE(check_settings(*library, "forward", "trade", "s", values).empty());
  EXPECT_TRUE(check_settings(*library, "tick", "trade", "s", {}).empty());
}

TEST(CheckSettings, ComplaintNamesTheSetting) {
  const auto library = loaded("good_two_kinds");
  SettingValues values = complete(library->description().kinds[0]);
  values["symbols"].list.clear();
  const auto complaints = check_settings(*library, "forward", "trade", "router_a", values);
  ASSERT_EQ(complaints.size(), 1u);
  EXPECT_EQ(complaints[0].setting, "symbols");
  EXPECT_EQ(complaints[0].text, "expected at least one, for stage router_a");
}

TEST(InstanceOpen, StageWithCompleteSettingsOpens) {
  const SettingValues values = complete(loaded("good_two_kinds")->description().kinds[0]);
  EXPECT_EQ(opened("good_two_kinds", "forward", values), "opened");
}

TEST(InstanceOpen, ConstructorThatThrowsIsARefusalWithItsText) {
  EXPECT_EQ(opened("open_throws", "standard"), "stage \"s\" does not open: no luck today");
  EXPECT_EQ(opened("open_throws", "integer"), "stage \"s\" does not open: not a std::exception");
  const Param rate{.name = "rate", .type = ValueType::kInteger};
  EXPECT_EQ(opened("open_throws", "setting", {{"rate", value_of(rate, "3")}}), "opened");
  EXPECT_EQ(opened("open_throws", "setting", {{"rate", value_of(rate, "4")}}),
            "stage \"s\" does not open: setting \"rate\": expected at most 3");
}

TEST(InstanceOpen, UnknownKindIsARefusal) {
  EXPECT_EQ(opened("open_throws", "none"),
            fixture("open_throws") + ": plugin \"open_throws\" has no kind \"none\"");
}

TEST(InstanceProcess, ExceptionsComeBackAsFailedWithTheirText) {
  for (const auto& [kind, text] :
       {std::pair("standard", "entry too hot"), std::pair("integer", "not a std::exception")}) {
    auto instance = Instance::open(loaded("process_throws"), kind, "trade", "s", {});
    ASSERT_TRUE(instance) << instance.status().text();
    Explanation explanation;
    EXPECT_EQ((*instance)->process({&explanation.host, &explanation}), SLUICE_FAILED);
    EXPECT_EQ(explanation.text, text);
  }
}

}  // namespace
}  // namespace sluice::plugin
