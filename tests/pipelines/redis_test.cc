// Whole pipelines on a real Redis server, through the built program: the same ends as on the
// embedded engine, and nothing lost or doubled when hosts and servers die.
#include <fmt/chrono.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "common/permit.h"
#include "engine/embedded_store.h"
#include "fixtures/program.h"
#include "fixtures/recorded_day.h"
#include "fixtures/redis_server.h"
#include "fixtures/seed.h"
#include "fixtures/terminal_records.h"
#include "redis/cluster.h"
#include "redis/redis_store.h"
#include "redis/shard_store.h"

namespace sluice {
namespace {

using testing::difference;
using testing::Ended;
using testing::eventually;
using ::testing::HasSubstr;
using testing::Program;
using testing::RedisCluster;
using testing::RedisServer;
using testing::terminal_records;

const std::string kTrade = SLUICE_SOURCE_DIR "/pipelines/trade.yaml";
const std::string kSample = SLUICE_SOURCE_DIR "/pipelines/samples/decisions.ndjson";
const std::string kProbes = SLUICE_BINARY_DIR "/tests/runtime_plugins";

class RedisTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "sluice-on-redis-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<std::string> variables(const std::string& url,
                                     const std::string& consumer = "a") const {
    std::vector<std::string> set = {"SLUICE_KLINES=" + klines_, "SLUICE_DISARM_ON_BURST=false",
                                    "SLUICE_DATA=" + folder_ + "/store"};
    if (!url.empty())
      set.insert(set.end(),
                 {"SLUICE_ENGINE=redis", "REDIS_URL=" + url, "SLUICE_CONSUMER=" + consumer});
    return set;
  }

  // With an empty url on the embedded engine.
  Program start_trade(const std::string& url, const std::string& input,
                      const std::string& file = kTrade) const {
    return Program({"run", file, "--input", input, "--format", "json"}, folder_, variables(url));
  }
  // The first lines of the sample.
  std::string few_decisions(int lines) const {
    const std::string path = folder_ + "/input.ndjson";
    std::ifstream sample(kSample);
    std::ofstream few(path);
    std::string line;
    for (int i = 0; i < lines && std::getline(sample, line); ++i) few << line << '\n';
    return path;
  }
  Ended sluice(std::vector<std::string> arguments, const std::string& url) const {
    return Program(std::move(arguments), folder_, variables(url)).wait();
  }

  // What a calm run on the embedded engine ends with.
  std::multiset<std::string> expected_records(const std::string& input) const {
    const Ended ended = start_trade("", input).wait();
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
    const auto store =
        engine::EmbeddedStore::open_read_only(folder_ + "/store", system_disk(), clock_);
    EXPECT_TRUE(store.is_ok()) << store.status().text();
    return store ? terminal_records(**store) : std::multiset<std::string>();
  }

  std::unique_ptr<stream::Store> open_store(const std::string& url) const {
    redis::Options options;
    auto target = redis::parse_url(url);
    EXPECT_TRUE(target.is_ok());
    options.servers.target = std::move(target).value();
    options.tracking = false;
    auto store = redis::RedisStore::open(options, redis::system_network(), clock_);
    EXPECT_TRUE(store.is_ok()) << store.status().text();
    return std::move(store).value();
  }
  std::multiset<std::string> records_on(const RedisServer& server) const {
    return terminal_records(*open_store(server.url()));
  }
  std::multiset<std::string> records_in_shards(const std::string& url, uint32_t shards) const {
    std::multiset<std::string> all;
    for (uint32_t shard = 0; shard < shards; ++shard)
      all.merge(terminal_records(
          redis::ShardStore(open_store(url), redis::shard_prefix("trade", shard))));
    return all;
  }

  // The trade pipeline as it ships, with more lines in its `engine`.
  std::string write_trade(const std::string& engine) const {
    namespace fs = std::filesystem;
    const fs::path root = fs::path(folder_) / "own", source = SLUICE_SOURCE_DIR;
    fs::create_directories(root / "pipelines");
    fs::create_directory_symlink(source / "lua", root / "lua");
    fs::create_directory_symlink(source / "pipelines/schemas", root / "pipelines/schemas");
    std::ostringstream text;
    text << std::ifstream(kTrade).rdbuf();
    std::string file = text.str();
    const size_t at = file.find("  url: ");
    EXPECT_NE(at, file.npos);
    file.insert(at, engine);
    const std::string path = root / "pipelines/trade.yaml";
    std::ofstream(path) << file;
    return path;
  }

