#include "policy/library.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <string_view>

#include "policy/pattern.h"
#include "policy/rails.h"
#include "policy/text.h"
#include "sluice/decimal.h"

// Every function here may be left by a jump: none keeps an object with a destructor alive across a
// Lua call.
namespace sluice::policy {

namespace {

constexpr const char* kRecordType = "record";
constexpr lua_Integer kUnpackMax = 250;  // values one call may put on the stack

void charge(lua_State* lua, uint64_t steps) { Rails::of(lua).charge(lua, steps); }

size_t text_bytes_max(lua_State* lua) { return Rails::of(lua).limits().text_bytes_max; }

std::string_view text_arg(lua_State* lua, int index) {
  size_t size = 0;
  const char* data = luaL_checklstring(lua, index, &size);
  return {data, size};
}

// Raises before a text grows beyond the limit; `size` is what it would have.
void check_text_size(lua_State* lua, const char* function, double size) {
  if (size > static_cast<double>(text_bytes_max(lua)))
    luaL_error(lua, "%s: result is longer than %d bytes", function,
               static_cast<int>(text_bytes_max(lua)));
}

// Pushes the text of a value, without the addresses Lua would show.
void push_text_of(lua_State* lua, int index) {
  switch (lua_type(lua, index)) {
    case LUA_TSTRING:
    case LUA_TNUMBER:
      lua_pushvalue(lua, index);
      lua_tostring(lua, -1);
      break;
    case LUA_TBOOLEAN:
      lua_pushstring(lua, lua_toboolean(lua, index) ? "true" : "false");
      break;
    case LUA_TUSERDATA:
      lua_pushstring(lua, kRecordType);
      break;
    default:
      lua_pushstring(lua, luaL_typename(lua, index));
  }
}

// ---- Order of keys and values ----

int rank(lua_State* lua, int index) {
  switch (lua_type(lua, index)) {
    case LUA_TNUMBER:
      return 0;
    case LUA_TSTRING:
      return 1;
    default:
      return 2;
  }
}

// Numbers before texts before booleans; both must be one of these.
bool key_less(lua_State* lua, int a, int b) {
  const int rank_a = rank(lua, a), rank_b = rank(lua, b);
  if (rank_a != rank_b) return rank_a < rank_b;
  if (rank_a == 2) return lua_toboolean(lua, a) < lua_toboolean(lua, b);
  return lua_compare(lua, a, b, LUA_OPLT) != 0;
}

void check_key(lua_State* lua, int index, const char* function) {
  const int type = lua_type(lua, index);
  if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TBOOLEAN)
    luaL_error(lua, "%s: a key is a %s; keys that have no order cannot be walked through", function,
               lua_typename(lua, type));
}

using Less = bool (*)(lua_State*, int, int);

bool value_less(lua_State* lua, int a, int b) { return lua_compare(lua, a, b, LUA_OPLT) != 0; }

// The comparison function is at index 2.
bool call_less(lua_State* lua, int a, int b) {
  a = lua_absindex(lua, a);
  b = lua_absindex(lua, b);
  lua_pushvalue(lua, 2);
  lua_pushvalue(lua, a);
  lua_pushvalue(lua, b);
  lua_call(lua, 2, 1);
  const bool less = lua_toboolean(lua, -1) != 0;
  lua_pop(lua, 1);
  return less;
}

bool item_less(lua_State* lua, int table, Less less, lua_Integer a, lua_Integer b) {
  charge(lua, 1);
  lua_rawgeti(lua, table, a);
  lua_rawgeti(lua, table, b);
  const bool result = less(lua, -2, -1);
  lua_pop(lua, 2);
  return result;
}

void swap_items(lua_State* lua, int table, lua_Integer a, lua_Integer b) {
  lua_rawgeti(lua, table, a);
  lua_rawgeti(lua, table, b);
  lua_rawseti(lua, table, a);
  lua_rawseti(lua, table, b);
}

// Lets item `at` sink to its place in the heap of the first `count` items.
void sink(lua_State* lua, int table, Less less, lua_Integer at, lua_Integer count) {
  while (at * 2 <= count) {
    lua_Integer child = at * 2;
    if (child < count && item_less(lua, table, less, child, child + 1)) ++child;
    if (!item_less(lua, table, less, at, child)) return;
    swap_items(lua, table, at, child);
    at = child;
  }
}

// Heap sort: n log n comparisons whatever the comparison function answers.
void sort_items(lua_State* lua, int table, lua_Integer count, Less less) {
  for (lua_Integer at = count / 2; at >= 1; --at) sink(lua, table, less, at, count);
  for (lua_Integer last = count; last > 1; --last) {
    swap_items(lua, table, 1, last);
    sink(lua, table, less, 1, last - 1);
  }
}

// ---- Base functions ----

int base_next(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 2);
  lua_pushnil(lua);  // 3: the smallest key after that at 2
  const bool from_start = lua_isnil(lua, 2);
  if (!from_start) check_key(lua, 2, "next");
  lua_pushnil(lua);
  while (lua_next(lua, 1) != 0) {
    charge(lua, 1);
    lua_pop(lua, 1);
    check_key(lua, -1, "next");
    if ((from_start || key_less(lua, 2, -1)) && (lua_isnil(lua, 3) || key_less(lua, -1, 3))) {
      lua_pushvalue(lua, -1);
      lua_replace(lua, 3);
    }
  }
  if (lua_isnil(lua, 3)) return 1;
  lua_pushvalue(lua, 3);
  lua_rawget(lua, 1);
  return 2;
}

