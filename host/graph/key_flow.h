// Which stages pass what to each other through keys: a permit, a position, a kill switch.
//
// Stages declare the families of keys they touch; who writes and who reads a family is told by its
// pattern alone, since keys are made while the pipeline runs.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "graph/pipeline.h"

namespace sluice::graph {

// A family of keys between the stages that use it.
struct KeyFlow {
  std::string id;                        // the pattern without names of placeholders: "permit:{}"
  std::string pattern;                   // as its first reader declares it
  std::vector<size_t> writers, readers;  // indices into Pipeline::stages, ascending, each once
  bool counter = false;                  // then `writers` are the stages that count, no readers

  // Read here, written by nobody here: an operator or another program sets it.
  bool is_from_outside() const { return writers.empty() && !counter; }
};

// The families of `pipeline`, in the order in which its stages first write them, those from outside
// last.
//
// A family is fed by the stages that write the same pattern, whatever its placeholders are called;
// only when there is none by those whose pattern can name the same key. A stage that both reads and
// writes a family (consumes it, or keeps its own state in it) is a reader when another stage writes
// it, else its writer.
std::vector<KeyFlow> key_flows(const Pipeline& pipeline);

// The pattern with each placeholder as "one of any, then any more": families whose patterns differ
// in names only, as "quantum:permit:{plan_id}" and "quantum:permit:{id}", have one shape.
std::string shape_of(std::string_view pattern);

// Whether a key can belong to both families. A placeholder `{x}` is one or more characters.
bool patterns_overlap(std::string_view left, std::string_view right);

}  // namespace sluice::graph
