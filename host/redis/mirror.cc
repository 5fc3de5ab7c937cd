#include "redis/mirror.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "redis/entries.h"
#include "redis/scripts.h"

namespace sluice::redis {

using stream::CounterState;
using stream::Entry;
using stream::GroupState;
using stream::KeyValue;
using stream::PendingInfo;
using stream::StreamState;
using stream::WindowKind;

namespace {

void add_fields(Commands& commands, stream::FieldsView fields) {
  each_stored(fields, [&commands](std::string_view name, std::string_view value) {
    commands.arg(name);
    commands.arg(value);
  });
}

constexpr std::string_view kScanPiece = "1000";
constexpr std::string_view kPendingPiece = "1000";
constexpr size_t kBytesAtOnce = 1 << 20;  // of commands in one write
constexpr size_t kFoundMax = 5;
constexpr std::string_view kMadeAndGone = "sluice-mirror";  // group of a moment, to make a stream

std::string_view value_of(std::string_view line, std::string_view name) {
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find(' ', at), line.size());
    const std::string_view word = line.substr(at, end - at);
    if (word.starts_with(name) && word.substr(name.size()).starts_with('='))
      return word.substr(name.size() + 1);
    at = end + 1;
  }
  return {};
}

uint64_t count_of(const Reply* reply) {
  return reply == nullptr ? 0 : static_cast<uint64_t>(std::max<int64_t>(reply->integer, 0));
}

EntryId id_of(const Reply* reply) {
  return reply == nullptr ? EntryId{} : reply->id().value_or(EntryId{});
}

int64_t ms_of_time(const Reply& reply) {
  if (reply.items.size() != 2) return 0;
  return to_number(reply.items[0].text) * 1000 + to_number(reply.items[1].text) / 1000;
}

Status no_answer(std::string_view command) {
  return Status(Code::kCorrupt, fmt::format("redis: no answer to {}", command));
}

Status unfinished(std::string_view mark) {
  return Status(Code::kCorrupt, fmt::format("a mirror into it did not finish ({} is set), and what "
                                            "is there is half of a store",
                                            mark));
}

}  // namespace

// --- The server

Result<std::unique_ptr<MirrorServer>> MirrorServer::open(const Servers::Options& options,
                                                         MirrorScope scope, Network& network) {
  if (options.target.mode == Target::Mode::kCluster)
    return Status(Code::kInvalid,
                  "a cluster is no side of a mirror yet, expected one server or the url of a "
                  "sentinel");
  std::unique_ptr<MirrorServer> server(new MirrorServer(options, std::move(scope), network));
  Commands commands;
  add_loads(commands);
  commands.add({"INFO", "server"});
  SLUICE_ASSIGN(replies, server->run(commands));
  const std::string& info = replies.back().text;
  constexpr std::string_view kVersion = "redis_version:";
  const size_t at = info.find(kVersion);
  server->counts_entries_ = at != std::string::npos &&
                            to_number(std::string_view(info).substr(at + kVersion.size())) >= 7;
  return server;
}

Result<std::vector<Reply>> MirrorServer::run(const Commands& commands) {
  SLUICE_ASSIGN(answer, servers_.call({}, commands));
  for (size_t i = 0; i < answer.replies.size(); ++i)
    if (answer.replies[i].is_error()) return error_status(commands.name(i), answer.replies[i].text);
  return std::move(answer.replies);
}

Result<std::optional<WallTime>> MirrorServer::recorded_time() {
  Commands commands;
  commands.add({"GET", names_.clock({})});
  SLUICE_ASSIGN(replies, run(commands));
  if (replies[0].is_nil()) return std::optional<WallTime>();
  return std::optional<WallTime>(from_us(to_number(replies[0].text)));
}

Result<int64_t> MirrorServer::now_ms() {
  if (is_recorded()) return *recorded_us_ / 1000;
  Commands commands;
  commands.add({"TIME"});
  SLUICE_ASSIGN(replies, run(commands));
  return ms_of_time(replies[0]);
}

