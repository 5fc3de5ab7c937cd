// The keys of a pipeline file as one table: what `sluice schema` offers and `sluice print` fills
// in.
//
// The loader reads each key by name, in the code that knows what it means; a test holds every key,
// bound and default here against what the loader accepts (tests/host/graph/file_keys_test.cc).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::graph {

// A map of the file.
enum class Section { kTop, kEngine, kStream, kAccount, kStage, kRetry, kDefaults };

// How a value is written.
enum class Form {
  kText,
  kTexts,  // a list of texts
  kName,   // a letter, then letters, digits, '_', '-' or '.'
  kPath,
  kCount,     // a whole number from `min` to `max`
  kDuration,  // from `min` to `max` milliseconds
  kFlag,
  kChoice,
  kDurability,
  kStream,    // a key of `streams`
  kAccount,   // the section of that name
  kEngine,    // ditto
  kRetry,     // ditto
  kDefaults,  // ditto
  kStreams,   // a map of sections
  kStages,    // ditto
  kUse,
  kFrom,
  kTo,
  kWith,
};

struct FileKey {
  std::string_view name;
  Form form;
  std::string_view doc;           // one sentence without its full stop
  std::string_view default_text;  // empty: none, or it depends on other keys
  bool needed = false;
  uint64_t min = 0, max = 0;
  std::string_view choices = {};  // kChoice: blank-separated
};

// In the order in which a file is printed.
std::span<const FileKey> keys_of(Section section);

const FileKey* find_key(Section section, std::string_view name);

}  // namespace sluice::graph
