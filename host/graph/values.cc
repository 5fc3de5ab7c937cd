#include "graph/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "graph/text.h"
#include "plugin/catalog.h"
#include "plugin/nearest.h"

namespace sluice::graph {
namespace {

void wrong_shape(Findings& findings, const Node& node, std::string_view path,
                 std::string_view wanted) {
  if (node.refused) return;
  findings.add(Fault::kWrongShape, node.spot.line, node.spot.column,
               fmt::format("{} is {}", path, met_value(node)), std::string(wanted));
}

std::string duration_text(std::chrono::milliseconds value) {
  return plugin::duration_text(std::chrono::microseconds(value).count());
}

}  // namespace

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += out.empty() ? word : ", " + word;
  return out;
}

std::string suggested(std::string_view word, const std::vector<std::string>& choices) {
  return plugin::nearest(word, choices).value_or("");
}

std::optional<Fix> slip_fix(std::string_view word, const std::vector<std::string>& choices) {
  auto meant = plugin::slip_of(word, choices);
  if (!meant) return std::nullopt;
  return Fix{std::string(word), *std::move(meant)};
}

std::string met_value(const Node& node) {
  switch (node.type) {
    case Node::Type::kText:
      if (node.text.find('\n') != node.text.npos) return "a text of several lines";
      return fmt::format("\"{}\"", printable(node.text));
    case Node::Type::kList:
      return "a list";
    case Node::Type::kMap:
      return "a map";
    case Node::Type::kNull:
      break;
  }
  return "empty";
}

Keys::Keys(Findings& findings, const Node& node, std::string path, Spot owner,
           std::initializer_list<std::string_view> known)
    : findings_(findings), node_(node), path_(std::move(path)), owner_(owner) {
  if (!is_map()) {
    wrong_shape(findings, node, path_.empty() ? "the file" : path_, "a map of keys");
    return;
  }
  const std::vector<std::string> names(known.begin(), known.end());
  for (const Node::Member& member : node.members) {
    if (std::ranges::find(names, member.key) != names.end()) continue;
    auto fix = slip_fix(member.key, names);
    if (fix && node.find(fix->becomes) != nullptr) fix.reset();  // it is there already
    findings
        .add(Fault::kUnknownKey, member.spot.line, member.spot.column,
             fmt::format("unknown key \"{}\"{}{}", printable(member.key),
                         path_.empty() ? "" : " in ", path_),
             "one of " + joined(names), suggested(member.key, names))
        .fix = std::move(fix);
  }
}

const Node::Member* Keys::member(std::string_view key) const { return node_.find(key); }

const Node* Keys::find(std::string_view key) const {
  const Node::Member* found = member(key);
  return found == nullptr ? nullptr : &found->value;
}

const Node* Keys::need(std::string_view key) const {
  const Node* found = find(key);
  if (found == nullptr && is_map() && !node_.refused)
    findings_.add(Fault::kMissingKey, owner_.line, owner_.column,
                  fmt::format("key \"{}\" is missing{}{}", key, path_.empty() ? "" : " in ", path_),
                  "", fmt::format("add `{}: ...`", key));
  return found;
}

std::string Keys::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

bool is_secret_name(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (lower.ends_with("_file") || lower.ends_with("_path")) return false;
  return lower.find("secret") != lower.npos || lower.find("password") != lower.npos ||
         lower.find("api_key") != lower.npos;
}

std::optional<std::string> read_text(Findings& findings, const Node& node, std::string_view path) {
  if (!node.is_text()) {
    wrong_shape(findings, node, path, "a text");
    return std::nullopt;
  }
  if (node.refused) return std::nullopt;
  if (node.plain && !node.resolved) {
    if (const auto meaning = ambiguous_meaning(node.text); !meaning.empty())
      findings
          .add(Fault::kAmbiguousPlain, node.spot.line, node.spot.column,
               fmt::format("{}: unquoted {} is {} to other YAML readers", path, node.text, meaning),
               "a text in quotes", fmt::format("write \"{}\"", node.text))
          .fix = Fix{node.text, fmt::format("\"{}\"", node.text)};
  }
  return node.text;
}

std::optional<std::vector<std::string>> read_texts(Findings& findings, const Node& node,
                                                   std::string_view path) {
  if (!node.is_list()) {
    wrong_shape(findings, node, path, "a list such as [a, b]");
    return std::nullopt;
  }
  std::vector<std::string> texts;
  for (const Node& item : node.items)
    if (auto text = read_text(findings, item, path)) texts.push_back(std::move(*text));
  return texts;
}

