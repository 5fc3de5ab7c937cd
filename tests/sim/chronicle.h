// What was ever in the streams, whatever was trimmed since.
//
// Kept beside the store: each entry is taken down after the commit that made it, when no other
// commit can have trimmed it yet. What a crash took from the store is struck out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/pipeline.h"
#include "stream/store.h"

namespace sluice::sim {

class Chronicle {
 public:
  // `pipeline` outlives it.
  explicit Chronicle(const graph::Pipeline& pipeline)
      : pipeline_(pipeline), told_(pipeline.streams.size()) {}

  // Of a store that was just opened, maybe after a crash: strikes out what it has lost and reads
  // all streams on. Throws Broken, as the others do.
  void open(const stream::Store& store);

  // Takes down what is new in `stream`. Errors: those of the store.
  Status read_on(const stream::Store& store, stream::StreamId stream);

  // Throws Broken unless there are as many entries as the store says it ever took.
  void check(const stream::Store& store) const;

  // All entries of the stream that the pipeline file calls `key`, ids ascending.
  const std::vector<stream::Entry>& entries(const std::string& key) const;

 private:
  struct Stream {
    stream::StreamId id = 0;
    std::vector<stream::Entry> entries;
  };

  const graph::Pipeline& pipeline_;
  std::vector<Stream> told_;  // by index in the pipeline
};

}  // namespace sluice::sim
