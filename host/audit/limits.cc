// Invariant 5: what permits reserved never exceeded the limits they were granted under.
//
// Recomputed from the permits alone: shares enter when they were reserved, leave when their window
// has passed or when nothing was executed, and the sum is compared with the policy's limit each
// time one enters. The engine's counters are not asked.
//
// Times are those of entry ids, as the engine counts windows: a wall clock that is set back makes
// hours come twice, ids never go back. Only a permit that the trail does not have says its own.
#include <algorithm>
#include <map>

#include "audit/judge.h"
#include "audit/times.h"
#include "base/disk.h"
#include "base/iso_time.h"
#include "policy/policy.h"

namespace sluice::audit {

namespace {

constexpr int64_t kSecondMs = 1'000;

// How a counter forgets, and which result of which hook bounds it.
struct Rule {
  const char* prefix;
  const char* hook;
  const char* limit;
  int64_t window_ms;  // 0: its name carries the UTC day
  int scale;          // of the limit, in the counter's units
};
constexpr Rule kRules[] = {
    {"quantum:governor:rate:hour:", "limits", "per_hour", 3600 * kSecondMs, 0},
    {"quantum:governor:rate:5min:", "limits", "per_5min", 300 * kSecondMs, 0},
    {"quantum:governor:daily:", "limits", "notional_per_day", 0, 8},
    {"quantum:governor:daily_qty:", "limits", "qty_per_day", 0, 8},
    {"quantum:governor:daily_trades:", "daily_trades_max", "daily_trades_max", 0, 0}};

const Rule* rule_of(std::string_view counter) {
  for (const Rule& rule : kRules)
    if (counter.starts_with(rule.prefix)) return &rule;
  return nullptr;
}

// "…:BTCUSDT:2025-12-15" is BTCUSDT and 2025-12-15, "…:20251215" a day alone; sliding windows have
// none.
struct CounterName {
  CounterName(std::string_view counter, const Rule& rule) {
    const std::string_view rest = counter.substr(std::string_view(rule.prefix).size());
    const size_t colon = rest.find(':');
    if (colon != std::string_view::npos)
      day = rest.substr(colon + 1);
    else if (rule.window_ms == 0)
      day = rest;
    if (colon != std::string_view::npos || rule.window_ms != 0) symbol = rest.substr(0, colon);
    std::erase(day, '-');
  }
  std::string symbol, day;
};

// The limits a version of the policy gives; asked once for each symbol.
class Limits {
 public:
  explicit Limits(const Evidence& evidence) {
    for (const graph::StageSpec* stage : evidence.lane.governors) open(*stage);
  }

  // nullopt: that version is not at hand, or it fails.
  std::optional<int64_t> of(const std::string& version, const std::string& symbol,
                            const std::string& side, const Rule& rule) {
    const auto state = states_.find(version);
    if (state == states_.end()) return std::nullopt;
    const std::string key = version + ' ' + symbol + ' ' + side + ' ' + rule.limit;
    const auto known = known_.find(key);
    if (known != known_.end()) return known->second;
    return known_[key] = ask(state->second, symbol, side, rule);
  }

 private:
  struct Source {
    std::unique_ptr<policy::State> state;
    const plugin::Kind* kind = nullptr;
  };

  void open(const graph::StageSpec& stage) {
    std::shared_ptr<const policy::Script> script = policy::Script::defaults(stage.kind->hooks);
    if (!stage.policy_path.empty()) {
      auto loaded = policy::Script::load(stage.policy_path, stage.kind->hooks, policy::Limits{},
                                         system_disk());
      if (!loaded) return;
      script = std::move(*loaded);
    }
    auto state = policy::State::open(script, policy::Limits{});
    if (state) states_[script->version()] = {std::move(*state), stage.kind};
  }