std::optional<uint64_t> read_count(Findings& findings, const Node& node, std::string_view path,
                                   uint64_t min, uint64_t max) {
  const std::string wanted = fmt::format("a whole number from {} to {}", min, max);
  if (!node.is_text()) {
    wrong_shape(findings, node, path, wanted);
    return std::nullopt;
  }
  if (node.refused) return std::nullopt;
  const auto refuse = [&](Fault fault, std::string suggestion) {
    findings.add(fault, node.spot.line, node.spot.column,
                 fmt::format("{} is {}", path, met_value(node)), wanted, std::move(suggestion));
    return std::nullopt;
  };
  const std::string& text = node.text;
  const bool digits =
      !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (digits && text.size() > 1 && text[0] == '0') {
    const size_t first = std::min(text.find_first_not_of('0'), text.size() - 1);
    return refuse(Fault::kBadValue, fmt::format("write {}; a leading zero means octal to other "
                                                "YAML readers",
                                                printable(text.substr(first))));
  }
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (digits && read.ec == std::errc::result_out_of_range) return refuse(Fault::kOutOfBounds, "");
  if (!digits || read.ptr != end) {
    const bool negative = text.size() > 1 && text[0] == '-' && text[1] >= '0' && text[1] <= '9';
    return refuse(negative ? Fault::kOutOfBounds : Fault::kBadValue, "");
  }
  if (value < min || value > max) return refuse(Fault::kOutOfBounds, "");
  return value;
}

std::optional<std::chrono::milliseconds> read_duration(Findings& findings, const Node& node,
                                                       std::string_view path,
                                                       std::chrono::milliseconds min,
                                                       std::chrono::milliseconds max) {
  const std::string wanted =
      fmt::format("a duration from {} to {}", duration_text(min), duration_text(max));
  if (!node.is_text()) {
    wrong_shape(findings, node, path, wanted);
    return std::nullopt;
  }
  if (node.refused) return std::nullopt;
  const auto refuse = [&](Fault fault, std::string suggestion) {
    findings.add(fault, node.spot.line, node.spot.column,
                 fmt::format("{} is {}", path, met_value(node)), wanted, std::move(suggestion));
    return std::nullopt;
  };
  const auto us = plugin::parse_duration(node.text);
  if (!us || *us % 1000 != 0) {
    const bool bare = !node.text.empty() &&
                      std::ranges::all_of(node.text, [](char c) { return c >= '0' && c <= '9'; });
    return refuse(
        Fault::kBadValue,
        bare ? fmt::format("add the unit, such as {0}ms or {0}s", printable(node.text)) : "");
  }
  const std::chrono::milliseconds value(*us / 1000);
  if (value < min || value > max) return refuse(Fault::kOutOfBounds, "");
  return value;
}

std::optional<bool> read_flag(Findings& findings, const Node& node, std::string_view path) {
  if (!node.is_text()) {
    wrong_shape(findings, node, path, "true or false");
    return std::nullopt;
  }
  if (node.refused) return std::nullopt;
  if (node.text == "true" || node.text == "false") return node.text == "true";
  std::string lower = node.text;
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string fix;
  if (lower == "yes" || lower == "on" || lower == "y" || lower == "true") fix = "true";
  if (lower == "no" || lower == "off" || lower == "n" || lower == "false") fix = "false";
  Finding& finding =
      findings.add(Fault::kBadValue, node.spot.line, node.spot.column,
                   fmt::format("{} is {}", path, met_value(node)), "true or false", fix);
  if (!fix.empty() && node.plain) finding.fix = Fix{node.text, fix};
  return std::nullopt;
}

std::optional<size_t> read_choice(Findings& findings, const Node& node, std::string_view path,
                                  const std::vector<std::string>& choices) {
  if (!node.is_text()) {
    wrong_shape(findings, node, path, "one of " + joined(choices));
    return std::nullopt;
  }
  if (node.refused) return std::nullopt;
  const auto found = std::ranges::find(choices, node.text);
  if (found != choices.end()) return static_cast<size_t>(found - choices.begin());
  findings
      .add(Fault::kBadValue, node.spot.line, node.spot.column,
           fmt::format("{} is {}", path, met_value(node)), "one of " + joined(choices),
           suggested(node.text, choices))
      .fix = slip_fix(node.text, choices);
  return std::nullopt;
}

bool check_name(Findings& findings, std::string_view name, Spot spot, std::string_view what) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const bool fit =
      !name.empty() && name.size() <= 64 && is_letter(name[0]) &&
      std::ranges::all_of(name, [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
      });
  if (!fit)
    findings.add(Fault::kBadName, spot.line, spot.column,
                 fmt::format("\"{}\" cannot be the name of a {}", printable(name), what),
                 "a letter, then at most 63 letters, digits, '_', '-' or '.'");
  return fit;
}

}  // namespace sluice::graph
