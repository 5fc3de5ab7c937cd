// Runs the tests of a file, one at a time: real runtime, real plugins, real policies, on a store in
// memory and a clock that stands still between steps.
//
// The world is closed off: acts of external stages are answered by the test, no input is read, and
// what plugins keep in files goes to the scratch folder, empty at the start of each test.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "harness/coverage.h"
#include "harness/test_file.h"

namespace sluice::harness {

struct Failure {
  graph::Place place;  // of the expectation
  std::string text;    // one line
};

struct Outcome {
  std::string name;
  graph::Place place;
  Micros took{0};
  std::vector<Failure> failures;  // empty: fine
  // For a reader of failures: what each stream got since it was last looked at, a line an entry.
  std::vector<std::string> seen;

  bool ok() const { return failures.empty(); }
};

// `scratch` as in read_test_file; `clock` measures. Threads: [control].
Outcome run_test(const TestFile& file, const Test& test, const std::string& scratch,
                 const Clock& clock, Coverage& coverage);

}  // namespace sluice::harness
