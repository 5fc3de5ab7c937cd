// Changes a pipeline file in one place, as a tired hand or a bad merge would.
//
// The tree with its places says where keys, values and members stand; the changes are made to the
// text, so that layout and comments around them stay, and so that the result need not be YAML.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "graph/findings.h"
#include "graph/located.h"

namespace sluice::testing {

class YamlMutator {
 public:
  YamlMutator(std::string text, uint64_t seed) : text_(std::move(text)), random_(seed) {}

  // Makes one more change.
  void mutate() {
    text_before_ = text_;
    story_before_ = story_;
    spans_ = {};
    graph::Findings findings("mutated.yaml");
    if (const auto tree = graph::read_tree(text_, findings)) collect(*tree);
    // A change that finds nothing to change is drawn again.
    for (int tries = 0; tries < 100 && !change(); ++tries) {
    }
  }
  // Takes the last change back.
  void undo() {
    text_ = text_before_;
    story_ = story_before_;
  }

  const std::string& text() const { return text_; }
  // The changes that are in the text, a line each.
  const std::string& story() const { return story_; }

 private:
  struct Span {
    size_t begin = 0;
    size_t end = 0;
  };
  struct Spans {
    std::vector<Span> keys;
    std::vector<Span> scalars;  // values that are texts
    std::vector<Span> values;   // all values
    std::vector<Span> members;  // key to the end of the value
    std::vector<Span> items;
    std::vector<Span> maps;  // in braces, and not empty
  };

  // Where things stand
  // ---------------------------------------------------------------------------------------

  size_t at(graph::Spot spot) const {
    size_t offset = 0;
    for (int line = 1; line < spot.line; ++line) {
      offset = text_.find('\n', offset);
      if (offset == std::string::npos) return text_.size();
      ++offset;
    }
    return std::min(text_.size(), offset + static_cast<size_t>(spot.column) - 1);
  }

  size_t scalar_end(size_t begin) const {
    if (begin >= text_.size()) return text_.size();
    if (text_[begin] == '"' || text_[begin] == '\'') {
      const size_t end = text_.find(text_[begin], begin + 1);
      return end == std::string::npos ? text_.size() : end + 1;
    }
    size_t end = begin;
    while (end < text_.size() && std::string_view(",]}\n#").find(text_[end]) == std::string::npos &&
           !(text_[end] == ':' && end + 1 < text_.size() &&
             (text_[end + 1] == ' ' || text_[end + 1] == '\n')))
      ++end;
    while (end > begin && text_[end - 1] == ' ') --end;
    return end;
  }

  size_t bracket_end(size_t begin) const {
    int depth = 0;
    for (size_t i = begin; i < text_.size(); ++i) {
      if (text_[i] == '"') i = scalar_end(i) - 1;
      if (text_[i] == '[' || text_[i] == '{') ++depth;
      if ((text_[i] == ']' || text_[i] == '}') && --depth == 0) return i + 1;
    }
    return text_.size();
  }

  // Of a block that starts in column `column`: before the first line that stands further left.
  size_t block_end(size_t begin, size_t column) const {
    for (size_t line = text_.find('\n', begin); line != std::string::npos;) {
      const size_t next = line + 1;
      const size_t word = text_.find_first_not_of(' ', next);
      if (word == std::string::npos) return text_.size();
      if (text_[word] != '\n' && text_[word] != '#' && word - next + 1 < column) return line;
      line = text_.find('\n', next);
    }
    return text_.size();
  }

  Span value_span(const graph::Node& node) const {
    const size_t begin = at(node.spot);
    if (node.is_null()) return {begin, begin};
    if (node.is_text()) return {begin, scalar_end(begin)};
    if (begin < text_.size() && (text_[begin] == '[' || text_[begin] == '{'))
      return {begin, bracket_end(begin)};
    return {begin, block_end(begin, static_cast<size_t>(node.spot.column))};
  }

  void collect(const graph::Node& node) {
    for (const graph::Node& item : node.items) {
      spans_.items.push_back(value_span(item));
      collect_value(item);
    }
    for (const graph::Node::Member& member : node.members) {
      const size_t begin = at(member.spot);
      const Span key{begin, scalar_end(begin)};
      spans_.keys.push_back(key);
      const Span value = value_span(member.value);
      spans_.members.push_back({begin, std::max(value.end, key.end + 1)});
      if (!member.value.is_null()) collect_value(member.value);
    }
  }