// Upvalues: table, its keys in order, how many of them were given out.
int next_pair(lua_State* lua) {
  lua_Integer given = lua_tointeger(lua, lua_upvalueindex(3));
  while (true) {
    charge(lua, 1);
    lua_settop(lua, 0);
    lua_rawgeti(lua, lua_upvalueindex(2), ++given);
    if (lua_isnil(lua, 1)) return 1;
    lua_pushvalue(lua, 1);
    lua_rawget(lua, lua_upvalueindex(1));
    if (lua_isnil(lua, 2)) continue;  // removed since
    lua_pushinteger(lua, given);
    lua_replace(lua, lua_upvalueindex(3));
    return 2;
  }
}

int base_pairs(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  lua_settop(lua, 1);
  lua_newtable(lua);
  lua_Integer count = 0;
  lua_pushnil(lua);
  while (lua_next(lua, 1) != 0) {
    charge(lua, 1);
    lua_pop(lua, 1);
    check_key(lua, -1, "pairs");
    lua_pushvalue(lua, -1);
    lua_rawseti(lua, 2, ++count);
  }
  sort_items(lua, 2, count, key_less);
  lua_pushinteger(lua, 0);
  lua_pushcclosure(lua, next_pair, 3);
  return 1;
}

int base_pcall(lua_State* lua) {
  luaL_checkany(lua, 1);
  const int status = lua_pcall(lua, lua_gettop(lua) - 1, LUA_MULTRET, 0);
  Rails& rails = Rails::of(lua);
  if (rails.spent() != Spent::kNo) rails.raise(lua);
  lua_pushboolean(lua, status == LUA_OK);
  lua_insert(lua, 1);
  return lua_gettop(lua);
}

int base_tonumber(lua_State* lua) {
  constexpr size_t kNumberBytesMax = 200;
  luaL_checkany(lua, 1);
  luaL_argcheck(lua, lua_isnoneornil(lua, 2), 2, "a base is not supported");
  if (lua_type(lua, 1) == LUA_TNUMBER) {
    lua_settop(lua, 1);
    return 1;
  }
  if (lua_type(lua, 1) == LUA_TSTRING) {
    const std::string_view text = text_arg(lua, 1);
    if (text.size() <= kNumberBytesMax && lua_stringtonumber(lua, text.data()) == text.size() + 1)
      return 1;
  }
  lua_pushnil(lua);
  return 1;
}

int base_tostring(lua_State* lua) {
  luaL_checkany(lua, 1);
  push_text_of(lua, 1);
  return 1;
}

// ---- string ----

int string_byte(lua_State* lua) {
  const std::string_view text = text_arg(lua, 1);
  const auto size = static_cast<lua_Integer>(text.size());
  lua_Integer from = luaL_optinteger(lua, 2, 1);
  if (from < 0) from = std::max<lua_Integer>(size + from + 1, 1);
  lua_Integer to = luaL_optinteger(lua, 3, from);
  if (to < 0) to = size + to + 1;
  from = std::max<lua_Integer>(from, 1);
  to = std::min(to, size);
  if (from > to) return 0;
  if (to - from >= kUnpackMax)
    return luaL_error(lua, "string.byte: more than %d values", static_cast<int>(kUnpackMax));
  const int count = static_cast<int>(to - from + 1);
  luaL_checkstack(lua, count, "string.byte");
  for (lua_Integer i = from; i <= to; ++i)
    lua_pushinteger(lua, static_cast<unsigned char>(text[static_cast<size_t>(i - 1)]));
  return count;
}

