// What must hold at the end of a case, judged by rules that share no code with the pipeline.
#pragma once

#include <string>
#include <vector>

#include "base/entry_id.h"
#include "graph/pipeline.h"
#include "sim/chronicle.h"
#include "sim/exchange.h"
#include "stream/store.h"

namespace sluice::sim {

// Thrown where a rule does not hold.
struct Broken {
  std::string rule;  // its name, a word or two
  std::string what;  // what was met
};

[[noreturn]] void broken(std::string rule, std::string what);

// What is judged, and what it is held against. All outlive the oracle.
class Oracle {
 public:
  Oracle(const graph::Pipeline& pipeline, const stream::Store& store, const Chronicle& chronicle,
         const Truth& truth)
      : pipeline_(pipeline), store_(store), chronicle_(chronicle), truth_(truth) {}

  // What the case knows besides.
  struct Case {
    std::vector<EntryId> accepted;  // decisions whose append was durable
    int64_t late_us = 0;            // how long after its sending the exchange may take an order
    bool clock_went_back = false;   // hours by the wall clock came twice
    bool tampered = false;          // somebody wrote permits over those of the governor
  };

  // Everything at once; throws Broken.
  void judge(const Case& known) const;

  // What the ledgers say otherwise than the exchange; empty: nothing.
  std::string difference() const;

 private:
  const std::vector<stream::Entry>& entries(const std::string& key) const {
    return chronicle_.entries(key);
  }

  void judge_accepted(const std::vector<EntryId>& accepted) const;
  void judge_decisions() const;
  void judge_orders(int64_t late_us) const;
  void judge_size(const stream::Entry& order) const;
  void judge_shares() const;
  void judge_audit(const Case& known) const;

  const graph::Pipeline& pipeline_;
  const stream::Store& store_;
  const Chronicle& chronicle_;
  const Truth& truth_;
};

inline std::string text_of(const stream::Entry& entry, std::string_view name) {
  return std::string(entry.fields.find(name).value_or(""));
}

}  // namespace sluice::sim
