// Applies the fixes that findings carry to the text they were found in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/pipeline.h"

namespace sluice::cli {

struct Fixed {
  std::string text;
  size_t applied = 0;  // fixes; one whose place does not hold what it replaces is left out
};

// `text` is the content of `file`; findings in other files are passed over.
Fixed apply_fixes(std::string_view text, const std::string& file,
                  const std::vector<graph::Finding>& findings);

// The lines that differ, with their numbers, in the form of `diff -U0`. Both have as many lines.
std::string line_diff(const std::string& file, std::string_view before, std::string_view after);

}  // namespace sluice::cli
