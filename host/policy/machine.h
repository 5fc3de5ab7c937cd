// One Lua state with one policy loaded into it.
//
// Invariant: outside of its functions the Lua stack is empty and no record points anywhere.
#pragma once

#include <lua.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "policy/library.h"
#include "policy/policy.h"
#include "policy/rails.h"
#include "policy/values.h"

namespace sluice::policy {

// How the file gives a hook.
enum class HookForm { kAbsent, kFunction, kValue };

// Threads: one call at a time.
class Machine {
 public:
  // Compiles `text` and runs it once; the table it returns is checked for shape only.
  //
  // `rules` must outlive the machine. Errors: kInvalid with `path`:line: syntax, an error while the
  // file runs, no table, a hook that is unknown or has the wrong form, all in one text.
  static Result<std::unique_ptr<Machine>> build(const std::string& path, const std::string& text,
                                                const std::vector<HookRule>& rules,
                                                const Limits& limits);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  HookForm form(size_t hook) const { return bound_[hook].form; }
  int line(size_t hook) const { return bound_[hook].line; }  // where a function begins

  // How often calls of a hook looked at its records.
  uint64_t reads(size_t hook) const;

  // Reads a hook that is a plain value.
  Status read_value(size_t hook, std::vector<Answer>& answers);

  // Calls a hook that is a function. After an error the machine must not be used again.
  Status call(size_t hook, std::span<const sluice_value> args, std::vector<Answer>& answers);

  // Runs the `tests` table in the order of its keys; returns how many there were.
  //
  // Errors: kInvalid with the number or name of the first test that failed and its message.
  Result<size_t> run_tests();

 private:
  struct Bound {
    HookForm form = HookForm::kAbsent;
    int line = 0;                     // where the function begins
    int reference = LUA_NOREF;        // function or value, in the registry
    std::vector<RecordRef*> records;  // by argument; nullptr for a text
    std::vector<int> record_references;
    bool only_records = false;  // pushing the arguments takes no memory, so it cannot raise
  };
  struct Call;
  struct TestKey;

  Machine(const std::string& path, const std::string& text, const std::vector<HookRule>& rules,
          const Limits& limits);

  Status load();
  Status check_table(int table);
  Status check_entry(int key, int value, std::vector<std::string>& faults);
  Status read_answers(size_t hook, int index, std::vector<Answer>& answers);
  std::string read_fields(const HookRule& rule, int index, std::vector<Answer>& answers);
  void clear_records(size_t hook);
  Status read_test_keys(std::vector<TestKey>& keys);

  static int protected_load(lua_State* lua);
  static int protected_bind(lua_State* lua);
  static void push_call(lua_State* lua, const Call& call);
  static int protected_call(lua_State* lua);
  static int protected_test(lua_State* lua);

  // The budget that ended, or the error on top of the stack: `lua/apply.lua:3: permit_wait: ...`.
  // `line` is said when the error does not tell its own.
  Status failure(int status, const std::string& what, int line);
  std::string placed(std::string_view message, const std::string& prefix, int line) const;
  std::string at_line(int line) const;

  const std::string& path_;
  const std::string& text_;
  const std::vector<HookRule>& rules_;
  const std::string chunk_name_;  // "@apply.lua"

  Rails rails_;  // outlives lua_
  lua_State* lua_ = nullptr;
  std::vector<Bound> bound_;          // by hook
  std::vector<int> name_references_;  // names of results in the registry, hook after hook
  std::vector<size_t> first_name_;    // by hook, into name_references_
  int tests_reference_ = LUA_NOREF;
};

}  // namespace sluice::policy