  static std::optional<int64_t> ask(Source& source, const std::string& symbol,
                                    const std::string& side, const Rule& rule) {
    const plugin::Hook* hook = source.kind->find_hook(rule.hook);
    if (hook == nullptr) return std::nullopt;
    std::vector<sluice_value> arguments;
    for (const plugin::HookArg& arg : hook->args) {
      const std::string& text = arg.name == "side" ? side : symbol;
      if (arg.type != plugin::ValueType::kText) return std::nullopt;
      sluice_value& argument = arguments.emplace_back();
      argument.type = SLUICE_TEXT;
      argument.text = {text.data(), text.size()};
    }
    std::vector<sluice_value> results(hook->results.size());
    if (!source.state->call(rule.hook, arguments, results)) return std::nullopt;
    for (size_t i = 0; i < results.size(); ++i) {
      if (hook->results[i].name != rule.limit) continue;
      if (results[i].type == SLUICE_INTEGER) return results[i].integer;
      const auto limit = Decimal::parse({results[i].text.data, results[i].text.size});
      return limit ? limit->truncated(rule.scale).scaled(rule.scale) : std::nullopt;
    }
    return std::nullopt;
  }

  std::map<std::string, Source> states_;  // by version
  std::map<std::string, std::optional<int64_t>> known_;
};

// A permit of the governor, wherever it was found.
struct Granted {
  const Permit* permit = nullptr;
  Place place;            // where it was found; none for a key
  std::string side;       // of its plan
  bool in_trail = false;  // found where it was given, in the same commit

  int64_t at_ms(const Share& share) const {
    return in_trail ? ms_of(place.id) : share.at_us / 1000;
  }
};

// One step of a counter, in order of time; what leaves a window does so before anything enters.
struct Step {
  int64_t at_ms = 0;
  int64_t amount = 0;  // negative: leaves
  const Granted* granted = nullptr;
  const Share* share = nullptr;  // that enters

