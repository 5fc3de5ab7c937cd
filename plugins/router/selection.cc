#include "router/selection.h"

#include "common/text.h"

namespace sluice::router {

namespace {

constexpr std::string_view kOpenWindowKey = "quantum:router:window";

std::string window_key(std::string_view window) {
  return "quantum:router:candidates:" + std::string(window);
}

// nullopt when it is missing or nobody can read it.
std::optional<Window> window_at(const Value& value) {
  return value.is_text() ? read_window(value.text()) : std::nullopt;
}

std::optional<int64_t> open_orders_of(const Value& value) {
  const auto count =
      value.is_text() ? trade::read_integer(trade::trim(value.text())) : std::nullopt;
  return count && *count >= 0 ? count : std::nullopt;
}

Rules rules_of(const Unit& unit) {
  const PolicyResult capacity = unit.policy("capacity", {}, 3);
  const PolicyResult confidence = unit.policy("confidence", {}, 2);
  const PolicyResult factors = unit.policy("size_factors", {}, 3);
  return {.max_open_orders = capacity.integer(0),
          .target_open_orders = capacity.integer(1),
          .new_per_window_max = capacity.integer(2),
          .super_confidence = confidence.number(1),
          .first_factor = factors.decimal(0),
          .second_factor = factors.decimal(1),
          .second_confidence = factors.number(2),
          .candidate_age_max = unit.policy("candidate_age").duration()};
}

Record discarded_record(const Entry& entry, const Decision& decision, const Choice& choice,
                        const Unit& unit) {
  return {{"decision_id", entry["decision_id"]},
          {"trace_id", decision.trace_id},
          {"symbol", decision.symbol},
          {"confidence", decision.confidence},
          {"decision_us", entry["decision_us"]},
          {"window", entry["window"]},
          {"rank", std::to_string(choice.rank)},
          {"state", "DISCARDED"},
          {"reason", choice.reason},
          {"policy", unit.policy_version()}};
}

}  // namespace

Collect::Collect(const Settings& settings)
    : defaults_{trade::decimal_text(settings.decimal("position_size_usd")),
                trade::decimal_text(settings.decimal("leverage"))},
      keep_(settings.duration("keep")) {}

Verdict Collect::process(const Entry& entry, Unit& unit) const {
  std::string why;
  const auto decision = read_decision(entry, defaults_, why);
  if (!decision) return reject("invalid_decision", why);
  if (decision->action == "HOLD")
    return reject("hold_signal", std::string(decision->symbol) + " HOLD");
  const double least = unit.policy("confidence", {}, 2).number(0);
  if (decision->confidence_value < least)
    return reject("low_confidence", "confidence " + std::string(decision->confidence) +
                                        " is below " + trade::float_text(least));
  // Somebody else joined the window in between. Waiting for now is looking again, as often as it
  // takes: each time one of them gets in.
  if (unit.failure()) return wait({std::string(kOpenWindowKey)}, unit.now());

  const PolicyResult bonus = unit.policy("score_bonus", {}, 2);
  const double score = score_of(*decision, {bonus.number(0), bonus.number(1)});
  const std::string window =
      join({std::string(entry.id()), unit.now(), decision->confidence_value, score}, unit);
  unit.emit("candidate", Record{{"payload", decision_payload(*decision)},
                                {"correlation_id", decision->correlation_id},
                                {"trace_id", decision->trace_id},
                                {"source", decision->source},
                                {"decision_id", entry.id()},
                                {"decision_us", trade::micros_text(unit.now())},
                                {"window", window}});
  return ack();
}

std::string Collect::join(const Candidate& candidate, Unit& unit) const {
  const Value open = unit.get(kOpenWindowKey);
  if (open.is_text() && !open.text().empty()) {
    std::string name(open.text());
    const std::string key = window_key(name);
    auto window = window_at(unit.get(key));
    if (window && !window->is_closed(unit.now())) {
      window->candidates.push_back(candidate);
      unit.unchanged(key);
      unit.put(key, window_text(*window), keep_);
      return name;
    }
  }
  // The decision that opens a window names it: an entry id stands in its stream once.
  const Window opened{unit.now() + unit.policy("window").duration(),
                      unit.policy("candidates_max").integer(),
                      {candidate}};
  unit.unchanged(kOpenWindowKey);
  unit.put(kOpenWindowKey, candidate.id, keep_);
  unit.put(window_key(candidate.id), window_text(opened), keep_);
  return candidate.id;
}

std::optional<Choice> Select::choice_of(const Entry& entry, Unit& unit,
                                        std::optional<Verdict>& waiting) const {
  const auto find_in = [&](const Selection& selection) {
    const auto found = selection.find(entry["decision_id"]);
    return found == selection.end() ? Choice{.reason = "window_lost"} : found->second;
  };
  const std::string selection_key = "quantum:router:selection:" + std::string(entry["window"]);
  if (const Value decided = unit.get(selection_key)) {
    const auto selection = decided.is_text() ? read_selection(decided.text()) : std::nullopt;
    return find_in(selection.value_or(Selection()));
  }
  const std::string key = window_key(entry["window"]);
  const auto window = window_at(unit.get(key));
  if (!window) return find_in({});
  if (!window->is_closed(unit.now())) {
    waiting = wait({key}, window->ends);
    return std::nullopt;
  }
  const Selection selection = select(*window, open_orders_of(unit.get("quantum:state:open_orders")),
                                     unit.now(), rules_of(unit));
  unit.claim(selection_key, selection_text(selection), keep_);
  return find_in(selection);
}

Verdict Select::process(const Entry& entry, Unit& unit) const {
  std::string why;
  auto decision = read_decision(entry, {}, why);
  if (!decision) return reject("invalid_decision", why);

  std::optional<Verdict> waiting;
  const auto choice = choice_of(entry, unit, waiting);
  if (!choice) return *waiting;
  if (!choice->chosen) {
    unit.emit("discarded", discarded_record(entry, *decision, *choice, unit));
    return ack();
  }
  const auto chosen_key = [&](int64_t rank) {
    return "quantum:router:chosen:" + std::string(entry["window"]) + ":" + std::to_string(rank);
  };
  // A better one that was rejected never goes out, so this wait has an end of its own.
  const Time last = entry.first_delivered() + unit.policy("window").duration() + order_wait_;
  if (choice->rank > 1 && unit.now() < last && !unit.get(chosen_key(choice->rank - 1)))
    return wait({chosen_key(choice->rank - 1)}, last);

  const auto size = Decimal::parse(decision->position_size_usd);
  const auto sized = size ? size->times(choice->size_factor) : std::nullopt;
  if (!sized)
    return reject("invalid_decision",
                  "position_size_usd has no exact size: " + decision->position_size_usd);
  decision->position_size_usd = trade::decimal_text(*sized);
  unit.put(chosen_key(choice->rank), entry["decision_id"], keep_);
  unit.emit("decision", Record{{"payload", decision_payload(*decision)},
                               {"correlation_id", decision->correlation_id},
                               {"trace_id", decision->trace_id},
                               {"source", decision->source},
                               {"decision_id", entry["decision_id"]},
                               {"decision_us", entry["decision_us"]},
                               {"window", entry["window"]},
                               {"rank", std::to_string(choice->rank)},
                               {"size_factor", choice->size_factor.text()},
                               {"policy", unit.policy_version()}});
  return ack();
}

}  // namespace sluice::router
