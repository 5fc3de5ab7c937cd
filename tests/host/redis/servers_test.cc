// Calls that outlast what happens to servers: single ones, a master with sentinels, a cluster.
#include "redis/servers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "fixtures/redis_server.h"
#include "host/redis/fake_network.h"
#include "redis/cluster.h"

namespace sluice::redis {
namespace {

using namespace std::chrono_literals;
using sluice::testing::eventually;
using sluice::testing::Faults;
using sluice::testing::FaultyNetwork;
using sluice::testing::RedisCluster;
using sluice::testing::RedisReplicas;
using sluice::testing::RedisServer;
using ::testing::HasSubstr;

Commands command(std::initializer_list<std::string_view> arguments) {
  Commands made;
  made.add(arguments);
  return made;
}

class RedisServers : public ::testing::Test {
 protected:
  Servers& open(const std::string& url, Servers::Options options = {}) {
    const auto target = parse_url(url);
    EXPECT_TRUE(target.is_ok()) << target.status().text();
    options.target = *target;
    options.seed = 1;
    servers_ = std::make_unique<Servers>(std::move(options), network_);
    return *servers_;
  }

  // The reply to one command, which is not to fail.
  Reply call(std::string_view key, std::initializer_list<std::string_view> arguments) {
    auto answer = servers_->call(key, command(arguments));
    EXPECT_TRUE(answer.is_ok()) << answer.status().text();
    return answer ? std::move(answer->replies[0]) : Reply();
  }

  Faults faults_;
  FaultyNetwork network_{faults_};
  std::unique_ptr<Servers> servers_;
};

TEST_F(RedisServers, OneConnectionServesCallsThatFollowEachOther) {
  RedisServer server;
  open(server.url());
  for (int i = 1; i <= 5; ++i) EXPECT_EQ(call("n", {"INCR", "n"}).integer, i);
  EXPECT_EQ(faults_.connected, 1u);
}

TEST_F(RedisServers, LeasesAreConnectionsOfTheirOwnAndComeBack) {
  RedisServer server;
  Servers& servers = open(server.url());
  {
    const auto first = servers.any();
    const auto second = servers.any();
    ASSERT_TRUE(first.is_ok() && second.is_ok());
    EXPECT_NE(&**first, &**second);
  }
  const auto third = servers.for_key("k");
  ASSERT_TRUE(third.is_ok());
  EXPECT_EQ(faults_.connected, 2u);
}

TEST_F(RedisServers, NoMoreConnectionsThanAllowedAreOpenAtOnce) {
  RedisServer server;
  Servers& servers = open(server.url(), {.connections_max = 2});
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 50; ++k) failed += !servers.call("n", command({"INCR", "n"}));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, 0);
  EXPECT_EQ(call("n", {"GET", "n"}).text, "400");
  EXPECT_LE(faults_.connected, 2u);
}

TEST_F(RedisServers, CallWithAllConnectionsInUseGivesUpAndSaysSo) {
  RedisServer server;
  Servers& servers = open(
      server.url(), {.timeouts = {.connect = 5ms}, .give_up_after = 10ms, .connections_max = 1});
  const auto lease = servers.any();
  ASSERT_TRUE(lease.is_ok());
  const auto answer = servers.call("k", command({"GET", "k"}));
  EXPECT_EQ(answer.status().code(), Code::kUnavailable);
  EXPECT_THAT(answer.status().text(), HasSubstr("all 1 connections are in use"));
}

TEST_F(RedisServers, ServerKilledBetweenCallsIsFoundAgain) {
  RedisServer server({.append = RedisServer::Append::kAlways});
  open(server.url());
  call("n", {"INCR", "n"});
  server.restart();
  EXPECT_EQ(call("n", {"INCR", "n"}).integer, 2);
}

TEST_F(RedisServers, ServerThatIsAwayForAWhileIsWaitedFor) {
  RedisServer server({.append = RedisServer::Append::kAlways});
  Servers& servers = open(server.url());
  call("n", {"INCR", "n"});
  server.kill();
  std::atomic<bool> called = false;
  Result<Servers::Answer> answer = Status(Code::kClosed, "not called");
  std::thread caller([&] {
    called = true;
    answer = servers.call("n", command({"INCR", "n"}));
  });
  eventually("the call is made", [&] { return called.load(); });
  server.start();
  caller.join();
  ASSERT_TRUE(answer.is_ok()) << answer.status().text();
  EXPECT_EQ(answer->replies[0].integer, 2);
}

