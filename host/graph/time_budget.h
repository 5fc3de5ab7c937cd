// What time an entry can spend on its way, against what its age and its permits allow.
//
// Counted for each stage: waits that its kind describes, back-off of all tries but the last, and
// for external stages the sync before they act. Not counted: work itself, and waiting behind
// others; the sums are what is lost with an idle machine.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/findings.h"
#include "policy/policy.h"

namespace sluice::graph {

using Scripts = std::map<std::string, std::shared_ptr<const policy::Script>>;  // by stage

// Finds keys that can expire while somebody waits for them, and entries that can grow too old.
// `pipeline` is without errors, its stages in topological order. Answers one budget for each limit.
//
// A hook counts with what it answers to an entry without fields; its range stands beside it.
std::vector<PathBudget> check_time_budget(const Pipeline& pipeline, const Scripts& scripts,
                                          Findings& findings);

}  // namespace sluice::graph
