// Which server has a key: one of a list, the one sentinels name, or a node of a cluster.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "redis/connection.h"
#include "redis/url.h"

namespace sluice::redis {

// Threads: [any]. Asking servers takes connections of its own, with no lock held.
class Router {
 public:
  virtual ~Router() = default;

  // Where `key` is as far as is known; empty: any server that takes writes.
  // Errors: kUnavailable when nobody can be asked; kInvalid when we are refused.
  virtual Result<Endpoint> server_of(std::string_view key) = 0;

  // All servers that take writes.
  virtual Result<std::vector<Endpoint>> masters() = 0;

  // `endpoint` could not be reached, broke off, or does not take writes any more.
  virtual void lost(const Endpoint& endpoint) = 0;

  // A server says that `slot` is at `endpoint` for good.
  virtual void moved(uint16_t /*slot*/, const Endpoint& /*endpoint*/) {}

  // Whether a new connection must lead to a master by the server's own word.
  virtual bool needs_master() const = 0;
};

std::unique_ptr<Router> make_router(const Target& target, const Timeouts& timeouts,
                                    Network& network);

}  // namespace sluice::redis
