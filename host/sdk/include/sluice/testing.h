// Runs a stage class without a host: keys, counters and time in memory, through the real C shim.
//
//   sluice::testing::FakeHost<Router> host({{"min_confidence", "0.5"}});
//   host.store().put("quantum:kill", "0");
//   const auto ran = host.deliver({{"payload", "{}"}});
//   EXPECT_EQ(ran.verdict, SLUICE_REJECT);
//
// Several stages can share one FakeStore, so a chain of stages is tested like one stage is. Units
// are applied as an engine does it: conditions in order, whole or not at all, and a stage whose
// condition failed is called once more and told so, until the same one fails twice.
//
// The harness holds a stage to its own description: touching a key, port, hook, argument, setting,
// metric or reject reason that the class does not describe throws std::logic_error out of the call
// that ran it. It needs no test framework. Threads: none of it is safe from two threads.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "sluice/plugin.h"

namespace sluice::testing {

// One condition of a unit. `kind` is a sluice_condition; the other fields as in the C table.
struct Condition {
  uint32_t kind = 0;
  std::string key, value;
  int64_t ttl_us = 0;
  int64_t amount = 0, limit = 0;
  uint32_t window_kind = 0;
  int64_t window_us = 0;
};

// One effect of a unit, in the order the stage declared them.
struct Effect {
  enum class Kind { kEmit, kPut, kPutFields, kErase, kRelease };
  Kind kind = Kind::kEmit;
  std::string name;   // port, key or counter
  std::string value;  // kPut
  Record fields;      // kEmit, kPutFields
  int64_t ttl_us = 0;
  int64_t amount = 0, reserved_at_us = 0;  // kRelease
};

// One thing said of one metric.
struct Measure {
  enum class Kind { kCount, kGauge, kReserved };
  Kind kind = Kind::kCount;
  std::string series;  // as on a page: name{label="value",...}, labels as described
  double value = 0;
  std::string counter;  // kReserved
};

// Which condition did not hold, and what it met.
struct Failed {
  size_t index = 0;
  uint32_t kind = 0;
  std::string key;
  bool met_present = false;
  std::string met_text;
  int64_t met_count = 0;
  int64_t met_until_us = 0;
};

// How an entry is delivered. Times in microseconds since the epoch.
struct Delivery {
  std::string input;  // empty: the first input port
  std::string id = "1000-0";
  uint32_t delivery_count = 1;
  int64_t first_delivered_us = -1;  // -1: now
};

// What one call of `process`, `settle` or `poll` came to.
struct Ran {
  int32_t verdict = SLUICE_FAILED;  // sluice_verdict; for `poll`, sluice_poll
  std::string reason, detail;       // of reject, retry; "policy_error" when a policy failed
  bool applied = false;             // conditions held and effects were done
  std::vector<Condition> conditions;
  std::vector<Effect> effects;
  std::vector<Measure> measures;
  std::vector<Failed> failures;  // one for each call whose unit was not applied
  std::vector<std::string> wait_keys;
  int64_t wait_until_us = 0, retry_after_us = 0;
  std::string act_key;  // idempotency key
  Record act_request;
  std::vector<std::string> log;

  Record entry;  // what was delivered, for `settle`
  Delivery delivery;

  // Records emitted on `port`.
  std::vector<Record> emitted(std::string_view port) const {
    std::vector<Record> records;
    for (const Effect& effect : effects) {
      if (effect.kind == Effect::Kind::kEmit && effect.name == port)
        records.push_back(effect.fields);
    }
    return records;
  }
  const Effect* find_effect(Effect::Kind kind, std::string_view name) const {
    for (const Effect& effect : effects) {
      if (effect.kind == kind && effect.name == name) return &effect;
    }
    return nullptr;
  }
  const Condition* find_condition(uint32_t kind, std::string_view key) const {
    for (const Condition& condition : conditions) {
      if (condition.kind == kind && condition.key == key) return &condition;
    }
    return nullptr;
  }
};

// What one call of `act` came to.
struct Acted {
  int32_t code = SLUICE_ACT_FAILED;  // sluice_act
  Record outcome;
  int64_t retry_after_us = 0;
  std::string error;
};

// Keys with expiry, counters with windows, emitted records and a clock that stands still.
class FakeStore {
 public:
  struct Stored {
    bool is_fields = false;
    std::string text;
    Record fields;
    int64_t expires_us = 0;  // 0: never
  };

  int64_t now_us = 1'700'000'000'000'000;
  uint64_t random_state = 1;
  std::map<std::string, std::vector<Record>> streams;  // by port name, applied units only

  void advance(Duration by) { now_us += by.count(); }
  void set_now(Time time) { now_us = detail::us(time); }
  Time now() const { return detail::time_from(now_us); }

