#include "runtime/call.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "base/mutant.h"
#include "runtime/probe.h"

namespace sluice::runtime {

namespace {

std::string_view view(sluice_text text) { return {text.data, text.size}; }
sluice_text raw(std::string_view text) { return {text.data(), text.size()}; }

void encode(stream::Fields& out, const sluice_field* fields, size_t count) {
  out.clear();
  for (size_t i = 0; i < count; ++i) out.add(view(fields[i].name), view(fields[i].value));
}

// Whether `unit` writes or removes `key`; then `left` is what it leaves there.
bool leaves(const stream::Unit& unit, std::string_view key, std::optional<stream::KeyValue>& left) {
  const auto leave = [&](std::string_view bytes, bool is_fields) {
    left.emplace();
    left->bytes = bytes;
    left->is_fields = is_fields;
    return true;
  };
  for (auto effect = unit.effects.rbegin(); effect != unit.effects.rend(); ++effect) {
    if (effect->key != key) continue;
    if (effect->kind == stream::EffectKind::kPut) return leave(effect->bytes, false);
    if (effect->kind == stream::EffectKind::kPutFields) return leave(effect->bytes, true);
    if (effect->kind == stream::EffectKind::kErase) return left.reset(), true;
  }
  for (const stream::Condition& condition : unit.conditions) {
    if (condition.key != key) continue;
    if (condition.kind == stream::ConditionKind::kClaim) return leave(condition.value, false);
    if (condition.kind == stream::ConditionKind::kTake) return left.reset(), true;
  }
  return false;
}

constexpr size_t kSparesMax = 1024;  // units; more than most batches have

int32_t answer(std::optional<std::string_view> value, sluice_text* out) {
  if (!value) return 0;
  *out = raw(*value);
  return 1;
}

}  // namespace

stream::milliseconds to_milliseconds(int64_t us) {
  return stream::milliseconds(us <= 0 ? 0 : (us + 999) / 1000);
}

// The functions of the C table. None may throw: std::bad_alloc apart, nothing below does, and that
// one is fatal to the process on purpose.
struct HostCalls {
  static Call& self(void* call) { return *static_cast<Call*>(call); }
  static const stream::Delivery* delivery(void* call) {
    const Item* item = self(call).item_;
    return item == nullptr ? nullptr : &item->delivery;
  }

  static int64_t now_us(void* call) noexcept { return to_us(self(call).now_); }

  static sluice_text input(void* call) noexcept {
    const Item* item = self(call).item_;
    return item == nullptr ? sluice_text{"", 0} : raw(self(call).site_.input_ports[item->wire]);
  }

  static sluice_text entry_id(void* call) noexcept {
    if (delivery(call) == nullptr) return {"", 0};
    std::optional<EntryId::Text>& text = self(call).entry_id_;
    if (!text) text.emplace(delivery(call)->entry.id);
    return raw(text->view());
  }

  static uint32_t delivery_count(void* call) noexcept {
    return delivery(call) == nullptr ? 0 : delivery(call)->delivery_count;
  }

  static int64_t first_delivered_us(void* call) noexcept {
    return delivery(call) == nullptr ? 0 : to_us(delivery(call)->first_delivered_at);
  }

  static size_t field_count(void* call) noexcept {
    return delivery(call) == nullptr ? 0 : delivery(call)->entry.fields.count();
  }

  static int32_t field_at(void* call, size_t index, sluice_field* out) noexcept {
    if (delivery(call) == nullptr) return 0;
    Call& c = self(call);
    const stream::FieldsView fields = delivery(call)->entry.fields.view();
    if (!c.next_field_ || index < c.next_field_index_) {
      c.next_field_ = fields.begin();
      c.next_field_index_ = 0;
    }
    auto& field = *c.next_field_;
    for (; field != fields.end(); ++field) {
      if (c.next_field_index_++ < index) continue;
      *out = {raw(field->name), raw(field->value)};
      ++field;
      return 1;
    }
    return 0;
  }

  static int32_t field(void* call, sluice_text name, sluice_text* out) noexcept {
    if (delivery(call) == nullptr) return 0;
    return answer(delivery(call)->entry.fields.find(view(name)), out);
  }

