// What a plugin author reads: stages in C++ over the C table of "sluice/abi.h". Header only.
//
// A stage is a class with a description, a constructor from Settings and `process`:
//
//   class Router {
//    public:
//     static constexpr sluice::Info kInfo{.kind = "router", .doc = "Forwards ..."};
//     static constexpr sluice_port kOutputs[] = {{.name = "intent", .doc = "..."}};
//     explicit Router(const sluice::Settings& settings);
//     sluice::Verdict process(const sluice::Entry& entry, sluice::Unit& unit);
//   };
//   SLUICE_PLUGIN("router", "1.0.0", Router)
//
// Optional, all `static constexpr`: kInputs, kOutputs (sluice_port[]), kSettings (sluice_param[]),
// kHooks (sluice_hook[]), kKeys (sluice_key[]), kTimes (sluice_time[]), kMetrics (sluice_metric[]),
// kReasons (const char* const[], ends in nullptr), and `static void check(const Settings&)` which
// throws SettingError.
//
// `process` declares what must hold and what shall happen; the host does it, whole or not at all.
// It does no I/O, keeps nothing outside keys and reads the clock from `unit.now()`. When a
// condition did not hold it is called once more for the same entry and `unit.failure()` says which
// and what was met.
//
// A source (kInfo.type = SLUICE_SOURCE) has `Poll poll(Unit&)` instead. An external stage
// (SLUICE_EXTERNAL) returns `act(...)` from `process`, then has
//   Act act(const Request&, World&)                                     touches the world
//   Verdict settle(const Entry&, const Request&, const Outcome&, Unit&)  says what came of it
// The request is durable before `act` runs; after a crash `act` runs again with `recovered()` true
// and must find out, by its idempotency key, whether it happened.
//
// Errors: an exception from any of these costs the entry (retry, then dead letter) and nothing
// else. Threads: `process` and `settle` one call at a time per instance; `act` may run several at
// once.
#pragma once

#include <array>
#include <chrono>
#include <exception>
#include <initializer_list>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sluice/abi.h"
#include "sluice/decimal.h"

namespace sluice {

using Duration = std::chrono::microseconds;
using Time = std::chrono::sys_time<std::chrono::microseconds>;  // UTC

struct Info {
  const char* kind;
  const char* doc = "";
  uint32_t type = SLUICE_STAGE;
};

// Thrown by constructors and `check`: the text names what was expected.
class SettingError : public std::runtime_error {
 public:
  SettingError(std::string setting, const std::string& text)
      : std::runtime_error(text), setting_(std::move(setting)) {}
  const std::string& setting() const { return setting_; }

 private:
  std::string setting_;
};

namespace detail {

struct Again {};         // a value is still on its way; the shim answers SLUICE_AGAIN
struct PolicyFailed {};  // the host knows why and rejects the entry

inline sluice_text raw(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view view(sluice_text text) { return {text.data, text.size}; }
inline int64_t us(Time time) { return time.time_since_epoch().count(); }
inline Time time_from(int64_t us) { return Time(Duration(us)); }

}  // namespace detail

// Names and values in order, owned. What `emit` and `put` take.
class Record {
 public:
  Record() = default;
  Record(std::initializer_list<std::pair<std::string_view, std::string_view>> fields) {
    fields_.reserve(fields.size());
    for (const auto& [name, value] : fields) add(name, value);
  }

  void reserve(size_t count) { fields_.reserve(count); }
  void add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }

  // Replaces the first field of that name, or adds it.
  void set(std::string_view name, std::string_view value) {
    for (auto& [have, old] : fields_) {
      if (have == name) {
        old = value;
        return;
      }
    }
    add(name, value);
  }

  std::optional<std::string_view> find(std::string_view name) const {
    for (const auto& [have, value] : fields_) {
      if (have == name) return value;
    }
    return std::nullopt;
  }

  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

