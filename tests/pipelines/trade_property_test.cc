// Whatever happens to the shipped trade pipeline, in whatever order, its invariants hold.
//
// A case is a random sequence of the steps of tests/sim: decisions, proposals, faults of every
// class, crashes at any write. Unlike sluice-sim, which draws steps and schedule from one seed,
// RapidCheck makes every part of a case smaller when it fails. Stages step in their fixed order or
// in any, and the exchange is the one that steps command or the plugin's own.
//
// SLUICE_CASES sets how many cases are tried. A failure prints the shortest sequence that fails and
// a text that, as RC_PARAMS, repeats it.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/log.h"
#include "fixtures/seed.h"
#include "sim/world.h"

namespace sluice::sim {
namespace {

constexpr const char* kCasesDefault = "300";  // 6 s

rc::Gen<Step> any_step() {
  const auto kind = rc::gen::map(rc::gen::inRange(0, weight_sum()), kind_at);
  return rc::gen::construct<Step>(kind, rc::gen::inRange(0, 100), rc::gen::inRange(0, 1000));
}

Conditions any_conditions() {
  Conditions conditions;
  conditions.seed = *rc::gen::inRange<uint64_t>(1, 1000);
  conditions.faults = FaultSet::all();
  for (const Fault fault : {Fault::kOrder, Fault::kDelays, Fault::kEarly, Fault::kKeep})
    if (*rc::gen::arbitrary<bool>()) conditions.faults.remove(fault);
  conditions.durability = *rc::gen::element(engine::Durability::kCommit, engine::Durability::kGroup,
                                            engine::Durability::kOs);
  conditions.on_paper = *rc::gen::inRange(0, 4) == 3;
  return conditions;
}

// What all cases together came to, so that a test that tries nothing fails.
Marks met;

TEST(TradePipeline, HoldsItsInvariantsWhateverHappens) {
  log::configure(log::Level::kError, log::Format::kText);
  const char* cases = std::getenv("SLUICE_CASES");
  const std::string params =
      "seed=" + std::to_string(testing::any_seed()) +
      " max_success=" + std::string(cases != nullptr ? cases : kCasesDefault) + " max_size=100";
  // Not over what a failure said to repeat it with.
  setenv("RC_PARAMS", params.c_str(), 0);

  met = {};
  const bool holds = rc::check("the trade pipeline holds its invariants", [] {
    const Conditions conditions = any_conditions();
    const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
    try {
      World world(conditions);
      for (size_t i = 0; i < steps.size(); ++i) world.perform(i, steps[i]);
      world.put_right_and_drain();
      world.judge();
      met.add(world.marks());
    } catch (const Broken& broken) {
      RC_FAIL(broken.rule + ": " + broken.what);
    }
  });
  EXPECT_TRUE(holds);
  fmt::print(
      "{} cases: {} decisions, {} orders, {} filled, {} stops, {} of them met, {} restarts\n",
      met["case"], met["decision"], met["order"], met["filled"], met["stop"], met["stop-met"],
      met["restart"]);
  // Few cases, or one that is repeated, need not meet everything.
  if (!holds || met["case"] < std::stoul(kCasesDefault)) return;
  EXPECT_GT(met["order"], met["case"]);
  EXPECT_GT(met["filled"], met["case"] / 2);
  EXPECT_GT(met["stop"], 0u);
  EXPECT_GT(met["stop-met"], 0u);
  EXPECT_GT(met["plan-repeated"], 0u);
}

}  // namespace
}  // namespace sluice::sim
