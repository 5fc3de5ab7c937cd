#include "redis/network.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

namespace sluice::redis {
namespace {

using std::chrono::steady_clock;

// A silent peer is asked for a sign of life after 15 s and given up after three more of 5 s.
constexpr int kKeepIdleSeconds = 15, kKeepIntervalSeconds = 5, kKeepCount = 3;
constexpr milliseconds kTimeoutMax = std::chrono::hours(24);

class Deadline {
 public:
  explicit Deadline(milliseconds timeout)
      : end_(steady_clock::now() + std::clamp(timeout, milliseconds(0), kTimeoutMax)) {}

  milliseconds left() const {
    return std::max(std::chrono::ceil<milliseconds>(end_ - steady_clock::now()), milliseconds(0));
  }

 private:
  const steady_clock::time_point end_;
};

// Owns a socket.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&&) = delete;
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }

  int fd() const { return fd_; }

 private:
  int fd_;
};

// Waits until `fd` is ready for `events`; false when the time ran out. Faults of the socket count
// as ready: the call that follows names them.
bool wait_until_ready(int fd, short events, const Deadline& deadline) {
  for (;;) {
    pollfd wanted{fd, events, 0};
    const int count = poll(&wanted, 1, static_cast<int>(deadline.left().count()));
    if (count > 0) return true;
    if (count == 0 || errno != EINTR) return false;
  }
}

Status unavailable(const Endpoint& endpoint, std::string_view what) {
  return {Code::kUnavailable, fmt::format("redis {}: {}", endpoint.text(), what)};
}

Status no_room(const Endpoint& endpoint, milliseconds timeout) {
  return unavailable(endpoint, fmt::format("takes no more bytes (waited {} ms)", timeout.count()));
}

Status closed(const Endpoint& endpoint) {
  return unavailable(endpoint, "the server closed the connection");
}

// What a call on a connected socket met.
Status fault(const Endpoint& endpoint, int number) {
  if (number == EPIPE || number == ECONNRESET) return closed(endpoint);
  return unavailable(endpoint, strerror(number));
}

class PlainStream final : public Stream {
 public:
  PlainStream(Socket socket, Endpoint endpoint)
      : socket_(std::move(socket)), endpoint_(std::move(endpoint)) {}

  Status write(std::span<const char> bytes, milliseconds timeout) override {
    const Deadline deadline(timeout);
    while (!bytes.empty()) {
      const ssize_t count = send(socket_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count >= 0)
        bytes = bytes.subspan(static_cast<size_t>(count));
      else if (errno == EAGAIN) {
        if (!wait_until_ready(socket_.fd(), POLLOUT, deadline)) return no_room(endpoint_, timeout);
      } else if (errno != EINTR)
        return fault(endpoint_, errno);
    }
    return Status::ok();
  }

  Result<size_t> read(std::span<char> into, milliseconds timeout) override {
    const Deadline deadline(timeout);
    for (;;) {
      if (!wait_until_ready(socket_.fd(), POLLIN, deadline)) return size_t{0};
      const ssize_t count = recv(socket_.fd(), into.data(), into.size(), 0);
      if (count > 0) return static_cast<size_t>(count);
      if (count == 0) return closed(endpoint_);
      if (errno != EAGAIN && errno != EINTR) return fault(endpoint_, errno);
    }
  }

  void shut_down() override { shutdown(socket_.fd(), SHUT_RDWR); }

 private:
  const Socket socket_;
  const Endpoint endpoint_;
};

// OpenSSL's own socket layer raises SIGPIPE when the other end is gone, so it gets one that does
// not.
class SocketLayer {
 public:
  // `socket` outlives the layer.
  static BIO* make(Socket& socket) {
    static BIO_METHOD* const method = make_method();
    BIO* layer = BIO_new(method);
    BIO_set_data(layer, &socket);
    BIO_set_init(layer, 1);
    return layer;
  }

 private:
  static BIO_METHOD* make_method() {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sluice socket");
    BIO_meth_set_write(method, write);
    BIO_meth_set_read(method, read);
    BIO_meth_set_ctrl(method, control);
    return method;
  }

  static int fd(BIO* layer) { return static_cast<const Socket*>(BIO_get_data(layer))->fd(); }

