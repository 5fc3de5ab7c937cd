// The quick way through most JSON documents.
//
// Plain is an object in ASCII without escapes, at most 64 levels deep, and without numbers that
// have an exponent or more than 40 characters. Here it is read as strictly as by RapidJSON, which
// reads all else and says what is wrong with it: a reader asks this one first and begins anew when
// it says no.
//
// One pass without memory of its own: payloads have a few hundred bytes and texts of about ten, for
// which an index of the document costs more than it saves.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace sluice {

class PlainJson {
 public:
  // Zero bytes that RapidJSON wants behind a document it reads in place. Nothing behind the end is
  // looked at here.
  static constexpr size_t kBehind = 8;

  // Hands on the events of the document of `size` bytes at `bytes` as rapidjson::Reader does,
  // numbers as their text. Texts are views of the document; numbers and texts go by their size, as
  // nothing ends them.
  //
  // False: it is not plain, is no JSON, or `handler` returned false. What the handler was told
  // counts for nothing then.
  template <typename Handler>
  bool read(const char* bytes, size_t size, Handler& handler) {
    if (size > UINT32_MAX) return false;  // sizes are told in 32 bits
    end_ = bytes + size;
    const char* at = bytes;
    if (next(at) != '{') return false;
    at = read_object(at + 1, 1, handler);
    if (at == nullptr) return false;
    next(at);
    return at == end_;
  }

 private:
  static constexpr unsigned kDepthMax = 64;

  // These take the place behind the bracket that opens, and return the one behind the bracket that
  // closes; nullptr ends the reading.
  template <typename Handler>
  const char* read_object(const char* at, unsigned depth, Handler& handler) {
    if (depth > kDepthMax || !handler.StartObject()) return nullptr;
    uint32_t count = 0;
    char c = next(at);
    if (c == '}') return handler.EndObject(0) ? at + 1 : nullptr;
    while (c == '"') {
      const char* const key = at + 1;
      at = find_quote(key);
      if (at == nullptr || !handler.Key(key, static_cast<uint32_t>(at - key), false))
        return nullptr;
      if (next(++at) != ':') return nullptr;
      at = read_value(at + 1, depth, handler);
      if (at == nullptr) return nullptr;
      ++count;
      c = next(at);
      if (c == '}') return handler.EndObject(count) ? at + 1 : nullptr;
      if (c != ',') return nullptr;
      c = next(++at);
    }
    return nullptr;
  }

  template <typename Handler>
  const char* read_array(const char* at, unsigned depth, Handler& handler) {
    if (depth > kDepthMax || !handler.StartArray()) return nullptr;
    uint32_t count = 0;
    if (next(at) == ']') return handler.EndArray(0) ? at + 1 : nullptr;
    while (true) {
      at = read_value(at, depth, handler);
      if (at == nullptr) return nullptr;
      ++count;
      const char c = next(at);
      if (c == ']') return handler.EndArray(count) ? at + 1 : nullptr;
      if (c != ',') return nullptr;
      ++at;
    }
  }

  // What follows a value is looked at by the object or list around it.
  template <typename Handler>
  const char* read_value(const char* at, unsigned depth, Handler& handler) {
    switch (next(at)) {
      case '"': {
        const char* const text = at + 1;
        at = find_quote(text);
        return at != nullptr && handler.String(text, static_cast<uint32_t>(at - text), false)
                   ? at + 1
                   : nullptr;
      }
      case '{':
        return read_object(at + 1, depth + 1, handler);
      case '[':
        return read_array(at + 1, depth + 1, handler);
      case 't':
        return starts_with(at, "true") && handler.Bool(true) ? at + 4 : nullptr;
      case 'f':
        return starts_with(at, "false") && handler.Bool(false) ? at + 5 : nullptr;
      case 'n':
        return starts_with(at, "null") && handler.Null() ? at + 4 : nullptr;
      default: {
        const char* const number = at;
        at = pass_number(number);
        return at != nullptr && at - number <= kNumberBytesMax &&
                       handler.RawNumber(number, static_cast<uint32_t>(at - number), false)
                   ? at
                   : nullptr;
      }
    }
  }

  // Passes space, of which there is mostly none; returns what is behind it, 0 for the end.
  [[gnu::always_inline]] char next(const char*& at) const {
    for (; at != end_; ++at) {
      const char c = *at;
      if (c > ' ' || (c != ' ' && c != '\n' && c != '\t' && c != '\r')) return c;
    }
    return '\0';
  }

  bool starts_with(const char* at, std::string_view word) const {
    return std::string_view(at, static_cast<size_t>(end_ - at)).starts_with(word);
  }

  // The quote that ends the text at `at`; nullptr when there is none, or the text is not plain.
  const char* find_quote(const char* at) const {
#if defined(__SSE2__)
    for (; end_ - at >= 16; at += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
      // Less than a space, with a sign: control characters, and what is not ASCII.
      const __m128i odd = _mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(' ')),
                                       _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                                    _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
      const auto found = static_cast<unsigned>(_mm_movemask_epi8(odd));
      if (found == 0) continue;
      at += std::countr_zero(found);
      return *at == '"' ? at : nullptr;
    }
#endif
    for (; at != end_; ++at) {
      if (*at == '"') return at;
      if (static_cast<signed char>(*at) < ' ' || *at == '\\') return nullptr;
    }
    return nullptr;
  }

  static constexpr ptrdiff_t kNumberBytesMax = 40;

  // Where the number at `at` ends; nullptr when there is none.
  const char* pass_number(const char* at) const {
    if (is_at(at, '-')) ++at;
    if (is_at(at, '0')) {
      ++at;
    } else {
      const char* const first = at;
      at = pass_digits(at);
      if (at == first) return nullptr;
    }
    if (!is_at(at, '.')) return at;
    const char* const first = at + 1;
    at = pass_digits(first);
    return at != first ? at : nullptr;
  }
  bool is_at(const char* at, char c) const { return at != end_ && *at == c; }
  const char* pass_digits(const char* at) const {
    while (at != end_ && *at >= '0' && *at <= '9') ++at;
    return at;
  }

  const char* end_ = nullptr;
};

}  // namespace sluice
