// Units of work: one call of the script for a batch, and reading on in the same write.
//
// A reply that is cut off leaves the outcome open. The same call is then made again: units whose
// entry was acked by the first are fenced, and a token tells the others. The read is not repeated
// that way, as what it delivered would be missed; see reading.cc.

#include <fmt/format.h>

#include <algorithm>

#include "base/mutant.h"
#include "redis/cluster.h"
#include "redis/commit.h"
#include "redis/entries.h"
#include "redis/names.h"
#include "redis/redis_store.h"

namespace sluice::redis {

using stream::CommitResult;
using stream::Condition;
using stream::ConditionKind;
using stream::Delivery;
using stream::Effect;
using stream::EffectKind;
using stream::ReadRequest;
using stream::Unit;
using stream::UnitOutcome;
using stream::UnitState;

namespace {

// Of a token: no call is tried for so long, and it is a key of somebody's server. One that `flush`
// looks for lives until the commit is flushed.
constexpr milliseconds kTokenLife{300'000}, kTokenLifeFlushed{3'600'000};

constexpr int kMendsMax = 3;            // groups removed under us, again and again
constexpr int kFlushesMax = 5;          // servers that change between finding and asking them
constexpr size_t kUnflushedMax = 1024;  // commits that nobody flushed: more need memory

bool is_worth_a_try(const Reply& reply) {
  if (!reply.is_error()) return false;
  const ErrorClass kind = class_of(reply.text);
  return kind == ErrorClass::kRetry || kind == ErrorClass::kReroute ||
         kind == ErrorClass::kNoScript;
}

bool is_no_group(const Reply& reply) {
  return reply.is_error() && class_of(reply.text) == ErrorClass::kNoGroup;
}

}  // namespace

// One call of `commit` and what is known of it.
struct RedisStore::Try {
  std::span<const Unit> units;
  const ReadRequest* next = nullptr;  // null: nothing is read, or not any more
  OpenGroup* group = nullptr;         // of `next`
  std::string consumer;
  std::string clock, token;
  milliseconds token_life{};
  CommitCall call;
  Commands commands;
  bool reads = false;                     // in the same write
  std::shared_ptr<Servers::Lease> lease;  // it was sent on; null: it was not. Shared with those
                                          // behind it, which keeps them in order.
  Reply answer;                           // of the script
  bool answered = false;                  // it was done, or refused for good
  std::vector<Delivery> found;            // of the read that went along
  bool has_read = false;

  Status encode(const Names& names, const Handles& handles) {
    commands.clear();
    call = CommitCall();
    return call.encode(commands, names, handles, units, clock, token, token_life);
  }
};

class RedisStore::UnderWay final : public stream::CommitUnderWay {
 public:
  UnderWay(RedisStore& store, std::span<const Unit> units, const ReadRequest* next,
           const UnderWay* behind)
      : store_(store) {
    try_.units = units;
    try_.next = next;
    begun_ = store_.begin(try_, behind == nullptr ? nullptr : &behind->try_);
  }
  // Whoever reads on from there would get the answer to this.
  ~UnderWay() override {
    if (!waited_ && try_.lease) (*try_.lease)->shut_down();
    if (!waited_ && try_.lease) try_.lease->discard();
  }

  Result<CommitResult> wait() override {
    SLUICE_TRY(begun_);
    waited_ = true;
    return store_.finish(try_);
  }

