// What a policy file can name: a read-only environment of bounded functions.
#pragma once

#include <lua.hpp>

#include "plugin/catalog.h"
#include "sluice/abi.h"

namespace sluice::policy {

// Pushes the environment table. A Lua C function: takes nothing, returns one value, raises when
// memory runs out.
//
// Absent on purpose: whatever reads files or the clock, loads code, reaches metatables or shows
// addresses. `pairs` and `next` go in the order of the keys (numbers, texts, booleans), not of the
// hash, which differs from process to process.
int push_environment(lua_State* lua);

// A record argument as a policy sees it: `plan.symbol`, read when asked for.
//
// Lives in a userdata that Lua owns; the host points it at the members before a call and clears it
// after, so that a copy kept by a policy cannot reach freed memory.
struct RecordRef {
  const plugin::HookArg* arg = nullptr;
  const sluice_value* record = nullptr;  // nullptr between calls
  uint64_t reads = 0;                    // how often a policy looked at it
};

// Pushes a userdata for a record argument and returns its reference; raises when memory runs out.
// `arg` must outlive the state.
RecordRef* push_record(lua_State* lua, const plugin::HookArg& arg);

// Pushes a value of a plugin: text, numbers, booleans as such; a decimal as a number; a duration as
// milliseconds; a list as a table. Raises for what a policy cannot hold.
void push_value(lua_State* lua, const sluice_value& value, const char* name);

}  // namespace sluice::policy