  void put(std::string_view key, std::string_view text, Duration ttl = Duration(0)) {
    keys_[std::string(key)] = Stored{false, std::string(text), {}, expiry(ttl.count())};
  }
  void put(std::string_view key, const char* text, Duration ttl = Duration(0)) {
    put(key, std::string_view(text), ttl);
  }
  void put(std::string_view key, const Record& fields, Duration ttl = Duration(0)) {
    keys_[std::string(key)] = Stored{true, {}, fields, expiry(ttl.count())};
  }
  void erase(std::string_view key) { keys_.erase(std::string(key)); }

  // The live value, or nullptr.
  const Stored* find(std::string_view key) const {
    const auto found = keys_.find(std::string(key));
    if (found == keys_.end()) return nullptr;
    const int64_t expires = found->second.expires_us;
    return expires != 0 && expires <= now_us ? nullptr : &found->second;
  }
  bool has(std::string_view key) const { return find(key) != nullptr; }
  std::string text(std::string_view key) const {
    const Stored* stored = find(key);
    return stored == nullptr ? std::string() : stored->text;
  }
  std::string field(std::string_view key, std::string_view name) const {
    const Stored* stored = find(key);
    return stored == nullptr ? std::string() : std::string(stored->fields.find(name).value_or(""));
  }
  // Time left in microseconds; 0 when there is no such key or it never expires.
  int64_t ttl_us(std::string_view key) const {
    const Stored* stored = find(key);
    return stored == nullptr || stored->expires_us == 0 ? 0 : stored->expires_us - now_us;
  }

  // What is reserved under `name` now.
  int64_t counter(std::string_view name) const {
    const auto found = counters_.find(std::string(name));
    if (found == counters_.end()) return 0;
    int64_t sum = 0;
    for (const Share& share : found->second.shares) {
      if (alive(found->second, share)) sum += share.amount;
    }
    return sum;
  }

  // Applies a unit whole, or says which condition failed. `shown` is what `get` answered in the
  // call, for `unchanged`.
  std::optional<Failed> apply(const std::vector<Condition>& conditions,
                              const std::vector<Effect>& effects,
                              const std::map<std::string, std::optional<Stored>>& shown) {
    // Conditions of one unit see each other's reservations, so they are tried on a copy.
    FakeStore trial = *this;
    for (size_t i = 0; i < conditions.size(); ++i) {
      if (auto failed = trial.hold(conditions[i], shown)) {
        failed->index = i;
        return failed;
      }
    }
    for (const Effect& effect : effects) trial.perform(effect);
    *this = std::move(trial);
    return std::nullopt;
  }

 private:
  struct Share {
    int64_t at_us = 0, amount = 0;
  };
  struct Counter {
    uint32_t kind = SLUICE_WINDOW_FIXED;
    int64_t window_us = 0;
    std::vector<Share> shares;
  };

  int64_t expiry(int64_t ttl) const { return ttl == 0 ? 0 : now_us + ttl; }

  bool alive(const Counter& counter, const Share& share) const {
    if (counter.window_us == 0) return true;
    const int64_t start =
        counter.kind == SLUICE_WINDOW_FIXED ? counter.shares.front().at_us : share.at_us;
    return now_us < start + counter.window_us;
  }

  static bool same(const Stored* have, const std::optional<Stored>& want) {
    if (have == nullptr || !want) return have == nullptr && !want;
    return have->is_fields == want->is_fields && have->text == want->text &&
           have->fields.fields() == want->fields.fields();
  }

  std::optional<Failed> hold(const Condition& condition,
                             const std::map<std::string, std::optional<Stored>>& shown) {
    const Stored* have = find(condition.key);
    Failed failed{0,
                  condition.kind,
                  condition.key,
                  have != nullptr,
                  have == nullptr ? std::string() : have->text,
                  0};
    switch (condition.kind) {
      case SLUICE_CLAIM:
        if (have != nullptr) return failed;
        put(condition.key, condition.value, Duration(condition.ttl_us));
        return std::nullopt;
      case SLUICE_TAKE:
        if (have == nullptr) return failed;
        erase(condition.key);
        return std::nullopt;
      case SLUICE_UNCHANGED: {
        const auto seen = shown.find(condition.key);
        if (seen == shown.end())
          throw std::logic_error("unchanged(" + condition.key + ") without get in this call");
        if (!same(have, seen->second)) return failed;
        return std::nullopt;
      }
      default:
        break;
    }
    const int64_t count = counter(condition.key);
    failed.met_count = count;
    if (condition.amount < 0 || count > condition.limit - condition.amount) {
      // The oldest share goes first; with amounts of one that is when there is room.
      const Counter& full = counters_[condition.key];
      if (condition.amount <= condition.limit && !full.shares.empty())
        failed.met_until_us = full.shares.front().at_us + condition.window_us;
      return failed;
    }
    Counter& entry = counters_[condition.key];
    entry.kind = condition.window_kind;
    entry.window_us = condition.window_us;
    std::erase_if(entry.shares, [&](const Share& share) { return !alive(entry, share); });
    entry.shares.push_back({now_us, condition.amount});
    return std::nullopt;
  }