  // A pipeline over the probe plugin, on wall time.
  std::string write_probe(const std::string& stages) const {
    const std::string path = folder_ + "/probe.yaml";
    std::ofstream(path)
        << "api: sluice/v1\npipeline: probe\nclock: wall\n"
           "engine: { kind: redis, url: \"${REDIS_URL}\", consumer: \"${SLUICE_CONSUMER}\" }\n"
           "streams:\n  in: { external: true }\n  out: { unread: true, external: true }\n"
           "  late: { unread: true, external: true }\n  dead: {}\nstages:\n"
        << stages << "defaults: { dead_letter: dead, claim_idle: 500ms }\n";
    return path;
  }
  Program serve_probe(const std::string& path, const RedisServer& server,
                      const std::string& host) const {
    std::filesystem::create_directories(folder_ + "/" + host);
    return Program({"--plugins", kProbes, "run", path}, folder_ + "/" + host,
                   variables(server.url(), host));
  }

  static size_t length(RedisServer& server, const std::string& stream) {
    return static_cast<size_t>(server.command({"XLEN", stream}).integer);
  }
  static std::multiset<std::string> ids(RedisServer& server, const std::string& stream) {
    std::multiset<std::string> ids;
    const redis::Reply range = server.command({"XRANGE", stream, "-", "+"});
    for (const redis::Reply& entry : range.items) {
      const auto& fields = entry.items.at(1).items;
      for (size_t i = 0; i + 1 < fields.size(); i += 2)
        if (fields[i].text == "id") ids.insert(fields[i + 1].text);
    }
    return ids;
  }

  void expect_the_same_as_embedded(const std::string& input) {
    const auto expected = expected_records(input);
    ASSERT_FALSE(expected.empty());
    RedisServer server({.append = RedisServer::Append::kEverySecond});
    const Ended ended = start_trade(server.url(), input).wait();
    ASSERT_EQ(ended.exit_code, 0) << ended.err;
    EXPECT_THAT(ended.out, HasSubstr("\"balanced\":true"));
    EXPECT_EQ(difference(expected, records_on(server)), "");
    const Ended audit = sluice({"audit", kTrade}, server.url());
    EXPECT_EQ(audit.exit_code, 0) << audit.out << audit.err;
  }

  std::string folder_;
  std::string klines_;
  SystemClock clock_;
};

TEST_F(RedisTest, TheSampleEndsAsOnTheEmbeddedEngine) { expect_the_same_as_embedded(kSample); }

TEST_F(RedisTest, The510RecordedDecisionsEndAsOnTheEmbeddedEngine) {
  const auto [decisions, klines] = testing::recorded_day();
  if (!std::filesystem::exists(decisions)) GTEST_SKIP() << "no recorded decisions at " << decisions;
  klines_ = klines;
  expect_the_same_as_embedded(decisions);
}

TEST_F(RedisTest, ASecondRunOverTheSameFilePublishesNothingNew) {
  RedisServer server;
  ASSERT_EQ(start_trade(server.url(), kSample).wait().exit_code, 0);
  const auto records = records_on(server);
  const size_t intents = length(server, "quantum:stream:trade.intent");
  const Ended again = start_trade(server.url(), kSample).wait();
  ASSERT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(length(server, "quantum:stream:trade.intent"), intents);
  EXPECT_EQ(difference(records, records_on(server)), "");
}

TEST_F(RedisTest, AForeignSetexWakesAParkedEntry) {
  RedisServer server;
  const std::string path = write_probe(
      "  gate: { use: probe.gate, from: in, to: { out: out, late: late }, with: { "
      "window: 1h } }\n");
  Program host = serve_probe(path, server, "a");
  eventually("the host has its group", [&] {
    return length(server, "in") == 0 && server.command({"XINFO", "GROUPS", "in"}).items.size() == 1;
  });
  server.command({"XADD", "in", "*", "id", "7"});
  eventually("the entry is pending", [&] {
    return server.command({"XPENDING", "in", "gate"}).items.at(0).integer == 1;
  });
  server.command({"SETEX", "permit:7", "60", "yes"});
  eventually("the permit was used", [&] { return length(server, "out") == 1; });
  EXPECT_EQ(server.command({"EXISTS", "permit:7"}).integer, 0);
  host.signal(SIGTERM);
  EXPECT_EQ(host.wait().exit_code, 0);
}

