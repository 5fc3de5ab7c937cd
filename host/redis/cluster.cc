#include "redis/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "base/crc16.h"
#include "redis/errors.h"

namespace sluice::redis {
namespace {

// A node answers at once or is not worth waiting for: others know the same.
constexpr milliseconds kPatience{1000};

std::optional<uint16_t> number(std::string_view text) {
  uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A node as `by` names it.
Endpoint node_at(std::string_view host, uint16_t port, const Endpoint& by) {
  Endpoint node = by;
  // Nodes that do not know their own address leave it out.
  if (!host.empty() && host != "?") node.host = host;
  node.port = port;
  return node;
}

}  // namespace

uint16_t slot_of(std::string_view key) {
  const size_t open = key.find('{');
  const size_t close = open == key.npos ? open : key.find('}', open + 1);
  if (close != key.npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  return crc16(key) % kSlots;
}

std::string_view slot_tag(uint16_t slot) {
  static const auto tags = [] {
    std::array<std::string, kSlots> found;
    for (size_t missing = kSlots, i = 0; missing > 0; ++i) {
      std::string text = std::to_string(i);
      std::string& tag = found[crc16(text) % kSlots];
      if (!tag.empty()) continue;
      tag = std::move(text);
      --missing;
    }
    return found;
  }();
  return tags.at(slot);
}

std::optional<Redirection> parse_redirection(std::string_view error, const Endpoint& by) {
  const bool asks = error.starts_with("ASK ");
  if (!asks && !error.starts_with("MOVED ")) return std::nullopt;
  error.remove_prefix(error.find(' ') + 1);
  const size_t space = error.find(' ');
  const size_t colon = error.rfind(':');  // an address of IPv6 has more
  if (space == error.npos || colon == error.npos || colon < space) return std::nullopt;
  const auto slot = number(error.substr(0, space));
  const auto port = number(error.substr(colon + 1));
  if (!slot || *slot >= kSlots || !port || *port == 0) return std::nullopt;
  return Redirection{asks, *slot, node_at(error.substr(space + 1, colon - space - 1), *port, by)};
}

ClusterRouter::ClusterRouter(const Target& target, const Timeouts& timeouts, Network& network)
    : seeds_(target.endpoints),
      login_(target.login),
      timeouts_{std::min(timeouts.connect, kPatience), std::min(timeouts.reply, kPatience)},
      network_(network) {}

Result<Endpoint> ClusterRouter::server_of(std::string_view key) {
  const Status refreshed = refresh();
  const std::lock_guard lock(mutex_);
  if (!map_) return refreshed;
  const uint16_t slot = slot_of(key);
  if (key.empty() && !map_->nodes.empty()) return map_->nodes[0];
  if (map_->owner[slot] != kNobody) return map_->nodes[map_->owner[slot]];
  doubtful_ = true;
  return Status(Code::kUnavailable, fmt::format("redis cluster: no node serves slot {}", slot));
}

Result<std::vector<Endpoint>> ClusterRouter::masters() {
  const Status refreshed = refresh();
  const std::lock_guard lock(mutex_);
  if (!map_) return refreshed;
  return map_->nodes;
}

void ClusterRouter::lost(const Endpoint&) {
  const std::lock_guard lock(mutex_);
  doubtful_ = true;
}

void ClusterRouter::moved(uint16_t slot, const Endpoint& endpoint) {
  const std::lock_guard lock(mutex_);
  doubtful_ = true;
  if (!map_) return;
  auto& nodes = map_->nodes;
  auto place = std::find(nodes.begin(), nodes.end(), endpoint);
  if (place == nodes.end()) place = nodes.insert(nodes.end(), endpoint);
  map_->owner[slot] = static_cast<uint16_t>(place - nodes.begin());
}

// Asks nodes until one answers. Ok as well when there is no need, or somebody else is at it.
Status ClusterRouter::refresh() {
  std::vector<Endpoint> nodes;
  size_t first = 0;
  {
    std::unique_lock lock(mutex_);
    refreshed_.wait(lock, [&] { return map_ || !refreshing_; });  // a bounded number of tries
    if (!doubtful_ || refreshing_) return Status::ok();
    refreshing_ = true;
    if (map_) nodes = map_->nodes;
    for (const Endpoint& seed : seeds_)
      if (std::find(nodes.begin(), nodes.end(), seed) == nodes.end()) nodes.push_back(seed);
    first = next_node_++;
  }
  Result<Map> found = Status(Code::kUnavailable, "redis cluster: no node");
  for (size_t i = 0; i < nodes.size() && !found; ++i) {
    found = ask(nodes[(first + i) % nodes.size()]);
    if (found.status().code() == Code::kInvalid) break;
  }
  const std::lock_guard lock(mutex_);
  refreshing_ = false;
  refreshed_.notify_all();
  if (!found) return found.status();
  map_ = std::move(*found);
  doubtful_ = false;
  return Status::ok();
}

Result<ClusterRouter::Map> ClusterRouter::ask(const Endpoint& node) const {
  SLUICE_ASSIGN(connection, Connection::open(network_, node, login_, timeouts_));
  Commands commands;
  commands.add({"CLUSTER", "SLOTS"});
  SLUICE_ASSIGN(replies, connection->call(commands));
  if (replies[0].is_error())
    return error_status("CLUSTER SLOTS", replies[0].text).within("redis " + node.text());
  return read_slots(replies[0], node);
}

// Each item: first slot, last slot, master (host, port, ...), replicas.
Result<ClusterRouter::Map> ClusterRouter::read_slots(const Reply& slots, const Endpoint& by) {
  const Status odd(Code::kUnavailable,
                   fmt::format("redis {}: CLUSTER SLOTS answered no list of slots", by.text()));
  Map map;
  map.owner.fill(kNobody);
  if (slots.kind != Reply::Kind::kArray) return odd;
  for (const Reply& range : slots.items) {
    if (range.items.size() < 3 || range.items[2].items.size() < 2) return odd;
    const int64_t first = range.items[0].integer, last = range.items[1].integer;
    const int64_t port = range.items[2].items[1].integer;
    if (first < 0 || last < first || last >= kSlots || port <= 0 || port > 0xFFFF) return odd;
    const Endpoint node = node_at(range.items[2].items[0].text, static_cast<uint16_t>(port), by);
    auto place = std::find(map.nodes.begin(), map.nodes.end(), node);
    if (place == map.nodes.end()) place = map.nodes.insert(place, node);
    std::fill(map.owner.begin() + first, map.owner.begin() + last + 1,
              static_cast<uint16_t>(place - map.nodes.begin()));
  }
  if (map.nodes.empty())
    return Status(Code::kUnavailable,
                  fmt::format("redis {}: no node of its cluster serves any slot", by.text()));
  return map;
}

}  // namespace sluice::redis
