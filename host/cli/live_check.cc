#include "cli/live_check.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "base/iso_time.h"
#include "cli/engine.h"
#include "cli/fingerprint.h"
#include "cli/human.h"
#include "cli/redis_check.h"
#include "engine/embedded_store.h"
#include "engine/maintenance.h"
#include "graph/findings.h"
#include "redis/network.h"
#include "redis/shard_store.h"

namespace sluice::cli {

namespace {

using graph::Fault;

// A run preallocates a log file of 64 MiB and writes checkpoints beside it.
constexpr uint64_t kFreeBytesMin = 256 << 20;
// Clocks that are set by the network step back this far without anybody noticing.
constexpr auto kClockSlack = std::chrono::seconds(1);

std::string bytes_text(uint64_t bytes) {
  if (bytes >= uint64_t{10} << 30) return count_text(bytes >> 30) + " GiB";
  return count_text(bytes >> 20) + " MiB";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

// Whether `inode` is locked, by the table that the system keeps; taking the lock to find out could
// refuse a run that starts at that moment. Nothing when there is no table.
std::optional<bool> is_locked(uint64_t inode) {
  std::ifstream table("/proc/locks");
  if (!table) return std::nullopt;
  const std::string end = fmt::format(":{} ", inode);
  for (std::string line; std::getline(table, line);)
    if (line.find(" FLOCK ") != line.npos && line.find(end) != line.npos) return true;
  return false;
}

// The process that has the store in `path` open for writing.
std::optional<uint64_t> find_writer(const std::string& path) {
  const std::string lock = path + "/lock";
  struct stat info {};
  if (stat(lock.c_str(), &info) != 0 || !is_locked(info.st_ino).value_or(false))
    return std::nullopt;
  std::ifstream file(lock);
  uint64_t process = 0;
  file >> process;
  return file ? process : 0;
}

// The folder itself, or the nearest one above it that is there.
std::string nearest_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(path, error).lexically_normal();
  while (folder.has_relative_path() && !std::filesystem::exists(folder, error))
    folder = folder.parent_path();
  return folder.string();
}

class LiveCheck {
 public:
  LiveCheck(const graph::Pipeline& pipeline, Disk& disk, const Clock& clock,
            const redis::Runs& runs)
      : pipeline_(pipeline), disk_(disk), clock_(clock), runs_(runs), findings_(pipeline.file) {
    report_.path = store_name(pipeline.engine);
  }

  LiveReport run() {
    if (on_redis(pipeline_.engine)) {
      look_at_redis();
    } else if (find_folder()) {
      look_inside();
    }
    report_.findings = findings_.take();
    return std::move(report_);
  }

 private:
  void say(const char* topic, std::string text) {
    report_.topics.push_back({topic, shard_ + text});
  }
  void add(Fault fault, const graph::Place& place, std::string text, std::string expected = {},
           std::string suggestion = {}) {
    findings_.add(fault, place.line, place.column, shard_ + text, std::move(expected),
                  std::move(suggestion));
  }

  // Redis
  // ---------------------------------------------------------------------------------------------

  void look_at_redis() {
    const auto states = ask_servers(pipeline_.engine, clock_);
    if (!states) {
      add(Fault::kStoreUnusable, pipeline_.engine.place, states.status().text(),
          "a server that answers");
      return;
    }
    report_.exists = true;
    for (const ServerState& state : *states) {
      say("server", server_text(state));
      say("promise", promise_text(state, pipeline_.engine.min_replicas));
      for (const ServerFault& fault : server_faults(state, pipeline_.engine.min_replicas))
        add(fault_of(fault.kind), pipeline_.engine.place, fault.text, fault.expected);
    }
    check_hosts();
    const graph::EngineSpec& engine = pipeline_.engine;
    for (uint32_t shard = 0; shard < engine.stores(); ++shard) {
      // Looks with the rights of a host, so that what is missing is said now.
      auto opened = open_redis(engine, StoreUse::kChange, clock_);
      if (!opened) {
        add(Fault::kStoreUnusable, engine.place, opened.status().text(),
            "a user with the rights that docs/redis.md lists");
        return;
      }
      const redis::RedisStore& server = **opened;
      const auto store = in_shard(engine, shard, std::move(opened).value());
      for (const graph::StreamSpec& spec : pipeline_.streams) store->find_stream(spec.name);
      if (engine.shards > 1) shard_ = fmt::format("shard {}: ", shard);
      check_streams(*store);
      check_lost(server, engine.shards == 0 ? "" : redis::shard_prefix(engine.pipeline, shard));
    }
    shard_.clear();
  }

