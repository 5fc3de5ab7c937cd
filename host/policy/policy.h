// Lua policy: hooks that decide and touch nothing. A hook that fails means no.
//
// A file `lua/<name>.lua` returns a table of hooks:
//
//   return {
//     permit_wait = function(plan) return 1200 * ms end,
//     cooldown = 15 * s,                       -- a hook without arguments may be a plain value
//     tests = { function() ... assert(...) end }  -- run before a version goes live
//   }
//
// A hook the file does not give answers its described default. A hook the description does not know
// is an error at load. Durations are numbers of milliseconds, written with the globals ms, s, min,
// h, d.
//
// Guard rails: PUC Lua 5.4, text chunks only; no io, os, debug, package, load*, require, coroutine,
// collectgarbage, setmetatable, getmetatable, raw*, xpcall; bounded string and table functions; an
// instruction budget that re-arms at count 1 once spent; a capped allocator. Policies are trusted
// code with rails, not a sandbox for strangers.
//
// What a policy can name: assert error ipairs next pairs pcall select tonumber tostring type; math
// without random; string: byte char find format gmatch gsub len lower match rep reverse sub upper;
// table: concat insert remove sort unpack; the units ms s min h d. An unknown name raises. Globals
// are read-only, also while the file loads. A `local` of the file that a hook changes does outlive
// the call: it cannot be told from a constant. Such a policy answers differently on each worker;
// do not write one. `pairs` and `next` go in the order of the keys, so that a recorded day replays.
// Zero bytes are refused everywhere.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/disk.h"
#include "base/status.h"
#include "plugin/catalog.h"

namespace sluice::policy {

struct Limits {
  // Per call and for loading the file; about 1 ms. 32 bytes allocated or one byte searched count as
  // one as well. All tests of a file together get 100 times as many.
  uint64_t instructions_max = 100'000;
  size_t memory_bytes_max = 8 << 20;  // per state; one table or the stack: a 32nd
  size_t text_bytes_max = 64 << 10;   // subject of string functions, length of a text result
};

struct Estimate;

// One checked version of a policy file: the text and a short digest of it
// ("lua/apply.lua@3f9a1c2e"). Immutable; shared by the states that run it.
class Script {
 public:
  // Reads, compiles, checks the hooks against `hooks`, evaluates plain values against their ranges
  // and runs `tests`.
  //
  // Errors: kInvalid with file:line and reason: syntax, unknown hook (nearest named), wrong type,
  // value out of range, a failing test (its number and message), budget or memory spent. The hooks
  // at fault are all named in one text. kNotFound and kIo of the disk.
  static Result<std::shared_ptr<const Script>> load(const std::string& path,
                                                    const std::vector<plugin::Hook>& hooks,
                                                    const Limits& limits, Disk& disk);

  // The policy of a stage without a file: every hook answers its default. A hook whose description
  // is not sound answers kInvalid.
  static std::shared_ptr<const Script> defaults(const std::vector<plugin::Hook>& hooks);

  ~Script();
  const std::string& version() const;  // "apply.lua@3f9a1c2e", or "defaults"
  const std::string& path() const;
  size_t test_count() const;

 private:
  friend class State;
  friend class Live;
  static Result<std::shared_ptr<const Script>> from_text(const std::string& path, std::string text,
                                                         const std::vector<plugin::Hook>& hooks,
                                                         const Limits& limits);
  Script();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A Lua state running one script. One per worker.
// Threads: one call at a time.
class State {
 public:
  static Result<std::unique_ptr<State>> open(std::shared_ptr<const Script> script,
                                             const Limits& limits);
  ~State();

  const Script& script() const;

  // Calls a hook.
  //
  // Args:    as the hook describes; RECORD arguments are read lazily, a field that is not in the
  //          description's list raises, one that is listed and absent reads as nil. A policy sees
  //          decimals as numbers and durations as milliseconds. Views until return.
  // Shape:   `results` has the hook's result_count elements; text views are valid until the next
  //          call. Durations come back in microseconds, decimals as plain decimal text. A policy
  //          gives a decimal as number or text, a duration as milliseconds down to 0.001.
  // Errors:  kInvalid: what the policy did wrong (error text, spent budget, type or range: hook,
  //          value and what was expected), or a call that does not fit the description. `results`
  //          is left as it was. The state is rebuilt for the next call; nothing survives between
  //          calls that a policy could count on.
  Status call(std::string_view hook, std::span<const sluice_value> args,
              std::span<sluice_value> results);

 private:
  friend Result<Estimate> estimate(const std::shared_ptr<const Script>& script,
                                   const plugin::Hook& hook, std::string_view result,
                                   const Limits& limits);
  State();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// What a hook answers, as far as that can be known without an entry.
struct Estimate {
  // Of a call whose records have no members and whose texts are empty; none when that fails.
  std::optional<int64_t> integer;
  // The hook looked at a record: other entries may get other answers.
  bool depends = false;
  int line = 0;  // of the hook in the file; 0: a plain value or the default
};

// Estimates one integer, boolean or duration result of `hook`. Errors: kInvalid when the script has
// no such hook or result.
Result<Estimate> estimate(const std::shared_ptr<const Script>& script, const plugin::Hook& hook,
                          std::string_view result, const Limits& limits);

// The current version of one file, swapped while running.
//
// `poll` reads the file (policies are small) and, when its text is not the one seen last, loads it
// as a new Script; a version that does not load leaves the old one and is reported once.
// Threads: [any]; `current` never waits for a load.
class Live {
 public:
  Live(std::string path, std::vector<plugin::Hook> hooks, Limits limits, Disk& disk);

  // First load; the same errors as Script::load.
  Status load();

  // nullptr until a version has loaded.
  std::shared_ptr<const Script> current() const;

  enum class Change { kNone, kSwapped, kRefused };
  struct Report {
    Change change = Change::kNone;
    std::string text;  // for the operator: the new version, or why it was refused
  };
  Report poll();

 private:
  // Loads what the file holds now. With `same`: only when it is not the text seen last; tells.
  Status try_load(bool* same);

  const std::string path_;
  const std::vector<plugin::Hook> hooks_;
  const Limits limits_;
  Disk& disk_;
  struct Guarded;
  std::shared_ptr<Guarded> guarded_;
};

}  // namespace sluice::policy