TEST_F(RedisServers, CallGivesUpAndSaysWhy) {
  RedisServer server;
  Servers& servers = open(server.url(), {.give_up_after = 20ms});
  server.kill();
  const auto start = std::chrono::steady_clock::now();
  const auto answer = servers.call("k", command({"GET", "k"}));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 20ms);
  EXPECT_EQ(answer.status().code(), Code::kUnavailable);
  EXPECT_THAT(answer.status().text(), HasSubstr("cannot connect"));
  EXPECT_THAT(answer.status().text(), HasSubstr("(tried for 0.02 s)"));
}

TEST_F(RedisServers, ReplyThatIsLostIsToldAsRepeated) {
  RedisServer server;
  Servers& servers = open(server.url());
  const auto first = servers.call("n", command({"INCR", "n"}));
  ASSERT_TRUE(first.is_ok());
  EXPECT_FALSE(first->repeated);
  faults_.cut_after_received = 1;
  const auto second = servers.call("n", command({"INCR", "n"}));
  ASSERT_TRUE(second.is_ok());
  EXPECT_TRUE(second->repeated);
  EXPECT_EQ(second->replies[0].integer, 3);  // done twice, as said
}

TEST_F(RedisServers, CallCutAtAnyByteIsDoneOnceOrToldAsRepeated) {
  RedisServer server;
  Servers& servers = open(server.url());
  const Commands wanted = command({"INCR", "n"});
  int64_t done = 0;
  for (size_t sent = 0; sent < wanted.bytes().size(); ++sent) {
    faults_.cut_after_sent = sent;
    const auto answer = servers.call("n", wanted);
    ASSERT_TRUE(answer.is_ok()) << answer.status().text();
    EXPECT_EQ(answer->replies[0].integer, ++done) << "cut after sending " << sent;
  }
  for (size_t received = 0; received < 4; ++received) {
    faults_.cut_after_received = received;
    const auto answer = servers.call("n", wanted);
    ASSERT_TRUE(answer.is_ok()) << answer.status().text();
    EXPECT_TRUE(answer->repeated);
    EXPECT_EQ(answer->replies[0].integer, done += 2) << "cut after receiving " << received;
  }
}

TEST_F(RedisServers, BrokenConnectTellsNothingAsRepeated) {
  RedisServer server;
  Servers& servers = open(server.url(), {.give_up_after = 5ms});
  faults_.refuses = true;
  EXPECT_EQ(servers.call("n", command({"INCR", "n"})).status().code(), Code::kUnavailable);
  faults_.refuses = false;
  const auto answer = servers.call("n", command({"INCR", "n"}));
  ASSERT_TRUE(answer.is_ok());
  EXPECT_FALSE(answer->repeated);
}

TEST_F(RedisServers, WrongPasswordIsNotTriedAgain) {
  RedisServer server({.password = "right"});
  Servers& servers = open("unix://:wrong@" + server.endpoint().path);
  const auto answer = servers.call("k", command({"GET", "k"}));
  EXPECT_EQ(answer.status().code(), Code::kInvalid);
  EXPECT_THAT(answer.status().text(), HasSubstr("AUTH as user default: WRONGPASS"));
  EXPECT_EQ(faults_.connected, 1u);
}

TEST_F(RedisServers, ErrorThatStaysIsAReply) {
  RedisServer server;
  open(server.url());
  call("k", {"SET", "k", "text"});
  EXPECT_THAT(call("k", {"XADD", "k", "*", "f", "v"}).text, HasSubstr("WRONGTYPE"));
}

TEST_F(RedisServers, OnlyWhatWasRefusedForNowIsSentAgain) {
  RedisServer server({.config = {"maxmemory-policy noeviction"}});
  Servers& servers = open(server.url());
  server.command({"CONFIG", "SET", "maxmemory", "1"});
  Commands both;
  both.add({"SET", "k", "v"});       // needs memory
  both.add({"PUBLISH", "c", "hi"});  // does not
  Result<Servers::Answer> answer = Status(Code::kClosed, "not called");
  std::thread caller([&] { answer = servers.call("k", both); });
  eventually("it was refused",
             [&] { return server.info("errorstat_OOM").find("count=") != std::string::npos; });
  server.command({"CONFIG", "SET", "maxmemory", "0"});
  caller.join();
  ASSERT_TRUE(answer.is_ok()) << answer.status().text();
  EXPECT_EQ(answer->replies[0].text, "OK");
  EXPECT_EQ(answer->replies[1].integer, 0);
  EXPECT_FALSE(answer->repeated);
  EXPECT_THAT(server.info("cmdstat_publish"), HasSubstr("calls=1,"));
}

