// router.collect and router.select against section 2.7 of the reference contract: the table, then
// both stages on one store, then random windows in random order of handling.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "common/json.h"
#include "common/text.h"
#include "router/router.h"
#include "router/selection.h"
#include "sluice/testing.h"

namespace sluice::router {
namespace {

using testing::FakeHost;
using testing::FakeStore;
using testing::Ran;

constexpr const char* kOpenOrders = "quantum:state:open_orders";

// Candidates c1, c2, ... with these confidences, all come at the window's beginning.
Window window_of(std::vector<double> confidences) {
  Window window{Time(std::chrono::seconds(3)), 10, {}};
  for (const double confidence : confidences)
    window.candidates.push_back({"c" + std::to_string(window.candidates.size() + 1),
                                 Time(std::chrono::seconds(0)), confidence, confidence});
  return window;
}

// "c2 c1": the chosen ones by rank.
std::string chosen_of(const Selection& selection) {
  std::map<int64_t, std::string> by_rank;
  for (const auto& [id, choice] : selection) {
    if (choice.chosen) by_rank[choice.rank] = id;
  }
  std::string text;
  for (const auto& [rank, id] : by_rank) text += (text.empty() ? "" : " ") + id;
  return text;
}

TEST(Selection, FollowsTheTableOfCapacities) {
  struct Row {
    const char* condition;
    std::optional<int64_t> open;
    std::vector<double> confidences;
    const char *chosen, *reason;  // reason of those that are not
  };
  const Row rows[] = {{"open unreadable", std::nullopt, {0.95, 0.8}, "", "open_orders_unreadable"},
                      {"open below 0", -1, {0.95}, "", "open_orders_unreadable"},
                      {"slots = 0", 10, {0.99, 0.8}, "", "no_slots"},
                      {"slots < 0", 12, {0.99}, "", "no_slots"},
                      {"at target, no super", 3, {0.89, 0.8}, "", "at_target"},
                      {"above target, no super", 9, {0.89}, "", "at_target"},
                      {"at target, one super", 3, {0.8, 0.90, 0.85}, "c2", "outranked"},
                      {"at target, two super", 5, {0.91, 0.92}, "c2", "outranked"},
                      {"last slot, one super", 9, {0.95, 0.8}, "c1", "outranked"},
                      {"empty, most of a window", 0, {0.8, 0.78, 0.79}, "c1 c3", "outranked"},
                      {"one below target", 2, {0.8, 0.78}, "c1", "outranked"},
                      {"room for all", 0, {0.76}, "c1", ""},
                      {"equal scores, the earlier", 2, {0.8, 0.8}, "c1", "outranked"}};
  for (const Row& row : rows) {
    const Selection selection =
        select(window_of(row.confidences), row.open, Time(std::chrono::seconds(3)), {});
    EXPECT_EQ(selection.size(), row.confidences.size()) << row.condition;
    EXPECT_EQ(chosen_of(selection), row.chosen) << row.condition;
    for (const auto& [id, choice] : selection) {
      EXPECT_EQ(choice.reason, choice.chosen ? "" : row.reason) << row.condition << ", " << id;
    }
  }
}

TEST(Selection, CapacityBoundsBeatEachOther) {
  const auto count = [](int64_t open, int64_t max, int64_t target, int64_t per_window) {
    Rules rules;
    rules.max_open_orders = max;
    rules.target_open_orders = target;
    rules.new_per_window_max = per_window;
    return allowed(open, rules, true).count;
  };
  EXPECT_EQ(count(0, 10, 3, 2), 2);  // per window
  EXPECT_EQ(count(0, 10, 3, 9), 3);  // target
  EXPECT_EQ(count(0, 2, 3, 9), 2);   // slots
  EXPECT_EQ(count(5, 10, 3, 0), 0);  // per window, beyond the target
  EXPECT_EQ(count(5, 10, 3, 9), 1);
}

TEST(Selection, ScoreIsConfidenceAndBonuses) {
  Decision decision;
  decision.confidence_value = 0.8;
  EXPECT_DOUBLE_EQ(score_of(decision, {}), 0.8);
  decision.regime = "unknown";
  EXPECT_DOUBLE_EQ(score_of(decision, {}), 0.8);
  decision.regime = "trend";
  EXPECT_DOUBLE_EQ(score_of(decision, {}), 0.81);
  decision.rl_gate_pass = true;
  EXPECT_DOUBLE_EQ(score_of(decision, {}), 0.83);
}

TEST(Selection, SizeFactorFollowsRankAndConfidence) {
  struct Row {
    std::vector<double> confidences;
    const char *first, *second;
  };
  const Row rows[] = {{{0.90, 0.85}, "1.3", "1.1"},
                      {{0.89, 0.84}, "1", "1"},
                      {{0.95, 0.84}, "1.3", "1"},
                      {{0.89, 0.86}, "1", "1.1"}};
  for (const Row& row : rows) {
    const Selection selection =
        select(window_of(row.confidences), 0, Time(std::chrono::seconds(3)), {});
    EXPECT_EQ(selection.at("c1").size_factor.text(), row.first);
    EXPECT_EQ(selection.at("c2").size_factor.text(), row.second);
  }
}

TEST(Selection, CandidatesThatAreTooOldAreDiscardedAndOpenNoGate) {
  Window window = window_of({0.99, 0.8});
  window.candidates[1].at = Time(std::chrono::seconds(1));
  const Selection selection = select(window, 3, Time(std::chrono::microseconds(6'000'001)), {});
  EXPECT_EQ(selection.at("c1").reason, "candidate_stale");
  EXPECT_EQ(selection.at("c2").reason, "at_target");
  EXPECT_EQ(chosen_of(select(window, 3, Time(std::chrono::seconds(6)), {})), "c1");
}

TEST(WindowText, WhatIsWrittenIsReadAndNothingElse) {
  const Window window = window_of({0.75, 1});
  const auto read = read_window(window_text(window));
  ASSERT_TRUE(read);
  EXPECT_EQ(window_text(*read), window_text(window));
  const Selection selection = select(window, 1, Time(std::chrono::seconds(3)), {});
  EXPECT_EQ(selection_text(read_selection(selection_text(selection)).value()),
            selection_text(selection));
  for (const char* text : {"", "1", "{}", "[]", R"({"ends_us": 1, "candidates_max": 1})",
                           R"({"ends_us": 1, "candidates_max": 1, "candidates": [{}]})"})
    EXPECT_FALSE(read_window(text)) << text;
  for (const char* text : {"", "[]", R"({"1-0": {}})", R"({"1-0": {"rank": 1}})",
                           R"({"1-0": {"rank": 1, "size_factor": "x"}})"})
    EXPECT_FALSE(read_selection(text)) << text;
}

// --- Both stages ---

class BestOf : public ::testing::Test {
 protected:
  BestOf() { store_.put(kOpenOrders, "0"); }