  static int32_t get(void* call, sluice_text key, sluice_text* out) noexcept {
    const ShownValue& shown = self(call).show(view(key));
    *out = {"", 0};
    // A value that cannot be read is not an absent one: the call ends here, and the run with it.
    if (!self(call).store_error_.is_ok()) return SLUICE_GET_PENDING;
    if (!shown.value) return SLUICE_GET_ABSENT;
    if (shown.value->is_fields) return SLUICE_GET_FIELDS;
    *out = raw(shown.value->bytes);
    return SLUICE_GET_TEXT;
  }

  static int32_t get_field(void* call, sluice_text key, sluice_text name,
                           sluice_text* out) noexcept {
    const ShownValue& shown = self(call).show(view(key));
    if (!shown.value || !shown.value->is_fields) return 0;
    return answer(shown.value->fields().find(view(name)), out);
  }

  static int32_t policy(void* call, sluice_text hook, const sluice_value* args, size_t arg_count,
                        sluice_value* results, size_t result_count) noexcept {
    Call& c = self(call);
    if (c.site_.probe != nullptr) c.site_.probe->policy_called(c.site_.stage, view(hook));
    const Status called =
        c.policy_ == nullptr
            ? Status(Code::kInvalid,
                     "policy " + std::string(view(hook)) + " asked outside an entry")
            : c.policy_->call(view(hook), {args, arg_count}, {results, result_count});
    if (called.is_ok()) {
      // The state's texts live until its next call; a stage may ask several hooks.
      for (size_t i = 0; i < result_count; ++i)
        results[i].text = raw(c.arena_.copy(view(results[i].text)));
      return 0;
    }
    c.fault_ = Call::Fault{"policy_error", called.text(), std::string(view(hook))};
    return -1;
  }

  static sluice_text policy_version(void* call) noexcept {
    const Call& c = self(call);
    return c.policy_ == nullptr ? sluice_text{"", 0} : raw(c.policy_->script().version());
  }

  static void claim(void* call, sluice_text key, sluice_text value, int64_t ttl_us) noexcept {
    Call& c = self(call);
    stream::Condition condition;
    condition.kind = stream::ConditionKind::kClaim;
    condition.key = c.arena_.copy(view(key));
    condition.value = c.arena_.copy(view(value));
    condition.ttl = to_milliseconds(ttl_us);
    c.conditions_.push_back(condition);
  }

  static void take(void* call, sluice_text key) noexcept {
    Call& c = self(call);
    stream::Condition condition;
    condition.kind = stream::ConditionKind::kTake;
    condition.key = c.arena_.copy(view(key));
    c.conditions_.push_back(condition);
  }

  static void reserve(void* call, sluice_text counter, int64_t amount, int64_t limit,
                      uint32_t window_kind, int64_t window_us) noexcept {
    Call& c = self(call);
    stream::Condition condition;
    condition.kind = stream::ConditionKind::kReserve;
    condition.key = c.arena_.copy(view(counter));
    condition.amount = amount;
    condition.limit = limit;
    condition.window.kind = window_kind == SLUICE_WINDOW_SLIDING ? stream::WindowKind::kSliding
                                                                 : stream::WindowKind::kFixed;
    condition.window.length = to_milliseconds(window_us);
    c.conditions_.push_back(condition);
  }

  static void unchanged(void* call, sluice_text key) noexcept {
    Call& c = self(call);
    const auto shown = std::find_if(c.shown.begin(), c.shown.end(), [&](const ShownValue& value) {
      return value.key == view(key);
    });
    if (shown == c.shown.end()) {
      c.fault_ = Call::Fault{"plugin_error",
                             "unchanged(\"" + std::string(view(key)) + "\") without a get of it"};
      return;
    }
    stream::Condition condition;
    condition.kind = stream::ConditionKind::kUnchanged;
    condition.key = c.arena_.copy(view(key));
    condition.present = shown->value.has_value();
    if (shown->value) {
      condition.value = c.arena_.copy(shown->value->bytes);
      condition.is_fields = shown->value->is_fields;
    }
    c.conditions_.push_back(condition);
  }