  void perform(const Effect& effect) {
    switch (effect.kind) {
      case Effect::Kind::kEmit:
        streams[effect.name].push_back(effect.fields);
        break;
      case Effect::Kind::kPut:
        put(effect.name, effect.value, Duration(effect.ttl_us));
        break;
      case Effect::Kind::kPutFields:
        put(effect.name, effect.fields, Duration(effect.ttl_us));
        break;
      case Effect::Kind::kErase:
        erase(effect.name);
        break;
      case Effect::Kind::kRelease:
        give_back(effect);
        break;
    }
  }

  void give_back(const Effect& effect) {
    const auto found = counters_.find(effect.name);
    if (found == counters_.end()) return;
    int64_t rest = effect.amount;
    for (Share& share : found->second.shares) {
      const bool mine = found->second.kind == SLUICE_WINDOW_FIXED
                            ? effect.reserved_at_us >= found->second.shares.front().at_us
                            : share.at_us == effect.reserved_at_us;
      if (!mine || !alive(found->second, share)) continue;
      const int64_t part = std::min(rest, share.amount);
      share.amount -= part;
      rest -= part;
    }
  }

  std::map<std::string, Stored> keys_;
  std::map<std::string, Counter> counters_;
};

namespace detail {

// Text as written in a pipeline file -> value. Texts and lists live in `texts` and `lists`.
class Values {
 public:
  sluice_value parse(const sluice_param& param, const std::string& text) {
    sluice_value value{};
    value.type = param.type;
    const std::string& kept = texts_.emplace_back(text);
    switch (param.type) {
      case SLUICE_TEXT:
      case SLUICE_DECIMAL:
        value.text = sluice::detail::raw(kept);
        break;
      case SLUICE_INTEGER:
        value.integer = std::strtoll(text.c_str(), nullptr, 10);
        break;
      case SLUICE_NUMBER:
        value.number = std::strtod(text.c_str(), nullptr);
        break;
      case SLUICE_BOOLEAN:
        value.integer = text == "true" ? 1 : 0;
        break;
      case SLUICE_DURATION:
        value.integer = duration(text);
        break;
      case SLUICE_LIST: {
        std::vector<sluice_text>& items = lists_.emplace_back();
        for (const std::string& item : split(text))
          items.push_back(sluice::detail::raw(texts_.emplace_back(item)));
        value.items = items.data();
        value.count = items.size();
        break;
      }
      default:
        throw std::logic_error(std::string("type of ") + param.name);
    }
    return value;
  }

 private:
  static int64_t duration(const std::string& text) {
    int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, number);
    const std::string unit(rest, end);
    static const std::map<std::string, int64_t> kUnits = {{"us", 1},
                                                          {"ms", 1'000},
                                                          {"s", 1'000'000},
                                                          {"m", 60'000'000},
                                                          {"h", 3'600'000'000},
                                                          {"d", 86'400'000'000},
                                                          {"", 1}};
    const auto found = kUnits.find(unit);
    if (error != std::errc() || found == kUnits.end() || (unit.empty() && number != 0))
      throw std::logic_error("not a duration: " + text);
    return number * found->second;
  }

  static std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> items;
    std::string item;
    for (const char c : text) {
      if (c == ',' || c == '[' || c == ']' || c == ' ') {
        if (!item.empty()) items.push_back(item);
        item.clear();
      } else {
        item += c;
      }
    }
    if (!item.empty()) items.push_back(item);
    return items;
  }

  std::deque<std::string> texts_;
  std::deque<std::vector<sluice_text>> lists_;
};

// "a:{x}:b" matches "a:", one or more characters, ":b".
inline bool matches(std::string_view pattern, std::string_view key) {
  if (pattern.empty()) return key.empty();
  if (pattern.front() == '{') {
    const std::string_view rest = pattern.substr(pattern.find('}') + 1);
    for (size_t i = 1; i <= key.size(); ++i) {
      if (matches(rest, key.substr(i))) return true;
    }
    return false;
  }
  return !key.empty() && key.front() == pattern.front() &&
         matches(pattern.substr(1), key.substr(1));
}

inline bool listed(const char* const* names, std::string_view name) {
  if (names == nullptr) return true;
  for (; *names != nullptr; ++names) {
    if (name == *names) return true;
  }
  return false;
}

}  // namespace detail

// One stage under test. `settings` are texts as in a pipeline file; the rest take their defaults.
class FakeHostBase {
 public:
  // Names and texts. Only the list form is taken: a map made of two iterators would make
  // FakeHost({{"name", "text"}}) ambiguous.
  struct Texts : std::map<std::string, std::string, std::less<>> {
    Texts() = default;
    Texts(std::initializer_list<value_type> texts) : map(texts) {}
  };