  Ran collect(std::string_view symbol, std::string_view confidence, std::string_view more = "") {
    const std::string id = std::to_string(++sent_) + "-0";
    const std::string payload = R"({"symbol": ")" + std::string(symbol) +
                                R"(", "side": "buy", "confidence": )" + std::string(confidence) +
                                std::string(more) + "}";
    return collect_.deliver(
        {{"payload", payload}, {"correlation_id", "C"}, {"trace_id", "T"}, {"source", "ai"}},
        {.id = id});
  }
  Record candidate(std::string_view symbol, std::string_view confidence,
                   std::string_view more = "") {
    return collect(symbol, confidence, more).emitted("candidate").at(0);
  }
  void end_window() { store_.advance(std::chrono::seconds(3)); }
  std::string reason_of(const Record& candidate) {
    const Ran ran = select_.deliver(candidate);
    EXPECT_TRUE(ran.applied);
    const auto discarded = ran.emitted("discarded");
    return discarded.empty() ? "" : std::string(*discarded[0].find("reason"));
  }

  FakeStore store_;
  FakeHost<Collect> collect_{store_};
  FakeHost<Select> select_{store_};
  int sent_ = 0;
};

TEST_F(BestOf, UnsoundAndUnsureDecisionsAreNoCandidates) {
  EXPECT_EQ(collect("", "0.9").reason, "invalid_decision");
  EXPECT_EQ(collect("BTCUSDT", "0.7499").reason, "low_confidence");
  EXPECT_TRUE(collect("BTCUSDT", "0.75").applied);
  collect_.policy["confidence"] = {"0.8", "0.9"};
  EXPECT_EQ(collect("BTCUSDT", "0.79").reason, "low_confidence");
}