  static int32_t failure(void* call, sluice_failure* out) noexcept {
    const Item* item = self(call).item_;
    if (item == nullptr || item->failures.empty()) return 0;
    const ConditionFailure& failure = item->failures.back();
    *out = {};
    out->condition = static_cast<uint32_t>(failure.kind);
    out->key = raw(failure.key);
    out->met_present = failure.met_value ? 1 : 0;
    if (failure.met_value && !failure.met_value->is_fields)
      out->met_text = raw(failure.met_value->bytes);
    out->met_count = failure.met_count;
    out->met_until_us = to_us(failure.met_until);
    return 1;
  }

  static int32_t emit(void* call, sluice_text port, const sluice_field* fields,
                      size_t count) noexcept {
    Call& c = self(call);
    const auto& outputs = c.site_.outputs;
    const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const OutputPort& output) {
      return output.name == view(port);
    });
    if (found == outputs.end()) {
      const auto& unwired = c.site_.unwired;
      return std::find(unwired.begin(), unwired.end(), view(port)) == unwired.end() ? -1 : 0;
    }
    encode(c.encoded_, fields, count);
    const stream::Fields& encoded = c.encoded_;
    if (found->schema != nullptr && !c.fault_) {
      if (const auto violation = found->schema->check(encoded.view()))
        c.fault_ = Call::Fault{"schema", found->schema->name() + ": " + violation->text()};
    }
    const std::string_view kept = c.arena_.copy(encoded.encoded());
    stream::Effect effect;
    effect.kind = stream::EffectKind::kEmit;
    effect.stream = found->stream;
    effect.bytes = kept;
    c.effects_.push_back(effect);
    c.emissions_.push_back({&*found, kept});
    return 0;
  }

  static void put(void* call, sluice_text key, sluice_text value, int64_t ttl_us) noexcept {
    add_put(self(call), stream::EffectKind::kPut, view(key), view(value), ttl_us);
  }

  static void put_fields(void* call, sluice_text key, const sluice_field* fields, size_t count,
                         int64_t ttl_us) noexcept {
    Call& c = self(call);
    encode(c.encoded_, fields, count);
    add_put(c, stream::EffectKind::kPutFields, view(key), c.encoded_.encoded(), ttl_us);
  }

  static void add_put(Call& c, stream::EffectKind kind, std::string_view key,
                      std::string_view bytes, int64_t ttl_us) {
    stream::Effect effect;
    effect.kind = kind;
    effect.key = c.arena_.copy(key);
    effect.bytes = c.arena_.copy(bytes);
    effect.ttl = to_milliseconds(ttl_us);
    c.effects_.push_back(effect);
  }

  static void erase(void* call, sluice_text key) noexcept {
    Call& c = self(call);
    stream::Effect effect;
    effect.kind = stream::EffectKind::kErase;
    effect.key = c.arena_.copy(view(key));
    c.effects_.push_back(effect);
  }

  static void release(void* call, sluice_text counter, int64_t amount,
                      int64_t reserved_at_us) noexcept {
    Call& c = self(call);
    stream::Effect effect;
    effect.kind = stream::EffectKind::kRelease;
    effect.key = c.arena_.copy(view(counter));
    effect.amount = amount;
    effect.reserved_at = from_us(reserved_at_us);
    c.effects_.push_back(effect);
  }

  static void explain(void* call, sluice_text reason, sluice_text detail) noexcept {
    self(call).reason = view(reason);
    self(call).detail = view(detail);
  }

  static void wait_on(void* call, const sluice_text* keys, size_t count,
                      int64_t until_us) noexcept {
    Call& c = self(call);
    c.wait_keys.clear();
    for (size_t i = 0; i < count; ++i) c.wait_keys.emplace_back(view(keys[i]));
    c.until_us = until_us;
  }

  static void retry_after(void* call, int64_t after_us) noexcept { self(call).after_us = after_us; }

  static void act_request(void* call, sluice_text idempotency_key, const sluice_field* fields,
                          size_t count) noexcept {
    Call& c = self(call);
    c.idempotency_key = view(idempotency_key);
    encode(c.request, fields, count);
  }

  static void log(void* call, uint32_t level, sluice_text text) noexcept {
    const uint32_t known = std::min<uint32_t>(level, SLUICE_LOG_ERROR);
    const auto wanted = static_cast<log::Level>(known);
    if (log::enabled(wanted))
      log::write(wanted, self(call).site_.stage + ": " + std::string(view(text)));
  }

  static uint64_t random(void* call) noexcept {
    Random* source = self(call).random_;
    return source == nullptr ? 0 : source->next();
  }

  static int32_t request_field(void* call, sluice_text name, sluice_text* out) noexcept {
    const Item* item = self(call).item_;
    return item == nullptr ? 0 : answer(item->request.find(view(name)), out);
  }

  static sluice_text idempotency_key(void* call) noexcept {
    const Item* item = self(call).item_;
    return item == nullptr ? sluice_text{"", 0} : raw(item->idempotency_key);
  }

  static int64_t requested_us(void* call) noexcept {
    const Item* item = self(call).item_;
    return item == nullptr ? 0 : to_us(item->requested_at);
  }

  static int32_t recovered(void* call) noexcept {
    const Item* item = self(call).item_;
    return item != nullptr && item->recovered ? 1 : 0;
  }

  static void outcome(void* call, const sluice_field* fields, size_t count) noexcept {
    encode(self(call).outcome, fields, count);
  }

  static int32_t outcome_field(void* call, sluice_text name, sluice_text* out) noexcept {
    const Item* item = self(call).item_;
    return item == nullptr ? 0 : answer(item->outcome.find(view(name)), out);
  }

  static void count(void* call, sluice_text name, const sluice_field* labels, size_t label_count,
                    double amount) noexcept {
    self(call).measure(Measure::Kind::kCount, view(name), {labels, label_count}, amount, {});
  }

  static void gauge(void* call, sluice_text name, const sluice_field* labels, size_t label_count,
                    double value) noexcept {
    self(call).measure(Measure::Kind::kGauge, view(name), {labels, label_count}, value, {});
  }

  static void gauge_reserved(void* call, sluice_text name, const sluice_field* labels,
                             size_t label_count, sluice_text counter) noexcept {
    self(call).measure(Measure::Kind::kReserved, view(name), {labels, label_count}, 0,
                       view(counter));
  }

  static const void* extension(void*, const char* id) noexcept {
    static constexpr sluice_metrics kMetrics{.struct_size = sizeof(sluice_metrics),
                                             .count = &HostCalls::count,
                                             .gauge = &HostCalls::gauge,
                                             .gauge_reserved = &HostCalls::gauge_reserved};
    return std::string_view(id) == SLUICE_METRICS_EXTENSION ? &kMetrics : nullptr;
  }
};

