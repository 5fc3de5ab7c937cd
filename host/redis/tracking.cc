#include "redis/tracking.h"

#include "base/log.h"
#include "redis/errors.h"

namespace sluice::redis {

namespace {

constexpr milliseconds kPollWhenDown{100};  // what others write is seen that much later
constexpr milliseconds kLookAfterOther{100};
constexpr milliseconds kLookForNodes{100};
constexpr std::string_view kChannel = "__redis__:invalidate";

}  // namespace

Tracking::Tracking(Connect connect, OnChange on_change, OnEverything on_everything)
    : connect_(std::move(connect)),
      on_change_(std::move(on_change)),
      on_everything_(std::move(on_everything)) {
  thread_ = std::thread([this] { run(); });
}

Tracking::~Tracking() {
  {
    std::lock_guard lock(stop_mutex_);
    stopping_ = true;
    if (told_ != nullptr) told_->shut_down();
  }
  stopped_.notify_all();
  thread_.join();
}

std::set<std::string> Tracking::shortest(const std::set<std::string>& prefixes) {
  std::set<std::string> kept;
  // In order, a beginning comes right before what it begins.
  for (const std::string& prefix : prefixes) {
    if (kept.empty() || !prefix.starts_with(*kept.rbegin())) kept.insert(kept.end(), prefix);
  }
  return kept;
}

void Tracking::cover(std::string_view prefix) {
  std::lock_guard lock(mutex_);
  if (!wanted_.emplace(prefix).second) return;
  const std::set<std::string> all = shortest(wanted_);
  if (all == covered_) return;
  if (asks_ == nullptr) return;
  if (const Status status = listen_for(all); !status) {
    log::warning("redis: cannot be told of changes under {}: {}", prefix, status.text());
    asks_.reset();
    up_ = false;
  }
}

// Off and on again: the server adds prefixes but never takes one away that others now cover.
Status Tracking::listen_for(const std::set<std::string>& prefixes) {
  Commands commands;
  commands.add({"CLIENT", "TRACKING", "OFF"});
  commands.begin(6 + 2 * prefixes.size());
  for (const char* word : {"CLIENT", "TRACKING", "ON", "REDIRECT"}) commands.arg(word);
  commands.arg(told_id_);
  commands.arg("BCAST");
  for (const std::string& prefix : prefixes) {
    commands.arg("PREFIX");
    commands.arg(prefix);
  }
  // Without a prefix the server would tell of every key.
  if (prefixes.empty()) {
    commands.clear();
    commands.add({"CLIENT", "TRACKING", "OFF"});
  }
  SLUICE_ASSIGN(replies, asks_->call(commands));
  for (const Reply& reply : replies) {
    if (reply.is_error()) return error_status("CLIENT TRACKING", reply.text);
  }
  covered_ = prefixes;
  return Status::ok();
}

bool Tracking::connect() {
  auto told = connect_();
  if (!told) return false;
  {
    std::lock_guard lock(stop_mutex_);
    told_ = std::move(*told);
    if (stopping_) return false;
  }
  Commands commands;
  commands.add({"CLIENT", "ID"});
  commands.add({"SUBSCRIBE", kChannel});
  const auto replies = told_->call(commands);
  if (!replies || (*replies)[0].is_error() || (*replies)[1].is_error()) return false;
  auto asks = connect_();
  if (!asks) return false;
  std::lock_guard lock(mutex_);
  told_id_ = (*replies)[0].integer;
  asks_ = std::move(*asks);
  if (const Status status = listen_for(shortest(wanted_)); !status) {
    if (!warned_ && !stopping_) log::warning("redis: is not told of changes: {}", status.text());
    warned_ = true;
    asks_.reset();
    return false;
  }
  return true;
}

void Tracking::hang_up() {
  {
    std::lock_guard lock(stop_mutex_);
    told_.reset();
  }
  std::lock_guard lock(mutex_);
  asks_.reset();
  covered_.clear();
  up_ = false;
}

// Waits for messages for a while and passes them on; false when a connection is lost.
bool Tracking::take_messages() {
  auto message = told_->poll(kLookAfterOther);
  if (!message) return false;
  if (!*message) {
    // Losing the other one is silent: the server just stops telling.
    std::lock_guard lock(mutex_);
    Commands ping;
    ping.add({"PING"});
    return asks_ != nullptr && asks_->call(ping).is_ok();
  }
  const Reply& reply = **message;
  if (reply.items.size() != 3 || reply.items[0].text != "message") return true;
  const Reply& keys = reply.items[2];
  if (keys.kind != Reply::Kind::kArray) {
    on_everything_();  // the database was flushed
    return true;
  }
  for (const Reply& key : keys.items) on_change_(key.text);
  return true;
}

void Tracking::run() {
  while (!stopping_) {
    if (connect()) {
      up_ = true;
      on_everything_();
      while (!stopping_ && up_ && take_messages()) {
      }
    }
    hang_up();
    if (stopping_) return;
    on_everything_();
    std::unique_lock lock(stop_mutex_);
    stopped_.wait_for(lock, kPollWhenDown, [this] { return stopping_.load(); });
  }
}

// --- Of all servers

TrackingOfAll::TrackingOfAll(Servers& servers, bool is_cluster, Tracking::OnChange on_change,
                             Tracking::OnEverything on_everything)
    : servers_(servers),
      on_change_(std::move(on_change)),
      on_everything_(std::move(on_everything)) {
  if (is_cluster) {
    if (const auto masters = servers_.masters()) follow(*masters);
    thread_ = std::thread([this] { run(); });
    return;
  }
  nodes_[""] = track([this]() -> Result<std::unique_ptr<Connection>> {
    SLUICE_ASSIGN(masters, servers_.masters());
    if (masters.empty()) return Status(Code::kUnavailable, "redis: no server takes writes");
    return servers_.connect(masters.front());
  });
}

TrackingOfAll::~TrackingOfAll() {
  {
    std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<Tracking> TrackingOfAll::track(Tracking::Connect connect) const {
  return std::make_unique<Tracking>(std::move(connect), on_change_, on_everything_);
}

void TrackingOfAll::cover(std::string_view prefix) {
  std::lock_guard lock(mutex_);
  if (!wanted_.emplace(prefix).second) return;
  for (const auto& [name, node] : nodes_) node->cover(prefix);
}

// A node that joins says `everything` once it tells: nothing is missed between.
void TrackingOfAll::follow(const std::vector<Endpoint>& masters) {
  std::map<std::string, std::unique_ptr<Tracking>> gone;  // ended without the lock
  std::lock_guard lock(mutex_);
  gone.swap(nodes_);
  for (const Endpoint& master : masters) {
    std::unique_ptr<Tracking>& node = nodes_[master.text()];
    if (const auto known = gone.find(master.text()); known != gone.end()) {
      node = std::move(known->second);
      gone.erase(known);
      continue;
    }
    node = track([this, master] { return servers_.connect(master); });
    for (const std::string& prefix : wanted_) node->cover(prefix);
  }
}

void TrackingOfAll::run() {
  for (;;) {
    {
      std::unique_lock lock(stop_mutex_);
      if (stopped_.wait_for(lock, kLookForNodes, [this] { return stopping_; })) return;
    }
    if (const auto masters = servers_.masters()) follow(*masters);
  }
}

}  // namespace sluice::redis