  FakeHostBase(const sluice_kind& kind, FakeStore* store, const Texts& settings)
      : kind_(kind), store_(store == nullptr ? &own_store_ : store) {
    for (const auto& [name, text] : settings) {
      if (find_param(name) == nullptr) throw std::logic_error("setting not described: " + name);
    }
    for (size_t i = 0; i < kind_.setting_count; ++i) {
      const sluice_param& param = kind_.settings[i];
      const auto given = settings.find(param.name);
      if (given == settings.end() && param.default_text == nullptr)
        throw std::logic_error(std::string("setting without default: ") + param.name);
      settings_[param.name] =
          values_.parse(param, given == settings.end() ? param.default_text : given->second);
    }
    sluice_settings raw{sizeof(sluice_settings), this,     &get_setting, text_of("stage"),
                        text_of("pipeline"),     &complain};
    if (kind_.check != nullptr && kind_.check(&raw) != 0)
      throw SettingError(complaint_setting_, complaint_);
    if (kind_.open(&raw, &instance_) != 0) throw SettingError(complaint_setting_, complaint_);
  }
  ~FakeHostBase() { kind_.close(instance_); }
  FakeHostBase(const FakeHostBase&) = delete;
  FakeHostBase& operator=(const FakeHostBase&) = delete;

  FakeStore& store() { return *store_; }

  // What a series shows after the units applied and entries rejected so far, such as
  // `plans_total{symbol="BTCUSDT"}`; 0 for one nothing was said of.
  double metric(const std::string& series) const {
    const auto found = metrics_.find(series);
    if (found == metrics_.end()) return 0;
    const Measure& last = found->second;
    return last.kind == Measure::Kind::kReserved
               ? static_cast<double>(store_->counter(last.counter))
               : last.value;
  }

  // Answers of hooks, one text for each result; a hook that is not here answers its defaults.
  std::map<std::string, std::vector<std::string>> policy;
  std::set<std::string> policy_fails;  // hooks that fail
  std::string policy_version = "test.lua@0";
  std::map<std::string, Texts> policy_args;  // arguments of the last call of each hook
  bool apply = true;                         // false: look at the unit without doing it
  bool slow_keys = false;               // true: the first `get` of each key is still on its way
  std::function<void()> before_commit;  // runs once, between the call and its commit (races)

  Ran deliver(const Record& entry, const Delivery& delivery = {}) {
    Ran ran;
    ran.entry = entry;
    ran.delivery = delivery;
    run_unit(ran, kind_.process);
    return ran;
  }

  // `ran` is what `deliver` gave; its verdict was SLUICE_ACT.
  Acted act(const Ran& ran, bool recovered = false) {
    Ran scratch;
    scratch.entry = ran.entry;
    scratch.delivery = ran.delivery;
    Frame frame(*this, scratch);
    frame.request = &ran.act_request;
    frame.act_key = ran.act_key;
    frame.recovered = recovered;
    const sluice_call call{&table(), &frame};
    Acted acted;
    acted.code = kind_.act(instance_, &call);
    acted.outcome = frame.outcome;
    acted.retry_after_us = scratch.retry_after_us;
    acted.error = scratch.detail;
    complain_about_problems(frame);
    return acted;
  }

  Ran settle(const Ran& ran, const Record& outcome) {
    Ran settled;
    settled.entry = ran.entry;
    settled.delivery = ran.delivery;
    run_unit(settled, kind_.settle, &ran, &outcome);
    return settled;
  }

  Ran poll() {
    Ran ran;
    Frame frame(*this, ran);
    const sluice_call call{&table(), &frame};
    ran.verdict = kind_.poll(instance_, &call);
    complain_about_problems(frame);
    if (ran.verdict != SLUICE_POLL_FAILED && commit(ran, frame)) add_up(ran);
    return ran;
  }

 private:
  using Stored = FakeStore::Stored;

  // One call of the plugin.
  struct Frame {
    Frame(FakeHostBase& host_in, Ran& ran_in) : host(host_in), ran(ran_in) {}
    FakeHostBase& host;
    Ran& ran;
    const Record* request = nullptr;
    const Record* given_outcome = nullptr;
    std::string act_key;
    bool recovered = false;
    Record outcome;
    const Failed* failure = nullptr;
    std::map<std::string, std::optional<Stored>> shown;
    std::set<std::string> arrived;  // slow_keys: values that may be read now
    std::deque<std::string> texts;
    detail::Values values;
    std::vector<std::string> problems;
    bool policy_failed = false;
  };

