#include "stream/mirror.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

namespace sluice::stream {

namespace {

constexpr size_t kEntriesAtOnce = 256;
constexpr size_t kKeysAtOnce = 512;

// Entries of the whole stream, and of it those that each group has still to be given.
struct Passed {
  uint64_t entries = 0;
  std::vector<uint64_t> lags;

  explicit Passed(const StreamState& stream) : lags(stream.groups.size()) {}

  void add(const StreamState& stream, const Entry& entry) {
    ++entries;
    for (size_t i = 0; i < lags.size(); ++i)
      if (entry.id > stream.groups[i].last_delivered) ++lags[i];
  }
};

std::string quoted(std::string_view text) {
  constexpr size_t kShown = 60;
  return '"' + std::string(text.substr(0, kShown)) + (text.size() > kShown ? "...\"" : "\"");
}

std::string number(uint64_t value) { return std::to_string(value); }

// Fields without an order, as a hash keeps them: the last value under a name counts.
std::map<std::string_view, std::string_view> by_name(FieldsView fields) {
  std::map<std::string_view, std::string_view> values;
  for (const FieldView& field : fields) values[field.name] = field.value;
  return values;
}

bool same_value(const KeyValue& left, const KeyValue& right) {
  if (left.is_fields != right.is_fields) return false;
  return left.bytes == right.bytes ||
         (left.is_fields && by_name(left.fields()) == by_name(right.fields()));
}

bool within(int64_t left, int64_t right, milliseconds slack) {
  return std::abs(left - right) <= slack.count();
}

}  // namespace

bool CounterState::operator==(const CounterState& other) const {
  return name == other.name && window.kind == other.window.kind &&
         window.length == other.window.length && open == other.open && total == other.total &&
         started_ms == other.started_ms && before_ms == other.before_ms &&
         reservations == other.reservations;
}

// --- Copying

namespace {

class Copier {
 public:
  Copier(MirrorReader& from, MirrorWriter* to, const MirrorProgress& progress)
      : from_(from), to_(to), progress_(progress) {}

  Result<MirrorCount> run() {
    SLUICE_ASSIGN(streams, from_.streams());
    for (const StreamState& stream : streams) SLUICE_TRY(copy_stream(stream).within(stream.name));
    SLUICE_ASSIGN(counters, from_.counters());
    count_.counters = counters.size();
    if (to_ != nullptr) SLUICE_TRY(to_->add_counters(counters));
    SLUICE_TRY(copy_keys());
    if (to_ != nullptr) SLUICE_TRY(to_->flush());
    return std::move(count_);
  }

 private:
  Status copy_stream(const StreamState& stream) {
    Passed passed(stream);
    EntryId after;
    for (;;) {
      SLUICE_ASSIGN(entries, from_.entries(stream.name, after, kEntriesAtOnce));
      if (entries.empty()) break;
      if (to_ != nullptr) SLUICE_TRY(to_->append(stream.name, entries));
      for (const Entry& entry : entries) passed.add(stream, entry);
      after = entries.back().id;
      progress_(done_ + passed.entries, 0);
    }
    done_ += passed.entries;
    StreamState whole = stream;
    whole.length = passed.entries;
    if (to_ != nullptr) SLUICE_TRY(to_->end_stream(whole));
    MirrorCount::Of& of = count_.streams.emplace_back(
        MirrorCount::Of{stream.name, passed.entries, stream.groups.size(), 0});
    for (size_t i = 0; i < whole.groups.size(); ++i) {
      GroupState& group = whole.groups[i];
      group.lag = passed.lags[i];
      SLUICE_ASSIGN(pending, from_.pending(stream.name, group.name));
      of.pending += pending.size();
      if (to_ != nullptr)
        SLUICE_TRY(to_->add_group(whole, group, pending).within("group " + group.name));
    }
    return Status::ok();
  }

  Status copy_keys() {
    SLUICE_ASSIGN(names, from_.key_names());
    for (size_t at = 0; at < names.size(); at += kKeysAtOnce) {
      const auto some = std::span(names).subspan(at, std::min(kKeysAtOnce, names.size() - at));
      SLUICE_ASSIGN(values, from_.values(some));
      std::vector<std::pair<std::string, KeyValue>> keys;
      for (size_t i = 0; i < some.size(); ++i)
        if (values[i]) keys.emplace_back(some[i], std::move(*values[i]));
      count_.keys += keys.size();
      if (to_ != nullptr) SLUICE_TRY(to_->put(keys));
      progress_(done_, count_.keys);
    }
    return Status::ok();
  }

  MirrorReader& from_;
  MirrorWriter* const to_;
  const MirrorProgress& progress_;
  MirrorCount count_;
  uint64_t done_ = 0;
};

}  // namespace

Result<MirrorCount> copy(MirrorReader& from, MirrorWriter* to, const MirrorProgress& progress) {
  return Copier(from, to, progress).run();
}

// --- Comparing

namespace {

class Comparer {
 public:
  Comparer(MirrorReader& left, MirrorReader& right, const MirrorTerms& terms,
           const MirrorProgress& progress)
      : left_(left), right_(right), terms_(terms), progress_(progress) {}

