#include "redis/commit.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "redis/cluster.h"
#include "redis/entries.h"
#include "redis/names.h"

namespace sluice::redis {

using stream::Condition;
using stream::ConditionKind;
using stream::Effect;
using stream::EffectKind;
using stream::FieldsView;
using stream::Unit;
using stream::UnitOutcome;
using stream::UnitState;

namespace {

constexpr size_t kHeaderArguments = 8;
constexpr std::string_view kEnd = ".";

Status check_key(std::string_view key) {
  constexpr size_t kKeySizeMax = UINT16_MAX;
  if (key.empty() || key.size() > kKeySizeMax)
    return Status(Code::kInvalid,
                  fmt::format("a key has {} bytes, expected 1 to {}", key.size(), kKeySizeMax));
  if (is_our_key(key))
    return Status(Code::kInvalid, fmt::format("{} is a name of the engine's own", key));
  return Status::ok();
}

Status check_duration(std::string_view key, milliseconds duration) {
  if (duration.count() < 0 || duration > kDurationMax)
    return Status(Code::kInvalid, fmt::format("{}: a duration of {} ms, expected 0 to {}", key,
                                              duration.count(), kDurationMax.count()));
  return Status::ok();
}

Status check_fields(std::string_view encoded) {
  if (FieldsView::is_whole(encoded)) return Status::ok();
  return Status(Code::kInvalid, "fields are not whole");
}

bool writes_key(const Effect& effect) {
  return effect.kind == EffectKind::kPut || effect.kind == EffectKind::kPutFields ||
         effect.kind == EffectKind::kErase;
}

int64_t number(size_t value) { return static_cast<int64_t>(value); }

}  // namespace

bool needs_token(std::span<const Unit> units) {
  if (SLUICE_MUTANT(redis_without_token)) return false;
  return std::any_of(units.begin(), units.end(), [](const Unit& unit) {
    return (unit.group == 0 || !unit.ack) && (!unit.effects.empty() || !unit.conditions.empty());
  });
}

// --- Looking it over

Status CommitCall::encode(Commands& commands, const Names& names, const Handles& handles,
                          std::span<const Unit> units, std::string_view clock,
                          std::string_view token, stream::milliseconds token_life) {
  SLUICE_TRY(collect(handles, units));
  SLUICE_TRY(check_names());
  if (names.is_cluster()) SLUICE_TRY(check_slots());
  const bool recorded = !clock.empty();
  const size_t keys = (recorded ? 4 : 2) + emitted_.size() + others_.size() + groups_.size() +
                      written_ + 2 * counters_.size() + read_;
  for (const Unit& unit : units) add_unit(handles, unit);
  begin_script(
      commands, scripts().commit, keys,
      kHeaderArguments + 2 * groups_.size() + 2 * runs_.size() + form_arguments_ + values_.count());
  add_keys(commands, names, units, recorded, token);
  commands.arg(clock);
  if (token.empty()) {
    commands.arg("");
  } else {
    commands.arg(number(static_cast<size_t>(token_life.count())));
  }
  for (const size_t count : {emitted_.size(), emitted_.size() + others_.size(), groups_.size(),
                             written_, counters_.size(), units.size()})
    commands.arg(number(count));
  for (const OpenGroup* group : groups_) {
    commands.arg(number(index_of(group->stream)));
    commands.arg(group->name);
  }
  size_t values_at = 0;
  for (const Run& run : runs_) {
    commands.arg(number(run.number));
    commands.arg(number(run.units));
    if (run.is_first) commands.args(*run.form);
    const std::string_view values = values_.bytes();
    commands.args(values.substr(values_at, run.values_end - values_at));
    values_at = run.values_end;
  }
  return Status::ok();
}

Status CommitCall::collect(const Handles& handles, std::span<const Unit> units) {
  // Streams emitted to are numbered first.
  for (const Unit& unit : units) {
    for (const Effect& effect : unit.effects) {
      if (effect.kind != EffectKind::kEmit && effect.kind != EffectKind::kRemove) continue;
      OpenStream* const stream = handles.stream(effect.stream);
      if (stream == nullptr)
        return Status(Code::kInvalid, fmt::format("stream {} is not open", effect.stream));
      if (effect.kind == EffectKind::kEmit && index_of(stream) == 0) emitted_.push_back(stream);
    }
  }
  for (size_t i = 0; i < units.size(); ++i) {
    SLUICE_TRY(stream::check_behind(units[i], i));
    SLUICE_TRY(collect(handles, units[i]));
  }
  if (bytes_ > kCommitBytesMax)
    return Status(Code::kInvalid, fmt::format("a commit of {} bytes, expected at most {}", bytes_,
                                              kCommitBytesMax));
  return Status::ok();
}

Status CommitCall::collect(const Handles& handles, const Unit& unit) {
  if (unit.group != 0) {
    OpenGroup* const group = handles.group(unit.group);
    if (group == nullptr)
      return Status(Code::kInvalid, fmt::format("group {} is not open", unit.group));
    if (index_of(group) == 0) groups_.push_back(group);
    if (index_of(group->stream) == 0) others_.push_back(group->stream);
    key_ = group->stream->name;
  }
  for (const Condition& condition : unit.conditions) SLUICE_TRY(collect(condition));
  for (const Effect& effect : unit.effects) SLUICE_TRY(collect(handles, effect));
  return Status::ok();
}

Status CommitCall::collect(const Condition& condition) {
  bytes_ += 64 + condition.key.size() + condition.value.size();
  SLUICE_TRY(check_duration(condition.key, condition.ttl));
  SLUICE_TRY(check_duration(condition.key, condition.window.length));
  if (condition.kind == ConditionKind::kReserve) return use_counter(condition.key);
  ++read_;
  return use_key(condition.key);
}

Status CommitCall::collect(const Handles& handles, const Effect& effect) {
  bytes_ += 64 + effect.key.size() + effect.bytes.size();
  if (effect.ttl.count() != 0) SLUICE_TRY(check_duration(effect.key, effect.ttl));
  if (effect.amount < 0)
    return Status(Code::kInvalid, fmt::format("{}: a negative amount", effect.key));
  if (effect.kind == EffectKind::kEmit || effect.kind == EffectKind::kPutFields)
    SLUICE_TRY(check_fields(effect.bytes));
  if (effect.kind == EffectKind::kRelease) return use_counter(effect.key);
  if (writes_key(effect)) {
    ++written_;
    return use_key(effect.key);
  }
  OpenStream* const stream = handles.stream(effect.stream);
  if (index_of(stream) == 0) others_.push_back(stream);
  if (key_.empty()) key_ = stream->name;
  if (effect.kind != EffectKind::kEmit) return Status::ok();
  if (const size_t fields = FieldsView(effect.bytes).count(); fields > kEntryFieldsMax)
    return Status(Code::kInvalid, fmt::format("an entry of {} fields, expected at most {}", fields,
                                              kEntryFieldsMax));
  return Status::ok();
}

Status CommitCall::use_key(std::string_view key) {
  keys_.push_back(key);
  if (key_.empty()) key_ = key;
  return check_key(key);
}

Status CommitCall::use_counter(std::string_view key) {
  counters_.push_back(key);
  if (key_.empty()) key_ = key;
  return check_key(key);
}

// Redis has one space of names. A name used in two ways could fail in the middle of a batch: its
// first use would make it what the second cannot be.
Status CommitCall::check_names() const {
  const auto is_stream = [this](std::string_view name) {
    const auto is_it = [name](const OpenStream* stream) { return stream->name == name; };
    return std::any_of(emitted_.begin(), emitted_.end(), is_it) ||
           std::any_of(others_.begin(), others_.end(), is_it);
  };
  const auto refused = [](std::string_view name, std::string_view one, std::string_view other) {
    return Status(Code::kInvalid,
                  fmt::format("{} is used as {} and as {} in one commit", name, one, other));
  };
  for (const std::string_view key : keys_) {
    if (is_stream(key)) return refused(key, "a key", "a stream");
    if (std::find(counters_.begin(), counters_.end(), key) != counters_.end())
      return refused(key, "a key", "a counter");
  }
  for (const std::string_view counter : counters_) {
    if (is_stream(counter)) return refused(counter, "a counter", "a stream");
  }
  return Status::ok();
}

// A cluster runs a script where all its keys are.
Status CommitCall::check_slots() const {
  const uint16_t slot = slot_of(key_);
  const auto check = [&](std::string_view name) {
    if (slot_of(name) == slot) return Status::ok();
    return Status(Code::kInvalid,
                  fmt::format("{} is in slot {} of the cluster and {} in slot {}: names of one "
                              "commit need one hash tag, such as {{a}}",
                              key_, slot, name, slot_of(name)));
  };
  for (const OpenStream* stream : emitted_) SLUICE_TRY(check(stream->name));
  for (const OpenStream* stream : others_) SLUICE_TRY(check(stream->name));
  for (const std::string_view key : keys_) SLUICE_TRY(check(key));
  for (const std::string_view counter : counters_) SLUICE_TRY(check(counter));
  return Status::ok();
}

// From 1, as the script counts; 0 when it is not there.
size_t CommitCall::index_of(const OpenStream* stream) const {
  const auto in_emitted = std::find(emitted_.begin(), emitted_.end(), stream);
  if (in_emitted != emitted_.end()) return static_cast<size_t>(in_emitted - emitted_.begin()) + 1;
  const auto in_others = std::find(others_.begin(), others_.end(), stream);
  if (in_others == others_.end()) return 0;
  return emitted_.size() + static_cast<size_t>(in_others - others_.begin()) + 1;
}

size_t CommitCall::index_of(const OpenGroup* group) const {
  const auto it = std::find(groups_.begin(), groups_.end(), group);
  return it == groups_.end() ? 0 : static_cast<size_t>(it - groups_.begin()) + 1;
}

// --- Writing it down

void CommitCall::add_keys(Commands& commands, const Names& names, std::span<const Unit> units,
                          bool recorded, std::string_view token) const {
  const std::string guard = names.guard(key_);
  commands.arg(guard);
  commands.arg(token.empty() ? guard : names.token(key_, token));
  if (recorded) {
    commands.arg(names.expiry(key_));
    commands.arg(names.clock(key_));
  }
  for (const OpenStream* stream : emitted_) commands.arg(stream->name);
  for (const OpenStream* stream : others_) commands.arg(stream->name);
  for (const OpenGroup* group : groups_) commands.arg(group->times);
  for (const Unit& unit : units) {
    for (const Effect& effect : unit.effects)
      if (writes_key(effect)) commands.arg(effect.key);
  }
  for (const std::string_view counter : counters_) {
    commands.arg(counter);
    commands.arg(names.note(counter));
  }
  for (const Unit& unit : units) {
    for (const Condition& condition : unit.conditions)
      if (condition.kind != ConditionKind::kReserve) commands.arg(condition.key);
  }
}

// Forms and values as scripts/commit.lua has them.
void CommitCall::add_unit(const Handles& handles, const Unit& unit) {
  form_.clear();
  form_.arg(unit.group == 0 ? 0 : number(index_of(handles.group(unit.group))));
  const auto flag = [this](bool set) {
    form_.arg(set ? std::string_view("1") : std::string_view("0"));
  };
  const bool builds = unit.behind && !SLUICE_MUTANT(unit_behind_ignored);
  flag(unit.ack);
  flag(builds);
  values_.arg(unit.entry);
  if (builds) values_.arg(number(*unit.behind + 1));
  for (const Condition& condition : unit.conditions) add(condition);
  form_.arg(kEnd);
  for (const Effect& effect : unit.effects) add(handles, effect);
  form_.arg(kEnd);

  if (runs_.empty() || *runs_.back().form != form_.bytes()) {
    const auto [known, is_new] = forms_.try_emplace(form_.bytes(), forms_.size() + 1);
    runs_.push_back({.form = &known->first, .number = known->second, .is_first = is_new});
    if (is_new) form_arguments_ += form_.count();
  }
  ++runs_.back().units;
  runs_.back().values_end = values_.bytes().size();
}

void CommitCall::add_part(std::string_view letter, int64_t number) {
  form_.arg(letter);
  form_.arg(number);
  form_.arg(int64_t{0});
}

void CommitCall::add_part(std::string_view letter, int64_t number, FieldsView fields) {
  form_.arg(letter);
  form_.arg(number);
  form_.arg(static_cast<int64_t>(stored_count(fields)));
  each_stored(fields, [this](std::string_view name, std::string_view value) {
    form_.arg(name);
    values_.arg(value);
  });
}

void CommitCall::add(const Condition& condition) {
  switch (condition.kind) {
    case ConditionKind::kClaim:
      add_part("c", condition.ttl.count());
      values_.arg(condition.value);
      break;
    case ConditionKind::kTake:
      add_part("t", 0);
      break;
    case ConditionKind::kReserve:
      add_part(condition.window.kind == stream::WindowKind::kFixed ? "f" : "s",
               condition.window.length.count());
      values_.arg(condition.amount);
      values_.arg(condition.limit);
      break;
    case ConditionKind::kUnchanged:
      if (!condition.present) {
        add_part("a", 0);
      } else if (!condition.is_fields) {
        add_part("v", 0);
        values_.arg(condition.value);
      } else if (FieldsView::is_whole(condition.value)) {
        add_part("h", 0, FieldsView(condition.value));
      } else {
        // Bytes that are none equal no hash: neither do no fields at all.
        add_part("h", 0);
      }
      break;
  }
}

void CommitCall::add(const Handles& handles, const Effect& effect) {
  const auto stream = [&] { return number(index_of(handles.stream(effect.stream))); };
  switch (effect.kind) {
    case EffectKind::kEmit:
      add_part("e", stream(), FieldsView(effect.bytes));
      break;
    case EffectKind::kPut:
      add_part("p", effect.ttl.count());
      values_.arg(effect.bytes);
      break;
    case EffectKind::kPutFields:
      add_part("m", effect.ttl.count(), FieldsView(effect.bytes));
      break;
    case EffectKind::kErase:
      add_part("x", 0);
      break;
    case EffectKind::kRelease:
      add_part("l", 0);
      values_.arg(effect.amount);
      values_.arg(to_ms(effect.reserved_at));
      break;
    case EffectKind::kRemove:
      add_part("d", stream());
      values_.arg(effect.entry);
      break;
  }
}

// --- Reading the answer

namespace {

bool read_failed(const Reply& about, const Unit& unit, UnitOutcome& outcome) {
  const int64_t index = about.items[0].integer;
  if (index < 1 || index > number(unit.conditions.size())) return false;
  outcome.state = UnitState::kConditionFailed;
  outcome.failed_condition = static_cast<size_t>(index - 1);
  if (unit.conditions[outcome.failed_condition].kind != ConditionKind::kReserve) {
    outcome.met_value = read_value(std::span(about.items).subspan(1));
    return true;
  }
  if (about.items.size() != 4) return false;
  outcome.met_count = to_number(about.items[2].text);
  outcome.met_until = time_of(to_number(about.items[3].text));
  return true;
}

bool read_outcome(const Reply& about, const Unit& unit, UnitOutcome& outcome) {
  if (about.kind == Reply::Kind::kInteger) {
    const bool behind = about.integer == 1;
    outcome.state = behind ? UnitState::kBehind : UnitState::kFenced;
    return behind ? unit.behind.has_value() : about.integer == 0 && unit.group != 0;
  }
  if (const auto only = about.id()) {
    outcome.emitted = {*only};
    return true;
  }
  if (about.kind != Reply::Kind::kArray) return false;
  if (!about.items.empty() && about.items[0].kind == Reply::Kind::kInteger)
    return read_failed(about, unit, outcome);
  outcome.emitted.reserve(about.items.size());
  for (const Reply& item : about.items) {
    const auto id = item.id();
    if (!id) return false;
    outcome.emitted.push_back(*id);
  }
  return true;
}

}  // namespace

Status CommitCall::read(const Reply& answer, std::span<const Unit> units,
                        std::vector<UnitOutcome>& outcomes, WallTime& now) {
  const auto corrupt = [] { return Status(Code::kCorrupt, "redis: no answer to these units"); };
  if (answer.items.size() != units.size() + 1) return corrupt();
  now = time_of(answer.items[0].integer);
  outcomes.resize(units.size());
  for (size_t i = 0; i < units.size(); ++i) {
    if (!read_outcome(answer.items[i + 1], units[i], outcomes[i])) return corrupt();
  }
  return Status::ok();
}

}  // namespace sluice::redis
