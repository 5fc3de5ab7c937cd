#include "graph/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>

#include "base/disk.h"
#include "graph/text.h"

namespace sluice::graph {
namespace {

constexpr auto kError = Severity::kError;
constexpr auto kWarning = Severity::kWarning;

constexpr auto kTable = std::to_array<FaultInfo>({
    {Fault::kFileUnreadable, kError, "the pipeline file cannot be read"},
    {Fault::kFileTooLarge, kError, "the file is larger than 1 MiB"},
    {Fault::kNotText, kError, "the file is not UTF-8 text, or holds control characters"},
    {Fault::kSyntax, kError, "the file is not valid YAML"},
    {Fault::kTooDeep, kError, "values are nested deeper than 32"},
    {Fault::kTooManyNodes, kError, "the file holds more than 50,000 keys and values"},
    {Fault::kAnchor, kError, "anchors and aliases are not read"},
    {Fault::kTag, kError, "tags are not read"},
    {Fault::kMergeKey, kError, "merge keys (<<) are not read"},
    {Fault::kDuplicateKey, kError, "a key is given twice in one map"},
    {Fault::kKeyNotText, kError, "a key is a map, a list or empty"},
    {Fault::kTabIndent, kError, "a line is indented with a tab"},
    {Fault::kSecondDocument, kError, "the file holds more than one YAML document"},
    {Fault::kVariableUnset, kError, "a variable without a default is not set"},
    {Fault::kVariableMalformed, kError, "a ${...} is not well formed"},
    {Fault::kAmbiguousPlain, kWarning,
     "an unquoted value is a boolean, octal or base-60 number to other YAML readers"},
    {Fault::kUnknownKey, kError, "a key is not known here"},
    {Fault::kMissingKey, kError, "a needed key is missing"},
    {Fault::kWrongShape, kError, "a map, a list or a single value stands where another is wanted"},
    {Fault::kBadValue, kError, "a value does not read as what is wanted"},
    {Fault::kOutOfBounds, kError, "a value is outside its bounds"},
    {Fault::kApiVersion, kError, "the file's api is not one this program reads"},
    {Fault::kInlineSecret, kError, "a secret is written in the file"},
    {Fault::kSecretUnreadable, kError, "the file of a secret cannot be read"},
    {Fault::kBadName, kError, "a name has characters that names cannot have"},
    {Fault::kKeyHasNoEffect, kWarning, "a key has no effect on this kind of thing"},
    {Fault::kEngineMissing, kError, "the engine is not part of this program"},
    {Fault::kInputPathUnreadable, kError, "a file or folder that is read cannot be read"},
    {Fault::kStorePath, kError, "the store's folder cannot be used"},
    {Fault::kListenAddress, kError, "an address to listen at cannot be read"},
    {Fault::kUnknownStream, kError, "a stream is named that the file does not declare"},
    {Fault::kSharedStreamName, kError, "two streams have the same name in the engine"},
    {Fault::kSchemaRefused, kError, "a message schema cannot be read or is not valid"},
    {Fault::kNoProducer, kError, "nothing writes a stream that is not external"},
    {Fault::kNoReader, kWarning, "nothing reads a stream that is not declared unread"},
    {Fault::kRequiredNotWritten, kWarning,
     "a producer never writes a property the stream's schema requires"},
    {Fault::kNeededNotWritten, kWarning, "a reader needs a field that no producer writes"},
    {Fault::kUnreadButRead, kWarning, "a stream is declared unread and has a reader"},
    {Fault::kDeadLettersNotKept, kWarning,
     "dead letters are gone as soon as the stage that reads them is done"},
    {Fault::kPluginUnknown, kError, "no plugin or kind of that name is installed"},
    {Fault::kPluginRefused, kError, "the plugin is installed but cannot be used"},
    {Fault::kSettingUnknown, kError, "the plugin has no setting of that name"},
    {Fault::kSettingMissing, kError, "a setting without a default is not given"},
    {Fault::kSettingValue, kError, "a setting's value has the wrong type, unit or range"},
    {Fault::kPortUnknown, kError, "the plugin has no port of that name"},
    {Fault::kInputUnwired, kError, "a needed input port has no stream"},
    {Fault::kOutputUnwired, kError, "a needed output port has no stream"},
    {Fault::kWiringForm, kError, "the wiring is not in the form this kind of stage takes"},
    {Fault::kDuplicateGroup, kError, "two readers of one stream share a consumer group"},
    {Fault::kCycle, kError, "streams and stages form a loop that is not declared as feedback"},
    {Fault::kNoDeadLetter, kError, "a stage has no dead-letter stream"},
    {Fault::kOwnDeadLetter, kError, "a stage reads the stream its own dead letters go to"},
    {Fault::kSettingsRefused, kError, "the plugin refuses the settings"},
    {Fault::kKeysOwnedTwice, kError, "two stages own the same keys"},
    {Fault::kNoCommonSlot, kError, "keys of one unit cannot share a slot of a cluster"},
    {Fault::kOneOverShards, kError, "keys for all entries would be one for each shard"},
    {Fault::kPolicyUnreadable, kError, "a policy file cannot be read"},
    {Fault::kPolicyRefused, kError, "a policy does not load or its tests fail"},
    {Fault::kPolicyUnused, kWarning, "a policy is given to a kind that has no hooks"},
    {Fault::kTestReference, kError, "a ${...} of a test names nothing it can use"},
    {Fault::kTestMatcher, kError, "an expected pattern or comparison cannot be read"},
    {Fault::kTestStageUnknown, kError, "a test names a stage the pipeline does not have"},
    {Fault::kTestStepForm, kError, "a step or an answer does not do exactly one thing"},
    {Fault::kTestExpectsNothing, kError, "a test has no expectation"},
    {Fault::kTestNameTwice, kError, "two tests of a file have the same name"},
    {Fault::kTestPipelineRefused, kError, "the pipeline of a test file is refused"},
    {Fault::kStoreUnusable, kError, "the engine's store cannot be opened"},
    {Fault::kStorePermission, kError,
     "the store's folder or a file in it cannot be read or written"},
    {Fault::kStoreDamaged, kError, "the store holds bytes that are not what was written"},
    {Fault::kLeftInStore, kWarning,
     "the store holds a stream or a group that the file does not name"},
    {Fault::kGroupStartsAtHistory, kWarning, "a new group will see what is already in its stream"},
    {Fault::kDiskSpaceLow, kWarning, "the disk of the store is nearly full"},
    {Fault::kClockBehind, kWarning, "this machine's clock is behind the store's last commit"},
    {Fault::kServerEvicts, kError, "the server removes keys when its memory runs out"},
    {Fault::kServerReplicas, kError, "the server has fewer replicas than acts wait for"},
    {Fault::kServerWeak, kWarning, "the server may lose what was acked, or soon refuse it"},
    {Fault::kEntriesTrimmed, kWarning, "entries were trimmed by others before they were read"},
    {Fault::kOtherHosts, kError, "hosts run this pipeline from something else"},
    {Fault::kHostsMixed, kWarning, "hosts of this pipeline do not all run the same"},
    {Fault::kKeyExpires, kWarning, "a key can expire before the wait for it ends"},
    {Fault::kEntryGoesStale, kWarning, "an entry can grow too old inside the pipeline"},
});

const FaultInfo& info(Fault fault) { return *std::ranges::find(kTable, fault, &FaultInfo::fault); }

// The line of a place, without its end; nullopt when the file cannot be read or is shorter.
std::optional<std::string> source_line(const Place& place) {
  constexpr uint64_t kSourceBytesMax = 1 << 20;
  const auto text = read_file(system_disk(), place.file, kSourceBytesMax);
  if (!text) return std::nullopt;
  size_t start = 0;
  for (int line = 1; line < place.line; ++line) {
    start = text->find('\n', start);
    if (start == std::string::npos) return std::nullopt;
    ++start;
  }
  std::string line = text->substr(start, text->find_first_of("\r\n", start) - start);
  // One column each, and nothing that a terminal obeys: controls, and bytes that are no text.
  for (size_t i = 0; i < line.size();) {
    const size_t size = utf8_size(std::string_view(line).substr(i));
    const auto c = static_cast<unsigned char>(line[i]);
    const bool c1 = c == 0xC2 && size == 2 && static_cast<unsigned char>(line[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F) line[i] = ' ';
    if (size == 0) line[i] = '?';
    if (c1) line.replace(i, 2, "??");
    i += std::max<size_t>(size, 1);
  }
  return line;
}

// How much of `rest` the complaint is about: a quoted value, or up to the next separator.
size_t word_size(std::string_view rest) {
  if (rest.empty()) return 1;
  if (rest[0] == '"' || rest[0] == '\'') {
    const size_t end = rest.find(rest[0], 1);
    return end == std::string_view::npos ? rest.size() : end + 1;
  }
  if (rest.starts_with("${")) {
    const size_t end = rest.find('}');
    return end == std::string_view::npos ? rest.size() : end + 1;
  }
  size_t end = 0;
  while (end < rest.size() && std::string_view(" ,]}").find(rest[end]) == std::string_view::npos &&
         !(rest[end] == ':' && (end + 1 == rest.size() || rest[end + 1] == ' ')))
    ++end;
  return std::max<size_t>(end, 1);
}

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::span<const FaultInfo> fault_table() { return kTable; }

std::string fault_code(Fault fault) { return fmt::format("S{:04}", static_cast<int>(fault)); }

Finding& Findings::add(Fault fault, int line, int column, std::string text, std::string expected,
                       std::string suggestion) {
  found_.push_back({fault_code(fault), info(fault).severity, place(line, column), std::move(text),
                    std::move(expected), std::move(suggestion), std::nullopt});
  return found_.back();
}

void Findings::add_elsewhere(Fault fault, Place place, std::string text, std::string expected) {
  const auto same = [&](const Finding& f) {
    return f.place.file == place.file && f.place.line == place.line && f.text == text;
  };
  if (std::ranges::any_of(found_, same)) return;
  if (const auto line = source_line(place)) {
    const size_t word = line->find_first_not_of(' ');
    place.column = word == std::string::npos ? 1 : static_cast<int>(word) + 1;
  }
  found_.push_back({fault_code(fault), info(fault).severity, std::move(place), std::move(text),
                    std::move(expected), "", std::nullopt});
}

bool Findings::has_errors() const {
  return std::ranges::any_of(found_,
                             [](const Finding& f) { return f.severity == Severity::kError; });
}

std::vector<Finding> Findings::take() {
  std::ranges::stable_sort(found_, {}, [this](const Finding& f) {
    return std::tuple(f.place.file != file_, std::string_view(f.place.file), f.place.line,
                      f.place.column, std::string_view(f.code));
  });
  if (found_.size() > kFindingsMax) {
    // A file that is wrong everywhere is not better understood by hearing of each place.
    const size_t left_out = found_.size() - kFindingsMax;
    std::stable_partition(found_.begin(), found_.end(),
                          [](const Finding& f) { return f.severity == Severity::kError; });
    found_.resize(kFindingsMax);
    found_.back().text += fmt::format(" (and {} more findings)", left_out);
  }
  return std::exchange(found_, {});
}

std::string source_excerpt(const Place& place) {
  constexpr size_t kShownMax = 1000;  // a longer line shows nobody anything
  const auto line = source_line(place);
  if (!line || line->size() > kShownMax || place.column < 1) return {};
  const size_t start = std::min(line->size(), static_cast<size_t>(place.column) - 1);
  const std::string_view word =
      std::string_view(*line).substr(start, word_size(std::string_view(*line).substr(start)));
  return fmt::format("{:>6} | {}\n       | {:{}}^{:~<{}}\n", place.line, *line, "",
                     code_points(std::string_view(*line).substr(0, start)), "",
                     std::max<size_t>(code_points(word), 1) - 1);
}

std::string finding_text(const Finding& finding) {
  const Place& place = finding.place;
  std::string out = fmt::format("{}:{}:{}: {} {}: {}\n", place.file, place.line, place.column,
                                finding.severity == Severity::kError ? "error" : "warning",
                                finding.code, finding.text);
  out += source_excerpt(place);
  if (!finding.expected.empty()) out += fmt::format("  expected {}\n", finding.expected);
  if (!finding.suggestion.empty()) {
    const bool is_name = finding.suggestion.find(' ') == std::string::npos;
    out += is_name ? fmt::format("  did you mean {}?\n", finding.suggestion)
                   : fmt::format("  fix: {}\n", finding.suggestion);
  }
  return out;
}

}  // namespace sluice::graph
