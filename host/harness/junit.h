// Results as the XML that build servers read.
#pragma once

#include <string>
#include <vector>

#include "harness/runner.h"

namespace sluice::harness {

struct FileOutcome {
  std::string path;
  std::string pipeline;  // its name
  std::vector<Outcome> outcomes;
};

// testsuites, a testsuite for each file, a testcase for each test with file and line, a failure
// with all that was not as expected. Well-formed UTF-8 whatever the texts hold.
// Source: the schema of Jenkins' xunit plugin, which GitLab reads as well.
std::string junit_text(const std::vector<FileOutcome>& files);

}  // namespace sluice::harness