  // Views for the C table, valid while this record is unchanged.
  std::vector<sluice_field> raw() const {
    std::vector<sluice_field> raw;
    raw.reserve(fields_.size());
    for (const auto& [name, value] : fields_)
      raw.push_back({detail::raw(name), detail::raw(value)});
    return raw;
  }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Names and values that outlive the call they are handed to.
using FieldViews = std::initializer_list<std::pair<std::string_view, std::string_view>>;

namespace detail {

// Fields as the C table takes them. Few, as they mostly are, need no memory of their own.
class RawFields {
 public:
  template <typename Fields>
  explicit RawFields(const Fields& fields) : size_(fields.size()) {
    if (size_ > few_.size()) many_.resize(size_);
    sluice_field* out = size_ > few_.size() ? many_.data() : few_.data();
    data_ = out;
    for (const auto& [name, value] : fields) *out++ = {raw(name), raw(value)};
  }
  RawFields(const RawFields&) = delete;
  RawFields& operator=(const RawFields&) = delete;

  const sluice_field* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  const sluice_field* data_;
  std::array<sluice_field, 16> few_;
  std::vector<sluice_field> many_;
};

}  // namespace detail

// Settings of one stage. The host has filled in defaults and checked types and ranges, so a setting
// that the description lists is always there; asking for one that it does not list is our bug and
// throws.
class Settings {
 public:
  explicit Settings(const sluice_settings* raw) : raw_(raw) {}

  std::string text(std::string_view name) const {
    return std::string(detail::view(get(name).text));
  }
  int64_t integer(std::string_view name) const { return get(name).integer; }
  double number(std::string_view name) const { return get(name).number; }
  bool boolean(std::string_view name) const { return get(name).integer != 0; }
  Duration duration(std::string_view name) const { return Duration(get(name).integer); }
  Decimal decimal(std::string_view name) const {
    const auto value = Decimal::parse(detail::view(get(name).text));
    if (!value) throw SettingError(std::string(name), "is not a decimal");
    return *value;
  }
  std::vector<std::string> list(std::string_view name) const {
    const sluice_value value = get(name);
    const auto* items = static_cast<const sluice_text*>(value.items);
    std::vector<std::string> list;
    for (size_t i = 0; i < value.count; ++i) list.emplace_back(detail::view(items[i]));
    return list;
  }

  std::string_view stage() const { return detail::view(raw_->stage); }
  std::string_view pipeline() const { return detail::view(raw_->pipeline); }

 private:
  sluice_value get(std::string_view name) const {
    sluice_value value{};
    if (raw_->get(raw_->context, detail::raw(name), &value) == 0)
      throw SettingError(std::string(name), "is not described in kSettings");
    return value;
  }

  const sluice_settings* raw_;
};

// The entry being handled. Views last until the call returns.
class Entry {
 public:
  explicit Entry(const sluice_call* raw) : raw_(raw) {}

  std::optional<std::string_view> find(std::string_view name) const {
    sluice_text value{};
    if (raw_->host->field(raw_->call, detail::raw(name), &value) == 0) return std::nullopt;
    return detail::view(value);
  }
  // The value, or empty text.
  std::string_view operator[](std::string_view name) const { return find(name).value_or(""); }

  std::string_view id() const { return detail::view(raw_->host->entry_id(raw_->call)); }
  std::string_view input() const { return detail::view(raw_->host->input(raw_->call)); }
  uint32_t delivery_count() const { return raw_->host->delivery_count(raw_->call); }

  // When this group first got the entry; unchanged by restarts. Wait windows start here.
  Time first_delivered() const {
    return detail::time_from(raw_->host->first_delivered_us(raw_->call));
  }

  Record fields() const {
    const std::vector<sluice_field> fields = raw();
    Record record;
    record.reserve(fields.size());
    for (const sluice_field& field : fields)
      record.add(detail::view(field.name), detail::view(field.value));
    return record;
  }