TEST_F(RedisServers, FrozenServerIsLeftAfterTheTimeoutAndFoundAgain) {
  RedisServer server;
  Servers& servers = open(server.url(), {.timeouts = {.reply = 30ms}});
  call("k", {"SET", "k", "v"});
  server.freeze();
  Result<Servers::Answer> answer = Status(Code::kClosed, "not called");
  std::thread caller([&] { answer = servers.call("k", command({"GET", "k"})); });
  eventually("another connection is tried", [&] { return faults_.connected >= 2; });
  server.resume();
  caller.join();
  ASSERT_TRUE(answer.is_ok()) << answer.status().text();
  EXPECT_EQ(answer->replies[0].text, "v");
  EXPECT_TRUE(answer->repeated);
}

TEST_F(RedisServers, CloseEndsCallsThatWaitAndLaterOnes) {
  RedisServer server;
  Servers& servers = open(server.url());
  Result<Servers::Answer> blocked = Status(Code::kInvalid, "not called");
  std::thread caller([&] { blocked = servers.call("k", command({"BLPOP", "k", "0"}), 60s); });
  eventually("a client waits", [&] {
    return server.command({"CLIENT", "LIST"}).text.find("cmd=blpop") != std::string::npos;
  });
  servers.close();
  caller.join();
  EXPECT_EQ(blocked.status().code(), Code::kClosed);
  EXPECT_EQ(servers.any().status().code(), Code::kClosed);
}

TEST_F(RedisServers, CloseEndsAPauseBetweenTries) {
  RedisServer server;
  Servers& servers = open(server.url());
  faults_.refuses = true;
  Result<Servers::Answer> answer = Status(Code::kInvalid, "not called");
  std::thread caller([&] { answer = servers.call("k", command({"GET", "k"})); });
  servers.close();
  caller.join();
  EXPECT_EQ(answer.status().code(), Code::kClosed);
}

TEST_F(RedisServers, OfSeveralServersTheOneThatIsAMasterServes) {
  RedisServer master({.tcp = true});
  RedisServer replica(
      {.tcp = true, .config = {"replicaof 127.0.0.1 " + std::to_string(master.port())}});
  eventually("the replica follows", [&] { return replica.info("master_link_status") == "up"; });
  open("redis://" + replica.tcp().text() + "," + master.tcp().text());
  EXPECT_EQ(call("k", {"SET", "k", "v"}).text, "OK");
  // Roles change: the one that was the master refuses to write, the other takes over.
  replica.command({"REPLICAOF", "NO", "ONE"});
  master.command({"REPLICAOF", "127.0.0.1", std::to_string(replica.port())});
  EXPECT_EQ(call("k", {"SET", "k", "w"}).text, "OK");
  EXPECT_EQ(replica.command({"GET", "k"}).text, "w");
}

// Sentinels

TEST_F(RedisServers, SentinelsNameTheMasterAndFailoverIsFollowed) {
  RedisReplicas replicas(1, 3);
  open(replicas.url());
  EXPECT_EQ(call("k", {"SET", "k", "before"}).text, "OK");
  eventually("the replica has it", [&] {
    return replicas.server(1).command({"GET", "k"}).text == "before";
  });
  replicas.server(0).kill();
  EXPECT_EQ(call("k", {"SET", "k", "after"}).text, "OK");
  EXPECT_EQ(replicas.server(1).command({"GET", "k"}).text, "after");
}

TEST_F(RedisServers, MasterThatWasDemotedIsLeft) {
  RedisReplicas replicas(1, 1);
  open(replicas.url());
  call("k", {"SET", "k", "before"});
  const std::string port = std::to_string(replicas.server(1).port());
  replicas.server(1).command({"REPLICAOF", "NO", "ONE"});
  replicas.server(0).command({"REPLICAOF", "127.0.0.1", port});
  RedisServer& sentinel = replicas.sentinel(0);
  ASSERT_EQ(sentinel.command({"SENTINEL", "REMOVE", "main"}).text, "OK");
  ASSERT_EQ(sentinel.command({"SENTINEL", "MONITOR", "main", "127.0.0.1", port, "1"}).text, "OK");
  EXPECT_EQ(call("k", {"SET", "k", "after"}).text, "OK");
  EXPECT_EQ(replicas.server(1).command({"GET", "k"}).text, "after");
}