Result<std::vector<std::string>> MirrorServer::names_with(
    const std::vector<std::string>& prefixes) {
  std::vector<std::string> names;
  for (const std::string& prefix : prefixes) {
    std::string cursor = "0", pattern;
    for (const char c : prefix) {
      if (std::string_view("*?[]\\").find(c) != std::string_view::npos) pattern += '\\';
      pattern += c;
    }
    pattern += '*';
    do {
      Commands commands;
      commands.add({"SCAN", cursor, "MATCH", pattern, "COUNT", kScanPiece});
      SLUICE_ASSIGN(replies, run(commands));
      if (replies[0].items.size() != 2) return no_answer("SCAN");
      cursor = replies[0].items[0].text;
      for (Reply& name : replies[0].items[1].items) names.push_back(std::move(name.text));
    } while (cursor != "0");
  }
  // SCAN may name a key twice.
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// False when this user may not ask who is connected.
Result<bool> MirrorServer::find_host(std::string& who) {
  Commands commands;
  commands.add({"CLIENT", "LIST"});
  SLUICE_ASSIGN(answer, servers_.call({}, commands));
  if (answer.replies[0].is_error()) return false;
  const std::string name = "sluice-" + scope_.pipeline, database = std::to_string(database_);
  std::string_view rest = answer.replies[0].text;
  while (!rest.empty() && who.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    if (value_of(line, "name") == name && value_of(line, "db") == database)
      who = value_of(line, "addr");
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return true;
}

Status MirrorServer::check_unused(milliseconds silent_min, milliseconds silent_own_min) {
  std::string who;
  SLUICE_ASSIGN(knows_hosts, find_host(who));
  if (!who.empty())
    return Status(Code::kConflict,
                  fmt::format("a host runs {} on it, connected from {}; stop every "
                              "host of the pipeline and try again",
                              scope_.pipeline, who));
  for (const std::string& stream : scope_.streams) {
    Commands ask;
    ask.add({"TYPE", stream});
    SLUICE_ASSIGN(type, run(ask));
    if (type[0].text != "stream") continue;
    ask.clear();
    ask.add({"XINFO", "GROUPS", stream});
    SLUICE_ASSIGN(groups, run(ask));
    for (const Reply& group : groups[0].items) {
      const Reply* const name = redis::find(group, "name");
      if (name == nullptr) return no_answer("XINFO GROUPS");
      Commands more;
      more.add({"XINFO", "CONSUMERS", stream, name->text});
      SLUICE_ASSIGN(consumers, run(more));
      for (const Reply& consumer : consumers[0].items) {
        const Reply* const called = redis::find(consumer, "name");
        const Reply* const idle = redis::find(consumer, "idle");
        if (called == nullptr || idle == nullptr) return no_answer("XINFO CONSUMERS");
        const bool own =
            knows_hosts && std::ranges::any_of(scope_.consumers, [&](const auto& ours) {
              return called->text.starts_with(ours + "-");
            });
        if (milliseconds(idle->integer) >= (own ? silent_own_min : silent_min)) continue;
        return Status(Code::kConflict,
                      fmt::format("consumer {} of group {} on {} was active {} ms ago; stop it and "
                                  "try again some seconds later",
                                  called->text, name->text, stream, idle->integer));
      }
    }
  }
  return Status::ok();
}

Status MirrorServer::check_mirrored() {
  for (const std::string& stream : scope_.streams) {
    Commands commands;
    commands.add({"EXISTS", names_.mirror(stream)});
    SLUICE_ASSIGN(replies, run(commands));
    if (replies[0].integer != 0) return unfinished(names_.mirror(stream));
  }
  return Status::ok();
}

Result<std::vector<std::string>> MirrorServer::found() {
  std::vector<std::string> found;
  for (const std::string& stream : scope_.streams) {
    Commands commands;
    commands.add({"TYPE", stream});
    SLUICE_ASSIGN(type, run(commands));
    if (type[0].text == "none") continue;
    if (type[0].text != "stream") {
      found.push_back(fmt::format("{} (a {})", stream, type[0].text));
      continue;
    }
    commands.clear();
    commands.add({"XLEN", stream});
    SLUICE_ASSIGN(length, run(commands));
    found.push_back(fmt::format("stream {} of length {}", stream, length[0].integer));
  }
  SLUICE_ASSIGN(names, names_with(scope_.prefixes));
  for (std::string& name : names) {
    const bool is_stream = std::ranges::find(scope_.streams, name) != scope_.streams.end();
    if (!is_stream && !is_our_key(name) && (scope_.is_key(name) || scope_.is_counter(name)))
      found.push_back("key " + std::move(name));
  }
  if (!is_recorded()) return found;
  Commands commands;
  for (const std::string& key : {names_.clock({}), names_.expiry({})}) {
    commands.clear();
    commands.add({"EXISTS", key});
    SLUICE_ASSIGN(exists, run(commands));
    if (exists[0].integer != 0) found.push_back(key + " of another recorded run");
  }
  return found;
}

std::string MirrorServer::with_host(const std::string& consumer) const {
  return scope_.host.empty() ? consumer : consumer + "-" + scope_.host;
}

std::string MirrorServer::without_host(std::string_view consumer) const {
  if (scope_.host.empty()) return std::string(consumer);
  const std::string ending = "-" + scope_.host;
  if (consumer.size() > ending.size() && consumer.ends_with(ending))
    return std::string(consumer.substr(0, consumer.size() - ending.size()));
  // The longest: one stage may be called like the beginning of another.
  std::string_view best;
  for (const std::string& known : scope_.consumers)
    if (consumer.starts_with(known + "-") && known.size() > best.size()) best = known;
  return std::string(best.empty() ? consumer : best);
}

// --- Reading

Result<std::vector<StreamState>> ServerMirrorReader::streams() {
  std::vector<StreamState> states;
  std::vector<std::string> names = server_.scope_.streams;
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    Commands commands;
    commands.add({"TYPE", name});
    SLUICE_ASSIGN(type, server_.run(commands));
    if (type[0].text == "none") continue;
    if (type[0].text != "stream")
      return Status(Code::kInvalid,
                    fmt::format("{} holds a {} there, expected a stream", name, type[0].text));
    commands.clear();
    commands.add({"XINFO", "STREAM", name});
    commands.add({"XINFO", "GROUPS", name});
    SLUICE_ASSIGN(replies, server_.run(commands));
    StreamState state;
    state.name = name;
    state.length = count_of(find(replies[0], "length"));
    if (const Reply* added = find(replies[0], "entries-added"))
      state.entries_added = count_of(added);
    state.last = id_of(find(replies[0], "last-generated-id"));
    for (const Reply& about : replies[1].items) {
      const Reply* const called = find(about, "name");
      if (called == nullptr) return no_answer("XINFO GROUPS");
      GroupState& group = state.groups.emplace_back();
      group.name = called->text;
      group.last_delivered = id_of(find(about, "last-delivered-id"));
      const Reply* const lag = find(about, "lag");
      if (lag != nullptr && lag->kind == Reply::Kind::kInteger) group.lag = count_of(lag);
    }
    std::ranges::sort(state.groups, {}, &GroupState::name);
    const bool used = state.length > 0 || !state.last.is_zero() || !state.groups.empty();
    if (used) states.push_back(std::move(state));
  }
  return states;
}

Result<std::vector<Entry>> ServerMirrorReader::entries(const std::string& stream, EntryId after,
                                                       size_t count_max) {
  Commands commands;
  commands.add({"XRANGE", stream, "(" + after.text(), "+", "COUNT", std::to_string(count_max)});
  SLUICE_ASSIGN(replies, server_.run(commands));
  std::vector<Entry> entries;
  entries.reserve(replies[0].items.size());
  for (const Reply& item : replies[0].items) {
    auto entry = read_entry(item);
    if (!entry) return no_answer("XRANGE");
    entries.push_back(std::move(*entry));
  }
  return entries;
}

Result<std::vector<PendingInfo>> ServerMirrorReader::pending(const std::string& stream,
                                                             const std::string& group) {
  std::vector<PendingInfo> infos;
  const std::string times = server_.names_.times(stream, group);
  std::string after = "-";
  for (;;) {
    Commands commands;
    commands.add({"XPENDING", stream, group, after, "+", kPendingPiece});
    commands.add({"TIME"});
    SLUICE_ASSIGN(found, server_.run(commands));
    const std::vector<Reply>& items = found[0].items;
    if (items.empty()) return infos;
    const int64_t now = server_.is_recorded() ? *server_.recorded_us_ / 1000 : ms_of_time(found[1]);
    Commands about;
    for (const Reply& item : items) {
      if (item.items.size() != 4) return no_answer("XPENDING");
      about.add({"HGET", times, item.items[0].text});
      about.add({"XRANGE", stream, item.items[0].text, item.items[0].text});
    }
    SLUICE_ASSIGN(known, server_.run(about));
    for (size_t i = 0; i < items.size(); ++i) {
      const auto id = items[i].items[0].id();
      if (!id) return no_answer("XPENDING");
      if (known[2 * i + 1].items.empty()) continue;  // deleted: the next claim acks it
      PendingInfo& info = infos.emplace_back();
      info.id = *id;
      info.consumer = server_.without_host(items[i].items[1].text);
      info.delivery_count = static_cast<uint32_t>(items[i].items[3].integer);
      // "first", or under a recorded clock "first last"; see scripts/claim.lua.
      const std::string_view noted = known[2 * i].text;
      const size_t blank = std::min(noted.find(' '), noted.size());
      int64_t last = server_.is_recorded() ? now : now - items[i].items[2].integer;
      if (server_.is_recorded() && blank < noted.size()) last = to_number(noted.substr(blank + 1));
      info.last_delivered_at = from_ms(last);
      info.first_delivered_at = noted.empty() ? from_ms(last) : from_ms(to_number(noted));
    }
    after = "(" + items.back().items[0].text;
  }
}

Result<std::vector<std::string>> ServerMirrorReader::key_names() {
  const MirrorScope& scope = server_.scope_;
  SLUICE_ASSIGN(names, server_.names_with(scope.prefixes));
  std::erase_if(names, [&](const std::string& name) {
    return is_our_key(name) || !scope.is_key(name) ||
           std::ranges::find(scope.streams, name) != scope.streams.end();
  });
  return names;
}

Result<std::vector<std::optional<KeyValue>>> ServerMirrorReader::values(
    std::span<const std::string> names) {
  std::vector<std::optional<KeyValue>> values;
  values.reserve(names.size());
  if (names.empty()) return values;
  Commands commands;
  const std::string clock = server_.clock_text();
  const Names& own = server_.names_;
  for (const std::string& name : names) {
    if (server_.is_recorded())
      add_script(commands, scripts().get, {name, own.note(name), own.expiry(name)}, {clock, "1"});
    else
      add_script(commands, scripts().get, {name, own.note(name)}, {clock, "1"});
  }
  SLUICE_ASSIGN(replies, server_.run(commands));
  for (const Reply& reply : replies) values.push_back(read_value(reply.items));
  return values;
}

Result<std::vector<CounterState>> ServerMirrorReader::counters() {
  const MirrorScope& scope = server_.scope_;
  // Notes outlive their counters, and tell of windows that are closed.
  std::vector<std::string> prefixes = scope.prefixes;
  for (const std::string& prefix : scope.prefixes)
    prefixes.push_back(std::string(kNotePrefix) + prefix);
  SLUICE_ASSIGN(names, server_.names_with(prefixes));
  for (std::string& name : names)
    if (name.starts_with(kNotePrefix)) name.erase(0, kNotePrefix.size());
  std::erase_if(names, [&](const std::string& name) {
    return is_our_key(name) || !scope.is_counter(name) ||
           std::ranges::find(scope.streams, name) != scope.streams.end();
  });
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());

  std::vector<CounterState> states;
  const std::string clock = server_.clock_text();
  const Names& own = server_.names_;
  for (const std::string& name : names) {
    Commands commands;
    if (server_.is_recorded())
      add_script(commands, scripts().counter_state, {name, own.note(name), own.expiry(name)},
                 {clock});
    else
      add_script(commands, scripts().counter_state, {name, own.note(name)}, {clock});
    SLUICE_ASSIGN(replies, server_.run(commands));
    const std::vector<Reply>& told = replies[0].items;
    if (told.size() < 2) continue;
    const auto number = [&](size_t i) { return to_number(told[i].text); };
    if (told[0].text == "other") {
      if (told[1].text == "string" && scope.is_key(name)) continue;
      return Status(Code::kInvalid,
                    fmt::format("counter {} was made by another program, which says nothing of its "
                                "window; wait until it has expired, or remove it",
                                name));
    }
    CounterState& state = states.emplace_back();
    state.name = name;
    state.window.length = milliseconds(number(1));
    if (told[0].text == "s") {
      state.window.kind = WindowKind::kSliding;
      for (size_t i = 2; i + 1 < told.size(); i += 2)
        state.reservations.push_back({number(i), number(i + 1)});
      continue;
    }
    if (told.size() != 6) return no_answer("a counter");
    state.open = told[2].text == "1";
    state.total = number(3);
    state.started_ms = number(4);
    state.before_ms = number(5);
  }
  return states;
}