  void run_unit(Ran& ran, int32_t (*function)(void*, const sluice_call*) noexcept,
                const Ran* acted = nullptr, const Record* outcome = nullptr) {
    std::set<std::string> arrived;
    std::deque<Failed> failures;
    for (;;) {
      Frame frame(*this, ran);
      frame.arrived = arrived;
      if (!failures.empty()) frame.failure = &failures.back();
      if (acted != nullptr) {
        frame.request = &acted->act_request;
        frame.act_key = acted->act_key;
        frame.given_outcome = outcome;
      }
      ran.conditions.clear();
      ran.effects.clear();
      ran.measures.clear();
      ran.reason.clear();
      ran.detail.clear();
      const sluice_call call{&table(), &frame};
      ran.verdict = function(instance_, &call);
      complain_about_problems(frame);
      if (ran.verdict == SLUICE_AGAIN) {
        arrived = frame.arrived;
        continue;
      }
      if (frame.policy_failed) {
        ran.verdict = SLUICE_REJECT;
        ran.reason = "policy_error";
      } else if (ran.verdict == SLUICE_REJECT && !detail::listed(kind_.reasons, ran.reason)) {
        throw std::logic_error("reject reason not described: " + ran.reason);
      }
      if (ran.verdict == SLUICE_REJECT && !frame.policy_failed) add_up(ran);
      if (ran.verdict != SLUICE_ACK && ran.verdict != SLUICE_ACT) return;
      if (!apply) return;
      if (commit(ran, frame)) return add_up(ran);
      const Failed& failed = ran.failures.back();
      if (std::any_of(failures.begin(), failures.end(), [&failed](const Failed& earlier) {
            return earlier.kind == failed.kind && earlier.key == failed.key;
          })) {
        ran.verdict = SLUICE_REJECT;
        ran.reason = "condition_failed_twice";
        return;
      }
      failures.push_back(failed);
    }
  }

  bool commit(Ran& ran, const Frame& frame) {
    if (before_commit) std::exchange(before_commit, nullptr)();
    auto failed = store_->apply(ran.conditions, ran.effects, frame.shown);
    if (failed) {
      ran.failures.push_back(*failed);
      return false;
    }
    ran.applied = true;
    return true;
  }

  void add_up(const Ran& ran) {
    for (const Measure& measure : ran.measures) {
      Measure& total = metrics_[measure.series];
      const double before = total.value;
      total = measure;
      if (measure.kind == Measure::Kind::kCount) total.value += before;
    }
  }

  void complain_about_problems(const Frame& frame) const {
    if (!frame.problems.empty()) throw std::logic_error(frame.problems.front());
  }

  const sluice_param* find_param(std::string_view name) const {
    for (size_t i = 0; i < kind_.setting_count; ++i) {
      if (name == kind_.settings[i].name) return &kind_.settings[i];
    }
    return nullptr;
  }

  static sluice_text text_of(std::string_view text) { return sluice::detail::raw(text); }
  static std::string string_of(sluice_text text) { return std::string(sluice::detail::view(text)); }
  static Frame& at(void* call) { return *static_cast<Frame*>(call); }

  static int32_t get_setting(void* context, sluice_text name, sluice_value* out) {
    const auto& settings = static_cast<FakeHostBase*>(context)->settings_;
    const auto found = settings.find(string_of(name));
    if (found == settings.end()) return 0;
    *out = found->second;
    return 1;
  }
  static void complain(void* context, sluice_text setting, sluice_text text) {
    auto* host = static_cast<FakeHostBase*>(context);
    host->complaint_setting_ = string_of(setting);
    host->complaint_ = string_of(text);
  }

  // One of the bits in `access` will do.
  static void touch(Frame& frame, std::string_view key, uint32_t access) {
    const sluice_kind& kind = frame.host.kind_;
    for (size_t i = 0; i < kind.key_count; ++i) {
      if ((kind.keys[i].access & access) != 0 && detail::matches(kind.keys[i].pattern, key)) return;
    }
    frame.problems.push_back("key not described: " + std::string(key));
  }

  static int32_t find_in(const Record* record, sluice_text name, sluice_text* out) {
    if (record == nullptr) return 0;
    const auto value = record->find(sluice::detail::view(name));
    if (!value) return 0;
    *out = text_of(*value);
    return 1;
  }

  static int32_t get(void* call, sluice_text key, sluice_text* out) {
    Frame& frame = at(call);
    const std::string name = string_of(key);
    touch(frame, name, SLUICE_KEY_READS);
    if (frame.host.slow_keys && frame.arrived.insert(name).second) return SLUICE_GET_PENDING;
    auto [shown, first] = frame.shown.try_emplace(name);
    if (first) {
      const Stored* stored = frame.host.store_->find(name);
      if (stored != nullptr) shown->second = *stored;
    }
    if (!shown->second) return SLUICE_GET_ABSENT;
    if (shown->second->is_fields) return SLUICE_GET_FIELDS;
    *out = text_of(shown->second->text);
    return SLUICE_GET_TEXT;
  }