  static int write(BIO* layer, const char* bytes, int size) {
    BIO_clear_retry_flags(layer);
    const ssize_t count = send(fd(layer), bytes, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(layer);
    return static_cast<int>(count);
  }

  static int read(BIO* layer, char* into, int size) {
    BIO_clear_retry_flags(layer);
    const ssize_t count = recv(fd(layer), into, static_cast<size_t>(size), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(layer);
    return static_cast<int>(count);
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }
};

// The oldest fault OpenSSL noted in this thread, in its words.
std::string tls_fault() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return errno != 0 ? strerror(errno) : "the connection was cut";
  if (ERR_SYSTEM_ERROR(code)) return strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown fault of TLS";
}

class TlsStream final : public Stream {
 public:
  static Result<std::unique_ptr<Stream>> open(Socket socket, const Endpoint& endpoint,
                                              const Deadline& deadline) {
    const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                               SSL_CTX_free);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_mode(context.get(),
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SLUICE_TRY(load_files(context.get(), endpoint));
    std::unique_ptr<TlsStream> stream(
        new TlsStream(std::move(socket), endpoint, SSL_new(context.get())));
    SLUICE_TRY(stream->name_peer());
    SLUICE_TRY(stream->shake_hands(deadline));
    return std::unique_ptr<Stream>(std::move(stream));
  }

  Status write(std::span<const char> bytes, milliseconds timeout) override {
    const Deadline deadline(timeout);
    while (!bytes.empty()) {
      const Step step = run([&](size_t& count) {
        return SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
      });
      if (!step.status) return step.status;
      bytes = bytes.subspan(step.count);
      if (step.events != 0 && !wait_until_ready(socket_.fd(), step.events, deadline))
        return no_room(endpoint_, timeout);
    }
    return Status::ok();
  }

  Result<size_t> read(std::span<char> into, milliseconds timeout) override {
    const Deadline deadline(timeout);
    for (;;) {
      const Step step = run(
          [&](size_t& count) { return SSL_read_ex(ssl_.get(), into.data(), into.size(), &count); });
      if (!step.status) return step.status;
      if (step.count > 0) return step.count;
      if (!wait_until_ready(socket_.fd(), step.events, deadline)) return size_t{0};
    }
  }

  void shut_down() override { shutdown(socket_.fd(), SHUT_RDWR); }

 private:
  // What one try did: bytes moved, or what to wait for before the next one.
  struct Step {
    Status status;
    size_t count = 0;
    short events = 0;
  };

  TlsStream(Socket socket, Endpoint endpoint, SSL* ssl)
      : socket_(std::move(socket)), endpoint_(std::move(endpoint)), ssl_(ssl, SSL_free) {
    BIO* const layer = SocketLayer::make(socket_);
    SSL_set_bio(ssl, layer, layer);  // owns it
  }

  static Status load_files(SSL_CTX* context, const Endpoint& endpoint) {
    const auto unusable = [](std::string_view what, const std::string& file) {
      return Status(Code::kInvalid, fmt::format("{} {}: {}", what, file, tls_fault()));
    };
    ERR_clear_error();
    errno = 0;
    if (endpoint.ca_file.empty())
      SSL_CTX_set_default_verify_paths(context);
    else if (SSL_CTX_load_verify_locations(context, endpoint.ca_file.c_str(), nullptr) != 1)
      return unusable("trusted certificates", endpoint.ca_file);
    if (endpoint.certificate_file.empty()) return Status::ok();
    if (SSL_CTX_use_certificate_chain_file(context, endpoint.certificate_file.c_str()) != 1)
      return unusable("certificate", endpoint.certificate_file);
    if (SSL_CTX_use_PrivateKey_file(context, endpoint.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
      return unusable("key", endpoint.key_file);
    return Status::ok();
  }

  // Says whom we want and whose certificate we take. A name OpenSSL takes for none, or for many,
  // would let others in.
  Status name_peer() {
    const std::string& host = endpoint_.host;
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), host.c_str()) == 1)
      return Status::ok();
    SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const bool is_one = !host.empty() && host[0] != '.' && SSL_set1_host(ssl_.get(), host.c_str());
    if (!is_one)
      return {Code::kInvalid,
              fmt::format("redis {}: TLS needs the name of one host", endpoint_.text())};
    // SSL_set_tlsext_host_name, without its cast.
    SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(host.c_str()));
    return Status::ok();
  }

  Status shake_hands(const Deadline& deadline) {
    for (;;) {
      const Step step = run([&](size_t&) { return SSL_connect(ssl_.get()); });
      const long verdict = SSL_get_verify_result(ssl_.get());
      if (!step.status && verdict != X509_V_OK)
        return {Code::kInvalid,
                fmt::format("redis {}: its certificate is not to be trusted: {}", endpoint_.text(),
                            X509_verify_cert_error_string(verdict))};
      if (!step.status || step.events == 0) return step.status;
      if (!wait_until_ready(socket_.fd(), step.events, deadline))
        return unavailable(endpoint_, "no TLS handshake in time");
    }
  }

  // 0: a fault.
  static short wanted_events(SSL* ssl, int done) {
    switch (SSL_get_error(ssl, done)) {
      case SSL_ERROR_WANT_READ:
        return POLLIN;
      case SSL_ERROR_WANT_WRITE:
        return POLLOUT;
      default:
        return 0;
    }
  }

  template <typename Call>
  Step run(const Call& call) {
    const std::lock_guard lock(mutex_);
    ERR_clear_error();
    errno = 0;
    size_t count = 0;
    const int done = call(count);
    if (done == 1) return {Status::ok(), count, 0};
    if (const short events = wanted_events(ssl_.get(), done)) return {Status::ok(), 0, events};
    if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_ZERO_RETURN) return {closed(endpoint_), 0, 0};
    return {unavailable(endpoint_, "TLS: " + tls_fault()), 0, 0};
  }

  // Declared first: the socket outlives the session that writes to it.
  Socket socket_;
  const Endpoint endpoint_;

  // Guarded by mutex_: a session serves one call at a time. Waits are made without it.
  std::mutex mutex_;
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl_;
};

