#include "whole/timed_store.h"

#include <charconv>
#include <optional>

#include "common/stores.h"

namespace sluice::bench {

namespace {

size_t number_of(stream::FieldsView fields) {
  const std::string_view text = fields.find("trace_id").value_or("");
  size_t number = TimedStore::kNoNumber;
  if (text.starts_with(kTracePrefix))
    std::from_chars(text.data() + kTracePrefix.size(), text.data() + text.size(), number);
  return number;
}

// When the commit this thread is in began to tell others. Those it wakes may run before it returns.
thread_local std::optional<Steady::time_point> t_told;

}  // namespace

void TimedStore::stream_appended(stream::StreamId stream) {
  if (!t_told) t_told = Steady::now();
  listener_->stream_appended(stream);
}

void TimedStore::key_changed(std::string_view key) {
  if (!t_told) t_told = Steady::now();
  listener_->key_changed(key);
}

Result<stream::GroupId> TimedStore::open_group(stream::StreamId stream, std::string_view name,
                                               stream::GroupStart start) {
  auto group = store_.open_group(stream, name, start);
  if (group) {
    const std::lock_guard lock(mutex_);
    groups_[*group] = {stream, std::string(name)};
  }
  return group;
}

Result<std::vector<stream::Delivery>> TimedStore::read(const stream::ReadRequest& request) {
  auto found = store_.read(request);
  const auto now = Steady::now();
  const std::lock_guard lock(mutex_);
  if (found) note(request.group, *found, now);
  return found;
}

Result<stream::CommitResult> TimedStore::commit(std::span<const stream::Unit> units,
                                                const stream::ReadRequest* next) {
  return begin_commit(units, next, nullptr)->wait();
}

// Told while it begins or while it is waited for: engines differ.
class TimedStore::UnderWay final : public stream::CommitUnderWay {
 public:
  UnderWay(TimedStore& store, std::span<const stream::Unit> units, const stream::ReadRequest* next,
           stream::CommitUnderWay* behind)
      : store_(store), units_(units), next_(next) {
    t_told.reset();
    auto* const before = static_cast<UnderWay*>(behind);
    commit_ =
        store.store_.begin_commit(units, next, before == nullptr ? nullptr : before->commit_.get());
    told_ = t_told;
  }

  Result<stream::CommitResult> wait() override {
    t_told = told_;
    auto result = commit_->wait();
    if (result) store_.note(units_, next_, *result, began_, t_told.value_or(Steady::now()));
    return result;
  }

 private:
  TimedStore& store_;
  const std::span<const stream::Unit> units_;
  const stream::ReadRequest* const next_;
  const Steady::time_point began_ = Steady::now();
  std::optional<Steady::time_point> told_;
  std::unique_ptr<stream::CommitUnderWay> commit_;
};

std::unique_ptr<stream::CommitUnderWay> TimedStore::begin_commit(
    std::span<const stream::Unit> units, const stream::ReadRequest* next,
    stream::CommitUnderWay* behind) {
  return std::make_unique<UnderWay>(*this, units, next, behind);
}

void TimedStore::note(std::span<const stream::Unit> units, const stream::ReadRequest* next,
                      const stream::CommitResult& result, Steady::time_point began,
                      Steady::time_point ended) {
  const std::lock_guard lock(mutex_);
  for (size_t i = 0; i < units.size(); ++i) {
    const stream::Unit& unit = units[i];
    if (unit.group == 0 || result.outcomes[i].state != stream::UnitState::kApplied) continue;
    steps_.push_back({{unit.group, unit.entry, began}, ended});
    auto id = result.outcomes[i].emitted.begin();
    for (const stream::Effect& effect : unit.effects) {
      if (effect.kind != stream::EffectKind::kEmit) continue;
      appends_.push_back(
          {{effect.stream, *id++, ended}, number_of(stream::FieldsView(effect.bytes))});
    }
  }
  if (next != nullptr) note(next->group, result.next, ended);
}

Status TimedStore::flush(stream::CommitSeq seq) {
  const auto began = Steady::now();
  const Status status = store_.flush(seq);
  const double us = seconds_since(began) * 1e6;
  const std::lock_guard lock(mutex_);
  flush_us_.push_back(us);
  return status;
}

void TimedStore::note(stream::GroupId group, const std::vector<stream::Delivery>& deliveries,
                      Steady::time_point at) {
  for (const stream::Delivery& delivery : deliveries)
    deliveries_.push_back({group, delivery.entry.id, at});
}

}  // namespace sluice::bench