TEST_F(RedisServers, SentinelThatIsAwayOrKnowsNothingIsPassedOver) {
  RedisReplicas replicas(0, 1);
  RedisServer other({.config = {}, .sentinel = true});
  const std::string url =
      "redis+sentinel://127.0.0.1:" + std::to_string(sluice::testing::free_port()) + "," +
      "127.0.0.1:" + std::to_string(other.port()) + "," +
      "127.0.0.1:" + std::to_string(replicas.sentinel(0).port()) + "/main";
  open(url);
  EXPECT_EQ(call("k", {"SET", "k", "v"}).text, "OK");

  Servers& nobody = open("redis+sentinel://127.0.0.1:" + std::to_string(other.port()) + "/main",
                         {.give_up_after = 5ms});
  EXPECT_THAT(nobody.any().status().text(), HasSubstr("knows no master main"));
}

// Clusters

TEST(RedisSlots, AreThoseOfTheSpecification) {
  EXPECT_EQ(slot_of("123456789"), 0x31C3 % kSlots);  // the specification's check value of CRC16
  EXPECT_EQ(slot_of("foo"), 12182);                  // as CLUSTER KEYSLOT says
  EXPECT_EQ(slot_of(""), 0);
  EXPECT_EQ(slot_of("{user1000}.following"), slot_of("user1000"));
  EXPECT_EQ(slot_of("{user1000}.followers"), slot_of("user1000"));
  EXPECT_EQ(slot_of("foo{bar}{zap}"), slot_of("bar"));
  EXPECT_EQ(slot_of("foo{{bar}}zap"), slot_of("{bar"));
  EXPECT_NE(slot_of("foo{}{bar}"), slot_of("bar"));
  EXPECT_NE(slot_of("foo{bar"), slot_of("bar"));
  EXPECT_NE(slot_of("foo}bar{zap"), slot_of("zap"));
}

TEST(RedisRedirection, NamesSlotAndServer) {
  const Endpoint by{.host = "10.0.0.1", .port = 7000, .tls = true, .ca_file = "/ca"};
  const auto moved = parse_redirection("MOVED 3999 127.0.0.1:6381", by);
  ASSERT_TRUE(moved);
  EXPECT_FALSE(moved->asks);
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->endpoint,
            (Endpoint{.host = "127.0.0.1", .port = 6381, .tls = true, .ca_file = "/ca"}));
  EXPECT_TRUE(parse_redirection("ASK 1 db.example:6381", by)->asks);
  EXPECT_EQ(parse_redirection("MOVED 1 :6381", by)->endpoint.text(), "10.0.0.1:6381");
  EXPECT_EQ(parse_redirection("MOVED 1 ::1:6381", by)->endpoint.text(), "[::1]:6381");
  for (const std::string_view odd :
       {"MOVED", "MOVED ", "MOVED 1", "MOVED x 1.2.3.4:1", "MOVED 16384 1.2.3.4:1",
        "MOVED 1 1.2.3.4:0", "MOVED 1 1.2.3.4", "MOVED 1 1.2.3.4:99999", "ASKING 1 1.2.3.4:1",
        "READONLY You can't"})
    EXPECT_FALSE(parse_redirection(odd, by)) << odd;
}

class RedisClusterServers : public RedisServers {
 protected:
  // A key with a slot of these.
  static std::string key_in(uint16_t first, uint16_t last) {
    for (int i = 0;; ++i) {
      std::string key = "k" + std::to_string(i);
      if (slot_of(key) >= first && slot_of(key) <= last) return key;
    }
  }
};

TEST_F(RedisClusterServers, SlotsAreAsTheServerComputesThem) {
  RedisServer server({.config = {"cluster-enabled yes"}});
  for (const std::string key : {"", "a", "{user1000}.following", "foo{}{bar}", "foo{{bar}}zap",
                                "foo{bar}{zap}", "{a", "a}", "{}", "sluice:since:x", "\xff\x80"})
    EXPECT_EQ(server.command({"CLUSTER", "KEYSLOT", key}).integer, slot_of(key)) << key;
}

TEST_F(RedisClusterServers, EachKeyIsAtItsNodeWithoutBeingSentOn) {
  RedisCluster cluster(3);
  Servers& servers = open(cluster.url());
  for (int i = 0; i < 100; ++i) {
    const std::string key = "key" + std::to_string(i);
    EXPECT_EQ(call(key, {"SET", key, "v"}).text, "OK");
    EXPECT_EQ(cluster.master_of(slot_of(key)).command({"GET", key}).text, "v");
  }
  for (size_t i = 0; i < 3; ++i)
    EXPECT_EQ(cluster.node(i).info("errorstat_MOVED"), "") << "node " << i;
  const auto masters = servers.masters();
  ASSERT_TRUE(masters.is_ok());
  EXPECT_EQ(masters->size(), 3u);
  int64_t keys = 0;
  for (const Endpoint& master : *masters) {
    const auto answer = servers.call_at(master, command({"DBSIZE"}));
    ASSERT_TRUE(answer.is_ok());
    keys += answer->replies[0].integer;
  }
  EXPECT_EQ(keys, 100);
}