  Result<MirrorComparison> run() {
    SLUICE_ASSIGN(left, left_.streams());
    SLUICE_ASSIGN(right, right_.streams());
    std::map<std::string, std::pair<StreamState, StreamState>> streams;
    for (StreamState& stream : left) streams[stream.name].first = std::move(stream);
    for (StreamState& stream : right) streams[stream.name].second = std::move(stream);
    for (auto& [name, both] : streams) {
      both.first.name = both.second.name = name;
      SLUICE_TRY(compare_stream(both.first, both.second).within(name));
    }
    SLUICE_TRY(compare_counters());
    SLUICE_TRY(compare_keys());
    return std::move(out_);
  }

 private:
  void differ(std::string what) {
    ++out_.differences;
    if (out_.shown.size() < MirrorComparison::kShownMax) out_.shown.push_back(std::move(what));
  }

  template <typename T>
  void expect_same(const std::string& what, const T& left, const T& right) {
    if (left == right) return;
    if constexpr (std::is_same_v<T, EntryId>)
      differ(what + ": " + left.text() + " and " + right.text());
    else
      differ(what + ": " + number(left) + " and " + number(right));
  }

  Status compare_stream(const StreamState& left, const StreamState& right) {
    const std::string of = "stream " + left.name + ", ";
    expect_same(of + "last id", left.last, right.last);
    if (left.entries_added && right.entries_added)
      expect_same(of + "entries ever", *left.entries_added, *right.entries_added);
    uint64_t count = 0;
    SLUICE_TRY(compare_entries(left.name, count));
    out_.count.streams.push_back({left.name, count, left.groups.size(), 0});
    std::map<std::string, std::pair<size_t, size_t>> groups;  // numbers from 1
    for (size_t i = 0; i < left.groups.size(); ++i) groups[left.groups[i].name].first = i + 1;
    for (size_t i = 0; i < right.groups.size(); ++i) groups[right.groups[i].name].second = i + 1;
    for (const auto& [name, at] : groups) {
      const std::string what = of + "group " + name;
      if (at.first == 0 || at.second == 0) {
        differ(what + " is only on the " + (at.first == 0 ? "second" : "first"));
        continue;
      }
      const GroupState& first = left.groups[at.first - 1];
      const GroupState& second = right.groups[at.second - 1];
      expect_same(what + ", last delivered", first.last_delivered, second.last_delivered);
      SLUICE_TRY(compare_pending(left.name, name, what));
    }
    return Status::ok();
  }

  // In step by id, so that one entry that is missing is one difference.
  Status compare_entries(const std::string& stream, uint64_t& count) {
    std::vector<Entry> first, second;
    size_t i = 0, j = 0;
    EntryId first_after, second_after;
    for (;;) {
      if (i == first.size()) {
        SLUICE_ASSIGN(more, left_.entries(stream, first_after, kEntriesAtOnce));
        first = std::move(more), i = 0;
        if (!first.empty()) first_after = first.back().id;
      }
      if (j == second.size()) {
        SLUICE_ASSIGN(more, right_.entries(stream, second_after, kEntriesAtOnce));
        second = std::move(more), j = 0;
        if (!second.empty()) second_after = second.back().id;
        progress_(done_ + count, 0);
      }
      const bool has_first = i < first.size(), has_second = j < second.size();
      if (!has_first && !has_second) break;
      const bool takes_first = has_first && (!has_second || first[i].id <= second[j].id);
      const bool takes_second = has_second && (!has_first || second[j].id <= first[i].id);
      const EntryId id = takes_first ? first[i].id : second[j].id;
      const std::string what = "stream " + stream + ", entry " + id.text();
      if (takes_first != takes_second)
        differ(what + " is only on the " + (takes_first ? "first" : "second"));
      else if (first[i].fields != second[j].fields)
        differ(what + ": other fields");
      if (takes_first) ++count, ++i;
      if (takes_second) ++j;
    }
    done_ += count;
    return Status::ok();
  }

  Status compare_pending(const std::string& stream, const std::string& group,
                         const std::string& what) {
    SLUICE_ASSIGN(left, left_.pending(stream, group));
    SLUICE_ASSIGN(right, right_.pending(stream, group));
    out_.count.streams.back().pending += left.size();
    std::map<EntryId, std::pair<const PendingInfo*, const PendingInfo*>> both;
    for (const PendingInfo& pending : left) both[pending.id].first = &pending;
    for (const PendingInfo& pending : right) both[pending.id].second = &pending;
    for (const auto& [id, at] : both) {
      const std::string of = what + ", pending " + id.text();
      if (at.first == nullptr || at.second == nullptr) {
        differ(of + " is only on the " + (at.first == nullptr ? "second" : "first"));
        continue;
      }
      if (at.first->consumer != at.second->consumer)
        differ(of + ": of consumer " + at.first->consumer + " and " + at.second->consumer);
      expect_same<uint64_t>(of + ", deliveries", at.first->delivery_count,
                            at.second->delivery_count);
      const auto apart = [&](WallTime one, WallTime other) {
        return !within(to_ms(one), to_ms(other), terms_.delivery_slack);
      };
      if (apart(at.first->first_delivered_at, at.second->first_delivered_at) ||
          apart(at.first->last_delivered_at, at.second->last_delivered_at))
        differ(of + ": delivered at other times");
    }
    return Status::ok();
  }

