#include "policy/machine.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "policy/text.h"

namespace sluice::policy {

namespace {

constexpr const char* kTestsKey = "tests";
constexpr size_t kMessageBytesMax = 300;
constexpr uint64_t kTestsShare = 100;  // tests get this many times the budget of a call

// The text of the error value at `index`; error values need not be texts.
std::string error_text(lua_State* lua, int index) {
  if (lua_type(lua, index) != LUA_TSTRING) return "error with " + describe_value(lua, index);
  size_t size = 0;
  const char* data = lua_tolstring(lua, index, &size);
  return cut({data, size}, kMessageBytesMax);
}

// Where the function on top of the stack begins.
int line_defined(lua_State* lua) {
  lua_Debug function;
  lua_pushvalue(lua, -1);
  lua_getinfo(lua, ">S", &function);
  return function.linedefined;
}

std::string chunk_name_of(const std::string& path) {
  constexpr size_t kShownMax = LUA_IDSIZE - 4;  // longer ones are cut by Lua
  const std::string_view name = file_name(path);
  return "@" + std::string(name.size() <= kShownMax ? name : "policy");
}

}  // namespace

Machine::Machine(const std::string& path, const std::string& text,
                 const std::vector<HookRule>& rules, const Limits& limits)
    : path_(path), text_(text), rules_(rules), chunk_name_(chunk_name_of(path)), rails_(limits) {}

Machine::~Machine() {
  if (lua_ != nullptr) lua_close(lua_);
}

Result<std::unique_ptr<Machine>> Machine::build(const std::string& path, const std::string& text,
                                                const std::vector<HookRule>& rules,
                                                const Limits& limits) {
  std::unique_ptr<Machine> machine(new Machine(path, text, rules, limits));
  SLUICE_TRY(machine->load());
  return machine;
}

// ---- Messages ----

std::string Machine::at_line(int line) const {
  return line > 0 ? fmt::format("{}:{}: ", path_, line) : path_ + ": ";
}

std::string Machine::placed(std::string_view message, const std::string& prefix, int line) const {
  // Lua puts `apply.lua:12: ` in front of most of its messages, but not all.
  const std::string_view name = std::string_view(chunk_name_).substr(1);
  if (message.starts_with(name) && message.substr(name.size()).starts_with(':')) {
    const std::string_view rest = message.substr(name.size() + 1);
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), line);
    const auto digits = static_cast<size_t>(end - rest.data());
    if (error == std::errc() && rest.substr(digits).starts_with(": "))
      message = rest.substr(digits + 2);
  }
  return at_line(line) + prefix + std::string(message);
}

Status Machine::failure(int status, const std::string& what, int line) {
  const Limits& limits = rails_.limits();
  const std::string prefix = what.empty() ? "" : what + ": ";
  const Spent spent =
      status == LUA_ERRMEM && rails_.spent() == Spent::kNo ? Spent::kMemory : rails_.spent();
  std::string reason;
  switch (spent) {
    case Spent::kNo:
      return Status(Code::kInvalid, placed(error_text(lua_, -1), prefix, line));
    case Spent::kMemory:
      reason = fmt::format("needs more than {} bytes of memory", limits.memory_bytes_max);
      break;
    case Spent::kSteps:
      reason = fmt::format("spent its budget of {} instructions", rails_.steps_max());
      break;
    case Spent::kText:
      reason = fmt::format("makes a text longer than {} bytes", limits.text_bytes_max);
      break;
    case Spent::kBlock:
      reason = "makes a table too large or calls too deep";
      break;
  }
  return Status(Code::kInvalid,
                at_line(rails_.line() > 0 ? rails_.line() : line) + prefix + reason);
}

// ---- Loading ----

// Leaves the value the file returned on the stack.
int Machine::protected_load(lua_State* lua) {
  auto* machine = static_cast<Machine*>(lua_touserdata(lua, 1));
  push_environment(lua);
  const std::string& text = machine->text_;
  if (luaL_loadbufferx(lua, text.data(), text.size(), machine->chunk_name_.c_str(), "t") != LUA_OK)
    return lua_error(lua);
  lua_insert(lua, 1);
  lua_setupvalue(lua, 1, 1);  // the environment, as _ENV
  machine->rails_.start(machine->rails_.limits().instructions_max);
  lua_call(lua, 0, LUA_MULTRET);
  return lua_gettop(lua);
}

