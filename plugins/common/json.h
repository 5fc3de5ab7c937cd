// JSON as the trade stages read and write it: bounded when read, plain when written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::trade {

// More lets larger documents in; parsing never recurses, so depth costs heap and not stack.
struct JsonLimits {
  size_t bytes_max = 256 << 10;
  size_t depth_max = 32;
  size_t values_max = 10'000;  // one takes 48 bytes besides its text
};

class JsonDocument;

// One JSON value of a document, which outlives it and all it gives. Numbers keep the text they were
// written in, because money is decimal.
class Json {
 public:
  enum class Type : uint8_t { kNull, kBoolean, kNumber, kText, kArray, kObject };

  // Reads exactly one value.
  //
  // Errors: nullopt, and `why` says what is wrong and where: syntax, invalid UTF-8 or half a
  //         surrogate pair, a zero byte, also an escaped one, a key that stands twice in one
  //         object, a document too large, too deep or of too many values.
  static std::optional<JsonDocument> parse(std::string_view text, std::string& why,
                                           const JsonLimits& limits = {});

  Type type() const { return type_; }
  bool is_object() const { return type_ == Type::kObject; }
  bool is_number() const { return type_ == Type::kNumber; }
  bool is_text() const { return type_ == Type::kText; }
  bool is_null() const { return type_ == Type::kNull; }
  bool is_true() const { return type_ == Type::kBoolean && boolean_; }
  bool is_false() const { return type_ == Type::kBoolean && !boolean_; }

  std::string_view text() const { return text_; }  // kText, kNumber; empty otherwise
  // What a kArray or kObject holds, in the order it was written.
  std::span<const Json> items() const { return {items_, count_}; }
  // The name of a member of an object; empty otherwise.
  std::string_view name() const { return name_; }

  // The member of that name; nullptr when there is none or this is no object.
  const Json* find(std::string_view name) const;
  // Text of a text member, or empty.
  std::string_view text_of(std::string_view name) const;
  // Text of a number member as it was written, or empty.
  std::string_view number_of(std::string_view name) const;

 protected:
  // Neither copied nor moved alone, lest a value outlive its document.
  Json() = default;
  Json(Json&&) = default;
  Json& operator=(Json&&) = default;

 private:
  friend class JsonBuilder;

  Type type_ = Type::kNull;
  bool boolean_ = false;
  uint32_t count_ = 0;
  const Json* items_ = nullptr;
  std::string_view name_, text_;
};

// Memory of one document: one block for nearly all.
class JsonMemory {
 public:
  explicit JsonMemory(size_t size) : first_(new std::byte[size]), at_(first_.get()), left_(size) {}

  // Aligned for a Json; never null.
  void* take(size_t size) {
    const size_t whole = (size + alignof(Json) - 1) / alignof(Json) * alignof(Json);
    if (whole > left_) return take_more(whole);
    left_ -= whole;
    return std::exchange(at_, at_ + whole);
  }

 private:
  void* take_more(size_t size);

  std::unique_ptr<std::byte[]> first_;
  std::vector<std::unique_ptr<std::byte[]>> more_;
  std::byte* at_;  // of the last block
  size_t left_;
};

// A value together with the memory that it and everything in it stand in.
class JsonDocument : public Json {
 public:
  JsonDocument(JsonDocument&&) = default;
  JsonDocument& operator=(JsonDocument&&) = default;

 private:
  friend class Json;
  JsonDocument(Json&& root, JsonMemory&& memory)
      : Json(std::move(root)), memory_(std::move(memory)) {}

  JsonMemory memory_;
};

// `text` in quotes, everything outside printable ASCII escaped. Bytes that are not UTF-8 become
// U+FFFD.
std::string json_quoted(std::string_view text);

// Writes one object, keys in the order they were added, separators ", " and ": ".
class JsonObject {
 public:
  JsonObject() {
    constexpr size_t kUsual = 256;
    written_.reserve(kUsual);
    written_ += '{';
  }
  JsonObject& text(std::string_view name, std::string_view value);
  // `value` must be the text of a JSON number.
  JsonObject& number(std::string_view name, std::string_view value) { return raw(name, value); }
  JsonObject& integer(std::string_view name, int64_t value) {
    return raw(name, std::to_string(value));
  }
  JsonObject& boolean(std::string_view name, bool value) {
    return raw(name, value ? "true" : "false");
  }
  // `value` must be JSON.
  JsonObject& raw(std::string_view name, std::string_view value);
  std::string str() const& { return written_ + "}"; }
  std::string str() && { return std::move(written_ += '}'); }

 private:
  // The name and what follows it, up to the value.
  void begin(std::string_view name, std::string_view rest);

  std::string written_;
};

}  // namespace sluice::trade