  // By consumer and what it runs: each host is in all shards, and a process that was killed may
  // still stand beside the next one.
  using Hosts = std::map<std::pair<std::string, std::string>, redis::Host>;

  void check_hosts() {
    const auto options = redis_options(pipeline_.engine, StoreUse::kLook);
    if (!options) return;
    redis::Servers servers(options->servers, redis::system_network());
    Hosts hosts;
    for (uint32_t shard = 0; shard < pipeline_.engine.stores(); ++shard) {
      auto found =
          redis::find_hosts(servers, options->servers.target, hosts_name(pipeline_, shard));
      if (!found) return add(Fault::kStoreUnusable, pipeline_.engine.place, found.status().text());
      for (const redis::Host& host : *found)
        hosts.emplace(std::pair(host.consumer, host.runs.digest), host);
    }
    if (hosts.empty()) return say("hosts", "none runs it");
    say_who(hosts);
    if (runs_.digest.empty()) return;
    for (const auto& [id, host] : hosts) {
      if (host.runs.digest == runs_.digest) continue;
      return add(Fault::kOtherHosts, pipeline_.engine.place,
                 fmt::format("host {} runs {} with another {}", host.consumer, pipeline_.name,
                             fingerprint_difference(runs_.text, host.runs.text)),
                 "the same program, plugins and file on all hosts");
    }
  }

  void say_who(const Hosts& hosts) {
    std::vector<std::string> names;
    std::set<std::string> digests;
    for (const auto& [id, host] : hosts) {
      names.push_back(host.consumer + (host.mixed ? " (--mixed)" : ""));
      digests.insert(host.runs.digest);
    }
    const bool same = digests.size() == 1;
    const char* what = hosts.size() == 1 ? ""
                       : same            ? ", same pipeline"
                                         : ", not the same pipeline";
    say("hosts",
        fmt::format("{}{}: {}", plural(hosts.size(), "host", "hosts"), what, joined(names)));
    if (!same)
      add(Fault::kHostsMixed, pipeline_.engine.place,
          fmt::format("{} of pipeline {} run {} different things: {}",
                      plural(hosts.size(), "host", "hosts"), pipeline_.name, digests.size(),
                      joined(names)),
          "one, once an update is finished");
  }

  static Fault fault_of(ServerFault::Kind kind) {
    switch (kind) {
      case ServerFault::Kind::kTooOld:
      case ServerFault::Kind::kReadOnly:
        return Fault::kStoreUnusable;
      case ServerFault::Kind::kEvicts:
        return Fault::kServerEvicts;
      case ServerFault::Kind::kReplicas:
        return Fault::kServerReplicas;
      case ServerFault::Kind::kClock:
        return Fault::kClockBehind;
      case ServerFault::Kind::kNotKept:
      case ServerFault::Kind::kFailing:
      case ServerFault::Kind::kMemory:
        break;
    }
    return Fault::kServerWeak;
  }

  // `prefix`: of the names there, not of those in the file.
  void check_lost(const redis::RedisStore& store, const std::string& prefix) {
    const auto losses = store.losses();
    if (!losses) return add(Fault::kStoreUnusable, pipeline_.engine.place, losses.status().text());
    for (const redis::Loss& loss : *losses) {
      const auto spec = std::ranges::find_if(pipeline_.streams, [&](const auto& stream) {
        return prefix + stream.name == loss.stream;
      });
      if (spec == pipeline_.streams.end() || spec->trim_hard) continue;
      add(Fault::kEntriesTrimmed, spec->place,
          fmt::format("{} of {} were trimmed by somebody before group {} read them",
                      plural(loss.entries, "entry", "entries"), loss.stream, loss.group),
          "nobody else trims the streams of a pipeline: no MAXLEN, XTRIM or XDEL there");
    }
  }