// The other services' governor and P3.3, or an operator's redis-cli.
TEST_F(RedisTest, TheGateAloneOrdersACloseOnPermitsInjectedBySetex) {
  RedisServer server;
  const std::time_t epoch = std::time(nullptr);
  const std::string now = std::to_string(epoch);
  const std::string computed_at = fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(epoch));
  const std::string plan =
      trade::proposal_plan_id("BTCUSDT", "PARTIAL_75", 0.539, 100.2, computed_at);
  const std::string governor = trade::governor_permit_key(plan);
  const std::string p33 = trade::p33_permit_key(plan);
  server.command({"HSET", "quantum:position:snapshot:BTCUSDT", "position_amt", "0.062",
                  "mark_price", "50000", "ts_epoch", now, "price_tick", "0.1", "qty_step", "0.001",
                  "qty_min", "0.001", "notional_min", "50"});
  server.command({"SETEX", governor, "60", R"({"granted":true})"});
  server.command({"SETEX", p33, "60",
                  R"({"allow": true, "symbol": "BTCUSDT", "safe_close_qty": 0.046, )"
                  R"("exchange_position_amt": 0.062, "ledger_amt": 0.062})"});
  server.command({"XADD", "quantum:stream:harvest.proposal", "*", "symbol", "BTCUSDT",
                  "harvest_action", "PARTIAL_75", "kill_score", "0.539", "new_sl_proposed", "100.2",
                  "computed_at_utc", computed_at, "last_update_epoch", now});
  auto set = variables(server.url());
  set.push_back("SLUICE_FOREIGN_PERMITS=true");
  set.push_back("APPLY_METRICS_PORT=" + std::to_string(testing::free_port()));
  Program host({"run", SLUICE_SOURCE_DIR "/pipelines/reference.yaml", "--only", "plan,gate"},
               folder_, set);
  eventually("the plan is ordered",
             [&] { return length(server, "quantum:stream:apply.order") == 1; });
  const redis::Reply entry =
      server.command({"XRANGE", "quantum:stream:apply.order", "-", "+"}).items.at(0);
  std::map<std::string, std::string> order;
  const std::vector<redis::Reply>& fields = entry.items.at(1).items;
  for (size_t i = 0; i + 1 < fields.size(); i += 2) order[fields[i].text] = fields[i + 1].text;
  EXPECT_EQ(order["plan_id"], plan);
  EXPECT_EQ(order["side"], "SELL");
  EXPECT_EQ(order["quantity"], "0.046");
  EXPECT_EQ(server.command({"EXISTS", governor, p33}).integer, 0) << "used up";
  host.signal(SIGTERM);
  EXPECT_EQ(host.wait().exit_code, 0);
}

TEST_F(RedisTest, AStopWhileTheServerIsAwayEndsWithTheCodeOfTheNetwork) {
  RedisServer server;
  const std::string path = write_probe("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  Program host = serve_probe(path, server, "a");
  server.command({"XADD", "in", "*", "id", "1"});
  eventually("the host works", [&] { return length(server, "out") == 1; });
  server.kill();
  host.signal(SIGTERM);
  const Ended ended = host.wait();
  EXPECT_THAT(ended.exit_code, ::testing::AnyOf(0, 6)) << ended.err;
}

// Kills of the host and, every other time, of a server that syncs every write; SLUICE_KILLS sets
// how many.
TEST_F(RedisTest, AfterKillsOfHostAndServerTheRunEndsAsAnUndisturbedOne) {
  // A server that syncs each write takes minutes for all of the sample's hours.
  const std::string input = few_decisions(40);
  const auto expected = expected_records(input);
  RedisServer measured({.append = RedisServer::Append::kAlways});
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_EQ(start_trade(measured.url(), input).wait().exit_code, 0);
  const auto calm = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - begin);

  const char* wanted = std::getenv("SLUICE_KILLS");
  const int trials = wanted != nullptr ? std::atoi(wanted) : 5;
  const unsigned seed = testing::any_seed();
  std::mt19937 random(seed);
  const auto pause = [&] {
    std::this_thread::sleep_for(
        std::chrono::microseconds(random() % static_cast<unsigned>(calm.count())));
  };
  int killed = 0;
  for (int trial = 0; trial < trials; ++trial) {
    SCOPED_TRACE("seed " + std::to_string(seed) + " trial " + std::to_string(trial));
    RedisServer server({.append = RedisServer::Append::kAlways});
    Program first = start_trade(server.url(), input);
    pause();
    if (trial % 2 == 0) server.restart();  // the host waits for it and goes on
    if (trial % 4 == 0) pause();
    first.signal(SIGKILL);
    killed += first.wait().exit_code == -1 ? 1 : 0;
    if (trial % 3 == 2) server.restart();
    const Ended ended = start_trade(server.url(), input).wait();
    ASSERT_EQ(ended.exit_code, 0) << ended.err;
    ASSERT_EQ(difference(expected, records_on(server)), "");
    const Ended audit = sluice({"audit", kTrade}, server.url());
    ASSERT_EQ(audit.exit_code, 0) << audit.out;
  }
  EXPECT_GT(killed, 0);
}

