// The eight invariants of the trade pipeline, judged from streams and keys alone.
//
// What is judged is what was left behind, not what the stages say of themselves: no plugin is
// loaded and no code of theirs is used, so a fault they share with their tests shows here.
//
// Streams are found by what reads and writes them in the pipeline file (the router's input, the
// gate's `order` port), not by their keys. What is not there cannot be judged: a stream that is
// trimmed is judged from its oldest complete entry on, and a report says so.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/entry_id.h"
#include "base/status.h"
#include "graph/pipeline.h"
#include "stream/store.h"

namespace sluice::audit {

// One thing that breaks an invariant, and what was found where.
struct Offence {
  std::string subject;  // what it is about: "decision 1765785600000-0", "plan 3e9c3c472d670f9c"
  std::string stream;   // name in the engine; empty for a key
  EntryId id;           // of the entry there; zero for a key or a record that is missing
  std::string what;     // the rule and the values met, one line
};

enum class Verdict {
  kHolds,
  kBroken,
  kNotJudged,  // nothing could be looked at; the notes say why
};

// What was found of one invariant.
struct Finding {
  int number = 0;              // 1 to 8, as in docs/operations.md
  std::string name;            // one line
  uint64_t looked_at = 0;      // things judged
  std::string things;          // what they are: "decisions and plans"
  uint64_t open = 0;           // on their way: neither right nor wrong yet
  uint64_t offences_more = 0;  // beyond Options::offences_max
  std::vector<Offence> offences;
  std::vector<std::string> notes;  // what was not judged and why

  Verdict verdict() const;
};

struct Options {
  // Offences told for one invariant; further ones are counted. More costs memory only when there
  // are as many.
  size_t offences_max = 100;
};

struct Report {
  std::vector<Finding> findings;  // one for each invariant, in their order

  bool holds() const;
  // A line for each broken invariant and each offence; empty when all hold. For tests.
  std::string text() const;
};

// Judges all invariants.
//
// `store` may be in use: what was committed when it was opened for reading is judged, and entries
// still on their way are counted apart. Its clock says which keys have expired; for a store at rest
// that is the time of the last commit.
// Errors: those of reading the store.
Result<Report> audit(const graph::Pipeline& pipeline, const stream::Store& store,
                     const Options& options = {});

}  // namespace sluice::audit
