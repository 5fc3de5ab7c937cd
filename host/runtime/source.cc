#include "runtime/source.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"

namespace sluice::runtime {

namespace {

constexpr Micros kDueAheadMax = std::chrono::hours(24);

}  // namespace

Source::Source(const StageContext& context, const graph::StageSpec& spec)
    : context_(context), spec_(spec), random_(context.seed, spec.name), call_(site_, arena_) {}

Result<std::unique_ptr<Source>> Source::open(const StageContext& context,
                                             const graph::StageSpec& spec,
                                             std::shared_ptr<plugin::Library> library) {
  std::unique_ptr<Source> source(new Source(context, spec));
  source->site_ = make_call_site(context, spec);
  auto instance = plugin::Instance::open(std::move(library), spec.kind->name,
                                         context.pipeline->name, spec.name, spec.settings);
  if (!instance) return instance.status().within("source " + spec.name);
  source->instance_ = std::move(instance).value();
  SLUICE_ASSIGN(due, context.store->get(source->due_key()));
  source->take_due(due);
  // A time this far ahead was not set under this clock.
  if (source->next_poll_ > context.clock->now() + kDueAheadMax) source->next_poll_ = WallTime{};
  return source;
}

void Source::take_due(const std::optional<stream::KeyValue>& value) {
  due_text_.reset();
  next_poll_ = WallTime{};
  polls_ = 0;
  if (!value) return;
  due_text_ = value->bytes;
  char* end = nullptr;
  next_poll_ = from_us(std::strtoll(due_text_->c_str(), &end, 10));
  polls_ = std::strtoull(end, nullptr, 10);
}

Progress Source::step() {
  Progress progress;
  if (stopped_) return progress;
  if (context_.clock->now() < next_poll_) {
    progress.next_due = next_poll_;
    return progress;
  }
  progress.worked = true;
  arena_.reset();
  call_.begin(nullptr, nullptr, &random_);
  int32_t code = 0;
  {
    const CallWatch::Call watched(watch_, CallWatch::Kind::kPoll, {});
    code = instance_->poll(call_.raw());
  }
  if (progress.error = call_.store_error(); !progress.error.is_ok()) return progress;
  if (code == SLUICE_POLL_FAILED || call_.fault()) {
    failed(call_.fault() ? call_.fault()->detail : call_.detail);
    return progress;
  }
  auto emissions = call_.take_emissions();
  const auto measures = call_.take_measures();
  next_poll_ = call_.now() + Micros(code == SLUICE_POLL_IDLE ? call_.after_us : 0);
  const std::string key = due_key();
  const std::string due = std::to_string(to_us(next_poll_)) + " " + std::to_string(polls_ + 1);
  stream::Unit unit = call_.take_unit();
  if (const Status kept = keep_share(unit, emissions); !kept.is_ok()) {
    failed(kept.text());
    return progress;
  }
  // First: it tells a poll of another host, and a commit that is made again and was done, from a
  // position that somebody moved.
  stream::Condition mine;
  mine.kind = stream::ConditionKind::kUnchanged;
  mine.key = key;
  mine.present = due_text_.has_value();
  mine.value = due_text_ ? std::string_view(*due_text_) : std::string_view();
  unit.conditions.insert(unit.conditions.begin(), mine);
  stream::Effect put;
  put.kind = stream::EffectKind::kPut;
  put.key = key;
  put.bytes = due;
  unit.effects.push_back(put);
  auto committed = context_.store->commit({&unit, 1});
  if (!committed) {
    progress.error = committed.status();
    return progress;
  }
  const stream::UnitOutcome& outcome = committed->outcomes.front();
  const bool polled =
      outcome.state == stream::UnitState::kConditionFailed && outcome.failed_condition == 0;
  if (polled && (!outcome.met_value || outcome.met_value->bytes != due)) {
    log::debug("{}: polled by another host", spec_.name);
    take_due(outcome.met_value);
    return progress;
  }
  if (!polled && outcome.state != stream::UnitState::kApplied) {
    // Somebody else moved the position it reads from: look again, from there.
    failed("its position changed under it");
    return progress;
  }
  failures_ = 0;
  due_text_ = due;
  ++polls_;
  if (context_.metrics != nullptr && !measures.empty()) context_.metrics->measured(spec_, measures);
  if (context_.probe != nullptr) {
    std::vector<std::string> ports;
    for (const Call::Emission& emission : emissions) ports.push_back(emission.port->name);
    context_.probe->committed(spec_, unit, ports);
  }
  if (context_.observer != nullptr) {
    for (const Call::Emission& emission : emissions)
      context_.observer->emitted(context_.pipeline->streams[emission.port->stream_index],
                                 stream::FieldsView(emission.fields), context_.clock->now());
  }
  if (code == SLUICE_POLL_END) stopped_ = true;
  return progress;
}

// Each share polls the world for itself, and what it finds of the others they find as well: their
// entries, and keys such as the snapshot of a symbol.
Status Source::keep_share(stream::Unit& unit, std::vector<Call::Emission>& emissions) const {
  const Share& share = context_.share;
  if (share.is_whole()) return Status::ok();
  for (const Call::Emission& emission : emissions)
    if (const stream::FieldsView fields(emission.fields); share.takes(fields) && !share.of(fields))
      return Status(Code::kInvalid, "what it emitted on " + emission.port->name + " has no " +
                                        share.by + ", which says the shard");
  const auto foreign = [&](std::string_view encoded) {
    return !share.takes(stream::FieldsView(encoded));
  };
  std::erase_if(emissions, [&](const auto& emission) { return foreign(emission.fields); });
  const auto of_other = [&](std::string_view key) {
    return std::ranges::any_of(spec_.kind->keys, [&](const plugin::KeyFamily& keys) {
      const auto value = value_in_key(key, keys.pattern, share.by);
      return value && share_of(*value, share.count) != share.index;
    });
  };
  std::erase_if(unit.effects, [&](const stream::Effect& effect) {
    return effect.kind == stream::EffectKind::kEmit ? foreign(effect.bytes) : of_other(effect.key);
  });
  return Status::ok();
}

std::string Source::due_key() const {
  return "sluice:source:" + context_.pipeline->name + ":" + spec_.name;
}

void Source::failed(std::string_view why) {
  const Micros wait =
      std::min<Micros>(spec_.retry_max, Micros(spec_.retry_min) * (1u << std::min(failures_, 10u)));
  ++failures_;
  log::warning("{}: poll failed, tried again in {} ms: {}", spec_.name, wait.count() / 1000, why);
  next_poll_ = context_.clock->now() + wait;
}

}  // namespace sluice::runtime
