#include "redis/servers.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/backoff.h"
#include "base/log.h"
#include "redis/cluster.h"

namespace sluice::redis {
namespace {

using std::chrono::steady_clock;

// A connection that was idle for longer is looked at before it is used: the server, or something
// between us, may have closed it.
constexpr milliseconds kTrustedIdle{1000};

Status closed() { return {Code::kClosed, "redis: closed"}; }

double seconds(steady_clock::duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

// The tries of one call.
class Servers::Trial {
 public:
  explicit Trial(Servers& servers)
      : servers_(servers), end_(steady_clock::now() + servers.options_.give_up_after) {}

  // Pauses before the next try; returns an error when there is to be none. `reason` is an error.
  Status failed(const Status& reason) {
    std::unique_lock lock(servers_.mutex_);
    if (servers_.closed_) return closed();
    if (reason.code() == Code::kInvalid) return reason;
    const auto now = steady_clock::now();
    if (now >= end_)
      return {Code::kUnavailable, fmt::format("{} (tried for {:.3g} s)", reason.text(),
                                              seconds(servers_.options_.give_up_after))};
    failed_ = true;
    const bool is_news = !servers_.down_;
    if (is_news) {
      servers_.down_ = true;
      servers_.down_since_ = now;
    }
    if (!backoff_) {
      random_.emplace(servers_.random_.next());
      backoff_.emplace(*random_);
    }
    const auto until = std::min(now + backoff_->next(), end_);
    lock.unlock();
    if (is_news) log::warning("{}; trying again", reason.text());
    lock.lock();
    servers_.changed_.wait_until(lock, until, [&] { return servers_.closed_; });
    return servers_.closed_ ? closed() : Status::ok();
  }

  void succeeded() {
    if (!failed_) return;
    std::unique_lock lock(servers_.mutex_);
    if (!std::exchange(servers_.down_, false)) return;
    const auto since = servers_.down_since_;
    lock.unlock();
    log::info("redis: works again after {:.3f} s", seconds(steady_clock::now() - since));
  }

 private:
  Servers& servers_;
  const steady_clock::time_point end_;
  std::optional<SeededRandom> random_;
  std::optional<Backoff> backoff_;
  bool failed_ = false;
};

Servers::Lease::Lease(Lease&& other) noexcept
    : servers_(other.servers_),
      connection_(std::move(other.connection_)),
      discarded_(other.discarded_) {}

Servers::Lease::~Lease() {
  if (connection_) servers_.give_back(std::move(connection_), discarded_);
}

Servers::Servers(Options options, Network& network)
    : options_(std::move(options)),
      network_(network),
      router_(make_router(options_.target, options_.timeouts, network)),
      random_(options_.seed, "redis pauses") {}

Servers::~Servers() { close(); }

Result<Servers::Answer> Servers::call(std::string_view key, const Commands& commands) {
  return call(key, commands, options_.timeouts.reply);
}

Result<Servers::Answer> Servers::call(std::string_view key, const Commands& commands,
                                      milliseconds timeout) {
  return run([&] { return router_->server_of(key); }, commands, timeout);
}

Result<Servers::Answer> Servers::call_at(const Endpoint& endpoint, const Commands& commands) {
  return run([&] { return Result<Endpoint>(endpoint); }, commands, options_.timeouts.reply);
}

Result<Servers::Lease> Servers::for_key(std::string_view key) {
  for (Trial trial(*this);;) {
    const auto endpoint = router_->server_of(key);
    auto leased = endpoint ? lease(*endpoint) : Result<Lease>(endpoint.status());
    if (leased) {
      trial.succeeded();
      return leased;
    }
    SLUICE_TRY(trial.failed(leased.status()));
  }
}

Result<std::vector<Endpoint>> Servers::masters() {
  for (Trial trial(*this);;) {
    auto found = router_->masters();
    if (found) {
      trial.succeeded();
      return found;
    }
    SLUICE_TRY(trial.failed(found.status()));
  }
}

Result<std::unique_ptr<Connection>> Servers::connect(const Endpoint& endpoint) {
  auto opened = open(endpoint);
  if (!opened) lost(endpoint);
  return opened;
}

Result<Servers::Answer> Servers::run(const Where& where, const Commands& commands,
                                     milliseconds timeout) {
  Answer answer;
  answer.replies.resize(commands.count());
  std::vector<size_t> open(commands.count());  // those without an answer
  std::iota(open.begin(), open.end(), size_t{0});
  std::optional<Endpoint> asked;  // where the next try alone goes, by ASK
  bool moved = false;             // the last try found the key elsewhere
  Commands some;
  for (Trial trial(*this);;) {
    const bool asking = asked.has_value();
    const auto endpoint = asking ? Result<Endpoint>(*std::exchange(asked, {})) : where();
    auto leased = endpoint ? lease(*endpoint) : Result<Lease>(endpoint.status());
    if (!leased) {
      SLUICE_TRY(trial.failed(leased.status()));
      continue;
    }

    const bool whole = !asking && open.size() == commands.count();
    some.clear();
    for (size_t k = 0; !whole && k < open.size(); ++k) {
      if (asking) some.add({"ASKING"});
      some.add(commands, open[k]);
    }
    auto replies = (*leased)->call(whole ? commands : some, timeout);
    if (!replies) {
      answer.repeated = true;
      lost(*endpoint);
      // What came is no reply: the connection is at fault, another may do better.
      const Status reason(Code::kUnavailable, replies.status().text());
      SLUICE_TRY(trial.failed(reason));
      continue;
    }

    std::vector<size_t> still_open;
    std::string error;  // of the first of them
    for (size_t k = 0; k < open.size(); ++k) {
      Reply& reply = (*replies)[asking ? 2 * k + 1 : k];
      const ErrorClass kind = reply.is_error() ? class_of(reply.text) : ErrorClass::kRefused;
      if (kind != ErrorClass::kRetry && kind != ErrorClass::kReroute) {
        answer.replies[open[k]] = std::move(reply);
        continue;
      }
      if (still_open.empty()) error = reply.text;
      still_open.push_back(open[k]);
    }
    if (still_open.empty()) {
      trial.succeeded();
      return answer;
    }
    open = std::move(still_open);

    const auto redirection = parse_redirection(error, *endpoint);
    if (redirection && redirection->asks) {
      asked = redirection->endpoint;
      continue;
    }
    if (redirection) router_->moved(redirection->slot, redirection->endpoint);
    // The map is mended: no need to wait, unless two servers send us back and forth.
    if (redirection && !std::exchange(moved, true)) continue;
    if (!redirection && class_of(error) == ErrorClass::kReroute) {
      leased->discard();
      lost(*endpoint);
    }
    SLUICE_TRY(trial.failed(
        error_status(commands.name(open[0]), error).within("redis " + endpoint->text())));
  }
}

Result<Servers::Lease> Servers::lease(const Endpoint& endpoint) {
  const std::string name = endpoint.text();
  const auto end = steady_clock::now() + options_.timeouts.connect;
  {
    std::unique_lock lock(mutex_);
    const bool has_room = changed_.wait_until(
        lock, end, [&] { return closed_ || pools_[name].leased < options_.connections_max; });
    if (closed_) return closed();
    if (!has_room)
      return Status(Code::kUnavailable, fmt::format("redis {}: all {} connections are in use", name,
                                                    options_.connections_max));
    ++pools_[name].leased;
  }
  for (;;) {
    std::unique_ptr<Connection> connection;
    {
      const std::lock_guard lock(mutex_);
      auto& idle = pools_[name].idle;
      if (idle.empty() || closed_) break;
      connection = std::move(idle.back());
      idle.pop_back();
      leased_.insert(connection.get());
    }
    const bool trusted = connection->idle_for() < kTrustedIdle;
    if (trusted || connection->is_quiet()) return Lease(*this, std::move(connection));
    const std::lock_guard lock(mutex_);
    leased_.erase(connection.get());
  }
  auto opened = open(endpoint);
  if (!opened) lost(endpoint);
  const std::lock_guard lock(mutex_);
  if (!opened || closed_) {
    --pools_[name].leased;
    changed_.notify_all();
    return closed_ ? closed() : opened.status();
  }
  leased_.insert(opened->get());
  return Lease(*this, std::move(*opened));
}

Result<std::unique_ptr<Connection>> Servers::open(const Endpoint& endpoint) {
  SLUICE_ASSIGN(connection,
                Connection::open(network_, endpoint, options_.target.login, options_.timeouts));
  if (!router_->needs_master()) return connection;
  Commands role;
  role.add({"ROLE"});
  SLUICE_ASSIGN(replies, connection->call(role));
  const Reply& reply = replies[0];
  const bool denied = reply.is_error() && class_of(reply.text) == ErrorClass::kRefused;
  if (denied || (!reply.items.empty() && reply.items[0].text == "master")) return connection;
  return Status(Code::kUnavailable, fmt::format("redis {}: is not the master", endpoint.text()));
}

void Servers::give_back(std::unique_ptr<Connection> connection, bool discarded) {
  const std::lock_guard lock(mutex_);
  leased_.erase(connection.get());
  Pool& pool = pools_[connection->endpoint().text()];
  --pool.leased;
  if (!discarded && !connection->is_broken() && !closed_)
    pool.idle.push_back(std::move(connection));
  changed_.notify_all();
}

// The others who wait there have broken off as well, most likely.
void Servers::lost(const Endpoint& endpoint) {
  router_->lost(endpoint);
  std::vector<std::unique_ptr<Connection>> dropped;  // closed without the lock
  const std::lock_guard lock(mutex_);
  dropped.swap(pools_[endpoint.text()].idle);
}

void Servers::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (Connection* connection : leased_) connection->shut_down();
  changed_.notify_all();
}

}  // namespace sluice::redis
