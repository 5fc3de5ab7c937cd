// A file of tests beside its pipeline, read and checked: every fault is a finding with its place.
//
// docs/testing.md shows the form; the reader is the one of pipeline files, and as strict.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "graph/located.h"
#include "graph/pipeline.h"
#include "plugin/catalog.h"

namespace sluice::harness {

// Entries of one stream: to append, or to expect.
struct StreamEntries {
  size_t stream = 0;  // index into the pipeline's streams
  graph::Spot spot;   // of the stream's name
  // Maps. What an expected one does not name may be there.
  std::vector<graph::Node> entries;
  std::optional<size_t> count;  // expected: so many, whatever they hold; `entries` is empty
};

struct KeyNode {
  std::string key;  // may hold ${...}
  graph::Spot spot;
  graph::Node value;  // a map: fields; a text: text, absent or present; null for kErase
};

struct Step {
  enum class Kind { kAdd, kRepeat, kSet, kSetJson, kErase, kAdvance, kExpect };
  Kind kind = Kind::kAdd;
  graph::Spot spot;
  std::vector<StreamEntries> entries;  // kAdd, kExpect; kRepeat: the streams
  std::vector<KeyNode> keys;           // kSet, kSetJson, kErase, kExpect
  std::chrono::milliseconds time{0};   // kSet, kSetJson: ttl, 0 for ever; kAdvance
};

// What the world says to acts that fit; exactly one of outcome, later and fails.
struct Answer {
  graph::Spot spot;
  bool shared = false;  // of the file: it need not be asked for
  std::string stage;    // empty: any
  graph::Node match;    // expected fields of the request; null: any
  graph::Node outcome;  // a map, or null
  std::optional<std::chrono::milliseconds> later;
  std::optional<std::string> fails;
  size_t times = 1;
};

struct Test {
  std::string name;
  graph::Spot spot;
  WallTime start{};
  // Of this test alone: its stages, settings and policies.
  graph::Pipeline pipeline;
  std::vector<Step> given, steps;
  std::vector<Answer> answers;  // those of the file behind its own
};

struct TestFile {
  std::string path;
  std::string pipeline_path;
  std::shared_ptr<const graph::Pipeline> pipeline;  // whole, with the variables of the file
  std::vector<Test> tests;
};

struct ReadFile {
  std::optional<TestFile> file;  // set when there is no error among the findings
  std::vector<graph::Finding> findings;
};

// Reads `path`. `scratch` is a folder for this file alone: tests see ${SLUICE_DATA} as
// scratch/data, and no other variable but the ones they give; policies written into the file go to
// scratch/policies. `catalog` outlives the result.
ReadFile read_test_file(const std::string& path, const plugin::Catalog& catalog,
                        const std::string& scratch);

// The folder that plugins of these tests may write to.
std::string data_folder(const std::string& scratch);

}  // namespace sluice::harness
