// The servers behind a url: which of them has a key, connections to each, and calls that outlast
// their faults.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "redis/connection.h"
#include "redis/errors.h"
#include "redis/router.h"
#include "redis/url.h"

namespace sluice::redis {

// Threads: [any]; each call has a connection of its own, and no lock is held during I/O.
class Servers {
 public:
  struct Options {
    Target target;
    Timeouts timeouts;
    // How long a call is tried again. Longer rides out a longer failover, shorter tells sooner.
    milliseconds give_up_after{30'000};
    // To one server at a time; further calls wait for one of them.
    size_t connections_max = 64;
    uint64_t seed = system_seed();  // of the pauses between tries
  };

  struct Answer {
    // One for each command, errors that trying again does not change included.
    std::vector<Reply> replies;
    // An earlier try ended without a reply: what it sent may have been done, before and besides
    // what is answered here.
    bool repeated = false;
  };

  // Exclusive use of a connection, which is there for others when this ends. Ends before Servers.
  class Lease {
   public:
    Lease(Lease&& other) noexcept;
    Lease& operator=(Lease&&) = delete;
    ~Lease();

    Connection* operator->() const { return connection_.get(); }
    Connection& operator*() const { return *connection_; }

    // Has the connection closed instead.
    void discard() { discarded_ = true; }

   private:
    friend class Servers;
    Lease(Servers& servers, std::unique_ptr<Connection> connection)
        : servers_(servers), connection_(std::move(connection)) {}

    Servers& servers_;
    std::unique_ptr<Connection> connection_;  // null when moved from
    bool discarded_ = false;
  };

  // No I/O; the first call connects. `network` outlives this.
  Servers(Options options, Network& network);
  ~Servers();

  // Runs `commands`, which need not depend on each other's success, on the server that has `key`
  // (empty: any one), with one write.
  //
  // What the server cannot do now, and all of it when the connection breaks, is sent again until it
  // is done: after pauses, on a new connection, to the server that has the key by then. See
  // `repeated`. `timeout` bounds one try in place of the usual one, for commands that block.
  //
  // Errors: kUnavailable when that took longer than `give_up_after`, with the last reason; what was
  //         sent may have been done. kInvalid at once when we are refused (password, certificate);
  //         kClosed after `close`.
  Result<Answer> call(std::string_view key, const Commands& commands);
  Result<Answer> call(std::string_view key, const Commands& commands, milliseconds timeout);

  // A connection to the server that has `key`, or to any. Opening one is tried as in `call`;
  // what is done with it is tried once.
  Result<Lease> for_key(std::string_view key);
  Result<Lease> any() { return for_key({}); }

  // All servers that take writes, each with a part of the keys. One unless it is a cluster.
  Result<std::vector<Endpoint>> masters();
  // Where `key` is as far as is known. Errors: as of Router.
  Result<Endpoint> server_of(std::string_view key) { return router_->server_of(key); }
  // A connection of the caller's own, such as one that listens; tried once.
  Result<std::unique_ptr<Connection>> connect(const Endpoint& endpoint);
  // As `call`, at this server whatever keys it has.
  Result<Answer> call_at(const Endpoint& endpoint, const Commands& commands);

  // Ends all calls under way, and later ones, with kClosed.
  void close();

 private:
  class Trial;
  struct Pool {
    std::vector<std::unique_ptr<Connection>> idle;
    size_t leased = 0;
  };

  using Where = std::function<Result<Endpoint>()>;

  Result<Answer> run(const Where& where, const Commands& commands, milliseconds timeout);
  Result<Lease> lease(const Endpoint& endpoint);
  Result<std::unique_ptr<Connection>> open(const Endpoint& endpoint);
  void give_back(std::unique_ptr<Connection> connection, bool discarded);
  void lost(const Endpoint& endpoint);

  // Fixed after construction.
  const Options options_;
  Network& network_;
  const std::unique_ptr<Router> router_;

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable changed_;    // a connection came back, or all is closed
  std::map<std::string, Pool> pools_;  // by the endpoint's text
  std::set<Connection*> leased_;
  SeededRandom random_;
  bool down_ = false;  // a call is tried again, and that was logged
  std::chrono::steady_clock::time_point down_since_;
  bool closed_ = false;
};

}  // namespace sluice::redis
