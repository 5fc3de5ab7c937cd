// The two stages in front of the router that choose the best decisions of a short window when
// orders are rationed:
//
//   decisions -collect-> candidates -select-> chosen decisions -router-> intents
//                                      |
//                                      +----> discarded
//
// Every candidate is an entry of its own that waits for the end of its window. The first to be
// handled after it decides for all and writes the decision down; the others read it. So each ends
// once, as a chosen decision or as a record that says why not, however often anything restarts.
#pragma once

#include "router/window.h"
#include "sluice/plugin.h"

namespace sluice::router {

// Hooks of both kinds, so that one policy file serves both stages.
inline constexpr sluice_param kWindowResult[] = {
    {.name = "window",
     .doc = "From a window's first candidate to its end. More finds better ones and acts later.",
     .type = SLUICE_DURATION,
     .default_text = "3s",
     .min_text = "10ms",
     .max_text = "5m"}};
inline constexpr sluice_param kCandidatesMaxResult[] = {
    {.name = "candidates_max",
     .doc = "A window with so many candidates ends at once.",
     .type = SLUICE_INTEGER,
     .default_text = "10",
     .min_text = "1",
     .max_text = "50"}};
inline constexpr sluice_param kCandidateAgeResult[] = {
    {.name = "candidate_age",
     .doc = "Candidates that came longer ago when their window is decided on are discarded. Above "
            "`window`, or the first of each window is lost.",
     .type = SLUICE_DURATION,
     .default_text = "6s",
     .min_text = "10ms",
     .max_text = "1h"}};
inline constexpr sluice_param kConfidenceResults[] = {
    {.name = "min",
     .doc = "Decisions below are no candidates.",
     .type = SLUICE_NUMBER,
     .default_text = "0.75",
     .min_text = "0",
     .max_text = "1"},
    {.name = "super",
     .doc = "From here on a candidate may exceed the target.",
     .type = SLUICE_NUMBER,
     .default_text = "0.90",
     .min_text = "0",
     .max_text = "1"}};
inline constexpr sluice_param kCapacityResults[] = {
    {.name = "max_open_orders",
     .doc = "With so many open orders nothing is chosen.",
     .type = SLUICE_INTEGER,
     .default_text = "10",
     .min_text = "0",
     .max_text = "100000"},
    {.name = "target_open_orders",
     .doc = "From here on only a window with a super candidate may add an order, one.",
     .type = SLUICE_INTEGER,
     .default_text = "3",
     .min_text = "0",
     .max_text = "100000"},
    {.name = "new_per_window_max",
     .doc = "Most that are chosen of one window.",
     .type = SLUICE_INTEGER,
     .default_text = "2",
     .min_text = "0",
     .max_text = "50"}};
inline constexpr sluice_param kScoreBonusResults[] = {
    {.name = "rl_gate",
     .doc = "Added to the confidence where `rl_gate_pass` is true.",
     .type = SLUICE_NUMBER,
     .default_text = "0.02",
     .min_text = "-1",
     .max_text = "1"},
    {.name = "regime",
     .doc = "Added where a regime is given and is not `unknown`.",
     .type = SLUICE_NUMBER,
     .default_text = "0.01",
     .min_text = "-1",
     .max_text = "1"}};
inline constexpr sluice_param kSizeFactorResults[] = {
    {.name = "first",
     .doc = "Size of the best candidate from super confidence on, times this.",
     .type = SLUICE_DECIMAL,
     .default_text = "1.30",
     .min_text = "0.01",
     .max_text = "2"},
    {.name = "second",
     .doc = "Size of the second best from `second_confidence` on, times this.",
     .type = SLUICE_DECIMAL,
     .default_text = "1.10",
     .min_text = "0.01",
     .max_text = "2"},
    {.name = "second_confidence",
     .doc = "See `second`.",
     .type = SLUICE_NUMBER,
     .default_text = "0.85",
     .min_text = "0",
     .max_text = "1"}};

inline constexpr sluice_hook kSelectionHooks[] = {
    {.name = "window",
     .doc = "How long candidates are gathered.",
     .results = kWindowResult,
     .result_count = 1},
    {.name = "candidates_max",
     .doc = "How many candidates a window takes.",
     .results = kCandidatesMaxResult,
     .result_count = 1},
    {.name = "candidate_age",
     .doc = "How old a candidate may be.",
     .results = kCandidateAgeResult,
     .result_count = 1},
    {.name = "confidence",
     .doc = "What confidence counts for.",
     .results = kConfidenceResults,
     .result_count = 2},
    {.name = "capacity",
     .doc = "How many orders there may be.",
     .results = kCapacityResults,
     .result_count = 3},
    {.name = "score_bonus",
     .doc = "What ranks a candidate above its confidence.",
     .results = kScoreBonusResults,
     .result_count = 2},
    {.name = "size_factors",
     .doc = "How much larger the best are made.",
     .results = kSizeFactorResults,
     .result_count = 3}};

inline constexpr sluice_key kWindowKey{.pattern = "quantum:router:candidates:{window}",
                                       .doc = "Candidates of a window, JSON; written by collect.",
                                       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES};

// Gathers sound decisions into windows.
//
// In:      decisions as the router takes them.
// Out:     candidate, the decision with the window it is in; what the router does not read is left
//          out.
// Keys:    quantum:router:window names the open window. Several workers may gather at once: who
//          comes second looks again. With `batch: 1` and one worker they join in their order.
// Threads: [worker]; nothing changes after construction.
class Collect {
 public:
  static constexpr Info kInfo{.kind = "collect",
                              .doc = "Gathers decisions into short windows for router.select."};

  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "AI decisions: JSON in `payload` or `data`, or flat fields."}};
  static constexpr const char* kCandidateFields[] = {"payload", "correlation_id", "trace_id",
                                                     "source",  "decision_id",    "decision_us",
                                                     "window",  nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "candidate", .doc = "Decisions and their windows.", .fields = kCandidateFields}};

  static constexpr sluice_param kSettings[] = {
      kSizeSetting,
      kLeverageSetting,
      {.name = "keep",
       .doc = "How long a window is remembered. Above the longest stop after which its candidates "
              "shall still be decided on; later they are discarded as window_lost.",
       .type = SLUICE_DURATION,
       .default_text = "1d",
       .min_text = "1m",
       .max_text = "30d"}};
  static constexpr const auto& kHooks = kSelectionHooks;
  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:router:window",
       .doc = "Name of the open window.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES | SLUICE_KEY_OWNS},
      kWindowKey};
  static constexpr sluice_time kTimes[] = {
      {.source = "keep", .role = SLUICE_TIME_TTL, .pattern = "quantum:router:candidates:{window}"}};
  static constexpr const char* kReasons[] = {"invalid_decision", "hold_signal", "low_confidence",
                                             nullptr};

  explicit Collect(const Settings& settings);

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  // Adds the candidate to the open window, or opens one; returns the window's name.
  std::string join(const Candidate& candidate, Unit& unit) const;

  const Defaults defaults_;
  const Duration keep_;
};

