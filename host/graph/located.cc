#include "graph/located.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <sstream>
#include <utility>

#include "graph/text.h"

namespace sluice::graph {
namespace {

// Ends the parser from inside an event; the finding was made.
struct Stop {};

Spot spot_of(const YAML::Mark& mark) {
  return mark.is_null() ? Spot{} : Spot{mark.line + 1, mark.column + 1};
}

// Builds the tree from the parser's events. Aliases arrive as events and are never followed.
class Builder final : public YAML::EventHandler {
 public:
  // `text` is what is being parsed.
  Builder(std::string_view text, Findings& findings) : text_(text), findings_(findings) {}

  Node take_root() { return std::move(root_); }

  // Where the innermost list or map in brackets starts that is still open.
  std::optional<Spot> open_bracket() const {
    for (auto frame = frames_.rbegin(); frame != frames_.rend(); ++frame)
      if (frame->in_brackets) return frame->node.spot;
    return std::nullopt;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ < 2) return;
    // Without a marker the parser takes what does not fit the value above for a document.
    if (rest_at(mark).starts_with("---")) {
      add(Fault::kSecondDocument, mark, "a second document starts here", "one document a file");
    } else {
      add(Fault::kSyntax, mark, "not valid YAML: this does not belong to what stands above", "");
    }
    throw Stop{};
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check_anchor(mark, anchor);
    put(scalar(Node::Type::kNull, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    // A file that explodes need not hear of each of its aliases.
    constexpr int kAliasesReportedMax = 20;
    if (++aliases_ <= kAliasesReportedMax)
      add(Fault::kAnchor, mark, "an alias is used", "the value itself, written out");
    Node node = scalar(Node::Type::kNull, mark);
    node.refused = true;
    put(std::move(node));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_anchor(mark, anchor);
    check_tag(mark, tag);
    Node node = scalar(Node::Type::kText, mark);
    node.plain = tag == "?";
    if (!node.plain) check_quote(mark);
    node.text = value;
    // An escape can write what the file itself may not hold. Paths and names would end there.
    if (value.find('\0') != std::string::npos) {
      add(Fault::kNotText, mark, "a text holds a zero byte", "a text without it");
      node.refused = true;
    }
    put(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(Node::Type::kList, mark, tag, anchor, style);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(Node::Type::kMap, mark, tag, anchor, style);
  }
  void OnMapEnd() override { close(); }

 private:
  // A list or map being filled.
  struct Frame {
    Node node;
    std::map<std::string, Spot, std::less<>> keys;  // of a map, for finding doubled ones
    std::optional<std::pair<std::string, Spot>> key;
    bool drop = false;  // the value that follows belongs to a key that was refused
    bool in_brackets = false;
  };

  void add(Fault fault, const YAML::Mark& mark, std::string text, std::string expected) {
    const Spot spot = spot_of(mark);
    findings_.add(fault, spot.line, spot.column, std::move(text), std::move(expected));
  }

  void check_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) add(Fault::kAnchor, mark, "an anchor is set", "a value without an anchor");
  }

  std::string_view rest_at(const YAML::Mark& mark) const {
    const size_t at = mark.is_null() ? text_.size() : static_cast<size_t>(mark.pos);
    return text_.substr(std::min(at, text_.size()));
  }

  // The parser lets a text without its closing quote run to the end of the file.
  void check_quote(const YAML::Mark& mark) {
    const std::string_view rest = rest_at(mark);
    if (!rest.starts_with('\'') && !rest.starts_with('"')) return;
    const char quote = rest[0];
    for (size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == '\\' && quote == '"') {
        ++i;
      } else if (rest[i] == quote) {
        if (quote == '"' || !rest.substr(i + 1).starts_with('\'')) return;
        ++i;  // doubled: the quote itself
      }
    }
    add(Fault::kSyntax, mark, "not valid YAML: a quote is not closed",
        fmt::format("a closing {}", quote));
    throw Stop{};
  }

