// The source that brings the harvest publisher's hashes into the pipeline.
#pragma once

#include <string>
#include <vector>

#include "sluice/plugin.h"

namespace sluice::apply {

// Reads quantum:harvest:proposal:<SYM> of each symbol at every interval, and emits a proposal once
// for each change.
//
// Change:  of what makes the plan id: action, kill score, new stop, computed_at_utc. A publisher
//          that only refreshes last_update_epoch proposes nothing new, and the same plan again
//          would only be a duplicate.
// Out:     the hash's fields and `symbol`. last_update_epoch is always there, empty when the hash
//          has none, so that the plan stage refuses a proposal of unknown age.
// Missing: a symbol without a hash, an action or a kill score proposes nothing; neither does one of
//          `idle_actions`. Nothing is ever made up.
// Durable: what was seen last stands in quantum:apply:proposal_seen:<SYM>, in the same unit as the
//          entry, so a restart repeats nothing.
// Threads: [worker]; nothing changes after construction.
// Source:  reference contract, sections 6.2 and 9.2.
class Proposals {
 public:
  static constexpr Info kInfo{.kind = "proposals",
                              .doc = "Harvest proposals from the publisher's hashes, on a timer.",
                              .type = SLUICE_SOURCE};

  static constexpr const char* kProposalFields[] = {"symbol", "harvest_action", "kill_score",
                                                    "last_update_epoch", nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "proposal", .doc = "Changed proposals.", .fields = kProposalFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "symbols",
       .doc = "Symbols to look at, such as [BTCUSDT, ETHUSDT].",
       .type = SLUICE_LIST},
      {.name = "interval",
       .doc = "Between two rounds. More lets a proposal lie longer; less reads more often.",
       .type = SLUICE_DURATION,
       .default_text = "5s",
       .min_text = "10ms",
       .max_text = "60s"},
      {.name = "idle_actions",
       .doc = "Actions by which the publisher says that it proposes nothing.",
       .type = SLUICE_LIST,
       .default_text = "NONE"}};

  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:harvest:proposal:{symbol}",
       .doc = "The publisher's hash.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:apply:proposal_seen:{symbol}",
       .doc = "The proposal that was emitted last.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS}};

  // Throws SettingError when there is no symbol.
  static void check(const Settings& settings);

  explicit Proposals(const Settings& settings);

  Poll poll(Unit& unit) const;

 private:
  bool proposes(const Value& hash) const;

  const std::vector<std::string> symbols_;
  const std::vector<std::string> idle_actions_;
  const Duration interval_;
};

}  // namespace sluice::apply