// --- Writing

Status ServerMirrorWriter::send(Commands& commands, size_t bytes_min) {
  if (commands.count() == 0 || commands.bytes().size() < bytes_min) return Status::ok();
  const Status sent = server_.run(commands).status();
  commands.clear();
  return sent;
}

Status ServerMirrorWriter::take_name(const std::string& name, std::string_view what) {
  if (is_our_key(name))
    return Status(Code::kInvalid, fmt::format("{} {} has a name of the engine's own", what, name));
  if (names_.insert(name).second) return Status::ok();
  return Status(Code::kInvalid, fmt::format("{} {} is called like a stream or a counter, and in "
                                            "Redis a name is one thing",
                                            what, name));
}

Status ServerMirrorWriter::begin() {
  Commands commands;
  const auto& streams = server_.scope_.streams;
  for (const std::string& stream : streams)
    commands.add({"SET", server_.names_.mirror(stream), "from " + from_, "NX"});
  SLUICE_ASSIGN(replies, server_.run(commands));
  Commands unmark;
  std::string marked;
  for (size_t i = 0; i < streams.size(); ++i) {
    const std::string mark = server_.names_.mirror(streams[i]);
    if (replies[i].is_nil())
      marked = mark;
    else
      unmark.add({"DEL", mark});
  }
  // The mark first: a host that starts now is refused, and what it left before is found.
  auto found = server_.found();
  if (marked.empty() && found.is_ok() && found->empty()) return Status::ok();
  SLUICE_TRY(send(unmark, 0));
  if (!marked.empty()) return unfinished(marked);
  SLUICE_TRY(found.status());
  const size_t shown = std::min(found->size(), kFoundMax);
  return Status(
      Code::kConflict,
      fmt::format(
          "it is not empty under the names of the pipeline: {}{}",
          fmt::join(found->begin(), found->begin() + static_cast<std::ptrdiff_t>(shown), ", "),
          found->size() > shown ? fmt::format(" and {} more", found->size() - shown)
                                : std::string()));
}

