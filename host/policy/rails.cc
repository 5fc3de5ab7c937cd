#include "policy/rails.h"

#include <algorithm>
#include <cstdlib>
#include <type_traits>

#include "base/memory.h"

namespace sluice::policy {

namespace {

static_assert(std::is_trivially_destructible_v<Rails>);

constexpr uint64_t kStepsBetweenHooks = 1000;

// Copying a byte takes about a third of a nanosecond, an instruction about ten.
constexpr size_t kBytesPerStep = 32;

// A refused allocation makes Lua collect all garbage, so only a few fit into a budget.
constexpr uint64_t kRefusalsMax = 8;

// What Lua 5.4 allocates on top of the bytes of a text: 24 of header (64-bit machines), 1 for its
// end.
constexpr size_t kTextOverheadBytes = 25;

// Arguments of a call are copied by one instruction and a table is searched by one, so a single
// block (the Lua stack, the array of a table) is kept small against the whole.
constexpr size_t kBlocksPerMemory = 32;

// Lua's buffers double while a text is put together, so a block holds this many of the longest.
constexpr size_t kTextsPerBlock = 4;

}  // namespace

Rails::Rails(const Limits& limits)
    : limits_(limits),
      block_bytes_max_(std::max(limits.memory_bytes_max / kBlocksPerMemory,
                                limits.text_bytes_max * kTextsPerBlock)) {}

lua_State* Rails::open_state() {
  lua_State* lua = lua_newstate(allocate, this);
  if (lua == nullptr) return nullptr;
  *static_cast<Rails**>(lua_getextraspace(lua)) = this;
  lua_ = lua;
  return lua;
}

void Rails::start(uint64_t steps_max) {
  steps_ = 0;
  steps_max_ = steps_max;
  spent_ = Spent::kNo;
  line_ = 0;
  steps_between_hooks_ = static_cast<int>(std::clamp<uint64_t>(steps_max, 1, kStepsBetweenHooks));
  lua_sethook(lua_, count, LUA_MASKCOUNT, steps_between_hooks_);
}

void Rails::mark(Spent what) {
  if (spent_ != Spent::kNo) return;
  spent_ = what;
  // From now on each instruction raises: a loop around `pcall` would survive a single error.
  // lua_sethook may be called at any time, inside the allocator too.
  if (lua_ != nullptr) lua_sethook(lua_, count, LUA_MASKCOUNT, 1);
}

void Rails::raise(lua_State* lua) {
  if (line_ == 0) {
    lua_Debug at;
    for (int level = 0; line_ <= 0 && lua_getstack(lua, level, &at) != 0; ++level)
      if (lua_getinfo(lua, "l", &at) != 0) line_ = at.currentline;
  }
  lua_pushliteral(lua, "budget spent");
  lua_error(lua);
  std::abort();  // lua_error does not return
}

void Rails::spend(lua_State* lua, Spent what) {
  mark(what);
  raise(lua);
}

void Rails::count(lua_State* lua, lua_Debug*) {
  Rails& rails = of(lua);
  if (rails.spent_ != Spent::kNo) rails.raise(lua);
  rails.charge(lua, static_cast<uint64_t>(rails.steps_between_hooks_));
}

bool Rails::may_grow(size_t old_size, size_t new_size, bool is_text) {
  if (is_text && new_size > limits_.text_bytes_max + kTextOverheadBytes) {
    mark(Spent::kText);
    return false;
  }
  if (new_size > block_bytes_max_) {
    mark(Spent::kBlock);
    return false;
  }
  steps_ += (new_size - old_size) / kBytesPerStep;
  if (memory_bytes_ - old_size + new_size > limits_.memory_bytes_max) {
    // Not the end yet: Lua collects garbage and asks again.
    steps_ += steps_max_ / kRefusalsMax;
    if (steps_ >= steps_max_) mark(Spent::kMemory);
    return false;
  }
  if (steps_ >= steps_max_) mark(Spent::kSteps);
  return true;
}

void* Rails::allocate(void* opaque, void* block, size_t old_size, size_t new_size) {
  Rails& rails = *static_cast<Rails*>(opaque);
  const bool is_text = block == nullptr && old_size == LUA_TSTRING;
  if (block == nullptr) old_size = 0;  // it was the kind of the new object
  if (new_size == 0) {
    std::free(block);
    rails.memory_bytes_ -= old_size;
    return nullptr;
  }
  if (new_size > old_size && !rails.may_grow(old_size, new_size, is_text)) return nullptr;
  void* result = std::realloc(block, new_size);
  if (result == nullptr) found_no_memory();
  if (result != nullptr) rails.memory_bytes_ += new_size - old_size;
  return result;
}

}  // namespace sluice::policy