int string_char(lua_State* lua) {
  const int count = lua_gettop(lua);
  charge(lua, static_cast<uint64_t>(count));
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  for (int i = 1; i <= count; ++i) {
    const lua_Integer byte = luaL_checkinteger(lua, i);
    // Zero bytes are kept out of policies: comparing texts that hold many is slow, and no hook
    // fires meanwhile.
    luaL_argcheck(lua, byte >= 1 && byte <= 255, i, "expected a byte from 1 to 255");
    luaL_addchar(&buffer, static_cast<char>(byte));
  }
  luaL_pushresult(&buffer);
  return 1;
}

int string_rep(lua_State* lua) {
  const std::string_view text = text_arg(lua, 1);
  const lua_Integer count = luaL_checkinteger(lua, 2);
  size_t between_size = 0;
  const char* between = luaL_optlstring(lua, 3, "", &between_size);
  if (count <= 0 || text.size() + between_size == 0) {
    lua_pushliteral(lua, "");
    return 1;
  }
  check_text_size(lua, "string.rep",
                  static_cast<double>(text.size() + between_size) * static_cast<double>(count));
  charge(lua, static_cast<uint64_t>(count) / 4);  // a copy is shorter than an instruction
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  for (lua_Integer i = 0; i < count; ++i) {
    if (i > 0) luaL_addlstring(&buffer, between, between_size);
    luaL_addlstring(&buffer, text.data(), text.size());
  }
  luaL_pushresult(&buffer);
  return 1;
}

// ---- string.format ----

// One `%...` of a format: flags, width and precision as written, ready for snprintf.
struct Directive {
  char text[16];
  size_t size;
  char letter;

  bool plain() const { return size == 1; }  // nothing between `%` and the letter
};

// Reads the directive behind the `%` at `at`; returns what follows it, raises when it is malformed.
size_t read_directive(lua_State* lua, std::string_view format, size_t at, Directive& into) {
  constexpr size_t kBytesMax = 8;  // flags, two digits, a point, two digits
  into.text[0] = '%';
  into.size = 1;
  const size_t begin = at;
  auto take = [&] { into.text[into.size++] = format[at++]; };
  auto in = [&](std::string_view set) {
    return at < format.size() && at - begin < kBytesMax && set.find(format[at]) != set.npos;
  };
  auto take_digits = [&] {
    for (int digits = 0; digits < 2 && in("0123456789"); ++digits) take();
  };
  for (int flags = 0; flags < 3 && in("-+ #0"); ++flags) take();
  take_digits();
  if (in(".")) {
    take();
    take_digits();
  }
  if (at == format.size() ||
      std::string_view("dixXeEfgGs").find(format[at]) == std::string_view::npos)
    luaL_error(lua,
               "string.format: a directive is malformed or not supported; there are %%d %%i %%x "
               "%%X %%e %%E %%f %%g %%G %%s and %%%%");
  into.letter = format[at];
  return at + 1;
}

void add_directive(lua_State* lua, luaL_Buffer& buffer, Directive& directive, int arg) {
  char text[512];  // %99.99f of the largest number takes 410
  auto& [spec, size, letter] = directive;
  int written = 0;
  if (letter == 's') {
    push_text_of(lua, arg);
    if (directive.plain()) {
      luaL_addvalue(&buffer);
      return;
    }
    const char* value = lua_tostring(lua, -1);
    if (std::strlen(value) >= 400) luaL_error(lua, "string.format: text is too long for a width");
    std::memcpy(spec + size, "s", 2);
    written = std::snprintf(text, sizeof text, spec, value);
    lua_pop(lua, 1);
  } else if (std::strchr("dixX", letter) != nullptr) {
    const lua_Integer value = luaL_checkinteger(lua, arg);
    const char ending[] = {'l', 'l', letter, '\0'};
    std::memcpy(spec + size, ending, sizeof ending);
    written = std::snprintf(text, sizeof text, spec, value);
  } else {
    const lua_Number value = luaL_checknumber(lua, arg);
    const char ending[] = {letter, '\0'};
    std::memcpy(spec + size, ending, sizeof ending);
    written = std::snprintf(text, sizeof text, spec, value);
  }
  luaL_addlstring(&buffer, text, static_cast<size_t>(written));
}

