// What goes wrong: the classes of faults, which of them a seed meets, and what strikes between two
// steps of the host.
//
// Each part draws from a stream of its own, split from the seed by its name, and what strikes
// during a step of the workload from one split by that step's number: leaving one out does not move
// the others.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "runtime/scheduler.h"

namespace sluice::sim {

enum class Fault {
  kDuplicates,  // entries that come twice
  kPoison,      // entries nobody can read, or that kill the process
  kControl,     // kill switch, disarm, holds
  kPermits,     // forged, stolen and late permits
  kSnapshots,   // that do not come
  kAnswers,     // of the exchange: refused, lost, late, in part
  kClock,       // jumps, over midnight too, and back; suspended processes
  kCrashes,     // kill -9 at any step and any write
  kPower,       // crashes are power cuts: what was not synced is lost, sector by sector
  kDisk,        // syncs and writes that fail once, slow syncs
  kZombies,     // a second host that goes on with what the first one holds
  kRaces,       // keys that change while a stage looks at them
  kOrder,       // actors step in any order
  kDelays,      // time passes between two steps
  kEarly,       // entries are there before the first start
  kKeep,        // streams that are read keep a few entries only
  kAimed,       // permits are exchanged and the kill switch is set when it matters most
};
inline constexpr int kFaults = static_cast<int>(Fault::kAimed) + 1;

std::string_view name_of(Fault fault);
std::optional<Fault> fault_named(std::string_view name);

class FaultSet {
 public:
  static FaultSet all();

  bool has(Fault fault) const { return (bits_ >> static_cast<int>(fault) & 1) != 0; }
  void add(Fault fault) { bits_ |= 1u << static_cast<int>(fault); }
  void remove(Fault fault) { bits_ &= ~(1u << static_cast<int>(fault)); }

 private:
  uint32_t bits_ = 0;
};

// Which faults a seed meets: each one with a chance that is itself drawn, so that some seeds meet
// nearly all and some nearly none.
FaultSet draw_faults(uint64_t seed);

// FNV-1a over everything the host decided and did.
class TraceHash {
 public:
  void add(std::string_view text);
  void add(uint64_t number);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 14695981039346656037u;
};

// Chooses who steps next, and lets things happen between two steps.
class Nemesis final : public runtime::Scheduler {
 public:
  Nemesis(uint64_t seed, const FaultSet& faults, TraceHash& hash);

  // Of one run: whoever has not come to rest after so many steps never will.
  static constexpr uint64_t kStepsMax = 100'000;
  void begin_run() { run_began_ = steps_; }

  // From here on it draws from the stream of the step `index`; what was armed stays armed.
  void begin_step(size_t index);

  // Before the n-th step of an actor from now on (0: the next), `call` is made. An error of it ends
  // the run there.
  void strike(uint64_t steps, std::function<Status()> call);
  // Nothing that was armed strikes any more.
  void disarm() { strikes_.clear(); }

  // Called before each step of an actor, to let time pass. Empty: none does.
  std::function<void(Random&)> between;

  uint64_t steps() const { return steps_; }

  Result<size_t> next(std::span<runtime::Actor* const> ready) override;

 private:
  enum class Mode { kFixed, kUniform, kPriorities, kStarved };

  size_t choose(std::span<runtime::Actor* const> ready);
  uint64_t priority_of(const runtime::Actor& actor);

  const uint64_t seed_;
  const FaultSet faults_;
  TraceHash& hash_;
  SeededRandom random_;
  Mode mode_ = Mode::kFixed;
  uint64_t steps_ = 0, run_began_ = 0;
  std::multimap<uint64_t, std::function<Status()>> strikes_;  // by step
  std::map<std::string, uint64_t> priorities_;                // by name of the actor
  std::string last_;  // who stepped; by name, since it may be gone
  size_t last_index_ = 0;
};

}  // namespace sluice::sim
