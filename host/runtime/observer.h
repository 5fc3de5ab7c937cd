// Told what the stages did, after it is committed.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "graph/pipeline.h"
#include "stream/fields.h"

namespace sluice::runtime {

// Threads: [any], outside all locks of the runtime. Implementations return fast.
class Observer {
 public:
  virtual ~Observer() = default;

  // An entry was appended to a stream by a stage or an input.
  virtual void emitted(const graph::StreamSpec& stream, stream::FieldsView fields,
                       WallTime now) = 0;

  // A dead letter was written. `stage` is null for a line of input that could not be read.
  virtual void dead_lettered(const graph::StageSpec* stage, std::string_view reason,
                             std::string_view detail) = 0;
};

}  // namespace sluice::runtime
