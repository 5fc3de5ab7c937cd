#include "policy/pattern.h"

#include <gtest/gtest.h>

#include <lua.hpp>
#include <random>
#include <string>

namespace sluice::policy {
namespace {

// The matched text and the captures with "|" between; "-" when nothing matches.
std::string matched(std::string_view pattern_text, std::string_view subject, size_t from = 0) {
  Pattern pattern;
  if (const char* fault = pattern.compile(pattern_text)) return fault;
  Match match;
  uint64_t steps = 100'000;
  if (pattern.search(subject, from, steps, match) != Pattern::Outcome::kFound) return "-";
  std::string result(match.begin, match.end);
  for (size_t i = 0; i < pattern.capture_count(); ++i) {
    const Capture& capture = match.captures[i];
    result += '|';
    if (capture.size == Capture::kPosition)
      result += std::to_string(capture.begin - subject.data() + 1);
    else
      result.append(capture.begin, static_cast<size_t>(capture.size));
  }
  return result;
}

TEST(PatternSearch, ClassesSetsAndRepeatsMatchAsInTheLuaManual) {
  EXPECT_EQ(matched("%a+", "12 abc"), "abc");
  EXPECT_EQ(matched("%A+", "abc12"), "12");
  EXPECT_EQ(matched("[%a_][%w_]*", "9x_1!"), "x_1");
  EXPECT_EQ(matched("[^,]*", "ab,c"), "ab");
  EXPECT_EQ(matched("[]]", "a]"), "]");
  EXPECT_EQ(matched("[a-]+", "x-a-"), "-a-");
  EXPECT_EQ(matched("<.->", "<a><b>"), "<a>");
  EXPECT_EQ(matched("<.*>", "<a><b>"), "<a><b>");
  EXPECT_EQ(matched("colou?r", "color"), "color");
  EXPECT_EQ(matched("^b", "ab"), "-");
  EXPECT_EQ(matched("b$", "bab"), "b");
  EXPECT_EQ(matched("a$b", "a$b"), "a$b");
  EXPECT_EQ(matched("%.", "a.b"), ".");
}

TEST(PatternSearch, CapturesPositionsBackReferencesBalanceAndFrontiersWork) {
  EXPECT_EQ(matched("(%a+)=(%d+)", "k=12"), "k=12|k|12");
  EXPECT_EQ(matched("()b()", "abc"), "b|2|3");
  EXPECT_EQ(matched("((a)(b))", "ab"), "ab|ab|a|b");
  EXPECT_EQ(matched("(['\"])(.-)%1", "x='it\"s'"), "'it\"s'|'|it\"s");
  EXPECT_EQ(matched("%b()", "f(a(b)c)d"), "(a(b)c)");
  EXPECT_EQ(matched("%f[%w]%w+%f[%W]", "..ab.."), "ab");
}

TEST(PatternCompile, MalformedPatternsAreNamed) {
  EXPECT_EQ(matched("(a", ""), "pattern has an unfinished capture");
  EXPECT_EQ(matched("a)", ""), "pattern closes a capture that is not open");
  EXPECT_EQ(matched("[a", ""), "pattern has a [ without ]");
  EXPECT_EQ(matched("%", ""), "pattern ends with %");
  EXPECT_EQ(matched("%bx", ""), "pattern ends inside %b");
  EXPECT_EQ(matched("%fa", ""), "pattern has no [ after %f");
  EXPECT_EQ(matched("(a%1)", ""), "pattern refers to a capture that is not complete");
  EXPECT_EQ(matched(std::string(34, '('), ""), "pattern has more than 16 captures");
  EXPECT_EQ(matched(std::string(129, 'a'), ""), "pattern is longer than 128 bytes");
}

TEST(PatternSearch, CatastrophicPatternEndsWhenItsStepsAreSpent) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += ".-";
  Pattern pattern;
  ASSERT_EQ(pattern.compile(text + "b"), nullptr);
  Match match;
  uint64_t steps = 50'000;
  EXPECT_EQ(pattern.search(std::string(64, 'a'), 0, steps, match), Pattern::Outcome::kSpent);
  EXPECT_EQ(steps, 0u);
}

// Lua's own library says what is right; small subjects keep it from running for ever.
TEST(PatternSearch, AgreesWithLuaOnRandomPatterns) {
  lua_State* lua = luaL_newstate();
  luaL_openlibs(lua);
  ASSERT_EQ(luaL_dostring(lua,
                          "return function(s, p) local r = table.pack(pcall(string.find, s, p))\n"
                          "if not r[1] then return 'error' end\n"
                          "if not r[2] then return '-' end\n"
                          "local t = s:sub(r[2], r[3])\n"
                          "for i = 4, r.n do t = t .. '|' .. tostring(r[i]) end return t end"),
            LUA_OK);
  const char* pieces[] = {"a", "b",  ".", "%a", "%d",     "[ab]", "[^a]", "(",
                          ")", "()", "*", "+",  "-",      "?",    "%1",   "%bab",
                          "^", "$",  "1", "%w", "%f[%d]", "[a-",  "]",    "%%"};
  std::mt19937 random(20251122);
  size_t sound = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text, subject;
    for (size_t n = random() % 7; n > 0; --n) text += pieces[random() % std::size(pieces)];
    for (size_t n = random() % 9; n > 0; --n) subject += "ab1("[random() % 4];
    lua_pushvalue(lua, -1);
    lua_pushlstring(lua, subject.data(), subject.size());
    lua_pushlstring(lua, text.data(), text.size());
    lua_call(lua, 2, 1);
    const std::string expected = lua_tostring(lua, -1);
    lua_pop(lua, 1);
    const std::string met = matched(text, subject);
    if (met.starts_with("pattern ")) {
      // Found at once here, in Lua only when the matching gets there.
      EXPECT_TRUE(expected == "error" || expected == "-") << text << " on " << subject;
      continue;
    }
    ++sound;
    EXPECT_EQ(met, expected) << "pattern " << text << " on " << subject;
  }
  EXPECT_GT(sound, 5'000u);
  lua_close(lua);
}

}  // namespace
}  // namespace sluice::policy