  // "?" and "!" are the parser's marks for untagged plain and quoted values.
  void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    const bool standard = tag.starts_with(kStandard);
    const std::string written = standard ? "!!" + tag.substr(kStandard.size()) : tag;
    add(Fault::kTag, mark, fmt::format("tag {} is set", printable(written)),
        "a value without a tag");
  }

  Node scalar(Node::Type type, const YAML::Mark& mark) {
    if (++nodes_ > kNodesMax) {
      add(Fault::kTooManyNodes, mark, fmt::format("more than {} keys and values", kNodesMax),
          "a smaller file");
      throw Stop{};
    }
    Node node;
    node.type = type;
    node.spot = spot_of(mark);
    return node;
  }

  void open(Node::Type type, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YAML::EmitterStyle::value style) {
    check_anchor(mark, anchor);
    check_tag(mark, tag);
    if (frames_.size() >= kDepthMax) {
      add(Fault::kTooDeep, mark, fmt::format("nested deeper than {}", kDepthMax), "a flatter file");
      throw Stop{};
    }
    Frame& frame = frames_.emplace_back();
    frame.node = scalar(type, mark);
    frame.in_brackets = style == YAML::EmitterStyle::Flow;
  }

  void close() {
    Node node = std::move(frames_.back().node);
    frames_.pop_back();
    put(std::move(node));
  }

  void put(Node node) {
    if (frames_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = frames_.back();
    if (frame.node.is_list()) {
      frame.node.items.push_back(std::move(node));
    } else if (std::exchange(frame.drop, false)) {
      // belongs to a refused key
    } else if (!frame.key) {
      put_key(frame, node);
    } else {
      auto [key, spot] = *std::exchange(frame.key, std::nullopt);
      // The parser marks an empty value at whatever follows it, which may be lines below.
      if (node.is_null() && node.spot.line != spot.line) node.spot = spot;
      frame.node.members.push_back({std::move(key), spot, std::move(node)});
    }
  }

  void put_key(Frame& frame, const Node& node) {
    const Spot spot = node.spot;
    frame.drop = true;
    if (!node.is_text()) {
      findings_.add(Fault::kKeyNotText, spot.line, spot.column, "a key is not a text", "a name");
    } else if (node.text == "<<" && node.plain) {
      findings_.add(Fault::kMergeKey, spot.line, spot.column, "merge key <<",
                    "the keys themselves, written out");
      frame.node.refused = true;
    } else if (const auto [known, fresh] = frame.keys.emplace(node.text, spot); !fresh) {
      findings_.add(Fault::kDuplicateKey, spot.line, spot.column,
                    fmt::format("key \"{}\" is given twice, first in line {}", printable(node.text),
                                known->second.line),
                    "each key once");
    } else {
      frame.drop = false;
      frame.key.emplace(node.text, spot);
    }
  }

  const std::string_view text_;
  Findings& findings_;
  Node root_;
  std::vector<Frame> frames_;  // at most kDepthMax
  size_t nodes_ = 0;
  int documents_ = 0;
  int aliases_ = 0;
};

// Of the valid character at the front of `text`: its number, when it is below U+0100.
unsigned code_point(std::string_view text) {
  const auto c = static_cast<unsigned char>(text[0]);
  return c < 0x80 ? c : (c & 0x1FU) << 6U | (static_cast<unsigned char>(text[1]) & 0x3FU);
}

// What YAML counts as not printable: C0 and C1 controls except tab and line ends. Terminals obey
// them.
bool is_control(std::string_view text) {
  const auto c = static_cast<unsigned char>(text[0]);
  if (c < 0x80) return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F;
  return c == 0xC2 && code_point(text) < 0xA0 && code_point(text) != 0x85;
}

// The parser reads on to the end of a bracket before it tells of it, and holds 250 bytes for each
// that opens. Brackets in quotes and comments are counted as well, hence a bound far from the
// depth. True: fit to parse.
bool check_brackets(std::string_view text, Findings& findings) {
  constexpr int kOpenMax = 1000;
  int open = 0, line = 1, column = 0;
  for (const char c : text) {
    column += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (c == '\n') {
      ++line;
      column = 0;
    } else if (c == '[' || c == '{') {
      if (++open <= kOpenMax) continue;
      findings.add(Fault::kTooDeep, line, column, fmt::format("nested deeper than {}", kDepthMax),
                   "a flatter file");
      return false;
    } else if ((c == ']' || c == '}') && open > 0) {
      --open;
    }
  }
  return true;
}

// Faults that the parser would report badly or not at all. True: fit to parse.
bool check_characters(std::string_view text, Findings& findings) {
  if (text.size() > kFileBytesMax) {
    findings.add(Fault::kFileTooLarge, 1, 1, fmt::format("{} bytes", text.size()),
                 fmt::format("at most {} bytes", kFileBytesMax));
    return false;
  }
  bool fit = true;
  int line = 1;
  size_t line_start = 0;
  bool indent = true;
  size_t tab = std::string_view::npos;  // in this line's indentation
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    const int column = static_cast<int>(i - line_start) + 1;
    const size_t size = utf8_size(text.substr(i));
    if (size == 0 || is_control(text.substr(i))) {
      findings.add(Fault::kNotText, line, column,
                   size == 0
                       ? fmt::format("byte 0x{:02x} is not part of UTF-8 text", c)
                       : fmt::format("control character 0x{:02x}", code_point(text.substr(i))),
                   "UTF-8 text without control characters");
      return false;  // one is enough: a binary file has thousands
    }
    if (c == '\n') {
      ++line;
      line_start = i + 1;
      indent = true;
      tab = std::string_view::npos;
    } else if (indent && c == '\t') {
      tab = std::min(tab, i);
    } else if (indent && c != ' ' && c != '\r') {
      indent = false;
      if (tab != std::string_view::npos && c != '#') {
        findings.add(Fault::kTabIndent, line, static_cast<int>(tab - line_start) + 1,
                     "a tab in the indentation", "spaces");
        fit = false;
      }
    }
    i += size;
  }
  return fit;
}

