// Writes JSON text for `--format json`: compact, valid UTF-8 whatever the data holds.
#pragma once

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::cli {

// Calls must nest properly, each value in an object after its key. Bytes that are not UTF-8 come
// out as U+FFFD.
//
//   JsonWriter json;
//   json.begin_object().member("name", "intents").member("length", 12).end_object();
//   out << json.text() << '\n';
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(bool value);
  JsonWriter& value(double number);  // not finite: null
  JsonWriter& null();
  template <std::integral T>
  JsonWriter& value(T number) {
    if constexpr (std::signed_integral<T>)
      writer_.Int64(static_cast<int64_t>(number));
    else
      writer_.Uint64(static_cast<uint64_t>(number));
    return *this;
  }
  template <typename T>
  JsonWriter& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : null();
  }

  template <typename T>
  JsonWriter& member(std::string_view name, const T& content) {
    return key(name).value(content);
  }

  // What was written so far; whole once everything begun is ended.
  std::string_view text() const { return {buffer_.GetString(), buffer_.GetSize()}; }

 private:
  rapidjson::StringBuffer buffer_;
  rapidjson::Writer<rapidjson::StringBuffer> writer_{buffer_};
};

}  // namespace sluice::cli