  bool operator<(const Step& other) const {
    if (at_ms != other.at_ms) return at_ms < other.at_ms;
    return amount < 0 && other.amount >= 0;
  }
};

std::string side_of(const Evidence& evidence, const std::string& plan_id) {
  const auto plans = evidence.plans.find(plan_id);
  return plans == evidence.plans.end() ? std::string() : plans->second.back().side;
}

// Each permit once: the trail knows all it has seen, orders and keys the rest.
std::vector<Granted> all_granted(const Evidence& evidence) {
  std::vector<Granted> all;
  EntryIds trail, contents, plans;
  const auto add = [&](const Permit& permit, const Place& place, bool in_trail = false) {
    all.push_back({&permit, place, side_of(evidence, permit.plan_id), in_trail});
    plans.insert(permit.plan_id);
  };
  for (const auto& [place, permit] : evidence.issued) {
    add(permit, place, true);
    trail.insert(permit.plan_id);
  }
  for (const Order& order : evidence.orders)
    if (order.governor.readable && !trail.contains(order.governor.plan_id) &&
        contents.insert(std::to_string(order.governor.digest)).second)
      add(order.governor, order.place);
  for (const auto& [plan, permit] : evidence.governor_keys)
    if (permit.readable && !plans.contains(plan)) add(permit, {});
  return all;
}

std::string day_of(int64_t us) {
  std::string day = iso_time_text(from_us(us)).substr(0, 10);
  std::erase(day, '-');
  return day;
}

void judge_counter(const std::string& counter, std::vector<Step>& steps, Limits& limits,
                   uint64_t& unjudged, Bench& bench) {
  const Rule& rule = *rule_of(counter);
  const CounterName name(counter, rule);
  std::stable_sort(steps.begin(), steps.end());
  int64_t sum = 0;
  for (const Step& step : steps) {
    if (__builtin_add_overflow(sum, step.amount, &sum))
      return bench.note(counter + ": out of range");
    if (step.amount < 0) continue;
    bench.look();
    const Permit& permit = *step.granted->permit;
    const std::string subject = "plan " + permit.plan_id;
    // The day is that of the clock, right or wrong.
    if (!name.day.empty() && name.day != day_of(step.share->at_us))
      bench.offend(subject, step.granted->place,
                   "reserved from " + counter + " at " + iso_time_text(from_us(step.share->at_us)));
    const auto limit = step.share->limit
                           ? step.share->limit
                           : limits.of(permit.policy, name.symbol, step.granted->side, rule);
    if (!limit)
      ++unjudged;
    else if (sum > *limit)
      bench.offend(subject, step.granted->place,
                   counter + " stood at " + Decimal::from_scaled(sum, rule.scale).text() +
                       " with it at " + iso_time_text(from_ms(step.at_ms)) + "; the limit is " +
                       Decimal::from_scaled(*limit, rule.scale).text());
  }
}

}  // namespace

Finding judge_limits(const Evidence& evidence, const Options& options) {
  Bench bench(5, "reservations never exceed limits", "reservations", options);
  if (evidence.lane.governors.empty()) {
    bench.note("the pipeline has no governor");
    return bench.done();
  }
  const std::vector<Granted> granted = all_granted(evidence);
  std::map<std::string, std::vector<Step>> counters;
  std::map<std::string, uint64_t> unknown;
  // Who gives shares back: duplicates are terminal too, and had none.
  Streams ends = joined(evidence.lane.results, evidence.lane.terminals);
  std::erase_if(ends, [&](size_t i) { return contains(evidence.lane.duplicates, i); });
  const StreamState* ends_from = nullptr;
  const uint64_t ends_after_ms = evidence.complete_after_ms(ends, &ends_from);
  uint64_t older = 0;
  for (const Granted& one : granted) {
    const auto released = evidence.released.find(one.permit->plan_id);
    for (const Share& share : one.permit->shares) {
      const int64_t at_ms = one.at_ms(share);
      // Whether it was given back may have been trimmed.
      if (ends_from != nullptr && static_cast<uint64_t>(at_ms) <= ends_after_ms) {
        ++older;
        continue;
      }
      const Rule* rule = rule_of(share.counter);
      if (rule == nullptr) {
        ++unknown[share.counter];
        continue;
      }
      if (share.amount < 0) {
        bench.offend("plan " + one.permit->plan_id, one.place,
                     "reserved " + std::to_string(share.amount) + " from " + share.counter);
        continue;
      }
      int64_t ends_ms = rule->window_ms == 0 ? INT64_MAX : at_ms + rule->window_ms;
      if (released != evidence.released.end() && released->second >= at_ms)
        ends_ms = std::min(ends_ms, released->second);
      auto& steps = counters[share.counter];
      steps.push_back({at_ms, share.amount, &one, &share});
      // A share of nothing would enter once more where it leaves.
      if (ends_ms != INT64_MAX && share.amount > 0)
        steps.push_back({ends_ms, -share.amount, &one, nullptr});
    }
  }
  Limits limits(evidence);
  uint64_t unjudged = 0;
  for (auto& [counter, steps] : counters) judge_counter(counter, steps, limits, unjudged, bench);
  if (unjudged > 0)
    bench.note(std::to_string(unjudged) +
               " reservations are not judged: they were granted under another version of the "
               "policy than the file holds now, and no permit trail says their limits");
  for (const auto& [counter, count] : unknown)
    bench.note(counter + ": " + std::to_string(count) + " reservations, no limit is known for it");
  if (older > 0)
    bench.note(std::to_string(older) +
               " older reservations are not counted: " + ends_from->spec->name +
               " is trimmed and complete from " + ends_from->info.first.text() + " on");
  const StreamState* why = nullptr;
  evidence.complete_after_ms(evidence.lane.orders, &why);
  if (why != nullptr)
    bench.note("permits of orders older than " + why->info.first.text() +
               " are not counted: " + why->spec->name + " is trimmed");
  return bench.done();
}

}  // namespace sluice::audit
