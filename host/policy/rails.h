// What keeps a Lua state inside its bounds: a budget of steps and an allocator with limits.
//
// A step is one instruction of the Lua machine, 32 bytes allocated, or one unit of work of a
// library function (a byte compared, an item moved). Once the steps are spent the state is dead:
// the hook fires at every instruction from then on and `pcall` passes the error on, so no policy
// can catch it. The same holds for a text or a block beyond its limit. Whoever owns the state
// throws it away.
//
// Nothing here looks at a clock: the same policy on the same input always ends the same way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <lua.hpp>

#include "policy/policy.h"

namespace sluice::policy {

enum class Spent { kNo, kSteps, kMemory, kText, kBlock };

// One per Lua state, which reaches it through its extra space. Trivially destructible.
class Rails {
 public:
  static constexpr uint64_t kUnbounded = UINT64_MAX / 2;

  explicit Rails(const Limits& limits);

  // A new Lua state that lives within these rails; nullptr when there is no memory for one. The
  // rails must outlive it.
  lua_State* open_state();

  static Rails& of(lua_State* lua) { return **static_cast<Rails**>(lua_getextraspace(lua)); }

  // Starts a budget.
  void start(uint64_t steps_max);

  // Takes `steps` for work a library function is about to do; raises when they are not there.
  void charge(lua_State* lua, uint64_t steps) {
    steps_ += steps;
    if (steps_ >= steps_max_) spend(lua, Spent::kSteps);
  }

  uint64_t steps_left() const { return steps_ < steps_max_ ? steps_max_ - steps_ : 0; }
  uint64_t steps_max() const { return steps_max_; }
  const Limits& limits() const { return limits_; }

  Spent spent() const { return spent_; }
  int line() const { return line_; }  // where the budget ended; 0 when unknown

  // Raises an error that cannot be caught.
  [[noreturn]] void spend(lua_State* lua, Spent what);

  // Raises again after a `pcall` that caught the end of the budget.
  [[noreturn]] void raise(lua_State* lua);

 private:
  static void* allocate(void* rails, void* block, size_t old_size, size_t new_size);
  static void count(lua_State* lua, lua_Debug* at);

  bool may_grow(size_t old_size, size_t new_size, bool is_text);
  void mark(Spent what);

  const Limits limits_;
  const size_t block_bytes_max_;
  lua_State* lua_ = nullptr;  // set once the state is open
  size_t memory_bytes_ = 0;
  uint64_t steps_ = 0;
  uint64_t steps_max_ = kUnbounded;
  int steps_between_hooks_ = 0;
  Spent spent_ = Spent::kNo;
  int line_ = 0;
};

}  // namespace sluice::policy
