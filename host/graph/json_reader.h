// JSON from outside, read event by event within bounds: nothing is built before it is checked.
#pragma once

#include <rapidjson/document.h>
#include <rapidjson/encodedstream.h>
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/text.h"
#include "sluice/json_text.h"
#include "sluice/plain_json.h"

namespace sluice::graph {

inline constexpr size_t kJsonBytesMax = 1 << 20;
inline constexpr size_t kJsonDepthMax = 32;
inline constexpr size_t kJsonValuesMax = 10'000;

struct JsonNumber {
  enum class Form { kSigned, kUnsigned, kDouble };  // kSigned: negative
  Form form = Form::kUnsigned;
  int64_t negative = 0;
  uint64_t positive = 0;
  double real = 0;  // always set

  static JsonNumber of(int64_t i) {
    JsonNumber n;
    n.form = i < 0 ? Form::kSigned : Form::kUnsigned;
    n.negative = i;
    n.positive = i < 0 ? 0 : static_cast<uint64_t>(i);
    n.real = static_cast<double>(i);
    return n;
  }
  static JsonNumber of(uint64_t u) {
    JsonNumber n;
    n.positive = u;
    n.real = static_cast<double>(u);
    return n;
  }
  static JsonNumber of(double d) {
    JsonNumber n;
    n.form = Form::kDouble;
    n.real = d;
    return n;
  }
  bool is_integer() const { return form != Form::kDouble; }

