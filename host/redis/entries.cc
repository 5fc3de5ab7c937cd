#include "redis/entries.h"

#include <charconv>

namespace sluice::redis {

using stream::Delivery;
using stream::Entry;
using stream::Fields;
using stream::FieldsView;
using stream::FieldView;
using stream::KeyValue;

Fields read_fields(std::span<const Reply> pairs) {
  Fields fields;
  if (pairs.size() == 2 && pairs[0].text.empty() && pairs[1].text.empty()) return fields;
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) fields.add(pairs[i].text, pairs[i + 1].text);
  return fields;
}

std::optional<Entry> read_entry(const Reply& reply) {
  if (reply.items.size() != 2 || reply.items[1].kind != Reply::Kind::kArray) return std::nullopt;
  const auto id = reply.items[0].id();
  if (!id) return std::nullopt;
  return Entry{*id, read_fields(reply.items[1].items)};
}

void read_deliveries(const Reply& reply, WallTime now, std::vector<Delivery>& into) {
  for (const Reply& stream : reply.items) {
    if (stream.items.size() != 2) continue;
    into.reserve(into.size() + stream.items[1].items.size());
    for (const Reply& item : stream.items[1].items) {
      auto entry = read_entry(item);
      if (entry) into.push_back({std::move(*entry), 1, now});
    }
  }
}

std::optional<KeyValue> read_value(std::span<const Reply> answer) {
  if (answer.size() < 3) return std::nullopt;
  KeyValue value;
  value.is_fields = answer[0].text == "fields";
  value.expires_ms = to_number(answer[1].text);
  value.bytes = value.is_fields ? read_fields(answer.subspan(2)).encoded() : answer[2].text;
  return value;
}

const Reply* find(const Reply& pairs, std::string_view name) {
  for (size_t i = 0; i + 1 < pairs.items.size(); i += 2) {
    if (pairs.items[i].text == name) return &pairs.items[i + 1];
  }
  return nullptr;
}

size_t bytes_of(const Entry& entry) { return entry.fields.encoded().size(); }

WallTime time_of(int64_t ms) {
  constexpr int64_t kYear10000 = 253'402'300'800'000;
  return ms < 0 || ms >= kYear10000 ? WallTime{} : from_ms(ms);
}

int64_t to_number(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace sluice::redis
