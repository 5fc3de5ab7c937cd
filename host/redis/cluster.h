// Keys of a cluster: 16,384 slots, each on one master.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "redis/network.h"
#include "redis/router.h"

namespace sluice::redis {

constexpr uint16_t kSlots = 16'384;

// CRC16 of `key` modulo 16,384; of what stands between the first { and the next } when there is
// something, so that keys with the same text there are on one server.
// Source: "Key distribution model" and "Hash tags" of the Redis cluster specification.
uint16_t slot_of(std::string_view key);

// Digits that as a hash tag lie in `slot`. Lives as long as the program.
std::string_view slot_tag(uint16_t slot);

// Where an error sends us.
struct Redirection {
  bool asks = false;  // ASK: this once, with ASKING in front; else MOVED, for good
  uint16_t slot = 0;
  Endpoint endpoint;
};

// Reads "MOVED 3999 127.0.0.1:6381" or "ASK ..." said by `by`: an empty host is its own, and TLS is
// as there. nullopt for anything else.
std::optional<Redirection> parse_redirection(std::string_view error, const Endpoint& by);

// Asks nodes for the slots when the map is missing or turned out to be wrong.
class ClusterRouter final : public Router {
 public:
  ClusterRouter(const Target& target, const Timeouts& timeouts, Network& network);

  Result<Endpoint> server_of(std::string_view key) override;
  Result<std::vector<Endpoint>> masters() override;
  void lost(const Endpoint& endpoint) override;
  void moved(uint16_t slot, const Endpoint& endpoint) override;
  bool needs_master() const override { return false; }  // replicas send us on

 private:
  // Which of `nodes` has each slot; kNobody: none has.
  struct Map {
    std::vector<Endpoint> nodes;
    std::array<uint16_t, kSlots> owner;
  };
  static constexpr uint16_t kNobody = 0xFFFF;

  Status refresh();
  Result<Map> ask(const Endpoint& node) const;
  static Result<Map> read_slots(const Reply& slots, const Endpoint& by);

  // Fixed after construction.
  const std::vector<Endpoint> seeds_;
  const Login login_;
  const Timeouts timeouts_;
  Network& network_;

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable refreshed_;
  std::optional<Map> map_;
  bool doubtful_ = true;     // ask before the next answer
  bool refreshing_ = false;  // somebody asks; others go by the old map, or wait for the first one
  size_t next_node_ = 0;  // to be asked, so that one that is wrong or silent is not asked forever
};

}  // namespace sluice::redis