int string_format(lua_State* lua) {
  const std::string_view format = text_arg(lua, 1);
  charge(lua, format.size());
  const int last = lua_gettop(lua);
  int arg = 1;
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  for (size_t at = 0; at < format.size();) {
    if (format[at] != '%') {
      luaL_addchar(&buffer, format[at++]);
      continue;
    }
    if (++at < format.size() && format[at] == '%') {
      luaL_addchar(&buffer, format[at++]);
      continue;
    }
    Directive directive;
    at = read_directive(lua, format, at, directive);
    if (++arg > last) luaL_argerror(lua, arg, "no value");
    add_directive(lua, buffer, directive, arg);
    check_text_size(lua, "string.format", static_cast<double>(luaL_bufflen(&buffer)));
  }
  luaL_pushresult(&buffer);
  return 1;
}

// ---- Patterns ----

void compile(lua_State* lua, std::string_view text, Pattern& pattern) {
  charge(lua, text.size());
  if (const char* fault = pattern.compile(text)) luaL_error(lua, "%s", fault);
}

// Searches and takes the steps from the budget.
bool search(lua_State* lua, const Pattern& pattern, std::string_view subject, size_t from,
            Match& match) {
  Rails& rails = Rails::of(lua);
  const uint64_t before = rails.steps_left();
  uint64_t left = before;
  const auto outcome = pattern.search(subject, from, left, match);
  rails.charge(lua, before - left);
  return outcome == Pattern::Outcome::kFound;
}

void push_capture(lua_State* lua, const Capture& capture, const char* subject) {
  if (capture.size == Capture::kPosition)
    lua_pushinteger(lua, capture.begin - subject + 1);
  else
    lua_pushlstring(lua, capture.begin, static_cast<size_t>(capture.size));
}

// The captures, or the whole match when there are none.
int push_captures(lua_State* lua, const Pattern& pattern, const Match& match, const char* subject) {
  const size_t count = pattern.capture_count();
  luaL_checkstack(lua, static_cast<int>(count) + 1, "captures");
  if (count == 0) {
    lua_pushlstring(lua, match.begin, static_cast<size_t>(match.end - match.begin));
    return 1;
  }
  for (size_t i = 0; i < count; ++i) push_capture(lua, match.captures[i], subject);
  return static_cast<int>(count);
}

// Offset at which a search begins; npos when it is behind the text.
size_t start_offset(lua_State* lua, int index, size_t size) {
  const lua_Integer at = luaL_optinteger(lua, index, 1);
  const auto length = static_cast<lua_Integer>(size);
  if (at > length + 1) return std::string_view::npos;
  if (at > 0) return static_cast<size_t>(at - 1);
  if (at == 0 || at < -length) return 0;
  return static_cast<size_t>(length + at);
}

int find_plain(lua_State* lua, std::string_view text, std::string_view part, size_t from) {
  // The search for a text compares at most the part at each place; memcmp does eight at a time.
  charge(lua, text.size() / 8 * (1 + part.size() / 8) + 1);
  // Not string_view::find, which looks at each place where the first byte of the part is: in JSON
  // that is a quote, and they stand everywhere.
  const void* const found =
      memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) {
    lua_pushnil(lua);
    return 1;
  }
  const auto at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
  lua_pushinteger(lua, static_cast<lua_Integer>(at + 1));
  lua_pushinteger(lua, static_cast<lua_Integer>(at + part.size()));
  return 2;
}

int find_or_match(lua_State* lua, bool find) {
  const std::string_view text = text_arg(lua, 1);
  const std::string_view wanted = text_arg(lua, 2);
  const size_t from = start_offset(lua, 3, text.size());
  if (from == std::string_view::npos) {
    lua_pushnil(lua);
    return 1;
  }
  if (find && (lua_toboolean(lua, 4) || wanted.find_first_of("^$*+?.([%-") == wanted.npos))
    return find_plain(lua, text, wanted, from);
  Pattern pattern;
  compile(lua, wanted, pattern);
  Match match;
  if (!search(lua, pattern, text, from, match)) {
    lua_pushnil(lua);
    return 1;
  }
  if (!find) return push_captures(lua, pattern, match, text.data());
  lua_pushinteger(lua, match.begin - text.data() + 1);
  lua_pushinteger(lua, match.end - text.data());
  if (pattern.capture_count() == 0) return 2;
  return 2 + push_captures(lua, pattern, match, text.data());
}

int string_find(lua_State* lua) { return find_or_match(lua, true); }
int string_match(lua_State* lua) { return find_or_match(lua, false); }

// The next match that does not end where the one before it ended, as string.gsub has it.
bool search_next(lua_State* lua, const Pattern& pattern, std::string_view text, size_t from,
                 const char* last_end, Match& match) {
  if (!search(lua, pattern, text, from, match)) return false;
  if (match.end != last_end) return true;
  const auto next = static_cast<size_t>(match.begin - text.data()) + 1;
  return !pattern.anchored() && next <= text.size() && search(lua, pattern, text, next, match);
}