TEST_F(RedisClusterServers, SlotThatMovesIsFollowedDuringAndAfter) {
  RedisCluster cluster(2);
  open(cluster.url());
  const std::string here = key_in(0, 8191), tag = "{" + here + "}";
  const std::string slot = std::to_string(slot_of(here));
  RedisServer& from = cluster.node(0);
  RedisServer& to = cluster.node(1);
  call(here, {"SET", here, "old"});

  const std::string from_id = from.command({"CLUSTER", "MYID"}).text;
  const std::string to_id = to.command({"CLUSTER", "MYID"}).text;
  ASSERT_EQ(to.command({"CLUSTER", "SETSLOT", slot, "IMPORTING", from_id}).text, "OK");
  ASSERT_EQ(from.command({"CLUSTER", "SETSLOT", slot, "MIGRATING", to_id}).text, "OK");
  // A key that is still there, and one that is not: ASK.
  EXPECT_EQ(call(here, {"GET", here}).text, "old");
  const std::string fresh = tag + "fresh";
  EXPECT_EQ(call(fresh, {"SET", fresh, "new"}).text, "OK");
  EXPECT_THAT(from.info("errorstat_ASK"), HasSubstr("count=1"));

  ASSERT_EQ(
      from.command({"MIGRATE", "127.0.0.1", std::to_string(to.port()), here, "0", "5000"}).text,
      "OK");
  ASSERT_EQ(to.command({"CLUSTER", "SETSLOT", slot, "NODE", to_id}).text, "OK");
  ASSERT_EQ(from.command({"CLUSTER", "SETSLOT", slot, "NODE", to_id}).text, "OK");
  EXPECT_EQ(call(here, {"GET", here}).text, "old");
  EXPECT_EQ(call(fresh, {"GET", fresh}).text, "new");
  EXPECT_THAT(from.info("errorstat_MOVED"), HasSubstr("count=1"));
}

TEST_F(RedisClusterServers, BatchOfAMovedSlotIsDoneOnceAndInOrder) {
  RedisCluster cluster(2);
  Servers& servers = open(cluster.url());
  const std::string key = key_in(0, 8191);
  call(key, {"GET", key});
  const std::string slot = std::to_string(slot_of(key));
  const std::string to_id = cluster.node(1).command({"CLUSTER", "MYID"}).text;
  ASSERT_EQ(cluster.node(1).command({"CLUSTER", "SETSLOT", slot, "NODE", to_id}).text, "OK");
  ASSERT_EQ(cluster.node(0).command({"CLUSTER", "SETSLOT", slot, "NODE", to_id}).text, "OK");
  Commands batch;
  for (const std::string_view part : {"a", "b", "c"}) batch.add({"APPEND", key, part});
  const auto answer = servers.call(key, batch);
  ASSERT_TRUE(answer.is_ok()) << answer.status().text();
  EXPECT_EQ(answer->replies[2].integer, 3);
  EXPECT_EQ(call(key, {"GET", key}).text, "abc");
}

TEST_F(RedisClusterServers, MasterThatDiesIsReplacedByItsReplica) {
  RedisCluster cluster(3, 1);
  open(cluster.url());
  const std::string key = key_in(0, 100);
  call(key, {"SET", key, "before"});
  eventually("the replica has it", [&] {
    cluster.node(3).command({"READONLY"});
    return cluster.node(3).command({"GET", key}).text == "before";
  });
  cluster.node(0).kill();
  EXPECT_EQ(call(key, {"GET", key}).text, "before");
  EXPECT_EQ(call(key, {"SET", key, "after"}).text, "OK");
  EXPECT_EQ(cluster.node(3).command({"GET", key}).text, "after");
}

TEST_F(RedisClusterServers, MasterThatIsSilentIsReplacedAndWhatItHadIsAskedForAgain) {
  RedisCluster cluster(3, 1);
  open(cluster.url(), {.timeouts = {.reply = 200ms}});
  const std::string key = key_in(0, 100);
  call(key, {"SET", key, "before"});
  cluster.node(0).freeze();
  EXPECT_EQ(call(key, {"SET", key, "after"}).text, "OK");
  EXPECT_EQ(cluster.node(3).command({"GET", key}).text, "after");
  cluster.node(0).resume();
  EXPECT_EQ(call(key, {"GET", key}).text, "after");
}

}  // namespace
}  // namespace sluice::redis
