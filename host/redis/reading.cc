// Delivering entries to consumers.
//
// A reply that is cut off may have delivered entries that nobody here has seen: they are pending
// for our consumer and the server will not deliver them again. Since it delivers in ascending
// order, these are the consumer's pending entries behind the newest that was handed out; they are
// claimed before anything else is read.

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "redis/entries.h"
#include "redis/redis_store.h"

namespace sluice::redis {

using stream::Delivery;
using stream::ReadRequest;

namespace {

std::string count_text(size_t count) {
  constexpr size_t kReadMax = 100'000;  // of one read, whatever is asked for
  return std::to_string(std::clamp<size_t>(count, 1, kReadMax));
}

// What TIME answers: seconds, and microseconds behind them.
std::optional<WallTime> server_time(const Reply& reply) {
  constexpr int64_t kSecondsMost = 1'000'000'000'000;  // far beyond what a time may be
  if (reply.items.size() != 2) return std::nullopt;
  const int64_t seconds = std::clamp<int64_t>(to_number(reply.items[0].text), 0, kSecondsMost);
  return time_of(seconds * 1000 + to_number(reply.items[1].text) % 1'000'000 / 1000);
}

// How many of `deliveries` a request takes: not more than it asks for, and at least one.
template <typename Deliveries>
size_t fitting(const Deliveries& deliveries, const ReadRequest& request) {
  size_t bytes = 0, count = 0;
  for (const Delivery& delivery : deliveries) {
    bytes += bytes_of(delivery.entry);
    if (count >= request.count_max || (count > 0 && bytes > request.bytes_max)) break;
    ++count;
  }
  return count;
}

}  // namespace

std::string RedisStore::consumer_name(std::string_view name) const {
  return options_.consumer.empty() ? std::string(name)
                                   : fmt::format("{}-{}", name, options_.consumer);
}

Result<OpenGroup*> RedisStore::group_of(const ReadRequest& request) const {
  OpenGroup* const group = handles_.group(request.group);
  if (group == nullptr)
    return Status(Code::kInvalid, fmt::format("group {} is not open", request.group));
  return group;
}

void RedisStore::add_read(Commands& commands, const OpenGroup& group, std::string_view consumer,
                          size_t count) const {
  const std::string& stream = group.stream->name;
  const std::string most = count_text(count);
  if (options_.recorded)
    add_script(commands, scripts().read, {stream, group.times},
               {clock_text(), group.name, consumer, most});
  else
    commands.add(
        {"XREADGROUP", "GROUP", group.name, consumer, "COUNT", most, "STREAMS", stream, ">"});
}

std::vector<Delivery> RedisStore::take_surplus(OpenGroup& group, const std::string& consumer,
                                               const ReadRequest& request) {
  std::lock_guard lock(group.mutex);
  auto& surplus = group.consumers[consumer].surplus;
  const auto end = surplus.begin() + static_cast<std::ptrdiff_t>(fitting(surplus, request));
  std::vector<Delivery> taken(std::make_move_iterator(surplus.begin()),
                              std::make_move_iterator(end));
  surplus.erase(surplus.begin(), end);
  return taken;
}

// Notes what the consumer gets, and keeps what is more than it asked for.
std::vector<Delivery> RedisStore::hand_out(OpenGroup& group, const std::string& consumer,
                                           const ReadRequest& request,
                                           std::vector<Delivery> deliveries) {
  if (deliveries.empty()) return deliveries;
  group.hungry = false;
  // What an earlier read brought and was not asked for comes first.
  if (has_surplus(group, consumer)) {
    keep(group, consumer, deliveries, 0);
    return take_surplus(group, consumer, request);
  }
  keep(group, consumer, deliveries, fitting(deliveries, request));
  return deliveries;
}

// Notes `deliveries` as the consumer's, and moves those from `first` on to what it reads next.
void RedisStore::keep(OpenGroup& group, const std::string& consumer,
                      std::vector<Delivery>& deliveries, size_t first) {
  if (deliveries.empty()) return;
  std::lock_guard lock(group.mutex);
  Consumer& of = group.consumers[consumer];
  of.handed = std::max(of.handed, deliveries.back().entry.id);
  of.surplus.insert(
      of.surplus.end(),
      std::make_move_iterator(deliveries.begin() + static_cast<std::ptrdiff_t>(first)),
      std::make_move_iterator(deliveries.end()));
  deliveries.resize(first);
}

bool RedisStore::is_lost(OpenGroup& group, const std::string& consumer) const {
  std::lock_guard lock(group.mutex);
  return group.consumers[consumer].lost;
}

bool RedisStore::has_surplus(OpenGroup& group, const std::string& consumer) const {
  std::lock_guard lock(group.mutex);
  return !group.consumers[consumer].surplus.empty();
}

void RedisStore::lose(OpenGroup& group, const std::string& consumer) {
  std::lock_guard lock(group.mutex);
  group.consumers[consumer].lost = true;
  group.numbers.asked = {};
}

Result<std::vector<Delivery>> RedisStore::read(const ReadRequest& request) {
  SLUICE_ASSIGN(group, group_of(request));
  const std::string consumer = consumer_name(request.consumer);
  tidy(*group, consumer, request.consumer);
  if (auto surplus = take_surplus(*group, consumer, request); !surplus.empty()) return surplus;
  for (;;) {
    if (is_lost(*group, consumer)) {
      SLUICE_ASSIGN(found, recover(*group, consumer, request));
      if (!found.empty()) return found;
    }
    SLUICE_ASSIGN(found, read_new(*group, consumer, request));
    if (!found.empty() || !is_lost(*group, consumer)) return found;
  }
}

Result<std::vector<Delivery>> RedisStore::recover(OpenGroup& group, const std::string& consumer,
                                                  const ReadRequest& request) {
  EntryId handed;
  {
    std::lock_guard lock(group.mutex);
    handed = group.consumers[consumer].handed;
  }
  SLUICE_ASSIGN(found, take_over(group, consumer, request, milliseconds(0), handed));
  if (found.empty()) {
    std::lock_guard lock(group.mutex);
    group.consumers[consumer].lost = false;
  }
  return found;
}

// Reads what is new; marks the consumer as lost when that may have been done without a reply.
Result<std::vector<Delivery>> RedisStore::read_new(OpenGroup& group, const std::string& consumer,
                                                   const ReadRequest& request) {
  // Before asking: an append right behind the answer must find it set.
  group.hungry = true;
  Commands commands;
  add_read(commands, group, consumer, request.count_max);
  if (!options_.recorded) commands.add({"TIME"});
  for (int tries = 0;; ++tries) {
    auto answer = call(group.stream->name, commands);
    if (!answer.is_ok() || answer->repeated) lose(group, consumer);
    if (!answer.is_ok()) return answer.status();
    const Reply& reply = answer->replies[0];
    if (reply.is_error() && class_of(reply.text) == ErrorClass::kNoGroup && tries == 0) {
      SLUICE_TRY(mend(group));
      continue;
    }
    if (reply.is_error()) return error_status("XREADGROUP", reply.text);
    WallTime now = clock_.now();
    if (!options_.recorded) {
      if (const auto told = server_time(answer->replies[1])) now = *told;
    }
    std::vector<Delivery> found;
    read_deliveries(reply, now, found);
    {
      std::lock_guard lock(group.mutex);
      group.numbers.lag -= std::min<uint64_t>(group.numbers.lag, found.size());
      group.numbers.pending += found.size();
    }
    return hand_out(group, consumer, request, std::move(found));
  }
}

Result<std::vector<Delivery>> RedisStore::claim(const ReadRequest& request, milliseconds idle_min,
                                                EntryId after) {
  SLUICE_ASSIGN(group, group_of(request));
  const std::string consumer = consumer_name(request.consumer);
  if (idle_min.count() == 0) {
    // What was kept back is among its pending entries.
    std::lock_guard lock(group->mutex);
    auto& surplus = group->consumers[consumer].surplus;
    std::erase_if(surplus, [after](const Delivery& kept) { return kept.entry.id > after; });
  }
  return take_over(*group, consumer, request, idle_min, after);
}

Result<std::vector<Delivery>> RedisStore::take_over(OpenGroup& group, const std::string& consumer,
                                                    const ReadRequest& request,
                                                    milliseconds idle_min, EntryId after) {
  Commands commands;
  add_script(commands, scripts().claim, {group.stream->name, group.times},
             {clock_text(), group.name, consumer, std::to_string(idle_min.count()), after.text(),
              count_text(request.count_max), std::to_string(request.bytes_max)});
  SLUICE_ASSIGN(reply, ask("XCLAIM", group.stream->name, commands));
  if (reply.items.size() < 2) return Status(Code::kCorrupt, "redis: no answer to XCLAIM");
  if (const int64_t deleted = reply.items[0].integer; deleted > 0) {
    log::warning("redis: {} entries of {} were deleted while group {} worked on them", deleted,
                 group.stream->name, group.name);
    lost_ += static_cast<uint64_t>(deleted);
    std::lock_guard lock(group.mutex);
    group.numbers.asked = {};
  }
  std::vector<Delivery> found;
  for (size_t i = 2; i < reply.items.size(); ++i) {
    const std::vector<Reply>& about = reply.items[i].items;
    const auto id = about.empty() ? std::nullopt : about[0].id();
    if (about.size() != 4 || !id) return Status(Code::kCorrupt, "redis: no answer to XCLAIM");
    Delivery& delivery = found.emplace_back();
    delivery.entry = {*id, read_fields(about[3].items)};
    delivery.delivery_count = static_cast<uint32_t>(about[1].integer);
    delivery.first_delivered_at = time_of(to_number(about[2].text));
  }
  std::lock_guard lock(group.mutex);
  Consumer& of = group.consumers[consumer];
  if (!found.empty()) of.handed = std::max(of.handed, found.back().entry.id);
  return found;
}

Status RedisStore::renew(GroupId group_id, std::string_view consumer,
                         std::span<const EntryId> ids) {
  SLUICE_ASSIGN(group, group_of({.group = group_id, .consumer = consumer}));
  Commands commands;
  begin_script(commands, scripts().renew, 1, 3 + ids.size());
  for (const std::string& text :
       {group->stream->name, clock_text(), group->name, consumer_name(consumer)})
    commands.arg(text);
  for (const EntryId id : ids) commands.arg(id.text());
  return ask("XCLAIM", group->stream->name, commands).status();
}

// Once for each consumer: removes those of hosts that are gone for good.
void RedisStore::tidy(OpenGroup& group, const std::string& consumer, std::string_view begin) {
  {
    std::lock_guard lock(group.mutex);
    if (std::exchange(group.consumers[consumer].tidied, true)) return;
  }
  if (options_.consumer.empty()) return;
  Commands commands;
  add_script(commands, scripts().tidy, {group.stream->name},
             {clock_text(), group.name, fmt::format("{}-", begin), consumer,
              std::to_string(options_.consumer_idle_max.count())});
  const auto removed = ask("XGROUP DELCONSUMER", group.stream->name, commands);
  if (!removed)
    log::warning("redis: {}", removed.status().text());
  else if (removed->integer > 0)
    log::info("redis: removed {} consumers of {} that were gone for long", removed->integer,
              group.name);
}

}  // namespace sluice::redis
