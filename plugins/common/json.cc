#include "common/json.h"

#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <vector>

#include "sluice/json_text.h"
#include "sluice/plain_json.h"

namespace sluice::trade {

// Receives RapidJSON's events and builds the tree. Returning false ends the parse; `why` says why.
//
// A value waits in `pending` until the list or object around it is closed and takes its members
// into the document's memory, side by side.
class JsonBuilder {
 public:
  struct Pending : Json {};
  struct Scratch {
    std::vector<Pending> pending;
    std::vector<size_t> open;  // places in `pending` of what is not closed yet, outermost first
  };

  // Texts are handed to it in place: views of what it was given last as long as the document.
  // `plain`: none of them can hold what `json_text_fault` looks for.
  JsonBuilder(const JsonLimits& limits, bool plain, JsonMemory& memory, Scratch& scratch)
      : limits_(limits),
        plain_(plain),
        memory_(memory),
        pending_(scratch.pending),
        open_(scratch.open) {
    pending_.clear();
    open_.clear();
  }

  bool Null() { return count() && (place(), true); }
  bool Bool(bool value) {
    if (!count()) return false;
    Json& json = place();
    json.type_ = Json::Type::kBoolean;
    json.boolean_ = value;
    return true;
  }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool) {
    return put(Json::Type::kNumber, {text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool) {
    return is_sound({text, size}) && put(Json::Type::kText, {text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool) {
    if (!is_sound({text, size})) return false;
    pending_.emplace_back().name_ = {text, size};
    return true;
  }
  bool StartObject() { return start(Json::Type::kObject); }
  bool EndObject(rapidjson::SizeType) { return are_distinct() && end(); }
  bool StartArray() { return start(Json::Type::kArray); }
  bool EndArray(rapidjson::SizeType) { return end(); }

  // Numbers come as text only (kParseNumbersAsStringsFlag); the reader still names these.
  bool Int(int) { return false; }
  bool Uint(unsigned) { return false; }
  bool Int64(int64_t) { return false; }
  bool Uint64(uint64_t) { return false; }
  bool Double(double) { return false; }

  Json&& root() { return std::move(pending_.front()); }
  const std::string& why() const { return why_; }

 private:
  // Where the next value goes: a member's place was made when its key came.
  Json& place() { return in_object_ ? pending_.back() : pending_.emplace_back(); }
  bool put(Json::Type type, std::string_view text) {
    if (!count()) return false;
    Json& json = place();
    json.type_ = type;
    json.text_ = text;
    return true;
  }
  bool is_sound(std::string_view text) {
    if (plain_) return true;
    why_ = json_text_fault(text);
    return why_.empty();
  }
  bool count() { return ++values_ <= limits_.values_max || too_many(); }
  [[gnu::cold]] bool too_many() {
    why_ = "more than " + std::to_string(limits_.values_max) + " values";
    return false;
  }
  [[gnu::cold]] bool too_deep() {
    why_ = "deeper than " + std::to_string(limits_.depth_max) + " levels";
    return false;
  }
  bool start(Json::Type type) {
    if (!count()) return false;
    if (open_.size() >= limits_.depth_max) return too_deep();
    place().type_ = type;
    open_.push_back(pending_.size() - 1);
    in_object_ = type == Json::Type::kObject;
    return true;
  }
  bool end() {
    const size_t first = open_.back() + 1, count = pending_.size() - first;
    open_.pop_back();
    in_object_ = !open_.empty() && pending_[open_.back()].is_object();
    auto* items = static_cast<Json*>(memory_.take(count * sizeof(Json)));
    Pending* const members = pending_.data() + first;
    for (size_t i = 0; i < count; ++i) new (items + i) Json(std::move(members[i]));
    pending_.resize(first);
    pending_.back().items_ = items;
    pending_.back().count_ = static_cast<uint32_t>(count);
    return true;
  }

  // Whether no two members of the innermost object have one name.
  bool are_distinct() {
    constexpr size_t kFew = 12;  // comparing all pairs is cheaper than sorting
    const std::span<const Pending> members = std::span(pending_).subspan(open_.back() + 1);
    if (members.size() > kFew) return are_many_distinct(members);
    for (size_t i = 1; i < members.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (members[i].name_ == members[j].name_) return stands_twice(members[i].name_);
      }
    }
    return true;
  }
  bool are_many_distinct(std::span<const Pending> members) {
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const Pending& member : members) names.push_back(member.name_);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    return twice == names.end() || stands_twice(*twice);
  }
  [[gnu::cold]] bool stands_twice(std::string_view name) {
    why_ = "key " + json_quoted(name) + " stands twice";
    return false;
  }

  const JsonLimits& limits_;
  const bool plain_;
  JsonMemory& memory_;
  std::vector<Pending>& pending_;
  std::vector<size_t>& open_;
  bool in_object_ = false;  // the innermost of what is open is an object
  size_t values_ = 0;
  std::string why_;
};

void* JsonMemory::take_more(size_t size) {
  constexpr size_t kBlock = 4096;
  left_ = std::max(size, kBlock);
  at_ = more_.emplace_back(new std::byte[left_]).get();
  return take(size);
}

std::optional<JsonDocument> Json::parse(std::string_view text, std::string& why,
                                        const JsonLimits& limits) {
  if (text.size() > limits.bytes_max) {
    why = std::to_string(text.size()) + " bytes, at most " + std::to_string(limits.bytes_max);
    return std::nullopt;
  }
  // RapidJSON takes a zero byte for the end of the text.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    why = "zero byte at offset " + std::to_string(zero);
    return std::nullopt;
  }
  // What documents need besides their own memory: kept, as making it takes as long as reading a
  // small one. The largest documents bound it, and those the limits.
  struct Readers {
    PlainJson plain;
    JsonBuilder::Scratch scratch;
  };
  static thread_local Readers readers;
  // Payloads of the trade stages have a value for every 15 to 30 bytes.
  const size_t size = text.size() + PlainJson::kBehind;
  JsonMemory memory(size + text.size() / 16 * sizeof(Json) + 512);
  auto* const own = static_cast<char*>(memory.take(size));
  std::memset(std::copy(text.begin(), text.end(), own), 0, PlainJson::kBehind);
  {
    JsonBuilder builder(limits, true, memory, readers.scratch);
    if (readers.plain.read(own, text.size(), builder))
      return JsonDocument(builder.root(), std::move(memory));
  }
  // Takes all bytes that the first one of a character announces, also behind the end.
  rapidjson::InsituStringStream stream(own);
  rapidjson::Reader reader;
  const bool ascii = is_ascii(text);
  JsonBuilder builder(limits, ascii && text.find("\\u") == std::string_view::npos, memory,
                      readers.scratch);
  // Iterative: the depth of the text must not become the depth of our stack.
  constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  constexpr unsigned kValidates = kFlags | rapidjson::kParseValidateEncodingFlag;
  // The reader validates byte by byte; most payloads have nothing to look at.
  const rapidjson::ParseResult result =
      ascii ? reader.Parse<kFlags>(stream, builder) : reader.Parse<kValidates>(stream, builder);
  if (result.IsError()) {
    why = builder.why().empty() ? rapidjson::GetParseError_En(result.Code()) : builder.why();
    why += " at offset " + std::to_string(result.Offset());
    return std::nullopt;
  }
  return JsonDocument(builder.root(), std::move(memory));
}

const Json* Json::find(std::string_view name) const {
  if (!is_object()) return nullptr;
  const auto members = items();
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const Json& member) { return member.name_ == name; });
  return found == members.end() ? nullptr : &*found;
}

