#include "stream/fields.h"

#include <cstdint>

namespace sluice::stream {

namespace {

// LEB128: seven bits a byte, low first.
void put_size(std::string& out, size_t size) {
  while (size >= 0x80) {
    out.push_back(static_cast<char>(size | 0x80));
    size >>= 7;
  }
  out.push_back(static_cast<char>(size));
}

// Reads a size from `at`; false when the bytes end early or it does not fit.
bool get_long_size(std::string_view bytes, size_t& at, size_t& out) {
  uint64_t size = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    if (at >= bytes.size()) return false;
    const auto byte = static_cast<unsigned char>(bytes[at++]);
    size |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) {
      out = size;
      return true;
    }
  }
  return false;
}

// Most sizes are of one byte.
inline bool get_text(std::string_view bytes, size_t& at, std::string_view& out) {
  size_t size = 0;
  if (at < bytes.size() && (bytes[at] & 0x80) == 0) {
    size = static_cast<unsigned char>(bytes[at++]);
  } else if (!get_long_size(bytes, at, size)) {
    return false;
  }
  if (size > bytes.size() - at) return false;
  out = std::string_view(bytes.data() + at, size);
  at += size;
  return true;
}

inline bool get_field(std::string_view bytes, size_t& at, FieldView& out) {
  return get_text(bytes, at, out.name) && get_text(bytes, at, out.value);
}

}  // namespace

void encode_field(std::string& out, std::string_view name, std::string_view value) {
  put_size(out, name.size());
  out.append(name);
  put_size(out, value.size());
  out.append(value);
}

void FieldsView::Iterator::read() {
  size_t at = 0;
  // Bytes that are not whole end the walk; `is_whole` is asked where they come from outside.
  if (rest_.empty() || !get_field(rest_, at, field_)) {
    rest_ = after_ = {};
    return;
  }
  after_ = rest_.substr(at);
}

bool FieldsView::is_whole(std::string_view encoded) {
  size_t at = 0;
  FieldView field;
  while (at < encoded.size()) {
    if (!get_field(encoded, at, field)) return false;
  }
  return true;
}

std::optional<std::string_view> FieldsView::find(std::string_view name) const {
  for (const FieldView& field : *this) {
    if (field.name == name) return field.value;
  }
  return std::nullopt;
}

size_t FieldsView::count() const {
  size_t count = 0;
  for (auto it = begin(); it != end(); ++it) ++count;
  return count;
}

Result<Fields> Fields::decode(std::string encoded) {
  if (!FieldsView::is_whole(encoded)) return Status(Code::kCorrupt, "fields are not whole");
  Fields fields;
  fields.encoded_ = std::move(encoded);
  return fields;
}

void Fields::add(std::string_view name, std::string_view value) {
  encode_field(encoded_, name, value);
}

}  // namespace sluice::stream
