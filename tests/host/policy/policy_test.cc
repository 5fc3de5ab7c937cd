#include <cmath>

#include "policy_fixture.h"

namespace sluice::policy {
namespace {

using testing::Test;

using ScriptTest = PolicyTest;
using StateTest = PolicyTest;

// ---- Without an entry ----

TEST_F(ScriptTest, EstimateTellsAnswerLineAndWhetherTheEntryMatters) {
  const auto of = [&](const char* text) {
    const auto script = load(text);
    EXPECT_TRUE(script.is_ok()) << script.status().text();
    return estimate(*script, hooks_[0], "permit_wait", limits_).value();
  };
  const Estimate constant = of("return {\n permit_wait = function(plan) return 5 * s end }");
  EXPECT_EQ(constant.integer, 5'000'000);
  EXPECT_FALSE(constant.depends);
  EXPECT_EQ(constant.line, 2);
  const Estimate branch =
      of("return { permit_wait = function(plan)\n"
         "if plan.symbol == 'BTCUSDT' then return 1 * s end return 2 * s end }");
  EXPECT_EQ(branch.integer, 2'000'000);
  EXPECT_TRUE(branch.depends);
  const Estimate fails = of("return { permit_wait = function(plan) return #plan.symbol end }");
  EXPECT_EQ(fails.integer, std::nullopt);
  EXPECT_TRUE(fails.depends);
  const Estimate absent = of("return {}");
  EXPECT_EQ(absent.integer, 1'200'000);
  EXPECT_EQ(absent.line, 0);
}

TEST_F(ScriptTest, EstimateOfAnUnknownResultIsRefused) {
  const auto script = load("return {}");
  EXPECT_EQ(estimate(*script, hooks_[0], "nothing", limits_).status().code(), Code::kInvalid);
}

// ---- Loading ----

TEST_F(ScriptTest, VersionIsFileNameAndDigestOfTheText) {
  const auto one = load("return {}");
  const auto two = load("return { }");
  ASSERT_TRUE(one.is_ok() && two.is_ok());
  EXPECT_EQ((*one)->path(), path_);
  EXPECT_EQ((*one)->version().substr(0, 10), "apply.lua@");
  EXPECT_EQ((*one)->version().size(), 18u);
  EXPECT_NE((*one)->version(), (*two)->version());
  EXPECT_EQ((*one)->version(), (*load("return {}"))->version());
}

TEST_F(ScriptTest, DefaultsAnswerEveryHookWithoutAFile) {
  auto script = Script::defaults(hooks_);
  EXPECT_EQ(script->version(), "defaults");
  EXPECT_EQ(script->path(), "");
  auto state = State::open(script, limits_);
  sluice_value result{};
  ASSERT_TRUE(call(**state, "permit_wait", result).is_ok());
  EXPECT_EQ(result.type, uint32_t{SLUICE_DURATION});
  EXPECT_EQ(result.integer, 1'200'000);
  const sluice_value symbol[] = {text_value("BTCUSDT")};
  sluice_value results[2]{};
  ASSERT_TRUE((*state)->call("limits", symbol, results).is_ok());
  EXPECT_EQ(results[0].integer, 3);
  EXPECT_EQ(text_of(results[1]), "5000.5");
}

TEST_F(ScriptTest, DefaultsOfAnUnsoundDescriptionAnswerNothing) {
  hooks_[0].results[0].default_text = "soon";
  auto state = State::open(Script::defaults(hooks_), limits_);
  sluice_value result{};
  EXPECT_EQ(call(**state, "permit_wait", result).code(), Code::kInvalid);
  EXPECT_EQ(call(**state, "dedup_id", result).code(), Code::kInvalid);
}

TEST_F(ScriptTest, MissingFileIsNotFound) {
  EXPECT_EQ(Script::load(path_, hooks_, limits_, system_disk()).status().code(), Code::kNotFound);
}

TEST_F(ScriptTest, RefusalsNameLineReasonAndNearestName) {
  EXPECT_EQ(refusal("return {\n  cooldown = = 1\n}").substr(0, 12), "apply.lua:2:");
  EXPECT_EQ(refusal("return {\n permit_wiat = function() return 1 end }"),
            "apply.lua:2: unknown hook \"permit_wiat\", did you mean \"permit_wait\"?");
  EXPECT_EQ(refusal("return { permit_wait = 5 }"),
            "apply.lua:1: permit_wait: expected a function permit_wait(plan), got 5");
  EXPECT_EQ(refusal("return {\n\n cooldown = 2 * h }"),
            "apply.lua:3: cooldown: expected a duration from 0s to 1h as a number of milliseconds, "
            "got 7200000");
  EXPECT_EQ(refusal("return { side = 'up' }"),
            "apply.lua:1: side: expected one of buy, sell, both, got \"up\"");
  EXPECT_EQ(refusal("return nil"),
            "apply.lua: expected the file to return one table of hooks, got nil");
  EXPECT_EQ(refusal("return {}, 1"),
            "apply.lua: expected the file to return one table of hooks, got 2 values");
  EXPECT_EQ(refusal("return { [1] = 2 }"), "apply.lua: expected names of hooks as keys, got 1");
  EXPECT_EQ(refusal("\nerror('mine')"), "apply.lua:2: mine");
  EXPECT_EQ(refusal("local t = nil\nreturn t.x"),
            "apply.lua:2: attempt to index a nil value (local 't')");
  EXPECT_EQ(refusal("while true do end"), "apply.lua:1: spent its budget of 100000 instructions");
  EXPECT_EQ(refusal("return { side = '\\0' }"), "apply.lua:1: zero bytes are refused in policies");
}

TEST_F(ScriptTest, EveryFaultOfATableIsNamedInOneText) {
  const std::string text = refusal("return {\n zebra = 1,\n permit_wait = 2,\n tests = 3 }");
  EXPECT_NE(text.find("apply.lua:2: unknown hook \"zebra\"; there are tests, permit_wait"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("apply.lua:3: permit_wait: expected a function"), std::string::npos) << text;
  EXPECT_NE(text.find("apply.lua:4: tests: expected a table"), std::string::npos) << text;
}

TEST_F(ScriptTest, UnsoundDescriptionIsRefused) {
  hooks_[0].results[0].default_text.reset();
  EXPECT_NE(refusal("return {}").find("hook permit_wait"), std::string::npos);
  hooks_ = test_hooks();
  hooks_[0].results[0].type = plugin::ValueType::kList;
  EXPECT_NE(refusal("return {}").find("not a type a hook can return"), std::string::npos);
}

TEST_F(ScriptTest, BinaryChunkIsRefused) {
  EXPECT_NE(refusal("\x1bLuaT").find("binary"), std::string::npos);
}

TEST_F(ScriptTest, FileBeyondItsSizeIsRefused) {
  EXPECT_NE(refusal("return {} --" + std::string(300 << 10, 'x')).find("expected at most"),
            std::string::npos);
}

// ---- Tests of a policy ----

TEST_F(ScriptTest, PassingTestsAreCounted) {
  const auto script = load(R"(
    local policy = {
      permit_wait = function(plan) return plan.symbol == "BTCUSDT" and 1200 * ms or 1 * s end,
    }
    policy.tests = {
      function() assert(policy.permit_wait({symbol = "BTCUSDT"}) == 1200 * ms) end,
      function() assert(policy.permit_wait({symbol = "ETHUSDT"}) == 1 * s) end,
      named = function() for i = 1, 200000 do end end,  -- more than one call may take
    }
    return policy)");
  ASSERT_TRUE(script.is_ok()) << script.status().text();
  EXPECT_EQ((*script)->test_count(), 3u);
}

TEST_F(ScriptTest, FailingTestIsNamedByNumberOrNameWithItsMessage) {
  EXPECT_EQ(refusal("return { tests = {\n function() end,\n function() error('bad day') end } }"),
            "apply.lua:3: test 2: bad day");
  EXPECT_EQ(refusal("return { tests = { weekend = function() assert(false) end } }"),
            "apply.lua:1: test \"weekend\": assertion failed!");
  EXPECT_EQ(refusal("return { tests = { 1 } }"),
            "apply.lua:1: tests: expected functions, got 1 under 1");
  EXPECT_EQ(refusal("return { tests = { function() while true do end end } }"),
            "apply.lua:1: test 1: spent its budget of 10000000 instructions");
}

// ---- Calls ----

TEST_F(StateTest, MissingHooksAnswerTheirDefaults) {
  const auto state = open("return { permit_wait = function() return 5 end }");
  sluice_value result{};
  ASSERT_TRUE(call(*state, "dedup_id", result).is_ok());
  EXPECT_EQ(text_of(result), "id");
  ASSERT_TRUE(call(*state, "grants", result).is_ok());
  EXPECT_EQ(result.type, uint32_t{SLUICE_BOOLEAN});
  EXPECT_EQ(result.integer, 0);
}

TEST_F(StateTest, HookWithoutArgumentsIsAValueOrAFunction) {
  sluice_value result{};
  ASSERT_TRUE(
      open("return { cooldown = 3 * min }")->call("cooldown", {}, std::span(&result, 1)).is_ok());
  EXPECT_EQ(result.integer, 180'000'000);
  ASSERT_TRUE(open("return { cooldown = function() return 2 * s end }")
                  ->call("cooldown", {}, std::span(&result, 1))
                  .is_ok());
  EXPECT_EQ(result.integer, 2'000'000);
}

TEST_F(StateTest, UnitsAreMilliseconds) {
  const auto state = open(
      "return { count = function() return d == 24*h and h == 60*min and min == 60*s and s == "
      "1000*ms and ms end }");
  sluice_value result{};
  ASSERT_TRUE(call(*state, "count", result).is_ok());
  EXPECT_EQ(result.integer, 1);
}

TEST_F(StateTest, EachTypeComesBackInItsOwnForm) {
  const auto state = open(R"(return {
    permit_wait = function() return 0.25 * s + 0.5 end,
    dedup_id = function(plan) return plan.symbol .. ":1" end,
    limits = function(symbol) return { per_hour = 7.0, per_day = 0.3 } end,
    tolerance = function(symbol) return #symbol end,
    grants = function(plan) return plan.notional_quote > 1000 end,
    side = "sell",
  })");
  sluice_value result{};
  ASSERT_TRUE(call(*state, "permit_wait", result).is_ok());
  EXPECT_EQ(result.integer, 250'500);
  ASSERT_TRUE(call(*state, "dedup_id", result).is_ok());
  EXPECT_EQ(text_of(result), "BTCUSDT:1");
  ASSERT_TRUE(call(*state, "grants", result).is_ok());
  EXPECT_EQ(result.integer, 1);
  const sluice_value symbol[] = {text_value("BTC")};
  ASSERT_TRUE(state->call("tolerance", symbol, std::span(&result, 1)).is_ok());
  EXPECT_EQ(result.number, 3.0);
  sluice_value results[2]{};
  ASSERT_TRUE(state->call("limits", symbol, results).is_ok());
  EXPECT_EQ(results[0].integer, 7);
  EXPECT_EQ(text_of(results[1]), "0.3");  // the shortest text that reads back
  ASSERT_TRUE(state->call("side", {}, std::span(&result, 1)).is_ok());
  EXPECT_EQ(text_of(result), "sell");
}

TEST_F(StateTest, DecimalTextIsExact) {
  const auto state =
      open("return { limits = function() return { per_hour = 1, per_day = '99999.10' } end }");
  const sluice_value symbol[] = {text_value("BTC")};
  sluice_value results[2]{};
  ASSERT_TRUE(state->call("limits", symbol, results).is_ok());
  EXPECT_EQ(text_of(results[1]), "99999.1");
}

TEST_F(StateTest, TextViewStaysValidUntilTheNextCall) {
  const auto state = open("return { dedup_id = function() return ('x'):rep(100) end }");
  sluice_value result{};
  ASSERT_TRUE(call(*state, "dedup_id", result).is_ok());
  EXPECT_EQ(text_of(result), std::string(100, 'x'));
}

// ---- Records ----

TEST_F(StateTest, RecordFieldsReadAsTheirTypes) {
  const sluice_text tags[] = {{"a", 1}, {"b", 1}};
  const std::vector<sluice_text> tag_list(std::begin(tags), std::end(tags));
  plan_.integer("age", SLUICE_DURATION, 1'500'000)
      .integer("closing", SLUICE_BOOLEAN, 1)
      .integer("count", SLUICE_INTEGER, 7)
      .number("score", 0.25)
      .list("tags", tag_list);
  const auto state = open(R"(return { dedup_id = function(plan)
    assert(plan.symbol == "BTCUSDT" and plan.qty == 0.5 and plan.notional_quote == 5000)
    assert(math.type(plan.notional_quote) == "integer")
    assert(plan.age == 1500 * ms and plan.closing == true and plan.count == 7)
    assert(plan.score == 0.25 and table.concat(plan.tags, ",") == "a,b")
    assert(plan.note == nil)  -- listed and absent
    return "fine" end })");
  sluice_value result{};
  const Status status = call(*state, "dedup_id", result);
  EXPECT_TRUE(status.is_ok()) << status.text();
}

TEST_F(StateTest, FieldOutsideTheDescriptionRaisesEvenWhenItIsThere) {
  plan_.text("secret", "x");
  EXPECT_EQ(failure("return { permit_wait = function(plan)\n return plan.secret end }"),
            "apply.lua:2: permit_wait: plan has no field \"secret\"");
  EXPECT_EQ(failure("return { permit_wait = function(plan) return plan.symbl end }"),
            "apply.lua:1: permit_wait: plan has no field \"symbl\", did you mean \"symbol\"?");
}

TEST_F(StateTest, RecordWithoutAListAllowsAnyField) {
  const auto state = open(
      "return { both = function(plan, ledger) return plan.symbol .. ledger.anything .. "
      "tostring(ledger.absent) end }");
  RecordOf ledger;
  ledger.text("anything", "/x/");
  const sluice_value args[] = {plan_.value(), ledger.value()};
  sluice_value result{};
  const Status status = state->call("both", args, std::span(&result, 1));
  ASSERT_TRUE(status.is_ok()) << status.text();
  EXPECT_EQ(text_of(result), "BTCUSDT/x/nil");
}

TEST_F(StateTest, RecordKeptFromAnEarlierCallCannotBeRead) {
  const auto state = open(R"(local kept
    return { dedup_id = function(plan) kept = plan return "x" end,
             permit_wait = function(plan) return kept.age end })");
  sluice_value result{};
  ASSERT_TRUE(call(*state, "dedup_id", result).is_ok());
  const Status status = call(*state, "permit_wait", result);
  EXPECT_NE(status.text().find("the record of another call cannot be read"), std::string::npos)
      << status.text();
}

TEST_F(StateTest, EachCallSeesItsOwnRecord) {
  const auto state = open("return { dedup_id = function(plan) return plan.symbol end }");
  for (const char* symbol : {"A", "BB", "CCC"}) {
    RecordOf record;
    record.text("symbol", symbol);
    const sluice_value args[] = {record.value()};
    sluice_value result{};
    ASSERT_TRUE(state->call("dedup_id", args, std::span(&result, 1)).is_ok());
    EXPECT_EQ(text_of(result), symbol);
  }
}

TEST_F(StateTest, FieldThatAPolicyCannotHoldRaises) {
  plan_.text("note", std::string_view("a\0b", 3)).decimal("price", "many");
  plan_.integer("tags", SLUICE_RECORD, 0);
  const std::string big(limits_.text_bytes_max + 1, 'x');
  RecordOf other;
  other.text("note", big);
  EXPECT_EQ(failure("return { permit_wait = function(p) return p.note end }"),
            "apply.lua:1: permit_wait: note holds a zero byte");
  EXPECT_EQ(failure("return { permit_wait = function(p) return p.price end }"),
            "apply.lua:1: permit_wait: price is not a decimal");
  EXPECT_EQ(failure("return { permit_wait = function(p) return p.tags end }"),
            "apply.lua:1: permit_wait: tags has a type a policy cannot hold");
  plan_ = other;
  EXPECT_EQ(failure("return { permit_wait = function(p) return p.note end }"),
            "apply.lua:1: permit_wait: note is longer than 65536 bytes");
}

// ---- What a result must be ----

TEST_F(StateTest, ResultsOutOfTypeOrRangeAreRefusedWithHookValueAndExpectation) {
  const std::string expected =
      "apply.lua:1: permit_wait: expected a duration from 1ms to 1h as a number of milliseconds, "
      "got ";
  const std::pair<const char*, const char*> cases[] = {
      {"-1", "-1"},
      {"0", "0"},
      {"2 * h", "7200000"},
      {"0/0", "-nan"},
      {"1/0", "inf"},
      {"'1200ms'", "\"1200ms\""},
      {"nil", "nil"},
      {"true", "true"},
      {"{}", "a table"},
      {"print_it", ""},
      {"1.00001", "1.00001"},
      {"math.mininteger", "-9223372036854775808"},
      {"math.maxinteger", "9223372036854775807"},
      {"1e300", "1e+300"},
      {"function() end", "a function"},
      {"plan", "a record"},
  };
  for (const auto& [value, met] : cases) {
    if (*met == '\0') continue;
    EXPECT_EQ(
        failure(std::string("return { permit_wait = function(plan) return ") + value + " end }"),
        expected + met)
        << value;
  }
}

TEST_F(StateTest, IntegersTextsBooleansAndChoicesAreStrict) {
  EXPECT_EQ(failure("return { count = function() return 1.5 end }", "count"),
            "apply.lua:1: count: expected an integer, got 1.5");
  EXPECT_EQ(failure("return { count = function() return '1' end }", "count"),
            "apply.lua:1: count: expected an integer, got \"1\"");
  EXPECT_EQ(failure("return { count = function() return 2^63 end }", "count").substr(0, 49),
            "apply.lua:1: count: expected an integer, got 9.22");
  EXPECT_EQ(failure("return { dedup_id = function() return 1 end }", "dedup_id"),
            "apply.lua:1: dedup_id: expected text, got 1");
  EXPECT_EQ(failure("return { grants = function() return 'yes' end }", "grants"),
            "apply.lua:1: grants: expected a boolean, got \"yes\"");
  EXPECT_EQ(failure("return { grants = function() end }", "grants"),
            "apply.lua:1: grants: expected one value, got 0");
  EXPECT_EQ(failure("return { grants = function() return true, 'x' end }", "grants"),
            "apply.lua:1: grants: expected one value, got 2");
}

TEST_F(StateTest, SeveralResultsAreATableWithExactlyTheirKeys) {
  const std::pair<const char*, const char*> cases[] = {
      {"{ per_hour = 1 }", "limits.per_day: is missing; expected a table with per_hour, per_day"},
      {"{ per_hour = 1, per_day = 2, per_huor = 3 }",
       "limits: unknown key \"per_huor\" in the result, did you mean \"per_hour\"?"},
      {"{ per_hour = 1, per_day = 2, 9 }",
       "limits: unknown key \"1\" in the result; expected per_hour, per_day"},
      {"{ per_hour = 1001, per_day = 2 }",
       "limits.per_hour: expected an integer from 0 to 1000, got 1001"},
      {"{ per_hour = 1, per_day = 'x' }",
       "limits.per_day: expected a decimal from 0 to 100000 as a number or text, got \"x\""},
      {"{ per_hour = 1, per_day = 0/0 }",
       "limits.per_day: expected a decimal from 0 to 100000 as a number or text, got -nan"},
      {"5", "limits: expected a table with per_hour, per_day, got 5"},
  };
  for (const auto& [value, expected] : cases) {
    const auto state =
        open(std::string("return { limits = function(symbol) return ") + value + " end }");
    const sluice_value symbol[] = {text_value("BTC")};
    sluice_value results[2]{};
    results[0].integer = 77;
    const Status status = state->call("limits", symbol, results);
    EXPECT_EQ(status.code(), Code::kInvalid);
    EXPECT_EQ(without_folder(status.text()), std::string("apply.lua:1: ") + expected);
    EXPECT_EQ(results[0].integer, 77) << "results are left as they were";
  }
}

// ---- What a plugin may get wrong ----

TEST_F(StateTest, CallThatDoesNotFitTheDescriptionIsRefused) {
  const auto state = open("return {}");
  sluice_value results[2]{};
  const sluice_value text[] = {text_value("x"), text_value("y")};
  EXPECT_EQ(state->call("nothing", {}, std::span(results, 1)).text(), "no hook is called nothing");
  EXPECT_EQ(state->call("limits", {}, results).text(),
            "limits(symbol): described with 1 arguments, called with 0");
  EXPECT_EQ(state->call("limits", std::span(text, 1), std::span(results, 1)).text(),
            "limits(symbol): described with 2 results, called for 1");
  EXPECT_EQ(state->call("permit_wait", std::span(text, 1), std::span(results, 1)).text(),
            "permit_wait(plan): plan is described as record, called with type 1");
}

// ---- After a failure ----

TEST_F(StateTest, FailedCallIsFollowedByAFreshState) {
  const auto state = open(R"(local calls = 0
    return { count = function(plan)
      calls = calls + 1
      if plan.symbol == "BAD" then while true do end end
      return calls end })");
  sluice_value result{};
  ASSERT_TRUE(call(*state, "count", result).is_ok());
  ASSERT_TRUE(call(*state, "count", result).is_ok());
  EXPECT_EQ(result.integer, 2);
  RecordOf bad;
  bad.text("symbol", "BAD");
  const sluice_value args[] = {bad.value()};
  EXPECT_EQ(without_folder(state->call("count", args, std::span(&result, 1)).text()),
            "apply.lua:4: count: spent its budget of 100000 instructions");
  ASSERT_TRUE(call(*state, "count", result).is_ok());
  EXPECT_EQ(result.integer, 1) << "nothing survives a failure";
}

TEST_F(StateTest, BudgetIsPerCall) {
  const auto state = open("return { count = function() for i = 1, 60000 do end return 1 end }");
  sluice_value result{};
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(call(*state, "count", result).is_ok()) << i;
}

TEST_F(StateTest, RecursionThatOutgrowsTheStackIsSaidToBeTooDeep) {
  limits_.instructions_max = 100'000'000;
  EXPECT_EQ(failure("local function f() return 1 + f() end\nreturn { permit_wait = f }"),
            "apply.lua:1: permit_wait: makes a table too large or calls too deep");
}

TEST_F(StateTest, ErrorWithoutAPlaceIsPlacedAtItsFunction) {
  EXPECT_EQ(failure("\nreturn { permit_wait = function() error('x', 0) end }"),
            "apply.lua:2: permit_wait: x");
}

TEST_F(StateTest, ManyCallsKeepTheirMemory) {
  limits_.memory_bytes_max = 1 << 20;
  const auto state = open(
      "return { dedup_id = function(plan) local t = {} for i = 1, 50 do t[i] = plan.symbol .. i "
      "end return table.concat(t) end }");
  sluice_value result{};
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(call(*state, "dedup_id", result).is_ok()) << i;
}

// ---- The environment ----

// Runs `code` at load; it must not raise.
#define EXPECT_LUA(code) EXPECT_EQ(refusal(std::string(code) + "\nreturn {}"), "")

TEST_F(ScriptTest, OnlyTheListedNamesExist) {
  EXPECT_LUA(
      "assert(assert and error and ipairs and next and pairs and pcall and select and tonumber "
      "and tostring and type and math and string and table and ms and s and min and h and d)");
  for (const char* name : {"io",
                           "os",
                           "debug",
                           "package",
                           "load",
                           "loadfile",
                           "loadstring",
                           "dofile",
                           "require",
                           "coroutine",
                           "collectgarbage",
                           "setmetatable",
                           "getmetatable",
                           "rawget",
                           "rawset",
                           "rawequal",
                           "rawlen",
                           "xpcall",
                           "print",
                           "utf8",
                           "_G",
                           "_VERSION",
                           "warn",
                           "math.random",
                           "math.randomseed",
                           "string.dump",
                           "string.pack",
                           "string.unpack",
                           "string.packsize",
                           "table.move",
                           "table.pack"}) {
    const std::string text = refusal("local x = " + std::string(name) + "\nreturn {}");
    EXPECT_NE(text.find("there is nothing called "), std::string::npos) << name << ": " << text;
  }
}

TEST_F(ScriptTest, GlobalsAndLibrariesAreReadOnlyAlsoWhileLoading) {
  for (const char* code : {"x = 1", "string.find = nil", "math.pi = 3", "table.x = 1", "_ENV.y = 1",
                           "ms = 2", "function helper() end", "pairs = next"})
    EXPECT_NE(refusal(std::string(code) + "\nreturn {}").find("read-only"), std::string::npos)
        << code;
}

TEST_F(ScriptTest, PairsAndNextGoInTheOrderOfTheKeys) {
  EXPECT_LUA(R"(local t = { z = 1, a = 2, [10] = 3, [2] = 4, [true] = 5, [1.5] = 6 }
    local order = {}
    for k, v in pairs(t) do order[#order + 1] = tostring(k) .. "=" .. v end
    assert(table.concat(order, " ") == "1.5=6 2=4 10=3 a=2 z=1 true=5", table.concat(order, " "))
    local k, n = nil, 0
    repeat k = next(t, k) n = n + 1 until k == nil
    assert(n == 7 and next({}) == nil and next(t) == 1.5)
    for k in pairs(t) do t[k] = nil end
    assert(next(t) == nil))");
  EXPECT_NE(refusal("for k in pairs({[{}] = 1}) do end return {}").find("no order"),
            std::string::npos);
}

TEST_F(ScriptTest, TextOfTablesAndFunctionsShowsNoAddress) {
  EXPECT_LUA("assert(tostring({}) == 'table' and tostring(pairs) == 'function')");
  EXPECT_LUA("assert(('%s %s'):format({}, nil) == 'table nil')");
}

TEST_F(ScriptTest, TonumberReadsWholeTextsOnly) {
  EXPECT_LUA(
      "assert(tonumber('12') == 12 and tonumber(' 0x10 ') == 16 and tonumber('1e2') == 100.0)");
  EXPECT_LUA("assert(tonumber('12x') == nil and tonumber('') == nil and tonumber({}) == nil)");
  EXPECT_LUA("assert(tonumber('nan') == nil and tonumber('inf') == nil and tonumber(5) == 5)");
  EXPECT_NE(refusal("local x = tonumber('ff', 16)"), "");
}

TEST_F(ScriptTest, TextsAreNotNumbers) {
  EXPECT_NE(refusal("local x = '10' + 1").find("arithmetic on a string"), std::string::npos);
}

TEST_F(ScriptTest, StringFunctionsDoTheirWork) {
  EXPECT_LUA("assert(('abc'):byte(1, -1) == 97 and select('#', ('abc'):byte(1, -1)) == 3)");
  EXPECT_LUA("assert(string.char(97, 98) == 'ab' and ('ab'):rep(3, '-') == 'ab-ab-ab')");
  EXPECT_LUA("assert(('x'):rep(0) == '' and (''):rep(5) == '' and ('x'):rep(-1) == '')");
  EXPECT_LUA("assert(('hello'):find('l') == 3 and ('a.b'):find('.', 1, true) == 2)");
  EXPECT_LUA("assert(('hello'):find('l', 4) == 4 and ('hello'):find('l', -1) == nil)");
  EXPECT_LUA("assert(('hello'):find('') == 1 and ('hello'):find('', 6) == 6)");
  EXPECT_LUA("assert(('hello'):find('', 7) == nil and ('k=v'):match('(%w)=(%w)') == 'k')");
  EXPECT_LUA("local a, b, c = ('k=v'):find('(=)') assert(a == 2 and b == 2 and c == '=')");
  EXPECT_LUA("assert(('BTCUSDT'):match('^(.+)USDT$') == 'BTC')");
  EXPECT_LUA(
      "local t = {} for k, v in ('a=1,b=2'):gmatch('(%w)=(%w)') do t[#t+1] = k..v end "
      "assert(table.concat(t, ' ') == 'a1 b2')");
  EXPECT_LUA("local n = 0 for w in ('abc'):gmatch('') do n = n + 1 end assert(n == 4)");
  EXPECT_LUA(
      "assert(('hello'):gsub('l', 'L') == 'heLLo' and select(2, ('hello'):gsub('l', 'L')) == 2)");
  EXPECT_LUA("assert(('hello'):gsub('l', 'L', 1) == 'heLlo')");
  EXPECT_LUA("assert(('abc'):gsub('%w', '%0%0') == 'aabbcc')");
  EXPECT_LUA("assert(('k=v'):gsub('(%w)=(%w)', '%2=%1%%') == 'v=k%')");
  EXPECT_LUA("assert(('abc'):gsub('%w', {a = 1, b = false}) == '1bc')");
  EXPECT_LUA("assert(('abc'):gsub('%w', function(c) return c:upper() end) == 'ABC')");
  EXPECT_LUA("assert(('abc'):gsub('', '-') == '-a-b-c-')");
  EXPECT_LUA("assert(('abc d'):gsub('%w*', 'x') == 'x x', (('abc d'):gsub('%w*', 'x')))");
  EXPECT_LUA(
      "assert(('%5.2f|%-5d|%05d|%x|%s|%%|%5s|%.2s'):format(1.005, 42, 7, 255, true, 'ab', "
      "'xyz') == ' 1.00|42   |00007|ff|true|%|   ab|xy')");
  EXPECT_LUA(
      "assert(#('abc'):reverse() == 3 and ('aB'):lower() == 'ab' and ('aB'):upper() == 'AB')");
  EXPECT_LUA("assert(('abc'):sub(2) == 'bc' and ('abc'):len() == 3)");
}

TEST_F(ScriptTest, TableFunctionsDoTheirWork) {
  EXPECT_LUA("local t = {3, 1, 2} table.sort(t) assert(table.concat(t, ',') == '1,2,3')");
  EXPECT_LUA(
      "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) "
      "assert(table.concat(t, ',') == '3,2,1')");
  EXPECT_LUA(
      "local t = {} for i = 1, 100 do t[i] = (i * 37) % 101 end table.sort(t) for i = 2, 100 do "
      "assert(t[i - 1] <= t[i]) end");
  EXPECT_LUA(
      "local t = {1, 3} table.insert(t, 2, 2) table.insert(t, 4) "
      "assert(table.concat(t, ',') == '1,2,3,4')");
  EXPECT_LUA(
      "local t = {1, 2, 3} assert(table.remove(t, 1) == 1 and table.remove(t) == 3 and #t == 1)");
  EXPECT_LUA("assert(table.remove({}) == nil)");
  EXPECT_LUA("local a, b = table.unpack({1, 2}) assert(a == 1 and b == 2)");
  EXPECT_LUA("assert(table.concat({1, 2.5, 'x'}, '-', 2, 3) == '2.5-x')");
}

TEST_F(ScriptTest, PcallPassesResultsAndErrorsOn) {
  EXPECT_LUA(
      "local ok, a, b = pcall(function(x) return x, 2 end, 1) assert(ok and a == 1 and b == 2)");
  EXPECT_LUA("local ok, e = pcall(error, {code = 5}) assert(not ok and e.code == 5)");
}

}  // namespace
}  // namespace sluice::policy
