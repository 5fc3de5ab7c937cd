// Says whose turn it is, in a simulation; a run without one steps all actors in a fixed order.
#pragma once

#include <cstddef>
#include <span>

#include "base/status.h"
#include "runtime/actor.h"

namespace sluice::runtime {

// Threads: that of the run, which has one when time is recorded.
class Scheduler {
 public:
  virtual ~Scheduler() = default;

  // Index of the actor in `ready` that steps next. Those that found nothing to do since anything
  // was last done are not among them; there is at least one.
  //
  // Errors: any ends the run there, before another actor steps, as the death of the process would.
  virtual Result<size_t> next(std::span<Actor* const> ready) = 0;
};

}  // namespace sluice::runtime
