#include "redis/url.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace sluice::redis {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Target target(std::string_view url) {
  const auto parsed = parse_url(url);
  EXPECT_TRUE(parsed.is_ok()) << url << ": " << parsed.status().text();
  return parsed ? *parsed : Target{.endpoints = {{}}};
}

std::string fault(std::string_view url) {
  const auto parsed = parse_url(url);
  EXPECT_EQ(parsed.status().code(), Code::kInvalid) << url;
  return parsed.status().text();
}

TEST(RedisUrl, HostAloneHasTheUsualPortAndDatabase) {
  const Target found = target("redis://127.0.0.1");
  EXPECT_EQ(found.mode, Target::Mode::kSingle);
  ASSERT_EQ(found.endpoints.size(), 1u);
  EXPECT_EQ(found.endpoints[0], (Endpoint{.host = "127.0.0.1", .port = 6379}));
  EXPECT_EQ(found.login.user, "");
  EXPECT_EQ(found.login.password, "");
  EXPECT_EQ(found.login.database, 0u);
}

TEST(RedisUrl, EveryPartIsRead) {
  const Target found = target("redis://app:s%40cret%2F1@db-1.example:7000,db-2:7001/12");
  ASSERT_EQ(found.endpoints.size(), 2u);
  EXPECT_EQ(found.endpoints[0].text(), "db-1.example:7000");
  EXPECT_EQ(found.endpoints[1].text(), "db-2:7001");
  EXPECT_EQ(found.login.user, "app");
  EXPECT_EQ(found.login.password, "s@cret/1");
  EXPECT_EQ(found.login.database, 12u);
}

TEST(RedisUrl, PasswordMayStandAloneAndHoldMarks) {
  EXPECT_EQ(target("redis://:pw@h").login.password, "pw");
  EXPECT_EQ(target("redis://:pw@h").login.user, "");
  EXPECT_EQ(target("redis://u:p:w@x@h").login.password, "p:w@x");
  EXPECT_EQ(target("redis://u@h").login.user, "u");
  EXPECT_EQ(target("redis://u@h").login.password, "");
}

TEST(RedisUrl, AddressOfIpv6StandsInBrackets) {
  const Target found = target("redis://[::1]:7000,[fe80::2]");
  EXPECT_EQ(found.endpoints[0].host, "::1");
  EXPECT_EQ(found.endpoints[0].port, 7000);
  EXPECT_EQ(found.endpoints[0].text(), "[::1]:7000");
  EXPECT_EQ(found.endpoints[1].text(), "[fe80::2]:6379");
}

TEST(RedisUrl, TlsTakesFilesForAllHosts) {
  const Target found =
      target("rediss://a,b/1?ca_file=/etc/a%20b.pem&certificate_file=/c&key_file=/k");
  for (const Endpoint& endpoint : found.endpoints) {
    EXPECT_TRUE(endpoint.tls);
    EXPECT_EQ(endpoint.ca_file, "/etc/a b.pem");
    EXPECT_EQ(endpoint.certificate_file, "/c");
    EXPECT_EQ(endpoint.key_file, "/k");
  }
  EXPECT_TRUE(target("rediss+cluster://a").endpoints[0].tls);
  EXPECT_TRUE(target("rediss+sentinel://a/m").endpoints[0].tls);
  EXPECT_FALSE(target("redis://a").endpoints[0].tls);
}

TEST(RedisUrl, SocketHasAPath) {
  const Target found = target("unix://app:pw@/run/my%20redis.sock?db=3");
  EXPECT_EQ(found.endpoints[0].path, "/run/my redis.sock");
  EXPECT_EQ(found.endpoints[0].text(), "/run/my redis.sock");
  EXPECT_EQ(found.login.user, "app");
  EXPECT_EQ(found.login.database, 3u);
  EXPECT_EQ(target("unix:///s").login.database, 0u);
}

