// A pipeline file after checking: what the runtime builds from. Plain data; knows no backend.
//
// Everything that came from the file keeps its place, so that any later complaint can name it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "graph/schema.h"
#include "plugin/catalog.h"

namespace sluice::graph {

using std::chrono::microseconds;
using std::chrono::milliseconds;

struct Node;  // graph/located.h

struct Place {
  std::string file;
  int line = 0;    // from 1
  int column = 0;  // from 1
};

enum class Severity { kError, kWarning };

// A change that mends a finding without changing what is meant: at the finding's place, `was`
// becomes `becomes`.
struct Fix {
  std::string was;
  std::string becomes;
};

// One thing `check` has to say.
struct Finding {
  std::string code;  // "S0123": stable, explained in docs/findings.md
  Severity severity = Severity::kError;
  Place place;
  std::string text;        // what is wrong, with the value met
  std::string expected;    // may be empty
  std::string suggestion;  // may be empty: the nearest name, or the fix
  std::optional<Fix> fix;  // only where it is safe to apply unasked
};

enum class ClockMode {
  kAuto,  // recorded when `run --input` replays a file, wall otherwise
  kWall,
  kRecorded  // time comes from the entries' own timestamps
};

enum class EngineKind { kEmbedded, kRedis };
enum class Durability { kCommit, kGroup, kOs };

struct EngineSpec {
  EngineKind kind = EngineKind::kEmbedded;
  std::string path;               // embedded: the store's folder
  std::string url;                // redis
  uint32_t shards = 0;            // redis: parts of the pipeline; 0: not divided, names as they are
  bool divides_on_redis = false;  // the file gives `shards`, whatever engine it chooses now
  std::string shard_by;           // field whose value says which; set when there are several
  std::vector<std::string> per_shard;  // patterns of keys that each shard has for itself
  std::string pipeline;                // its name, which is in the names of its shards
  std::string consumer;       // redis: this host among those that share its groups; empty: its name
  uint32_t min_replicas = 0;  // redis: replicas that external effects wait for
  Durability durability = Durability::kGroup;
  milliseconds group_interval{5};
  uint64_t segment_bytes = 64 << 20;     // embedded: size of a log file
  uint64_t checkpoint_bytes = 64 << 20;  // embedded: log between two checkpoints
  Place place;

