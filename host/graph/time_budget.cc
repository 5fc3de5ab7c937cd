#include "graph/time_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "graph/key_flow.h"

namespace sluice::graph {
namespace {

using plugin::TimeRole;
using plugin::TimeUse;

// "10m", "1.2s": sums are rarely whole in the unit a duration is written in.
std::string duration_text(microseconds time) {
  const std::string exact = plugin::duration_text(time.count());
  const bool odd = exact.ends_with("ms") || exact.ends_with("us");
  return odd && time >= std::chrono::seconds(1)
             ? fmt::format("{}s", static_cast<double>(time.count()) / 1e6)
             : exact;
}

microseconds sum(const std::vector<TimePart>& parts, microseconds TimePart::*member) {
  return std::accumulate(
      parts.begin(), parts.end(), microseconds(0),
      [&](microseconds so_far, const TimePart& part) { return so_far + part.*member; });
}

// "permit_wait 1200ms (lua/apply.lua:12)".
std::string part_text(const TimePart& part) {
  std::string text = fmt::format("{} {}", part.what, duration_text(part.worst));
  if (!part.origin.empty()) text += fmt::format(" ({})", part.origin);
  return text;
}

std::string sum_text(const std::vector<TimePart>& parts) {
  std::string text;
  std::string_view stage;
  for (const TimePart& part : parts) {
    if (part.worst == microseconds(0)) continue;
    if (!text.empty()) text += " + ";
    if (stage != part.stage) text += part.stage + " ";
    stage = part.stage;
    text += part_text(part);
  }
  return text;
}

std::optional<microseconds> parsed(const std::optional<std::string>& text) {
  if (!text) return std::nullopt;
  const auto us = plugin::parse_duration(*text);
  return us ? std::optional(microseconds(*us)) : std::nullopt;
}

class Budget {
 public:
  Budget(const Pipeline& pipeline, const Scripts& scripts, Findings& findings)
      : pipeline_(pipeline), scripts_(scripts), findings_(findings) {}

  std::vector<PathBudget> run() {
    for (const StageSpec& stage : pipeline_.stages) costs_.push_back(cost(stage));
    check_keys();
    return check_ages();
  }

 private:
  // A duration of a stage as it is. `allowed` is the end of its range that makes things worse.
  TimePart value(const StageSpec& stage, const TimeUse& use) const {
    TimePart part{stage.name, use.name(), {}, {}, ""};
    if (!use.setting.empty()) {
      part.worst = part.allowed = microseconds(stage.settings.find(use.setting)->second.integer);
      return part;
    }
    const plugin::Hook& hook = *stage.kind->find_hook(use.hook);
    const plugin::Param& result =
        *std::ranges::find(hook.results, use.result, &plugin::Param::name);
    const auto range = parsed(use.role == TimeRole::kWait ? result.max_text : result.min_text);
    const auto script = scripts_.find(stage.name);
    if (script == scripts_.end()) {
      part.worst = part.allowed = parsed(result.default_text).value_or(microseconds(0));
      part.origin = "default";
      return part;
    }
    const auto estimate = policy::estimate(script->second, hook, use.result, policy::Limits{});
    part.origin = script->second->path();
    if (estimate && estimate->line > 0) part.origin += fmt::format(":{}", estimate->line);
    // A hook that fails without an entry can be anything in its range.
    const bool answered = estimate && estimate->integer;
    part.worst = answered ? microseconds(*estimate->integer) : range.value_or(microseconds(0));
    part.allowed = answered && !estimate->depends ? part.worst : range.value_or(part.worst);
    return part;
  }

  std::vector<TimePart> cost(const StageSpec& stage) const {
    std::vector<TimePart> parts;
    for (const TimeUse& use : stage.kind->times)
      if (use.role == TimeRole::kWait) parts.push_back(value(stage, use));
    microseconds back_off{0};
    microseconds step = stage.retry_min;
    for (uint32_t i = 1; i < stage.deliveries_max; ++i) {
      back_off += step;
      step = std::min<microseconds>(step * 2, stage.retry_max);
    }
    parts.push_back(
        {stage.name, fmt::format("{} tries", stage.deliveries_max), back_off, back_off, ""});
    if (stage.kind->type == plugin::KindType::kExternal &&
        pipeline_.engine.durability == Durability::kGroup)
      parts.push_back({stage.name, "sync to disk", pipeline_.engine.group_interval,
                       pipeline_.engine.group_interval, ""});
    return parts;
  }

  void warn(Fault fault, const Place& place, std::string text, std::string expected) {
    findings_.add(fault, place.line, place.column, std::move(text), std::move(expected));
  }