  // The folder
  // ---------------------------------------------------------------------------------------

  // False: there is nothing to look into.
  bool find_folder() {
    const std::string& path = report_.path;
    const auto files = disk_.list(path);
    if (!files && files.status().code() != Code::kNotFound) {
      add(Fault::kStorePermission, pipeline_.engine.place, files.status().text(),
          "a folder this user can read and write");
      return false;
    }
    report_.exists = files && std::ranges::any_of(*files, [](const std::string& name) {
                       return name.starts_with("segment-") || name.starts_with("checkpoint-");
                     });
    if (files)
      check_permissions(path, *files);
    else
      check_creatable(path);
    if (!report_.exists)
      say("store", fmt::format("there is none in {} yet; the first run creates it", path));
    else
      describe_store(*files);
    say("durability", durability());
    check_space();
    if (report_.exists) return true;
    say("streams",
        fmt::format("all {} are created at the first start", count_text(pipeline_.streams.size())));
    say("clock", "nothing to compare with: there is no commit yet");
    return false;
  }

  void check_permissions(const std::string& path, const std::vector<std::string>& files) {
    if (access(path.c_str(), R_OK | W_OK | X_OK) != 0)
      refuse_access(path, "cannot be read and written", errno);
    for (const std::string& name : files) {
      const std::string file = path + '/' + name;
      if (access(file.c_str(), R_OK | W_OK) != 0)
        refuse_access(file, "cannot be read and written", errno);
    }
  }

  void check_creatable(const std::string& path) {
    const std::string folder = nearest_folder(path);
    if (access(folder.c_str(), W_OK | X_OK) != 0)
      refuse_access(folder, fmt::format("cannot take the folder {}", path), errno);
  }

  void refuse_access(const std::string& path, const std::string& what, int error) {
    struct stat info {};
    std::string mode;
    if (stat(path.c_str(), &info) == 0)
      mode = fmt::format(" (mode {:o}, owner {}, this user is {})", info.st_mode & 07777u,
                         info.st_uid, geteuid());
    add(Fault::kStorePermission, pipeline_.engine.place,
        fmt::format("{} {}: {}{}", path, what, std::strerror(error), mode),
        "a folder this user can read and write");
  }

  void describe_store(const std::vector<std::string>& files) {
    uint64_t bytes = 0;
    std::error_code error;
    for (const std::string& name : files) {
      const auto size = std::filesystem::file_size(report_.path + '/' + name, error);
      if (!error) bytes += size;
    }
    report_.writer = find_writer(report_.path);
    std::string writer = "no process has it open";
    if (report_.writer)
      writer = *report_.writer == 0 ? "another process writes it"
                                    : fmt::format("process {} writes it", *report_.writer);
    say("store", fmt::format("{}, format version 1, {} in {}; {}", report_.path, bytes_text(bytes),
                             plural(files.size(), "file", "files"), writer));
  }

  // What holds through kill -9 and through a power cut.
  std::string durability() const {
    const std::string last = " What acts on the world waits for a sync in every mode.";
    switch (pipeline_.engine.durability) {
      case graph::Durability::kCommit:
        return "commit: every commit is synced before it counts, so nothing acked is lost, neither "
               "through kill -9 nor through a power cut." +
               last;
      case graph::Durability::kGroup:
        return fmt::format(
            "group {0}ms: nothing is lost through kill -9; a power cut may take back the last {0} "
            "ms of commits as a whole, never a part of one.{1}",
            pipeline_.engine.group_interval.count(), last);
      case graph::Durability::kOs:
        break;
    }
    return "os: nothing is lost through kill -9; a power cut may take back everything since the "
           "last sync, and the system decides when that was." +
           last;
  }