  void collect_value(const graph::Node& node) {
    const Span span = value_span(node);
    spans_.values.push_back(span);
    if (node.is_text()) spans_.scalars.push_back(span);
    if (node.is_map() && !node.members.empty() && text_[span.begin] == '{')
      spans_.maps.push_back(span);
    collect(node);
  }

  // Changes
  // ------------------------------------------------------------------------------------------

  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[std::uniform_int_distribution<size_t>(0, from.size() - 1)(random_)];
  }
  template <typename T, size_t N>
  const T& pick(const std::array<T, N>& from) {
    return from[std::uniform_int_distribution<size_t>(0, N - 1)(random_)];
  }
  bool coin() { return random_() % 2 == 0; }

  std::string word(Span span) const { return text_.substr(span.begin, span.end - span.begin); }

  void replace(Span span, const std::string& with, std::string_view what) {
    const std::string was = word(span);
    const auto line =
        std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(span.begin), '\n');
    story_ += "line " + std::to_string(line + 1) + ", " + std::string(what) + ": " + was + " -> " +
              with + "\n";
    text_.replace(span.begin, span.end - span.begin, with);
  }

  // With the comma beside it, or the line's rest when nothing else is on it.
  Span with_separator(Span span) const {
    if (text_.compare(span.end, 2, ", ") == 0) return {span.begin, span.end + 2};
    if (span.begin >= 2 && text_.compare(span.begin - 2, 2, ", ") == 0)
      return {span.begin - 2, span.end};
    const size_t line = text_.rfind('\n', span.begin) + 1;
    const bool alone = text_.find_first_not_of(' ', line) == span.begin &&
                       (span.end >= text_.size() || text_[span.end] == '\n');
    return alone ? Span{line, std::min(span.end + 1, text_.size())} : span;
  }

  std::optional<Span> any_line() {
    const auto lines = std::count(text_.begin(), text_.end(), '\n');
    if (lines == 0) return std::nullopt;
    const size_t begin = at({static_cast<int>(random_() % static_cast<uint64_t>(lines)) + 1, 1});
    return Span{begin, text_.find('\n', begin) + 1};
  }

  std::string misspelt(std::string text) {
    if (text.size() < 2) return text + "x";
    const size_t i = random_() % (text.size() - 1);
    switch (random_() % 3) {
      case 0:
        text.erase(i, 1);
        break;
      case 1:
        std::swap(text[i], text[i + 1]);
        break;
      default:
        text.insert(i, 1, text[i]);
    }
    return text;
  }

  bool change() {
    static constexpr auto kChanges = std::to_array<bool (YamlMutator::*)()>(
        {&YamlMutator::remove_member, &YamlMutator::remove_line, &YamlMutator::remove_item,
         &YamlMutator::rename_key, &YamlMutator::rename_value, &YamlMutator::retype_value,
         &YamlMutator::retype_value, &YamlMutator::swap_values, &YamlMutator::swap_scalars,
         &YamlMutator::swap_keys, &YamlMutator::duplicate_member, &YamlMutator::set_bound,
         &YamlMutator::set_bound, &YamlMutator::shift_line, &YamlMutator::add_member,
         &YamlMutator::add_member, &YamlMutator::add_setting, &YamlMutator::add_setting});
    return (this->*pick(kChanges))();
  }

  bool remove_member() {
    if (spans_.members.empty()) return false;
    replace(with_separator(pick(spans_.members)), "", "member removed");
    return true;
  }
  bool remove_line() {
    const auto line = any_line();
    if (!line) return false;
    replace(*line, "", "line removed");
    return true;
  }
  bool remove_item() {
    if (spans_.items.empty()) return false;
    replace(with_separator(pick(spans_.items)), "", "item removed");
    return true;
  }
  bool rename_key() {
    if (spans_.keys.empty()) return false;
    const Span key = pick(spans_.keys);
    replace(key, coin() ? misspelt(word(key)) : word(pick(spans_.keys)), "key renamed");
    return true;
  }
  bool rename_value() {
    if (spans_.scalars.empty()) return false;
    const Span value = pick(spans_.scalars);
    replace(value, coin() ? misspelt(word(value)) : word(pick(spans_.scalars)), "value renamed");
    return true;
  }
  bool retype_value() {
    static constexpr auto kOthers = std::to_array<std::string_view>({"[]",
                                                                     "{}",
                                                                     "[a]",
                                                                     "{ a: b }",
                                                                     "\"\"",
                                                                     "~",
                                                                     "",
                                                                     "true",
                                                                     "false",
                                                                     "no",
                                                                     "7",
                                                                     "-1",
                                                                     "0.5",
                                                                     "012",
                                                                     "5s",
                                                                     "1h",
                                                                     "x",
                                                                     "'quoted text'",
                                                                     "[[a]]",
                                                                     "{ stream: dead }",
                                                                     "{ file: x }",
                                                                     "*a",
                                                                     "&a b",
                                                                     "!!str x",
                                                                     "\"${UNSET}\"",
                                                                     "\"${UNSET:-}\"",
                                                                     "\"${UNSET:-5}\"",
                                                                     "|",
                                                                     "%",
                                                                     "@x",
                                                                     "a: b",
                                                                     "\"\\x01\"",
                                                                     "\"\\u0000\"",
                                                                     "\"a\\nb\""});
    if (spans_.values.empty()) return false;
    replace(pick(spans_.values), std::string(pick(kOthers)), "value retyped");
    return true;
  }
  bool swap(const std::vector<Span>& from, std::string_view what) {
    if (from.size() < 2) return false;
    Span a = pick(from), b = pick(from);
    if (a.begin > b.begin) std::swap(a, b);
    if (a.end > b.begin) return false;  // one holds the other
    const std::string first = word(a), second = word(b);
    replace(b, first, what);
    replace(a, second, what);
    return true;
  }
  bool swap_values() { return swap(spans_.values, "values swapped"); }
  bool swap_scalars() { return swap(spans_.scalars, "values swapped"); }
  bool swap_keys() { return swap(spans_.keys, "keys swapped"); }
  bool duplicate_member() {
    if (spans_.members.empty()) return false;
    const Span member = pick(spans_.members);
    const size_t line = text_.rfind('\n', member.begin) + 1;
    const bool block = text_.find_first_not_of(' ', line) == member.begin;
    const std::string separator =
        block ? "\n" + std::string(member.begin - line, ' ') : std::string(", ");
    const std::string copy = word(member);
    const size_t colon = copy.find(':');
    const std::string other = coin() || colon == std::string::npos
                                  ? copy
                                  : copy.substr(0, colon) + "2" + copy.substr(colon);
    replace({member.end, member.end}, separator + other, "member doubled");
    return true;
  }
  // A number or duration becomes one at the edge of what it may be, or beyond.
  bool set_bound() {
    static constexpr auto kNumbers = std::to_array<std::string_view>(
        {"0", "1", "2", "-1", "0.0", "0.5", "1.0", "1e3", "255", "65536", "2147483648",
         "4294967296", "9223372036854775807", "18446744073709551615", "1000000000000",
         "99999999999999999999"});
    static constexpr auto kDurations = std::to_array<std::string_view>(
        {"0s", "1us", "1ms", "100ms", "1s", "10m", "24h", "1d", "365d", "999999999d", "-1s"});
    if (spans_.scalars.empty()) return false;
    const Span value = pick(spans_.scalars);
    const std::string was = word(value);
    if (was.empty() || was[0] < '0' || was[0] > '9') return false;
    const bool duration = was.back() < '0' || was.back() > '9';
    replace(value, std::string(duration ? pick(kDurations) : pick(kNumbers)), "bound set");
    return true;
  }
  bool shift_line() {
    const auto line = any_line();
    if (!line) return false;
    const size_t spaces = text_.find_first_not_of(' ', line->begin) - line->begin;
    const size_t wanted =
        coin() ? spaces + 1 + random_() % 2 : spaces - std::min<size_t>(spaces, 1);
    replace({line->begin, line->begin + spaces}, std::string(wanted, ' '), "line shifted");
    return true;
  }
  // Sound keys in sound places: most of these are accepted and must run.
  bool add_member() {
    static constexpr auto kMembers =
        std::to_array<std::string_view>({"batch: 1",
                                         "batch: 10000",
                                         "workers: 3",
                                         "workers: 256",
                                         "order_by: symbol",
                                         "order_by: payload",
                                         "deliveries_max: 1",
                                         "deliveries_max: 1000",
                                         "parked_max: 1",
                                         "claim_idle: 100ms",
                                         "claim_idle: 24h",
                                         "retry: { min: 1ms, max: 1ms }",
                                         "retry: { min: 24h, max: 24h }",
                                         "concurrency: 1",
                                         "concurrency: 1024",
                                         "keep: 0",
                                         "keep: 1",
                                         "trim: hard",
                                         "lag_max: 1",
                                         "unread: true",
                                         "external: true",
                                         "schema: trade_intent",
                                         "schema: ai_decision",
                                         "group: g",
                                         "clock: recorded",
                                         "clock: wall",
                                         "seed: 0",
                                         "drain_timeout: 0s",
                                         "durability: os",
                                         "durability: commit",
                                         "durability: group 1s",
                                         "account: { as: terminal, label: x }",
                                         "account: { as: milestone, label: y }",
                                         "dead_letter: dead",
                                         "dead_letter: proposals",
                                         "name: another",
                                         "policy: lua/governor.lua"});
    return insert(pick(kMembers), "member added");
  }
  bool add_setting() {
    static constexpr auto kSettings =
        std::to_array<std::string_view>({"min_confidence: 1",
                                         "position_size_usd: 0",
                                         "position_size_usd: 0.00000001",
                                         "position_size_usd: 999999999999999999",
                                         "leverage: 125",
                                         "symbols: []",
                                         "symbols: [\"\"]",
                                         "symbols: [BTCUSDT, BTCUSDT]",
                                         "symbols: [\"a b\", \"\\u00e4\"]",
                                         "kill_score_critical: 0",
                                         "kill_score_warning: 1",
                                         "critical_blocks_closes: true",
                                         "snapshot_age_max: 1s",
                                         "snapshot_wait: 0s",
                                         "snapshot_wait: 5m",
                                         "account: \"\"",
                                         "account: a/b",
                                         "account: b",
                                         "block_ttl: 1m",
                                         "ledger_ttl: 1h",
                                         "seen_ttl: 365d",
                                         "exchange: paper",
                                         "state: \"\"",
                                         "state: lua",
                                         "state: lua/apply.lua",
                                         "klines: lua",
                                         "klines: none",
                                         "seed: 0",
                                         "seed: 9223372036854775807",
                                         "filters: [\"BTCUSDT:tick=0\"]",
                                         "filters: [\"BTCUSDT:step=1000000\"]",
                                         "filters: [x]",
                                         "filters: [\"BTCUSDT:min=5:max=1\"]",
                                         "interval: 10ms",
                                         "interval: 60s",
                                         "leverage: 1",
                                         "query_wait: 1ms",
                                         "balance: 0",
                                         "fee_rate: 0.1",
                                         "slippage: 1000",
                                         "latency: 60s",
                                         "latency: 0s",
                                         "reject_rate: 1",
                                         "timeout_rate: 1",
                                         "partial_fill_rate: 1",
                                         "sync: false"});
    const std::string_view setting = pick(kSettings);
    return coin() ? insert(setting, "setting added")
                  : insert("with: { " + std::string(setting) + " }", "settings added");
  }
  // In front of a key, so that it lands in a map of the same kind.
  bool insert(std::string_view member, std::string_view what) {
    if (spans_.keys.empty()) return false;
    const size_t begin = pick(spans_.keys).begin;
    const size_t line = text_.rfind('\n', begin) + 1;
    const bool block = text_.find_first_not_of(' ', line) == begin;
    replace({begin, begin},
            std::string(member) + (block ? "\n" + std::string(begin - line, ' ') : ", "), what);
    return true;
  }

  std::string text_, text_before_;
  std::string story_, story_before_;
  std::mt19937_64 random_;
  Spans spans_;
};

}  // namespace sluice::testing
