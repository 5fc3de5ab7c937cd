// What a Redis server is set to, and what that promises to a pipeline.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "graph/pipeline.h"

namespace sluice::cli {

struct ServerState {
  // Of INFO; one that the server does not say is absent.
  std::map<std::string, std::string, std::less<>> info;
  // Of CONFIG GET; absent when this user may not ask.
  std::optional<std::string> append_fsync;  // always, everysec, no
  std::optional<std::string> save;          // "3600 1 300 100"; empty: no snapshots

  std::string endpoint;   // host and port
  Micros answered_in{0};  // a ping, the best of several
  Micros clock_ahead{0};  // the server's clock before this machine's; negative: behind

  std::string_view find(std::string_view name) const;
  uint64_t number(std::string_view name) const;  // 0 when absent
};

// Lines "name:value" of INFO.
std::map<std::string, std::string, std::less<>> read_info(std::string_view text);

// Asks the servers of `engine`, each master apart; changes nothing.
//
// Errors: kUnavailable, and kInvalid for what is refused.
Result<std::vector<ServerState>> ask_servers(const graph::EngineSpec& engine, const Clock& clock);

// "Redis 7.0.15 at 127.0.0.1:6379, master, answers in 0.1 ms".
std::string server_text(const ServerState& state);

// One paragraph: what of an acked commit holds through a restart, a power cut and the loss of the
// machine, and what external effects wait for.
std::string promise_text(const ServerState& state, uint32_t min_replicas);

// What stands against running on it.
struct ServerFault {
  enum class Kind { kTooOld, kReadOnly, kEvicts, kNotKept, kFailing, kReplicas, kMemory, kClock };
  Kind kind;
  std::string text;
  std::string expected;
};
std::vector<ServerFault> server_faults(const ServerState& state, uint32_t min_replicas);

}  // namespace sluice::cli
