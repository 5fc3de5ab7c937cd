// One function for each invariant; all are pure but for the keys some look up.
#pragma once

#include "audit/evidence.h"

namespace sluice::audit {

// Collects what one judge says, within the bounds of the options.
class Bench {
 public:
  Bench(int number, const char* name, const char* things, const Options& options)
      : options_(options) {
    finding_.number = number;
    finding_.name = name;
    finding_.things = things;
  }

  void look(uint64_t count = 1) { finding_.looked_at += count; }
  void open() { ++finding_.open; }
  void note(std::string text) { finding_.notes.push_back(std::move(text)); }
  void offend(std::string subject, const Place& place, std::string what) {
    offend(Offence{std::move(subject), place.stream == nullptr ? std::string() : *place.stream,
                   place.id, std::move(what)});
  }
  void offend(Offence offence) {
    if (finding_.offences.size() < options_.offences_max)
      finding_.offences.push_back(std::move(offence));
    else
      ++finding_.offences_more;
  }
  Finding done() { return std::move(finding_); }

 private:
  const Options& options_;
  Finding finding_;
};

// In the order of the invariants, 1 to 8.
Finding judge_endings(const Evidence& evidence, const Options& options);
Finding judge_orders_per_leg(const Evidence& evidence, const Options& options);
Finding judge_permits(const Evidence& evidence, const Options& options);
Result<Finding> judge_kill_switch(const Evidence& evidence, const stream::Store& store,
                                  const Options& options);
Finding judge_limits(const Evidence& evidence, const Options& options);
Result<Finding> judge_ledger(const Evidence& evidence, const stream::Store& store,
                             const Options& options);
Result<Finding> judge_trimming(const Evidence& evidence, const stream::Store& store,
                               const Options& options);
Finding judge_duplicates(const Evidence& evidence, const Options& options);

}  // namespace sluice::audit
