// Reads keys and single values of a located tree; every refusal becomes a finding with its place.
//
// `path` in these calls is how the value is called in messages: "stages.router.batch".
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/located.h"

namespace sluice::graph {

// "a, b, c".
std::string joined(const std::vector<std::string>& words);

// The nearest of `choices`, or empty text.
std::string suggested(std::string_view word, const std::vector<std::string>& choices);

// Mends `word` when it is a slip of one of `choices`.
std::optional<Fix> slip_fix(std::string_view word, const std::vector<std::string>& choices);

// What a value is, for messages: `"no"`, "a map", "a list", "empty".
std::string met_value(const Node& node);

// The keys of one map. Unknown keys are found when it is made.
class Keys {
 public:
  // `owner` is where a missing key is reported: the key that holds this map. A null node counts as
  // an empty map.
  Keys(Findings& findings, const Node& node, std::string path, Spot owner,
       std::initializer_list<std::string_view> known);

  const Node* find(std::string_view key) const;
  const Node* need(std::string_view key) const;  // reports a missing key
  const Node::Member* member(std::string_view key) const;
  std::string path(std::string_view key) const;
  bool is_map() const { return node_.is_map() || (node_.is_null() && !node_.refused); }

 private:
  Findings& findings_;
  const Node& node_;
  const std::string path_;
  const Spot owner_;
};

// A setting that holds a secret by its name; one that names a file does not.
bool is_secret_name(std::string_view name);

// A text; flags an unquoted one that other YAML readers take for something else.
std::optional<std::string> read_text(Findings& findings, const Node& node, std::string_view path);

// A list of texts.
std::optional<std::vector<std::string>> read_texts(Findings& findings, const Node& node,
                                                   std::string_view path);

// A whole number from `min` to `max`.
std::optional<uint64_t> read_count(Findings& findings, const Node& node, std::string_view path,
                                   uint64_t min, uint64_t max);

// A duration such as 300ms, from `min` to `max`; whole milliseconds.
std::optional<std::chrono::milliseconds> read_duration(Findings& findings, const Node& node,
                                                       std::string_view path,
                                                       std::chrono::milliseconds min,
                                                       std::chrono::milliseconds max);

std::optional<bool> read_flag(Findings& findings, const Node& node, std::string_view path);

// Index of the text among `choices`.
std::optional<size_t> read_choice(Findings& findings, const Node& node, std::string_view path,
                                  const std::vector<std::string>& choices);

// A name of a pipeline, stage or stream: a letter, then up to 63 letters, digits, '_', '-' or '.'.
bool check_name(Findings& findings, std::string_view name, Spot spot, std::string_view what);

}  // namespace sluice::graph
