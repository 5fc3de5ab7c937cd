// Entries and keys between the server's replies and ours.
//
// Redis has no entry and no hash without a field: one empty name with an empty value stands for
// none.
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "redis/resp.h"
#include "stream/store.h"

namespace sluice::redis {

// How many fields of these Redis is given, and each name and value of them for `take`.
inline size_t stored_count(stream::FieldsView fields) {
  return std::max<size_t>(fields.count(), 1);
}
template <typename Take>
void each_stored(stream::FieldsView fields, const Take& take) {
  if (fields.empty()) take(std::string_view(), std::string_view());
  for (const stream::FieldView& field : fields) take(field.name, field.value);
}

// Names and values in turn.
stream::Fields read_fields(std::span<const Reply> pairs);

// One [id, [name, value, ...]] of XRANGE and XREADGROUP; nullopt when it was deleted or is no
// entry.
std::optional<stream::Entry> read_entry(const Reply& reply);

// Appends the entries of an XREADGROUP of one stream, each delivered the first time, at `now`.
void read_deliveries(const Reply& reply, WallTime now, std::vector<stream::Delivery>& into);

// What `describe` of scripts/common.lua says, from `answer` on.
std::optional<stream::KeyValue> read_value(std::span<const Reply> answer);

// The value under `name` in a list of names and values; nullptr when it is not there.
const Reply* find(const Reply& pairs, std::string_view name);

// Size of an entry as `bytes_max` of a read counts it.
size_t bytes_of(const stream::Entry& entry);

// Milliseconds since the epoch as a time; the epoch itself for what lies before it or beyond the
// year 9999, which is nobody's time and would not fit into microseconds.
WallTime time_of(int64_t ms);

// A whole number; 0 when the text is none.
int64_t to_number(std::string_view text);

}  // namespace sluice::redis
