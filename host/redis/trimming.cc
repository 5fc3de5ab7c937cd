// Dropping what every group has acked. Late rather than often: `keep` is a floor, not a promise of
// size.

#include <algorithm>

#include "base/log.h"
#include "redis/redis_store.h"

namespace sluice::redis {

namespace {

constexpr int kPiecesMax = 64;  // of one trim; what is more waits for the next

int64_t steady_us() {
  return std::chrono::duration_cast<Micros>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void RedisStore::touch(OpenStream& stream, uint64_t count) {
  if (count > 0) stream.touched += count;
}

void RedisStore::trim_due() {
  const int64_t now_us = steady_us();
  for (OpenStream* stream : handles_.streams()) {
    const uint64_t touched = stream->touched;
    if (touched == 0) continue;
    const bool long_ago = now_us - stream->trimmed_us >= Micros(options_.trim_interval).count();
    if (touched < std::max(options_.trim_touches, stream->room.load()) && !long_ago) continue;
    // One caller does it.
    if (stream->touched.exchange(0) == 0) continue;
    if (const Status status = trim(*stream); !status)
      log::warning("redis: {} is not trimmed: {}", stream->name, status.text());
  }
}

Status RedisStore::trim(OpenStream& stream) {
  stream.trimmed_us = steady_us();
  const stream::StreamOptions options = handles_.options(stream);
  for (int pieces = 0; pieces < kPiecesMax; ++pieces) {
    Commands commands;
    add_script(commands, scripts().trim, {stream.name},
               {clock_text(), std::to_string(options.keep), options.trim_hard ? "1" : "0"});
    SLUICE_ASSIGN(reply, ask("XTRIM", stream.name, commands));
    if (reply.items.size() != 3) return Status(Code::kCorrupt, "redis: no answer to XTRIM");
    stream.room = static_cast<uint64_t>(std::max<int64_t>(reply.items[2].integer, 0));
    if (reply.items[0].integer > 0) {
      for (OpenGroup* group : handles_.groups(stream)) {
        std::lock_guard lock(group->mutex);
        group->numbers.asked = {};
      }
    }
    if (reply.items[1].text.empty()) break;
  }
  return Status::ok();
}

}  // namespace sluice::redis