  Status compare_counters() {
    SLUICE_ASSIGN(left, left_.counters());
    SLUICE_ASSIGN(right, right_.counters());
    out_.count.counters = left.size();
    std::map<std::string, std::pair<const CounterState*, const CounterState*>> both;
    for (const CounterState& counter : left) both[counter.name].first = &counter;
    for (const CounterState& counter : right) both[counter.name].second = &counter;
    for (const auto& [name, at] : both) {
      if (at.first != nullptr && at.second != nullptr) {
        if (*at.first != *at.second && !both_forgotten(*at.first, *at.second))
          differ("counter " + name + ": other window or amounts");
        continue;
      }
      const CounterState& only = at.first == nullptr ? *at.second : *at.first;
      if (!is_forgotten(only))
        differ("counter " + name + " is only on the " + (at.first == nullptr ? "second" : "first"));
    }
    return Status::ok();
  }

  // Time may have ended the window between two looks.
  bool is_forgotten(const CounterState& counter) const {
    const int64_t length = counter.window.length.count(), now = to_ms(terms_.now());
    if (length <= 0) return false;
    if (counter.window.kind == WindowKind::kFixed)
      return now - counter.started_ms >= (counter.open ? length : 2 * length);
    return counter.reservations.empty() || now - counter.reservations.back().made_ms >= length;
  }

  bool both_forgotten(const CounterState& left, const CounterState& right) const {
    if (left.window.kind != right.window.kind || left.window.length != right.window.length)
      return false;
    if (left.window.kind == WindowKind::kFixed)
      return left.started_ms == right.started_ms && left.open != right.open &&
             is_forgotten(left.open ? left : right);
    // The older ones of one side are forgotten, the rest is the same.
    const auto& longer = left.reservations.size() > right.reservations.size() ? left : right;
    const auto& shorter = &longer == &left ? right : left;
    const size_t gone = longer.reservations.size() - shorter.reservations.size();
    CounterState rest = longer;
    rest.reservations.resize(gone);
    if (gone > 0 && !is_forgotten(rest)) return false;
    return std::equal(shorter.reservations.begin(), shorter.reservations.end(),
                      longer.reservations.begin() + static_cast<std::ptrdiff_t>(gone));
  }

  Status compare_keys() {
    SLUICE_ASSIGN(names, left_.key_names());
    SLUICE_ASSIGN(others, right_.key_names());
    names.insert(names.end(), std::make_move_iterator(others.begin()),
                 std::make_move_iterator(others.end()));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (size_t at = 0; at < names.size(); at += kKeysAtOnce) {
      const auto some = std::span(names).subspan(at, std::min(kKeysAtOnce, names.size() - at));
      SLUICE_ASSIGN(left, left_.values(some));
      SLUICE_ASSIGN(right, right_.values(some));
      const int64_t now = to_ms(terms_.now());
      for (size_t i = 0; i < some.size(); ++i) compare_key(some[i], left[i], right[i], now);
      progress_(done_, out_.count.keys);
    }
    return Status::ok();
  }

  void compare_key(const std::string& name, const std::optional<KeyValue>& left,
                   const std::optional<KeyValue>& right, int64_t now_ms) {
    if (left) ++out_.count.keys;
    if (!left && !right) return;
    if (!left || !right) {
      const int64_t expires = left ? left->expires_ms : right->expires_ms;
      if (expires != 0 && expires <= now_ms) return;
      differ("key " + name + " is only on the " + (left ? "first" : "second"));
      return;
    }
    if (!same_value(*left, *right))
      differ(
          "key " + name + ": " + (left->is_fields ? "fields" : quoted(left->bytes)) + " and " +
          (right->is_fields ? left->is_fields ? "other fields" : "fields" : quoted(right->bytes)));
    else if ((left->expires_ms == 0) != (right->expires_ms == 0) ||
             !within(left->expires_ms, right->expires_ms, terms_.deadline_slack))
      differ("key " + name + " expires at " + std::to_string(left->expires_ms) + " and " +
             std::to_string(right->expires_ms) + " ms (0: never)");
  }

  MirrorReader& left_;
  MirrorReader& right_;
  const MirrorTerms& terms_;
  const MirrorProgress& progress_;
  MirrorComparison out_;
  uint64_t done_ = 0;
};

}  // namespace

Result<MirrorComparison> compare(MirrorReader& left, MirrorReader& right, const MirrorTerms& terms,
                                 const MirrorProgress& progress) {
  return Comparer(left, right, terms, progress).run();
}

}  // namespace sluice::stream
