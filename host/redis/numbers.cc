// How much there is: lengths, lags and what is pending.

#include <algorithm>

#include "redis/entries.h"
#include "redis/redis_store.h"

namespace sluice::redis {

using stream::GroupInfo;
using stream::StreamInfo;

namespace {

constexpr std::string_view kLagMost = "10000";  // counted one by one; more is said to be that many

uint64_t count_of(const Reply* reply) {
  return reply == nullptr ? 0 : static_cast<uint64_t>(std::max<int64_t>(reply->integer, 0));
}

EntryId id_of(const Reply* reply) {
  return reply == nullptr ? EntryId{} : reply->id().value_or(EntryId{});
}

// The id of the first entry in a list of them, as text in XINFO or as [id, fields].
std::optional<EntryId> first_of(const Reply* entry) {
  if (entry == nullptr || entry->items.empty()) return std::nullopt;
  return entry->items[0].id();
}

}  // namespace

// Redis 7 counts, unless the stream has gaps. It counts trimmed entries as well, and more than
// what is there cannot come.
Result<uint64_t> RedisStore::lag_of(const OpenStream& stream, const Reply& about,
                                    uint64_t length) const {
  const Reply* const lag = find(about, "lag");
  if (lag != nullptr && lag->kind == Reply::Kind::kInteger)
    return std::min<uint64_t>(count_of(lag), length);
  Commands commands;
  add_script(commands, scripts().lag, {stream.name},
             {clock_text(), id_of(find(about, "last-delivered-id")).text(), kLagMost});
  SLUICE_ASSIGN(reply, ask("XRANGE", stream.name, commands));
  return count_of(&reply);
}

// What is to come and what is there: the rest was trimmed. Some servers count trimmed entries into
// the lag, others know how many a group read of all that were ever added.
Result<std::vector<Loss>> RedisStore::losses_of(const OpenStream& stream) const {
  Commands commands;
  commands.add({"XINFO", "STREAM", stream.name});
  commands.add({"XINFO", "GROUPS", stream.name});
  SLUICE_ASSIGN(answer, call(stream.name, commands));
  for (const Reply& reply : answer.replies) {
    if (reply.is_error()) return error_status("XINFO", reply.text);
  }
  const auto number = [](const Reply& about, std::string_view name) -> std::optional<int64_t> {
    const Reply* const reply = find(about, name);
    if (reply == nullptr || reply->kind != Reply::Kind::kInteger) return std::nullopt;
    return reply->integer;
  };
  const auto length = number(answer.replies[0], "length");
  const auto added = number(answer.replies[0], "entries-added");
  std::vector<Loss> losses;
  for (const Reply& about : answer.replies[1].items) {
    const Reply* const name = find(about, "name");
    if (name == nullptr || !length) continue;
    const auto lag = number(about, "lag"), read = number(about, "entries-read");
    const int64_t gone =
        std::max(lag ? *lag - *length : 0, added && read ? *added - *length - *read : 0);
    if (gone > 0) losses.push_back({stream.name, name->text, static_cast<uint64_t>(gone)});
  }
  return losses;
}

Result<std::vector<Loss>> RedisStore::losses() const {
  std::vector<Loss> all;
  for (const OpenStream* stream : handles_.streams()) {
    SLUICE_ASSIGN(losses, losses_of(*stream));
    all.insert(all.end(), losses.begin(), losses.end());
  }
  return all;
}

Result<GroupNumbers> RedisStore::ask_numbers(const OpenGroup& group) const {
  const OpenStream& stream = *group.stream;
  GroupNumbers numbers;
  Commands commands;
  commands.add({"XLEN", stream.name});
  commands.add({"XINFO", "GROUPS", stream.name});
  SLUICE_ASSIGN(answer, call(stream.name, commands));
  for (const Reply& reply : answer.replies) {
    if (reply.is_error()) return error_status("XINFO GROUPS", reply.text);
  }
  numbers.length = count_of(&answer.replies[0]);
  for (const Reply& about : answer.replies[1].items) {
    const Reply* const name = find(about, "name");
    if (name == nullptr || name->text != group.name) continue;
    numbers.pending = count_of(find(about, "pending"));
    SLUICE_ASSIGN(lag, lag_of(stream, about, numbers.length));
    numbers.lag = lag;
  }
  numbers.asked = std::chrono::steady_clock::now();
  return numbers;
}

Result<GroupNumbers> RedisStore::numbers(OpenGroup& group) const {
  {
    std::lock_guard lock(group.mutex);
    const auto age = std::chrono::steady_clock::now() - group.numbers.asked;
    if (group.numbers.asked != SteadyTime{} && age < options_.numbers_age_max) return group.numbers;
  }
  SLUICE_ASSIGN(fresh, ask_numbers(group));
  std::lock_guard lock(group.mutex);
  group.numbers = fresh;
  // What the server delivered and nobody has asked for yet is still to come.
  for (const auto& [name, consumer] : group.consumers) {
    group.numbers.lag += consumer.surplus.size();
    group.numbers.pending -= std::min<uint64_t>(group.numbers.pending, consumer.surplus.size());
  }
  return group.numbers;
}

uint64_t RedisStore::lag(GroupId id) const {
  OpenGroup* const group = handles_.group(id);
  if (group == nullptr) return 0;
  const auto now = numbers(*group);
  if (now.is_ok()) return now->lag;
  // As it was known last: a bound that cannot be asked for keeps what it held.
  std::lock_guard lock(group->mutex);
  return group->numbers.lag;
}

uint64_t RedisStore::pending(GroupId id) const {
  OpenGroup* const group = handles_.group(id);
  if (group == nullptr) return 0;
  const auto now = numbers(*group);
  if (now.is_ok()) return now->pending;
  std::lock_guard lock(group->mutex);
  return group->numbers.pending;
}

uint64_t RedisStore::length(StreamId id) const {
  const OpenStream* const stream = handles_.stream(id);
  if (stream == nullptr) return 0;
  Commands commands;
  commands.add({"XLEN", stream->name});
  const auto reply = ask("XLEN", stream->name, commands);
  return reply.is_ok() ? count_of(&*reply) : 0;
}

std::vector<StreamInfo> RedisStore::streams() const {
  std::vector<StreamInfo> infos;
  for (const OpenStream* stream : handles_.streams()) {
    StreamInfo& info = infos.emplace_back();
    info.name = stream->name;
    info.id = stream->id;
    info.keep = handles_.options(*stream).keep;
    Commands commands;
    commands.add({"XINFO", "STREAM", stream->name});
    commands.add({"XINFO", "GROUPS", stream->name});
    const auto answer = call(stream->name, commands);
    if (!answer.is_ok() || answer->replies[0].is_error()) continue;
    const Reply& about = answer->replies[0];
    info.length = count_of(find(about, "length"));
    const Reply* const added = find(about, "entries-added");
    info.entries_added = added == nullptr ? info.length : count_of(added);
    info.first = first_of(find(about, "first-entry")).value_or(EntryId{});
    info.last = id_of(find(about, "last-generated-id"));
    for (const Reply& of : answer->replies[1].items) {
      if (const Reply* name = find(of, "name"); name != nullptr)
        info.groups.push_back(describe_group(*stream, of, info.length));
    }
  }
  return infos;
}

GroupInfo RedisStore::describe_group(const OpenStream& stream, const Reply& about,
                                     uint64_t length) const {
  GroupInfo info;
  info.name = find(about, "name")->text;
  const OpenGroup* const known = handles_.group(stream, info.name);
  info.id = known == nullptr ? 0 : known->id;
  info.pending = count_of(find(about, "pending"));
  info.last_delivered = id_of(find(about, "last-delivered-id"));
  if (const auto lag = lag_of(stream, about, length); lag.is_ok()) info.lag = *lag;
  Commands commands;
  commands.add({"XPENDING", stream.name, info.name});
  commands.add({"XRANGE", stream.name, "(" + info.last_delivered.text(), "+", "COUNT", "1"});
  const auto answer = call(stream.name, commands);
  if (!answer.is_ok()) return info;
  std::optional<EntryId> oldest;
  if (const Reply& pending = answer->replies[0]; info.pending > 0 && pending.items.size() == 4)
    oldest = pending.items[1].id();
  if (const Reply& next = answer->replies[1]; !oldest && next.items.size() == 1)
    oldest = first_of(&next.items[0]);
  if (oldest) info.oldest = time_of(static_cast<int64_t>(oldest->ms));
  return info;
}

}  // namespace sluice::redis
