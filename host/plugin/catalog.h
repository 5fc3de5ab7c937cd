// Plugins as the host sees them: descriptions copied out of the C table, libraries, instances.
//
// A description is plain data and outlives the library, so `check` and the docs need no loaded
// code.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "plugin/library_file.h"
#include "sluice/abi.h"

namespace sluice::plugin {

enum class ValueType : uint32_t {  // same numbers as the C table
  kNull = SLUICE_NULL,
  kText = SLUICE_TEXT,
  kInteger = SLUICE_INTEGER,
  kNumber = SLUICE_NUMBER,
  kBoolean = SLUICE_BOOLEAN,
  kDecimal = SLUICE_DECIMAL,
  kDuration = SLUICE_DURATION,
  kList = SLUICE_LIST,
  kRecord = SLUICE_RECORD,
};

// "text", "integer", "number", "boolean", "decimal", "duration", "list".
std::string_view type_name(ValueType type);

// A setting or a hook result, typed.
struct Value {
  ValueType type = ValueType::kNull;
  std::string text;     // kText, kDecimal; for all others the form it was written in
  int64_t integer = 0;  // kInteger, kBoolean (0 or 1), kDuration (microseconds)
  double number = 0;    // kNumber
  std::vector<std::string> list;
};

struct Param {
  std::string name;
  std::string doc;
  ValueType type = ValueType::kText;
  std::string unit;
  std::optional<std::string> default_text;  // none: required
  std::optional<std::string> min_text, max_text;
  std::vector<std::string> choices;  // empty: any
};

struct Port {
  std::string name;
  std::string doc;
  bool optional = false;
  bool many = false;                // "*": any name that is wired
  std::vector<std::string> fields;  // empty: any
};

struct HookArg {
  std::string name;
  ValueType type = ValueType::kText;  // kText or kRecord
  std::vector<std::string> fields;    // kRecord; empty: any
};

struct Hook {
  std::string name;
  std::string doc;
  std::vector<HookArg> args;   // empty: a plain value in the policy file is fine as well
  std::vector<Param> results;  // one, or several as a table with these keys; all have defaults
};

struct KeyFamily {
  std::string pattern;
  std::string doc;
  bool reads = false, writes = false, counter = false;
  bool takes = false;  // waits for the key and uses it up
  bool owns = false;   // no second stage of a pipeline may own it as well
};

enum class TimeRole : uint32_t {  // same numbers as the C table
  kWait = SLUICE_TIME_WAIT,
  kAgeMax = SLUICE_TIME_AGE_MAX,
  kTtl = SLUICE_TIME_TTL,
};

// A duration of a kind that counts in the time budget of a pipeline.
struct TimeUse {
  TimeRole role = TimeRole::kWait;
  std::string setting;       // one of both: a setting,
  std::string hook, result;  // or a hook and which of its results
  std::string pattern;       // kTtl: pattern of the keys that live so long

  // "permit_wait", "rate_limit.global_window".
  std::string name() const;
};

enum class MetricType : uint32_t {  // same numbers as the C table
  kCounter = SLUICE_COUNTER,
  kGauge = SLUICE_GAUGE,
};

struct Metric {
  std::string name;
  std::string doc;
  MetricType type = MetricType::kCounter;
  std::vector<std::string> labels;  // names, as described
};

enum class KindType : uint32_t {
  kStage = SLUICE_STAGE,
  kSource = SLUICE_SOURCE,
  kExternal = SLUICE_EXTERNAL
};

struct Kind {
  std::string name;
  std::string doc;
  KindType type = KindType::kStage;
  std::vector<Port> inputs, outputs;
  std::vector<Param> settings;
  std::vector<Hook> hooks;
  std::vector<KeyFamily> keys;
  std::vector<TimeUse> times;
  std::vector<Metric> metrics;
  std::vector<std::string> reasons;

