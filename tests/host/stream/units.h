// Conditions and effects in one line each, for tests.
#pragma once

#include "stream/store.h"

namespace sluice::stream::conformance {

using namespace std::chrono_literals;

inline Effect emit(StreamId stream, const Fields& fields) {
  Effect effect;
  effect.kind = EffectKind::kEmit;
  effect.stream = stream;
  effect.bytes = fields.encoded();
  return effect;
}
inline Effect put(std::string_view key, std::string_view text, milliseconds ttl = 0ms) {
  Effect effect;
  effect.kind = EffectKind::kPut;
  effect.key = key;
  effect.bytes = text;
  effect.ttl = ttl;
  return effect;
}
inline Effect put_fields(std::string_view key, const Fields& fields) {
  Effect effect;
  effect.kind = EffectKind::kPutFields;
  effect.key = key;
  effect.bytes = fields.encoded();
  return effect;
}
inline Effect erase(std::string_view key) {
  Effect effect;
  effect.kind = EffectKind::kErase;
  effect.key = key;
  return effect;
}
inline Effect release(std::string_view counter, int64_t amount, WallTime reserved_at) {
  Effect effect;
  effect.kind = EffectKind::kRelease;
  effect.key = counter;
  effect.amount = amount;
  effect.reserved_at = reserved_at;
  return effect;
}
inline Effect remove(StreamId stream, EntryId entry) {
  Effect effect;
  effect.kind = EffectKind::kRemove;
  effect.stream = stream;
  effect.entry = entry;
  return effect;
}
inline Condition claim_key(std::string_view key, std::string_view value, milliseconds ttl = 0ms) {
  Condition condition;
  condition.kind = ConditionKind::kClaim;
  condition.key = key;
  condition.value = value;
  condition.ttl = ttl;
  return condition;
}
inline Condition take(std::string_view key) {
  Condition condition;
  condition.kind = ConditionKind::kTake;
  condition.key = key;
  return condition;
}
inline Condition reserve(std::string_view counter, int64_t amount, int64_t limit,
                         Window window = {}) {
  Condition condition;
  condition.kind = ConditionKind::kReserve;
  condition.key = counter;
  condition.amount = amount;
  condition.limit = limit;
  condition.window = window;
  return condition;
}
inline Condition unchanged(std::string_view key, std::string_view shown, bool present = true,
                           bool is_fields = false) {
  Condition condition;
  condition.kind = ConditionKind::kUnchanged;
  condition.key = key;
  condition.value = shown;
  condition.present = present;
  condition.is_fields = is_fields;
  return condition;
}

}  // namespace sluice::stream::conformance