// --- Hosts that run something else

class RedisHosts : public RedisTest {
 protected:
  void SetUp() override {
    RedisTest::SetUp();
    file_ = write_gate("pipeline.yaml", "1h");
    other_ = write_gate("other.yaml", "2h");
  }

  // A gate that waits so long, and a copy behind it.
  std::string write_gate(const std::string& name, const std::string& window) const {
    std::string path = folder_ + "/" + name;
    std::filesystem::rename(
        write_probe("  gate: { use: probe.gate, from: in, to: { out: out, late: late }, with: { "
                    "window: " +
                    window +
                    " } }\n  copy: { use: probe.copy, from: out, to: { out: "
                    "late } }\n"),
        path);
    return path;
  }

  Program run(const std::string& host, const std::string& file,
              const std::vector<std::string>& more = {},
              const std::string& plugins = kProbes) const {
    std::filesystem::create_directories(folder_ + "/" + host);
    std::vector<std::string> arguments = {"--plugins", plugins, "run", file};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Program(std::move(arguments), folder_ + "/" + host, variables(server_.url(), host));
  }
  // Hosts that the server has: fields "host:a/<digits>".
  std::set<std::string> hosts() {
    std::set<std::string> names;
    const auto all = server_.command({"HKEYS", "sluice:hosts:probe"});
    for (const redis::Reply& field : all.items)
      if (field.text.starts_with("host:"))
        names.insert(field.text.substr(5, field.text.rfind('/') - 5));
    return names;
  }
  void wait_for(const std::set<std::string>& wanted) {
    eventually("the hosts are there", [&] { return hosts() == wanted; });
  }
  std::string check(const std::string& file) const {
    return sluice({"--plugins", kProbes, "check", "--live", file}, server_.url()).out;
  }
  static void stop(Program& host) {
    host.signal(SIGTERM);
    const Ended ended = host.wait();
    EXPECT_EQ(ended.exit_code, 0) << ended.err;
  }

  RedisServer server_;
  std::string file_, other_;
};

TEST_F(RedisHosts, AnotherFileIsRefusedNamingHostAndStageUntilTheLastOneStops) {
  Program a = run("a", file_);
  wait_for({"a"});
  Program b = run("b", file_, {"--only", "copy"});
  wait_for({"a", "b"});
  EXPECT_THAT(check(file_), HasSubstr("2 hosts, same pipeline: a, b"));
  const Ended refused = run("c", other_).wait();
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, ::testing::ContainsRegex(
                               "pipeline probe is run by host [ab], with another stage gate "
                               "\\(with.window\\); update all hosts"));
  EXPECT_THAT(check(other_), HasSubstr("error S0612: host a runs probe with another stage gate"));
  stop(a);
  EXPECT_EQ(run("c", other_).wait().exit_code, 3);
  stop(b);
  EXPECT_EQ(server_.command({"EXISTS", "sluice:hosts:probe"}).integer, 0);
  Program c = run("c", other_);
  wait_for({"c"});
  stop(c);
}

// The bytes behind the end of a library change nothing of what it does.
TEST_F(RedisHosts, AnotherBuildOfAPluginIsRefusedNamingItsFile) {
  const std::string plugins = folder_ + "/plugins";
  std::filesystem::create_directories(plugins);
  std::filesystem::copy(kProbes + "/probe.so", plugins + "/probe.so");
  std::ofstream(plugins + "/probe.so", std::ios::app) << "another build";
  Program a = run("a", file_);
  wait_for({"a"});
  const Ended refused = run("b", file_, {}, plugins).wait();
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, HasSubstr("by host a, with another plugin probe.so (here "));
  stop(a);
}

TEST_F(RedisHosts, AMixedOneRunsBesideTheOthersAndBothSidesSaySo) {
  Program a = run("a", file_);
  wait_for({"a"});
  Program b = run("b", other_, {"--mixed"});
  wait_for({"a", "b"});
  const std::string looked = check(file_);
  EXPECT_THAT(looked, HasSubstr("2 hosts, not the same pipeline: a, b (--mixed)"));
  EXPECT_THAT(looked, HasSubstr("warning S0613: 2 hosts of pipeline probe run 2 different things"));
  b.signal(SIGTERM);
  EXPECT_THAT(b.wait().err, HasSubstr("warning mixed: pipeline probe is run by host a"));
  stop(a);
}