  // Stores there are: one without shards.
  uint32_t stores() const { return shards == 0 ? 1 : shards; }
};

// What an entry of this stream means when `run` accounts for what went in.
struct AccountSpec {
  enum class As { kNone, kTerminal, kMilestone };
  As as = As::kNone;
  std::string label;         // milestone: "both permits"; terminal without `state`: "duplicate"
  std::string state_field;   // terminal: field whose value names the state (FILLED, BLOCKED, ...)
  std::string reason_field;  // terminal: field with the reason, may be empty
  std::string since_field;   // terminal: field with the start in microseconds since the epoch
};

// Where metrics are served, as address and port: "127.0.0.1:9100", "[::1]:9100". Port 0: any.
struct ListenSpec {
  std::string address;  // empty: nowhere
  Place place;
};

struct StreamSpec {
  std::string key;                       // name in the file: "decisions"
  std::string name;                      // name in the engine: "quantum:stream:ai.decision.made"
  std::shared_ptr<const Schema> schema;  // may be null
  bool external = false;                 // producers outside the file
  bool unread = false;                   // declared to have no reader here
  uint64_t keep = 0;
  bool trim_hard = false;
  uint64_t lag_max = 1'000'000;  // back-pressure: stages feeding it pause above this lag
  AccountSpec account;
  Place place;
};

struct Wire {
  std::string port;
  size_t stream = 0;      // index into Pipeline::streams
  bool feedback = false;  // inputs: closes a declared loop
  Place place;
};

struct StageSpec {
  std::string name;
  const plugin::Description* plugin = nullptr;  // owned by the catalog, which outlives the pipeline
  const plugin::Kind* kind = nullptr;
  std::vector<Wire> inputs;   // none for a source
  std::vector<Wire> outputs;  // wired ports only
  std::string group;
  size_t batch = 100;
  size_t workers = 1;
  std::optional<std::string> order_by;  // field; entries with equal values are handled in order
  std::string policy_path;              // empty: defaults
  Place policy_place;                   // of its path, or of the stage
  plugin::SettingValues settings;       // complete
  std::set<std::string, std::less<>> secrets;  // settings read from a file of their own
  uint32_t deliveries_max = 5;
  size_t dead_letter = 0;  // index into Pipeline::streams
  milliseconds claim_idle{30'000};
  milliseconds retry_min{100}, retry_max{30'000};  // back-off doubles from min to max
  size_t parked_max = 10'000;     // entries waiting at once; then the stage stops reading
  size_t concurrency = 4;         // external: acts at once
  milliseconds call_slow{1'000};  // a call of the plugin that takes longer is named
  milliseconds call_max{60'000};  // one that takes longer ends the process
  ListenSpec metrics;  // of the plugin's metrics; the pipeline's unless the stage names one
  Place place;

  // "apply.gate", or the plugin alone when it offers nothing else.
  std::string use() const;
};

struct Pipeline {
  std::string file;
  std::string name;
  ClockMode clock = ClockMode::kAuto;
  uint64_t seed = 1;  // of everything random under the recorded clock
  EngineSpec engine;
  milliseconds drain_timeout{10'000};
  ListenSpec metrics;           // of the host's metrics
  size_t metric_series = 1000;  // of one metric and page; beyond, values count as "other"
  std::vector<StreamSpec> streams;
  std::vector<StageSpec> stages;  // in topological order; feedback edges ignored

  const StreamSpec* find_stream(std::string_view key) const;
  const StageSpec* find_stage(std::string_view name) const;
};

// One reason for an entry to spend time in a stage.
struct TimePart {
  std::string stage;
  std::string what;         // "permit_wait", "5 tries", "sync to disk"
  microseconds worst{0};    // as settings and policies are
  microseconds allowed{0};  // the most the range of a hook lets a policy answer
  std::string origin;       // "lua/apply.lua:12", "default"; may be empty
};

// The slowest way of an entry from outside to a stage that gives up entries above an age.
struct PathBudget {
  std::string stage;
  TimePart limit;
  std::vector<std::string> path;  // stages, the one above last
  std::vector<TimePart> parts;

  microseconds worst() const;
  microseconds allowed() const;
};

struct LoadOptions {
  // Values for ${NAME}; the process environment when not set.
  std::optional<std::map<std::string, std::string>> environment;

  // Ask the plugins what they think of the settings, in a child process. Callers that have other
  // threads must not: a fork copies only the calling thread.
  bool ask_plugins = true;

  // The program has the Redis engine.
  bool redis = false;

  // Says what is wrong with the url of a Redis engine, showing nothing of it; not set: only its
  // form is looked at.
  Status (*check_redis_url)(std::string_view url) = nullptr;
};

struct Loaded {
  std::optional<Pipeline> pipeline;  // set when there is no error among the findings
  std::vector<Finding> findings;     // in order of place
  std::vector<PathBudget> budget;    // when every stage and policy could be read
  std::shared_ptr<const Node> tree;  // as written, variables replaced; never null
};

// Reads and checks a pipeline file in one pass: every fault is found, each with its place.
//
// Reads only files: the pipeline, its schemas and its policies (which are compiled and tested).
// Paths in the file are relative to the folder that holds the folder of the file when that is
// called `pipelines`, else to the folder of the file, so that `lua/apply.lua` means what it says.
Loaded load_pipeline(const std::string& path, const plugin::Catalog& catalog,
                     const LoadOptions& options = {});

// "file:line:column: error S0123: text\n  expected ...\n  did you mean ...", with the source line
// underlined when the file can be read.
std::string finding_text(const Finding& finding);

// A table of the parts for each limit, with sums.
std::string budget_text(const std::vector<PathBudget>& budget);

}  // namespace sluice::graph
