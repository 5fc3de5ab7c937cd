#include "graph/file_keys.h"

#include <algorithm>
#include <array>

namespace sluice::graph {
namespace {

constexpr uint64_t kSecond = 1000, kHour = 3600 * kSecond, kDay = 24 * kHour;
constexpr uint64_t kEntriesMax = 1'000'000'000'000;
constexpr uint64_t kSeriesMax = 1'000'000;
constexpr uint64_t kSegmentBytesMin = 4096, kSegmentBytesMax = 1 << 30;
constexpr uint64_t kCheckpointBytesMax = uint64_t{1} << 40;

constexpr FileKey kDeliveriesMax{"deliveries_max",
                                 Form::kCount,
                                 "calls that end in `retry` or an exception before the dead letter",
                                 "5",
                                 false,
                                 1,
                                 1'000};
constexpr FileKey kDeadLetter{"dead_letter", Form::kStream,
                              "stream for entries that are given up on; needed here or in defaults",
                              ""};
constexpr FileKey kClaimIdle{
    "claim_idle", Form::kDuration, "after how long another consumer takes an entry over",
    "30s",        false,           100,
    kDay};
constexpr FileKey kBatch{"batch", Form::kCount, "entries handled in one commit", "100", false,
                         1,       10'000};
constexpr FileKey kWorkers{"workers", Form::kCount, "threads", "1", false, 1, 256};
constexpr FileKey kRetry{"retry", Form::kRetry, "back-off between the calls for one entry", ""};
constexpr FileKey kParkedMax{
    "parked_max", Form::kCount, "entries that may wait at once; then the stage stops reading",
    "10000",      false,        1,
    1'000'000};
constexpr FileKey kConcurrency{
    "concurrency", Form::kCount, "external stages: acts at once", "4", false, 1, 1'024};

constexpr FileKey kCallSlow{
    "call_slow", Form::kDuration, "a call of the plugin that takes longer is named in the log",
    "1s",        false,           1,
    kHour};
constexpr FileKey kCallMax{"call_max",
                           Form::kDuration,
                           "a call of the plugin that takes longer ends the process: it hangs",
                           "60s",
                           false,
                           10,
                           kHour};

constexpr auto kTop = std::to_array<FileKey>({
    {"api", Form::kChoice, "version of this file's format", "", true, 0, 0, "sluice/v1"},
    {"pipeline", Form::kName, "name of the pipeline; part of consumer names", "", true},
    {"clock", Form::kChoice,
     "wall, recorded (time comes from the entries) or auto (recorded with --input)", "auto", false,
     0, 0, "auto wall recorded"},
    {"seed", Form::kCount, "of everything random under the recorded clock", "1", false, 0,
     UINT64_MAX},
    {"engine", Form::kEngine, "where streams, keys and positions are kept", ""},
    {"drain_timeout", Form::kDuration, "how long a stopping run finishes what is inside", "10s",
     false, 0, kHour},
    {"metrics", Form::kText,
     "where metrics are served, such as 127.0.0.1:9100; a port alone is on the loopback address, "
     "empty is nowhere",
     ""},
    {"metrics_series_max", Form::kCount,
     "label values counted apart in one of a plugin's metrics; what comes beyond counts as other",
     "1000", false, 1, kSeriesMax},
    {"streams", Form::kStreams, "the streams by name", "", true},
    {"stages", Form::kStages, "the stages by name", "", true},
    {"defaults", Form::kDefaults, "what holds for every stage that does not say otherwise", ""},
});

constexpr auto kEngine = std::to_array<FileKey>({
    {"kind", Form::kChoice, "embedded keeps everything in one folder", "embedded", false, 0, 0,
     "embedded redis"},
    {"path", Form::kPath, "folder of the store; var/ and the pipeline's name unless set", ""},
    {"url", Form::kText,
     "redis only: such as redis://127.0.0.1:6379, rediss: for TLS, unix:///run/redis.sock, "
     "redis+sentinel://host,host/name or redis+cluster://host,host",
     ""},
    {"durability", Form::kDurability,
     "commit: synced before a commit counts; group 5ms: at most that much later; os: survives "
     "kill -9, not a power cut",
     "group 5ms"},
    {"segment_bytes", Form::kCount,
     "embedded only: size of a file of the log; disk space comes back in these pieces", "67108864",
     false, kSegmentBytesMin, kSegmentBytesMax},
    {"checkpoint_bytes", Form::kCount,
     "embedded only: log between two checkpoints; less starts faster and writes more", "67108864",
     false, kSegmentBytesMin, kCheckpointBytesMax},
    {"shards", Form::kCount,
     "redis only: parts into which entries and keys are divided, each in one slot of a cluster; 1 "
     "puts all into one",
     "", false, 1, 256},
    {"shard_by", Form::kText,
     "redis only: field of an entry, or member of its payload, whose value says which shard it is "
     "in; needed with several",
     ""},
    {"per_shard", Form::kTexts,
     "redis only: patterns of keys that are not of one entry and that each of several shards has "
     "for itself, limits included",
     ""},
    {"consumer", Form::kText,
     "redis only: this host among those that share its groups, the same after a restart; the "
     "host's name unless set",
     ""},
    {"min_replicas", Form::kCount,
     "redis only: replicas that have a commit before what acts on the world goes on", "0", false, 0,
     100},
});

constexpr auto kStream = std::to_array<FileKey>({
    {"name", Form::kText, "name in the engine; the key unless set", ""},
    {"schema", Form::kPath, "a file in schemas/ beside the pipeline, without .json, or a path", ""},
    {"external", Form::kFlag, "producers outside this file write here", "false"},
    {"unread", Form::kFlag, "nobody in this file reads it, on purpose", "false"},
    {"keep", Form::kCount, "entries kept once every group has acked them", "0", false, 0,
     kEntriesMax},
    {"trim", Form::kChoice, "hard: keep to `keep` even what was not acked", "", false, 0, 0,
     "hard"},
    {"lag_max", Form::kCount, "stages that feed it pause above this lag", "1000000", false, 1,
     kEntriesMax},
    {"account", Form::kAccount, "what an entry here means in the table at the end of a run", ""},
});

constexpr auto kAccount = std::to_array<FileKey>({
    {"as", Form::kChoice, "terminal ends the story of an entry; milestone only counts", "", true, 0,
     0, "terminal milestone"},
    {"label", Form::kText, "the state's name where no field gives it", ""},
    {"state", Form::kText, "terminal: field whose value names the state", ""},
    {"reason", Form::kText, "terminal: field with the reason", ""},
    {"since", Form::kText, "terminal: field with the start in microseconds since the epoch", ""},
});

constexpr auto kStage = std::to_array<FileKey>({
    {"use", Form::kUse, "the plugin, or plugin.kind when it offers several", "", true},
    {"from", Form::kFrom, "what it reads: a stream, or a map from ports to streams", ""},
    {"to", Form::kTo, "what it writes: a map from ports to streams", ""},
    {"group", Form::kText, "consumer group; the stage's name unless set", ""},
    {"order_by", Form::kText, "field: entries with equal values are handled in order", ""},
    {"policy", Form::kPath, "Lua file that answers the hooks", ""},
    {"with", Form::kWith, "the plugin's settings", ""},
    {"metrics", Form::kText,
     "where the plugin's own metrics are served, if not where the pipeline's are", ""},
    kBatch,
    kWorkers,
    kDeliveriesMax,
    kRetry,
    kDeadLetter,
    kParkedMax,
    kConcurrency,
    kClaimIdle,
    kCallSlow,
    kCallMax,
});

constexpr auto kRetryKeys = std::to_array<FileKey>({
    {"min", Form::kDuration, "the first wait; it doubles from there", "100ms", false, 1, kDay},
    {"max", Form::kDuration, "the longest wait", "30s", false, 1, kDay},
});

constexpr auto kDefaults =
    std::to_array<FileKey>({kBatch, kWorkers, kDeliveriesMax, kRetry, kDeadLetter, kParkedMax,
                            kConcurrency, kClaimIdle, kCallSlow, kCallMax});

}  // namespace

std::span<const FileKey> keys_of(Section section) {
  switch (section) {
    case Section::kTop:
      return kTop;
    case Section::kEngine:
      return kEngine;
    case Section::kStream:
      return kStream;
    case Section::kAccount:
      return kAccount;
    case Section::kStage:
      return kStage;
    case Section::kRetry:
      return kRetryKeys;
    case Section::kDefaults:
      break;
  }
  return kDefaults;
}

const FileKey* find_key(Section section, std::string_view name) {
  const auto keys = keys_of(section);
  const auto found = std::ranges::find(keys, name, &FileKey::name);
  return found == keys.end() ? nullptr : &*found;
}

}  // namespace sluice::graph