  // Below zero, zero or above: integers exactly, all else as doubles.
  int compare(const JsonNumber& other) const {
    if (!is_integer() || !other.is_integer())
      return real < other.real ? -1 : real > other.real ? 1 : 0;
    if (form != other.form) return form == Form::kSigned ? -1 : 1;
    if (form == Form::kSigned)
      return negative < other.negative ? -1 : negative > other.negative ? 1 : 0;
    return positive < other.positive ? -1 : positive > other.positive ? 1 : 0;
  }
};

// The value of a JSON number that is written plainly and with few digits, which is most of them;
// nullopt for all others.
//
// Up to 15 digits and powers of ten up to 22 are exact in a double, so that one division rounds as
// it should.
inline std::optional<JsonNumber> read_few_digits(std::string_view text) {
  constexpr size_t kDigitsMax = 15;
  static constexpr std::array<double, kDigitsMax + 1> kPowers = {
      1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  const bool is_below = text.starts_with('-');
  if (is_below) text.remove_prefix(1);
  if (text.size() > kDigitsMax + 1) return std::nullopt;
  uint64_t digits = 0;
  size_t point = text.size();
  for (size_t at = 0; at < text.size(); ++at) {
    const auto digit = static_cast<unsigned>(text[at] - '0');
    if (digit <= 9)
      digits = digits * 10 + digit;
    else if (text[at] == '.')
      point = at;
    else
      return std::nullopt;
  }
  if (point == text.size())
    return is_below ? JsonNumber::of(-static_cast<int64_t>(digits)) : JsonNumber::of(digits);
  const double real = static_cast<double>(digits) / kPowers[text.size() - point - 1];
  return JsonNumber::of(is_below ? -real : real);
}

// The value of a JSON number as written; nullopt when it is too large for a double.
//
// RapidJSON 1.1 counts the leading zeros of a zero mantissa, so that at full precision 0e38 reads
// as -1.9e227; here it only finds where numbers end.
inline std::optional<JsonNumber> read_number(std::string_view text) {
  if (const auto number = read_few_digits(text)) return number;
  const char* const end = text.data() + text.size();
  if (std::ranges::none_of(text, [](char c) { return c == '.' || c == 'e' || c == 'E'; })) {
    uint64_t u = 0;
    int64_t i = 0;
    if (std::from_chars(text.data(), end, u).ec == std::errc()) return JsonNumber::of(u);
    if (std::from_chars(text.data(), end, i).ec == std::errc()) return JsonNumber::of(i);
  }
  double d = 0;
  if (std::from_chars(text.data(), end, d).ec == std::errc()) return JsonNumber::of(d);
  // Out of range on one side or the other: told by the place of the first digit that counts.
  const size_t mantissa_end = std::min(text.find_first_of("eE"), text.size());
  const size_t dot = std::min(text.find('.'), mantissa_end);
  const size_t digit = text.find_first_of("123456789");
  if (digit >= mantissa_end) return JsonNumber::of(0.0);
  int64_t exponent = 0;
  if (mantissa_end < text.size()) {
    const bool plus = text[mantissa_end + 1] == '+';
    const auto read = std::from_chars(text.data() + mantissa_end + (plus ? 2 : 1), end, exponent);
    if (read.ec != std::errc()) exponent = text[mantissa_end + 1] == '-' ? -(1LL << 40) : 1LL << 40;
  }
  if (static_cast<int64_t>(dot) - static_cast<int64_t>(digit) + exponent > 0) return std::nullopt;
  return JsonNumber::of(0.0);
}

// Hands a document's events on, numbers as read_number reads them.
template <typename Handler>
class ExactNumbers {
 public:
  explicit ExactNumbers(Handler& handler) : handler_(handler) {}

  bool Null() { return handler_.Null(); }
  bool Bool(bool b) { return handler_.Bool(b); }
  bool Int(int i) { return handler_.Int(i); }
  bool Uint(unsigned u) { return handler_.Uint(u); }
  bool Int64(int64_t i) { return handler_.Int64(i); }
  bool Uint64(uint64_t u) { return handler_.Uint64(u); }
  bool Double(double d) { return handler_.Double(d); }
  bool RawNumber(const char* data, rapidjson::SizeType size, bool) {
    const auto number = read_number({data, size});
    if (!number) return false;
    if (number->form == JsonNumber::Form::kSigned) return handler_.Int64(number->negative);
    if (number->form == JsonNumber::Form::kUnsigned) return handler_.Uint64(number->positive);
    return handler_.Double(number->real);
  }
  bool String(const char* data, rapidjson::SizeType size, bool) {
    return handler_.String(data, size, true);
  }
  bool Key(const char* data, rapidjson::SizeType size, bool) {
    return handler_.Key(data, size, true);
  }
  bool StartObject() { return handler_.StartObject(); }
  bool EndObject(rapidjson::SizeType count) { return handler_.EndObject(count); }
  bool StartArray() { return handler_.StartArray(); }
  bool EndArray(rapidjson::SizeType count) { return handler_.EndArray(count); }

 private:
  Handler& handler_;
};

// Reads `json` into `document`; false when it is not JSON.
inline bool read_document(std::string_view json, rapidjson::Document& document) {
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseNumbersAsStringsFlag;
  bool fine = false;
  const auto read = [&](rapidjson::Document& handler) {
    ExactNumbers numbers(handler);
    rapidjson::MemoryStream bytes(json.data(), json.size());
    rapidjson::EncodedInputStream<rapidjson::UTF8<>, rapidjson::MemoryStream> stream(bytes);
    rapidjson::Reader reader;
    fine = !reader.Parse<kFlags>(stream, numbers).IsError();
    return fine;
  };
  document.Populate(read);
  return fine;
}

// Working memory of a reading thread.
struct JsonScratch {
  std::string buffer;                  // the text, perhaps decoded in place
  std::vector<std::string_view> keys;  // of all open objects; views of what is read
  std::vector<size_t> open;            // where in `keys` each open list or object starts
  rapidjson::Reader reader;
};

// Whether a key stands twice among those of one object, whose order may change.
inline bool has_doubled(std::span<std::string_view> keys) {
  constexpr size_t kFew = 12;  // comparing all pairs is cheaper than sorting
  if (keys.size() > kFew) {
    std::ranges::sort(keys);
    return std::ranges::adjacent_find(keys) != keys.end();
  }
  for (size_t a = 1; a < keys.size(); ++a)
    for (size_t b = 0; b < a; ++b)
      if (is_same(keys[a], keys[b])) return true;
  return false;
}

// Passes events on to `Sink` while the bounds hold. Sink has on_start(), upon which it forgets what
// it was told before, on_null(), on_boolean(bool),
// on_number(const JsonNumber&), on_text(view), on_key(view), on_open(bool is_object), on_close();
// views last until the next reading.
template <typename Sink>
class BoundedJson {
 public:
  // `plain`: no text can hold what `sound` looks for.
  BoundedJson(JsonScratch& scratch, Sink& sink, bool plain)
      : scratch_(scratch), sink_(sink), plain_(plain) {
    scratch_.keys.clear();
    scratch_.open.clear();
    sink_.on_start();
  }

  // What was wrong; empty when all is well.
  std::string_view fault() const { return fault_; }

  bool Null() { return value() && (sink_.on_null(), true); }
  bool Bool(bool b) { return value() && (sink_.on_boolean(b), true); }
  bool Int(int i) { return Int64(i); }
  bool Uint(unsigned u) { return Uint64(u); }
  bool Int64(int64_t i) { return value() && (sink_.on_number(JsonNumber::of(i)), true); }
  bool Uint64(uint64_t u) { return value() && (sink_.on_number(JsonNumber::of(u)), true); }
  bool Double(double d) { return value() && (sink_.on_number(JsonNumber::of(d)), true); }
  bool RawNumber(const char* data, rapidjson::SizeType size, bool) {
    if (!value()) return false;
    const auto number = read_number({data, size});
    if (!number) return stop("a number is too large");
    sink_.on_number(*number);
    return true;
  }
  bool String(const char* data, rapidjson::SizeType size, bool) {
    const std::string_view text(data, size);
    return value() && sound(text) && (sink_.on_text(text), true);
  }
  bool Key(const char* data, rapidjson::SizeType size, bool) {
    const std::string_view text(data, size);
    if (!sound(text)) return false;
    scratch_.keys.push_back(text);
    sink_.on_key(text);
    return true;
  }
  bool StartObject() { return open(true); }
  bool StartArray() { return open(false); }
  bool EndObject(rapidjson::SizeType) {
    if (has_doubled(std::span(scratch_.keys).subspan(scratch_.open.back())))
      return stop("a key is given twice");
    scratch_.keys.resize(scratch_.open.back());
    return close();
  }
  bool EndArray(rapidjson::SizeType) { return close(); }

 private:
  bool stop(std::string_view why) {
    fault_ = why;
    return false;
  }
  bool value() { return ++values_ <= kJsonValuesMax || stop("more than 10000 values"); }

  // A zero byte would also end texts in RapidJSON's patterns.
  bool sound(std::string_view text) {
    if (!plain_) fault_ = json_text_fault(text);
    return fault_.empty();
  }
  bool open(bool is_object) {
    if (!value()) return false;
    if (scratch_.open.size() >= kJsonDepthMax) return stop("nested deeper than 32");
    scratch_.open.push_back(scratch_.keys.size());
    sink_.on_open(is_object);
    return true;
  }
  bool close() {
    scratch_.open.pop_back();
    sink_.on_close();
    return true;
  }

  JsonScratch& scratch_;
  Sink& sink_;
  const bool plain_;
  size_t values_ = 0;
  std::string_view fault_;
};

struct JsonFault {
  std::string text;  // empty: none
  size_t offset = 0;
};

// Reads `json` into `sink`. Texts handed to it are views of `json` or of `scratch.buffer`.
template <typename Sink>
JsonFault read_json(std::string_view json, JsonScratch& scratch, Sink& sink) {
  if (json.size() > kJsonBytesMax) return {"more than 1 MiB", 0};
  if (const size_t zero = json.find('\0'); zero != json.npos) return {"a zero byte", zero};
  {
    BoundedJson<Sink> bounded(scratch, sink, true);
    if (PlainJson().read(json.data(), json.size(), bounded)) return {};
  }
  scratch.buffer.reserve(json.size() + PlainJson::kBehind);
  scratch.buffer.assign(json).append(PlainJson::kBehind, '\0');
  // Takes all bytes that the first one of a character announces, also behind the end.
  rapidjson::InsituStringStream stream(scratch.buffer.data());
  const bool ascii = is_ascii(json);
  BoundedJson<Sink> bounded(scratch, sink, ascii && json.find("\\u") == json.npos);
  // Iterative: the depth of the text must not become the depth of our stack.
  constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  constexpr unsigned kValidates = kFlags | rapidjson::kParseValidateEncodingFlag;
  // The reader validates byte by byte, a third of its time; most payloads have nothing to look at.
  const rapidjson::ParseResult result = ascii ? scratch.reader.Parse<kFlags>(stream, bounded)
                                              : scratch.reader.Parse<kValidates>(stream, bounded);
  if (!result.IsError()) return {};
  std::string_view why = bounded.fault();
  if (why.empty()) why = rapidjson::GetParseError_En(result.Code());
  return {std::string(why), result.Offset()};
}

}  // namespace sluice::graph
