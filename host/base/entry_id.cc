#include "base/entry_id.h"

#include <charconv>

namespace sluice {

namespace {

bool parse_number(std::string_view text, uint64_t& out) {
  if (text.empty()) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string EntryId::text() const { return std::string(Text(*this).view()); }

EntryId::Text::Text(EntryId id) {
  char* const end = bytes_.data() + bytes_.size();
  char* at = std::to_chars(bytes_.data(), end, id.ms).ptr;
  *at++ = '-';
  size_ = static_cast<size_t>(std::to_chars(at, end, id.seq).ptr - bytes_.data());
}

std::optional<EntryId> EntryId::parse(std::string_view text) {
  EntryId id;
  const size_t dash = text.find('-');
  if (!parse_number(text.substr(0, dash), id.ms)) return std::nullopt;
  if (dash == std::string_view::npos) return id;
  if (!parse_number(text.substr(dash + 1), id.seq)) return std::nullopt;
  return id;
}

EntryId next_entry_id(EntryId last, uint64_t now_ms) {
  if (now_ms > last.ms) return {now_ms, 0};
  return {last.ms, last.seq + 1};
}

}  // namespace sluice