  // Writers and takers of a key read the same entry: the key may be there from the first moment on
  // and must outlive the taker's longest wait.
  void check_keys() {
    for (size_t i = 0; i < pipeline_.stages.size(); ++i) {
      for (const plugin::KeyFamily& keys : pipeline_.stages[i].kind->keys)
        if (keys.takes) check_key(i, keys.pattern);
    }
  }

  void check_key(size_t taker, const std::string& pattern) {
    const microseconds wait = sum(costs_[taker], &TimePart::worst);
    for (const StageSpec& writer : pipeline_.stages) {
      for (const TimeUse& use : writer.kind->times) {
        if (use.role != TimeRole::kTtl || shape_of(use.pattern) != shape_of(pattern)) continue;
        const TimePart ttl = value(writer, use);
        if (ttl.worst >= wait) continue;
        warn(Fault::kKeyExpires, writer.policy_place,
             fmt::format("{} writes {} with {}, and {} can wait {} for it: {}", writer.name,
                         pattern, part_text(ttl), pipeline_.stages[taker].name, duration_text(wait),
                         sum_text(costs_[taker])),
             fmt::format("{} of at least {}, or a shorter wait", ttl.what, duration_text(wait)));
      }
    }
  }

  std::vector<PathBudget> check_ages() {
    std::vector<PathBudget> budgets;
    const std::vector<std::vector<size_t>> slowest = slowest_paths();
    for (size_t i = 0; i < pipeline_.stages.size(); ++i) {
      for (const TimeUse& use : pipeline_.stages[i].kind->times) {
        if (use.role != TimeRole::kAgeMax) continue;
        PathBudget budget{pipeline_.stages[i].name, value(pipeline_.stages[i], use), {}, {}};
        for (const size_t stage : slowest[i]) {
          budget.path.push_back(pipeline_.stages[stage].name);
          budget.parts.insert(budget.parts.end(), costs_[stage].begin(), costs_[stage].end());
        }
        if (budget.worst() > budget.limit.worst)
          warn(
              Fault::kEntryGoesStale, pipeline_.stages[i].policy_place,
              fmt::format("an entry can be {} old when {} is done with it, which gives it up after "
                          "{}: {}",
                          duration_text(budget.worst()), budget.stage, part_text(budget.limit),
                          sum_text(budget.parts)),
              fmt::format("{} of at least {}, or shorter waits", budget.limit.what,
                          duration_text(budget.worst())));
        budgets.push_back(std::move(budget));
      }
    }
    return budgets;
  }

  // For each stage the path to it that costs most, itself last. Stages stand in topological order.
  std::vector<std::vector<size_t>> slowest_paths() const {
    std::vector<std::vector<size_t>> paths(pipeline_.stages.size());
    std::vector<microseconds> worst(pipeline_.stages.size());
    for (size_t i = 0; i < pipeline_.stages.size(); ++i) {
      for (size_t above = 0; above < i; ++above) {
        if (!feeds(above, i) || worst[above] < worst[i]) continue;
        worst[i] = worst[above];
        paths[i] = paths[above];
      }
      worst[i] += sum(costs_[i], &TimePart::worst);
      paths[i].push_back(i);
    }
    return paths;
  }

  bool feeds(size_t above, size_t below) const {
    return std::ranges::any_of(pipeline_.stages[above].outputs, [&](const Wire& out) {
      return std::ranges::any_of(pipeline_.stages[below].inputs, [&](const Wire& in) {
        return in.stream == out.stream && !in.feedback;
      });
    });
  }

  const Pipeline& pipeline_;
  const Scripts& scripts_;
  Findings& findings_;
  std::vector<std::vector<TimePart>> costs_;  // by stage
};

}  // namespace

microseconds PathBudget::worst() const { return sum(parts, &TimePart::worst); }
microseconds PathBudget::allowed() const { return sum(parts, &TimePart::allowed); }

std::vector<PathBudget> check_time_budget(const Pipeline& pipeline, const Scripts& scripts,
                                          Findings& findings) {
  return Budget(pipeline, scripts, findings).run();
}

std::string budget_text(const std::vector<PathBudget>& budget) {
  std::string text;
  const auto row = [&](std::string_view stage, const TimePart& part) {
    text += fmt::format("  {:<12} {:<26} {:>10} {:>10}  {}\n", stage, part.what,
                        duration_text(part.worst), duration_text(part.allowed), part.origin);
  };
  for (const PathBudget& path : budget) {
    text += fmt::format("{} gives up entries above {}; the slowest way there:\n", path.stage,
                        part_text(path.limit));
    text += fmt::format("  {:<12} {:<26} {:>10} {:>10}\n", "stage", "why", "at worst", "allowed");
    std::string_view stage;
    for (const TimePart& part : path.parts) {
      row(stage == part.stage ? "" : part.stage, part);
      stage = part.stage;
    }
    row("in all", {"", "", path.worst(), path.allowed(), ""});
  }
  return text;
}

}  // namespace sluice::graph