  // Views for the C table, valid during this call.
  std::vector<sluice_field> raw() const {
    constexpr size_t kUsual = 16;
    std::vector<sluice_field> fields;
    fields.reserve(kUsual);  // counting them takes as long as reading them
    for (sluice_field field; raw_->host->field_at(raw_->call, fields.size(), &field) != 0;)
      fields.push_back(field);
    return fields;
  }

 private:
  const sluice_call* raw_;
};

// A value under a key, as read in this call.
class Value {
 public:
  Value(const sluice_call* raw, std::string key, int32_t state, std::string_view text)
      : raw_(raw), key_(std::move(key)), state_(state), text_(text) {}

  bool present() const { return state_ != SLUICE_GET_ABSENT; }
  explicit operator bool() const { return present(); }
  bool is_text() const { return state_ == SLUICE_GET_TEXT; }
  bool is_fields() const { return state_ == SLUICE_GET_FIELDS; }
  std::string_view text() const { return text_; }  // empty unless is_text

  std::optional<std::string_view> find(std::string_view name) const {
    sluice_text value{};
    if (raw_->host->get_field(raw_->call, detail::raw(key_), detail::raw(name), &value) == 0)
      return std::nullopt;
    return detail::view(value);
  }
  std::string_view operator[](std::string_view name) const { return find(name).value_or(""); }

 private:
  const sluice_call* raw_;
  std::string key_;
  int32_t state_;
  std::string_view text_;
};

// Arguments for a hook: text, or a record of members read lazily by the policy.
class PolicyRecord {
 public:
  PolicyRecord& text(std::string_view name, std::string_view value) {
    add(name, SLUICE_TEXT).text = detail::raw(value);
    return *this;
  }
  PolicyRecord& number(std::string_view name, double value) {
    add(name, SLUICE_NUMBER).number = value;
    return *this;
  }
  PolicyRecord& integer(std::string_view name, int64_t value) {
    add(name, SLUICE_INTEGER).integer = value;
    return *this;
  }
  PolicyRecord& boolean(std::string_view name, bool value) {
    add(name, SLUICE_BOOLEAN).integer = value ? 1 : 0;
    return *this;
  }
  // A view of this record as it is; views handed in must outlive the policy call as well.
  sluice_value raw() const {
    sluice_value v{};
    v.type = SLUICE_RECORD;
    v.items = many_.empty() ? few_.data() : many_.data();
    v.count = count_;
    return v;
  }

 private:
  sluice_value& add(std::string_view name, uint32_t type) {
    if (count_ == few_.size() && many_.empty()) many_.assign(few_.begin(), few_.end());
    sluice_member& member = count_ < few_.size() ? few_[count_] : many_.emplace_back();
    ++count_;
    member.name = detail::raw(name);
    member.value.type = type;
    return member.value;
  }

  std::array<sluice_member, 16> few_{};  // unless there are more: all are in `many_` then
  size_t count_ = 0;
  std::vector<sluice_member> many_;
};

inline sluice_value policy_text(std::string_view text) {
  sluice_value v{};
  v.type = SLUICE_TEXT;
  v.text = detail::raw(text);
  return v;
}

// What a hook answered; checked by the host for type and range. Index as in the hook's results.
class PolicyResult {
 public:
  explicit PolicyResult(std::vector<sluice_value> values) : many_(std::move(values)) {}
  std::string_view text(size_t i = 0) const { return detail::view(value(i).text); }
  int64_t integer(size_t i = 0) const { return value(i).integer; }
  double number(size_t i = 0) const { return value(i).number; }
  bool boolean(size_t i = 0) const { return value(i).integer != 0; }
  Duration duration(size_t i = 0) const { return Duration(value(i).integer); }
  Decimal decimal(size_t i = 0) const {
    const auto value = Decimal::parse(text(i));
    if (!value) throw std::runtime_error("policy result is not a decimal");
    return *value;
  }

 private:
  friend class Unit;
  explicit PolicyResult(size_t count) {
    if (count > few_.size()) many_.resize(count);
  }
  sluice_value* data() { return many_.empty() ? few_.data() : many_.data(); }
  const sluice_value& value(size_t i) const { return many_.empty() ? few_[i] : many_[i]; }