TEST(RedisUrl, SentinelsHaveTheirPortAndAMaster) {
  const Target found = target("redis+sentinel://:pw@s1,s2:5000/main/2");
  EXPECT_EQ(found.mode, Target::Mode::kSentinel);
  EXPECT_EQ(found.endpoints[0].text(), "s1:26379");
  EXPECT_EQ(found.endpoints[1].text(), "s2:5000");
  EXPECT_EQ(found.master_name, "main");
  EXPECT_EQ(found.login.database, 2u);
  EXPECT_EQ(found.login.password, "pw");
}

TEST(RedisUrl, ClusterHasNodesAndDatabaseZero) {
  const Target found = target("redis+cluster://n1,n2:7000");
  EXPECT_EQ(found.mode, Target::Mode::kCluster);
  EXPECT_EQ(found.endpoints.size(), 2u);
  target("redis+cluster://n1/0");
  EXPECT_THAT(fault("redis+cluster://n1/1"), HasSubstr("a cluster has database 0 only"));
}

TEST(RedisUrl, FaultsSayWhatWasExpected) {
  EXPECT_THAT(fault(""), HasSubstr("expected one of redis://"));
  EXPECT_THAT(fault("http://h"), HasSubstr("expected one of redis://"));
  EXPECT_THAT(fault("redis:h"), HasSubstr("expected one of redis://"));
  EXPECT_THAT(fault("redis://"), HasSubstr("host 1 is neither"));
  EXPECT_THAT(fault("redis://a,,b"), HasSubstr("host 2 is neither"));
  EXPECT_THAT(fault("redis://a,"), HasSubstr("host 2 is neither"));
  EXPECT_THAT(fault("redis://a b"), HasSubstr("host 1 is neither"));
  EXPECT_THAT(fault("redis://[::1"), HasSubstr("host 1 is neither"));
  EXPECT_THAT(fault("redis://[::1]x:1"), HasSubstr("host 1 is neither"));
  EXPECT_THAT(fault("redis://[::1]x"), HasSubstr("host 1 is neither"));
  EXPECT_THAT(fault("redis://::1"), HasSubstr("host 1 is neither"));
  for (const std::string port : {"", "0", "65536", "-1", "12x", "6379:1"})
    EXPECT_THAT(fault("redis://h:" + port), HasSubstr("port")) << port;
  for (const std::string database : {"x", "-1", "1/2", "4294967295", "1x"})
    EXPECT_THAT(fault("redis://h/" + database), HasSubstr("database")) << database;
  EXPECT_THAT(fault("redis+sentinel://h"), HasSubstr("name of the master is missing"));
  EXPECT_THAT(fault("redis+sentinel://h/"), HasSubstr("name of the master is missing"));
  EXPECT_THAT(fault("unix://run/s"), HasSubstr("a socket has no host"));
  EXPECT_THAT(fault("unix://"), HasSubstr("path of a socket"));
  EXPECT_THAT(fault("redis://u:%zz@h"), HasSubstr("password: % is not followed"));
  EXPECT_THAT(fault("redis://u:%4@h"), HasSubstr("password: % is not followed"));
  EXPECT_THAT(fault("redis://u:%00@h"), HasSubstr("password: % is not followed"));
  EXPECT_THAT(fault("redis://h?ca_file=/x"), HasSubstr("behind the ?"));
  EXPECT_THAT(fault("redis://h?db=1"), HasSubstr("behind the ?"));
  EXPECT_THAT(fault("rediss://h?color=red"), HasSubstr("behind the ?"));
  EXPECT_THAT(fault("rediss://h?key_file=/k"), HasSubstr("belong together"));
}

RC_GTEST_PROP(RedisUrl, PasswordIsNeverInAFaultWhereverItStands, ()) {
  const std::string secret = "hunter2hunter2";
  const auto noise = [] {
    return *rc::gen::container<std::string>(rc::gen::elementOf(std::string("/?:@,[]%&=a1")));
  };
  const std::string scheme = *rc::gen::elementOf(
      std::vector<std::string>{"redis://", "rediss://", "unix://", "redis+sentinel://", "redis"});
  const auto parsed = parse_url(scheme + noise() + secret + noise());
  RC_ASSERT(parsed.is_ok() || parsed.status().text().find("hunter") == std::string::npos);
}

}  // namespace
}  // namespace sluice::redis