 private:
  RedisStore& store_;
  Try try_;
  Status begun_;
  bool waited_ = false;
};

std::string RedisStore::new_token() { return token_start_ + std::to_string(++next_token_); }

Result<CommitResult> RedisStore::commit(std::span<const Unit> units, const ReadRequest* next) {
  return UnderWay(*this, units, next, nullptr).wait();
}

std::unique_ptr<stream::CommitUnderWay> RedisStore::begin_commit(std::span<const Unit> units,
                                                                 const ReadRequest* next,
                                                                 stream::CommitUnderWay* behind) {
  return std::make_unique<UnderWay>(*this, units, next, static_cast<UnderWay*>(behind));
}

// Looks the units over and sends the first try, with the read behind it in the same write.
Status RedisStore::begin(Try& attempt, const Try* behind) {
  if (attempt.next != nullptr) {
    SLUICE_ASSIGN(group, group_of(*attempt.next));
    attempt.group = group;
    attempt.consumer = consumer_name(attempt.next->consumer);
  }
  if (attempt.units.empty()) return Status::ok();
  attempt.clock = clock_text();
  attempt.token_life = options_.min_replicas > 0 ? kTokenLifeFlushed : kTokenLife;
  if (needs_token(attempt.units) || options_.min_replicas > 0) attempt.token = new_token();
  SLUICE_TRY(attempt.encode(names_, handles_));
  const bool same_slot =
      attempt.group != nullptr &&
      (!names_.is_cluster() || slot_of(attempt.call.key()) == slot_of(attempt.group->stream->name));
  attempt.reads = same_slot && !is_lost(*attempt.group, attempt.consumer) &&
                  !has_surplus(*attempt.group, attempt.consumer);
  if (attempt.reads) {
    attempt.group->hungry = true;
    add_read(attempt.commands, *attempt.group, attempt.consumer, attempt.next->count_max);
  }
  return send_behind(attempt, behind);
}

// On the connection of the one before when the server is the same: it does them in that order.
Status RedisStore::send_behind(Try& attempt, const Try* behind) {
  if (behind != nullptr && behind->lease) {
    const auto endpoint = servers_.server_of(attempt.call.key());
    if (endpoint && *endpoint == (*behind->lease)->endpoint()) attempt.lease = behind->lease;
  }
  if (!attempt.lease) {
    SLUICE_ASSIGN(lease, servers_.for_key(attempt.call.key()));
    attempt.lease = std::make_shared<Servers::Lease>(std::move(lease));
  }
  // When it cannot be sent there will be no reply either.
  (void)(*attempt.lease)->send(attempt.commands);
  return Status::ok();
}

Result<CommitResult> RedisStore::finish(Try& attempt) {
  CommitResult result;
  if (!attempt.units.empty()) {
    SLUICE_TRY(take_answer(attempt));
    if (!attempt.answered) {
      auto answer = commit_again(attempt);
      if (!answer.is_ok()) {
        // The read is nobody's fault: its entries are for the next one.
        if (attempt.has_read) keep(*attempt.group, attempt.consumer, attempt.found, 0);
        return answer.status();
      }
      attempt.answer = std::move(*answer);
    }
    WallTime now;
    SLUICE_TRY(CommitCall::read(attempt.answer, attempt.units, result.outcomes, now));
    const bool applied = std::any_of(
        result.outcomes.begin(), result.outcomes.end(),
        [](const UnitOutcome& outcome) { return outcome.state == UnitState::kApplied; });
    if (applied) {
      result.seq = count_commit(attempt);
      const int64_t clock_us = to_us(clock_.now());
      commit_us_ = options_.recorded && clock_us >= to_us(now) ? clock_us : to_us(now);
      note(attempt.units, result.outcomes);
    }
    // Nothing, and an earlier read that was answered meanwhile says that we need not be told:
    // looked at again below, as somebody may have appended in between.
    const bool was_told = attempt.found.empty() && attempt.has_read && !attempt.group->hungry;
    if (attempt.has_read && !was_told) {
      for (Delivery& delivery : attempt.found) delivery.first_delivered_at = now;
      result.next =
          hand_out(*attempt.group, attempt.consumer, *attempt.next, std::move(attempt.found));
      attempt.next = nullptr;
    }
    if (applied) {
      tell(attempt.units, result.outcomes);
      trim_due();
    }
  }
  if (attempt.next != nullptr) {
    // The units are done, whatever becomes of the read: the next one will report it.
    if (auto found = read(*attempt.next); found.is_ok()) result.next = std::move(*found);
  }
  return result;
}

// Of the first try.
Status RedisStore::take_answer(Try& attempt) {
  const std::shared_ptr<Servers::Lease> lease = std::exchange(attempt.lease, nullptr);
  auto replies = (*lease)->receive_all(attempt.commands.count());
  if (!replies.is_ok()) {
    lease->discard();
    if (attempt.reads) lose(*attempt.group, attempt.consumer);
    return Status::ok();
  }
  if (attempt.reads && !(*replies)[1].is_error()) {
    attempt.has_read = true;
    read_deliveries((*replies)[1], clock_.now(), attempt.found);
    std::lock_guard lock(attempt.group->mutex);
    GroupNumbers& numbers = attempt.group->numbers;
    numbers.lag -= std::min<uint64_t>(numbers.lag, attempt.found.size());
    numbers.pending += attempt.found.size();
  }
  Reply& answer = (*replies)[0];
  if (is_worth_a_try(answer) || is_no_group(answer)) {
    attempt.answer = std::move(answer);
    return Status::ok();
  }
  attempt.answered = true;
  if (!answer.is_error()) {
    attempt.answer = std::move(answer);
    return Status::ok();
  }
  if (attempt.has_read) keep(*attempt.group, attempt.consumer, attempt.found, 0);
  return error_status("a commit", answer.text);
}

// The same units again, until the server has done them or refuses.
Result<Reply> RedisStore::commit_again(Try& attempt) {
  for (int mends = 0;; ++mends) {
    if (is_no_group(attempt.answer)) {
      if (mends >= kMendsMax) return error_status("a commit", attempt.answer.text);
      for (const OpenGroup* group : attempt.call.groups()) SLUICE_TRY(mend(*group));
    }
    SLUICE_TRY(attempt.encode(names_, handles_));
    SLUICE_ASSIGN(answer, call(attempt.call.key(), attempt.commands));
    attempt.answer = std::move(answer.replies[0]);
    if (is_no_group(attempt.answer)) continue;
    if (attempt.answer.is_error()) return error_status("a commit", attempt.answer.text);
    return std::move(attempt.answer);
  }
}

// --- What follows

// Brings the numbers up to date, and trimming.
void RedisStore::note(std::span<const Unit> units, const std::vector<UnitOutcome>& outcomes) {
  const auto count_on = [this](StreamId id, uint64_t emitted, bool removed) {
    OpenStream* const stream = handles_.stream(id);
    touch(*stream, emitted);
    for (OpenGroup* group : handles_.groups(*stream)) {
      std::lock_guard lock(group->mutex);
      group->numbers.lag += emitted;
      if (removed) group->numbers.asked = {};
    }
  };
  const auto count_acks = [this](GroupId id, uint64_t acked) {
    OpenGroup* const group = handles_.group(id);
    touch(*group->stream, acked);
    std::lock_guard lock(group->mutex);
    group->numbers.pending -= std::min(group->numbers.pending, acked);
  };
  // Runs of the same stream or group are counted at once: a batch has one of each, mostly.
  StreamId stream = 0;
  uint64_t emitted = 0;
  GroupId group = 0;
  uint64_t acked = 0;
  for (size_t i = 0; i < units.size(); ++i) {
    if (outcomes[i].state != UnitState::kApplied) continue;
    if (units[i].group != 0 && units[i].ack) {
      if (units[i].group != group && group != 0) count_acks(group, std::exchange(acked, 0));
      group = units[i].group;
      ++acked;
    }
    for (const Effect& effect : units[i].effects) {
      if (effect.kind == EffectKind::kRemove) count_on(effect.stream, 0, true);
      if (effect.kind != EffectKind::kEmit) continue;
      if (effect.stream != stream && stream != 0)
        count_on(stream, std::exchange(emitted, 0), false);
      stream = effect.stream;
      ++emitted;
    }
  }
  if (group != 0) count_acks(group, acked);
  if (stream != 0) count_on(stream, emitted, false);
}

void RedisStore::tell(std::span<const Unit> units, const std::vector<UnitOutcome>& outcomes) const {
  stream::Listener* const listener = listener_;
  if (listener == nullptr) return;
  std::vector<StreamId> streams;
  std::vector<std::string_view> keys;
  for (size_t i = 0; i < units.size(); ++i) {
    if (outcomes[i].state != UnitState::kApplied) continue;
    for (const Effect& effect : units[i].effects) {
      if (effect.kind == EffectKind::kEmit) {
        if (std::find(streams.begin(), streams.end(), effect.stream) == streams.end())
          streams.push_back(effect.stream);
      } else if (!effect.key.empty() && effect.kind != EffectKind::kRelease) {
        keys.push_back(effect.key);
      }
    }
    for (const Condition& condition : units[i].conditions) {
      if (condition.kind == ConditionKind::kClaim || condition.kind == ConditionKind::kTake)
        keys.push_back(condition.key);
    }
  }
  if (!watches_) {
    keys.clear();
  } else {
    std::lock_guard lock(watch_mutex_);
    std::erase_if(keys, [this](std::string_view key) { return !watched_.contains(key); });
  }
  for (const StreamId id : streams) listener->stream_appended(id);
  for (const std::string_view key : keys) listener->key_changed(key);
}

stream::CommitSeq RedisStore::count_commit(const Try& attempt) {
  if (options_.min_replicas == 0) return durable_ = ++last_commit_;
  stream::CommitSeq seq = 0;
  bool many = false;
  {
    std::lock_guard lock(unflushed_mutex_);
    seq = ++last_commit_;
    unflushed_.push_back({seq, names_.token(attempt.call.key(), attempt.token)});
    many = unflushed_.size() % kUnflushedMax == 0;
  }
  // Nobody waits for these; whoever does later is told what became of them.
  if (many) (void)flush(seq);
  return seq;
}

Status RedisStore::flush(stream::CommitSeq seq) {
  if (options_.min_replicas == 0 || SLUICE_MUTANT(redis_wait_skipped)) return Status::ok();
  std::vector<Unflushed> commits;
  {
    std::lock_guard lock(unflushed_mutex_);
    for (const Unflushed& commit : unflushed_) {
      if (commit.seq <= seq) commits.push_back(commit);
    }
  }
  // By slot: a server has many of them, mostly one is written to.
  std::map<uint16_t, std::vector<Unflushed>> by_slot;
  for (Unflushed& commit : commits)
    by_slot[names_.is_cluster() ? slot_of(commit.token) : 0].push_back(std::move(commit));
  for (const auto& of_slot : by_slot) {
    const std::vector<Unflushed>& some = of_slot.second;
    SLUICE_TRY(flush_server(some));
    std::lock_guard lock(unflushed_mutex_);
    const stream::CommitSeq newest = some.back().seq;
    std::erase_if(unflushed_, [&](const Unflushed& commit) {
      return commit.seq <= newest && std::any_of(some.begin(), some.end(), [&](const auto& done) {
               return done.seq == commit.seq;
             });
    });
    durable_ = unflushed_.empty() ? last_commit_.load() : unflushed_.front().seq - 1;
  }
  return Status::ok();
}

// All on one connection: WAIT counts the replicas that have everything up to the newest write of
// its connection, and what the server had before that write comes with it.
Status RedisStore::flush_server(std::span<const Unflushed> commits) {
  const std::string wait = std::to_string(options_.replicas_wait.count());
  const std::string key = names_.settle(commits.back().token, "flush");
  Commands touch, commands;
  touch.add({"SET", key, "", "PX", "10000"});
  commands.add({"SET", key, "", "PX", "10000"});
  for (const Unflushed& commit : commits) commands.add({"EXISTS", commit.token});
  commands.add({"WAIT", std::to_string(options_.min_replicas), wait});
  std::string reason;
  for (int tries = 0; tries < kFlushesMax; ++tries) {
    // Finds the server, and outlasts its faults.
    SLUICE_TRY(ask("SET", key, touch).status());
    SLUICE_ASSIGN(lease, servers_.for_key(key));
    const auto replies =
        lease->call(commands, options_.replicas_wait + options_.servers.timeouts.reply);
    if (!replies.is_ok()) {
      lease.discard();
      reason = replies.status().text();
      continue;
    }
    const auto refused = std::find_if(replies->begin(), replies->end(),
                                      [](const Reply& reply) { return reply.is_error(); });
    if (refused != replies->end()) {
      reason = error_status("WAIT", refused->text).text();
      continue;
    }
    const auto gone = std::count_if(replies->begin() + 1, replies->end() - 1,
                                    [](const Reply& reply) { return reply.integer == 0; });
    if (gone > 0)
      return Status(Code::kIo,
                    fmt::format("redis: {} commits were lost when a server took over", gone));
    if (const int64_t count = replies->back().integer; count < options_.min_replicas)
      return Status(
          Code::kUnavailable,
          fmt::format("redis: {} replicas have the newest commit within {} ms, expected {}", count,
                      wait, options_.min_replicas));
    return Status::ok();
  }
  return Status(Code::kUnavailable, reason);
}

}  // namespace sluice::redis