  static int32_t get_field(void* call, sluice_text key, sluice_text name, sluice_text* out) {
    const auto shown = at(call).shown.find(string_of(key));
    if (shown == at(call).shown.end() || !shown->second || !shown->second->is_fields) return 0;
    return find_in(&shown->second->fields, name, out);
  }

  static const sluice_hook* find_hook(const sluice_kind& kind, std::string_view name) {
    for (size_t i = 0; i < kind.hook_count; ++i) {
      if (name == kind.hooks[i].name) return &kind.hooks[i];
    }
    return nullptr;
  }

  static std::string shown_text(const sluice_value& value) {
    switch (value.type) {
      case SLUICE_TEXT:
      case SLUICE_DECIMAL:
        return string_of(value.text);
      case SLUICE_NUMBER:
        return std::to_string(value.number);
      default:
        return std::to_string(value.integer);
    }
  }

  static void note_args(Frame& frame, const sluice_hook& hook, const sluice_value* args,
                        size_t count) {
    if (count != hook.arg_count)
      frame.problems.push_back(std::string("number of arguments of hook ") + hook.name);
    Texts& seen = frame.host.policy_args[hook.name];
    seen.clear();
    for (size_t i = 0; i < std::min(count, hook.arg_count); ++i) {
      const sluice_arg& arg = hook.args[i];
      if (args[i].type != arg.type)
        frame.problems.push_back(std::string("type of argument ") + arg.name + " of " + hook.name);
      if (args[i].type != SLUICE_RECORD) {
        seen[arg.name] = shown_text(args[i]);
        continue;
      }
      const auto* members = static_cast<const sluice_member*>(args[i].items);
      for (size_t m = 0; m < args[i].count; ++m) {
        const std::string name = string_of(members[m].name);
        if (!detail::listed(arg.fields, name))
          frame.problems.push_back("field " + name + " of hook " + hook.name + " not described");
        seen[name] = shown_text(members[m].value);
      }
    }
  }

  static int32_t ask_policy(void* call, sluice_text name, const sluice_value* args,
                            size_t arg_count, sluice_value* results, size_t result_count) {
    Frame& frame = at(call);
    const sluice_hook* hook = find_hook(frame.host.kind_, sluice::detail::view(name));
    if (hook == nullptr || hook->result_count != result_count) {
      frame.problems.push_back("hook not described so: " + string_of(name));
      return -1;
    }
    note_args(frame, *hook, args, arg_count);
    if (frame.host.policy_fails.contains(hook->name)) {
      frame.policy_failed = true;
      return -1;
    }
    const auto given = frame.host.policy.find(hook->name);
    for (size_t i = 0; i < result_count; ++i) {
      const bool own = given != frame.host.policy.end();
      results[i] = frame.values.parse(
          hook->results[i], own ? given->second.at(i) : std::string(hook->results[i].default_text));
    }
    return 0;
  }

  static void add_condition(void* call, Condition condition) {
    uint32_t access = SLUICE_KEY_READS;
    if (condition.kind == SLUICE_RESERVE) access = SLUICE_KEY_COUNTER;
    if (condition.kind == SLUICE_CLAIM) access = SLUICE_KEY_WRITES;
    if (condition.kind == SLUICE_TAKE) access = SLUICE_KEY_WRITES | SLUICE_KEY_TAKES;
    touch(at(call), condition.key, access);
    at(call).ran.conditions.push_back(std::move(condition));
  }
  static void add_effect(void* call, Effect effect) {
    if (effect.kind != Effect::Kind::kEmit)
      touch(at(call), effect.name,
            effect.kind == Effect::Kind::kRelease ? SLUICE_KEY_COUNTER : SLUICE_KEY_WRITES);
    at(call).ran.effects.push_back(std::move(effect));
  }

  static Record record_of(const sluice_field* fields, size_t count) {
    Record record;
    for (size_t i = 0; i < count; ++i)
      record.add(sluice::detail::view(fields[i].name), sluice::detail::view(fields[i].value));
    return record;
  }

  static int32_t emit(void* call, sluice_text port, const sluice_field* fields, size_t count) {
    Frame& frame = at(call);
    const sluice_kind& kind = frame.host.kind_;
    const std::string name = string_of(port);
    for (size_t i = 0; i < kind.output_count; ++i) {
      const sluice_port& output = kind.outputs[i];
      if (name != output.name && (output.flags & SLUICE_PORT_MANY) == 0) continue;
      Effect effect{.kind = Effect::Kind::kEmit, .name = name, .fields = record_of(fields, count)};
      for (const char* const* need = output.fields; need != nullptr && *need != nullptr; ++need) {
        if (!effect.fields.find(*need))
          frame.problems.push_back(std::string("field ") + *need + " not written on " + name);
      }
      add_effect(call, std::move(effect));
      return 0;
    }
    frame.problems.push_back("port not described: " + name);
    return -1;
  }