// Upvalues: text, pattern, offset to go on from, offset at which the last match ended (-1: none).
int next_match(lua_State* lua) {
  lua_settop(lua, 0);
  const std::string_view text = text_arg(lua, lua_upvalueindex(1));
  const std::string_view wanted = text_arg(lua, lua_upvalueindex(2));
  const auto from = static_cast<size_t>(lua_tointeger(lua, lua_upvalueindex(3)));
  const lua_Integer last = lua_tointeger(lua, lua_upvalueindex(4));
  Pattern pattern;
  compile(lua, wanted, pattern);
  Match match;
  const char* last_end = last < 0 ? nullptr : text.data() + last;
  if (from > text.size() || !search_next(lua, pattern, text, from, last_end, match)) return 0;
  lua_pushinteger(lua, match.end - text.data());
  lua_copy(lua, -1, lua_upvalueindex(3));
  lua_replace(lua, lua_upvalueindex(4));
  return push_captures(lua, pattern, match, text.data());
}

int string_gmatch(lua_State* lua) {
  text_arg(lua, 1);
  const std::string_view wanted = text_arg(lua, 2);
  luaL_argcheck(lua, !wanted.starts_with('^'), 2, "a repeated search cannot be anchored");
  lua_settop(lua, 2);
  lua_pushinteger(lua, 0);
  lua_pushinteger(lua, -1);
  lua_pushcclosure(lua, next_match, 4);
  return 1;
}

// Adds the replacement text at index 3 with its %0 to %9 filled in.
void add_template(lua_State* lua, luaL_Buffer& buffer, const Pattern& pattern, const Match& match,
                  std::string_view text) {
  const std::string_view replacement = text_arg(lua, 3);
  charge(lua, replacement.size());
  for (size_t i = 0; i < replacement.size(); ++i) {
    const char c = replacement[i];
    if (c != '%') {
      luaL_addchar(&buffer, c);
      continue;
    }
    const char which = ++i < replacement.size() ? replacement[i] : '\0';
    if (which == '%') {
      luaL_addchar(&buffer, '%');
      continue;
    }
    const size_t index = static_cast<size_t>(which - '1');
    if (which == '0' || (which == '1' && pattern.capture_count() == 0)) {
      luaL_addlstring(&buffer, match.begin, static_cast<size_t>(match.end - match.begin));
    } else if (which >= '1' && which <= '9' && index < pattern.capture_count()) {
      push_capture(lua, match.captures[index], text.data());
      luaL_addvalue(&buffer);
    } else {
      luaL_error(lua, "string.gsub: %% in the replacement must be followed by %% or a capture");
    }
  }
}

// Adds what stands in for one match: by text, table or function at index 3.
void add_replacement(lua_State* lua, luaL_Buffer& buffer, const Pattern& pattern,
                     const Match& match, std::string_view text) {
  switch (lua_type(lua, 3)) {
    case LUA_TFUNCTION:
      lua_pushvalue(lua, 3);
      lua_call(lua, push_captures(lua, pattern, match, text.data()), 1);
      break;
    case LUA_TTABLE:
      if (pattern.capture_count() > 0)
        push_capture(lua, match.captures[0], text.data());
      else
        lua_pushlstring(lua, match.begin, static_cast<size_t>(match.end - match.begin));
      lua_rawget(lua, 3);
      break;
    default:
      add_template(lua, buffer, pattern, match, text);
      return;
  }
  if (!lua_toboolean(lua, -1)) {
    lua_pop(lua, 1);
    luaL_addlstring(&buffer, match.begin, static_cast<size_t>(match.end - match.begin));
    return;
  }
  if (lua_type(lua, -1) != LUA_TSTRING && lua_type(lua, -1) != LUA_TNUMBER)
    luaL_error(lua, "string.gsub: a replacement is a %s", luaL_typename(lua, -1));
  luaL_addvalue(&buffer);
}