TEST_F(BestOf, CandidateKeepsWhatTheRouterReads) {
  const Record one = candidate("BTCUSDT", "0.80",
                               R"(, "leverage": 3, "stop_loss": 1.10, "model": "m", "votes": [1],)"
                               R"( "rl_gate_pass": "yes", "regime": "trend", "timestamp": "t")");
  EXPECT_EQ(*one.find("payload"),
            R"({"symbol": "BTCUSDT", "side": "buy", "confidence": 0.80, )"
            R"("position_size_usd": 100.0, "leverage": 3, "stop_loss": 1.10, "timestamp": "t", )"
            R"("model": "m", "strategy": "", "regime": "trend", "rl_gate_pass": true})");
  EXPECT_EQ(one.find("decision_id"), "1-0");
  EXPECT_EQ(one.find("correlation_id"), "C");
  EXPECT_EQ(one.find("trace_id"), "T");
  EXPECT_EQ(one.find("source"), "ai");
  const auto window = read_window(store_.text("quantum:router:candidates:1-0"));
  ASSERT_TRUE(window);
  EXPECT_DOUBLE_EQ(window->candidates.at(0).score, 0.83);
}

TEST_F(BestOf, CandidatesWaitForTheEndOfTheirWindow) {
  const Record one = candidate("BTCUSDT", "0.8");
  const Ran early = select_.deliver(one);
  EXPECT_EQ(early.verdict, SLUICE_WAIT);
  EXPECT_EQ(early.wait_until_us, store_.now_us + 3'000'000);
  EXPECT_EQ(early.wait_keys, std::vector<std::string>{"quantum:router:candidates:1-0"});
  end_window();
  EXPECT_EQ(reason_of(one), "");
}

TEST_F(BestOf, AFullWindowEndsAtOnceAndTheNextCandidateOpensAnother) {
  std::vector<Record> candidates;
  for (int i = 0; i < 11; ++i) candidates.push_back(candidate("BTCUSDT", "0.8"));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(candidates[i].find("window"), "1-0");
  EXPECT_EQ(candidates[10].find("window"), "11-0");
  EXPECT_EQ(reason_of(candidates[0]), "");
  EXPECT_EQ(reason_of(candidates[9]), "outranked");
  EXPECT_EQ(select_.deliver(candidates[10]).verdict, SLUICE_WAIT);
}

TEST_F(BestOf, ACandidateAfterTheEndOpensTheNextWindow) {
  EXPECT_EQ(candidate("BTCUSDT", "0.8").find("window"), "1-0");
  end_window();
  EXPECT_EQ(candidate("BTCUSDT", "0.8").find("window"), "2-0");
}

TEST_F(BestOf, WhoJoinsSecondLooksAgain) {
  collect_.before_commit = [&] {
    FakeHost<Collect> other(store_);
    other.deliver({{"symbol", "ETHUSDT"}, {"side", "buy"}, {"confidence", "0.8"}}, {.id = "7-0"});
  };
  const Ran late = collect("BTCUSDT", "0.8");
  EXPECT_EQ(late.verdict, SLUICE_WAIT);
  EXPECT_EQ(late.wait_until_us, store_.now_us);
  EXPECT_EQ(candidate("BTCUSDT", "0.8").find("window"), "7-0");
  EXPECT_EQ(read_window(store_.text("quantum:router:candidates:7-0"))->candidates.size(), 2u);
}