const sluice_host* Call::host_table() {
  static constexpr sluice_host kTable{
      .struct_size = sizeof(sluice_host),
      .abi_minor = SLUICE_ABI_MINOR,
      .reserved = 0,
      .now_us = &HostCalls::now_us,
      .input = &HostCalls::input,
      .entry_id = &HostCalls::entry_id,
      .delivery_count = &HostCalls::delivery_count,
      .first_delivered_us = &HostCalls::first_delivered_us,
      .field_count = &HostCalls::field_count,
      .field_at = &HostCalls::field_at,
      .field = &HostCalls::field,
      .get = &HostCalls::get,
      .get_field = &HostCalls::get_field,
      .policy = &HostCalls::policy,
      .policy_version = &HostCalls::policy_version,
      .claim = &HostCalls::claim,
      .take = &HostCalls::take,
      .reserve = &HostCalls::reserve,
      .unchanged = &HostCalls::unchanged,
      .failure = &HostCalls::failure,
      .emit = &HostCalls::emit,
      .put = &HostCalls::put,
      .put_fields = &HostCalls::put_fields,
      .erase = &HostCalls::erase,
      .release = &HostCalls::release,
      .explain = &HostCalls::explain,
      .wait_on = &HostCalls::wait_on,
      .retry_after = &HostCalls::retry_after,
      .act_request = &HostCalls::act_request,
      .log = &HostCalls::log,
      .random = &HostCalls::random,
      .request_field = &HostCalls::request_field,
      .idempotency_key = &HostCalls::idempotency_key,
      .requested_us = &HostCalls::requested_us,
      .recovered = &HostCalls::recovered,
      .outcome = &HostCalls::outcome,
      .outcome_field = &HostCalls::outcome_field,
      .extension = &HostCalls::extension,
  };
  return &kTable;
}