Status ServerMirrorWriter::append(const std::string& stream, std::span<const Entry> entries) {
  Commands commands;
  for (const Entry& entry : entries) {
    commands.begin(3 + 2 * stored_count(entry.fields.view()));
    commands.arg("XADD");
    commands.arg(stream);
    commands.arg(entry.id);
    add_fields(commands, entry.fields.view());
    SLUICE_TRY(send(commands, kBytesAtOnce));
  }
  return send(commands, 0);
}

Status ServerMirrorWriter::end_stream(const StreamState& stream) {
  SLUICE_TRY(take_name(stream.name, "stream"));
  Commands commands;
  if (stream.length == 0) {
    commands.add({"XGROUP", "CREATE", stream.name, kMadeAndGone, "0", "MKSTREAM"});
    commands.add({"XGROUP", "DESTROY", stream.name, kMadeAndGone});
  }
  const std::string last = stream.last.text();
  if (server_.counts_entries_ && stream.entries_added)
    commands.add({"XSETID", stream.name, last, "ENTRIESADDED",
                  std::to_string(std::max(*stream.entries_added, stream.length))});
  else
    commands.add({"XSETID", stream.name, last});
  return send(commands, 0);
}

Status ServerMirrorWriter::add_group(const StreamState& stream, const GroupState& group,
                                     std::span<const PendingInfo> pending) {
  Commands commands;
  const std::string last = group.last_delivered.text();
  if (server_.counts_entries_) {
    const uint64_t added = std::max(stream.entries_added.value_or(0), stream.length);
    commands.add({"XGROUP", "CREATE", stream.name, group.name, last, "ENTRIESREAD",
                  std::to_string(added - group.lag.value_or(0))});
  } else {
    commands.add({"XGROUP", "CREATE", stream.name, group.name, last});
  }
  const std::string times = server_.names_.times(stream.name, group.name);
  for (const PendingInfo& info : pending) {
    const std::string id = info.id.text();
    const std::string first_ms = std::to_string(to_ms(info.first_delivered_at));
    const std::string last_ms = std::to_string(to_ms(info.last_delivered_at));
    commands.add({"XCLAIM", stream.name, group.name, server_.with_host(info.consumer), "0", id,
                  "TIME", last_ms, "RETRYCOUNT", std::to_string(info.delivery_count), "FORCE",
                  "JUSTID"});
    if (server_.is_recorded())
      commands.add({"HSET", times, id, first_ms + " " + last_ms});
    else if (first_ms != last_ms)
      commands.add({"HSET", times, id, first_ms});
    SLUICE_TRY(send(commands, kBytesAtOnce));
  }
  return send(commands, 0);
}

