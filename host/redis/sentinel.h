// The master that sentinels agree on.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "redis/network.h"
#include "redis/router.h"

namespace sluice::redis {

// Asks the sentinels, one after the other, whenever the master is lost, so a failover shows with
// the first call that the old master does not serve. New connections check the server's role, as a
// sentinel may be behind.
// Source: "Guidelines for Redis clients with support for Redis Sentinel" of the Redis
// documentation.
class SentinelRouter final : public Router {
 public:
  SentinelRouter(const Target& target, const Timeouts& timeouts, Network& network);

  Result<Endpoint> server_of(std::string_view key) override;
  Result<std::vector<Endpoint>> masters() override;
  void lost(const Endpoint& endpoint) override;
  bool needs_master() const override { return true; }

 private:
  Result<Endpoint> ask(const Endpoint& sentinel) const;

  // Fixed after construction.
  const std::vector<Endpoint> sentinels_;
  const std::string name_;  // of the master
  const Timeouts timeouts_;
  Network& network_;

  // Guarded by mutex_.
  std::mutex mutex_;
  std::optional<Endpoint> master_;  // nullopt: ask
  size_t next_sentinel_ = 0;        // the one that answered last
};

}  // namespace sluice::redis
