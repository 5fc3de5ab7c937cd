#include "redis/sentinel.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"

namespace sluice::redis {
namespace {

// A sentinel answers at once or is not worth waiting for: others know the same.
constexpr milliseconds kPatience{1000};

Timeouts shortened(const Timeouts& timeouts) {
  return {std::min(timeouts.connect, kPatience), std::min(timeouts.reply, kPatience)};
}

}  // namespace

SentinelRouter::SentinelRouter(const Target& target, const Timeouts& timeouts, Network& network)
    : sentinels_(target.endpoints),
      name_(target.master_name),
      timeouts_(shortened(timeouts)),
      network_(network) {}

Result<Endpoint> SentinelRouter::server_of(std::string_view) {
  size_t first = 0;
  {
    const std::lock_guard lock(mutex_);
    if (master_) return *master_;
    first = next_sentinel_;
  }
  Status last;
  for (size_t i = 0; i < sentinels_.size(); ++i) {
    const size_t each = (first + i) % sentinels_.size();
    auto master = ask(sentinels_[each]);
    if (!master) {
      last = master.status();
      continue;
    }
    const std::lock_guard lock(mutex_);
    master_ = *master;
    // When it names the one that was lost, another is asked the next time.
    next_sentinel_ = (each + 1) % sentinels_.size();
    return master;
  }
  return last;
}

Result<std::vector<Endpoint>> SentinelRouter::masters() {
  SLUICE_ASSIGN(master, server_of({}));
  return std::vector<Endpoint>{std::move(master)};
}

void SentinelRouter::lost(const Endpoint& endpoint) {
  const std::lock_guard lock(mutex_);
  if (master_ == endpoint) master_.reset();
}

Result<Endpoint> SentinelRouter::ask(const Endpoint& sentinel) const {
  SLUICE_ASSIGN(connection, Connection::open(network_, sentinel, {}, timeouts_));
  Commands commands;
  commands.add({"SENTINEL", "GET-MASTER-ADDR-BY-NAME", name_});
  SLUICE_ASSIGN(replies, connection->call(commands));
  const Reply& reply = replies[0];
  const std::string by = fmt::format("sentinel {}", sentinel.text());
  if (reply.is_error()) return Status(Code::kUnavailable, fmt::format("{}: {}", by, reply.text));
  if (reply.items.size() != 2)
    return Status(Code::kUnavailable, fmt::format("{}: knows no master {}", by, name_));
  Endpoint master = sentinel;  // TLS is as here
  const std::string& port = reply.items[1].text;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), master.port);
  if (error != std::errc() || end != port.data() + port.size() || master.port == 0 ||
      reply.items[0].text.empty())
    return Status(Code::kUnavailable, fmt::format("{}: names no address", by));
  master.host = reply.items[0].text;
  return master;
}

}  // namespace sluice::redis
