#include "sim/workload.h"

#include <fmt/format.h>

#include <iterator>
#include <numeric>

#include "base/random.h"

namespace sluice::sim {
namespace {

constexpr int kStepsMin = 10, kStepsMax = 90;
constexpr int kAimedStepsMax = 6;

struct Row {
  Kind kind;
  const char* name;
  int weight;
  std::optional<Fault> fault;
};

// In the order of Kind.
constexpr Row kRows[] = {
    {Kind::kDecide, "decide", 20, {}},
    {Kind::kRepeatDecision, "repeat_decision", 5, Fault::kDuplicates},
    {Kind::kBadDecision, "bad_decision", 1, Fault::kPoison},
    {Kind::kPropose, "propose", 13, {}},
    {Kind::kRepeatProposal, "repeat_proposal", 2, Fault::kDuplicates},
    {Kind::kRepeatPlan, "repeat_plan", 2, Fault::kDuplicates},
    {Kind::kKill, "kill", 2, Fault::kControl},
    {Kind::kUnkill, "unkill", 9, {}},
    {Kind::kDisarm, "disarm", 1, Fault::kControl},
    {Kind::kRearm, "rearm", 10, {}},
    {Kind::kForgePermit, "forge_permit", 3, Fault::kPermits},
    {Kind::kStealPermit, "steal_permit", 2, Fault::kPermits},
    {Kind::kHold, "hold", 1, Fault::kControl},
    {Kind::kUnhold, "unhold", 4, {}},
    {Kind::kSnapshots, "snapshots", 4, Fault::kSnapshots},
    {Kind::kExchange, "exchange", 8, Fault::kAnswers},
    {Kind::kTriggerStop, "trigger_stop", 5, {}},
    {Kind::kAdvance, "advance", 16, {}},
    {Kind::kLeap, "leap", 12, Fault::kClock},
    {Kind::kMidnight, "midnight", 1, Fault::kClock},
    {Kind::kRestart, "restart", 3, Fault::kCrashes},
    {Kind::kCrash, "crash", 5, Fault::kCrashes},
    {Kind::kRepeatFill, "repeat_fill", 2, Fault::kDuplicates},
    {Kind::kKillSoon, "kill_soon", 3, Fault::kControl},
    {Kind::kCrashSoon, "crash_soon", 5, Fault::kCrashes},
    {Kind::kCrashInAct, "crash_in_act", 4, Fault::kCrashes},
    {Kind::kPoison, "poison", 1, Fault::kPoison},
    {Kind::kSyncFails, "sync_fails", 2, Fault::kDisk},
    {Kind::kDiskFull, "disk_full", 2, Fault::kDisk},
    {Kind::kSlowDisk, "slow_disk", 2, Fault::kDisk},
    {Kind::kClockBack, "clock_back", 1, Fault::kClock},
    {Kind::kClockRight, "clock_right", 2, {}},
    {Kind::kSuspendSoon, "suspend_soon", 2, Fault::kClock},
    {Kind::kZombie, "zombie", 2, Fault::kZombies},
    {Kind::kRace, "race", 4, Fault::kRaces},
    // From here on aimed.
    {Kind::kExchangePermit, "exchange_permit", 3, Fault::kAimed},
    {Kind::kKillAtGate, "kill_at_gate", 2, Fault::kAimed},
};
static_assert(std::size(kRows) == kKinds);

const Row& row_of(Kind kind) { return kRows[static_cast<size_t>(kind)]; }

// Of the rows that hold this.
int weight_of(bool aimed) {
  return std::accumulate(std::begin(kRows), std::end(kRows), 0, [&](int sum, const Row& row) {
    return sum + ((row.fault == Fault::kAimed) == aimed ? row.weight : 0);
  });
}

}  // namespace

std::string text_of(const Step& step) {
  return fmt::format("{}({}, {})", row_of(step.kind).name, step.pick, step.amount);
}

std::ostream& operator<<(std::ostream& out, const Step& step) { return out << text_of(step); }

std::optional<Fault> fault_of(Kind kind) { return row_of(kind).fault; }

int weight_sum() { return weight_of(false) + weight_of(true); }

Kind kind_at(int weight) {
  for (const Row& row : kRows) {
    if (weight < row.weight) return row.kind;
    weight -= row.weight;
  }
  return Kind::kAdvance;
}

std::vector<Step> draw_steps(uint64_t seed) {
  SeededRandom random(seed, "steps");
  const auto below = [&](int bound) {
    return static_cast<int>(random.next() % static_cast<uint64_t>(bound));
  };
  std::vector<Step> steps(static_cast<size_t>(kStepsMin + below(kStepsMax - kStepsMin)));
  const int unaimed = weight_of(false);
  for (Step& step : steps) step = {kind_at(below(unaimed)), below(100), below(1000)};
  random = SeededRandom(seed, "aimed steps");
  for (int i = below(kAimedStepsMax + 1); i > 0; --i) {
    const Kind kind = kind_at(unaimed + below(weight_of(true)));
    steps.push_back({kind, below(100), below(1000)});
  }
  return steps;
}

}  // namespace sluice::sim
