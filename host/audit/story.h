// The whole story of one decision, plan or order, in the order of time.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/entry_id.h"
#include "graph/pipeline.h"
#include "stream/store.h"

namespace sluice::audit {

// One thing that happened, as an entry tells it.
struct Happening {
  WallTime at{};
  std::string who;                  // the stage, "producer" or "operator"
  std::string text;                 // one sentence, no final stop
  std::vector<std::string> values;  // what was seen: "position 0.034", one each
  std::string policy;               // version that decided; may be empty
  std::string stream;               // name in the engine
  EntryId id;
};

struct Story {
  std::string asked;
  std::vector<Happening> happenings;   // oldest first; empty: nobody knows the id
  std::vector<std::string> decisions;  // ids that are part of it
  std::vector<std::string> plans;
  std::vector<std::string> orders;   // client order ids
  std::vector<std::string> endings;  // how it ended, in words; empty while it goes on
};

// Tells all that the streams of the pipeline hold about `id`: the entry id of a decision or
// proposal, a plan id, a client order id, a trace id or a correlation id. A trace id that several
// decisions share gives all of them.
//
// Errors: those of reading the store.
Result<Story> tell(const graph::Pipeline& pipeline, const stream::Store& store,
                   const std::string& id);

}  // namespace sluice::audit
