#include "runtime/share.h"

#include "base/crc16.h"
#include "runtime/json_member.h"

namespace sluice::runtime {

uint32_t share_of(std::string_view value, uint32_t count) { return crc16(value) % count; }

std::optional<std::string> find_value(stream::FieldsView fields, std::string_view name) {
  std::optional<std::string> found;
  if (const auto field = fields.find(name)) {
    found = std::string(*field);
  } else if (auto payload = fields.find("payload"); payload || (payload = fields.find("data"))) {
    found = json_member(*payload, name);
  }
  return found && found->empty() ? std::nullopt : found;
}

std::optional<std::string_view> value_in_key(std::string_view key, std::string_view pattern,
                                             std::string_view name) {
  const size_t open = pattern.find('{');
  if (open == pattern.npos || !key.starts_with(pattern.substr(0, open))) return std::nullopt;
  std::string_view rest = pattern.substr(open + 1);
  if (!rest.starts_with(name) || rest.substr(name.size(), 1) != "}") return std::nullopt;
  rest.remove_prefix(name.size() + 1);
  key.remove_prefix(open);
  const size_t end = rest.empty() ? key.size() : key.find(rest.front());
  if (end == key.npos || end == 0) return std::nullopt;
  return key.substr(0, end);
}

std::optional<uint32_t> Share::of(stream::FieldsView fields) const {
  if (is_whole()) return 0;
  const auto value = find_value(fields, by);
  return value ? std::optional(share_of(*value, count)) : std::nullopt;
}

}  // namespace sluice::runtime