  std::array<sluice_value, 4> few_{};  // unless there are more
  std::vector<sluice_value> many_;
};

enum class WindowKind : uint32_t { kFixed = SLUICE_WINDOW_FIXED, kSliding = SLUICE_WINDOW_SLIDING };

// Which condition of this entry's unit did not hold, on the second call.
struct Failure {
  enum class Condition : uint32_t {
    kClaim = SLUICE_CLAIM,
    kTake = SLUICE_TAKE,
    kReserve = SLUICE_RESERVE,
    kUnchanged = SLUICE_UNCHANGED
  };
  Condition condition;
  std::string_view key;
  bool met_present;           // claim, unchanged
  std::string_view met_text;  // claim: what the earlier claimer wrote
  int64_t met_count;          // reserve: the counter as it is
  Time met_until;             // reserve: when its window makes room; the epoch: never
};

// Conditions and effects of one entry, and what a stage may ask.
class Unit {
 public:
  explicit Unit(const sluice_call* raw) : raw_(raw) {}

  Time now() const { return detail::time_from(raw_->host->now_us(raw_->call)); }

  // The value under `key` now. To act only if it is still so at the commit, add `unchanged(key)`.
  Value get(std::string_view key) const {
    sluice_text text{};
    const int32_t state = raw_->host->get(raw_->call, detail::raw(key), &text);
    if (state == SLUICE_GET_PENDING) throw detail::Again{};
    return Value(raw_, std::string(key), state, detail::view(text));
  }

  // Asks the stage's policy. A policy that fails, overruns or answers out of type or range does not
  // return here: the entry is rejected with `policy_error`.
  PolicyResult policy(std::string_view hook, std::initializer_list<sluice_value> args = {},
                      size_t result_count = 1) const {
    PolicyResult result(result_count);
    if (raw_->host->policy(raw_->call, detail::raw(hook), args.begin(), args.size(), result.data(),
                           result_count) != 0)
      throw detail::PolicyFailed{};
    return result;
  }
  std::string_view policy_version() const {
    return detail::view(raw_->host->policy_version(raw_->call));
  }

  // Conditions ------------------------------------------------------------------------------------

  // `key` must be absent; the commit sets it to `value` for `ttl` (0: for ever).
  void claim(std::string_view key, std::string_view value, Duration ttl) {
    raw_->host->claim(raw_->call, detail::raw(key), detail::raw(value), ttl.count());
  }
  // `key` must be present; the commit deletes it.
  void take(std::string_view key) { raw_->host->take(raw_->call, detail::raw(key)); }
  // counter + amount <= limit; the commit adds it.
  void reserve(std::string_view counter, int64_t amount, int64_t limit, WindowKind kind,
               Duration window) {
    raw_->host->reserve(raw_->call, detail::raw(counter), amount, limit,
                        static_cast<uint32_t>(kind), window.count());
  }
  // The value read with `get` in this call must still be there.
  void unchanged(std::string_view key) { raw_->host->unchanged(raw_->call, detail::raw(key)); }

  std::optional<Failure> failure() const {
    sluice_failure raw{};
    if (raw_->host->failure(raw_->call, &raw) == 0) return std::nullopt;
    return Failure{static_cast<Failure::Condition>(raw.condition),
                   detail::view(raw.key),
                   raw.met_present != 0,
                   detail::view(raw.met_text),
                   raw.met_count,
                   detail::time_from(raw.met_until_us)};
  }

  // Effects ---------------------------------------------------------------------------------------

  // Appends to the stream wired to `port`. Throws when the stage has no such port.
  void emit(std::string_view port, const Record& record) {
    emit_raw(port, detail::RawFields(record.fields()));
  }
  void emit(std::string_view port, const Entry& entry) { emit_raw(port, entry.raw()); }
  // The same as with a Record of these fields, without the copies: `emit("out", {{"id", id},
  // ...})`.
  void emit(std::string_view port, FieldViews fields) { emit_raw(port, detail::RawFields(fields)); }