bool is_name_start(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; }
bool is_name(std::string_view text) {
  return !text.empty() && is_name_start(text[0]) && std::ranges::all_of(text, [](char c) {
    return is_name_start(c) || (c >= '0' && c <= '9');
  });
}

void resolve_text(Node& node, const Environment& environment, Findings& findings) {
  std::string out;
  std::string_view rest = node.text;
  for (size_t at = rest.find("${"); at != std::string_view::npos; at = rest.find("${")) {
    out += rest.substr(0, at);
    rest.remove_prefix(at);
    const size_t end = rest.find('}');
    const std::string_view inside = rest.substr(2, end == rest.npos ? rest.npos : end - 2);
    const size_t mark = inside.find(":-");
    const std::string_view name = inside.substr(0, mark);
    // A default that opens another variable would end at that one's brace.
    if (end == rest.npos || !is_name(name) || inside.find("${") != inside.npos) {
      const std::string_view whole = rest.substr(0, end == rest.npos ? rest.npos : end + 1);
      findings.add(Fault::kVariableMalformed, node.spot.line, node.spot.column,
                   fmt::format("\"{}\" is not well formed", printable(whole, 60)),
                   "${NAME} or ${NAME:-default}");
      node.refused = true;
      return;
    }
    const auto value = environment(name);
    Variable& variable = node.variables.emplace_back();
    variable.name = name;
    if (mark != inside.npos) variable.default_text = inside.substr(mark + 2);
    if (value && !(value->empty() && mark != inside.npos)) {
      out += *value;
      node.from_environment = variable.set = true;
    } else if (mark != inside.npos) {
      out += inside.substr(mark + 2);
    } else {
      findings.add(Fault::kVariableUnset, node.spot.line, node.spot.column,
                   fmt::format("variable {} is not set", name), "",
                   fmt::format("set {0}, or write ${{{0}:-default}}", name));
      node.refused = true;
    }
    node.resolved = true;
    rest.remove_prefix(end + 1);
  }
  out += rest;
  if (node.resolved) node.written = node.text;
  node.text = std::move(out);
}