  static const sluice_metric* find_metric(const sluice_kind& kind, std::string_view name) {
    for (size_t i = 0; i < kind.metric_count; ++i) {
      if (name == kind.metrics[i].name) return &kind.metrics[i];
    }
    return nullptr;
  }

  static void measure(void* call, Measure::Kind kind, sluice_text name, const sluice_field* labels,
                      size_t count, double value, std::string counter = {}) {
    Frame& frame = at(call);
    const std::string text = string_of(name);
    const sluice_metric* metric = find_metric(frame.host.kind_, text);
    const bool counts = kind == Measure::Kind::kCount;
    if (metric == nullptr || counts != (metric->type == SLUICE_COUNTER) || (counts && value < 0)) {
      frame.problems.push_back("metric not described so: " + text);
      return;
    }
    const Record given = record_of(labels, count);
    size_t described = 0;
    std::string list;
    for (const char* const* label = metric->labels; label != nullptr && *label != nullptr;
         ++label, ++described) {
      const auto of_label = given.find(*label);
      if (!of_label) frame.problems.push_back("metric " + text + " without label " + *label);
      list += (list.empty() ? "" : ",") + std::string(*label) + "=\"" +
              std::string(of_label.value_or("")) + "\"";
    }
    if (described != count)
      frame.problems.push_back("metric " + text + " with labels not described");
    frame.ran.measures.push_back(
        {kind, list.empty() ? text : text + "{" + list + "}", value, std::move(counter)});
  }

  static const void* extension(void*, const char* id) {
    static const sluice_metrics kMetrics{
        sizeof(sluice_metrics),
        [](void* call, sluice_text name, const sluice_field* labels, size_t count, double amount) {
          measure(call, Measure::Kind::kCount, name, labels, count, amount);
        },
        [](void* call, sluice_text name, const sluice_field* labels, size_t count, double value) {
          measure(call, Measure::Kind::kGauge, name, labels, count, value);
        },
        [](void* call, sluice_text name, const sluice_field* labels, size_t count,
           sluice_text counter) {
          measure(call, Measure::Kind::kReserved, name, labels, count, 0, string_of(counter));
        }};
    return std::string_view(id) == SLUICE_METRICS_EXTENSION ? &kMetrics : nullptr;
  }

  static const sluice_host& table() {
    static const sluice_host kTable = make_table();
    return kTable;
  }

  static sluice_host make_table() {
    sluice_host host{};
    host.struct_size = sizeof(sluice_host);
    host.abi_minor = SLUICE_ABI_MINOR;
    fill_entry(host);
    fill_unit(host);
    fill_world(host);
    host.extension = &extension;
    return host;
  }

  static void fill_entry(sluice_host& host) {
    host.now_us = [](void* call) { return at(call).host.store_->now_us; };
    host.input = [](void* call) {
      Frame& frame = at(call);
      const std::string& input = frame.ran.delivery.input;
      return input.empty() ? text_of(frame.host.kind_.inputs[0].name) : text_of(input);
    };
    host.entry_id = [](void* call) { return text_of(at(call).ran.delivery.id); };
    host.delivery_count = [](void* call) { return at(call).ran.delivery.delivery_count; };
    host.first_delivered_us = [](void* call) {
      const int64_t given = at(call).ran.delivery.first_delivered_us;
      return given < 0 ? at(call).host.store_->now_us : given;
    };
    host.field_count = [](void* call) { return at(call).ran.entry.fields().size(); };
    host.field_at = [](void* call, size_t index, sluice_field* out) -> int32_t {
      const auto& fields = at(call).ran.entry.fields();
      if (index >= fields.size()) return 0;
      *out = {text_of(fields[index].first), text_of(fields[index].second)};
      return 1;
    };
    host.field = [](void* call, sluice_text name, sluice_text* out) {
      return find_in(&at(call).ran.entry, name, out);
    };
    host.get = &get;
    host.get_field = &get_field;
    host.policy = &ask_policy;
    host.policy_version = [](void* call) { return text_of(at(call).host.policy_version); };
  }

