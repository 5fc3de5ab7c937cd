// A YAML file as a tree that knows where each key and value was written.
//
// The reader is stricter than YAML: anchors, aliases, tags and merge keys are refused (so nothing
// can explode or point elsewhere), keys are texts and unique, and size, depth and number of nodes
// are bounded. All scalars stay texts; what they mean is decided by whoever knows the wanted type.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/findings.h"

namespace sluice::graph {

inline constexpr size_t kFileBytesMax = 1 << 20;
inline constexpr size_t kDepthMax = 32;
inline constexpr size_t kNodesMax = 50'000;

struct Spot {
  int line = 1;    // from 1
  int column = 1;  // from 1, in bytes
};

// A ${...} in a text.
struct Variable {
  std::string name;
  bool set = false;                         // its value was taken, not the default
  std::optional<std::string> default_text;  // of ${NAME:-default}
};

struct Node {
  enum class Type { kNull, kText, kList, kMap };
  struct Member;

  Type type = Type::kNull;
  Spot spot;
  bool plain = false;             // text: written without quotes
  bool resolved = false;          // text: a ${...} was replaced
  bool from_environment = false;  // text: by the value of a variable, not by a default in the file
  // What stands here was refused and found: who reads the value has nothing to add. Of a map: keys
  // of it were refused, so one that is missing may be among them.
  bool refused = false;
  std::string text;
  std::string written;              // text, resolved: before ${...} was replaced
  std::vector<Variable> variables;  // text, resolved: what was replaced, in order
  std::vector<Node> items;
  std::vector<Member> members;  // keys unique, in file order

  bool is_text() const { return type == Type::kText; }
  bool is_list() const { return type == Type::kList; }
  bool is_map() const { return type == Type::kMap; }
  bool is_null() const { return type == Type::kNull; }
  const Member* find(std::string_view key) const;
};

struct Node::Member {
  std::string key;
  Spot spot;
  Node value;
};

// Reads `text`; every fault that does not end the reading is found. nullopt when there is no tree
// to go on with (syntax, size, depth).
std::optional<Node> read_tree(std::string_view text, Findings& findings);

// The value of a variable, or nothing when it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;

// Variables of this process.
Environment process_environment();

// Replaces ${NAME} and ${NAME:-default} in all text values (not keys). The default stands in for a
// variable that is unset or empty. A replaced value is never parsed again.
void resolve_variables(Node& node, const Environment& environment, Findings& findings);

// What a YAML 1.1 reader would make of an unquoted `text` that looks like plain text: "a boolean",
// "an octal number", "a base-60 number"; empty when nothing else.
std::string_view ambiguous_meaning(std::string_view text);

}  // namespace sluice::graph
