// Everything `check` can find, each with a code that never changes its meaning.
//
// The table is the one list of codes: docs/findings.md repeats it (a test compares the two), and
// severities come from it. Codes of removed findings are not used again.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/pipeline.h"

namespace sluice::graph {

// The numbers are the printed codes: Fault::kUnknownKey is S0101.
enum class Fault : int {
  // The file and its YAML.
  kFileUnreadable = 1,
  kFileTooLarge = 2,
  kNotText = 3,
  kSyntax = 4,
  kTooDeep = 5,
  kTooManyNodes = 6,
  kAnchor = 7,
  kTag = 8,
  kMergeKey = 9,
  kDuplicateKey = 10,
  kKeyNotText = 11,
  kTabIndent = 12,
  kSecondDocument = 13,
  kVariableUnset = 14,
  kVariableMalformed = 15,
  kAmbiguousPlain = 16,
  // Keys and their values.
  kUnknownKey = 101,
  kMissingKey = 102,
  kWrongShape = 103,
  kBadValue = 104,
  kOutOfBounds = 105,
  kApiVersion = 106,
  kInlineSecret = 107,
  kSecretUnreadable = 108,
  kBadName = 109,
  kKeyHasNoEffect = 110,
  kEngineMissing = 111,
  kInputPathUnreadable = 112,
  kStorePath = 113,
  kListenAddress = 114,
  // Streams.
  kUnknownStream = 201,
  kSharedStreamName = 202,
  kSchemaRefused = 203,
  kNoProducer = 204,
  kNoReader = 205,
  kRequiredNotWritten = 206,
  kNeededNotWritten = 207,
  kUnreadButRead = 208,
  kDeadLettersNotKept = 209,
  // Stages and the graph.
  kPluginUnknown = 301,
  kPluginRefused = 302,
  kSettingUnknown = 303,
  kSettingMissing = 304,
  kSettingValue = 305,
  kPortUnknown = 306,
  kInputUnwired = 307,
  kOutputUnwired = 308,
  kWiringForm = 309,
  kDuplicateGroup = 310,
  kCycle = 311,
  kNoDeadLetter = 312,
  kOwnDeadLetter = 313,
  kSettingsRefused = 314,
  kKeysOwnedTwice = 315,
  kNoCommonSlot = 316,
  kOneOverShards = 317,
  // Policies.
  kPolicyUnreadable = 401,
  kPolicyRefused = 402,
  kPolicyUnused = 403,
  // Test files.
  kTestReference = 501,
  kTestMatcher = 502,
  kTestStageUnknown = 503,
  kTestStepForm = 504,
  kTestExpectsNothing = 505,
  kTestNameTwice = 506,
  kTestPipelineRefused = 507,
  // The engine on this machine: `check --live`.
  kStoreUnusable = 601,
  kStorePermission = 602,
  kStoreDamaged = 603,
  kLeftInStore = 604,
  kGroupStartsAtHistory = 605,
  kDiskSpaceLow = 606,
  kClockBehind = 607,
  kServerEvicts = 608,
  kServerReplicas = 609,
  kServerWeak = 610,
  kEntriesTrimmed = 611,
  kOtherHosts = 612,
  kHostsMixed = 613,
  // Time.
  kKeyExpires = 701,
  kEntryGoesStale = 702,
};

struct FaultInfo {
  Fault fault;
  Severity severity;
  std::string_view title;  // one line, no full stop
};

// All faults, codes ascending.
std::span<const FaultInfo> fault_table();

// "S0101".
std::string fault_code(Fault fault);

// The line of a place with the word there underlined, two lines; empty when it cannot be read or is
// longer than anybody reads.
std::string source_excerpt(const Place& place);

// More tell no more, and each costs a look into the file.
inline constexpr size_t kFindingsMax = 200;

// What has been found so far in one file.
class Findings {
 public:
  explicit Findings(std::string file) : file_(std::move(file)) {}

  // `expected` and `suggestion` may be empty. Severity comes from the table. The reference lasts
  // until the next call.
  Finding& add(Fault fault, int line, int column, std::string text, std::string expected = {},
               std::string suggestion = {});

  // The same in another file than the pipeline's: a policy, a schema. Said once, however many
  // stages use it.
  void add_elsewhere(Fault fault, Place place, std::string text, std::string expected = {});

  const std::string& file() const { return file_; }
  Place place(int line, int column) const { return {file_, line, column}; }
  bool has_errors() const;

  // In order of place, those of the pipeline's file first; the object is empty afterwards. Of more
  // than kFindingsMax the first errors, and the last one says how many there are besides.
  std::vector<Finding> take();

 private:
  std::string file_;
  std::vector<Finding> found_;
};

}  // namespace sluice::graph
