#include "graph/schema.h"

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/error/en.h>
#include <rapidjson/schema.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <mutex>
#include <span>
#include <utility>

#include "base/disk.h"
#include "graph/json_reader.h"
#include "graph/pattern.h"
#include "graph/text.h"
#include "policy/text.h"

namespace sluice::graph {
namespace {

using rapidjson::Document;
using rapidjson::Value;

enum class Envelope { kPayload, kFields };

// JSON types as bits, so that `type: [number, null]` is one mask.
enum TypeBits : unsigned {
  kNullBit = 1,
  kBooleanBit = 2,
  kIntegerBit = 4,
  kRealBit = 8,  // a number that is not an integer
  kTextBit = 16,
  kListBit = 32,
  kObjectBit = 64,
  kNumberBits = kIntegerBit | kRealBit,
  kAnyBits = 127,
};

struct TypeName {
  std::string_view name;
  unsigned bits;
};
constexpr auto kTypeNames = std::to_array<TypeName>({{"null", kNullBit},
                                                     {"boolean", kBooleanBit},
                                                     {"integer", kIntegerBit},
                                                     {"number", kNumberBits},
                                                     {"string", kTextBit},
                                                     {"array", kListBit},
                                                     {"object", kObjectBit}});

// Keywords that say nothing about validity.
constexpr auto kNotes =
    std::to_array<std::string_view>({"$schema", "$id", "id", "$comment", "title", "description",
                                     "default", "examples", "deprecated", "x-sluice-envelope"});
// What the compiled table checks: at the top, and in a property.
constexpr auto kTopKeywords =
    std::to_array<std::string_view>({"type", "properties", "required", "additionalProperties"});
constexpr auto kPropertyKeywords = std::to_array<std::string_view>(
    {"type", "pattern", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
     "minLength", "maxLength"});
// What RapidJSON checks beyond these.
constexpr auto kOracleKeywords = std::to_array<std::string_view>(
    {"allOf", "anyOf", "oneOf", "not", "dependencies", "patternProperties", "minProperties",
     "maxProperties", "items", "additionalItems", "minItems", "maxItems", "uniqueItems",
     "multipleOf"});

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::ranges::find(words, word) != words.end();
}

std::string_view view(const Value& text) { return {text.GetString(), text.GetStringLength()}; }

std::string number_text(const JsonNumber& number) {
  if (number.form == JsonNumber::Form::kSigned) return std::to_string(number.negative);
  if (number.form == JsonNumber::Form::kUnsigned) return std::to_string(number.positive);
  std::array<char, 40> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number.real).ptr;
  return {text.data(), end};
}

JsonNumber number_of(const Value& value) {
  if (value.IsUint64()) return JsonNumber::of(value.GetUint64());
  if (value.IsInt64()) return JsonNumber::of(value.GetInt64());
  return JsonNumber::of(value.GetDouble());
}

struct Bound {
  JsonNumber limit;
  bool exclusive = false;
  std::string rule;  // "minimum 1"
};

// What one property may be.
struct Property {
  std::string name;
  bool required = false;
  bool listed = true;  // in `properties`; otherwise known from `required` alone
  uint64_t bit = 0;    // its own, in a set of properties
  unsigned types = kAnyBits;
  std::string type_rule;  // "type number or null"
  std::optional<Pattern> pattern;
  std::vector<std::string> choices;  // texts; empty: any
  bool choices_null = false;
  std::string choices_rule;
  std::vector<Bound> lower, upper;
  std::optional<uint64_t> length_min, length_max;
};

// A property as met in an entry. Views last as long as the scratch memory is not read into again.
struct Met {
  unsigned type = 0;  // one bit; 0: not there
  bool boolean = false;
  std::string_view text;
  JsonNumber number;
};

std::string met_text(const Met& met) {
  switch (met.type) {
    case kNullBit:
      return "null";
    case kBooleanBit:
      return met.boolean ? "true" : "false";
    case kIntegerBit:
    case kRealBit:
      return number_text(met.number);
    case kTextBit:
      return printable(met.text);
    case kListBit:
      return "[...]";
    default:
      return "{...}";
  }
}