// Decides, once its window is over, whether a candidate becomes an intent.
//
// In:      candidates of router.collect.
// Out:     decision, for a router with `selected: true`: the chosen ones, sized by their rank.
//          discarded, the end of all others, with the reason.
// Waits:   for the end of the window; then until the better ones of it went out, so that limits
//          further on serve the best first.
// Fails:   an open-orders count that is missing or unreadable means none is chosen.
// Claims:  quantum:router:selection:<window>, with what is decided for the whole window.
// Threads: [worker]; nothing changes after construction.
class Select {
 public:
  static constexpr Info kInfo{.kind = "select",
                              .doc =
                                  "Chooses the best candidates of a window, as many as open "
                                  "orders leave room for."};

  static constexpr const char* kInFields[] = {"payload", "decision_id", "decision_us", "window",
                                              nullptr};
  static constexpr sluice_port kInputs[] = {
      {.name = "in", .doc = "Candidates of router.collect.", .fields = kInFields}};
  static constexpr const char* kDecisionFields[] = {
      "payload", "correlation_id", "trace_id", "source",      "decision_id", "decision_us",
      "window",  "rank",           "policy",   "size_factor", nullptr};
  static constexpr const char* kDiscardedFields[] = {
      "decision_id", "trace_id", "symbol", "confidence", "decision_us", "window",
      "rank",        "state",    "reason", "policy",     nullptr};
  static constexpr sluice_port kOutputs[] = {
      {.name = "decision", .doc = "Chosen decisions.", .fields = kDecisionFields},
      {.name = "discarded",
       .doc = "One record for each candidate that was not chosen.",
       .fields = kDiscardedFields}};

  static constexpr sluice_param kSettings[] = {
      {.name = "keep",
       .doc = "How long it is remembered what was decided on a window. As long as candidates of "
              "one window may be apart, for example over a stop.",
       .type = SLUICE_DURATION,
       .default_text = "1d",
       .min_text = "1m",
       .max_text = "30d"},
      {.name = "order_wait",
       .doc = "How long at most a chosen candidate lets the better ones of its window go first.",
       .type = SLUICE_DURATION,
       .default_text = "1s",
       .min_text = "0s",
       .max_text = "1m"}};
  static constexpr const auto& kHooks = kSelectionHooks;
  static constexpr sluice_key kKeys[] = {
      {.pattern = "quantum:router:candidates:{window}",
       .doc = "Candidates of a window.",
       .access = SLUICE_KEY_READS},
      {.pattern = "quantum:router:selection:{window}",
       .doc = "What was decided on each candidate of a window, JSON.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "quantum:router:chosen:{window}:{rank}",
       .doc = "The chosen candidate of that rank went out; its decision id.",
       .access = SLUICE_KEY_READS | SLUICE_KEY_WRITES},
      {.pattern = "quantum:state:open_orders",
       .doc = "Open orders, a whole number; kept by somebody else.",
       .access = SLUICE_KEY_READS}};
  static constexpr sluice_time kTimes[] = {
      {.source = "window", .role = SLUICE_TIME_WAIT},
      {.source = "order_wait", .role = SLUICE_TIME_WAIT},
      {.source = "keep", .role = SLUICE_TIME_TTL, .pattern = "quantum:router:selection:{window}"}};

  // Of reject; and of records on `discarded`.
  static constexpr const char* kReasons[] = {
      "invalid_decision", "open_orders_unreadable", "no_slots",    "at_target",
      "outranked",        "candidate_stale",        "window_lost", nullptr};

  explicit Select(const Settings& settings)
      : keep_(settings.duration("keep")), order_wait_(settings.duration("order_wait")) {}

  Verdict process(const Entry& entry, Unit& unit) const;

 private:
  // What became of the candidate; nullopt while its window is open, and then `waiting` says so.
  std::optional<Choice> choice_of(const Entry& entry, Unit& unit,
                                  std::optional<Verdict>& waiting) const;

  const Duration keep_;
  const Duration order_wait_;
};

}  // namespace sluice::router
