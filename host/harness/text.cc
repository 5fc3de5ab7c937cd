#include "harness/text.h"

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/iso_time.h"
#include "graph/pattern.h"
#include "graph/text.h"
#include "graph/values.h"
#include "plugin/catalog.h"
#include "sluice/decimal.h"

namespace sluice::harness {

using graph::Fault;
using graph::Findings;
using graph::Node;
using graph::printable;
using graph::Spot;

namespace {

constexpr size_t kShownBytesMax = 160;
constexpr Micros kOffsetMax = std::chrono::hours(24 * 36'600);

// --- ${...} ---

constexpr std::array<std::string_view, 4> kClockNames = {"now_iso", "now_ms", "now_us", "now"};

// Splits "now_us+60s" into a name of the clock and an offset; nothing when it is not one.
std::optional<std::pair<std::string_view, Micros>> clock_name(std::string_view name) {
  for (const std::string_view clock : kClockNames) {
    if (!name.starts_with(clock)) continue;
    const std::string_view rest = name.substr(clock.size());
    if (rest.empty()) return std::pair(clock, Micros(0));
    if (rest[0] != '+' && rest[0] != '-') continue;
    const auto offset = plugin::parse_duration(rest.substr(1));
    if (!offset || Micros(*offset) > kOffsetMax) return std::nullopt;
    return std::pair(clock, Micros(rest[0] == '-' ? -*offset : *offset));
  }
  return std::nullopt;
}

std::string clock_text(std::string_view name, WallTime time) {
  if (name == "now_us") return std::to_string(to_us(time));
  if (name == "now_ms") return std::to_string(to_ms(time));
  if (name == "now_iso") return iso_time_text(time);
  return std::to_string(to_ms(time) / 1000);
}

// Calls `found` with the inside of each ${...} and `plain` with the text between them. False when
// one is not closed.
bool split(std::string_view text, const std::function<void(std::string_view)>& plain,
           const std::function<void(std::string_view)>& found) {
  for (;;) {
    const size_t open = text.find("${");
    plain(text.substr(0, open));
    if (open == std::string_view::npos) return true;
    const size_t close = text.find('}', open);
    if (close == std::string_view::npos) return false;
    found(text.substr(open + 2, close - open - 2));
    text.remove_prefix(close + 1);
  }
}

std::optional<std::string> value_of(std::string_view name, const Scope& scope) {
  if (const auto clock = clock_name(name))
    return clock_text(clock->first, scope.now() + clock->second);
  if (name == "key") return scope.idempotency_key();
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view owner = name.substr(0, dot), field = name.substr(dot + 1);
  return owner == "request" ? scope.request(field) : scope.newest(owner, field);
}

void bad_reference(Findings& findings, Spot spot, std::string_view name, const Names& names) {
  const std::string_view owner = name.substr(0, name.find('.'));
  findings.add(Fault::kTestReference, spot.line, spot.column,
               fmt::format("${{{}}} names nothing", printable(name)),
               names.answers ? "now, now_ms, now_us, now_iso, STREAM.FIELD, request.FIELD or key"
                             : "now, now_ms, now_us, now_iso or STREAM.FIELD",
               graph::suggested(owner, names.streams));
}

bool is_reference(std::string_view name, const Names& names) {
  if (clock_name(name)) return true;
  if (name == "key") return names.answers;
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos || dot + 1 == name.size()) return false;
  const std::string_view owner = name.substr(0, dot);
  return (names.answers && owner == "request") ||
         std::ranges::find(names.streams, owner) != names.streams.end();
}

// --- Matchers ---

std::optional<std::string_view> pattern_of(std::string_view text) {
  if (text.size() < 2 || text.front() != '/' || text.back() != '/') return std::nullopt;
  return text.substr(1, text.size() - 2);
}

struct Bound {
  std::string_view sign;
  std::string_view number;
};

// "> 1.5": a comparison when a sign and a blank stand in front.
std::optional<Bound> bound_of(std::string_view text) {
  for (const std::string_view sign : {">=", "<=", ">", "<"}) {
    if (text.starts_with(sign) && text.substr(sign.size()).starts_with(' '))
      return Bound{sign, text.substr(sign.size() + 1)};
  }
  return std::nullopt;
}

bool within(const Bound& bound, std::string_view actual) {
  const auto limit = Decimal::parse(bound.number), value = Decimal::parse(actual);
  if (!limit || !value) return false;
  if (bound.sign == ">") return *value > *limit;
  if (bound.sign == "<") return *value < *limit;
  return bound.sign == ">=" ? *value >= *limit : *value <= *limit;
}

bool matches_pattern(std::string_view pattern, std::string_view actual) {
  const auto compiled = graph::Pattern::compile(pattern);
  return compiled && graph::is_utf8(actual) && actual.find('\0') == std::string_view::npos &&
         compiled->matches(actual);
}

bool accepts(const Node& expected, std::string_view wanted,
             const std::optional<std::string_view>& actual) {
  if (expected.plain && expected.text == "absent") return !actual;
  if (!actual) return false;
  if (expected.plain && expected.text == "present") return true;
  if (const auto pattern = pattern_of(wanted)) return matches_pattern(*pattern, *actual);
  if (const auto bound = bound_of(wanted)) return within(*bound, *actual);
  return *actual == wanted;
}

std::string shown(const std::optional<std::string_view>& actual) {
  if (!actual) return "nothing";
  return actual->empty() ? "an empty text" : printable(*actual, kShownBytesMax);
}

// --- JSON ---

using Json = rapidjson::GenericDocument<rapidjson::UTF8<>>;
using JsonValue = Json::ValueType;

bool parse(std::string_view text, Json& json) {
  constexpr unsigned kFlags = rapidjson::kParseNumbersAsStringsFlag |
                              rapidjson::kParseIterativeFlag |
                              rapidjson::kParseValidateEncodingFlag;
  return !json.Parse<kFlags>(text.data(), text.size()).HasParseError();
}

std::optional<std::string_view> scalar_text(const JsonValue& value) {
  if (value.IsString()) return std::string_view(value.GetString(), value.GetStringLength());
  if (value.IsBool()) return value.GetBool() ? "true" : "false";
  if (value.IsNull()) return "null";
  return std::nullopt;
}

const JsonValue* member_of(const JsonValue& object, const std::string& name) {
  const auto found = object.FindMember(
      JsonValue(rapidjson::StringRef(name.data(), static_cast<rapidjson::SizeType>(name.size()))));
  return found == object.MemberEnd() ? nullptr : &found->value;
}

void mismatch(const Node& expected, const std::string& what, std::string wanted, std::string got,
              std::vector<Mismatch>& out) {
  out.push_back({expected.spot, what, std::move(wanted), std::move(got)});
}

// Nested as deep as the expectation is, which the file's reader bounds.
void compare_json(const Node& expected, const JsonValue* actual, const std::string& what,
                  const Scope& scope, std::vector<Mismatch>& out) {
  if (expected.is_map()) {
    if (actual == nullptr || !actual->IsObject())
      return mismatch(expected, what, "an object", actual == nullptr ? "nothing" : "none", out);
    for (const Node::Member& member : expected.members)
      compare_json(member.value, member_of(*actual, member.key), what + "." + member.key, scope,
                   out);
  } else if (expected.is_list()) {
    if (actual == nullptr || !actual->IsArray())
      return mismatch(expected, what, "a list", actual == nullptr ? "nothing" : "none", out);
    if (actual->Size() != expected.items.size())
      return mismatch(expected, what, fmt::format("{} items", expected.items.size()),
                      std::to_string(actual->Size()), out);
    for (rapidjson::SizeType i = 0; i < actual->Size(); ++i)
      compare_json(expected.items[i], &(*actual)[i], fmt::format("{}[{}]", what, i), scope, out);
  } else {
    const auto text = actual == nullptr ? std::nullopt : scalar_text(*actual);
    compare(expected, actual != nullptr && !text ? "an object or a list" : text, what, scope, out);
  }
}

bool is_json_number(std::string_view text) {
  Json json;
  const bool digits = !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
  return digits && parse(text, json) && text.find(' ') == std::string_view::npos;
}

void write_string(rapidjson::StringBuffer& out, std::string_view text) {
  rapidjson::Writer<rapidjson::StringBuffer> writer(out);
  writer.String(text.data(), static_cast<rapidjson::SizeType>(text.size()));
}

Status write_json(const Node& node, const Scope& scope, rapidjson::StringBuffer& out) {
  const auto raw = [&](std::string_view text) {
    for (const char c : text) out.Put(c);
  };
  if (node.is_map() || node.is_list()) {
    raw(node.is_map() ? "{" : "[");
    bool first = true;
    for (const Node::Member& member : node.members) {
      if (!std::exchange(first, false)) raw(", ");
      write_string(out, member.key);
      raw(": ");
      SLUICE_TRY(write_json(member.value, scope, out));
    }
    for (const Node& item : node.items) {
      if (!std::exchange(first, false)) raw(", ");
      SLUICE_TRY(write_json(item, scope, out));
    }
    raw(node.is_map() ? "}" : "]");
    return Status::ok();
  }
  if (node.is_null()) {
    raw("null");
    return Status::ok();
  }
  SLUICE_ASSIGN(text, expand(node.text, scope));
  const bool literal = text == "true" || text == "false" || text == "null" || is_json_number(text);
  if (node.plain && literal)
    raw(text);
  else
    write_string(out, text);
  return Status::ok();
}

}  // namespace

void check_references(Findings& findings, std::string_view text, Spot spot, const Names& names) {
  const bool closed = split(
      text, [](std::string_view) {},
      [&](std::string_view name) {
        if (!is_reference(name, names)) bad_reference(findings, spot, name, names);
      });
  if (!closed)
    findings.add(Fault::kVariableMalformed, spot.line, spot.column,
                 fmt::format("a ${{ is not closed in \"{}\"", printable(text)));
}

void check_references(Findings& findings, const Node& node, const Names& names) {
  if (node.is_text()) check_references(findings, node.text, node.spot, names);
  for (const Node& item : node.items) check_references(findings, item, names);
  for (const Node::Member& member : node.members) check_references(findings, member.value, names);
}

void check_expected(Findings& findings, const Node& node, const Names& names) {
  if (node.is_text()) {
    check_references(findings, node.text, node.spot, names);
    const auto refuse = [&](std::string text, std::string expected) {
      findings.add(Fault::kTestMatcher, node.spot.line, node.spot.column, std::move(text),
                   std::move(expected));
    };
    if (const auto pattern = pattern_of(node.text)) {
      if (const auto compiled = graph::Pattern::compile(*pattern); !compiled)
        refuse(fmt::format("pattern {}: {}", printable(node.text), compiled.status().text()), "");
    } else if (const auto bound = bound_of(node.text)) {
      if (bound->number.find("${") == std::string_view::npos && !Decimal::parse(bound->number))
        refuse(fmt::format("\"{}\" compares with no number", printable(node.text)),
               "a number behind the sign");
    }
  }
  for (const Node& item : node.items) check_expected(findings, item, names);
  for (const Node::Member& member : node.members) check_expected(findings, member.value, names);
}

Result<std::string> expand(std::string_view text, const Scope& scope) {
  std::string out;
  std::string missing;
  split(
      text, [&](std::string_view plain) { out += plain; },
      [&](std::string_view name) {
        if (const auto value = value_of(name, scope))
          out += *value;
        else
          missing = name;
      });
  if (!missing.empty())
    return Status(Code::kInvalid, fmt::format("${{{}}}: there is no such entry or field", missing));
  return out;
}

Result<stream::Fields> to_fields(const Node& map, const Scope& scope) {
  stream::Fields fields;
  for (const Node::Member& member : map.members) {
    const bool nested = member.value.is_map() || member.value.is_list();
    SLUICE_ASSIGN(value, nested ? to_json(member.value, scope) : expand(member.value.text, scope));
    fields.add(member.key, value);
  }
  return fields;
}

Result<std::string> to_json(const Node& node, const Scope& scope) {
  rapidjson::StringBuffer out;
  SLUICE_TRY(write_json(node, scope, out));
  return std::string(out.GetString(), out.GetSize());
}

void compare(const Node& expected, const std::optional<std::string_view>& actual,
             const std::string& what, const Scope& scope, std::vector<Mismatch>& out) {
  if (expected.is_map() || expected.is_list()) {
    Json json;
    if (!actual || !parse(*actual, json))
      return mismatch(expected, what, expected.is_map() ? "a JSON object" : "a JSON list",
                      shown(actual), out);
    return compare_json(expected, &json, what, scope, out);
  }
  const auto wanted = expand(expected.text, scope);
  if (!wanted) return mismatch(expected, what, wanted.status().text(), shown(actual), out);
  if (!accepts(expected, *wanted, actual))
    mismatch(expected, what, wanted->empty() ? "an empty text" : *wanted, shown(actual), out);
}

void compare_fields(const Node& expected, stream::FieldsView actual, const std::string& what,
                    const Scope& scope, std::vector<Mismatch>& out) {
  for (const Node::Member& member : expected.members)
    compare(member.value, actual.find(member.key), what + "." + member.key, scope, out);
}

std::string fields_text(stream::FieldsView fields) {
  constexpr size_t kValueBytesMax = 48;
  std::string out;
  for (const stream::FieldView& field : fields) {
    if (field.value.empty()) continue;
    const std::string value = printable(field.value, kValueBytesMax);
    out += fmt::format("{}{}: {}{}", out.empty() ? "" : ", ", printable(field.name), value,
                       field.value.size() > value.size() ? "..." : "");
  }
  return out.empty() ? "{}" : "{ " + out + " }";
}

}  // namespace sluice::harness