TEST_F(BestOf, ChosenDecisionIsSizedByItsRank) {
  const Record one = candidate("BTCUSDT", "0.95", R"(, "position_size_usd": 33.33)");
  end_window();
  const Record chosen = select_.deliver(one).emitted("decision").at(0);
  EXPECT_EQ(chosen.find("rank"), "1");
  EXPECT_EQ(chosen.find("size_factor"), "1.3");
  EXPECT_EQ(chosen.find("decision_id"), "1-0");
  EXPECT_NE(chosen.find("payload")->find(R"("position_size_usd": 43.329)"), std::string::npos);
  FakeHost<Router> router(store_, {{"selected", "true"}});
  const Record intent = router.deliver(chosen, {.id = "50-0"}).emitted("intent").at(0);
  EXPECT_EQ(intent.find("decision_id"), "1-0");
}

TEST_F(BestOf, UnreadableOpenOrdersMeanNone) {
  const char* const texts[] = {"", "x", "1.5", "-1", "1e3", "99999999999999999999"};
  for (const char* text : texts) {
    store_.put(kOpenOrders, text);
    const Record one = candidate("BTCUSDT", "0.99");
    end_window();
    EXPECT_EQ(reason_of(one), "open_orders_unreadable") << text;
  }
  store_.put(kOpenOrders, Record{{"count", "1"}});
  const Record with_fields = candidate("BTCUSDT", "0.99");
  end_window();
  EXPECT_EQ(reason_of(with_fields), "open_orders_unreadable");
  store_.erase(kOpenOrders);
  const Record without = candidate("BTCUSDT", "0.99");
  end_window();
  EXPECT_EQ(reason_of(without), "open_orders_unreadable");
  store_.put(kOpenOrders, " 2 ");
  const Record fine = candidate("BTCUSDT", "0.99");
  end_window();
  EXPECT_EQ(reason_of(fine), "");
}

TEST_F(BestOf, OneDecisionStandsForAllOfAWindowEvenWhenTheWorldChanges) {
  const Record a = candidate("BTCUSDT", "0.9"), b = candidate("ETHUSDT", "0.8");
  end_window();
  EXPECT_EQ(reason_of(a), "");
  store_.put(kOpenOrders, "10");
  select_.policy["capacity"] = {"0", "0", "0"};
  EXPECT_EQ(reason_of(b), "");
}

TEST_F(BestOf, TheSecondBestWaitsForTheBestAndNotForEver) {
  const Record best = candidate("BTCUSDT", "0.9"), second = candidate("ETHUSDT", "0.8");
  const testing::Delivery delivery{.id = "9-0", .first_delivered_us = store_.now_us};
  end_window();
  const Ran early = select_.deliver(second, delivery);
  EXPECT_EQ(early.verdict, SLUICE_WAIT);
  EXPECT_EQ(early.wait_keys, std::vector<std::string>{"quantum:router:chosen:1-0:1"});
  EXPECT_EQ(early.wait_until_us, store_.now_us + 1'000'000);
  EXPECT_EQ(select_.deliver(best).emitted("decision").size(), 1u);
  EXPECT_EQ(select_.deliver(second, delivery).emitted("decision").size(), 1u);

  const Record lost = candidate("BTCUSDT", "0.9"), next = candidate("ETHUSDT", "0.8");
  EXPECT_EQ(lost.find("window"), "3-0");
  store_.advance(std::chrono::seconds(4));
  EXPECT_EQ(select_.deliver(next, {.first_delivered_us = store_.now_us - 4'000'000})
                .emitted("decision")
                .size(),
            1u);
}

TEST_F(BestOf, TheOtherWorkersDecisionCountsWhenItCameFirst) {
  const Record a = candidate("BTCUSDT", "0.9"), b = candidate("ETHUSDT", "0.8");
  end_window();
  select_.before_commit = [&] {
    FakeHost<Select> other(store_);
    other.policy["capacity"] = {"0", "0", "0"};
    other.deliver(b);
  };
  EXPECT_EQ(reason_of(a), "no_slots");
}

