#include "cli/account.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "cli/human.h"
#include "cli/json_writer.h"

namespace sluice::cli {

// --- Durations ---

size_t LatencyHistogram::bucket_of(uint64_t us) {
  const int width = std::bit_width(us);
  if (width <= kSubBits + 1) return us;
  const int shift = width - kSubBits - 1;
  const size_t bucket = (static_cast<size_t>(shift) << kSubBits) + (us >> shift);
  return std::min(bucket, (static_cast<size_t>(kMagnitudes) << kSubBits) - 1);
}

int64_t LatencyHistogram::upper_edge(size_t bucket) {
  if (bucket < (size_t{2} << kSubBits)) return static_cast<int64_t>(bucket);
  const size_t shift = (bucket >> kSubBits) - 1;
  const size_t top = bucket - (shift << kSubBits);
  return static_cast<int64_t>(((top + 1) << shift) - 1);
}

void LatencyHistogram::add(int64_t us) {
  ++buckets_[bucket_of(us < 0 ? 0 : static_cast<uint64_t>(us))];
  ++count_;
}

int64_t LatencyHistogram::quantile(double share) const {
  if (count_ == 0) return 0;
  const auto rank = static_cast<uint64_t>(share * static_cast<double>(count_ - 1)) + 1;
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return upper_edge(bucket);
  }
  return upper_edge(buckets_.size() - 1);
}

// --- Counting ---

void Account::emitted(const graph::StreamSpec& stream, stream::FieldsView fields, WallTime now) {
  using As = graph::AccountSpec::As;
  const graph::AccountSpec& account = stream.account;
  if (account.as == As::kNone) return;
  const auto field = [&](const std::string& name) {
    return name.empty() ? std::string() : std::string(fields.find(name).value_or(""));
  };
  const std::lock_guard lock(mutex_);
  if (account.as == As::kMilestone) {
    ++milestones_[account.label.empty() ? stream.key : account.label];
    return;
  }
  std::string state = field(account.state_field);
  if (state.empty()) state = account.label.empty() ? stream.key : account.label;
  ++endings_[{state, "", field(account.reason_field)}].count;
  ++ended_;
  if (const std::string since = field(account.since_field); !since.empty())
    latency_.add(to_us(now) - std::strtoll(since.c_str(), nullptr, 10));
}

void Account::dead_lettered(const graph::StageSpec* stage, std::string_view reason,
                            std::string_view detail) {
  const bool on_lane = stage == nullptr || runtime_ == nullptr || runtime_->on_lane(*stage);
  const std::lock_guard lock(mutex_);
  Tally& tally =
      (on_lane
           ? endings_
           : beside_)[{"rejected", stage == nullptr ? "input" : stage->name, std::string(reason)}];
  if (tally.count++ == 0) tally.sample = detail;
  if (on_lane) ++ended_;
}

uint64_t Account::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

uint64_t Account::Summary::ended() const {
  uint64_t sum = 0;
  for (const Ending& ending : endings) sum += ending.count;
  return sum;
}

Account::Summary Account::summary() const {
  const auto listed = [](const std::map<Key, Tally>& tallies) {
    std::vector<Ending> endings;
    for (const auto& [key, tally] : tallies)
      endings.push_back(
          {std::get<0>(key), std::get<1>(key), std::get<2>(key), tally.sample, tally.count});
    std::stable_sort(endings.begin(), endings.end(), [](const Ending& a, const Ending& b) {
      return a.state != b.state ? a.state < b.state : a.count > b.count;
    });
    return endings;
  };
  const std::lock_guard lock(mutex_);
  Summary summary;
  summary.endings = listed(endings_);
  summary.beside = listed(beside_);
  for (const graph::StreamSpec& stream : pipeline_.streams) {
    if (stream.account.as != graph::AccountSpec::As::kMilestone) continue;
    const std::string label = stream.account.label.empty() ? stream.key : stream.account.label;
    const auto found = milestones_.find(label);
    summary.milestones.emplace_back(label, found == milestones_.end() ? 0 : found->second);
  }
  summary.latency_count = latency_.count();
  summary.latency_p50_us = latency_.quantile(0.50);
  summary.latency_p99_us = latency_.quantile(0.99);
  return summary;
}

// --- Saying it ---

std::string summary_json(const Account::Summary& summary) {
  JsonWriter json;
  const auto endings = [&](std::string_view name, const std::vector<Account::Ending>& list) {
    json.key(name).begin_array();
    for (const Account::Ending& ending : list) {
      json.begin_object().member("state", ending.state).member("reason", ending.reason);
      if (!ending.place.empty()) json.member("stage", ending.place).member("sample", ending.sample);
      json.member("count", ending.count).end_object();
    }
    json.end_array();
  };
  json.begin_object();
  json.member("entered", summary.entered).member("known", summary.known);
  json.member("open_before", summary.open_before).member("open_after", summary.open_after);
  json.member("ended", summary.ended()).member("balanced", summary.balanced());
  json.member("partial", summary.partial);
  endings("endings", summary.endings);
  endings("beside", summary.beside);
  json.key("milestones").begin_object();
  for (const auto& [label, count] : summary.milestones) json.member(label, count);
  json.end_object();
  json.key("latency_us").begin_object();
  json.member("count", summary.latency_count);
  json.member("p50", summary.latency_p50_us).member("p99", summary.latency_p99_us);
  json.end_object().end_object();
  return std::string(json.text());
}

std::string summary_text(const Account::Summary& summary, bool recorded, const Style& style) {
  Table table({{"what became of them"}, {"entries", Align::kRight}, {"why"}});
  const auto row = [&](std::string what, uint64_t count, std::string why = {}) {
    table.add_row({std::move(what), count_text(count), std::move(why)});
  };
  row("entered", summary.entered);
  if (summary.known > 0) row("read again", summary.known, "lines an earlier run has read");
  if (summary.open_before > 0) row("open from an earlier run", summary.open_before);
  table.add_rule();
  for (const Account::Ending& ending : summary.endings) {
    std::string why = ending.place.empty() ? ending.reason : ending.place + ": " + ending.reason;
    if (!ending.sample.empty()) why += ", e.g. " + ending.sample;
    row(ending.state, ending.count, std::move(why));
  }
  if (summary.known > 0) row("duplicate", summary.known, "not entered again");
  if (summary.open_after > 0) row("still open", summary.open_after, "goes on at the next start");
  table.add_rule();
  row("accounted for", summary.ended() + summary.open_after + summary.known,
      summary.partial      ? "others go on with what these stages hand on"
      : summary.balanced() ? "the sums add up"
                           : "THE SUMS DO NOT ADD UP");

  std::string text = table.text(style);
  for (const auto& [label, count] : summary.milestones)
    text += fmt::format("\n{}: {}", label, count_text(count));
  if (summary.latency_count > 0)
    text += fmt::format("\ndecision to result: p50 {}, p99 {} over {} ({})",
                        age_text(Micros(summary.latency_p50_us)),
                        age_text(Micros(summary.latency_p99_us)),
                        plural(summary.latency_count, "result", "results"),
                        recorded ? "recorded time" : "wall time");
  for (const Account::Ending& ending : summary.beside)
    text += fmt::format("\nbeside the way: {} of {}: {}, e.g. {}", count_text(ending.count),
                        ending.place, ending.reason, ending.sample);
  return text + "\n";
}

}  // namespace sluice::cli
