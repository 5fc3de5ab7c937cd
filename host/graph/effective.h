// A pipeline file as it takes effect: every default filled in, and where each value comes from.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/located.h"
#include "graph/pipeline.h"

namespace sluice::graph {

struct Origin {
  enum class Kind {
    kFile,      // written where it holds
    kDefaults,  // written in `defaults`
    kPlugin,    // the plugin's default
    kHost,      // the host's default
  };
  Kind kind = Kind::kHost;
  Place place;                      // kFile, kDefaults: of the value; of the key for a map
  std::string written;              // the text as it stands there, when that is not the value
  std::vector<Variable> variables;  // replaced in `written`, in order
  std::string plugin;               // kPlugin: "apply.gate 1.0.0"
};

// One value of the effective file, or a map of them.
struct Effective {
  enum class Type {
    kMap,
    kList,
    kText,  // a text; printed in quotes where it could be read as something else
    kWord,  // a number, a duration, true, a choice: never in quotes
  };
  Type type = Type::kMap;
  std::string key;   // in its map; the index in its list
  std::string text;  // of a scalar; a password in a url is "***"
  Origin origin;

  // Printed instead of `text` when that cannot stand in a file: it hides a password, or holds a
  // "${" that came out of a variable.
  std::string printed;

  // What would hold if the key were not written, when that is known.
  struct Otherwise {
    std::string text;
    Origin origin;
  };
  std::optional<Otherwise> otherwise;

  std::vector<Effective> members;  // in the order of print

  bool is_scalar() const { return type == Type::kText || type == Type::kWord; }

  // The value at a dotted path from here, "stages.gate.retry.min"; names may hold dots themselves.
  const Effective* find(std::string_view path) const;
};

// The whole file. `tree` is what `pipeline` was loaded from.
//
// Shape: keys in the order of file_keys.h, streams and stages as in the file. `defaults` is gone:
// each stage says what it takes from there. Keys that are not set and have no default are left out,
// and so are those that say nothing to the kind of stage. Paths are absolute, so that the text
// means the same wherever it is kept. A secret is the path of its file, never its text.
Effective effective_file(const Pipeline& pipeline, const Node& tree);

// YAML that `check` accepts and that means the same, with comments on what does not stand in the
// file: "# default", "# from defaults", "# ${SLUICE_DATA:-var/trade}".
std::string effective_yaml(const Effective& root, bool comments);

// Passwords of urls in `text` as "***": "redis://me:***@host".
std::string without_passwords(std::string_view text);

}  // namespace sluice::graph
