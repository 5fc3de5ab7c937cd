#include "redis/workload.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

namespace sluice::bench {

namespace {

constexpr size_t kFillBatch = 500;

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double own_cpu() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

}  // namespace

std::span<const stream::Unit> StageUnits::of(const std::vector<stream::Delivery>& found) {
  units_.resize(found.size());
  keys_.resize(found.size());
  values_.resize(found.size());
  for (size_t i = 0; i < found.size(); ++i) {
    const stream::Entry& entry = found[i].entry;
    keys_[i].assign(kSeen).append(entry.fields.find("id").value_or(""));
    values_[i] = entry.id.text();
    units_[i].group = group_;
    units_[i].entry = entry.id;
    units_[i].conditions = {{.kind = stream::ConditionKind::kClaim,
                             .key = keys_[i],
                             .value = values_[i],
                             .ttl = kSeenTtl}};
    units_[i].effects = {{.kind = stream::EffectKind::kEmit,
                          .stream = out_,
                          .entry = {},
                          .bytes = entry.fields.encoded()}};
  }
  return units_;
}

std::string id_of(size_t i) { return fmt::format("plan-{:011}", i); }

std::string payload_of(size_t i) {
  static constexpr const char* kSymbols[] = {"BTCUSDT", "ETHUSDT", "SOLUSDT"};
  std::string text = fmt::format(
      R"({{"symbol":"{}","action":"{}","confidence":0.{:03},"position_size_usd":{}.25,)"
      R"("leverage":{},"timestamp":"2026-11-21T09:{:02}:{:02}.{:06}Z","source":"ensemble-v3",)"
      R"("reason":")",
      kSymbols[i % 3], i % 2 == 0 ? "BUY" : "SELL", i % 1000, 1000 + i % 9000, 1 + i % 9,
      i / 60 % 60, i % 60, i % 1'000'000);
  // 288 to 300 bytes with both names and the id; what follows is `"}`.
  const size_t wanted = 288 + i % 13 - std::string_view("id").size() -
                        std::string_view("payload").size() - id_of(i).size() - 2;
  while (text.size() < wanted) text += static_cast<char>('a' + (i + text.size() * 7) % 26);
  return text + "\"}";
}

void Meter::start() {
  server_before_ = server_cpu();
  client_before_ = own_cpu();
  started_ = std::chrono::steady_clock::now();
}

Cost Meter::stop() {
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - started_;
  const double client = own_cpu() - client_before_;
  return {wall.count(), client, server_cpu() - server_before_};
}

double Meter::server_cpu() const {
  return std::stod(server_.info("used_cpu_user")) + std::stod(server_.info("used_cpu_sys"));
}

void fill(testing::RedisServer& server, size_t entries) {
  server.command({"FLUSHALL"});
  if (server.info("aof_enabled") == "1") {
    // The file begins anew: a run pays for its own bytes.
    server.command({"BGREWRITEAOF"});
    testing::eventually("the append-only file is rewritten", [&] {
      return server.info("aof_rewrite_in_progress") == "0" &&
             server.info("aof_rewrite_scheduled") == "0";
    });
  }
  auto connection =
      must(redis::Connection::open(redis::system_network(), server.endpoint(), {}, {}));
  for (size_t done = 0; done < entries;) {
    redis::Commands commands;
    for (const size_t end = std::min(entries, done + kFillBatch); done < end; ++done)
      commands.add({"XADD", kIn, "*", "id", id_of(done), "payload", payload_of(done)});
    for (const redis::Reply& reply : must(connection->call(commands))) {
      if (reply.is_error()) throw std::runtime_error(reply.text);
    }
  }
  server.command({"XGROUP", "CREATE", kIn, kGroup, "0"});
}

void check_done(testing::RedisServer& server, size_t entries) {
  const auto expect = [&](const std::string& what, int64_t is) {
    if (is != static_cast<int64_t>(entries))
      throw std::runtime_error(fmt::format("{} {}, expected {}", is, what, entries));
  };
  expect("entries appended", server.command({"XLEN", kOut}).integer);
  const redis::Reply groups = server.command({"XINFO", "GROUPS", kIn});
  const auto number = [&](std::string_view name) -> int64_t {
    const auto& items = groups.items.at(0).items;
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      if (items[i].text == name) return items[i + 1].integer;
    }
    return -1;
  };
  expect("entries acked", number("entries-read") - number("pending"));
  // The first, the middle and the last speak for all.
  for (const size_t i : {size_t{0}, entries / 2, entries - 1}) {
    if (server.command({"PTTL", kSeen + id_of(i)}).integer <= 0)
      throw std::runtime_error("no claim of " + id_of(i));
  }
}

}  // namespace sluice::bench