  const Port* find_input(std::string_view name) const;
  const Port* main_input() const;  // the only one there is, or that is needed; else null
  const Port* find_output(std::string_view name) const;  // a `many` port matches every name
  const Hook* find_hook(std::string_view name) const;
};

struct Description {
  std::string name;
  std::string version;
  std::string doc;
  std::string path;
  FileId file;  // as it was when it was described
  uint32_t abi_major = 0, abi_minor_min = 0;
  std::vector<Kind> kinds;
};

// Reads one scalar as `param` says: type, unit suffix of durations (us, ms, s, m, h, d), range,
// choices.
//
// Errors: kInvalid; the text says what was expected and what was met, without the place (the caller
// knows file and line): `expected a duration from 1s to 1h, such as 60s, got "60"`.
//
// A list may be written as one text, `[a, b]` or `a, b`; decimals come back without exponent.
Result<Value> parse_value(const Param& param, std::string_view text);
Result<Value> parse_list(const Param& param, const std::vector<std::string>& items);

// Microseconds of "250us", "1200ms", "10s", "5m", "1h", "1d"; nullopt for anything else.
std::optional<int64_t> parse_duration(std::string_view text);

// Shortest of those forms, exact.
std::string duration_text(int64_t us);

using SettingValues = std::map<std::string, Value, std::less<>>;

// A complaint of a plugin's `check` or `open`; `setting` may be empty.
struct Complaint {
  std::string setting;
  std::string text;
};

// A loaded library. Never unloaded while an instance lives; in practice, until the process ends.
// Threads: [control].
class Library {
 public:
  // Loads `path` by Boost.DLL and checks the table.
  //
  // Errors: those of check_library_file; kInvalid with a remedy: not the file that was `described`,
  // no table, other major (both named), needs a newer minor (both named), table too short, a needed
  // function missing, a description that is not sound (no kind, doubled names, a default outside
  // its own range).
  static Result<std::shared_ptr<Library>> load(const std::string& path,
                                               const std::optional<FileId>& described = {});

  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const Description& description() const;

  // The C functions of a kind of this library; nullptr when there is none of that name.
  const sluice_kind* functions(std::string_view kind) const;

 private:
  Library();
  struct State;
  std::unique_ptr<State> state_;
};

// Pure check of complete settings by the plugin's own code, run here; empty when fine.
std::vector<Complaint> check_settings(const Library& library, std::string_view kind,
                                      std::string_view pipeline, std::string_view stage,
                                      const SettingValues& settings);

// One stage's instance. Keeps its library loaded.
class Instance {
 public:
  static Result<std::unique_ptr<Instance>> open(std::shared_ptr<Library> library,
                                                std::string_view kind, std::string_view pipeline,
                                                std::string_view stage,
                                                const SettingValues& settings);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  int32_t process(const sluice_call& call) { return ask(functions_->process, call); }
  int32_t act(const sluice_call& call) { return ask(functions_->act, call); }
  int32_t settle(const sluice_call& call) { return ask(functions_->settle, call); }
  int32_t poll(const sluice_call& call) { return ask(functions_->poll, call); }

 private:
  Instance(std::shared_ptr<Library> library, const sluice_kind* functions, void* instance);

  int32_t ask(int32_t (*function)(void*, const sluice_call*), const sluice_call& call) {
    const MayRunOut plugin;
    return function(instance_, &call);
  }

  std::shared_ptr<Library> library_;  // declared first: outlives the instance whose code it holds
  const sluice_kind* functions_;
  void* instance_;
};

// Loads `path` in a child process and reads its description back, so that a library that crashes,
// exits, hangs or prints in a constructor harms nobody.
//
// Errors: kInvalid with what happened: the refusals of Library::load, "crashed with signal 11 while
// it was described", "did not answer within 2 s", "exited with status 3 ...". Bounds: `timeout_ms`,
// 512 MiB.
Result<Description> describe_in_child(const std::string& path, int timeout_ms = 2000);

// One stage whose settings its plugin is asked about.
struct SettingsQuestion {
  std::string path;  // of the library
  std::string kind, pipeline, stage;
  const SettingValues* settings = nullptr;  // complete; borrowed
};

// The answers of the plugins' own checks, in the order asked, from a child process: a check that
// crashes, hangs (2 s) or exits is a complaint of its stage and harms nobody.
std::vector<std::vector<Complaint>> check_settings_in_child(
    const std::vector<SettingsQuestion>& questions);

struct Refusal {
  std::string path;
  std::string text;
};

// The plugins of one folder. Only files `*.so` directly in it; names are those in the tables.
class Catalog {
 public:
  // Describes each `*.so` of `folder` in one child for all (one more child for each that made it
  // die). Refused libraries are listed, not fatal; a missing folder is kNotFound.
  static Result<Catalog> scan(const std::string& folder);

  const std::string& folder() const { return folder_; }
  const std::vector<Description>& plugins() const { return plugins_; }
  const std::vector<Refusal>& refusals() const { return refusals_; }

  // Resolves `use:`, "plugin" (when it offers one kind, or one called like the plugin) or
  // "plugin.kind". kNotFound names the nearest; kInvalid lists the kinds when several are offered.
  struct Choice {
    const Description* plugin;
    const Kind* kind;
  };
  Result<Choice> find(std::string_view use) const;

 private:
  std::string folder_;
  std::vector<Description> plugins_;
  std::vector<Refusal> refusals_;
};

}  // namespace sluice::plugin
