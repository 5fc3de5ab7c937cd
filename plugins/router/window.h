// Candidates of one window, and which of them may become intents. Plain values, no host.
//
// Source: reference contract, section 2.7.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "router/decision.h"

namespace sluice::router {

// A decision that may be chosen.
struct Candidate {
  std::string id;  // entry id of the decision
  Time at;         // when it came into the window
  double confidence = 0;
  double score = 0;
};

// Candidates are in the order they came. Closed at `ends`, or when `candidates_max` are in it.
struct Window {
  Time ends;
  int64_t candidates_max = 10;
  std::vector<Candidate> candidates;

  bool is_closed(Time now) const {
    return now >= ends || static_cast<int64_t>(candidates.size()) >= candidates_max;
  }
};

std::string window_text(const Window& window);
// nullopt when `text` is not what `window_text` writes.
std::optional<Window> read_window(std::string_view text);

// How orders are rationed. Defaults are the reference's.
struct Rules {
  int64_t max_open_orders = 10;
  int64_t target_open_orders = 3;
  int64_t new_per_window_max = 2;
  double super_confidence = 0.90;
  Decimal first_factor = Decimal::from_scaled(13, 1);   // of rank 1 from super_confidence on
  Decimal second_factor = Decimal::from_scaled(11, 1);  // of rank 2 from second_confidence on
  double second_confidence = 0.85;
  Duration candidate_age_max = std::chrono::seconds(6);
};

struct ScoreBonus {
  double rl_gate = 0.02;  // rl_gate_pass is truthy
  double regime = 0.01;   // regime is set and not "unknown"
};
double score_of(const Decision& decision, const ScoreBonus& bonus);

// How many may be chosen; `reason` says why none, or why no more.
struct Allowed {
  int64_t count = 0;
  std::string_view reason;
};
// `open_orders` nullopt: missing or unreadable, which means none.
Allowed allowed(std::optional<int64_t> open_orders, const Rules& rules, bool any_super);

// What became of one candidate.
struct Choice {
  int64_t rank = 0;  // 1 is the best; 0: was not ranked
  bool chosen = false;
  Decimal size_factor{1};
  std::string reason;  // of those not chosen
};
// By decision id.
using Selection = std::map<std::string, Choice, std::less<>>;

// Decides on a closed window. Candidates that are too old are not ranked and open no gate; of equal
// scores the earlier one is better.
Selection select(const Window& window, std::optional<int64_t> open_orders, Time now,
                 const Rules& rules);

std::string selection_text(const Selection& selection);
std::optional<Selection> read_selection(std::string_view text);

}  // namespace sluice::router
