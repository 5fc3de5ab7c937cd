#include "redis/redis_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "redis/cluster.h"
#include "redis/entries.h"
#include "redis/names.h"

namespace sluice::redis {

using stream::Entry;
using stream::KeyValue;

namespace {

constexpr size_t kScanPiece = 500;
constexpr milliseconds kSettleMax{10'000};

// A prefix as a pattern of SCAN.
std::string pattern_of(std::string_view prefix) {
  std::string pattern;
  for (const char c : prefix) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern + "*";
}

// Keys are watched by what they begin with, up to the last colon: one permit after the other has
// the same beginning, and the server is asked once.
std::string_view beginning_of(std::string_view key) {
  const size_t colon = key.rfind(':');
  return colon == std::string_view::npos ? key : key.substr(0, colon + 1);
}

}  // namespace

// --- Opening

RedisStore::RedisStore(const Options& options, Network& network, const Clock& clock)
    : options_(options),
      clock_(clock),
      names_(options.servers.target.mode == Target::Mode::kCluster),
      servers_(options.servers, network) {
  token_start_ = fmt::format("{:016x}{:08x}-", system_seed(), static_cast<uint32_t>(getpid()));
}

Result<std::unique_ptr<RedisStore>> RedisStore::open(const Options& options, Network& network,
                                                     const Clock& clock) {
  std::unique_ptr<RedisStore> store(new RedisStore(options, network, clock));
  SLUICE_TRY(store->start());
  return store;
}

Status RedisStore::start() {
  if (!options_.look) {
    Commands commands;
    const std::string guard = names_.guard({});
    add_script(commands, scripts().probe, {guard}, {});
    SLUICE_TRY(ask("the rights of a pipeline", guard, commands).status());
  }
  if (options_.recorded) {
    // One, or one in each slot of a cluster that somebody committed in.
    SLUICE_ASSIGN(clocks, names_with(kClockKey));
    for (const std::string& clock : clocks) {
      Commands get;
      get.add({"GET", clock});
      SLUICE_ASSIGN(time, ask("GET", clock, get));
      commit_us_ = std::max(commit_us_.load(), to_number(time.text));
    }
  }
  if (!options_.tracking) return Status::ok();
  tracking_ = std::make_unique<TrackingOfAll>(
      servers_, names_.is_cluster(), [this](std::string_view key) { changed_by_others(key); },
      [this] { everything_changed(); });
  tracking_->cover(kSettlePrefix);
  return Status::ok();
}

RedisStore::~RedisStore() {
  // Its thread may be waiting for a server that is down.
  servers_.close();
  tracking_.reset();
}

// --- Calls

std::string RedisStore::clock_text() const {
  return options_.recorded ? std::to_string(std::max<int64_t>(to_us(clock_.now()), 0))
                           : std::string();
}

Status RedisStore::load_scripts(std::string_view key) const {
  Commands commands;
  add_loads(commands);
  SLUICE_ASSIGN(answer, servers_.call(key, commands));
  for (const Reply& reply : answer.replies) {
    if (reply.is_error()) return error_status("SCRIPT LOAD", reply.text);
  }
  return Status::ok();
}

// Where a slot is going to is asked before it has the slot.
Status RedisStore::load_scripts_everywhere() const {
  Commands commands;
  add_loads(commands);
  SLUICE_ASSIGN(masters, servers_.masters());
  for (const Endpoint& master : masters) SLUICE_TRY(servers_.call_at(master, commands).status());
  return Status::ok();
}

Result<RedisStore::Answer> RedisStore::call(std::string_view key, const Commands& commands) const {
  bool repeated = false;
  // Twice: somebody may flush the scripts right behind us, and then again.
  for (int tries = 0;; ++tries) {
    SLUICE_ASSIGN(answer, servers_.call(key, commands));
    answer.repeated |= repeated;
    const bool unknown =
        std::any_of(answer.replies.begin(), answer.replies.end(), [](const Reply& reply) {
          return reply.is_error() && class_of(reply.text) == ErrorClass::kNoScript;
        });
    if (!unknown || tries == 3) return answer;
    repeated = answer.repeated;
    const bool everywhere = names_.is_cluster() && tries > 0;
    SLUICE_TRY(everywhere ? load_scripts_everywhere() : load_scripts(key));
  }
}

Result<Reply> RedisStore::ask(std::string_view what, std::string_view key,
                              const Commands& commands) const {
  SLUICE_ASSIGN(answer, call(key, commands));
  Reply& reply = answer.replies.front();
  if (reply.is_error()) return error_status(what, reply.text);
  return std::move(reply);
}

// --- Streams and groups

Result<StreamId> RedisStore::open_stream(std::string_view name,
                                         const stream::StreamOptions& options) {
  if (name.empty()) return Status(Code::kInvalid, "a stream needs a name");
  if (is_our_key(name))
    return Status(Code::kInvalid, fmt::format("{} is a name of the engine's own", name));
  Commands commands;
  commands.add({"TYPE", name});
  commands.add({"EXISTS", names_.mirror(name)});
  SLUICE_ASSIGN(answer, call(name, commands));
  const Reply& type = answer.replies.front();
  if (type.is_error()) return error_status("TYPE", type.text);
  if (answer.replies[1].integer != 0)
    return Status(Code::kCorrupt,
                  fmt::format("a mirror into {} did not finish, and what is there is half of a "
                              "store ({} is set); remove it and mirror again",
                              name, names_.mirror(name)));
  if (type.text != "none" && type.text != "stream")
    return Status(Code::kInvalid,
                  fmt::format("{} holds a {} there, expected a stream", name, type.text));
  if (type.text == "stream") SLUICE_TRY(check_room(name));
  OpenStream& stream = handles_.open_stream(name);
  handles_.set_options(stream, options);
  touch(stream, 1);
  return stream.id;
}

// A last id that no clock gave leaves no room behind: an append would fail.
Status RedisStore::check_room(std::string_view name) const {
  constexpr uint64_t kIdMax = 999'999'999'999'999;  // as in scripts/commit.lua
  Commands commands;
  commands.add({"XINFO", "STREAM", name});
  SLUICE_ASSIGN(about, ask("XINFO STREAM", name, commands));
  const Reply* const last = find(about, "last-generated-id");
  const auto id = last == nullptr ? std::nullopt : last->id();
  if (!id || id->ms > kIdMax || id->seq > kIdMax)
    return Status(Code::kInvalid, fmt::format("{} has no room for ids behind {}", name,
                                              last == nullptr ? "its last" : last->text));
  return Status::ok();
}

StreamId RedisStore::find_stream(std::string_view name) const {
  if (const OpenStream* known = handles_.stream(name)) return known->id;
  Commands commands;
  commands.add({"TYPE", name});
  const auto answer = call(name, commands);
  if (!answer || answer->replies[0].text != "stream") return 0;
  return handles_.open_stream(name).id;
}

Status RedisStore::create_group(const OpenStream& stream, std::string_view name,
                                std::string_view from) {
  Commands commands;
  commands.add({"XGROUP", "CREATE", stream.name, name, from, "MKSTREAM"});
  SLUICE_ASSIGN(answer, call(stream.name, commands));
  const Reply& reply = answer.replies.front();
  if (reply.is_error() && !reply.text.starts_with("BUSYGROUP"))
    return error_status("XGROUP CREATE", reply.text);
  return Status::ok();
}

Status RedisStore::find_group(const OpenStream& stream, std::string_view name) const {
  Commands commands;
  commands.add({"XINFO", "GROUPS", stream.name});
  SLUICE_ASSIGN(groups, ask("XINFO GROUPS", stream.name, commands));
  for (const Reply& about : groups.items) {
    if (const Reply* known = find(about, "name"); known != nullptr && known->text == name)
      return Status::ok();
  }
  return {Code::kNotFound, fmt::format("{} has no group {}", stream.name, name)};
}

Result<GroupId> RedisStore::open_group(StreamId stream_id, std::string_view name,
                                       stream::GroupStart start) {
  OpenStream* const stream = handles_.stream(stream_id);
  if (stream == nullptr)
    return Status(Code::kInvalid, fmt::format("stream {} is not open", stream_id));
  if (name.empty()) return Status(Code::kInvalid, "a group needs a name");
  if (const OpenGroup* known = handles_.group(*stream, name)) return known->id;
  if (options_.look)
    SLUICE_TRY(find_group(*stream, name));
  else
    SLUICE_TRY(create_group(*stream, name, start == stream::GroupStart::kEnd ? "$" : "0"));
  OpenGroup& group = handles_.open_group(*stream, name);
  if (tracking_) tracking_->cover(stream->name);
  SLUICE_TRY(count_lost(group));
  return group.id;
}

// Makes the group anew that somebody removed, with its stream perhaps.
Status RedisStore::mend(const OpenGroup& group) {
  log::error("redis: group {} of {} is gone; made anew, at the beginning of what is there",
             group.name, group.stream->name);
  return create_group(*group.stream, group.name, "0");
}

Status RedisStore::count_lost(const OpenGroup& group) {
  if (handles_.options(*group.stream).trim_hard) return Status::ok();
  SLUICE_ASSIGN(losses, losses_of(*group.stream));
  for (const Loss& loss : losses) {
    if (loss.group != group.name) continue;
    log::error("redis: {} entries of {} were trimmed before group {} read them", loss.entries,
               loss.stream, loss.group);
    lost_ += loss.entries;
  }
  return Status::ok();
}

// --- Keys

Result<std::optional<KeyValue>> RedisStore::get(std::string_view key) const {
  Commands commands;
  const std::string clock = clock_text();
  if (options_.recorded)
    add_script(commands, scripts().get, {key, names_.guard(key), names_.expiry(key)}, {clock, ""});
  else
    add_script(commands, scripts().get, {key}, {clock, ""});
  SLUICE_ASSIGN(reply, ask("the look at a key", key, commands));
  return read_value(reply.items);
}

Result<int64_t> RedisStore::counter(std::string_view counter) const {
  Commands commands;
  const std::string note = names_.note(counter), clock = clock_text();
  if (options_.recorded)
    add_script(commands, scripts().counter, {counter, note, names_.expiry(counter)}, {clock});
  else
    add_script(commands, scripts().counter, {counter, note}, {clock});
  SLUICE_ASSIGN(reply, ask("the look at a counter", counter, commands));
  return to_number(reply.text);
}

Result<std::vector<std::string>> RedisStore::names_with(std::string_view prefix) const {
  std::vector<std::string> names;
  const std::string pattern = pattern_of(prefix), piece = std::to_string(kScanPiece);
  SLUICE_ASSIGN(masters, servers_.masters());
  for (const Endpoint& master : masters) {
    std::string cursor = "0";
    do {
      Commands commands;
      commands.add({"SCAN", cursor, "MATCH", pattern, "COUNT", piece});
      SLUICE_ASSIGN(answer, servers_.call_at(master, commands));
      Reply& reply = answer.replies.front();
      if (reply.is_error()) return error_status("SCAN", reply.text);
      if (reply.items.size() != 2) return Status(Code::kCorrupt, "redis: no answer to SCAN");
      cursor = reply.items[0].text;
      for (Reply& name : reply.items[1].items) names.push_back(std::move(name.text));
    } while (cursor != "0");
  }
  // SCAN may name a key twice, and two nodes do while its slot moves.
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Status RedisStore::scan(
    std::string_view prefix,
    const std::function<bool(std::string_view key, const KeyValue&)>& visit) const {
  SLUICE_ASSIGN(keys, names_with(prefix));
  std::erase_if(keys, is_our_key);
  const std::string clock = clock_text();
  for (const std::string& key : keys) {
    Commands commands;
    if (options_.recorded)
      add_script(commands, scripts().get, {key, names_.note(key), names_.expiry(key)},
                 {clock, "1"});
    else
      add_script(commands, scripts().get, {key, names_.note(key)}, {clock, "1"});
    SLUICE_ASSIGN(reply, ask("the look at a key", key, commands));
    const auto value = read_value(reply.items);
    if (value && !visit(key, *value)) break;
  }
  return Status::ok();
}

// --- Being told

void RedisStore::set_listener(stream::Listener* listener) {
  std::lock_guard lock(listener_mutex_);
  listener_ = listener;
}

void RedisStore::watch(std::string_view key) {
  {
    std::lock_guard lock(watch_mutex_);
    const auto it = watched_.find(key);
    if (it != watched_.end())
      ++it->second;
    else
      watched_.emplace(key, 1);
    watches_ = true;
  }
  // The caller looks at the key next: what changes from then on must be told.
  if (tracking_) tracking_->cover(beginning_of(key));
}

void RedisStore::unwatch(std::string_view key) {
  std::lock_guard lock(watch_mutex_);
  const auto it = watched_.find(key);
  if (it != watched_.end() && --it->second == 0) watched_.erase(it);
  watches_ = !watched_.empty();
}

void RedisStore::changed_by_others(std::string_view key) {
  if (key.starts_with(kSettlePrefix)) {
    std::lock_guard lock(settle_mutex_);
    settle_seen_ = key;
    settle_told_.notify_all();
    return;
  }
  bool appended = false;
  const OpenStream* const stream = handles_.stream(key);
  if (stream != nullptr) {
    // Groups that have more to read come by themselves.
    for (OpenGroup* group : handles_.groups(*stream)) appended |= group->hungry.exchange(false);
  }
  bool watched = false;
  if (watches_) {
    std::lock_guard lock(watch_mutex_);
    watched = watched_.contains(key);
  }
  if (!appended && !watched) return;
  std::lock_guard lock(listener_mutex_);
  stream::Listener* const listener = listener_;
  if (listener == nullptr) return;
  if (appended) listener->stream_appended(stream->id);
  if (watched) listener->key_changed(key);
}

void RedisStore::everything_changed() {
  std::vector<std::string> keys;
  {
    std::lock_guard lock(watch_mutex_);
    for (const auto& [key, count] : watched_) keys.push_back(key);
  }
  std::lock_guard lock(listener_mutex_);
  stream::Listener* const listener = listener_;
  if (listener == nullptr) return;
  for (const OpenStream* stream : handles_.streams()) {
    bool hungry = false;
    for (const OpenGroup* group : handles_.groups(*stream)) hungry |= group->hungry;
    if (hungry) listener->stream_appended(stream->id);
  }
  for (const std::string& key : keys) listener->key_changed(key);
}

Status RedisStore::settle() {
  for (OpenStream* stream : handles_.streams()) {
    if (stream->touched.exchange(0) > 0) SLUICE_TRY(trim(*stream));
  }
  if (!tracking_) return Status::ok();
  SLUICE_ASSIGN(masters, servers_.masters());
  for (const Endpoint& master : masters) SLUICE_TRY(settle(master));
  return Status::ok();
}

// A server tells in the order of changes: when it tells of this one, it told of all before.
Status RedisStore::settle(const Endpoint& master) {
  const auto end = std::chrono::steady_clock::now() + kSettleMax;
  while (std::chrono::steady_clock::now() < end) {
    const std::string token = new_token();
    std::string key = names_.settle({}, token);
    for (uint16_t slot = 1; names_.is_cluster() && slot < kSlots; ++slot) {
      const auto at = servers_.server_of(key);
      if (at.is_ok() && *at == master) break;
      key = names_.settle(slot_tag(slot), token);
    }
    Commands commands;
    commands.add({"SET", key, "", "PX", "10000"});
    SLUICE_TRY(ask("SET", key, commands).status());
    std::unique_lock lock(settle_mutex_);
    if (settle_told_.wait_for(lock, milliseconds(200), [&] { return settle_seen_ == key; }))
      return Status::ok();
  }
  return Status(Code::kUnavailable, "redis: is not told of changes");
}

WallTime RedisStore::last_commit_time() const { return from_us(commit_us_); }

// --- Looking in

Result<std::vector<Entry>> RedisStore::range(StreamId stream_id, EntryId after,
                                             size_t count_max) const {
  const OpenStream* const stream = handles_.stream(stream_id);
  if (stream == nullptr)
    return Status(Code::kInvalid, fmt::format("stream {} is not open", stream_id));
  Commands commands;
  commands.add({"XRANGE", stream->name, "(" + after.text(), "+", "COUNT",
                std::to_string(std::min<size_t>(count_max, INT32_MAX))});
  SLUICE_ASSIGN(reply, ask("XRANGE", stream->name, commands));
  std::vector<Entry> entries;
  entries.reserve(reply.items.size());
  for (const Reply& item : reply.items) {
    if (auto entry = read_entry(item)) entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<std::vector<stream::PendingInfo>> RedisStore::pending_entries(GroupId id,
                                                                     size_t count_max) const {
  const OpenGroup* const group = handles_.group(id);
  if (group == nullptr) return Status(Code::kInvalid, fmt::format("group {} is not open", id));
  Commands commands;
  add_script(commands, scripts().pending, {group->stream->name, group->times},
             {clock_text(), group->name, std::to_string(std::min<size_t>(count_max, INT32_MAX))});
  SLUICE_ASSIGN(reply, ask("XPENDING", group->stream->name, commands));
  std::vector<stream::PendingInfo> infos;
  for (const Reply& item : reply.items) {
    if (item.items.size() != 5) return Status(Code::kCorrupt, "redis: no answer to XPENDING");
    const auto entry = item.items[0].id();
    if (!entry) continue;
    infos.push_back({*entry, item.items[1].text, static_cast<uint32_t>(item.items[2].integer),
                     time_of(to_number(item.items[3].text)),
                     time_of(to_number(item.items[4].text))});
  }
  return infos;
}

}  // namespace sluice::redis