  // `ttl` 0: for ever.
  void put(std::string_view key, std::string_view value, Duration ttl) {
    raw_->host->put(raw_->call, detail::raw(key), detail::raw(value), ttl.count());
  }
  void put(std::string_view key, const Record& record, Duration ttl) {
    const detail::RawFields fields(record.fields());
    raw_->host->put_fields(raw_->call, detail::raw(key), fields.data(), fields.size(), ttl.count());
  }
  void erase(std::string_view key) { raw_->host->erase(raw_->call, detail::raw(key)); }
  // Gives back what was reserved at `reserved_at`; nothing when that window is over.
  void release(std::string_view counter, int64_t amount, Time reserved_at) {
    raw_->host->release(raw_->call, detail::raw(counter), amount, detail::us(reserved_at));
  }

  // Metrics ---------------------------------------------------------------------------------------

  // All of kMetrics, with all labels described there. They take effect once, with the commit of
  // this unit or with the dead letter of a reject; nothing happens on a host without metrics.
  using Labels = FieldViews;

  // Adds `amount` >= 0 to a counter.
  void count(std::string_view name, Labels labels = {}, double amount = 1) {
    const auto* metrics = metrics_table();
    if (metrics == nullptr) return;
    const detail::RawFields fields(labels);
    metrics->count(raw_->call, detail::raw(name), fields.data(), fields.size(), amount);
  }
  void gauge(std::string_view name, Labels labels, double value) {
    const auto* metrics = metrics_table();
    if (metrics == nullptr) return;
    const detail::RawFields fields(labels);
    metrics->gauge(raw_->call, detail::raw(name), fields.data(), fields.size(), value);
  }
  // Shows what is reserved under `counter` whenever somebody looks, as its window counts it.
  void gauge_reserved(std::string_view name, Labels labels, std::string_view counter) {
    const auto* metrics = metrics_table();
    if (metrics == nullptr) return;
    const detail::RawFields fields(labels);
    metrics->gauge_reserved(raw_->call, detail::raw(name), fields.data(), fields.size(),
                            detail::raw(counter));
  }

  void log(uint32_t level, std::string_view text) const {
    raw_->host->log(raw_->call, level, detail::raw(text));
  }

  // Sources only: seeded in tests and recorded runs.
  uint64_t random() const { return raw_->host->random(raw_->call); }

 private:
  template <typename Fields>
  void emit_raw(std::string_view port, const Fields& fields) {
    if (raw_->host->emit(raw_->call, detail::raw(port), fields.data(), fields.size()) != 0)
      throw std::runtime_error("no output port " + std::string(port));
  }
  const sluice_metrics* metrics_table() const {
    return static_cast<const sluice_metrics*>(
        raw_->host->extension(raw_->call, SLUICE_METRICS_EXTENSION));
  }

  const sluice_call* raw_;
};

// What the stage says of an entry.
class Verdict {
 public:
  int32_t commit(const sluice_call* call) const {
    const sluice_host& host = *call->host;
    if (!reason_.empty() || !detail_.empty())
      host.explain(call->call, detail::raw(reason_), detail::raw(detail_));
    if (code_ == SLUICE_WAIT) {
      std::vector<sluice_text> keys;
      for (const std::string& key : keys_) keys.push_back(detail::raw(key));
      host.wait_on(call->call, keys.data(), keys.size(), until_us_);
    }
    if (code_ == SLUICE_RETRY) host.retry_after(call->call, after_us_);
    if (code_ == SLUICE_ACT) {
      const detail::RawFields fields(request_.fields());
      host.act_request(call->call, detail::raw(idempotency_key_), fields.data(), fields.size());
    }
    return code_;
  }

 private:
  friend Verdict ack();
  friend Verdict wait(std::vector<std::string> keys, Time until);
  friend Verdict retry(Duration after, std::string reason);
  friend Verdict reject(std::string reason, std::string detail);
  friend Verdict act(std::string idempotency_key, Record request);

