#include "cli/json_writer.h"

#include <cmath>

#include "graph/text.h"

namespace sluice::cli {

namespace {

std::string repaired(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = graph::utf8_size(text);
    out += size == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

rapidjson::SizeType size_of(std::string_view text) {
  return static_cast<rapidjson::SizeType>(text.size());
}

}  // namespace

JsonWriter& JsonWriter::begin_object() {
  writer_.StartObject();
  return *this;
}

JsonWriter& JsonWriter::end_object() {
  writer_.EndObject();
  return *this;
}

JsonWriter& JsonWriter::begin_array() {
  writer_.StartArray();
  return *this;
}

JsonWriter& JsonWriter::end_array() {
  writer_.EndArray();
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  if (graph::is_utf8(name)) {
    writer_.Key(name.data(), size_of(name));
  } else {
    const std::string fixed = repaired(name);
    writer_.Key(fixed.data(), size_of(fixed));
  }
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  if (graph::is_utf8(text)) {
    // RapidJSON takes no null pointer, not even for nothing.
    writer_.String(text.empty() ? "" : text.data(), size_of(text));
  } else {
    const std::string fixed = repaired(text);
    writer_.String(fixed.data(), size_of(fixed));
  }
  return *this;
}

JsonWriter& JsonWriter::value(bool value) {
  writer_.Bool(value);
  return *this;
}

JsonWriter& JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  writer_.Double(number);
  return *this;
}

JsonWriter& JsonWriter::null() {
  writer_.Null();
  return *this;
}

}  // namespace sluice::cli
