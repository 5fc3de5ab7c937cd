#include "sim/nemesis.h"

#include <algorithm>
#include <iterator>

namespace sluice::sim {
namespace {

constexpr std::string_view kFaultNames[] = {
    "duplicates", "poison",  "control", "permits", "snapshots", "answers",
    "clock",      "crashes", "power",   "disk",    "zombies",   "races",
    "order",      "delays",  "early",   "keep",    "aimed"};
static_assert(std::size(kFaultNames) == kFaults);

// Of 1,000 steps, how many change the priority of whoever is first.
constexpr uint64_t kPriorityChanges = 5;

}  // namespace

std::string_view name_of(Fault fault) { return kFaultNames[static_cast<size_t>(fault)]; }

std::optional<Fault> fault_named(std::string_view name) {
  const auto found = std::ranges::find(kFaultNames, name);
  if (found == std::end(kFaultNames)) return std::nullopt;
  return static_cast<Fault>(found - std::begin(kFaultNames));
}

FaultSet FaultSet::all() {
  FaultSet all;
  for (int i = 0; i < kFaults; ++i) all.add(static_cast<Fault>(i));
  return all;
}

FaultSet draw_faults(uint64_t seed) {
  SeededRandom random(seed, "faults");
  const uint64_t of_eight = 1 + random.next() % 7;
  FaultSet faults;
  for (int i = 0; i < kFaults; ++i)
    if (random.next() % 8 < of_eight) faults.add(static_cast<Fault>(i));
  return faults;
}

void TraceHash::add(std::string_view text) {
  for (const char c : text) {
    value_ ^= static_cast<unsigned char>(c);
    value_ *= 1099511628211u;
  }
  add(uint64_t{text.size()});
}

void TraceHash::add(uint64_t number) {
  for (int i = 0; i < 8; ++i) {
    value_ ^= number >> (8 * i) & 0xff;
    value_ *= 1099511628211u;
  }
}

Nemesis::Nemesis(uint64_t seed, const FaultSet& faults, TraceHash& hash)
    : seed_(seed), faults_(faults), hash_(hash), random_(seed, "schedule") {
  if (faults.has(Fault::kOrder)) mode_ = static_cast<Mode>(1 + random_.next() % 3);
}

void Nemesis::begin_step(size_t index) {
  random_ = SeededRandom(seed_, "schedule of step " + std::to_string(index));
}

void Nemesis::strike(uint64_t steps, std::function<Status()> call) {
  strikes_.emplace(steps_ + steps, std::move(call));
}

Result<size_t> Nemesis::next(std::span<runtime::Actor* const> ready) {
  if (steps_ - run_began_ >= kStepsMax)
    return Status(Code::kInvalid, "the stages do not come to rest; the last to step was " + last_);
  if (between) between(random_);
  while (!strikes_.empty() && strikes_.begin()->first <= steps_) {
    const auto call = std::move(strikes_.begin()->second);
    strikes_.erase(strikes_.begin());
    SLUICE_TRY(call());
  }
  ++steps_;
  const size_t chosen = choose(ready);
  last_index_ = chosen;
  last_ = ready[chosen]->name();
  hash_.add(ready[chosen]->name());
  return chosen;
}

size_t Nemesis::choose(std::span<runtime::Actor* const> ready) {
  switch (mode_) {
    case Mode::kFixed:
      break;
    case Mode::kUniform:
      return random_.next() % ready.size();
    case Mode::kStarved:
      // The last by priority steps only when nobody else can.
    case Mode::kPriorities: {
      size_t first = 0, last = 0;
      for (size_t i = 1; i < ready.size(); ++i) {
        if (priority_of(*ready[i]) > priority_of(*ready[first])) first = i;
        if (priority_of(*ready[i]) < priority_of(*ready[last])) last = i;
      }
      if (mode_ == Mode::kStarved && ready.size() > 1) {
        const size_t any = random_.next() % (ready.size() - 1);
        return any < last ? any : any + 1;
      }
      if (random_.next() % 1000 < kPriorityChanges)
        priorities_[ready[first]->name()] = random_.next() % 1000;
      return first;
    }
  }
  // As a run without a scheduler: one after the other. One that was idle has left the list.
  const auto found = std::ranges::find(ready, last_, &runtime::Actor::name);
  const auto at = static_cast<size_t>(found - ready.begin());
  return (found == ready.end() ? last_index_ : at + 1) % ready.size();
}

uint64_t Nemesis::priority_of(const runtime::Actor& actor) {
  const auto [known, is_new] = priorities_.try_emplace(actor.name(), 0);
  if (is_new) known->second = SeededRandom(seed_, "priority of " + actor.name()).next();
  return known->second;
}

}  // namespace sluice::sim