int string_gsub(lua_State* lua) {
  const std::string_view text = text_arg(lua, 1);
  const std::string_view wanted = text_arg(lua, 2);
  const int type = lua_type(lua, 3);
  luaL_argcheck(
      lua,
      type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TTABLE || type == LUA_TFUNCTION, 3,
      "expected a text, table or function");
  const lua_Integer count_max = luaL_optinteger(lua, 4, static_cast<lua_Integer>(text.size()) + 1);
  lua_settop(lua, 3);
  Pattern pattern;
  compile(lua, wanted, pattern);
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  size_t from = 0;
  const char* last_end = nullptr;
  lua_Integer count = 0;
  Match match;
  while (count < count_max && search_next(lua, pattern, text, from, last_end, match)) {
    const char* at = text.data() + from;
    luaL_addlstring(&buffer, at, static_cast<size_t>(match.begin - at));
    add_replacement(lua, buffer, pattern, match, text);
    check_text_size(lua, "string.gsub", static_cast<double>(luaL_bufflen(&buffer)));
    ++count;
    last_end = match.end;
    from = static_cast<size_t>(match.end - text.data());
    if (pattern.anchored()) break;
  }
  luaL_addlstring(&buffer, text.data() + from, text.size() - from);
  check_text_size(lua, "string.gsub", static_cast<double>(luaL_bufflen(&buffer)));
  luaL_pushresult(&buffer);
  lua_pushinteger(lua, count);
  return 2;
}

// ---- table ----

lua_Integer checked_length(lua_State* lua) {
  luaL_checktype(lua, 1, LUA_TTABLE);
  return static_cast<lua_Integer>(lua_rawlen(lua, 1));
}

int table_concat(lua_State* lua) {
  const lua_Integer length = checked_length(lua);
  size_t between_size = 0;
  const char* between = luaL_optlstring(lua, 2, "", &between_size);
  const lua_Integer from = luaL_optinteger(lua, 3, 1);
  const lua_Integer to = std::min(luaL_optinteger(lua, 4, length), length);
  luaL_argcheck(lua, from >= 1, 3, "expected a position from 1");
  luaL_Buffer buffer;
  luaL_buffinit(lua, &buffer);
  for (lua_Integer i = from; i <= to; ++i) {
    charge(lua, 1);
    if (i > from) luaL_addlstring(&buffer, between, between_size);
    const int type = lua_rawgeti(lua, 1, i);
    if (type != LUA_TSTRING && type != LUA_TNUMBER)
      luaL_error(lua, "table.concat: item %d is a %s", static_cast<int>(i),
                 lua_typename(lua, type));
    luaL_addvalue(&buffer);
    check_text_size(lua, "table.concat", static_cast<double>(luaL_bufflen(&buffer)));
  }
  luaL_pushresult(&buffer);
  return 1;
}

int table_insert(lua_State* lua) {
  const lua_Integer end = checked_length(lua) + 1;
  const int count = lua_gettop(lua);
  if (count != 2 && count != 3) return luaL_error(lua, "table.insert: expected 2 or 3 arguments");
  const lua_Integer at = count == 2 ? end : luaL_checkinteger(lua, 2);
  luaL_argcheck(lua, at >= 1 && at <= end, 2, "position is outside the table");
  charge(lua, static_cast<uint64_t>(end - at));
  for (lua_Integer i = end; i > at; --i) {
    lua_rawgeti(lua, 1, i - 1);
    lua_rawseti(lua, 1, i);
  }
  lua_settop(lua, count);
  lua_rawseti(lua, 1, at);
  return 0;
}

int table_remove(lua_State* lua) {
  const lua_Integer length = checked_length(lua);
  const lua_Integer at = luaL_optinteger(lua, 2, length);
  if (length == 0 && (at == 0 || at == 1)) {
    lua_pushnil(lua);
    return 1;
  }
  luaL_argcheck(lua, at >= 1 && at <= length, 2, "position is outside the table");
  charge(lua, static_cast<uint64_t>(length - at));
  lua_rawgeti(lua, 1, at);
  for (lua_Integer i = at; i < length; ++i) {
    lua_rawgeti(lua, 1, i + 1);
    lua_rawseti(lua, 1, i);
  }
  lua_pushnil(lua);
  lua_rawseti(lua, 1, length);
  return 1;
}

int table_sort(lua_State* lua) {
  const lua_Integer length = checked_length(lua);
  const bool has_function = !lua_isnoneornil(lua, 2);
  if (has_function) luaL_checktype(lua, 2, LUA_TFUNCTION);
  lua_settop(lua, 2);
  sort_items(lua, 1, length, has_function ? call_less : value_less);
  return 0;
}

int table_unpack(lua_State* lua) {
  const lua_Integer length = checked_length(lua);
  const lua_Integer from = luaL_optinteger(lua, 2, 1);
  const lua_Integer to = luaL_optinteger(lua, 3, length);
  if (from > to) return 0;
  if (static_cast<lua_Unsigned>(to) - static_cast<lua_Unsigned>(from) >= kUnpackMax)
    return luaL_error(lua, "table.unpack: more than %d values", static_cast<int>(kUnpackMax));
  const int count = static_cast<int>(to - from) + 1;
  luaL_checkstack(lua, count, "table.unpack");
  for (int i = 0; i < count; ++i) lua_rawgeti(lua, 1, from + i);
  return count;
}