TEST_F(BestOf, CandidatesOfALostWindowAreDiscarded) {
  const Record one = candidate("BTCUSDT", "0.99");
  store_.advance(std::chrono::hours(24));
  EXPECT_EQ(reason_of(one), "window_lost");
  const Record two = candidate("BTCUSDT", "0.99");
  store_.put("quantum:router:candidates:2-0", "damaged");
  EXPECT_EQ(reason_of(two), "window_lost");
  const Record three = candidate("BTCUSDT", "0.99");
  end_window();
  store_.put("quantum:router:selection:" + std::string(*three.find("window")), "damaged");
  EXPECT_EQ(reason_of(three), "window_lost");
}

TEST_F(BestOf, AStopOfMinutesDiscardsWhatBecameOld) {
  const Record one = candidate("BTCUSDT", "0.99");
  store_.advance(std::chrono::minutes(2));
  EXPECT_EQ(reason_of(one), "candidate_stale");
}

TEST_F(BestOf, AFailingPolicyChoosesNothing) {
  for (const char* hook : {"capacity", "confidence", "size_factors", "candidate_age"}) {
    const Record one = candidate("BTCUSDT", "0.99");
    end_window();
    select_.policy_fails = {hook};
    const Ran ran = select_.deliver(one);
    EXPECT_EQ(ran.reason, "policy_error") << hook;
    EXPECT_FALSE(ran.applied);
  }
}

// Every candidate ends exactly once, and never more are chosen than the capacity allows, whatever
// comes when and in whatever order windows are decided on.
RC_GTEST_PROP(BestOfProperty, EveryCandidateEndsOnceAndCapacityHolds, ()) {
  FakeStore store;
  FakeHost<Collect> collect(store);
  FakeHost<Select> select(store);
  const int open = *rc::gen::inRange(0, 12);
  store.put(kOpenOrders, std::to_string(open));
  std::vector<Record> waiting;
  std::map<std::string, int> chosen;  // by window
  size_t candidates = 0, ended = 0;
  const auto settle_some = [&] {
    std::vector<Record> still;
    for (const Record& record : waiting) {
      const Ran ran = select.deliver(record);
      if (ran.verdict == SLUICE_WAIT) {
        still.push_back(record);
        continue;
      }
      RC_ASSERT(ran.applied);
      RC_ASSERT(ran.emitted("decision").size() + ran.emitted("discarded").size() == 1u);
      chosen[std::string(*record.find("window"))] +=
          static_cast<int>(ran.emitted("decision").size());
      ++ended;
    }
    waiting = still;
  };
  const int steps = *rc::gen::inRange(1, 60);
  for (int i = 0; i < steps; ++i) {
    const int hundredths = *rc::gen::inRange(70, 101);
    const std::string confidence = hundredths == 100 ? "1" : "0." + std::to_string(hundredths);
    const Ran ran =
        collect.deliver({{"symbol", "BTCUSDT"}, {"side", "buy"}, {"confidence", confidence}},
                        {.id = std::to_string(i + 1) + "-0"});
    RC_ASSERT(ran.applied == (hundredths >= 75));
    if (ran.applied) {
      ++candidates;
      const auto at = *rc::gen::inRange<size_t>(0, waiting.size() + 1);
      waiting.insert(waiting.begin() + static_cast<std::ptrdiff_t>(at),
                     ran.emitted("candidate").at(0));
    }
    store.advance(std::chrono::milliseconds(*rc::gen::inRange(0, 1500)));
    if (*rc::gen::inRange(0, 4) == 0) settle_some();
  }
  store.advance(std::chrono::seconds(3));
  // In the worst order each round lets one rank of each window out.
  for (size_t i = 0; i <= candidates && !waiting.empty(); ++i) settle_some();
  RC_ASSERT(waiting.empty());
  RC_ASSERT(ended == candidates);
  for (const auto& [window, count] : chosen) {
    RC_ASSERT(count <= 2);
    RC_ASSERT(count <= std::max(0, 10 - open));
    if (open >= 3) RC_ASSERT(count <= 1);
  }
}

}  // namespace
}  // namespace sluice::router
