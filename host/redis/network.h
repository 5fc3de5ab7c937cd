// The network, behind an interface, so that tests can cut, delay and tear what is sent.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace sluice::redis {

using std::chrono::milliseconds;

// Where a server listens.
struct Endpoint {
  std::string host;  // name or address; empty with `path`
  uint16_t port = 6379;
  std::string path;  // unix socket
  bool tls = false;
  std::string ca_file;                     // tls: trusted certificates; empty: the system's
  std::string certificate_file, key_file;  // tls: who we are, when the server asks

  // "127.0.0.1:6379" or the path.
  std::string text() const;
  bool operator==(const Endpoint&) const = default;
};

// A connected stream of bytes. Threads: one reader and one writer at a time; `shut_down` [any].
//
// Errors: kUnavailable when the other end is gone or silent for too long; the stream is then
// useless.
class Stream {
 public:
  virtual ~Stream() = default;

  // Sends all of `bytes`, waiting at most `timeout` for room.
  virtual Status write(std::span<const char> bytes, milliseconds timeout) = 0;

  // Reads what is there, waiting at most `timeout` for the first byte.
  // Shape: how many bytes were read; 0 when the time ran out.
  virtual Result<size_t> read(std::span<char> into, milliseconds timeout) = 0;

  // Ends a `read` that waits in another thread.
  virtual void shut_down() = 0;
};

// Threads: [any].
class Network {
 public:
  virtual ~Network() = default;

  // Connects within `timeout` (looking up a name comes on top, and takes as long as the system lets
  // it); with TLS the certificate's chain and name are verified.
  //
  // Errors: kUnavailable names the endpoint and why; kInvalid when its certificate is not to be
  //         trusted or one of our files cannot be used.
  virtual Result<std::unique_ptr<Stream>> connect(const Endpoint& endpoint,
                                                  milliseconds timeout) = 0;
};

// Sockets of the operating system.
Network& system_network();

}  // namespace sluice::redis