// A socket connected to `address`, not blocking. Errors: the system's number.
Result<Socket> connect_to(const Endpoint& endpoint, const sockaddr* address, socklen_t size,
                          const Deadline& deadline) {
  Socket made(socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (made.fd() < 0) return unavailable(endpoint, strerror(errno));
  if (connect(made.fd(), address, size) != 0) {
    // A unix socket whose queue is full answers EAGAIN and cannot be waited for.
    if (errno != EINPROGRESS)
      return unavailable(endpoint, fmt::format("cannot connect: {}", strerror(errno)));
    if (!wait_until_ready(made.fd(), POLLOUT, deadline))
      return unavailable(endpoint, "cannot connect: no answer in time");
    int number = 0;
    socklen_t size_of_number = sizeof number;
    getsockopt(made.fd(), SOL_SOCKET, SO_ERROR, &number, &size_of_number);
    if (number != 0)
      return unavailable(endpoint, fmt::format("cannot connect: {}", strerror(number)));
  }
  return made;
}

Result<Socket> connect_unix(const Endpoint& endpoint, const Deadline& deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.path.size() >= sizeof address.sun_path)
    return Status(Code::kInvalid, fmt::format("redis {}: a socket's path has at most {} bytes",
                                              endpoint.path, sizeof address.sun_path - 1));
  memcpy(address.sun_path, endpoint.path.c_str(), endpoint.path.size() + 1);
  return connect_to(endpoint, reinterpret_cast<const sockaddr*>(&address), sizeof address,
                    deadline);
}

// Tries the name's addresses in the system's order; each gets an equal part of the time left.
Result<Socket> connect_tcp(const Endpoint& endpoint, const Deadline& deadline) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(endpoint.host.c_str(), std::to_string(endpoint.port).c_str(), &hints, &found);
  if (failed != 0)
    return unavailable(endpoint, fmt::format("cannot look up the name: {}", gai_strerror(failed)));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  int untried = 0;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) ++untried;
  Status last;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    auto made = connect_to(endpoint, each->ai_addr, each->ai_addrlen,
                           Deadline(deadline.left() / untried--));
    if (made) return made;
    last = made.status();
  }
  return last;
}

void tune(const Socket& socket) {
  const auto set = [&](int level, int option, int value) {
    setsockopt(socket.fd(), level, option, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, kKeepIdleSeconds);
  set(IPPROTO_TCP, TCP_KEEPINTVL, kKeepIntervalSeconds);
  set(IPPROTO_TCP, TCP_KEEPCNT, kKeepCount);
}

class SystemNetwork final : public Network {
 public:
  Result<std::unique_ptr<Stream>> connect(const Endpoint& endpoint, milliseconds timeout) override {
    const Deadline deadline(timeout);
    const bool tcp = endpoint.path.empty();
    SLUICE_ASSIGN(socket, tcp ? connect_tcp(endpoint, deadline) : connect_unix(endpoint, deadline));
    if (tcp) tune(socket);
    if (endpoint.tls) return TlsStream::open(std::move(socket), endpoint, deadline);
    return std::unique_ptr<Stream>(std::make_unique<PlainStream>(std::move(socket), endpoint));
  }
};

}  // namespace

std::string Endpoint::text() const {
  if (!path.empty()) return path;
  const bool is_ipv6 = host.find(':') != host.npos;
  return is_ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Network& system_network() {
  static SystemNetwork network;
  return network;
}

}  // namespace sluice::redis