std::string_view Json::text_of(std::string_view name) const {
  const Json* member = find(name);
  return member != nullptr && member->is_text() ? member->text_ : "";
}

std::string_view Json::number_of(std::string_view name) const {
  const Json* member = find(name);
  return member != nullptr && member->is_number() ? member->text_ : "";
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

bool is_plain_char(char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

// Whether all eight bytes are plain. What is borrowed from a byte next to one that is not can only
// add to what is found.
bool are_plain(uint64_t bytes) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = 0x80 * kOnes;
  const uint64_t quotes = bytes ^ '"' * kOnes, backslashes = bytes ^ '\\' * kOnes;
  const uint64_t found =
      (quotes - kOnes) | (backslashes - kOnes) | (bytes - 0x20 * kOnes) | (bytes + kOnes) | bytes;
  return (found & kHigh) == 0;
}

uint64_t eight_of(const char* bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

bool is_plain(std::string_view text) {
  constexpr size_t kWord = sizeof(uint64_t);
  if (text.size() < kWord) {
    for (const char c : text) {  // std::all_of calls for each
      if (!is_plain_char(c)) return false;
    }
    return true;
  }
  for (size_t at = 0; at + kWord < text.size(); at += kWord) {
    if (!are_plain(eight_of(text.data() + at))) return false;
  }
  return are_plain(eight_of(text.data() + text.size() - kWord));
}

// What stands between the quotes.
void append_escaped(std::string& out, std::string_view text) {
  if (is_plain(text)) {
    out += text;
    return;
  }
  while (!text.empty()) {
    const auto plain = static_cast<size_t>(
        std::find_if_not(text.begin(), text.end(), is_plain_char) - text.begin());
    out += text.substr(0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    switch (const uint32_t code = take_code_point(text)) {
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
        append_code_point(out, code);
    }
  }
}

}  // namespace

std::string json_quoted(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 2);
  out += '"';
  append_escaped(out, text);
  out += '"';
  return out;
}

void JsonObject::begin(std::string_view name, std::string_view rest) {
  written_ += written_.size() > 1 ? std::string_view(", \"") : "\"";
  append_escaped(written_, name);
  written_ += rest;
}

JsonObject& JsonObject::text(std::string_view name, std::string_view value) {
  begin(name, "\": \"");
  append_escaped(written_, value);
  written_ += '"';
  return *this;
}

JsonObject& JsonObject::raw(std::string_view name, std::string_view value) {
  begin(name, "\": ");
  written_ += value;
  return *this;
}

}  // namespace sluice::trade