  void check_space() {
    const std::string folder = nearest_folder(report_.path);
    struct statvfs info {};
    if (statvfs(folder.c_str(), &info) != 0 || info.f_blocks == 0) return;
    const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
    report_.free_bytes = free;
    say("disk", fmt::format("{} free for {}", bytes_text(free), folder));
    if (free < kFreeBytesMin)
      add(Fault::kDiskSpaceLow, pipeline_.engine.place,
          fmt::format("only {} are free for the store in {}", bytes_text(free), report_.path),
          fmt::format("at least {}: a write that fails ends the run", bytes_text(kFreeBytesMin)));
  }

  // What is in it
  // ------------------------------------------------------------------------------------------

  void look_inside() {
    if (!check_integrity()) return;  // what can still be read of it would mislead
    const auto store = engine::EmbeddedStore::open_read_only(report_.path, disk_, clock_);
    if (!store) {
      add(Fault::kStoreUnusable, pipeline_.engine.place, store.status().text(), "a store");
      return;
    }
    check_streams(**store);
    check_clock((*store)->last_commit_time());
  }

  bool check_integrity() {
    const auto verified = engine::verify(report_.path, disk_);
    if (!verified) {
      add(Fault::kStoreUnusable, pipeline_.engine.place, verified.status().text(), "a store");
      return false;
    }
    for (const std::string& fault : verified->faults)
      add(Fault::kStoreDamaged, pipeline_.engine.place, fault, "what was written",
          "see `sluice store verify`, then `sluice store repair`");
    say("integrity",
        fmt::format("{} and {} read back, {}", plural(verified->records, "record", "records"),
                    plural(verified->entries, "live entry", "live entries"),
                    verified->is_good() ? "each is what was written"
                                        : plural(verified->faults.size(), "fault", "faults")));
    return verified->is_good();
  }

  void check_streams(const stream::Store& store) {
    const std::vector<stream::StreamInfo> infos = store.streams();
    const auto find_info = [&](const std::string& name) {
      const auto found = std::ranges::find(infos, name, &stream::StreamInfo::name);
      return found == infos.end() ? nullptr : &*found;
    };
    std::vector<std::string> created;
    for (const graph::StreamSpec& spec : pipeline_.streams) {
      const stream::StreamInfo* info = find_info(spec.name);
      if (info == nullptr)
        created.push_back(spec.key);
      else
        check_left_groups(spec, *info);
    }
    say("streams",
        fmt::format("{} of {} are in the store{}", pipeline_.streams.size() - created.size(),
                    pipeline_.streams.size(),
                    created.empty() ? "" : "; the next start creates " + joined(created)));
    check_new_groups(find_info);
    check_left_streams(infos);
  }

  template <typename FindInfo>
  void check_new_groups(FindInfo find_info) {
    size_t groups = 0, present = 0;
    std::vector<std::string> created;
    for (const graph::StageSpec& stage : pipeline_.stages) {
      for (const graph::Wire& wire : stage.inputs) {
        ++groups;
        const graph::StreamSpec& spec = pipeline_.streams[wire.stream];
        const stream::StreamInfo* info = find_info(spec.name);
        if (info != nullptr && std::ranges::find(info->groups, stage.group,
                                                 &stream::GroupInfo::name) != info->groups.end()) {
          ++present;
          continue;
        }
        created.push_back(fmt::format("{} on {}", stage.group, spec.key));
        if (info != nullptr && info->length > 0)
          add(Fault::kGroupStartsAtHistory, wire.place,
              fmt::format("group {} is new on {} and starts at its beginning: {} will see {}",
                          stage.group, spec.key, stage.name,
                          plural(info->length, "old entry", "old entries")));
      }
    }
    say("groups",
        fmt::format("{} of {} are in the store{}", present, groups,
                    created.empty() ? "" : "; the next start creates " + joined(created)));
  }

  bool reads(const std::string& group, const graph::StreamSpec& spec) const {
    return std::ranges::any_of(pipeline_.stages, [&](const graph::StageSpec& stage) {
      return stage.group == group &&
             std::ranges::any_of(stage.inputs, [&](const graph::Wire& wire) {
               return &pipeline_.streams[wire.stream] == &spec;
             });
    });
  }