Call::Call(const CallSite& site, Arena& arena) : site_(site), arena_(arena) {}

void Call::begin(Item* item, policy::State* policy, Random* random, const UnitChain* before) {
  item_ = item;
  before_ = SLUICE_MUTANT(batch_mate_unseen) ? nullptr : before;
  next_field_.reset();
  policy_ = policy;
  random_ = random;
  now_ = site_.clock->now();
  entry_id_.reset();
  conditions_.clear();
  effects_.clear();
  emissions_.clear();
  measures_.clear();
  fault_.reset();
  store_error_ = Status::ok();
  reason.clear();
  detail.clear();
  wait_keys.clear();
  until_us = after_us = 0;
  idempotency_key.clear();
  request.clear();
  outcome.clear();
  shown.clear();
}

stream::Unit Call::take_unit() {
  stream::Unit unit;
  if (!spare_units_.empty()) {
    unit = std::move(spare_units_.back());
    spare_units_.pop_back();
  }
  unit.conditions.swap(conditions_);
  unit.effects.swap(effects_);
  return unit;
}

std::vector<Call::Emission> Call::take_emissions() {
  std::vector<Emission> emissions;
  if (!spare_emissions_.empty()) {
    emissions = std::move(spare_emissions_.back());
    spare_emissions_.pop_back();
  }
  emissions.swap(emissions_);
  return emissions;
}

void Call::give_back(stream::Unit unit, std::vector<Emission> emissions) {
  if (spare_units_.size() >= kSparesMax) return;
  stream::Unit& spare = spare_units_.emplace_back();
  spare.conditions = std::move(unit.conditions);
  spare.conditions.clear();
  spare.effects = std::move(unit.effects);
  spare.effects.clear();
  emissions.clear();
  spare_emissions_.push_back(std::move(emissions));
}

void Call::measure(Measure::Kind kind, std::string_view name, std::span<const sluice_field> labels,
                   double value, std::string_view counter) {
  const auto& metrics = site_.kind->metrics;
  const auto found = std::ranges::find(metrics, name, &plugin::Metric::name);
  const auto bad = [&](const std::string& text) {
    if (!fault_) fault_ = Fault{"plugin_error", "metric \"" + std::string(name) + "\" " + text};
  };
  if (found == metrics.end()) return bad("is not described");
  const bool counts = kind == Measure::Kind::kCount;
  if (counts != (found->type == plugin::MetricType::kCounter))
    return bad(counts ? "is a gauge and was counted" : "is a counter and was set");
  if (counts && !(value >= 0 && std::isfinite(value)))
    return bad("was counted by " + std::to_string(value) + "; a counter only grows");
  Measure measure{
      static_cast<size_t>(found - metrics.begin()), kind, {}, value, arena_.copy(counter)};
  for (const std::string& label : found->labels) {
    const auto given = std::ranges::find_if(
        labels, [&](const sluice_field& field) { return view(field.name) == label; });
    if (given == labels.end()) return bad("was given no label \"" + label + "\"");
    measure.labels.push_back(arena_.copy(view(given->value)));
  }
  if (labels.size() != found->labels.size())
    return bad("has " + std::to_string(found->labels.size()) + " labels and was given " +
               std::to_string(labels.size()));
  measures_.push_back(std::move(measure));
}

const ShownValue& Call::show(std::string_view key) {
  // One value per key and call: a stage that asks twice decides on one state of the world.
  for (const ShownValue& have : shown) {
    if (have.key == key) return have;
  }
  ShownValue& value = shown.emplace_back(ShownValue{std::string(key), std::nullopt});
  for (const UnitChain* one = before_; one != nullptr; one = one->before) {
    if (leaves(*one->unit, key, value.value)) return value;
  }
  if (auto got = site_.store->get(key)) {
    value.value = std::move(got).value();
  } else {
    store_error_ = got.status();
  }
  return value;
}

}  // namespace sluice::runtime
