#include "redis/tracking.h"

#include "base/log.h"
#include "redis/errors.h"

namespace sluice::redis {

namespace {

constexpr milliseconds kPollWhenDown{100};  // what others write is seen that much later
constexpr milliseconds kLookAfterOther{100};
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

}  // namespace sluice::redis
