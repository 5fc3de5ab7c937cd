#include <hiredis/hiredis.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "redis/workload.h"

namespace sluice::bench {

namespace {

struct FreeContext {
  void operator()(redisContext* context) const { redisFree(context); }
};
struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Context = std::unique_ptr<redisContext, FreeContext>;
using ReplyPtr = std::unique_ptr<redisReply, FreeReply>;

std::string_view text(const redisReply* reply) { return {reply->str, reply->len}; }

class Client {
 public:
  explicit Client(const redis::Endpoint& endpoint)
      : context_(endpoint.path.empty() ? redisConnect(endpoint.host.c_str(), endpoint.port)
                                       : redisConnectUnix(endpoint.path.c_str())) {
    check();
  }

  template <size_t n>
  void add(const std::array<std::string_view, n>& arguments) {
    add(arguments.data(), n);
  }
  void add(const std::vector<std::string_view>& arguments) {
    add(arguments.data(), arguments.size());
  }

  ReplyPtr receive() {
    void* reply = nullptr;
    if (redisGetReply(context_.get(), &reply) != REDIS_OK) check();
    ReplyPtr owned(static_cast<redisReply*>(reply));
    if (owned->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string(text(owned.get())));
    return owned;
  }

 private:
  void add(const std::string_view* arguments, size_t count) {
    pointers_.clear();
    sizes_.clear();
    for (size_t i = 0; i < count; ++i) {
      pointers_.push_back(arguments[i].data());
      sizes_.push_back(arguments[i].size());
    }
    if (redisAppendCommandArgv(context_.get(), static_cast<int>(count), pointers_.data(),
                               sizes_.data()) != REDIS_OK)
      check();
  }
  void check() const {
    if (!context_) throw std::runtime_error("hiredis: no memory");
    if (context_->err != 0) throw std::runtime_error(std::string("hiredis: ") + context_->errstr);
  }

  Context context_;
  std::vector<const char*> pointers_;
  std::vector<size_t> sizes_;
};

class BareLoop final : public Contender {
 public:
  explicit BareLoop(bool looks) : looks_(looks) {}

  std::string name() const override { return looks_ ? "bare, looks at SET" : "bare"; }

  Cost run(testing::RedisServer& server, const redis::Endpoint& endpoint,
           const Workload& workload) override {
    Client client(endpoint);
    Meter meter(server);
    meter.start();
    add_read(client, workload.batch);
    // The reply owns what the commands are made of.
    for (ReplyPtr read = client.receive(); read->type == REDIS_REPLY_ARRAY;) {
      const redisReply* const entries = read->element[0]->element[1];
      if (looks_) {
        for (size_t i = 0; i < entries->elements; ++i) add_claim(client, entries->element[i]);
        won_.assign(entries->elements, false);
        for (size_t i = 0; i < entries->elements; ++i)
          won_[i] = client.receive()->type == REDIS_REPLY_STATUS;
      }
      size_t replies = 1;
      for (size_t i = 0; i < entries->elements; ++i) {
        if (!looks_) add_claim(client, entries->element[i]);
        if (!looks_) ++replies;
        if (looks_ && !won_[i]) continue;
        add_append(client, entries->element[i]);
        ++replies;
      }
      add_ack(client, entries);
      add_read(client, workload.batch);
      for (; replies > 0; --replies) client.receive();
      read = client.receive();
    }
    return meter.stop();
  }

 private:
  void add_read(Client& client, size_t batch) {
    const std::string count = std::to_string(batch);
    client.add(std::array<std::string_view, 9>{"XREADGROUP", "GROUP", kGroup, "bare", "COUNT",
                                               count, "STREAMS", kIn, ">"});
  }
  // An entry is [id, [name, value, ...]], and "id" its first field.
  void add_claim(Client& client, const redisReply* entry) {
    key_.assign(kSeen).append(text(entry->element[1]->element[1]));
    client.add(std::array<std::string_view, 6>{"SET", key_, text(entry->element[0]), "NX", "PX",
                                               "3600000"});
  }
  void add_append(Client& client, const redisReply* entry) {
    const redisReply* const fields = entry->element[1];
    arguments_.assign({"XADD", kOut, "*"});
    for (size_t i = 0; i < fields->elements; ++i) arguments_.push_back(text(fields->element[i]));
    client.add(arguments_);
  }
  void add_ack(Client& client, const redisReply* entries) {
    arguments_.assign({"XACK", kIn, kGroup});
    for (size_t i = 0; i < entries->elements; ++i)
      arguments_.push_back(text(entries->element[i]->element[0]));
    client.add(arguments_);
  }

  const bool looks_;
  std::string key_;
  std::vector<std::string_view> arguments_;
  std::vector<bool> won_;
};

}  // namespace

std::unique_ptr<Contender> bare_loop(bool looks) { return std::make_unique<BareLoop>(looks); }

}  // namespace sluice::bench
