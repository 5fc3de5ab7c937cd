#include "cli/mirror_scope.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "graph/effective.h"
#include "redis/names.h"
#include "runtime/operator_command.h"

namespace sluice::cli {

namespace {

std::string escaped(std::string_view literal) {
  std::string text;
  for (const char c : literal) {
    if (std::string_view(R"(\^$.[]|()?*+{}/)").find(c) != std::string_view::npos) text += '\\';
    text += c;
  }
  return text;
}

bool matches_parts(std::string_view name, const std::vector<std::string>& parts) {
  if (!name.starts_with(parts.front())) return false;
  size_t at = parts.front().size();
  for (size_t i = 1; i + 1 < parts.size(); ++i) {
    // The first place is as good as any later one.
    const size_t found = at < name.size() ? name.find(parts[i], at + 1) : name.npos;
    if (found == name.npos) return false;
    at = found + parts[i].size();
  }
  if (parts.size() == 1) return at == name.size();
  const std::string& end = parts.back();
  return name.size() >= at + 1 + end.size() && name.ends_with(end);
}

}  // namespace

void NameFamilies::add(std::string_view pattern) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < pattern.size(); ++i) {
    const size_t end = pattern[i] == '{' ? pattern.find('}', i) : pattern.npos;
    if (end == pattern.npos) {
      parts.back() += pattern[i];
      continue;
    }
    // Two placeholders in a row are one.
    if (parts.size() == 1 || !parts.back().empty()) parts.emplace_back();
    i = end;
  }
  if (std::ranges::find(families_, parts) == families_.end()) families_.push_back(std::move(parts));
}

bool NameFamilies::matches(std::string_view name) const {
  return std::ranges::any_of(families_,
                             [&](const auto& parts) { return matches_parts(name, parts); });
}

std::vector<std::string> NameFamilies::prefixes() const {
  std::vector<std::string> prefixes;
  for (const auto& parts : families_) {
    const size_t colon = parts.front().find(':');
    prefixes.push_back(parts.front().substr(0, colon == std::string::npos ? colon : colon + 1));
  }
  std::ranges::sort(prefixes);
  // What begins with another one is found with it.
  std::vector<std::string> shortest;
  for (std::string& prefix : prefixes)
    if (shortest.empty() || !prefix.starts_with(shortest.back()))
      shortest.push_back(std::move(prefix));
  return shortest;
}

// Those that begin alike stand together: a:(b|c).
std::string NameFamilies::expression() const {
  std::map<std::string, std::string> by_beginning;
  for (const auto& parts : families_) {
    const size_t colon = parts.front().rfind(':');
    const size_t at = colon == std::string::npos ? 0 : colon + 1;
    std::string rest = escaped(parts.front().substr(at));
    for (size_t i = 1; i < parts.size(); ++i) rest += ".+" + escaped(parts[i]);
    std::string& all = by_beginning[escaped(parts.front().substr(0, at))];
    all += (all.empty() ? "" : "|") + rest;
  }
  std::string text;
  for (const auto& [beginning, rest] : by_beginning)
    text += fmt::format("{}{}({})", text.empty() ? "" : "|", beginning, rest);
  return text;
}

PipelineNames names_of(const graph::Pipeline& pipeline) {
  PipelineNames names;
  for (const graph::StreamSpec& stream : pipeline.streams) {
    names.streams.push_back(stream.name);
    names.inputs.add("sluice:input:" + stream.name + ":{digest}");
  }
  if (std::ranges::find(names.streams, runtime::kOperatorStream) == names.streams.end())
    names.streams.emplace_back(runtime::kOperatorStream);
  for (const graph::StageSpec& stage : pipeline.stages) {
    names.consumers.push_back(pipeline.name + "-" + stage.name);
    if (stage.kind == nullptr) continue;
    for (const plugin::KeyFamily& family : stage.kind->keys)
      (family.counter ? names.counters : names.keys).add(family.pattern);
  }
  for (const std::string_view of : {"sluice:source:", "sluice:act:", "sluice:inflight:"})
    names.keys.add(fmt::format("{}{}:{{stage}}", of, pipeline.name));
  for (const std::string_view key :
       {runtime::kKillKey, runtime::kGlobalKillKey, runtime::kDisarmKey})
    names.keys.add(key);
  for (const std::string_view prefix : {runtime::kLedgerPrefix, runtime::kHoldPrefix})
    names.keys.add(fmt::format("{}{{symbol}}", prefix));
  names.keys.add(runtime::applied_key("{id}"));
  return names;
}

redis::MirrorScope mirror_scope(const graph::Pipeline& pipeline, const PipelineNames& names,
                                std::string host) {
  redis::MirrorScope scope;
  scope.pipeline = pipeline.name;
  scope.streams = names.streams;
  scope.consumers = names.consumers;
  scope.host = std::move(host);
  scope.prefixes = names.keys.prefixes();  // "sluice:" among them
  for (std::string& prefix : names.counters.prefixes())
    if (std::ranges::find(scope.prefixes, prefix) == scope.prefixes.end())
      scope.prefixes.push_back(std::move(prefix));
  scope.is_key = [&names](std::string_view name) { return names.is_key(name); };
  scope.is_counter = [&names](std::string_view name) { return names.counters.matches(name); };
  return scope;
}

std::string removal_command(const std::string& url, const PipelineNames& names, bool recorded) {
  NameFamilies streams;
  for (const std::string& stream : names.streams) streams.add(stream);
  constexpr std::string_view kUnix = "unix://";
  const std::string server = url.starts_with(kUnix)
                                 ? "-s " + url.substr(kUnix.size(), url.find('?') - kUnix.size())
                                 : "-u " + graph::without_passwords(url);
  const std::string of = streams.expression();
  std::string expression =
      fmt::format("({})?({})|({}|sluice:input:)({}):.+|{}", redis::kMirrorPrefix, of,
                  redis::kTimesPrefix, of, names.keys.expression());
  if (const std::string counters = names.counters.expression(); !counters.empty())
    expression += fmt::format("|({})?({})", redis::kNotePrefix, counters);
  if (recorded) expression += fmt::format("|{}|{}", redis::kClockKey, redis::kExpiryKey);
  return fmt::format(
      "redis-cli {} --scan | grep -E '^({})$' | tr '\\n' '\\0' | xargs -0 -r redis-cli {} UNLINK",
      server, expression, server);
}

}  // namespace sluice::cli
