#include "common/json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <array>
#include <set>

namespace sluice::trade {

namespace {

// The reader takes an escaped zero byte, and the second half of a surrogate pair on its own.
std::string_view fault_of(std::string_view text) {
  if (text.find('\0') != text.npos) return "a text holds a zero byte";
  for (size_t at = text.find('\xED'); at != text.npos; at = text.find('\xED', at + 1)) {
    if (at + 1 < text.size() && static_cast<unsigned char>(text[at + 1]) >= 0xA0)
      return "a text holds half a surrogate pair";
  }
  return {};
}

}  // namespace

// Receives RapidJSON's events and builds the tree. Returning false ends the parse; `why` says why.
class JsonBuilder {
 public:
  explicit JsonBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool Null() { return add(Json()); }
  bool Bool(bool value) {
    Json json;
    json.type_ = Json::Type::kBoolean;
    json.boolean_ = value;
    return add(std::move(json));
  }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return add(scalar(Json::Type::kNumber, text, size));
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return sound({text, size}) && add(scalar(Json::Type::kText, text, size));
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (!sound({text, size})) return false;
    open_.back().key.assign(text, size);
    if (open_.back().keys.insert(open_.back().key).second) return true;
    why_ = "key " + json_quoted(open_.back().key) + " stands twice";
    return false;
  }
  bool StartObject() { return start(Json::Type::kObject); }
  bool EndObject(rapidjson::SizeType) { return end(); }
  bool StartArray() { return start(Json::Type::kArray); }
  bool EndArray(rapidjson::SizeType) { return end(); }

  // Numbers come as text only (kParseNumbersAsStringsFlag); the reader still names these.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

  Json root() { return std::move(root_); }
  const std::string& why() const { return why_; }

 private:
  struct Open {
    Json json;
    std::string key;
    std::set<std::string> keys;
  };

  static Json scalar(Json::Type type, const char* text, size_t size) {
    Json json;
    json.type_ = type;
    json.text_.assign(text, size);
    return json;
  }

  bool sound(std::string_view text) {
    why_ = fault_of(text);
    return why_.empty();
  }
  bool count() {
    if (++values_ <= limits_.values_max) return true;
    why_ = "more than " + std::to_string(limits_.values_max) + " values";
    return false;
  }
  bool start(Json::Type type) {
    if (!count()) return false;
    if (open_.size() >= limits_.depth_max) {
      why_ = "deeper than " + std::to_string(limits_.depth_max) + " levels";
      return false;
    }
    open_.emplace_back();
    open_.back().json.type_ = type;
    return true;
  }
  bool end() {
    Json done = std::move(open_.back().json);
    open_.pop_back();
    put(std::move(done));
    return true;
  }
  bool add(Json json) {
    if (!count()) return false;
    put(std::move(json));
    return true;
  }
  void put(Json json) {
    if (open_.empty()) {
      root_ = std::move(json);
    } else if (open_.back().json.type_ == Json::Type::kArray) {
      open_.back().json.items_.push_back(std::move(json));
    } else {
      open_.back().json.members_.emplace_back(open_.back().key, std::move(json));
    }
  }

  const JsonLimits& limits_;
  size_t values_ = 0;
  std::vector<Open> open_;  // containers not yet closed, outermost first
  Json root_;
  std::string why_;
};

std::optional<Json> Json::parse(std::string_view text, std::string& why, const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    why = std::to_string(text.size()) + " bytes, at most " + std::to_string(limits.bytes_max);
    return std::nullopt;
  }
  // RapidJSON takes a zero byte for the end of the text.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    why = "zero byte at offset " + std::to_string(zero);
    return std::nullopt;
  }
  constexpr unsigned kFlags = rapidjson::kParseIterativeFlag |
                              rapidjson::kParseValidateEncodingFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  rapidjson::MemoryStream stream(text.data(), text.size());
  rapidjson::Reader reader;
  JsonBuilder builder(limits);
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, builder);
  if (result.IsError()) {
    why = builder.why().empty() ? rapidjson::GetParseError_En(result.Code()) : builder.why();
    why += " at offset " + std::to_string(result.Offset());
    return std::nullopt;
  }
  return builder.root();
}

const Json* Json::find(std::string_view name) const {
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const auto& member) { return member.first == name; });
  return found == members_.end() ? nullptr : &found->second;
}

std::string_view Json::text_of(std::string_view name) const {
  const Json* member = find(name);
  return member != nullptr && member->is_text() ? std::string_view(member->text_) : "";
}

std::string_view Json::number_of(std::string_view name) const {
  const Json* member = find(name);
  return member != nullptr && member->is_number() ? std::string_view(member->text_) : "";
}

namespace {

void append_unit(std::string& out, uint32_t unit) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[(unit >> shift) & 0x0f];
}

void append_code_point(std::string& out, uint32_t code) {
  if (code < 0x10000) return append_unit(out, code);
  append_unit(out, 0xd800 + ((code - 0x10000) >> 10));
  append_unit(out, 0xdc00 + ((code - 0x10000) & 0x3ff));
}

// Takes one code point off the front; U+FFFD for one byte that is not UTF-8.
uint32_t take_code_point(std::string_view& text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const size_t size = lead < 0x80 ? 1 : lead >> 5 == 0x6 ? 2 : lead >> 4 == 0xe ? 3 : 4;
  uint32_t code = size == 1 ? lead : lead & (0xffu >> (size + 1));
  bool ok = (lead < 0x80 || lead >= 0xc2) && lead < 0xf5 && size <= text.size();
  for (size_t i = 1; ok && i < size; ++i) {
    ok = (byte(i) & 0xc0) == 0x80;
    code = code << 6 | (byte(i) & 0x3fu);
  }
  static constexpr std::array<uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  ok = ok && code >= kLeast[size] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
  text.remove_prefix(ok ? size : 1);
  return ok ? code : 0xfffd;
}

}  // namespace

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const uint32_t code = take_code_point(text);
    switch (code) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (code >= 0x20 && code < 0x7f) {
          out += static_cast<char>(code);
        } else {
          append_code_point(out, code);
        }
    }
  }
  return out + "\"";
}

}  // namespace sluice::trade
