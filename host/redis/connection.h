// One connection to one server.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "redis/network.h"
#include "redis/resp.h"

namespace sluice::redis {

// Who we are to a server.
struct Login {
  std::string user, password;  // empty user: the default one; empty password: none is sent
  uint32_t database = 0;
  std::string client_name;  // shown by CLIENT LIST
};

struct Timeouts {
  milliseconds connect{2000};
  milliseconds reply{5000};  // of one call; a server that is silent for longer counts as gone
};

// Threads: one call at a time.
class Connection {
 public:
  // Connects, authenticates and selects the database.
  //
  // Errors: kUnavailable, worth another try; kInvalid for refused names or passwords, which are
  // named
  //         without the password.
  static Result<std::unique_ptr<Connection>> open(Network& network, const Endpoint& endpoint,
                                                  const Login& login, const Timeouts& timeouts);

  // Sends `commands` in one write and reads one reply for each, errors of the server included as
  // replies.
  //
  // Errors: kUnavailable when the connection broke or the time ran out: what was sent may have been
  // done or
  //         not, and the connection is useless.
  Result<std::vector<Reply>> call(const Commands& commands);

  // As `call` in two steps, so that the caller can work while the server does.
  Status send(const Commands& commands);
  Result<Reply> receive(milliseconds timeout);

  bool is_broken() const;
  const Endpoint& endpoint() const;
};

}  // namespace sluice::redis
