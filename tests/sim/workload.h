// What a case is made of: a list of steps, drawn from a seed or by RapidCheck.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "sim/nemesis.h"

namespace sluice::sim {

enum class Kind {
  kDecide,
  kRepeatDecision,
  kBadDecision,
  kPropose,
  kRepeatProposal,
  kRepeatPlan,
  kKill,
  kUnkill,
  kDisarm,
  kRearm,
  kForgePermit,
  kStealPermit,
  kHold,
  kUnhold,
  kSnapshots,
  kExchange,
  kTriggerStop,
  kAdvance,
  kLeap,
  kMidnight,
  kRestart,
  kCrash,
  kRepeatFill,
  kKillSoon,
  kCrashSoon,
  kCrashInAct,
  kPoison,
  kSyncFails,
  kDiskFull,
  kSlowDisk,
  kClockBack,
  kClockRight,
  kSuspendSoon,
  kZombie,
  kRace,
  kExchangePermit,
  kKillAtGate,
};
inline constexpr int kKinds = static_cast<int>(Kind::kKillAtGate) + 1;

// What `pick` chooses among is up to the kind; `amount` is a time or a count.
struct Step {
  Kind kind = Kind::kDecide;
  int pick = 0;    // 0 to 99
  int amount = 0;  // 0 to 999
};

std::string text_of(const Step& step);
std::ostream& operator<<(std::ostream& out, const Step& step);

// What a case has to do without, to leave out this kind; none: it is work, no fault.
std::optional<Fault> fault_of(Kind kind);

// Kinds by how often they come: one for each number from 0 to below `weight_sum`.
int weight_sum();
Kind kind_at(int weight);

// All steps of a seed, whatever its faults: the same ones stay when some are left out. Aimed ones
// come last, drawn from a stream of their own.
std::vector<Step> draw_steps(uint64_t seed);

}  // namespace sluice::sim
