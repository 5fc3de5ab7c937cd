// Keeps a run alive: a process of its own that is started again when it dies.
#pragma once

#include <functional>

#include "base/clock.h"

namespace sluice::cli {

struct Supervision {
  // Deaths within ten minutes at which it gives up. An entry that kills the process does so five
  // times before it is a dead letter, further ones of the stage three times each.
  size_t deaths_max = 20;
};

// Runs `work` in a child process and returns its exit code once it ends in order; when it dies, or
// ends with a failure of the device, it is started again after a pause that grows.
//
// A child has ended in order when `work` returned: a plugin that calls exit(0) has killed it.
// SIGTERM and SIGINT go to the child; one in a pause ends the supervision. The child is told to
// stop when this process dies. Too many deaths are not a matter of chance: then it gives up, with
// kGaveUp. Returns in the child as well, with what `work` returned. Call it before
// there are threads or unwritten output.
int supervise(const Clock& clock, const Supervision& options, const std::function<int()>& work);

}  // namespace sluice::cli