// The parser's complaints in words that say what to do; its own text where there are none.
struct SyntaxWords {
  std::string_view met;  // how the parser's text starts
  std::string_view text;
  std::string_view suggestion;
};
constexpr auto kSyntaxWords = std::to_array<SyntaxWords>({
    {"illegal map value", "a \":\" stands where no key can end",
     "look for a key without \": \" here or in the line above; a value that holds \": \" needs "
     "quotes"},
    {"illegal map key", "a key stands where none can", "look at the indentation of this line"},
    {"illegal block entry", "a list item stands where none can",
     "put the list below its key, each item in one column"},
    {"illegal flow end", "a bracket is closed that is not the open one",
     "close what is open, or put a value with brackets in quotes"},
    {"end of map flow not found", "a { is not closed", "close it with }"},
    {"end of sequence flow not found", "a [ is not closed", "close it with ]"},
    {"end of map not found", "this does not continue the map above",
     "put all keys of one map in one column"},
    {"end of sequence not found", "this does not continue the list above",
     "put all items of one list in one column"},
    {"unknown token", "no plain value starts with this character", "put the value in quotes"},
    {"unknown escape character", "a backslash stands before a character that it does not change",
     "write two backslashes, or use single quotes"},
});

void report_syntax(const YAML::Exception& error, const Builder& builder, Findings& findings) {
  if (error.msg == YAML::ErrorMsg::UNKNOWN_ANCHOR) {
    const Spot spot = spot_of(error.mark);
    findings.add(Fault::kAnchor, spot.line, spot.column, "an alias is used",
                 "the value itself, written out");
    return;
  }
  const auto words = std::ranges::find_if(kSyntaxWords, [&](const SyntaxWords& known) {
    return std::string_view(error.msg).starts_with(known.met);
  });
  Spot spot = spot_of(error.mark);
  // The parser notices an open bracket far below it.
  if (error.msg.find("flow not found") != std::string::npos)
    spot = builder.open_bracket().value_or(spot);
  if (words == kSyntaxWords.end()) {
    findings.add(Fault::kSyntax, spot.line, spot.column, "not valid YAML: " + printable(error.msg));
  } else {
    findings.add(Fault::kSyntax, spot.line, spot.column,
                 fmt::format("not valid YAML: {}", words->text), "",
                 std::string(words->suggestion));
  }
}

}  // namespace

const Node::Member* Node::find(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &Member::key);
  return found == members.end() ? nullptr : &*found;
}

std::optional<Node> read_tree(std::string_view text, Findings& findings) {
  // The parser's marks do not count the byte order mark.
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (!check_characters(text, findings) || !check_brackets(text, findings)) return std::nullopt;
  Builder builder(text, findings);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Stop&) {
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    report_syntax(error, builder, findings);
    return std::nullopt;
  } catch (const std::exception&) {
    findings.add(Fault::kSyntax, 1, 1, "not valid YAML: the parser gave up");
    return std::nullopt;
  }
  return builder.take_root();
}

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    // Read at start-up, before any thread that could change the environment.
    const char* value = std::getenv(std::string(name).c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

void resolve_variables(Node& node, const Environment& environment, Findings& findings) {
  if (node.is_text()) resolve_text(node, environment, findings);
  for (Node& item : node.items) resolve_variables(item, environment, findings);
  for (Node::Member& member : node.members) resolve_variables(member.value, environment, findings);
}

// Source: YAML 1.1 types bool, int (octal and base 60), https://yaml.org/type/.
std::string_view ambiguous_meaning(std::string_view text) {
  static constexpr auto kBooleans = std::to_array<std::string_view>(
      {"y",    "Y",    "yes",   "Yes",   "YES",   "n",  "N",  "no", "No",  "NO",  "true",
       "True", "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF"});
  if (std::ranges::find(kBooleans, text) != kBooleans.end()) return "a boolean";
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  if (text.empty() || text[0] < '0' || text[0] > '9') return {};
  const bool digits = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (digits && text.size() > 1 && text[0] == '0') return "an octal number";
  const bool base60 =
      text.find(':') != text.npos && text.back() != ':' && text.find("::") == text.npos &&
      std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == ':'; });
  return base60 ? "a base-60 number" : "";
}

}  // namespace sluice::graph
