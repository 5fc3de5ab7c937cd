// What a change to a pipeline adds, removes and changes.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "graph/pipeline.h"

namespace sluice::graph {

enum class Change { kNone, kAdded, kRemoved, kChanged };

// "added", "removed", "changed", or "same".
std::string_view change_name(Change change);

// One thing in which two pipelines differ.
struct Difference {
  enum class Of { kPipeline, kStream, kStage, kKey };  // in this order in a list

  Change change = Change::kChanged;
  Of of = Of::kPipeline;
  std::string name;           // of the stream, the stage or the pipeline; a key's pattern
  std::string part;           // as the file writes it: "batch", "with.symbols", "to.order"; empty:
                              // the whole
  std::string before, after;  // the part's value; empty where it is not there. Secrets: "(secret)"
};

// "pipeline", "stream", "stage", "key".
std::string_view of_name(Difference::Of of);

// The differences of `after` from `before`, streams and stages told apart by their names in the
// file; empty when both mean the same.
//
// Everything the file can say is compared, with defaults filled in, and what it leads to: the text
// of policies and schemas, and which stage passes keys to which. Paths are compared as the file
// writes them, so the same file in another folder is the same.
std::vector<Difference> differences(const Pipeline& before, const Pipeline& after);

// One stream, stage or the pipeline itself as `differences` compares it.
struct Compared {
  Difference::Of of;
  std::string name;
  std::vector<std::pair<std::string, std::string>> parts;  // and their values
};

// What hosts that share the work of a pipeline must have in common of its file. Left out is what a
// host has for itself: its consumer, how it reaches the server, paths, secrets, and how much it
// takes on at once. Policies are as well: they change while hosts run, and records name them.
std::vector<Compared> common_parts(const Pipeline& pipeline);

}  // namespace sluice::graph