// Stack: the machine, the table. Keeps what calls need in the registry; C++ memory is there before.
int Machine::protected_bind(lua_State* lua) {
  auto* machine = static_cast<Machine*>(lua_touserdata(lua, 1));
  for (size_t i = 0; i < machine->rules_.size(); ++i) {
    const HookRule& rule = machine->rules_[i];
    Bound& bound = machine->bound_[i];
    lua_pushstring(lua, rule.hook.name.c_str());
    lua_rawget(lua, 2);
    if (!lua_isnil(lua, -1)) {
      bound.form = lua_isfunction(lua, -1) ? HookForm::kFunction : HookForm::kValue;
      if (bound.form == HookForm::kFunction) bound.line = line_defined(lua);
    }
    bound.reference = luaL_ref(lua, LUA_REGISTRYINDEX);
    for (size_t arg = 0; arg < rule.hook.args.size(); ++arg) {
      if (rule.hook.args[arg].type != plugin::ValueType::kRecord) continue;
      bound.records[arg] = push_record(lua, rule.hook.args[arg]);
      bound.record_references[arg] = luaL_ref(lua, LUA_REGISTRYINDEX);
    }
    for (size_t name = 0; name < rule.result_names.size(); ++name) {
      lua_pushstring(lua, rule.result_names[name].c_str());
      machine->name_references_[machine->first_name_[i] + name] = luaL_ref(lua, LUA_REGISTRYINDEX);
    }
  }
  lua_pushstring(lua, kTestsKey);
  lua_rawget(lua, 2);
  machine->tests_reference_ = luaL_ref(lua, LUA_REGISTRYINDEX);
  return 0;
}

Status Machine::load() {
  if (const int line = line_of_zero_byte(text_); line > 0)
    return Status(Code::kInvalid, at_line(line) + "zero bytes are refused in policies");
  lua_ = rails_.open_state();
  if (lua_ == nullptr)
    return Status(Code::kInvalid, path_ + ": no memory for a Lua state within the limits");

  lua_pushcfunction(lua_, protected_load);
  lua_pushlightuserdata(lua_, this);
  int status = lua_pcall(lua_, 1, LUA_MULTRET, 0);
  if (status != LUA_OK || rails_.spent() != Spent::kNo) return failure(status, "", 0);
  if (lua_gettop(lua_) != 1 || !lua_istable(lua_, 1))
    return Status(Code::kInvalid,
                  path_ + ": expected the file to return one table of hooks, got " +
                      (lua_gettop(lua_) > 1 ? fmt::format("{} values", lua_gettop(lua_))
                                            : describe_value(lua_, 1)));
  SLUICE_TRY(check_table(1));

  bound_.resize(rules_.size());
  for (size_t i = 0; i < rules_.size(); ++i) {
    bound_[i].records.resize(rules_[i].hook.args.size(), nullptr);
    bound_[i].record_references.resize(rules_[i].hook.args.size(), LUA_NOREF);
    bound_[i].only_records =
        rules_[i].hook.args.size() < LUA_MINSTACK &&
        std::ranges::all_of(rules_[i].hook.args, [](const plugin::HookArg& arg) {
          return arg.type == plugin::ValueType::kRecord;
        });
    first_name_.push_back(name_references_.size());
    name_references_.resize(name_references_.size() + rules_[i].results.size(), LUA_NOREF);
  }
  rails_.start(Rails::kUnbounded);
  lua_pushcfunction(lua_, protected_bind);
  lua_insert(lua_, 1);
  lua_pushlightuserdata(lua_, this);
  lua_insert(lua_, 2);
  status = lua_pcall(lua_, 2, 0, 0);
  if (status != LUA_OK) return failure(status, "", 0);
  lua_settop(lua_, 0);
  return Status::ok();
}

// Names every fault of the table, in the order of the names.
Status Machine::check_table(int table) {
  std::vector<std::string> faults;
  lua_pushnil(lua_);
  while (lua_next(lua_, table) != 0) {
    const int top = lua_gettop(lua_);
    SLUICE_TRY(check_entry(top - 1, top, faults));
    lua_settop(lua_, top - 1);
  }
  if (faults.empty()) return Status::ok();
  std::sort(faults.begin(), faults.end());
  return Status(Code::kInvalid, fmt::format("{}", fmt::join(faults, "\n")));
}

