// Any bytes as what a server answers: no crash, no more memory than was sent, and where a value is
// made of it, one within its bounds.
//
// The first byte chooses who reads the rest: replies, the slots of a cluster, a sentinel, a store.
#include <algorithm>

#include "base/clock.h"
#include "fuzz/fuzz.h"
#include "redis/cluster.h"
#include "redis/entries.h"
#include "redis/errors.h"
#include "redis/redis_store.h"
#include "redis/resp.h"
#include "redis/sentinel.h"
#include "redis/servers.h"
#include "redis/url.h"

namespace sluice {
namespace {

using redis::Endpoint;
using redis::milliseconds;
using redis::Reply;

// One answer for everybody: each connection goes on where the one before ended, in pieces whose
// sizes differ, and all are cut at its end.
class Answering final : public redis::Network {
 public:
  explicit Answering(std::string_view answer) : answer_(answer) {}

  Result<std::unique_ptr<redis::Stream>> connect(const Endpoint&, milliseconds) override {
    if (answer_.empty()) return Status(Code::kUnavailable, "nothing left to say");
    return std::unique_ptr<redis::Stream>(new Answer(answer_));
  }

 private:
  class Answer final : public redis::Stream {
   public:
    explicit Answer(std::string_view& rest) : rest_(rest) {}
    Status write(std::span<const char>, milliseconds) override { return Status::ok(); }
    Result<size_t> read(std::span<char> into, milliseconds) override {
      if (rest_.empty()) return Status(Code::kUnavailable, "cut");
      const size_t count = std::min({into.size(), rest_.size(), size_t{1} + rest_.size() % 97});
      std::copy_n(rest_.begin(), count, into.begin());
      rest_.remove_prefix(count);
      return count;
    }
    void shut_down() override {}

   private:
    std::string_view& rest_;
  };

  std::string_view answer_;
};

size_t weight(const Reply& reply) {
  size_t sum = 1 + reply.text.size();
  for (const Reply& item : reply.items) sum += weight(item);
  return sum;
}

void read_values(const Reply& reply) {
  std::vector<stream::Delivery> deliveries;
  redis::read_deliveries(reply, {}, deliveries);
  for (const stream::Delivery& delivery : deliveries)
    fuzz::require(stream::FieldsView::is_whole(delivery.entry.fields.encoded()), "half a field",
                  delivery.entry.id.text());
  if (const auto entry = redis::read_entry(reply))
    fuzz::require(redis::bytes_of(*entry) <= 12 * weight(reply), "grown", entry->id.text());
  redis::read_value(reply.items);
  redis::find(reply, "lag");
  redis::class_of(reply.text);
  if (const auto sent = redis::parse_redirection(reply.text, {.host = "h"}))
    fuzz::require(sent->slot < redis::kSlots && sent->endpoint.port != 0, "redirection",
                  reply.text);
  if (const auto id = reply.id())
    fuzz::require(EntryId::parse(id->text()) == id, "id changed", reply.text);
}

void read_replies(std::string_view bytes) {
  constexpr size_t kReplyBytesMax = 4096;
  redis::ReplyReader reader(kReplyBytesMax);
  size_t sent = 0, read = 0;
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), size_t{1} + bytes.size() % 113);
    reader.feed(bytes.substr(0, count));
    bytes.remove_prefix(count);
    sent += count;
    for (;;) {
      const auto reply = reader.next();
      if (!reply) {
        fuzz::require(reply.status().code() == Code::kCorrupt, "code", reply.status().text());
        return;
      }
      if (!*reply) break;
      read += weight(**reply);
      fuzz::require(read <= sent, "more than was sent", "");
      read_values(**reply);
    }
  }
}

// What fails says why.
void judge(const Status& status) {
  fuzz::require(status.is_ok() || !status.text().empty(), "failed without a reason", "");
}
template <typename Value>
void judge(const Result<Value>& answer) {
  judge(answer.status());
}

redis::Timeouts timeouts() { return {milliseconds(1), milliseconds(1)}; }

void read_slots(std::string_view bytes) {
  Answering network(bytes);
  const auto target = redis::parse_url("redis+cluster://a,b:1");
  redis::ClusterRouter router(*target, timeouts(), network);
  for (const std::string_view key : {"", "a", "{tag}b"}) {
    const auto server = router.server_of(key);
    if (server) fuzz::require(server->port != 0 && !server->host.empty(), "address", key);
  }
  router.moved(7, {.host = "c", .port = 2});
  router.lost({.host = "c", .port = 2});
  judge(router.masters());
}

void read_sentinel(std::string_view bytes) {
  Answering network(bytes);
  const auto target = redis::parse_url("redis+sentinel://a,b:1/main");
  redis::SentinelRouter router(*target, timeouts(), network);
  const auto server = router.server_of("k");
  if (server) fuzz::require(server->port != 0 && !server->host.empty(), "address", "");
}

void read_store(std::string_view bytes) {
  Answering network(bytes);
  const ManualClock clock(from_us(1'764'000'000'000'000));
  redis::Options options;
  options.servers.target = *redis::parse_url("redis://a");
  options.servers.timeouts = timeouts();
  options.servers.give_up_after = milliseconds(0);
  options.servers.seed = 1;
  options.tracking = false;
  const auto opened = redis::RedisStore::open(options, network, clock);
  if (!opened) return judge(opened.status());
  redis::RedisStore& store = **opened;
  const auto stream = store.open_stream("s", {});
  const auto group = stream ? store.open_group(*stream, "g", stream::GroupStart::kBeginning)
                            : Result<stream::GroupId>(stream.status());
  if (group) {
    const stream::ReadRequest request{.group = *group, .consumer = "c", .count_max = 10};
    const auto read = store.read(request);
    judge(store.claim(request, milliseconds(1), {}));
    stream::Unit unit;
    unit.group = *group;
    unit.entry = read && !read->empty() ? read->front().entry.id : EntryId{1, 1};
    judge(store.commit({&unit, 1}, &request));
    judge(store.pending_entries(*group, 10));
    store.lag(*group);
    store.pending(*group);
    judge(store.range(*stream, {}, 10));
  }
  judge(store.get("k"));
  judge(store.counter("c"));
  size_t seen = 0;
  judge(store.scan("", [&](std::string_view, const stream::KeyValue&) { return ++seen < 100; }));
  store.streams();
}

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  constexpr void (*kReaders[])(std::string_view) = {read_replies, read_slots, read_sentinel,
                                                    read_store};
  kReaders[(data[0] + 256u - '0') % std::size(kReaders)](fuzz::text_of(data + 1, size - 1));
  return 0;
}