  static void fill_unit(sluice_host& host) {
    host.claim = [](void* call, sluice_text key, sluice_text value, int64_t ttl) {
      add_condition(call, {SLUICE_CLAIM, string_of(key), string_of(value), ttl, 0, 0, 0, 0});
    };
    host.take = [](void* call, sluice_text key) {
      add_condition(call, {SLUICE_TAKE, string_of(key), "", 0, 0, 0, 0, 0});
    };
    host.reserve = [](void* call, sluice_text counter, int64_t amount, int64_t limit,
                      uint32_t window_kind, int64_t window) {
      add_condition(
          call, {SLUICE_RESERVE, string_of(counter), "", 0, amount, limit, window_kind, window});
    };
    host.unchanged = [](void* call, sluice_text key) {
      add_condition(call, {SLUICE_UNCHANGED, string_of(key), "", 0, 0, 0, 0, 0});
    };
    host.failure = [](void* call, sluice_failure* out) -> int32_t {
      const Failed* failed = at(call).failure;
      if (failed == nullptr) return 0;
      *out = {failed->kind,         failed->met_present ? 1u : 0u,
              text_of(failed->key), text_of(failed->met_text),
              failed->met_count,    failed->met_until_us};
      return 1;
    };
    host.emit = &emit;
    host.put = [](void* call, sluice_text key, sluice_text value, int64_t ttl) {
      add_effect(call, {.kind = Effect::Kind::kPut,
                        .name = string_of(key),
                        .value = string_of(value),
                        .ttl_us = ttl});
    };
    host.put_fields = [](void* call, sluice_text key, const sluice_field* fields, size_t count,
                         int64_t ttl) {
      add_effect(call, {.kind = Effect::Kind::kPutFields,
                        .name = string_of(key),
                        .fields = record_of(fields, count),
                        .ttl_us = ttl});
    };
    host.erase = [](void* call, sluice_text key) {
      add_effect(call, {.kind = Effect::Kind::kErase, .name = string_of(key)});
    };
    host.release = [](void* call, sluice_text counter, int64_t amount, int64_t reserved_at) {
      add_effect(call, {.kind = Effect::Kind::kRelease,
                        .name = string_of(counter),
                        .amount = amount,
                        .reserved_at_us = reserved_at});
    };
    host.explain = [](void* call, sluice_text reason, sluice_text detail) {
      at(call).ran.reason = string_of(reason);
      at(call).ran.detail = string_of(detail);
    };
    host.wait_on = [](void* call, const sluice_text* keys, size_t count, int64_t until) {
      Ran& ran = at(call).ran;
      ran.wait_keys.clear();
      for (size_t i = 0; i < count; ++i) ran.wait_keys.push_back(string_of(keys[i]));
      ran.wait_until_us = until;
    };
    host.retry_after = [](void* call, int64_t after) { at(call).ran.retry_after_us = after; };
    host.act_request = [](void* call, sluice_text key, const sluice_field* fields, size_t count) {
      at(call).ran.act_key = string_of(key);
      at(call).ran.act_request = record_of(fields, count);
    };
    host.log = [](void* call, uint32_t, sluice_text text) {
      at(call).ran.log.push_back(string_of(text));
    };
  }

  static void fill_world(sluice_host& host) {
    host.random = [](void* call) -> uint64_t {
      uint64_t& state =
          at(call).host.store_->random_state;  // splitmix64, a public-domain generator
      uint64_t z = (state += 0x9e3779b97f4a7c15u);
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      return z ^ (z >> 31);
    };
    host.request_field = [](void* call, sluice_text name, sluice_text* out) {
      return find_in(at(call).request, name, out);
    };
    host.idempotency_key = [](void* call) { return text_of(at(call).act_key); };
    host.requested_us = [](void* call) { return at(call).host.store_->now_us; };
    host.recovered = [](void* call) -> int32_t { return at(call).recovered ? 1 : 0; };
    host.outcome = [](void* call, const sluice_field* fields, size_t count) {
      at(call).outcome = record_of(fields, count);
    };
    host.outcome_field = [](void* call, sluice_text name, sluice_text* out) {
      return find_in(at(call).given_outcome, name, out);
    };
  }

  const sluice_kind kind_;
  FakeStore own_store_;
  FakeStore* store_;
  detail::Values values_;
  std::map<std::string, sluice_value> settings_;
  std::map<std::string, Measure> metrics_;  // by series
  std::string complaint_, complaint_setting_;
  void* instance_ = nullptr;
};

// `FakeHost<Router> host({{"min_confidence", "0.5"}})`, or with a store shared with other stages:
// `FakeHost<Router> host(store)`.
template <typename Kind>
class FakeHost : public FakeHostBase {
 public:
  explicit FakeHost(const Texts& settings = {})
      : FakeHostBase(sluice::detail::kind_of<Kind>(), nullptr, settings) {}
  explicit FakeHost(FakeStore& store, const Texts& settings = {})
      : FakeHostBase(sluice::detail::kind_of<Kind>(), &store, settings) {}
};

}  // namespace sluice::testing