TEST_F(RedisHosts, AfterAKillAndAStandstillAnotherFileEntersAndWhoWakesUpStops) {
  Program a = run("a", file_), b = run("b", file_);
  wait_for({"a", "b"});
  a.signal(SIGKILL);
  a.wait();
  b.signal(SIGSTOP);
  Program c = run("c", other_);
  wait_for({"c"});
  b.signal(SIGCONT);
  const Ended stopped = b.wait();
  EXPECT_EQ(stopped.exit_code, 3);
  EXPECT_THAT(stopped.err, HasSubstr("pipeline probe is run by host c"));
  EXPECT_THAT(stopped.err, HasSubstr("it stops"));
  server_.command({"XADD", "out", "*", "id", "1"});
  eventually("c works", [&] { return length(server_, "late") == 1; });
  stop(c);
}

TEST_F(RedisHosts, InShardsEachIsGuardedAndARefusedStartLeavesNone) {
  for (const std::string& path : {file_, other_}) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    std::string file = text.str();
    file.insert(file.find("kind: redis"), "shards: 2, shard_by: id, ");
    std::ofstream(path) << file;
  }
  const auto keys = [&] {
    std::set<std::string> names;
    for (const redis::Reply& key : server_.command({"KEYS", "sluice:hosts:*"}).items)
      names.insert(key.text);
    return names;
  };
  Program a = run("a", file_);
  const std::set<std::string> both = {"sluice:hosts:{probe/0}:probe",
                                      "sluice:hosts:{probe/1}:probe"};
  eventually("a is in both shards", [&] { return keys() == both; });
  EXPECT_EQ(run("b", other_).wait().exit_code, 3);
  EXPECT_THAT(check(file_), HasSubstr("1 host: a"));
  stop(a);
  EXPECT_TRUE(keys().empty());
}

// A host is stopped while it holds entries, the other one claims them, and the first goes on.
TEST_F(RedisTest, AHostStoppedForLongerThanTheClaimTimeDoublesNothing) {
  RedisServer server;
  const std::string path =
      write_probe("  copy: { use: probe.copy, from: in, to: { out: out }, batch: 20 }\n");
  Program a = serve_probe(path, server, "a");
  Program b = serve_probe(path, server, "b");
  std::set<std::string> expected;
  const auto add = [&](size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const std::string id = std::to_string(expected.size());
      expected.insert(id);
      server.command({"XADD", "in", "*", "id", id});
    }
  };
  eventually("both hosts read", [&] {
    add(1);
    return server.command({"XINFO", "CONSUMERS", "in", "copy"}).items.size() == 2;
  });
  const auto held_by_a = [&] {
    return server.command({"XPENDING", "in", "copy", "-", "+", "100", "probe-copy-a"}).items.size();
  };
  size_t held = 0;
  eventually("the first host is stopped with entries in its hands", [&] {
    add(20);
    a.signal(SIGSTOP);
    held_by_a();  // behind it the server has done all that was sent before
    held = held_by_a();
    if (held == 0) a.signal(SIGCONT);
    return held > 0;
  });
  add(500);
  eventually("all is done without the stopped host",
             [&] { return length(server, "out") >= expected.size(); });
  EXPECT_EQ(held_by_a(), 0u);
  a.signal(SIGCONT);
  add(500);
  eventually("nothing is pending", [&] {
    return length(server, "out") >= expected.size() &&
           server.command({"XPENDING", "in", "copy"}).items.at(0).integer == 0;
  });
  a.signal(SIGTERM);
  b.signal(SIGTERM);
  EXPECT_EQ(a.wait().exit_code, 0);
  const Ended other = b.wait();
  EXPECT_EQ(other.exit_code, 0);
  EXPECT_THAT(other.err, HasSubstr("left behind by other hosts taken over"));
  const auto met = ids(server, "out");
  EXPECT_EQ(met.size(), expected.size());
  EXPECT_EQ(std::set<std::string>(met.begin(), met.end()), expected);
}

