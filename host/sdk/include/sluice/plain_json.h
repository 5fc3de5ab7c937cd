// The quick way through most JSON documents; links libsimdjson.
//
// Plain is an object of at most 64 KiB in ASCII without escapes, and without numbers that have an
// exponent or more than 40 characters. Here simdjson is as strict as RapidJSON, which reads all
// else and says what is wrong with it: a reader asks this one first and begins anew when it says
// no.
#pragma once

// simdjson looks at itself with each step where asserts are on: 3.5 of 94 thousand instructions of
// a decision. Where mistakes are searched for it may.
#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN
#endif
#endif
#if defined(NDEBUG) || defined(SLUICE_ASAN)
#include <simdjson.h>
#else
#define NDEBUG
#include <simdjson.h>
#undef NDEBUG
#endif
#undef SLUICE_ASAN

#include <cassert>  // again, with its word of before
#include <cstring>
#include <string_view>

#include "sluice/json_text.h"

namespace sluice {

class PlainJson {
 public:
  // Bytes behind a document that must be readable.
  static constexpr size_t kBehind = simdjson::SIMDJSON_PADDING;

  // Hands on the events of the document of `size` bytes at `bytes` as rapidjson::Reader does,
  // numbers as their text. Texts are views of the document; numbers and texts go by their size, as
  // nothing ends them.
  //
  // False: it is not plain, is no JSON, or `handler` returned false. What the handler was told
  // counts for nothing then.
  template <typename Handler>
  bool read(const char* bytes, size_t size, Handler& handler) {
    namespace ondemand = simdjson::ondemand;
    const std::string_view text(bytes, size);
    if (size > kBytesMax || !is_ascii(text) || text.find('\\') != text.npos) return false;
    end_ = bytes + size;
    ondemand::document document;
    ondemand::object object;
    if (parser_.iterate(bytes, size, size + kBehind).get(document) != simdjson::SUCCESS ||
        document.get_object().get(object) != simdjson::SUCCESS || !read_object(object, handler))
      return false;
    // Errors at the end of the text alone.
    return document.current_location().error() == simdjson::OUT_OF_BOUNDS;
  }

 private:
  // simdjson keeps six bytes of memory for each of the largest document.
  static constexpr size_t kBytesMax = 64 << 10;

  // As deep as the handler lets it.
  template <typename Handler>
  bool read_object(simdjson::ondemand::object& object, Handler& handler) {
    if (!handler.StartObject()) return false;
    uint32_t count = 0;
    for (auto member : object) {
      simdjson::ondemand::field field;
      if (std::move(member).get(field) != simdjson::SUCCESS) return false;
      const char* const key = field.key().raw();
      const void* const quote = std::memchr(key, '"', static_cast<size_t>(end_ - key));
      if (quote == nullptr) return false;
      const auto key_size = static_cast<uint32_t>(static_cast<const char*>(quote) - key);
      if (!handler.Key(key, key_size, false) || !read_value(field.value(), handler)) return false;
      ++count;
    }
    return handler.EndObject(count);
  }

  template <typename Handler>
  bool read_array(simdjson::ondemand::array& array, Handler& handler) {
    if (!handler.StartArray()) return false;
    uint32_t count = 0;
    for (auto item : array) {
      simdjson::ondemand::value value;
      if (std::move(item).get(value) != simdjson::SUCCESS || !read_value(value, handler))
        return false;
      ++count;
    }
    return handler.EndArray(count);
  }

  template <typename Handler>
  bool read_value(simdjson::ondemand::value value, Handler& handler) {
    std::string_view token = value.raw_json_token();
    while (!token.empty() && is_space(token.back())) token.remove_suffix(1);
    if (token.empty()) return false;
    switch (token.front()) {
      case '{': {
        simdjson::ondemand::object object;
        return value.get_object().get(object) == simdjson::SUCCESS && read_object(object, handler);
      }
      case '[': {
        simdjson::ondemand::array array;
        return value.get_array().get(array) == simdjson::SUCCESS && read_array(array, handler);
      }
      case '"':
        // Passed over here: when simdjson does that by itself, it also takes what looks like a key.
        return value.get_raw_json_string().error() == simdjson::SUCCESS && token.size() >= 2 &&
               token.back() == '"' &&
               handler.String(token.data() + 1, static_cast<uint32_t>(token.size() - 2), false);
      case 't':
        return token == "true" && handler.Bool(true);
      case 'f':
        return token == "false" && handler.Bool(false);
      case 'n':
        return token == "null" && handler.Null();
      default:
        return is_plain_number(token) &&
               handler.RawNumber(token.data(), static_cast<uint32_t>(token.size()), false);
    }
  }

  static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

  static bool is_plain_number(std::string_view text) {
    if (text.size() > 40) return false;
    const char *at = text.data(), *const end = at + text.size();
    const auto pass_digits = [&] {
      const char* const first = at;
      while (at != end && *at >= '0' && *at <= '9') ++at;
      return at != first;
    };
    if (*at == '-') ++at;
    if (at != end && *at == '0')
      ++at;
    else if (!pass_digits())
      return false;
    if (at != end && *at == '.' && (++at, !pass_digits())) return false;
    return at == end;
  }

  simdjson::ondemand::parser parser_;
  const char* end_ = nullptr;
};

}  // namespace sluice