// ---- The environment ----

const luaL_Reg kBase[] = {{"next", base_next},         {"pairs", base_pairs},
                          {"pcall", base_pcall},       {"tonumber", base_tonumber},
                          {"tostring", base_tostring}, {nullptr, nullptr}};

const luaL_Reg kString[] = {
    {"byte", string_byte},     {"char", string_char},     {"find", string_find},
    {"format", string_format}, {"gmatch", string_gmatch}, {"gsub", string_gsub},
    {"match", string_match},   {"rep", string_rep},       {nullptr, nullptr}};

const luaL_Reg kTable[] = {{"concat", table_concat}, {"insert", table_insert},
                           {"remove", table_remove}, {"sort", table_sort},
                           {"unpack", table_unpack}, {nullptr, nullptr}};

// Taken from Lua's own libraries: their work is bounded by the size of one text, whose copy the
// allocator counts.
constexpr const char* kFromBase[] = {"assert", "error", "ipairs", "select", "type"};
constexpr const char* kFromString[] = {"len", "lower", "reverse", "sub", "upper"};
constexpr const char* kFromMath[] = {
    "abs",  "acos", "asin", "atan", "ceil",       "cos",        "deg", "exp",  "floor",
    "fmod", "huge", "log",  "max",  "maxinteger", "mininteger", "min", "modf", "pi",
    "rad",  "sin",  "sqrt", "tan",  "tointeger",  "type",       "ult"};

struct Unit {
  const char* name;
  lua_Integer ms;
};
constexpr Unit kUnits[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}};

// Copies fields of the table on top into the table below it, and pops it.
template <size_t count>
void move_fields(lua_State* lua, const char* const (&names)[count]) {
  for (const char* name : names) {
    lua_getfield(lua, -1, name);
    lua_setfield(lua, -3, name);
  }
  lua_pop(lua, 1);
}

int refuse_write(lua_State* lua) {
  return luaL_error(lua, "%s cannot be set: globals are read-only, declare it local",
                    lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "a field");
}

int refuse_unknown(lua_State* lua) {
  return luaL_error(lua, "there is nothing called %s",
                    lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "that");
}

// Puts an empty table in place of the one on top, through which it can be read but not written.
void freeze(lua_State* lua) {
  lua_createtable(lua, 0, 1);
  lua_pushcfunction(lua, refuse_unknown);
  lua_setfield(lua, -2, "__index");
  lua_setmetatable(lua, -2);  // of the table itself: what it does not have
  lua_newtable(lua);
  lua_createtable(lua, 0, 3);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, refuse_write);
  lua_setfield(lua, -2, "__newindex");
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -2);
  lua_remove(lua, -2);
}

// Texts find their functions, `("x"):len()`, and nothing else: no arithmetic on them, no way to
// reach or change the table.
void set_text_metatable(lua_State* lua) {
  lua_pushliteral(lua, "");
  lua_createtable(lua, 0, 2);
  lua_pushvalue(lua, -3);
  lua_setfield(lua, -2, "__index");
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_setmetatable(lua, -2);
  lua_pop(lua, 1);
}

// Index of a record: (record, name).
int read_record(lua_State* lua) {
  // Only records have this function, and no policy can get hold of it.
  auto* ref = static_cast<RecordRef*>(lua_touserdata(lua, 1));
  ++ref->reads;
  if (lua_type(lua, 2) != LUA_TSTRING)
    return luaL_error(lua, "a record is read by the names of its fields");
  if (ref->record == nullptr) return luaL_error(lua, "the record of another call cannot be read");
  const std::string_view name = text_arg(lua, 2);
  const auto& fields = ref->arg->fields;
  if (!fields.empty() && std::find(fields.begin(), fields.end(), name) == fields.end()) {
    char hint[128] = "";
    try {
      std::snprintf(hint, sizeof hint, "%s", suggestion(name, fields).c_str());
    } catch (...) {  // no memory for a hint
    }
    return luaL_error(lua, "%s has no field \"%s\"%s", ref->arg->name.c_str(), name.data(), hint);
  }
  const auto* member = static_cast<const sluice_member*>(ref->record->items);
  for (const auto* end = member + ref->record->count; member != end; ++member) {
    if (std::string_view(member->name.data, member->name.size) != name) continue;
    push_value(lua, member->value, name.data());
    return 1;
  }
  lua_pushnil(lua);
  return 1;
}