// Killed on the embedded engine, moved, killed on Redis, moved back, and run to its end.
TEST_F(RedisTest, ARunThatMovesInTheMiddleEndsAsOneThatStays) {
  const std::string input = few_decisions(60);
  const auto expected = expected_records(input);
  const std::string store = folder_ + "/store";
  const auto entries = [&](RedisServer* server) -> size_t {
    const std::string intents = "quantum:stream:trade.intent";
    if (server != nullptr) return length(*server, intents);
    const auto looked = engine::EmbeddedStore::open_read_only(store, system_disk(), clock_);
    return looked ? (*looked)->length((*looked)->find_stream(intents)) : 0;
  };
  // The exchange is not the store's: its account stays.
  const auto remove_store = [&] {
    for (const auto& file : std::filesystem::directory_iterator(store))
      if (file.path().filename() != "paper") std::filesystem::remove_all(file.path());
  };
  int killed = 0;
  const auto run_until = [&](RedisServer* server, size_t intents) {
    Program host = start_trade(server == nullptr ? "" : server->url(), input);
    eventually("some intents are there", [&] { return entries(server) >= intents; });
    host.signal(SIGKILL);
    killed += host.wait().exit_code == -1 ? 1 : 0;
  };
  const auto move = [&](const std::string& from, const std::string& to) {
    Ended ended;
    // The server may not have seen yet that the host is gone.
    eventually("the mirror is there", [&] {
      // The host that goes on there takes up what is pending; others would claim it later.
      ended =
          sluice({"store", "mirror", kTrade, "--from", from, "--to", to, "--consumer", "a"}, "");
      return ended.exit_code != 4;
    });
    EXPECT_EQ(ended.exit_code, 0) << ended.out << ended.err;
    EXPECT_THAT(ended.out, HasSubstr("both say the same"));
  };
  for (const size_t intents : {3u, 12u, 25u}) {
    SCOPED_TRACE(intents);
    std::filesystem::remove_all(store);
    RedisServer server;
    run_until(nullptr, intents);
    move(store, server.url());
    remove_store();
    run_until(&server, intents + 8);
    move(server.url(), store);
    const Ended ended = start_trade("", input).wait();
    ASSERT_EQ(ended.exit_code, 0) << ended.err;
    const auto looked = engine::EmbeddedStore::open_read_only(store, system_disk(), clock_);
    ASSERT_TRUE(looked.is_ok());
    ASSERT_EQ(difference(expected, terminal_records(**looked)), "");
    const Ended audit = sluice({"audit", kTrade}, "");
    ASSERT_EQ(audit.exit_code, 0) << audit.out;
  }
  EXPECT_GT(killed, 0);
}

TEST_F(RedisTest, AMirrorOfWhatIsInUseOrNotEmptyIsRefusedAndChangesNothing) {
  RedisServer server;
  const std::string path = write_probe("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  const std::string to = folder_ + "/moved";
  const auto mirror = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"--plugins", kProbes, "store", "mirror", path};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return sluice(arguments, server.url());
  };
  {
    Program host = serve_probe(path, server, "a");
    eventually("the host has its group", [&] {
      return length(server, "in") == 0 &&
             server.command({"XINFO", "GROUPS", "in"}).items.size() == 1;
    });
    const Ended running = mirror({"--to", to});
    EXPECT_EQ(running.exit_code, 4) << running.out;
    EXPECT_THAT(running.err, HasSubstr("a host runs probe"));
    host.signal(SIGTERM);
    EXPECT_EQ(host.wait().exit_code, 0);
  }
  server.command({"XADD", "in", "*", "id", "1"});
  server.command({"XREADGROUP", "GROUP", "copy", "python", "STREAMS", "in", ">"});
  const Ended active = mirror({"--to", to});
  EXPECT_EQ(active.exit_code, 4) << active.out;
  EXPECT_THAT(active.err, HasSubstr("consumer python of group copy on in was active"));
  EXPECT_FALSE(std::filesystem::exists(to));

  server.command({"XGROUP", "DELCONSUMER", "in", "copy", "python"});
  std::filesystem::create_directories(to);
  std::ofstream(to + "/notes.txt") << "mine";
  EXPECT_EQ(mirror({"--to", to}).exit_code, 4);
  std::filesystem::remove_all(to);
  Ended moved = mirror({"--to", to, "--format", "json"});
  EXPECT_EQ(moved.exit_code, 0) << moved.err;
  EXPECT_THAT(moved.out, AllOf(HasSubstr(R"("did":"mirror")"), HasSubstr(R"("same":true)"),
                               HasSubstr(R"({"name":"in","entries":1,"groups":1,"pending":0})")));
  EXPECT_EQ(mirror({"--to", to, "--verify"}).exit_code, 0);

  const Ended back = mirror({"--from", to});
  EXPECT_EQ(back.exit_code, 4) << back.out;
  EXPECT_THAT(back.err, HasSubstr("stream in of length 1"));
  EXPECT_EQ(server.command({"EXISTS", "sluice:mirror:in"}).integer, 0);
  server.command({"XADD", "in", "*", "id", "2"});
  const Ended differs = mirror({"--to", to, "--verify"});
  EXPECT_EQ(differs.exit_code, 1);
  EXPECT_THAT(differs.out, HasSubstr("is only on the first"));
  EXPECT_THAT(mirror({"--to", to, "--verify", "--format", "json"}).out,
              AllOf(HasSubstr(R"("did":"verify")"), HasSubstr(R"("same":false)")));
}

