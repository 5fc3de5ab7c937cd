#include "cli/redis_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = ServerFault::Kind;

// A server set as a pipeline wants it.
ServerState good() {
  ServerState state;
  state.endpoint = "db:6379";
  state.info = read_info(
      "# Server\r\nredis_version:7.0.15\r\n\r\n# Persistence\r\naof_enabled:1\r\n"
      "aof_last_write_status:ok\r\nrdb_last_bgsave_status:ok\r\n# Memory\r\nused_memory:1000\r\n"
      "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n# Replication\r\nrole:master\r\n"
      "connected_slaves:1\r\n");
  state.append_fsync = "always";
  state.save = "";
  return state;
}

ServerState with(std::string_view name, std::string value) {
  ServerState state = good();
  state.info[std::string(name)] = std::move(value);
  return state;
}

std::vector<Kind> kinds(const ServerState& state, uint32_t min_replicas = 0) {
  std::vector<Kind> kinds;
  for (const ServerFault& fault : server_faults(state, min_replicas)) kinds.push_back(fault.kind);
  return kinds;
}

TEST(ReadInfo, LinesBecomePairsAndHeadingsAreLeftOut) {
  const auto info = read_info("# Server\r\na:1\r\nb:x:y\r\nno colon\r\nc:");
  EXPECT_THAT(info, ElementsAre(::testing::Pair("a", "1"), ::testing::Pair("b", "x:y"),
                                ::testing::Pair("c", "")));
}

TEST(ServerFaults, AServerSetAsItShouldBeHasNone) { EXPECT_THAT(kinds(good(), 1), IsEmpty()); }

TEST(ServerFaults, EachSettingThatCostsSomethingIsNamed) {
  EXPECT_THAT(kinds(with("redis_version", "6.0.16")), ElementsAre(Kind::kTooOld));
  EXPECT_THAT(kinds(with("redis_version", "6.2.0")), IsEmpty());
  EXPECT_THAT(kinds(with("redis_version", "10.0.0")), IsEmpty());
  EXPECT_THAT(kinds(with("role", "slave")), ElementsAre(Kind::kReadOnly));
  EXPECT_THAT(kinds(with("maxmemory_policy", "volatile-ttl")), ElementsAre(Kind::kEvicts));
  EXPECT_THAT(kinds(with("aof_enabled", "0")), ElementsAre(Kind::kNotKept));
  EXPECT_THAT(kinds(with("aof_last_write_status", "err")), ElementsAre(Kind::kFailing));
  EXPECT_THAT(kinds(with("maxmemory", "1100")), ElementsAre(Kind::kMemory));
  EXPECT_THAT(kinds(with("maxmemory", "2000")), IsEmpty());
  EXPECT_THAT(kinds(good(), 2), ElementsAre(Kind::kReplicas));
  ServerState state = good();
  state.clock_ahead = -std::chrono::seconds(3);
  EXPECT_THAT(kinds(state), ElementsAre(Kind::kClock));
  EXPECT_THAT(server_faults(state, 0).front().text, HasSubstr("behind this machine's"));
}

TEST(PromiseText, SaysWhatAKillAndAPowerCutTakeBack) {
  ServerState state = good();
  EXPECT_THAT(promise_text(state, 0),
              HasSubstr("neither when the server is killed nor in a power"));
  state.append_fsync = "everysec";
  EXPECT_THAT(promise_text(state, 0), HasSubstr("up to the last 2 s"));
  state.append_fsync = "no";
  EXPECT_THAT(promise_text(state, 0), HasSubstr("30 s or more"));
  state.append_fsync.reset();
  EXPECT_THAT(promise_text(state, 0), HasSubstr("this user may not ask"));
  state = with("aof_enabled", "0");
  EXPECT_THAT(promise_text(state, 0), HasSubstr("loses everything"));
  state.save = "3600 1";
  EXPECT_THAT(promise_text(state, 0), HasSubstr("since the last snapshot"));
}

TEST(PromiseText, SaysWhatActsWaitForAndWhatAFailoverTakesBack) {
  EXPECT_THAT(promise_text(good(), 0), HasSubstr("waits for the server's reply and nothing more"));
  EXPECT_THAT(promise_text(good(), 1), HasSubstr("until a replica has it"));
  EXPECT_THAT(promise_text(good(), 2), HasSubstr("until 2 replicas have it"));
  EXPECT_THAT(promise_text(good(), 0), HasSubstr("1 replica, asynchronous"));
  EXPECT_THAT(promise_text(with("connected_slaves", "0"), 0), HasSubstr("No replica"));
}

TEST(ServerText, NamesVersionPlaceAndRole) {
  ServerState state = good();
  state.answered_in = Micros(120);
  EXPECT_EQ(server_text(state), "Redis 7.0.15 at db:6379, master, 1 replica; a call takes 0.12 ms");
  state.info["valkey_version"] = "8.0.1";
  EXPECT_THAT(server_text(state), HasSubstr("Valkey 8.0.1"));
}

}  // namespace
}  // namespace sluice::cli