void ServerMirrorWriter::set_deadline(Commands& commands, std::string_view key,
                                      int64_t deadline_ms) const {
  if (deadline_ms == 0) return;
  const std::string deadline = std::to_string(deadline_ms);
  if (server_.is_recorded())
    commands.add({"ZADD", server_.names_.expiry(key), deadline, key});
  else
    commands.add({"PEXPIREAT", key, deadline});
}

void ServerMirrorWriter::set_text(Commands& commands, std::string_view key, std::string_view text,
                                  int64_t deadline_ms) const {
  if (deadline_ms == 0 || server_.is_recorded())
    commands.add({"SET", key, text});
  else
    commands.add({"SET", key, text, "PXAT", std::to_string(deadline_ms)});
  if (server_.is_recorded()) set_deadline(commands, key, deadline_ms);
}

Status ServerMirrorWriter::add_counters(std::span<const CounterState> counters) {
  Commands commands;
  for (const CounterState& counter : counters) {
    SLUICE_TRY(take_name(counter.name, "counter"));
    const std::string note = server_.names_.note(counter.name);
    const int64_t length = counter.window.length.count();
    const auto until = [&](int64_t start, int64_t life) { return length > 0 ? start + life : 0; };
    if (counter.window.kind == WindowKind::kFixed) {
      if (counter.open)
        set_text(commands, counter.name, std::to_string(counter.total),
                 until(counter.started_ms, length));
      set_text(commands, note,
               fmt::format("f {} {} {}", length, counter.started_ms, counter.before_ms),
               until(counter.started_ms, 2 * length));
    } else {
      for (const CounterState::Reservation& made : counter.reservations)
        commands.add({"ZADD", counter.name, std::to_string(made.made_ms),
                      fmt::format("{}:{}", made.made_ms, made.amount)});
      const int64_t newest = counter.reservations.back().made_ms;
      set_deadline(commands, counter.name, until(newest, length));
      set_text(commands, note, fmt::format("s {} {} 0", length, newest), until(newest, length));
    }
    SLUICE_TRY(send(commands, kBytesAtOnce));
  }
  return send(commands, 0);
}

Status ServerMirrorWriter::put(std::span<const std::pair<std::string, KeyValue>> keys) {
  Commands commands;
  for (const auto& [name, value] : keys) {
    if (is_our_key(name) || names_.contains(name)) return take_name(name, "key");
    if (value.is_fields) {
      commands.begin(2 + 2 * stored_count(value.fields()));
      commands.arg("HSET");
      commands.arg(name);
      add_fields(commands, value.fields());
      set_deadline(commands, name, value.expires_ms);
    } else {
      set_text(commands, name, value.bytes, value.expires_ms);
    }
    SLUICE_TRY(send(commands, kBytesAtOnce));
  }
  return send(commands, 0);
}

Status ServerMirrorWriter::flush() {
  if (!server_.is_recorded()) return Status::ok();
  Commands commands;
  commands.add({"SET", server_.names_.clock({}), server_.clock_text()});
  return send(commands, 0);
}

Status ServerMirrorWriter::finish() {
  Commands commands;
  commands.begin(1 + server_.scope_.streams.size());
  commands.arg("DEL");
  for (const std::string& stream : server_.scope_.streams)
    commands.arg(server_.names_.mirror(stream));
  return send(commands, 0);
}

}  // namespace sluice::redis