TEST_F(RedisTest, HalfOfAMirrorIsStartedByNobody) {
  RedisServer server;
  const std::string path = write_probe("  copy: { use: probe.copy, from: in, to: { out: out } }\n");
  server.command({"XADD", "in", "*", "id", "1"});
  server.command({"SET", "sluice:mirror:in", "from var/probe"});
  const auto arguments = [&](std::vector<std::string> of) {
    of.insert(of.begin(), {"--plugins", kProbes});
    return of;
  };
  const Ended run = sluice(arguments({"run", path}), server.url());
  EXPECT_EQ(run.exit_code, 5);
  EXPECT_THAT(run.err, HasSubstr("a mirror into in did not finish"));
  const Ended again =
      sluice(arguments({"store", "mirror", path, "--to", folder_ + "/moved"}), server.url());
  EXPECT_EQ(again.exit_code, 5);
  EXPECT_THAT(again.err, HasSubstr("sluice:mirror:in is set"));
  EXPECT_THAT(again.err, HasSubstr("UNLINK"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/moved"));

  server.command({"DEL", "sluice:mirror:in"});
  ASSERT_EQ(sluice(arguments({"store", "mirror", path, "--to", folder_ + "/moved"}), server.url())
                .exit_code,
            0);
  std::ofstream(folder_ + "/moved/mirroring") << "from somewhere";
  const Ended cut = sluice(
      arguments({"store", "mirror", path, "--to", folder_ + "/moved", "--verify"}), server.url());
  EXPECT_EQ(cut.exit_code, 5);
  EXPECT_THAT(cut.err, HasSubstr("remove the folder and mirror again"));
}

TEST_F(RedisTest, LiveCheckSaysWhatTheServerPromises) {
  RedisServer safe({.append = RedisServer::Append::kAlways});
  const Ended good = sluice({"check", "--live", kTrade}, safe.url());
  EXPECT_EQ(good.exit_code, 0) << good.out << good.err;
  EXPECT_THAT(good.out, HasSubstr("nothing acked is lost, neither when the server is killed nor"));

  RedisServer cache({.config = {"maxmemory-policy allkeys-lru"}});
  const Ended bad = sluice({"check", "--live", kTrade}, cache.url());
  EXPECT_EQ(bad.exit_code, 4) << bad.out;
  EXPECT_THAT(bad.out, HasSubstr("S0608"));
  EXPECT_THAT(bad.out, HasSubstr("S0610"));

  EXPECT_EQ(sluice({"check", "--live", kTrade}, "unix:///nonexistent/socket").exit_code, 4);
}

TEST_F(RedisTest, CommandsOfOperatorsHoldAtOnce) {
  RedisServer server;
  const Ended ended = sluice({"ctl", kTrade, "kill", "on", "--reason", "a test"}, server.url());
  EXPECT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("sees it at once"));
  EXPECT_EQ(server.command({"EXISTS", "quantum:kill"}).integer, 1);
  EXPECT_EQ(length(server, "quantum:stream:operator.command"), 1u);
  const Ended streams = sluice({"streams", kTrade}, server.url());
  EXPECT_EQ(streams.exit_code, 0) << streams.err;
}

// --- On a cluster

const std::string kFourShards = R"(  shards: 4
  shard_by: symbol
  per_shard:
    - quantum:kill
    - quantum:global:kill_switch
    - quantum:apply:disarmed
    - "quantum:governor:disarm:{day}"
    - "quantum:governor:daily_trades:{day}"
    - "quantum:governor:errors:{day}"
    - "quantum:governor:{counter}"
    - quantum:exec:rate:global
    - quantum:exec:margin_fails
    - "quantum:exec:fills:{account}"
    - quantum:safety:safe_mode
    - quantum:safety:cooldown_global
    - "quantum:safety:rate:global:{window}"
)";

class ClusterTest : public RedisTest {
 protected:
  // What a calm run on the embedded engine ends with; the exchange forgets it.
  std::multiset<std::string> calm_records(const std::string& input) const {
    auto records = expected_records(input);
    std::filesystem::remove_all(folder_ + "/store");
    return records;
  }
  static bool exists(RedisCluster& cluster, const std::string& key) {
    return cluster.master_of(redis::slot_of(key)).command({"EXISTS", key}).integer == 1;
  }
};

TEST_F(ClusterTest, OneShardEndsAsTheEmbeddedEngine) {
  RedisCluster cluster(3);
  const std::string input = few_decisions(80), file = write_trade("  shards: 1\n");
  const auto expected = calm_records(input);
  ASSERT_FALSE(expected.empty());
  const Ended ended = start_trade(cluster.url(), input, file).wait();
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("\"balanced\":true"));
  EXPECT_EQ(difference(expected, records_in_shards(cluster.url(), 1)), "");
  const Ended audit = sluice({"audit", file}, cluster.url());
  EXPECT_EQ(audit.exit_code, 0) << audit.out << audit.err;
}

