#include "router/window.h"

#include <algorithm>

#include "common/json.h"
#include "common/text.h"

namespace sluice::router {

namespace {

using trade::Json;

std::optional<Time> time_of(const Json& object, std::string_view name) {
  constexpr int64_t kYear10000 = 253'402'300'800'000'000;
  const auto us = trade::read_integer(object.number_of(name));
  return us && *us >= 0 && *us < kYear10000 ? std::optional(Time(Duration(*us))) : std::nullopt;
}

std::optional<trade::JsonDocument> object_of(std::string_view text) {
  std::string why;
  auto json = Json::parse(text, why);
  return json && json->is_object() ? std::move(json) : std::nullopt;
}

Decimal factor_of(int64_t rank, double confidence, const Rules& rules) {
  if (rank == 1 && confidence >= rules.super_confidence) return rules.first_factor;
  if (rank == 2 && confidence >= rules.second_confidence) return rules.second_factor;
  return Decimal(1);
}

}  // namespace

std::string window_text(const Window& window) {
  std::string list;
  for (const Candidate& candidate : window.candidates) {
    if (!list.empty()) list += ", ";
    list += trade::JsonObject()
                .text("id", candidate.id)
                .integer("at_us", trade::micros(candidate.at))
                .number("confidence", trade::float_text(candidate.confidence))
                .number("score", trade::float_text(candidate.score))
                .str();
  }
  return trade::JsonObject()
      .integer("ends_us", trade::micros(window.ends))
      .integer("candidates_max", window.candidates_max)
      .raw("candidates", "[" + list + "]")
      .str();
}

std::optional<Window> read_window(std::string_view text) {
  const auto json = object_of(text);
  if (!json) return std::nullopt;
  const auto ends = time_of(*json, "ends_us");
  const auto most = trade::read_integer(json->number_of("candidates_max"));
  const Json* list = json->find("candidates");
  if (!ends || !most || list == nullptr || list->type() != Json::Type::kArray) return std::nullopt;
  Window window{*ends, *most, {}};
  for (const Json& item : list->items()) {
    const auto at = time_of(item, "at_us");
    const auto confidence = trade::read_double(item.number_of("confidence"));
    const auto score = trade::read_double(item.number_of("score"));
    const std::string_view id = item.text_of("id");
    if (id.empty() || !at || !confidence || !score) return std::nullopt;
    window.candidates.push_back({std::string(id), *at, *confidence, *score});
  }
  return window;
}

double score_of(const Decision& decision, const ScoreBonus& bonus) {
  const std::string regime = trade::lower(trade::trim(decision.regime));
  return decision.confidence_value + (decision.rl_gate_pass ? bonus.rl_gate : 0) +
         (regime.empty() || regime == "unknown" ? 0 : bonus.regime);
}

Allowed allowed(std::optional<int64_t> open_orders, const Rules& rules, bool any_super) {
  if (!open_orders || *open_orders < 0) return {0, "open_orders_unreadable"};
  if (*open_orders >= rules.max_open_orders) return {0, "no_slots"};
  const int64_t slots = rules.max_open_orders - *open_orders;
  if (*open_orders < rules.target_open_orders)
    return {std::min({rules.target_open_orders - *open_orders, slots, rules.new_per_window_max}),
            "outranked"};
  if (!any_super) return {0, "at_target"};
  return {std::min({int64_t{1}, slots, rules.new_per_window_max}), "outranked"};
}

Selection select(const Window& window, std::optional<int64_t> open_orders, Time now,
                 const Rules& rules) {
  Selection selection;
  std::vector<const Candidate*> ranked;
  for (const Candidate& candidate : window.candidates) {
    if (now - candidate.at > rules.candidate_age_max)
      selection[candidate.id].reason = "candidate_stale";
    else
      ranked.push_back(&candidate);
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const Candidate* a, const Candidate* b) { return a->score > b->score; });
  const bool any_super = std::any_of(ranked.begin(), ranked.end(), [&](const Candidate* candidate) {
    return candidate->confidence >= rules.super_confidence;
  });
  const Allowed may = allowed(open_orders, rules, any_super);
  int64_t rank = 0;
  for (const Candidate* candidate : ranked) {
    Choice& choice = selection[candidate->id];
    choice.rank = ++rank;
    choice.chosen = rank <= may.count;
    if (choice.chosen)
      choice.size_factor = factor_of(rank, candidate->confidence, rules);
    else
      choice.reason = may.reason;
  }
  return selection;
}

std::string selection_text(const Selection& selection) {
  trade::JsonObject all;
  for (const auto& [id, choice] : selection) {
    trade::JsonObject one;
    one.integer("rank", choice.rank);
    if (choice.chosen)
      one.text("size_factor", choice.size_factor.text());
    else
      one.text("reason", choice.reason);
    all.raw(id, one.str());
  }
  return all.str();
}

std::optional<Selection> read_selection(std::string_view text) {
  const auto json = object_of(text);
  if (!json) return std::nullopt;
  Selection selection;
  for (const Json& one : json->items()) {
    const auto rank = trade::read_integer(one.number_of("rank"));
    const bool chosen = one.find("size_factor") != nullptr;
    const auto factor = chosen ? Decimal::parse(one.text_of("size_factor")) : Decimal(1);
    if (!rank || !factor || (!chosen && one.text_of("reason").empty())) return std::nullopt;
    selection[std::string(one.name())] = {*rank, chosen, *factor,
                                          std::string(one.text_of("reason"))};
  }
  return selection;
}

}  // namespace sluice::router