int refuse_record_write(lua_State* lua) {
  return luaL_error(lua, "a record cannot be changed: a policy decides and touches nothing");
}

void make_record_metatable(lua_State* lua) {
  luaL_newmetatable(lua, kRecordType);
  lua_pushcfunction(lua, read_record);
  lua_setfield(lua, -2, "__index");
  lua_pushcfunction(lua, refuse_record_write);
  lua_setfield(lua, -2, "__newindex");
  lua_pushboolean(lua, 0);
  lua_setfield(lua, -2, "__metatable");
  lua_pop(lua, 1);
}

void push_text_value(lua_State* lua, sluice_text text, const char* name) {
  if (text.size > text_bytes_max(lua))
    luaL_error(lua, "%s is longer than %d bytes", name, static_cast<int>(text_bytes_max(lua)));
  if (text.size > 0 && std::memchr(text.data, '\0', text.size) != nullptr)
    luaL_error(lua, "%s holds a zero byte", name);
  lua_pushlstring(lua, text.data, text.size);
}

void push_decimal(lua_State* lua, sluice_text text, const char* name) {
  const auto decimal = Decimal::parse({text.data, text.size});
  if (!decimal) luaL_error(lua, "%s is not a decimal", name);
  if (const auto whole = decimal->scaled(0))
    lua_pushinteger(lua, *whole);
  else
    lua_pushnumber(lua, decimal->to_double());
}

void push_duration(lua_State* lua, int64_t us) {
  if (us % 1000 == 0)
    lua_pushinteger(lua, us / 1000);
  else
    lua_pushnumber(lua, static_cast<lua_Number>(us) / 1000);
}

void push_list(lua_State* lua, const sluice_value& value, const char* name) {
  charge(lua, value.count);
  lua_newtable(lua);
  const auto* items = static_cast<const sluice_text*>(value.items);
  for (size_t i = 0; i < value.count; ++i) {
    push_text_value(lua, items[i], name);
    lua_rawseti(lua, -2, static_cast<lua_Integer>(i + 1));
  }
}

}  // namespace

int push_environment(lua_State* lua) {
  lua_settop(lua, 0);
  lua_newtable(lua);
  luaL_setfuncs(lua, kBase, 0);
  luaL_requiref(lua, LUA_GNAME, luaopen_base, 0);
  move_fields(lua, kFromBase);
  for (const Unit& unit : kUnits) {
    lua_pushinteger(lua, unit.ms);
    lua_setfield(lua, -2, unit.name);
  }

  lua_newtable(lua);
  luaL_requiref(lua, LUA_MATHLIBNAME, luaopen_math, 0);
  move_fields(lua, kFromMath);
  freeze(lua);
  lua_setfield(lua, 1, LUA_MATHLIBNAME);

  lua_newtable(lua);
  luaL_setfuncs(lua, kTable, 0);
  freeze(lua);
  lua_setfield(lua, 1, LUA_TABLIBNAME);

  lua_newtable(lua);
  luaL_setfuncs(lua, kString, 0);
  luaL_requiref(lua, LUA_STRLIBNAME, luaopen_string, 0);
  move_fields(lua, kFromString);
  set_text_metatable(lua);
  freeze(lua);
  lua_setfield(lua, 1, LUA_STRLIBNAME);

  make_record_metatable(lua);
  freeze(lua);
  return 1;
}

RecordRef* push_record(lua_State* lua, const plugin::HookArg& arg) {
  auto* ref = static_cast<RecordRef*>(lua_newuserdatauv(lua, sizeof(RecordRef), 0));
  *ref = RecordRef{&arg};
  luaL_setmetatable(lua, kRecordType);
  return ref;
}

void push_value(lua_State* lua, const sluice_value& value, const char* name) {
  switch (value.type) {
    case SLUICE_NULL:
      lua_pushnil(lua);
      return;
    case SLUICE_TEXT:
      return push_text_value(lua, value.text, name);
    case SLUICE_INTEGER:
      lua_pushinteger(lua, value.integer);
      return;
    case SLUICE_NUMBER:
      lua_pushnumber(lua, value.number);
      return;
    case SLUICE_BOOLEAN:
      lua_pushboolean(lua, value.integer != 0);
      return;
    case SLUICE_DECIMAL:
      return push_decimal(lua, value.text, name);
    case SLUICE_DURATION:
      return push_duration(lua, value.integer);
    case SLUICE_LIST:
      return push_list(lua, value, name);
    default:
      luaL_error(lua, "%s has a type a policy cannot hold", name);
  }
}

}  // namespace sluice::policy