Status Machine::check_entry(int key, int value, std::vector<std::string>& faults) {
  if (lua_type(lua_, key) != LUA_TSTRING) {
    faults.push_back(path_ + ": expected names of hooks as keys, got " + describe_value(lua_, key));
    return Status::ok();
  }
  size_t size = 0;
  const char* data = lua_tolstring(lua_, key, &size);
  const std::string_view name(data, size);
  int line = line_of_key(text_, name);
  // `function policy.name()`; the value is on top.
  if (line == 0 && lua_isfunction(lua_, value)) line = line_defined(lua_);
  const std::string place = at_line(line);
  if (name == kTestsKey) {
    if (!lua_istable(lua_, value))
      faults.push_back(place + "tests: expected a table of functions, got " +
                       describe_value(lua_, value));
    return Status::ok();
  }
  const auto rule = std::find_if(rules_.begin(), rules_.end(),
                                 [&](const HookRule& r) { return r.hook.name == name; });
  if (rule == rules_.end()) {
    std::vector<std::string> names{kTestsKey};
    for (const HookRule& r : rules_) names.push_back(r.hook.name);
    const std::string hint = suggestion(name, names);
    faults.push_back(fmt::format("{}unknown hook \"{}\"{}", place, cut(name, 40),
                                 hint.empty() ? "; there are " + listed(names) : hint));
  } else if (!rule->hook.args.empty() && !lua_isfunction(lua_, value)) {
    faults.push_back(fmt::format("{}{}: expected a function {}, got {}", place, name,
                                 rule->signature(), describe_value(lua_, value)));
  }
  return Status::ok();
}

// ---- Results ----

Status Machine::read_answers(size_t hook, int index, std::vector<Answer>& answers) {
  const HookRule& rule = rules_[hook];
  answers.resize(rule.results.size());
  std::string fault;
  if (rule.results.size() == 1) {
    fault = rule.results[0].read(lua_, index, rails_.limits().text_bytes_max, answers[0]);
    if (!fault.empty()) fault = rule.hook.name + ": " + fault;
  } else {
    fault = read_fields(rule, index, answers);
  }
  if (fault.empty()) return Status::ok();
  const int line = bound_[hook].form == HookForm::kFunction ? bound_[hook].line
                                                            : line_of_key(text_, rule.hook.name);
  return Status(Code::kInvalid, at_line(line) + fault);
}

std::string Machine::read_fields(const HookRule& rule, int index, std::vector<Answer>& answers) {
  const std::string& hook = rule.hook.name;
  if (!lua_istable(lua_, index))
    return fmt::format("{}: expected a table with {}, got {}", hook, listed(rule.result_names),
                       describe_value(lua_, index));
  const size_t first = first_name_[static_cast<size_t>(&rule - rules_.data())];
  for (size_t i = 0; i < rule.results.size(); ++i) {
    lua_rawgeti(lua_, LUA_REGISTRYINDEX, name_references_[first + i]);
    lua_rawget(lua_, index);
    std::string fault;
    if (lua_isnil(lua_, -1))
      fault = fmt::format("is missing; expected a table with {}", listed(rule.result_names));
    else
      fault = rule.results[i].read(lua_, -1, rails_.limits().text_bytes_max, answers[i]);
    lua_pop(lua_, 1);
    if (!fault.empty()) return fmt::format("{}.{}: {}", hook, rule.result_names[i], fault);
  }
  std::string unknown;  // the least, so that the message is the same every time
  for (lua_pushnil(lua_); lua_next(lua_, index) != 0; lua_pop(lua_, 1)) {
    std::string key;
    if (lua_type(lua_, -2) == LUA_TSTRING)
      key = cut(lua_tostring(lua_, -2), 40);
    else
      key = describe_value(lua_, -2);
    if (std::find(rule.result_names.begin(), rule.result_names.end(), key) !=
        rule.result_names.end())
      continue;
    if (unknown.empty() || key < unknown) unknown = key;
  }
  if (unknown.empty()) return {};
  const std::string hint = suggestion(unknown, rule.result_names);
  return fmt::format("{}: unknown key \"{}\" in the result{}", hook, unknown,
                     hint.empty() ? "; expected " + listed(rule.result_names) : hint);
}

Status Machine::read_value(size_t hook, std::vector<Answer>& answers) {
  lua_rawgeti(lua_, LUA_REGISTRYINDEX, bound_[hook].reference);
  const Status status = read_answers(hook, 1, answers);
  lua_settop(lua_, 0);
  return status;
}

// ---- Calls ----

struct Machine::Call {
  const Bound& bound;
  const HookRule& rule;
  std::span<const sluice_value> args;
};

// Pushes the function and its arguments; the stack has room for them. Raises for a value alone.
void Machine::push_call(lua_State* lua, const Call& call) {
  lua_rawgeti(lua, LUA_REGISTRYINDEX, call.bound.reference);
  for (size_t i = 0; i < call.args.size(); ++i) {
    if (RecordRef* record = call.bound.records[i]) {
      record->record = &call.args[i];
      lua_rawgeti(lua, LUA_REGISTRYINDEX, call.bound.record_references[i]);
    } else {
      push_value(lua, call.args[i], call.rule.hook.args[i].name.c_str());
    }
  }
}

