#include "sim/case.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <exception>

namespace sluice::sim {
namespace {

constexpr size_t kTriesMax = 400;

bool is_plan(Kind kind) { return kind == Kind::kDecide || kind == Kind::kPropose; }

std::vector<size_t> select(const std::vector<Step>& steps, const FaultSet& faults,
                           const Selection& selection) {
  std::vector<size_t> selected;
  size_t plans = 0;
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto fault = fault_of(steps[i].kind);
    if (fault && !faults.has(*fault)) continue;
    if (selection.steps && !std::ranges::binary_search(*selection.steps, i)) continue;
    if (is_plan(steps[i].kind) && plans++ >= selection.plans_max) continue;
    selected.push_back(i);
  }
  return selected;
}

// Tries smaller selections, and keeps those that fail alike.
class Shrinker {
 public:
  Shrinker(uint64_t seed, Selection selection, const Outcome& failed)
      : seed_(seed), rule_(failed.broken->rule), selection_(std::move(selection)), best_(failed) {}

  Shrunk shrink() {
    drop_faults();
    halve_plans();
    drop_steps();
    drop_faults();
    Shrunk shrunk{selection_, run_case(seed_, selection_, true), tries_};
    return shrunk;
  }

 private:
  bool take_if_it_fails(const Selection& smaller) {
    if (tries_ == kTriesMax) return false;
    ++tries_;
    Outcome outcome = run_case(seed_, smaller);
    if (!outcome.broken || outcome.broken->rule != rule_) return false;
    selection_ = smaller;
    best_ = std::move(outcome);
    return true;
  }

  void drop_faults() {
    for (int i = 0; i < kFaults; ++i) {
      const auto fault = static_cast<Fault>(i);
      if (!best_.conditions.faults.has(fault)) continue;
      Selection smaller = selection_;
      smaller.without.push_back(fault);
      take_if_it_fails(smaller);
    }
  }

  void halve_plans() {
    const auto steps = draw_steps(seed_);
    for (;;) {
      const auto plans = static_cast<size_t>(
          std::ranges::count_if(best_.steps, [&](size_t i) { return is_plan(steps[i].kind); }));
      Selection smaller = selection_;
      smaller.plans_max = plans / 2;
      if (plans == 0 || !take_if_it_fails(smaller)) return;
    }
  }

  // Runs of steps, from half of all down to single ones.
  void drop_steps() {
    for (size_t length = std::max<size_t>(1, best_.steps.size() / 2); length > 0; length /= 2) {
      // From the end: what came after the fault goes first.
      for (size_t end = best_.steps.size(); end > 0 && tries_ < kTriesMax;) {
        const size_t begin = end > length ? end - length : 0;
        std::vector<size_t> rest = best_.steps;
        if (end > rest.size()) break;
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(begin),
                   rest.begin() + static_cast<std::ptrdiff_t>(end));
        Selection smaller = selection_;
        smaller.plans_max = Selection{}.plans_max;  // the list says it all
        smaller.steps = std::move(rest);
        take_if_it_fails(smaller);
        end = begin;
      }
    }
  }

  const uint64_t seed_;
  const std::string rule_;
  Selection selection_;
  Outcome best_;
  size_t tries_ = 0;
};

}  // namespace

std::string list_text(const std::vector<size_t>& numbers) {
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t last = i;
    while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(numbers[i]);
    if (last > i) text += '-' + std::to_string(numbers[last]);
    i = last + 1;
  }
  return text.empty() ? "none" : text;
}

std::optional<std::vector<size_t>> read_list(const std::string& text) {
  constexpr size_t kNumberMax = 10'000;
  std::vector<size_t> numbers;
  if (text == "none") return numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto read = [&](size_t& number) {
    const auto [next, error] = std::from_chars(at, end, number);
    at = next;
    return error == std::errc() && number <= kNumberMax;
  };
  for (;;) {
    size_t first = 0, last = 0;
    if (!read(first)) return std::nullopt;
    last = first;
    if (at != end && *at == '-' && (++at, !read(last))) return std::nullopt;
    if (last < first || (!numbers.empty() && first <= numbers.back())) return std::nullopt;
    for (size_t i = first; i <= last; ++i) numbers.push_back(i);
    if (at == end) return numbers;
    if (*at++ != ',') return std::nullopt;
  }
}

std::string options_text(uint64_t seed, const Selection& selection) {
  std::string text = "--seed " + std::to_string(seed);
  std::string names;
  for (const Fault fault : selection.without)
    names += (names.empty() ? "" : ",") + std::string(name_of(fault));
  if (!names.empty()) text += " --without " + names;
  if (selection.plans_max != Selection{}.plans_max)
    text += " --plans " + std::to_string(selection.plans_max);
  if (selection.steps) text += " --steps " + list_text(*selection.steps);
  return text;
}

Outcome run_case(uint64_t seed, const Selection& selection, bool traced) {
  Outcome outcome;
  outcome.conditions = draw_conditions(seed);
  outcome.conditions.traced = traced;
  for (const Fault fault : selection.without) outcome.conditions.faults.remove(fault);
  const std::vector<Step> steps = draw_steps(seed);
  outcome.steps = select(steps, outcome.conditions.faults, selection);
  std::optional<World> world;
  try {
    world.emplace(outcome.conditions);
    for (const size_t i : outcome.steps) world->perform(i, steps[i]);
    world->put_right_and_drain();
    world->judge();
  } catch (const Broken& broken) {
    outcome.broken = broken;
  } catch (const std::exception& error) {
    outcome.broken = Broken{"no exception", error.what()};
  }
  if (!world) return outcome;
  outcome.trace_hash = world->trace_hash();
  outcome.events = world->steps_of_actors();
  outcome.marks = world->marks();
  outcome.trace.assign(world->events().begin(), world->events().end());
  return outcome;
}

Shrunk shrink(uint64_t seed, Selection selection, const Outcome& failed) {
  return Shrinker(seed, std::move(selection), failed).shrink();
}

}  // namespace sluice::sim
