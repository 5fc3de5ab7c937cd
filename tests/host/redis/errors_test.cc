#include "redis/errors.h"

#include <gtest/gtest.h>

namespace sluice::redis {
namespace {

TEST(RedisErrors, WhatPassesByItselfIsTriedAgain) {
  for (const std::string_view error :
       {"LOADING Redis is loading the dataset in memory",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Redis is configured to save RDB snapshots",
        "OOM command not allowed when used memory > 'maxmemory'.",
        "ERR max number of clients reached"})
    EXPECT_EQ(class_of(error), ErrorClass::kRetry) << error;
}

TEST(RedisErrors, AnotherServersDataIsFetchedThere) {
  for (const std::string_view error :
       {"MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381",
        "READONLY You can't write against a read only replica.",
        "UNBLOCKED force unblock from blocking operation, instance state changed"})
    EXPECT_EQ(class_of(error), ErrorClass::kReroute) << error;
}

TEST(RedisErrors, WhatDoesNotPassIsRefused) {
  for (const std::string_view error :
       {"NOAUTH Authentication required.", "WRONGPASS invalid username-password pair",
        "NOPERM this user has no permissions to run the 'xadd' command",
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR unknown command 'XNONE'", "OOMPH", "loading", ""})
    EXPECT_EQ(class_of(error), ErrorClass::kRefused) << error;
}

TEST(RedisErrors, ScriptAndGroupGoneAreToldApart) {
  EXPECT_EQ(class_of("NOSCRIPT No matching script. Please use EVAL."), ErrorClass::kNoScript);
  EXPECT_EQ(class_of("NOGROUP No such consumer group 'g' for key name 's'"), ErrorClass::kNoGroup);
}

TEST(RedisErrors, FaultInsideAScriptCountsAsTheFault) {
  // Redis 7, then 6.2.
  EXPECT_EQ(class_of("OOM command not allowed when used memory > 'maxmemory'. script: 5f, on "
                     "@user_script:1."),
            ErrorClass::kRetry);
  const std::string_view old = "ERR Error running script (call to f_5f): @user_script:1: ";
  EXPECT_EQ(class_of(std::string(old) + "@user_script: 1: -OOM command not allowed"),
            ErrorClass::kRetry);
  EXPECT_EQ(class_of(std::string(old) + "@user_script: 1: -READONLY You can't write"),
            ErrorClass::kReroute);
  EXPECT_EQ(class_of(std::string(old) + "bad argument: -OOM"), ErrorClass::kRefused);
}

TEST(RedisErrors, StatusNamesTheCommandAndSaysWhetherToTryAgain) {
  const Status later = error_status("XADD", "LOADING Redis is loading");
  EXPECT_EQ(later.code(), Code::kUnavailable);
  EXPECT_EQ(later.text(), "XADD: LOADING Redis is loading");
  EXPECT_EQ(error_status("XADD", "READONLY You can't write").code(), Code::kUnavailable);
  EXPECT_EQ(error_status("XADD", "WRONGTYPE Operation").code(), Code::kInvalid);
}

}  // namespace
}  // namespace sluice::redis