int Machine::protected_call(lua_State* lua) {
  const auto* call = static_cast<const Call*>(lua_touserdata(lua, 1));
  const int count = static_cast<int>(call->args.size());
  luaL_checkstack(lua, count + 1, "arguments");
  push_call(lua, *call);
  lua_call(lua, count, LUA_MULTRET);
  return lua_gettop(lua) - 1;
}

void Machine::clear_records(size_t hook) {
  for (RecordRef* record : bound_[hook].records)
    if (record != nullptr) record->record = nullptr;
}

uint64_t Machine::reads(size_t hook) const {
  uint64_t reads = 0;
  for (const RecordRef* record : bound_[hook].records)
    reads += record == nullptr ? 0 : record->reads;
  return reads;
}

Status Machine::call(size_t hook, std::span<const sluice_value> args,
                     std::vector<Answer>& answers) {
  Call call{bound_[hook], rules_[hook], args};
  rails_.start(rails_.limits().instructions_max);
  int status = LUA_OK;
  if (call.bound.only_records) {
    push_call(lua_, call);
    status = lua_pcall(lua_, static_cast<int>(args.size()), LUA_MULTRET, 0);
  } else {
    lua_pushcfunction(lua_, protected_call);
    lua_pushlightuserdata(lua_, &call);
    status = lua_pcall(lua_, 1, LUA_MULTRET, 0);
  }
  clear_records(hook);
  if (status != LUA_OK || rails_.spent() != Spent::kNo)
    return failure(status, rules_[hook].hook.name, bound_[hook].line);
  if (lua_gettop(lua_) != 1)
    return Status(Code::kInvalid,
                  fmt::format("{}{}: expected one value, got {}", at_line(bound_[hook].line),
                              rules_[hook].hook.name, lua_gettop(lua_)));
  SLUICE_TRY(read_answers(hook, 1, answers));
  lua_settop(lua_, 0);
  return Status::ok();
}

// ---- Tests ----

// Numbers come before names, as when they are run.
struct Machine::TestKey {
  bool named = false;
  lua_Integer number = 0;
  std::string name;
  int line = 0;  // where its function begins

  auto operator<=>(const TestKey&) const = default;
  std::string text() const { return named ? '"' + name + '"' : std::to_string(number); }
};

// Stack: the machine, the key.
int Machine::protected_test(lua_State* lua) {
  const auto* machine = static_cast<const Machine*>(lua_touserdata(lua, 1));
  auto* key = static_cast<TestKey*>(lua_touserdata(lua, 2));
  lua_rawgeti(lua, LUA_REGISTRYINDEX, machine->tests_reference_);
  if (key->named)
    lua_pushstring(lua, key->name.c_str());
  else
    lua_pushinteger(lua, key->number);
  lua_rawget(lua, -2);
  key->line = line_defined(lua);
  lua_call(lua, 0, 0);
  return 0;
}

Status Machine::read_test_keys(std::vector<TestKey>& keys) {
  lua_rawgeti(lua_, LUA_REGISTRYINDEX, tests_reference_);
  if (lua_isnil(lua_, 1)) return Status::ok();
  for (lua_pushnil(lua_); lua_next(lua_, 1) != 0; lua_pop(lua_, 1)) {
    TestKey key;
    key.named = lua_type(lua_, -2) == LUA_TSTRING;
    if (key.named)
      key.name = lua_tostring(lua_, -2);
    else
      key.number = lua_tointeger(lua_, -2);
    if ((!key.named && !lua_isinteger(lua_, -2)) || !lua_isfunction(lua_, -1))
      return Status(Code::kInvalid,
                    fmt::format("{}tests: expected functions, got {} under {}",
                                at_line(line_of_key(text_, kTestsKey)), describe_value(lua_, -1),
                                describe_value(lua_, -2)));
    keys.push_back(std::move(key));
  }
  std::sort(keys.begin(), keys.end());
  return Status::ok();
}

Result<size_t> Machine::run_tests() {
  std::vector<TestKey> keys;
  const Status read = read_test_keys(keys);
  lua_settop(lua_, 0);
  SLUICE_TRY(read);
  rails_.start(rails_.limits().instructions_max * kTestsShare);
  for (TestKey& key : keys) {
    lua_pushcfunction(lua_, protected_test);
    lua_pushlightuserdata(lua_, this);
    lua_pushlightuserdata(lua_, &key);
    const int status = lua_pcall(lua_, 2, 0, 0);
    if (status != LUA_OK || rails_.spent() != Spent::kNo)
      return failure(status, "test " + key.text(), key.line);
  }
  return keys.size();
}

}  // namespace sluice::policy