  static std::string waiting(const stream::GroupInfo& group) {
    return fmt::format("{} pending, {} not read", count_text(group.pending), count_text(group.lag));
  }

  void check_left_groups(const graph::StreamSpec& spec, const stream::StreamInfo& info) {
    for (const stream::GroupInfo& group : info.groups) {
      if (reads(group.name, spec)) continue;
      add(Fault::kLeftInStore, spec.place,
          fmt::format("no stage reads {} as group {} any more; the store has {} for it", spec.key,
                      group.name, waiting(group)),
          "a stage with that group; without one its entries are never trimmed");
    }
  }

  void check_left_streams(const std::vector<stream::StreamInfo>& infos) {
    for (const stream::StreamInfo& info : infos) {
      if (info.length == 0 ||
          std::ranges::find(pipeline_.streams, info.name, &graph::StreamSpec::name) !=
              pipeline_.streams.end())
        continue;
      std::string groups;
      for (const stream::GroupInfo& group : info.groups)
        groups += fmt::format("; group {}: {}", group.name, waiting(group));
      add(Fault::kLeftInStore, pipeline_.engine.place,
          fmt::format("the store has stream {} with {}, which the file does not name{}", info.name,
                      plural(info.length, "entry", "entries"), groups),
          "a stream of that name in the file");
    }
  }

  void check_clock(WallTime last) {
    if (to_us(last) == 0) return say("clock", "nothing to compare with: there is no commit yet");
    report_.last_commit = last;
    const std::string at = "the last commit is of " + iso_time_text(last);
    if (pipeline_.clock == graph::ClockMode::kRecorded)
      return say("clock", at + " on the recording's clock, where the next run goes on");
    const WallTime now = clock_.now();
    if (now + kClockSlack >= last)
      return say("clock", fmt::format("{}, {} ago", at, age_text(std::max(Micros(0), now - last))));
    say("clock", at + ", ahead of this machine's clock");
    add(Fault::kClockBehind, pipeline_.engine.place,
        fmt::format("this machine's clock is {} behind the store's last commit ({})",
                    age_text(last - now), iso_time_text(last)),
        "a clock that is set; waits, windows and expiry count from it");
  }

  const graph::Pipeline& pipeline_;
  Disk& disk_;
  const Clock& clock_;
  const redis::Runs& runs_;
  graph::Findings findings_;
  LiveReport report_;
  std::string shard_;  // in front of what is said of one of several: "shard 2: "
};

}  // namespace

LiveReport check_live(const graph::Pipeline& pipeline, Disk& disk, const Clock& clock,
                      const redis::Runs& runs) {
  return LiveCheck(pipeline, disk, clock, runs).run();
}

Exit exit_of(const LiveReport& report) {
  Exit exit = kFine;
  for (const graph::Finding& finding : report.findings) {
    if (finding.severity != graph::Severity::kError) continue;
    if (finding.code == graph::fault_code(Fault::kStoreDamaged)) return kCorruptStore;
    exit = kStore;
  }
  return exit;
}

std::string live_text(const LiveReport& report) {
  std::string text;
  for (const LiveReport::Topic& topic : report.topics)
    text += fmt::format("  {:<11} {}\n", topic.name, topic.text);
  if (exit_of(report) != kFine) text += "  nothing should run on it as it is\n";
  return text;
}

void add_live(JsonWriter& json, const LiveReport& report) {
  json.begin_object().member("store", report.path).member("exists", report.exists);
  json.member("writer", report.writer).member("free_bytes", report.free_bytes);
  json.key("last_commit_us");
  if (report.last_commit)
    json.value(to_us(*report.last_commit));
  else
    json.null();
  json.key("topics").begin_object();
  for (const LiveReport::Topic& topic : report.topics) json.member(topic.name, topic.text);
  json.end_object().end_object();
}

}  // namespace sluice::cli
