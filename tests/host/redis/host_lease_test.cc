// Hosts of one pipeline on a real server: who may enter beside whom, and for how long.
#include "redis/host_lease.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "fixtures/redis_server.h"
#include "host/redis/fake_network.h"

namespace sluice::redis {
namespace {

using sluice::testing::eventually;
using sluice::testing::Faults;
using sluice::testing::FaultyNetwork;
using sluice::testing::RedisServer;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kKey[] = "sluice:hosts:trade";

class HostLeases : public ::testing::Test {
 protected:
  // Renewed often, so that a living host shows soon. `runs`: a letter for what is run.
  HostLease::Options options(const std::string& consumer, const std::string& runs) const {
    HostLease::Options options;
    options.servers.target.endpoints = {server_.endpoint()};
    options.servers.give_up_after = milliseconds(200);
    options.pipeline = "trade";
    options.consumer = consumer;
    options.runs = {runs, "what " + runs + " is"};
    options.length = milliseconds(20'000);
    options.interval = milliseconds(50);
    options.difference = [runs](std::string_view there) {
      return "thing (" + runs + " here, there " + std::string(there) + ")";
    };
    return options;
  }

  Result<std::unique_ptr<HostLease>> join(const std::string& consumer, const std::string& runs) {
    return HostLease::join(options(consumer, runs), network_);
  }
  Result<std::unique_ptr<HostLease>> join_mixed(const std::string& consumer,
                                                const std::string& runs) {
    HostLease::Options with = options(consumer, runs);
    with.mixed = true;
    return HostLease::join(std::move(with), network_);
  }

  // "a: b, mixed": consumers, and what they run.
  std::vector<std::string> living() {
    const HostLease::Options with = options("", "");
    Servers servers(with.servers, system_network());
    const auto hosts = find_hosts(servers, with.servers.target, "trade");
    EXPECT_TRUE(hosts.is_ok()) << hosts.status().text();
    std::vector<std::string> names;
    for (const Host& host : *hosts)
      names.push_back(host.consumer + ": " + host.runs.text + (host.mixed ? ", mixed" : ""));
    return names;
  }
  bool is_there() { return server_.command({"EXISTS", kKey}).integer == 1; }

  RedisServer server_;
  Faults faults_;
  FaultyNetwork network_{faults_};
};

TEST_F(HostLeases, ThoseThatRunTheSameEnterAndTheLastLeavesNothingBehind) {
  auto a = join("a", "1"), b = join("b", "1");
  ASSERT_TRUE(a.is_ok()) << a.status().text();
  ASSERT_TRUE(b.is_ok()) << b.status().text();
  EXPECT_THAT(living(), ElementsAre("a: what 1 is", "b: what 1 is"));
  EXPECT_TRUE((*a)->check().is_ok());
  a->reset();
  EXPECT_THAT(living(), ElementsAre("b: what 1 is"));
  b->reset();
  EXPECT_FALSE(is_there());
}

TEST_F(HostLeases, AnotherThingIsRefusedNamingTheHostTheDifferenceAndTheRemedy) {
  const auto a = join("a", "1");
  const auto b = join("b", "2");
  ASSERT_FALSE(b.is_ok());
  EXPECT_EQ(b.status().code(), Code::kInvalid);
  EXPECT_EQ(b.status().text(),
            "pipeline trade is run by host a, with another thing (2 here, there what 1 is); update "
            "all hosts to the same or stop the others, or for a rolling update start with --mixed");
  EXPECT_THAT(living(), ElementsAre("a: what 1 is"));
  EXPECT_TRUE((*a)->check().is_ok());
}

TEST_F(HostLeases, OnceTheOtherHasLeftAnotherThingEntersAtOnce) {
  join("a", "1")->reset();
  HostLease::Options with = options("b", "2");
  with.gives_up = [] { return true; };
  EXPECT_TRUE(HostLease::join(std::move(with), network_).is_ok());
}

TEST_F(HostLeases, OfTwoKindsThatStartAtOnceOneEnters) {
  for (int round = 0; round < 20; ++round) {
    constexpr size_t kHosts = 6;
    std::barrier start(kHosts);
    std::vector<std::unique_ptr<HostLease>> joined(kHosts);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kHosts; ++i)
      threads.emplace_back([&, i] {
        start.arrive_and_wait();
        if (auto lease = join("host" + std::to_string(i), i % 2 == 0 ? "1" : "2"))
          joined[i] = std::move(lease).value();
      });
    for (std::thread& thread : threads) thread.join();
    const size_t even = (joined[0] != nullptr) + (joined[2] != nullptr) + (joined[4] != nullptr);
    const size_t odd = (joined[1] != nullptr) + (joined[3] != nullptr) + (joined[5] != nullptr);
    EXPECT_TRUE((even == 3 && odd == 0) || (even == 0 && odd == 3)) << even << " and " << odd;
  }
}

TEST_F(HostLeases, WhoCannotRenewMakesRoomAndIsToldWhoTookIt) {
  HostLease::Options soon = options("a", "1");
  soon.length = milliseconds(300);
  const auto a = HostLease::join(std::move(soon), network_);
  faults_.refuses = true;
  server_.command({"CLIENT", "KILL", "TYPE", "normal"});
  const auto b = HostLease::join(options("b", "2"), system_network());
  ASSERT_TRUE(b.is_ok()) << b.status().text();
  faults_.refuses = false;
  Status lost;
  eventually("a finds that it lost", [&] {
    lost = (*a)->check();
    return lost.code() == Code::kInvalid;
  });
  EXPECT_THAT(lost.text(), AllOf(HasSubstr("this host's lease ended"), HasSubstr("by host b"),
                                 HasSubstr("another thing (1 here, there what 2 is)")));
  EXPECT_THAT(living(), ElementsAre("b: what 2 is"));
}

TEST_F(HostLeases, WithoutAServerNothingIsPermittedOnceTheLeaseEnded) {
  HostLease::Options soon = options("a", "1");
  soon.length = milliseconds(300);
  const auto a = HostLease::join(std::move(soon), network_);
  faults_.refuses = true;
  server_.command({"CLIENT", "KILL", "TYPE", "normal"});
  eventually("the lease has ended", [&] { return !(*a)->check().is_ok(); });
  EXPECT_EQ((*a)->check().code(), Code::kUnavailable);
  faults_.refuses = false;
  eventually("it is renewed", [&] { return (*a)->check().is_ok(); });
  EXPECT_THAT(living(), ElementsAre("a: what 1 is"));
}

TEST_F(HostLeases, ALeaseThatTheServerForgotIsTakenAgain) {
  const auto a = join("a", "1");
  server_.command({"DEL", kKey});
  eventually("it is there again", [&] { return is_there(); });
  EXPECT_THAT(living(), ElementsAre("a: what 1 is"));
  EXPECT_TRUE((*a)->check().is_ok());
}

TEST_F(HostLeases, AMixedHostEntersAndOthersStayButWithoutTheWordNobodyElseDoes) {
  const auto a = join("a", "1");
  const auto b = join_mixed("b", "2");
  ASSERT_TRUE(b.is_ok()) << b.status().text();
  EXPECT_THAT(living(), ElementsAre("a: what 1 is", "b: what 2 is, mixed"));
  EXPECT_FALSE(join("c", "1").is_ok());
  EXPECT_FALSE(join("c", "2").is_ok());
  EXPECT_TRUE((*a)->check().is_ok());
}

TEST_F(HostLeases, AHostThatSaysItInAnotherFormLivesAndIsRefusedAtOnce) {
  server_.command({"HSET", kKey, "host:new/1", "v2 whatever"});
  const auto a = join("a", "1");
  ASSERT_FALSE(a.is_ok());
  EXPECT_THAT(a.status().text(), HasSubstr("host new of another version of sluice"));
  EXPECT_THAT(living(), ElementsAre("new: "));
}

TEST_F(HostLeases, ItAsksForNoKeyButItsOwnAndWithoutTheRightSaysSo) {
  server_.command({"ACL", "SETUSER", "host", "on", ">word", "~sluice:*", "+@read", "+@write",
                   "+@scripting", "+@connection", "+info", "+time"});
  server_.command({"ACL", "SETUSER", "reader", "on", ">word", "~sluice:*", "+@read", "+@scripting",
                   "+@connection", "+info", "+time"});
  HostLease::Options with = options("a", "1");
  with.servers.target.login = {.user = "host", .password = "word"};
  EXPECT_TRUE(HostLease::join(with, network_).is_ok());
  with.servers.target.login.user = "reader";
  const auto refused = HostLease::join(with, network_);
  ASSERT_FALSE(refused.is_ok());
  EXPECT_EQ(refused.status().code(), Code::kInvalid);
  EXPECT_THAT(refused.status().text(), HasSubstr("the lease of this host"));
  Servers servers(with.servers, system_network());
  const auto looked = find_hosts(servers, with.servers.target, "trade");
  ASSERT_TRUE(looked.is_ok()) << looked.status().text();
  EXPECT_THAT(*looked, IsEmpty());
}

}  // namespace
}  // namespace sluice::redis
