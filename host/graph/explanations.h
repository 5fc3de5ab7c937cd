// What each finding means to whoever has to mend it: `sluice explain S0311` and docs/findings.md.
#pragma once

#include <string>
#include <string_view>

#include "graph/findings.h"

namespace sluice::graph {

// Texts of one code: lines of at most 90 columns, no newline at the end.
struct Explanation {
  Fault fault;

  // What is wrong, and what would happen at run time. Sentences.
  std::string_view cause;

  // The smallest text that yields the finding, a line "# instead:", and the mended form.
  //
  // Shape: keys of a pipeline file, which stand for those of pipelines/trade.yaml or are added to
  //        it; or a whole policy, named by its first line ("-- lua/governor.lua") and parted by
  //        "-- instead:". A test tries these. Or what was typed, beginning with "$ "; or a part of
  //        another file, named by the first line ("# pipelines/trade.test.yaml").
  std::string_view example;

  // What to do. Imperative.
  std::string_view remedy;
};

// Lasts for ever. Of a fault that has none yet the texts are empty; a test lists those.
const Explanation& explanation(Fault fault);

// docs/findings.md: the table of codes, then a section for each.
std::string findings_markdown();

}  // namespace sluice::graph