uint64_t code_points(std::string_view text) {
  return static_cast<uint64_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// The first rule about texts that `text` breaks; empty when none.
std::string_view broken_text_rule(const Property& property, std::string_view text) {
  if (property.length_min || property.length_max) {
    const uint64_t length = code_points(text);
    if (property.length_min && length < *property.length_min) return "minLength";
    if (property.length_max && length > *property.length_max) return "maxLength";
  }
  return property.pattern && !property.pattern->matches(text) ? "pattern" : std::string_view();
}

std::string_view broken_bound(const Property& property, const JsonNumber& number) {
  for (const Bound& bound : property.lower) {
    const int order = number.compare(bound.limit);
    if (order < 0 || (bound.exclusive && order == 0)) return bound.rule;
  }
  for (const Bound& bound : property.upper) {
    const int order = number.compare(bound.limit);
    if (order > 0 || (bound.exclusive && order == 0)) return bound.rule;
  }
  return {};
}

bool is_choice(const Property& property, std::string_view text) {
  return std::ranges::any_of(property.choices,
                             [&](const std::string& choice) { return is_same(choice, text); });
}

// The first rule `met` breaks; empty when none.
std::string_view broken_rule(const Property& property, const Met& met) {
  if ((property.types & met.type) == 0) return property.type_rule;
  std::string_view rule;
  if (met.type == kTextBit) rule = broken_text_rule(property, met.text);
  if ((met.type & kNumberBits) != 0) rule = broken_bound(property, met.number);
  if (!rule.empty() || property.choices_rule.empty()) return rule;
  const bool allowed = (met.type == kTextBit && is_choice(property, met.text)) ||
                       (met.type == kNullBit && property.choices_null);
  return allowed ? rule : property.choices_rule;
}

std::string full_rule(const Property& property, std::string_view rule) {
  if (rule == "pattern") return "pattern " + property.pattern->text();
  if (rule == "minLength") return fmt::format("minLength {}", *property.length_min);
  if (rule == "maxLength") return fmt::format("maxLength {}", *property.length_max);
  return std::string(rule);
}

// A JSON number as a whole text, or nothing: what a field must look like to count as one.
std::optional<JsonNumber> number_in(std::string_view text) {
  if (text.empty() || text.size() > 64) return std::nullopt;
  const size_t digit = text[0] == '-' ? 1 : 0;
  const auto is_digit = [&](size_t i) {
    return i < text.size() && text[i] >= '0' && text[i] <= '9';
  };
  if (!is_digit(digit) || (text[digit] == '0' && is_digit(digit + 1))) return std::nullopt;
  const size_t dot = text.find('.');
  if (dot != text.npos && !is_digit(dot + 1)) return std::nullopt;
  if (dot != text.npos && !is_digit(dot - 1)) return std::nullopt;
  const char* const end = text.data() + text.size();
  if (text.find_first_of(".eE") == text.npos) {
    if (digit == 0) {
      uint64_t u = 0;
      const auto read = std::from_chars(text.data(), end, u);
      if (read.ec == std::errc{} && read.ptr == end) return JsonNumber::of(u);
    } else {
      int64_t i = 0;
      const auto read = std::from_chars(text.data(), end, i);
      if (read.ec == std::errc{} && read.ptr == end) return JsonNumber::of(i);
    }
  }
  double d = 0;
  const auto read = std::from_chars(text.data(), end, d);
  if (read.ec != std::errc{} || read.ptr != end || !std::isfinite(d)) return std::nullopt;
  return JsonNumber::of(d);
}

// How the text of a field counts under `types`: as text where text is allowed, else as what it
// reads as.
Met field_met(std::string_view text, unsigned types) {
  Met met;
  met.type = kTextBit;
  met.text = text;
  if ((types & kTextBit) != 0) return met;
  if ((types & kNumberBits) != 0) {
    if (const auto number = number_in(text)) {
      met.type = number->is_integer() ? kIntegerBit : kRealBit;
      met.number = *number;
      return met;
    }
  }
  if ((types & kBooleanBit) != 0 && (text == "true" || text == "false")) {
    met.type = kBooleanBit;
    met.boolean = text == "true";
  }
  return met;
}

struct Scratch {
  JsonScratch json;
  std::vector<Met> met;
};

Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

// Keeps the members of the outermost object that the schema names.
class MemberSink {
 public:
  MemberSink(const std::vector<Property>& properties, std::vector<Met>& met)
      : properties_(properties), met_(met) {}

  void on_start() {
    met_.assign(properties_.size(), Met{});
    top_ = {};
    depth_ = at_ = 0;
    unlisted_.reset();
  }
  void on_null() { put({.type = kNullBit}); }
  void on_boolean(bool b) { put({.type = kBooleanBit, .boolean = b}); }
  void on_number(const JsonNumber& n) {
    put({.type = n.is_integer() ? kIntegerBit : kRealBit, .number = n});
  }
  void on_text(std::string_view text) { put({.type = kTextBit, .text = text}); }
  void on_open(bool is_object) {
    put({.type = is_object ? kObjectBit : kListBit});
    ++depth_;
  }
  void on_close() { --depth_; }

  void on_key(std::string_view key) {
    if (depth_ != 1) return;
    const auto found = std::ranges::find(properties_, key, &Property::name);
    at_ = static_cast<size_t>(found - properties_.begin());
    const bool known = found != properties_.end() && found->listed;
    if (!known && !unlisted_) unlisted_ = key;
  }

  unsigned top_type() const { return top_.type; }
  const Met& top() const { return top_; }
  std::optional<std::string_view> unlisted() const { return unlisted_; }

 private:
  void put(const Met& met) {
    if (depth_ == 0) top_ = met;
    if (depth_ == 1 && top_.type == kObjectBit && at_ < met_.size()) met_[at_] = met;
  }

  const std::vector<Property>& properties_;
  std::vector<Met>& met_;
  Met top_;
  size_t depth_ = 0;
  size_t at_ = 0;
  std::optional<std::string_view> unlisted_;
};

// Finds the properties of a table, kMax at most, by name.
class PropertyIndex {
 public:
  static constexpr size_t kMax = 64;

  explicit PropertyIndex(const std::vector<Property>& properties) {
    for (const Property& property : properties) {
      size_t slot = first_slot(property.name);
      while (slots_[slot] != nullptr) slot = (slot + 1) % kSlots;
      slots_[slot] = &property;
    }
  }

  // nullptr when there is none.
  const Property* find(std::string_view name) const {
    for (size_t slot = first_slot(name);; slot = (slot + 1) % kSlots) {
      const Property* const property = slots_[slot];
      if (property == nullptr || is_same(property->name, name)) return property;
    }
  }

 private:
  static constexpr size_t kSlots = 4 * kMax;  // never full, so that every search ends

  static size_t first_slot(std::string_view name) {
    if (name.empty()) return 0;
    return (name.size() * 37 + static_cast<unsigned char>(name.front()) * 5 +
            static_cast<unsigned char>(name.back())) %
           kSlots;
  }

  std::array<const Property*, kSlots> slots_{};
};

// Takes the events of a plain document and says no to whatever may be wrong. Who asked then begins
// anew, more slowly, to find out what it was, if anything.
class QuickCheck {
 public:
  QuickCheck(const PropertyIndex& index, bool closed, std::vector<std::string_view>& keys)
      : index_(index), closed_(closed), keys_(keys) {
    keys_.clear();
  }

  // A bit for each property that was there.
  uint64_t seen() const { return seen_; }

  bool Null() {
    const Property* const property = take();
    return counts() && (property == nullptr || is_allowed(*property, kNullBit));
  }
  bool Bool(bool) {
    const Property* const property = take();
    return counts() && (property == nullptr || is_allowed(*property, kBooleanBit));
  }
  bool RawNumber(const char* data, uint32_t size, bool) {
    const Property* const property = take();
    return counts() && (property == nullptr || is_allowed_number(*property, {data, size}));
  }
  bool String(const char* data, uint32_t size, bool) {
    const Property* const property = take();
    return counts() && (property == nullptr || is_allowed_text(*property, {data, size}));
  }
  bool Key(const char* data, uint32_t size, bool) {
    const std::string_view name(data, size);
    if (depth_ > 1) return keys_.push_back(name), true;
    const Property* const property = index_.find(name);
    if (property == nullptr) return keys_.push_back(name), !closed_;
    if ((seen_ & property->bit) != 0 || (closed_ && !property->listed)) return false;
    seen_ |= property->bit;
    property_ = property;
    return true;
  }
  bool StartObject() { return open(kObjectBit); }
  bool StartArray() { return open(kListBit); }
  bool EndObject(uint32_t) {
    const size_t first = first_key_[--depth_];
    if (has_doubled(std::span(keys_).subspan(first))) return false;
    keys_.resize(first);
    return true;
  }
  bool EndArray(uint32_t) { return --depth_, true; }

 private:
  bool counts() { return ++values_ <= kJsonValuesMax; }

  // The property whose value comes; nullptr when the schema does not ask for it.
  const Property* take() { return std::exchange(property_, nullptr); }

  bool open(TypeBits type) {
    const Property* const property = take();
    if (!counts() || depth_ == kJsonDepthMax) return false;
    first_key_[depth_++] = keys_.size();
    return property == nullptr || is_allowed(*property, type);
  }

  // These two stay calls: with what they put on the stack, each text would pay for them as well.
  [[gnu::noinline]] static bool is_allowed(const Property& property, TypeBits type) {
    return broken_rule(property, {.type = type}).empty();
  }
  [[gnu::noinline]] static bool is_allowed_number(const Property& property, std::string_view text) {
    // Plain ones have 40 digits at most, so none is too large.
    const bool any = (property.types & kNumberBits) == kNumberBits && property.lower.empty() &&
                     property.upper.empty() && property.choices_rule.empty();
    if (any) return true;
    const auto number = read_number(text);
    if (!number) return false;
    const unsigned type = number->is_integer() ? kIntegerBit : kRealBit;
    return (property.types & type) != 0 && broken_bound(property, *number).empty() &&
           property.choices_rule.empty();
  }
  static bool is_allowed_text(const Property& property, std::string_view text) {
    return (property.types & kTextBit) != 0 && broken_text_rule(property, text).empty() &&
           (property.choices_rule.empty() || is_choice(property, text));
  }

  const PropertyIndex& index_;
  const bool closed_;
  std::vector<std::string_view>& keys_;          // of all open objects, without those seen_ has
  std::array<size_t, kJsonDepthMax> first_key_;  // in keys_, of each open object or list
  size_t depth_ = 0;
  size_t values_ = 0;
  uint64_t seen_ = 0;
  const Property* property_ = nullptr;
};

// Only the bounds matter.
struct NullSink {
  void on_start() {}
  void on_null() {}
  void on_boolean(bool) {}
  void on_number(const JsonNumber&) {}
  void on_text(std::string_view) {}
  void on_key(std::string_view) {}
  void on_open(bool) {}
  void on_close() {}
};

// Where the object of a payload envelope is.
struct PayloadText {
  std::string_view field;
  std::string_view json;
};
std::optional<PayloadText> payload_of(stream::FieldsView fields) {
  for (const std::string_view name : {"payload", "data"}) {
    if (const auto json = fields.find(name)) return PayloadText{name, *json};
  }
  return std::nullopt;
}

// What is wrong with the fields themselves, before any property is looked at.
std::optional<SchemaViolation> fields_fault(stream::FieldsView fields) {
  std::vector<std::string_view>& names = scratch().json.keys;
  names.clear();
  if (fields.encoded().size() > kJsonBytesMax) return SchemaViolation{"", "", "at most 1 MiB"};
  for (const auto& field : fields) {
    if (!is_utf8(field.name) || field.name.find('\0') != field.name.npos)
      return SchemaViolation{printable(field.name), "", "a name in UTF-8 without zero bytes"};
    if (!is_utf8(field.value) || field.value.find('\0') != field.value.npos)
      return SchemaViolation{std::string(field.name), printable(field.value),
                             "UTF-8 without zero bytes"};
    names.push_back(field.name);
  }
  if (names.size() > kJsonValuesMax) return SchemaViolation{"", "", "at most 10000 values"};
  std::ranges::sort(names);
  if (const auto twice = std::ranges::adjacent_find(names); twice != names.end())
    return SchemaViolation{std::string(*twice), "", "each field once"};
  return std::nullopt;
}

// Turns the newer numeric exclusive bounds into the form RapidJSON knows (draft 4: a flag beside
// the bound).
void to_draft4(Value& schema, Document::AllocatorType& memory, const char* bound,
               const char* exclusive, bool lower) {
  const auto strict = schema.FindMember(exclusive);
  if (strict == schema.MemberEnd() || !strict->value.IsNumber()) return;
  const auto plain = schema.FindMember(bound);
  bool strict_wins = true;
  if (plain != schema.MemberEnd()) {
    const int order = number_of(strict->value).compare(number_of(plain->value));
    strict_wins = lower ? order >= 0 : order <= 0;
  }
  Value limit(strict->value, memory);
  strict->value.SetBool(strict_wins);
  if (plain == schema.MemberEnd()) {
    schema.AddMember(rapidjson::StringRef(bound), limit, memory);
  } else if (strict_wins) {
    plain->value = limit;
  }
}

// Reads a schema file's document into the table, refusing what nobody would check.
class Compiler {
 public:
  Compiler(Document& document, std::vector<Property>& properties)
      : document_(document), properties_(properties) {}

  // The JSON names are also in the texts, so a reader finds the place without a line.
  Status run() {
    if (!document_.IsObject()) return bad("", "expected an object");
    const auto top_type = document_.FindMember("type");
    if (top_type == document_.MemberEnd() || !top_type->value.IsString() ||
        view(top_type->value) != "object")
      return bad("type", "expected \"object\"");
    SLUICE_TRY(read_envelope());
    SLUICE_TRY(check_schema(document_, "", 0));
    for (const auto& member : document_.GetObject()) {
      if (!is_one_of(view(member.name), kNotes) && !is_one_of(view(member.name), kTopKeywords))
        compiled_ = false;
    }
    if (const auto more = document_.FindMember("additionalProperties");
        more != document_.MemberEnd()) {
      if (more->value.IsBool()) {
        closed_ = !more->value.GetBool();
      } else {
        compiled_ = false;
      }
    }
    if (const auto listed = document_.FindMember("properties"); listed != document_.MemberEnd()) {
      for (auto& member : listed->value.GetObject()) {
        Property& property = properties_.emplace_back();
        property.name = view(member.name);
        SLUICE_TRY(read_property(property, member.value));
      }
    }
    return read_required();
  }

  Envelope envelope() const { return envelope_; }
  bool compiled() const { return compiled_; }
  bool closed() const { return closed_; }

 private:
  static Status bad(std::string_view where, std::string_view why) {
    return {Code::kInvalid, where.empty() ? std::string(why) : fmt::format("{}: {}", where, why)};
  }

  Status read_envelope() {
    const auto found = document_.FindMember("x-sluice-envelope");
    if (found == document_.MemberEnd() || !found->value.IsString())
      return bad("x-sluice-envelope", "expected \"payload\" or \"fields\"");
    if (view(found->value) == "payload") {
      envelope_ = Envelope::kPayload;
    } else if (view(found->value) == "fields") {
      envelope_ = Envelope::kFields;
    } else {
      return bad("x-sluice-envelope", fmt::format("expected \"payload\" or \"fields\", got \"{}\"",
                                                  printable(view(found->value))));
    }
    return Status::ok();
  }

  // All of a schema and the schemas inside it: keywords known, values of the right shape, patterns
  // understood. RapidJSON silently skips what it does not know, and that would let entries through.
  Status check_schema(Value& schema, const std::string& where, size_t depth) {
    if (!schema.IsObject()) return bad(where, "expected an object");
    // Notes go: RapidJSON takes every object in the document for a schema, also those in a note.
    for (auto member = schema.MemberBegin(); member != schema.MemberEnd();) {
      const std::string_view key = view(member->name);
      const bool note = is_one_of(key, kNotes) || (depth == 0 && key.starts_with("x-"));
      member = note ? schema.EraseMember(member) : member + 1;
    }
    for (auto& member : schema.GetObject()) {
      const std::string_view key = view(member.name);
      const std::string at = where.empty() ? std::string(key) : fmt::format("{}.{}", where, key);
      if (!is_one_of(key, kTopKeywords) && !is_one_of(key, kPropertyKeywords) &&
          !is_one_of(key, kOracleKeywords))
        return bad(at, "this keyword is not checked here; remove it or use one that is");
      SLUICE_TRY(check_keyword(key, member.value, at, depth));
    }
    to_draft4(schema, document_.GetAllocator(), "minimum", "exclusiveMinimum", true);
    to_draft4(schema, document_.GetAllocator(), "maximum", "exclusiveMaximum", false);
    return Status::ok();
  }

  Status check_keyword(std::string_view key, Value& value, const std::string& at, size_t depth) {
    if (key == "type") return check_type(value, at);
    if (key == "pattern") {
      if (!value.IsString()) return bad(at, "expected a text");
      return Pattern::compile(view(value)).status().within(at);
    }
    if (key == "enum") {
      const bool plain = value.IsArray() && !value.Empty() &&
                         std::ranges::none_of(value.GetArray(), [](const Value& v) {
                           return v.IsObject() || v.IsArray();
                         });
      return plain ? Status() : bad(at, "expected a list of texts, numbers, true, false or null");
    }
    if (key == "minimum" || key == "maximum")
      return value.IsNumber() ? Status() : bad(at, "expected a number");
    if (key == "exclusiveMinimum" || key == "exclusiveMaximum")
      return value.IsNumber() || value.IsBool() ? Status() : bad(at, "expected a number");
    if (key == "multipleOf")
      return value.IsNumber() && value.GetDouble() > 0 ? Status() : bad(at, "expected above 0");
    if (key == "uniqueItems") return value.IsBool() ? Status() : bad(at, "expected true or false");
    if (key.starts_with("min") || key.starts_with("max"))
      return value.IsUint() ? Status() : bad(at, "expected a number from 0 to 4294967295");
    if (key == "required") {
      return is_names(value) ? Status() : bad(at, "expected a list of names");
    }
    return check_subschemas(key, value, at, depth);
  }

  Status check_subschemas(std::string_view key, Value& value, const std::string& at, size_t depth) {
    if (key == "properties" || key == "patternProperties" || key == "dependencies") {
      if (!value.IsObject()) return bad(at, "expected an object");
      for (auto& member : value.GetObject()) {
        const std::string inside = fmt::format("{}.{}", at, view(member.name));
        if (key == "patternProperties")
          SLUICE_TRY(Pattern::compile(view(member.name)).status().within(at));
        if (key == "dependencies" && member.value.IsArray()) {
          if (!is_names(member.value)) return bad(inside, "expected a list of names");
          continue;
        }
        SLUICE_TRY(check_schema(member.value, inside, depth + 1));
      }
      return Status::ok();
    }
    if (value.IsArray()) {
      for (auto& item : value.GetArray()) SLUICE_TRY(check_schema(item, at, depth + 1));
      return Status::ok();
    }
    if (value.IsBool() && key.starts_with("additional")) return Status::ok();
    return check_schema(value, at, depth + 1);
  }

  static bool is_names(const Value& value) {
    return value.IsArray() &&
           std::ranges::all_of(value.GetArray(), [](const Value& v) { return v.IsString(); });
  }

  static Status check_type(const Value& value, const std::string& at) {
    const auto known = [](const Value& v) {
      return v.IsString() &&
             std::ranges::find(kTypeNames, view(v), &TypeName::name) != kTypeNames.end();
    };
    if (known(value)) return Status::ok();
    if (value.IsArray() && !value.Empty() && std::ranges::all_of(value.GetArray(), known))
      return Status::ok();
    return bad(at, "expected one of null, boolean, integer, number, string, array, object");
  }

  // Shapes were checked: `check_schema` came first.
  Status read_property(Property& property, const Value& schema) {
    for (const auto& member : schema.GetObject()) {
      const std::string_view key = view(member.name);
      if (!is_one_of(key, kNotes) && !is_one_of(key, kPropertyKeywords)) compiled_ = false;
    }
    if (const auto type = schema.FindMember("type"); type != schema.MemberEnd())
      read_types(property, type->value);
    if (const auto pattern = schema.FindMember("pattern"); pattern != schema.MemberEnd()) {
      SLUICE_ASSIGN(compiled, Pattern::compile(view(pattern->value)));
      property.pattern = std::move(compiled);
    }
    if (const auto list = schema.FindMember("enum"); list != schema.MemberEnd())
      read_choices(property, list->value);
    read_bound(schema, "minimum", "exclusiveMinimum", property.lower);
    read_bound(schema, "maximum", "exclusiveMaximum", property.upper);
    if (const auto length = schema.FindMember("minLength"); length != schema.MemberEnd())
      property.length_min = length->value.GetUint();
    if (const auto length = schema.FindMember("maxLength"); length != schema.MemberEnd())
      property.length_max = length->value.GetUint();
    return Status::ok();
  }

  static void read_types(Property& property, const Value& value) {
    property.types = 0;
    property.type_rule = "type ";
    const auto add = [&](const Value& name) {
      if (property.types != 0) property.type_rule += " or ";
      property.type_rule += view(name);
      property.types |= std::ranges::find(kTypeNames, view(name), &TypeName::name)->bits;
    };
    if (value.IsArray()) {
      for (const Value& name : value.GetArray()) add(name);
    } else {
      add(value);
    }
  }

  void read_choices(Property& property, const Value& list) {
    property.choices_rule = "enum";
    for (const Value& choice : list.GetArray()) {
      if (choice.IsNull()) {
        property.choices_null = true;
        property.choices_rule += " null";
      } else if (choice.IsString()) {
        property.choices.emplace_back(view(choice));
        property.choices_rule += fmt::format(" {}", printable(view(choice)));
      } else {
        compiled_ = false;
      }
    }
  }

  static void read_bound(const Value& schema, const char* name, const char* exclusive,
                         std::vector<Bound>& bounds) {
    const auto limit = schema.FindMember(name);
    if (limit == schema.MemberEnd()) return;
    const auto strict = schema.FindMember(exclusive);
    Bound& bound = bounds.emplace_back();
    bound.limit = number_of(limit->value);
    bound.exclusive = strict != schema.MemberEnd() && strict->value.IsTrue();
    bound.rule = fmt::format("{} {}", bound.exclusive ? exclusive : name, number_text(bound.limit));
  }

  Status read_required() {
    const auto list = document_.FindMember("required");
    if (list == document_.MemberEnd()) return Status::ok();
    for (const Value& name : list->value.GetArray()) {
      auto property = std::ranges::find(properties_, view(name), &Property::name);
      if (property == properties_.end()) {
        if (closed_)
          return bad("required", fmt::format("\"{}\" is not in properties, and nothing else may be",
                                             printable(view(name))));
        properties_.push_back({.name = std::string(view(name)), .listed = false});
        property = properties_.end() - 1;
      }
      property->required = true;
      required_.emplace_back(view(name));
    }
    return Status::ok();
  }

 public:
  std::vector<std::string> required_;  // in the file's order

 private:
  Document& document_;
  std::vector<Property>& properties_;
  Envelope envelope_ = Envelope::kPayload;
  bool compiled_ = true;
  bool closed_ = false;
};

int line_at(std::string_view text, size_t offset) {
  return 1 + static_cast<int>(std::ranges::count(text.substr(0, offset), '\n'));
}

// The line of the key that a text such as "properties.symbol.pattern: ..." is about: each name
// searched behind the one before it.
int line_of_path(std::string_view json, std::string_view text) {
  std::string_view path = text.substr(0, text.find(": "));
  size_t at = 0;
  while (!path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    const size_t found = json.find(fmt::format("\"{}\"", path.substr(0, dot)), at);
    if (found == json.npos) break;
    at = found;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return line_at(json, at);
}

}  // namespace

std::string SchemaViolation::text() const {
  std::string out = field.empty() ? "entry" : fmt::format("field \"{}\"", field);
  if (rule == "required") return out + ": missing, breaks required";
  if (value.empty()) return fmt::format("{}: breaks {}", out, rule);
  return fmt::format("{}: value \"{}\" breaks {}", out, value, rule);
}

struct Schema::Impl {
  std::string name, version;
  Envelope envelope = Envelope::kPayload;
  bool compiled = true;               // the table says it all; otherwise RapidJSON is asked
  bool closed = false;                // additionalProperties: false
  std::vector<Property> properties;   // as listed, then those only required
  std::vector<std::string> required;  // in the file's order

  // RapidJSON's patterns keep working memory inside the schema.
  mutable std::mutex oracle_mutex;
  std::optional<rapidjson::SchemaDocument> oracle;

  // Of `properties`, once they are complete; empty when they are too many for the quick way.
  std::optional<PropertyIndex> index;
  uint64_t required_bits = 0;  // a bit for each that is required

  void make_index();
  bool is_quickly_sound(std::string_view json) const;
  std::optional<SchemaViolation> check_members(const std::vector<Met>& met,
                                               std::optional<std::string_view> unlisted) const;
  std::optional<SchemaViolation> check_payload(stream::FieldsView fields) const;
  std::optional<SchemaViolation> check_fields(stream::FieldsView fields) const;
  std::optional<SchemaViolation> ask_oracle(stream::FieldsView fields) const;
  void fields_document(stream::FieldsView fields, Document& document) const;
};

void Schema::Impl::make_index() {
  if (properties.size() > PropertyIndex::kMax) return;
  index.emplace(properties);
  uint64_t bit = 1;
  for (Property& property : properties) {
    property.bit = bit;
    if (property.required) required_bits |= bit;
    bit <<= 1;
  }
}

// False: it has a fault, or is not plain enough for the quick way to tell.
bool Schema::Impl::is_quickly_sound(std::string_view json) const {
  if (!index || json.size() > kJsonBytesMax) return false;
  QuickCheck check(*index, closed, scratch().json.keys);
  return PlainJson().read(json.data(), json.size(), check) &&
         (check.seen() & required_bits) == required_bits;
}

std::optional<SchemaViolation> Schema::Impl::check_members(
    const std::vector<Met>& met, std::optional<std::string_view> unlisted) const {
  for (const std::string& needed : required) {
    const auto property = std::ranges::find(properties, needed, &Property::name);
    if (met[static_cast<size_t>(property - properties.begin())].type == 0)
      return SchemaViolation{needed, "", "required"};
  }
  for (size_t i = 0; i < properties.size(); ++i) {
    if (met[i].type == 0) continue;
    const std::string_view rule = broken_rule(properties[i], met[i]);
    if (!rule.empty())
      return SchemaViolation{properties[i].name, met_text(met[i]), full_rule(properties[i], rule)};
  }
  if (closed && unlisted)
    return SchemaViolation{printable(*unlisted), "", "additionalProperties false"};
  return std::nullopt;
}

std::optional<SchemaViolation> Schema::Impl::check_payload(stream::FieldsView fields) const {
  const auto payload = payload_of(fields);
  if (!payload) return SchemaViolation{"payload", "", "required"};
  if (is_quickly_sound(payload->json)) return std::nullopt;
  Scratch& memory = scratch();
  MemberSink sink(properties, memory.met);
  const JsonFault fault = read_json(payload->json, memory.json, sink);
  if (!fault.text.empty())
    return SchemaViolation{std::string(payload->field), printable(payload->json),
                           fmt::format("JSON, byte {}: {}", fault.offset, fault.text)};
  if (sink.top_type() != kObjectBit)
    return SchemaViolation{std::string(payload->field), met_text(sink.top()), "type object"};
  return check_members(memory.met, sink.unlisted());
}

std::optional<SchemaViolation> Schema::Impl::check_fields(stream::FieldsView fields) const {
  if (auto fault = fields_fault(fields)) return fault;
  std::vector<Met>& met = scratch().met;
  met.assign(properties.size(), Met{});
  std::optional<std::string_view> unlisted;
  for (const auto& field : fields) {
    const auto found = std::ranges::find(properties, field.name, &Property::name);
    if (found != properties.end())
      met[static_cast<size_t>(found - properties.begin())] = field_met(field.value, found->types);
    if (!unlisted && (found == properties.end() || !found->listed)) unlisted = field.name;
  }
  return check_members(met, unlisted);
}

// The object that the fields of an entry stand for.
void Schema::Impl::fields_document(stream::FieldsView fields, Document& document) const {
  auto& memory = document.GetAllocator();
  const auto text_value = [&](std::string_view text) {
    return Value(text.data(), static_cast<rapidjson::SizeType>(text.size()), memory);
  };
  document.SetObject();
  for (const auto& field : fields) {
    const auto found = std::ranges::find(properties, field.name, &Property::name);
    const Met met = field_met(field.value, found == properties.end() ? kAnyBits : found->types);
    Value value;
    if (met.type == kTextBit) {
      value = text_value(met.text);
    } else if (met.type == kBooleanBit) {
      value.SetBool(met.boolean);
    } else if (met.number.form == JsonNumber::Form::kSigned) {
      value.SetInt64(met.number.negative);
    } else if (met.number.form == JsonNumber::Form::kUnsigned) {
      value.SetUint64(met.number.positive);
    } else {
      value.SetDouble(met.number.real);
    }
    document.AddMember(text_value(field.name), value, memory);
  }
}

std::optional<SchemaViolation> Schema::Impl::ask_oracle(stream::FieldsView fields) const {
  Document document;
  if (envelope == Envelope::kFields) {
    if (auto fault = fields_fault(fields)) return fault;
    fields_document(fields, document);
  } else {
    const auto payload = payload_of(fields);
    if (!payload) return SchemaViolation{"payload", "", "required"};
    NullSink bounds;
    const JsonFault fault = read_json(payload->json, scratch().json, bounds);
    if (!fault.text.empty())
      return SchemaViolation{std::string(payload->field), printable(payload->json),
                             fmt::format("JSON, byte {}: {}", fault.offset, fault.text)};
    // Within the bounds by now, so the document and its destruction are shallow.
    if (!read_document(payload->json, document))
      return SchemaViolation{std::string(payload->field), printable(payload->json), "JSON"};
  }
  const std::scoped_lock lock(oracle_mutex);
  rapidjson::SchemaValidator validator(*oracle);
  if (document.Accept(validator)) return std::nullopt;
  rapidjson::StringBuffer pointer;
  validator.GetInvalidDocumentPointer().Stringify(pointer);
  const char* keyword = validator.GetInvalidSchemaKeyword();
  return SchemaViolation{printable({pointer.GetString(), pointer.GetSize()}), "",
                         keyword == nullptr ? "schema" : keyword};
}

Schema::Schema() : impl_(std::make_unique<Impl>()) {}
Schema::~Schema() = default;

Result<std::shared_ptr<const Schema>> Schema::load(const std::string& path) {
  SLUICE_ASSIGN(text, read_file(system_disk(), path, kJsonBytesMax));
  return parse(path, text);
}

Result<std::shared_ptr<const Schema>> Schema::parse(std::string_view name, std::string_view json) {
  NullSink bounds;
  const JsonFault fault = read_json(json, scratch().json, bounds);
  if (!fault.text.empty())
    return Status(Code::kInvalid,
                  fmt::format("{}:{}: {}", name, line_at(json, fault.offset), fault.text));
  Document document;
  if (!read_document(json, document))
    return Status(Code::kInvalid, fmt::format("{}:1: not JSON", name));
  std::shared_ptr<Schema> schema(new Schema());
  Impl& impl = *schema->impl_;
  impl.name = std::filesystem::path(name).stem().string();
  Compiler compiler(document, impl.properties);
  if (const Status status = compiler.run(); !status.is_ok())
    return Status(Code::kInvalid,
                  fmt::format("{}:{}: {}", name, line_of_path(json, status.text()), status.text()));
  impl.envelope = compiler.envelope();
  impl.compiled = compiler.compiled();
  impl.closed = compiler.closed();
  impl.required = std::move(compiler.required_);
  impl.make_index();
  rapidjson::StringBuffer rules;
  rapidjson::Writer<rapidjson::StringBuffer> writer(rules);
  document.Accept(writer);
  // Where the properties are is no rule of RapidJSON's.
  const std::string_view where = impl.envelope == Envelope::kFields ? "fields" : "payload";
  impl.version = impl.name + "@" + policy::digest(rules.GetString() + std::string(where));
  impl.oracle.emplace(document);
  return std::shared_ptr<const Schema>(std::move(schema));
}

const std::string& Schema::name() const { return impl_->name; }
const std::string& Schema::version() const { return impl_->version; }

std::optional<SchemaViolation> Schema::check(stream::FieldsView fields) const {
  if (!impl_->compiled) return impl_->ask_oracle(fields);
  return impl_->envelope == Envelope::kPayload ? impl_->check_payload(fields)
                                               : impl_->check_fields(fields);
}

bool Schema::oracle_accepts(stream::FieldsView fields) const { return !impl_->ask_oracle(fields); }

std::vector<std::string> Schema::required() const { return impl_->required; }

std::vector<std::string> Schema::properties() const {
  std::vector<std::string> names;
  for (const Property& property : impl_->properties)
    if (property.listed) names.push_back(property.name);
  return names;
}

bool Schema::reads_fields() const { return impl_->envelope == Envelope::kFields; }

}  // namespace sluice::graph
