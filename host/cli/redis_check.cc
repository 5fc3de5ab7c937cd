#include "cli/redis_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>

#include "cli/engine.h"
#include "cli/human.h"
#include "redis/network.h"
#include "redis/servers.h"

namespace sluice::cli {

namespace {

constexpr int kPings = 5;
constexpr Micros kClockSlack = std::chrono::seconds(1);
constexpr uint64_t kMemoryPercentMax = 90;

std::string version_of(const ServerState& state) {
  const std::string_view valkey = state.find("valkey_version");
  return valkey.empty() ? "Redis " + std::string(state.find("redis_version"))
                        : "Valkey " + std::string(valkey);
}

bool appends(const ServerState& state) { return state.find("aof_enabled") == "1"; }
bool snapshots(const ServerState& state) { return state.save && !state.save->empty(); }

// 6.2 as 602.
uint64_t version_number(const ServerState& state) {
  const std::string text(state.find("redis_version"));
  char* end = nullptr;
  const uint64_t major = std::strtoull(text.c_str(), &end, 10);
  return major * 100 + (*end == '.' ? std::strtoull(end + 1, nullptr, 10) : 0);
}

Micros time_of(const redis::Reply& reply) {
  if (reply.items.size() != 2) return Micros(0);
  const auto part = [&](size_t i) {
    return std::strtoll(reply.items[i].text.c_str(), nullptr, 10);
  };
  return Micros(part(0) * 1'000'000 + part(1));
}

// The value of one parameter, where this user may ask for it.
std::optional<std::string> parameter(const redis::Reply& reply) {
  if (reply.is_error() || reply.items.size() != 2) return std::nullopt;
  return reply.items[1].text;
}

Result<ServerState> ask_server(redis::Servers& servers, const redis::Endpoint& endpoint,
                               const Clock& clock) {
  redis::Commands about;
  about.add({"INFO", "everything"});
  about.add({"CONFIG", "GET", "appendfsync"});
  about.add({"CONFIG", "GET", "save"});
  SLUICE_ASSIGN(answer, servers.call_at(endpoint, about));
  if (answer.replies[0].is_error())
    return Status(Code::kInvalid, "INFO is refused: " + answer.replies[0].text);
  ServerState state;
  state.endpoint = endpoint.text();
  state.info = read_info(answer.replies[0].text);
  state.append_fsync = parameter(answer.replies[1]);
  state.save = parameter(answer.replies[2]);
  state.answered_in = Micros::max();
  for (int i = 0; i < kPings; ++i) {
    redis::Commands time;
    time.add({"TIME"});
    const Micros began = clock.steady();
    const WallTime here = clock.now();
    SLUICE_ASSIGN(told, servers.call_at(endpoint, time));
    const Micros took = clock.steady() - began;
    if (took >= state.answered_in) continue;
    state.answered_in = took;
    state.clock_ahead = time_of(told.replies[0]) - here.time_since_epoch() - took / 2;
  }
  return state;
}

std::string percent_text(uint64_t part, uint64_t whole) {
  return fmt::format("{} %", whole == 0 ? 0 : part * 100 / whole);
}

}  // namespace

std::string_view ServerState::find(std::string_view name) const {
  const auto found = info.find(name);
  return found == info.end() ? std::string_view() : std::string_view(found->second);
}

uint64_t ServerState::number(std::string_view name) const {
  const std::string_view text = find(name);
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::map<std::string, std::string, std::less<>> read_info(std::string_view text) {
  std::map<std::string, std::string, std::less<>> info;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const size_t colon = line.find(':');
    if (colon != line.npos && !line.starts_with('#'))
      info.emplace(line.substr(0, colon), line.substr(colon + 1));
  }
  return info;
}

Result<std::vector<ServerState>> ask_servers(const graph::EngineSpec& engine, const Clock& clock) {
  auto options = redis_options(engine, StoreUse::kLook);
  if (!options) return options.status().within("engine.url");
  redis::Servers servers(options->servers, redis::system_network());
  SLUICE_ASSIGN(masters, servers.masters());
  std::vector<ServerState> states;
  for (const redis::Endpoint& endpoint : masters) {
    SLUICE_ASSIGN(state, ask_server(servers, endpoint, clock));
    states.push_back(std::move(state));
  }
  return states;
}

std::string server_text(const ServerState& state) {
  const std::string role(state.find("role"));
  return fmt::format("{} at {}, {}, {}; a call takes {:.2f} ms", version_of(state), state.endpoint,
                     role.empty() ? "role unknown" : role,
                     plural(state.number("connected_slaves"), "replica", "replicas"),
                     static_cast<double>(state.answered_in.count()) / 1000);
}

std::string promise_text(const ServerState& state, uint32_t min_replicas) {
  std::string text;
  if (!appends(state)) {
    text =
        snapshots(state)
            ? fmt::format(
                  "no append-only file, snapshots only (save {}): a kill, a crash or a "
                  "power cut takes back everything since the last snapshot",
                  *state.save)
            : std::string(state.save ? "neither append-only file nor snapshots: a restart of the "
                                       "server loses everything"
                                     : "no append-only file: a restart of the server takes back "
                                       "what no snapshot has");
  } else if (!state.append_fsync) {
    text =
        "append-only file: nothing is lost when the server is killed; how much a power cut takes "
        "back is said by appendfsync, which this user may not ask";
  } else if (*state.append_fsync == "always") {
    text =
        "append-only file, synced before each reply: nothing acked is lost, neither when the "
        "server is killed nor in a power cut";
  } else if (*state.append_fsync == "everysec") {
    text =
        "append-only file, synced every second: nothing is lost when the server is killed; a "
        "power cut takes back up to the last 2 s";
  } else {
    text =
        "append-only file, synced when the system likes: nothing is lost when the server is "
        "killed; a power cut takes back what was not synced, 30 s or more";
  }
  const uint64_t replicas = state.number("connected_slaves");
  text += replicas == 0 ? ". No replica: what this machine loses is lost"
                        : fmt::format(
                              ". {}, asynchronous: a failover takes back what had not "
                              "reached the new master",
                              plural(replicas, "replica", "replicas"));
  text += min_replicas == 0
              ? ". What acts on the world waits for the server's reply and nothing more"
              : fmt::format(". What acts on the world waits until {} it",
                            min_replicas == 1 ? "a replica has"
                                              : fmt::format("{} replicas have", min_replicas));
  return text + ". A commit is whole or not there in every case.";
}

std::vector<ServerFault> server_faults(const ServerState& state, uint32_t min_replicas) {
  using Kind = ServerFault::Kind;
  std::vector<ServerFault> faults;
  const std::string& at = state.endpoint;
  if (version_number(state) < 602)
    faults.push_back({Kind::kTooOld, fmt::format("{} at {}", version_of(state), at),
                      "Redis 6.2 or later, or Valkey"});
  if (state.find("role") == "slave")
    faults.push_back({Kind::kReadOnly, fmt::format("the server at {} is a replica", at),
                      "a master, or the url of a sentinel or a cluster"});
  const std::string_view policy = state.find("maxmemory_policy");
  if (!policy.empty() && policy != "noeviction")
    faults.push_back(
        {Kind::kEvicts,
         fmt::format(
             "maxmemory-policy of {} is {}: when memory runs out{} it removes keys, such as "
             "those that tell a duplicate, a permit or a limit",
             at, policy, state.number("maxmemory") == 0 ? " (maxmemory is not set yet)" : ""),
         "maxmemory-policy noeviction: writes are then refused, and hosts wait"});
  if (!appends(state))
    faults.push_back(
        {Kind::kNotKept,
         fmt::format("{} keeps no append-only file: a restart takes back acked commits", at),
         "appendonly yes, appendfsync always or everysec"});
  for (const std::string_view name :
       {"aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status"}) {
    if (const std::string_view status = state.find(name); !status.empty() && status != "ok")
      faults.push_back({Kind::kFailing, fmt::format("{} of {} is {}", name, at, status),
                        "ok; the server's log says why, often a full disk"});
  }
  if (state.number("connected_slaves") < min_replicas)
    faults.push_back({Kind::kReplicas,
                      fmt::format("{} at {}, and engine.min_replicas is {}: nothing would act",
                                  plural(state.number("connected_slaves"), "replica", "replicas"),
                                  at, min_replicas),
                      "as many replicas at least"});
  const uint64_t used = state.number("used_memory"), limit = state.number("maxmemory");
  if (limit > 0 && used * 100 >= limit * kMemoryPercentMax)
    faults.push_back({Kind::kMemory,
                      fmt::format("{} of maxmemory is in use at {}", percent_text(used, limit), at),
                      fmt::format("less than {} %", kMemoryPercentMax)});
  if (std::chrono::abs(state.clock_ahead) > kClockSlack)
    faults.push_back({Kind::kClock,
                      fmt::format("the clock of {} is {} {} this machine's", at,
                                  age_text(std::chrono::abs(state.clock_ahead)),
                                  state.clock_ahead > Micros(0) ? "ahead of" : "behind"),
                      "clocks that agree: keys expire by the server's, waits end by this one's"});
  return faults;
}

}  // namespace sluice::cli
