// One connection to one server.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
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

// Threads: one call at a time, or one that sends and one that receives; `shut_down` [any].
class Connection {
 public:
  // Connects, authenticates, selects the database and waits until the server serves data.
  //
  // Errors: kUnavailable, worth another try; kInvalid for refused names, passwords and
  //         certificates, which are named without the password.
  static Result<std::unique_ptr<Connection>> open(Network& network, const Endpoint& endpoint,
                                                  const Login& login, const Timeouts& timeouts);

  // Sends `commands` in one write and reads one reply for each, errors of the server included as
  // replies.
  //
  // Errors: kUnavailable when the connection broke or the time ran out: what was sent may have been
  //         done or not, and the connection is useless. kCorrupt when what came is no reply: as
  //         before, and the server is none of Redis.
  Result<std::vector<Reply>> call(const Commands& commands);
  // The same with other bounds on the time than the connection's own, for calls that block.
  Result<std::vector<Reply>> call(const Commands& commands, milliseconds timeout);

  // As `call` in two steps, so that the caller can work while the server does.
  Status send(const Commands& commands);
  Result<Reply> receive(milliseconds timeout);
  // As many replies as were sent for.
  Result<std::vector<Reply>> receive_all(size_t count, milliseconds timeout);
  Result<std::vector<Reply>> receive_all(size_t count);

  // The next reply or message; nullopt when none came within `timeout`, and the connection is as
  // good as before.
  Result<std::optional<Reply>> poll(milliseconds timeout);

  // Ends a call that waits in another thread, and every later one.
  void shut_down();

  // No reply or message waits to be read, and the server has not hung up. Between calls.
  bool is_quiet();
  // Since the last reply.
  milliseconds idle_for() const;
  bool is_broken() const { return broken_; }
  const Endpoint& endpoint() const { return endpoint_; }

 private:
  Connection(std::unique_ptr<Stream> stream, Endpoint endpoint, Timeouts timeouts)
      : stream_(std::move(stream)), endpoint_(std::move(endpoint)), timeouts_(timeouts) {}

  Status greet(const Login& login);
  Status broken(Status status);

  const std::unique_ptr<Stream> stream_;
  const Endpoint endpoint_;
  const Timeouts timeouts_;
  ReplyReader replies_;
  std::chrono::steady_clock::time_point heard_at_;  // when the last reply came
  std::atomic<bool> broken_ = false;
};

}  // namespace sluice::redis