  explicit Verdict(int32_t code) : code_(code) {}
  int32_t code_;
  std::string reason_, detail_, idempotency_key_;
  std::vector<std::string> keys_;
  Record request_;
  int64_t until_us_ = 0, after_us_ = 0;
};

// Conditions, effects and the ack are committed.
inline Verdict ack() { return Verdict(SLUICE_ACK); }

// The entry stays pending and parked; called again as soon as one of `keys` changes, or at `until`.
// A key whose claim has just failed is a lock: entries that wait for it are called in turn, one at
// a time and when it is gone. A key that expires wakes nobody: that is what `until` is for.
inline Verdict wait(std::vector<std::string> keys, Time until) {
  Verdict verdict(SLUICE_WAIT);
  verdict.keys_ = std::move(keys);
  verdict.until_us_ = detail::us(until);
  return verdict;
}

// Stays pending, called again after at least `after`; counts towards deliveries_max.
inline Verdict retry(Duration after, std::string reason) {
  Verdict verdict(SLUICE_RETRY);
  verdict.after_us_ = after.count();
  verdict.reason_ = std::move(reason);
  return verdict;
}

// Dead letter. `reason` is a short word of kReasons that counts are kept by; `detail` names object,
// value and rule. Effects and conditions of the unit are dropped.
inline Verdict reject(std::string reason, std::string detail = {}) {
  Verdict verdict(SLUICE_REJECT);
  verdict.reason_ = std::move(reason);
  verdict.detail_ = std::move(detail);
  return verdict;
}

// External stages: commit conditions and effects without the ack, make `request` durable, then
// `act`.
inline Verdict act(std::string idempotency_key, Record request) {
  Verdict verdict(SLUICE_ACT);
  verdict.idempotency_key_ = std::move(idempotency_key);
  verdict.request_ = std::move(request);
  return verdict;
}

// The durable request of an external stage.
class Request {
 public:
  explicit Request(const sluice_call* raw) : raw_(raw) {}
  std::optional<std::string_view> find(std::string_view name) const {
    sluice_text value{};
    if (raw_->host->request_field(raw_->call, detail::raw(name), &value) == 0) return std::nullopt;
    return detail::view(value);
  }
  std::string_view operator[](std::string_view name) const { return find(name).value_or(""); }
  std::string_view idempotency_key() const {
    return detail::view(raw_->host->idempotency_key(raw_->call));
  }
  Time requested_at() const { return detail::time_from(raw_->host->requested_us(raw_->call)); }
  // An earlier call, perhaps of a process that died, may already have acted: ask before acting.
  bool recovered() const { return raw_->host->recovered(raw_->call) != 0; }

 private:
  const sluice_call* raw_;
};

// What `act` learnt, in `settle`.
class Outcome {
 public:
  explicit Outcome(const sluice_call* raw) : raw_(raw) {}
  std::optional<std::string_view> find(std::string_view name) const {
    sluice_text value{};
    if (raw_->host->outcome_field(raw_->call, detail::raw(name), &value) == 0) return std::nullopt;
    return detail::view(value);
  }
  std::string_view operator[](std::string_view name) const { return find(name).value_or(""); }

 private:
  const sluice_call* raw_;
};

// What `act` may ask of the host: live values (kill switch), clock, randomness.
class World {
 public:
  explicit World(const sluice_call* raw) : raw_(raw) {}
  Time now() const { return detail::time_from(raw_->host->now_us(raw_->call)); }
  Value get(std::string_view key) const { return Unit(raw_).get(key); }
  uint64_t random() const { return raw_->host->random(raw_->call); }
  void log(uint32_t level, std::string_view text) const {
    raw_->host->log(raw_->call, level, detail::raw(text));
  }

