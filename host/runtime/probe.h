// Stands in for the world in tests of a pipeline, and sees what its stages do.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "graph/pipeline.h"
#include "runtime/item.h"
#include "stream/store.h"

namespace sluice::runtime {

// Threads: that of the run, which has one when time is recorded.
class Probe {
 public:
  virtual ~Probe() = default;

  // What the world answers to an act. `item` has request, idempotency key and whether it was asked
  // before.
  struct Answer {
    // As the C table has them; kPlugin: the plugin's own `act` is called after all.
    enum class Kind { kDone, kLater, kFailed, kPlugin };
    Kind kind = Kind::kDone;
    stream::Fields outcome;  // kDone
    Micros after{0};         // kLater: asked again then
    std::string detail;      // kFailed
  };

  // Called in place of the plugin's `act`.
  virtual Answer act(const graph::StageSpec& stage, const Item& item) = 0;

  // A unit of `stage` was applied; `ports` are those of its emits, dead letters left out.
  virtual void committed(const graph::StageSpec& stage, const stream::Unit& unit,
                         std::span<const std::string> ports) = 0;

  virtual void policy_called(std::string_view stage, std::string_view hook) = 0;
};

}  // namespace sluice::runtime