// The limits over all symbols are not met by these lines, and every line has its symbol.
TEST_F(ClusterTest, FourShardsEndAsTheEmbeddedEngineAndOperatorsReachAllOfThem) {
  RedisCluster cluster(3);
  const std::string input = few_decisions(80), file = write_trade(kFourShards);
  const auto expected = calm_records(input);
  const Ended ended = start_trade(cluster.url(), input, file).wait();
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("\"balanced\":true"));
  EXPECT_EQ(difference(expected, records_in_shards(cluster.url(), 4)), "");
  const Ended audit = sluice({"audit", file}, cluster.url());
  EXPECT_EQ(audit.exit_code, 0) << audit.out << audit.err;
  for (const std::string shard : {"0", "1", "2", "3"})
    EXPECT_THAT(audit.out, HasSubstr("shard " + shard + " of 4"));

  const Ended kill = sluice({"ctl", file, "kill", "on", "--reason", "a test"}, cluster.url());
  EXPECT_EQ(kill.exit_code, 0) << kill.err;
  EXPECT_THAT(kill.out, HasSubstr("In all 4 shards."));
  const Ended hold = sluice({"ctl", file, "hold", "BTCUSDT", "--reason", "a test"}, cluster.url());
  EXPECT_THAT(hold.out, HasSubstr("In shard 1 of 4."));
  for (uint32_t shard = 0; shard < 4; ++shard) {
    const std::string prefix = redis::shard_prefix("trade", shard);
    EXPECT_TRUE(exists(cluster, prefix + "quantum:kill")) << shard;
    EXPECT_EQ(exists(cluster, prefix + "quantum:reconcile:hold:BTCUSDT"), shard == 1) << shard;
  }
}

TEST_F(ClusterTest, AKillSwitchIsSetWhereAShardCanBeReachedAndTheOthersAreNamed) {
  RedisCluster cluster(3, 0, {"cluster-require-full-coverage no"});
  const std::string file = write_trade(kFourShards);
  const auto master_of = [&](uint32_t shard) {
    return &cluster.master_of(redis::slot_of(redis::shard_prefix("trade", shard)));
  };
  RedisServer* const dead = master_of(2);
  dead->kill();
  const Ended kill = sluice({"ctl", file, "kill", "on", "--reason", "a test"}, cluster.url());
  EXPECT_EQ(kill.exit_code, 6) << kill.out;
  EXPECT_THAT(kill.err, HasSubstr("not done in shard "));
  EXPECT_THAT(kill.err, HasSubstr("say it again"));
  int set = 0;
  for (uint32_t shard = 0; shard < 4; ++shard) {
    if (master_of(shard) == dead) continue;
    EXPECT_TRUE(exists(cluster, redis::shard_prefix("trade", shard) + "quantum:kill")) << shard;
    ++set;
  }
  EXPECT_GT(set, 0);
}

// What a failover takes back ends the run before anything is sent on it, and the next one does it.
TEST_F(ClusterTest, AMasterKilledUnderLoadLosesAndDoublesNothing) {
  const std::string input = few_decisions(40);
  const std::string file = write_trade(kFourShards + "  min_replicas: 1\n");
  const auto expected = calm_records(input);
  RedisCluster cluster(3, 1);
  Program run = start_trade(cluster.url(), input, file);
  const std::string orders = redis::shard_prefix("trade", 1) + "quantum:stream:apply.order";
  const uint16_t slot = redis::slot_of(orders);
  RedisServer& master = cluster.master_of(slot);
  size_t replica = 3;  // of the first master
  while (&cluster.node(replica - 3) != &master) ++replica;
  eventually("orders are sent", [&] { return master.command({"XLEN", orders}).integer > 0; });
  master.kill();
  eventually("its replica takes over", [&] {
    const redis::Reply role = cluster.node(replica).command({"ROLE"});
    return role.items.at(0).text == "master";
  });
  master.start();  // as the replica that acts wait for
  Ended ended = run.wait();
  for (int tries = 0; ended.exit_code != 0 && tries < 5; ++tries)
    ended = start_trade(cluster.url(), input, file).wait();
  ASSERT_EQ(ended.exit_code, 0) << ended.err;
  EXPECT_EQ(difference(expected, records_in_shards(cluster.url(), 4)), "");
  const Ended audit = sluice({"audit", file}, cluster.url());
  EXPECT_EQ(audit.exit_code, 0) << audit.out << audit.err;
}

}  // namespace
}  // namespace sluice