 private:
  const sluice_call* raw_;
};

class Act {
 public:
  int32_t commit(const sluice_call* call) const {
    if (done_) {
      const detail::RawFields fields(outcome_.fields());
      call->host->outcome(call->call, fields.data(), fields.size());
      return SLUICE_ACT_DONE;
    }
    call->host->retry_after(call->call, after_us_);
    return SLUICE_ACT_LATER;
  }

 private:
  friend Act done(Record outcome);
  friend Act later(Duration after);
  bool done_ = false;
  Record outcome_;
  int64_t after_us_ = 0;
};

// The outcome is certain: `settle` gets these fields.
inline Act done(Record outcome) {
  Act act;
  act.done_ = true;
  act.outcome_ = std::move(outcome);
  return act;
}
// Not certain yet: `act` is called again after this time, with `recovered()` true.
inline Act later(Duration after) {
  Act act;
  act.after_us_ = after.count();
  return act;
}

class Poll {
 public:
  int32_t commit(const sluice_call* call) const {
    if (code_ == SLUICE_POLL_IDLE) call->host->retry_after(call->call, after_us_);
    return code_;
  }

 private:
  friend Poll more();
  friend Poll idle(Duration after);
  friend Poll end();
  explicit Poll(int32_t code) : code_(code) {}
  int32_t code_;
  int64_t after_us_ = 0;
};

inline Poll more() { return Poll(SLUICE_POLL_MORE); }  // commit and call again at once
inline Poll idle(Duration after) {                     // commit and call again after this time
  Poll poll(SLUICE_POLL_IDLE);
  poll.after_us_ = after.count();
  return poll;
}
inline Poll end() { return Poll(SLUICE_POLL_END); }  // commit; nothing will ever come

// --- From classes to the table. Nothing below is for plugin authors. ---

namespace detail {

inline constexpr sluice_port kDefaultInput[] = {{"in", "Entries to handle.", 0, 0, nullptr}};

template <typename Call>
int32_t guarded(const sluice_call* call, int32_t failed, Call&& body) noexcept {
  try {
    return body();
  } catch (const Again&) {
    return SLUICE_AGAIN;
  } catch (const PolicyFailed&) {
    return SLUICE_REJECT;
  } catch (const std::exception& error) {
    call->host->explain(call->call, raw("exception"), raw(error.what()));
  } catch (...) {
    call->host->explain(call->call, raw("exception"), raw("not a std::exception"));
  }
  return failed;
}

template <typename Body>
int32_t complained(const sluice_settings* settings, Body&& body) noexcept {
  try {
    body();
    return 0;
  } catch (const SettingError& error) {
    settings->complain(settings->context, raw(error.setting()), raw(error.what()));
  } catch (const std::exception& error) {
    settings->complain(settings->context, raw(""), raw(error.what()));
  } catch (...) {
    settings->complain(settings->context, raw(""), raw("not a std::exception"));
  }
  return -1;
}

template <typename T>
constexpr sluice_kind kind_of() {
  sluice_kind kind{};
  kind.kind = T::kInfo.kind;
  kind.doc = T::kInfo.doc;
  kind.type = T::kInfo.type;
  if constexpr (requires { T::kInputs; }) {
    kind.inputs = std::data(T::kInputs);
    kind.input_count = std::size(T::kInputs);
  } else if constexpr (T::kInfo.type != SLUICE_SOURCE) {
    kind.inputs = kDefaultInput;
    kind.input_count = 1;
  }
  if constexpr (requires { T::kOutputs; }) {
    kind.outputs = std::data(T::kOutputs);
    kind.output_count = std::size(T::kOutputs);
  }
  if constexpr (requires { T::kSettings; }) {
    kind.settings = std::data(T::kSettings);
    kind.setting_count = std::size(T::kSettings);
  }
  if constexpr (requires { T::kHooks; }) {
    kind.hooks = std::data(T::kHooks);
    kind.hook_count = std::size(T::kHooks);
  }
  if constexpr (requires { T::kKeys; }) {
    kind.keys = std::data(T::kKeys);
    kind.key_count = std::size(T::kKeys);
  }
  if constexpr (requires { T::kTimes; }) {
    kind.times = std::data(T::kTimes);
    kind.time_count = std::size(T::kTimes);
  }
  if constexpr (requires { T::kMetrics; }) {
    kind.metrics = std::data(T::kMetrics);
    kind.metric_count = std::size(T::kMetrics);
  }
  if constexpr (requires { T::kReasons; }) kind.reasons = T::kReasons;
  if constexpr (requires(const Settings& s) { T::check(s); }) {
    kind.check = [](const sluice_settings* settings) noexcept -> int32_t {
      return complained(settings, [&] { T::check(Settings(settings)); });
    };
  }
  kind.open = [](const sluice_settings* settings, void** instance) noexcept -> int32_t {
    return complained(settings, [&] { *instance = new T(Settings(settings)); });
  };
  kind.close = [](void* instance) noexcept { delete static_cast<T*>(instance); };
  if constexpr (T::kInfo.type == SLUICE_SOURCE) {
    kind.poll = [](void* instance, const sluice_call* call) noexcept -> int32_t {
      return guarded(call, SLUICE_POLL_FAILED, [&] {
        Unit unit(call);
        return static_cast<T*>(instance)->poll(unit).commit(call);
      });
    };
  } else {
    kind.process = [](void* instance, const sluice_call* call) noexcept -> int32_t {
      return guarded(call, SLUICE_FAILED, [&] {
        Unit unit(call);
        return static_cast<T*>(instance)->process(Entry(call), unit).commit(call);
      });
    };
  }
  if constexpr (T::kInfo.type == SLUICE_EXTERNAL) {
    kind.act = [](void* instance, const sluice_call* call) noexcept -> int32_t {
      return guarded(call, SLUICE_ACT_FAILED, [&] {
        World world(call);
        return static_cast<T*>(instance)->act(Request(call), world).commit(call);
      });
    };
    kind.settle = [](void* instance, const sluice_call* call) noexcept -> int32_t {
      return guarded(call, SLUICE_FAILED, [&] {
        Unit unit(call);
        return static_cast<T*>(instance)
            ->settle(Entry(call), Request(call), Outcome(call), unit)
            .commit(call);
      });
    };
  }
  return kind;
}

template <typename... Kinds>
inline constexpr sluice_kind kKinds[] = {kind_of<Kinds>()...};

template <typename... Kinds>
constexpr sluice_plugin table(const char* name, const char* version) {
  sluice_plugin plugin{};
  plugin.struct_size = sizeof(sluice_plugin);
  plugin.abi_major = SLUICE_ABI_MAJOR;
  plugin.abi_minor_min = 0;
  plugin.name = name;
  plugin.version = version;
  plugin.doc = "";
  plugin.kinds = kKinds<Kinds...>;
  plugin.kind_count = sizeof...(Kinds);
  plugin.kind_size = sizeof(sluice_kind);
  plugin.port_size = sizeof(sluice_port);
  plugin.param_size = sizeof(sluice_param);
  plugin.hook_size = sizeof(sluice_hook);
  plugin.arg_size = sizeof(sluice_arg);
  plugin.key_size = sizeof(sluice_key);
  plugin.time_size = sizeof(sluice_time);
  plugin.metric_size = sizeof(sluice_metric);
  return plugin;
}

}  // namespace detail
}  // namespace sluice

#if defined(__GNUC__)
#define SLUICE_EXPORT __attribute__((visibility("default")))
#else
#define SLUICE_EXPORT
#endif

// Exports the table: SLUICE_PLUGIN("name", "1.0.0", KindA, KindB). The table is a constant: no code
// of the library has to run before the host reads it.
#define SLUICE_PLUGIN(name, version, ...)                        \
  extern "C" SLUICE_EXPORT const sluice_plugin sluice_plugin_v1; \
  constinit const sluice_plugin sluice_plugin_v1 =               \
      ::sluice::detail::table<__VA_ARGS__>(name, version);
