// Connections to real servers, each started for the test.
#include "redis/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "fixtures/redis_server.h"
#include "host/redis/fake_network.h"

namespace sluice::redis {
namespace {

using namespace std::chrono_literals;
using sluice::testing::Certificates;
using sluice::testing::eventually;
using sluice::testing::Faults;
using sluice::testing::FaultyNetwork;
using sluice::testing::RedisServer;
using ::testing::HasSubstr;
using ::testing::Not;

Result<std::unique_ptr<Connection>> open(const Endpoint& endpoint, const Login& login = {},
                                         const Timeouts& timeouts = {}) {
  return Connection::open(system_network(), endpoint, login, timeouts);
}

Commands commands(std::initializer_list<std::initializer_list<std::string_view>> all) {
  Commands made;
  for (const auto& each : all) made.add(each);
  return made;
}

TEST(RedisConnection, RepliesComeInTheOrderOfTheCommandsWithErrorsAmongThem) {
  RedisServer server;
  auto connection = open(server.endpoint());
  ASSERT_TRUE(connection.is_ok()) << connection.status().text();
  const auto replies = (*connection)
                           ->call(commands({{"SET", "k", "v"},
                                            {"INCR", "k"},
                                            {"GET", "k"},
                                            {"GET", "none"},
                                            {"INCR", "n"},
                                            {"MGET", "k", "none"}}));
  ASSERT_TRUE(replies.is_ok());
  EXPECT_EQ((*replies)[0].text, "OK");
  EXPECT_TRUE((*replies)[1].is_error());
  EXPECT_EQ((*replies)[2].text, "v");
  EXPECT_TRUE((*replies)[3].is_nil());
  EXPECT_EQ((*replies)[4].integer, 1);
  EXPECT_EQ((*replies)[5].items.size(), 2u);
  EXPECT_FALSE((*connection)->is_broken());
}

TEST(RedisConnection, LongValuesGoBothWays) {
  RedisServer server({.tcp = true});
  auto connection = open(server.tcp());
  ASSERT_TRUE(connection.is_ok()) << connection.status().text();
  const std::string value(5 << 20, 'x');
  const auto replies =
      (*connection)->call(commands({{"SET", "k", value}, {"GET", "k"}, {"GET", "k"}}));
  ASSERT_TRUE(replies.is_ok()) << replies.status().text();
  EXPECT_EQ((*replies)[2].text, value);
}

TEST(RedisConnection, DatabaseAndNameAreSet) {
  RedisServer server;
  server.command({"SET", "k", "in 0"});
  auto connection = open(server.endpoint(), {.database = 3, .client_name = "sluice-test"});
  ASSERT_TRUE(connection.is_ok()) << connection.status().text();
  const auto replies = (*connection)->call(commands({{"GET", "k"}, {"CLIENT", "GETNAME"}}));
  ASSERT_TRUE(replies.is_ok());
  EXPECT_TRUE((*replies)[0].is_nil());
  EXPECT_EQ((*replies)[1].text, "sluice-test");
}

TEST(RedisConnection, DatabaseThatIsNotThereIsRefused) {
  RedisServer server;
  const auto connection = open(server.endpoint(), {.database = 99});
  ASSERT_FALSE(connection.is_ok());
  EXPECT_EQ(connection.status().code(), Code::kInvalid);
  EXPECT_THAT(connection.status().text(), HasSubstr("SELECT 99: ERR DB index is out of range"));
}

TEST(RedisConnection, PasswordOpensWrongOneIsRefusedAndNeitherIsPrinted) {
  RedisServer server({.password = "open-sesame"});
  EXPECT_TRUE(open(server.endpoint(), {.password = "open-sesame"}).is_ok());

  const auto wrong = open(server.endpoint(), {.password = "guessed-one"});
  ASSERT_FALSE(wrong.is_ok());
  EXPECT_EQ(wrong.status().code(), Code::kInvalid);
  EXPECT_THAT(wrong.status().text(), HasSubstr("AUTH as user default: WRONGPASS"));
  EXPECT_THAT(wrong.status().text(), Not(HasSubstr("guessed-one")));

  const auto none = open(server.endpoint(), {.database = 1});
  ASSERT_FALSE(none.is_ok());
  EXPECT_EQ(none.status().code(), Code::kInvalid);
  EXPECT_THAT(none.status().text(), HasSubstr("a user or password is needed: NOAUTH"));
}

TEST(RedisConnection, PasswordForAServerWithoutOneIsRefused) {
  RedisServer server;
  const auto connection = open(server.endpoint(), {.password = "not-needed"});
  ASSERT_FALSE(connection.is_ok());
  EXPECT_EQ(connection.status().code(), Code::kInvalid);
  EXPECT_THAT(connection.status().text(), Not(HasSubstr("not-needed")));
}

TEST(RedisConnection, ServerThatRepeatsThePasswordDoesNotHaveItPrinted) {
  // A renamed command is unknown, and its arguments are in the error.
  RedisServer server({.config = {"rename-command AUTH OTHER"}});
  const auto connection = open(server.endpoint(), {.password = "open-sesame"});
  ASSERT_FALSE(connection.is_ok());
  EXPECT_THAT(connection.status().text(), HasSubstr("AUTH as user default: ERR"));
  EXPECT_THAT(connection.status().text(), Not(HasSubstr("open-sesame")));
}

TEST(RedisConnection, UserWithFewRightsOpensAndIsToldWhatItMayNot) {
  RedisServer server;
  server.command({"ACL", "SETUSER", "writer", "on", ">secret", "~app:*", "+set"});
  auto connection =
      open(server.endpoint(), {.user = "writer", .password = "secret", .client_name = "w"});
  ASSERT_TRUE(connection.is_ok()) << connection.status().text();
  const auto replies =
      (*connection)
          ->call(commands({{"SET", "app:k", "v"}, {"SET", "other", "v"}, {"GET", "app:k"}}));
  ASSERT_TRUE(replies.is_ok());
  EXPECT_EQ((*replies)[0].text, "OK");
  EXPECT_THAT((*replies)[1].text, HasSubstr("NOPERM"));
  EXPECT_THAT((*replies)[2].text, HasSubstr("NOPERM"));

  const auto wrong = open(server.endpoint(), {.user = "writer", .password = "other"});
  ASSERT_FALSE(wrong.is_ok());
  EXPECT_THAT(wrong.status().text(), HasSubstr("AUTH as user writer: WRONGPASS"));
}

TEST(RedisConnection, NobodyListensIsUnavailableAndNamesTheEndpoint) {
  const Endpoint nobody{.host = "127.0.0.1", .port = sluice::testing::free_port()};
  const auto connection = open(nobody);
  ASSERT_FALSE(connection.is_ok());
  EXPECT_EQ(connection.status().code(), Code::kUnavailable);
  EXPECT_EQ(connection.status().text(),
            "redis " + nobody.text() + ": cannot connect: Connection refused");
  EXPECT_EQ(open({.path = "/tmp/no/such/socket"}).status().code(), Code::kUnavailable);
  EXPECT_EQ(open({.path = "/" + std::string(200, 'x')}).status().code(), Code::kInvalid);
}

TEST(RedisConnection, EveryAddressOfANameIsTried) {
  // The server listens on 127.0.0.1 only; `localhost` may be ::1 first.
  RedisServer server({.tcp = true});
  const auto connection = open({.host = "localhost", .port = server.port()});
  EXPECT_TRUE(connection.is_ok()) << connection.status().text();
}

TEST(RedisConnection, TlsWithTheRightNameOpensAndCarriesLongValues) {
  RedisServer server({.tls = true});
  auto connection = open(server.tls());
  ASSERT_TRUE(connection.is_ok()) << connection.status().text();
  const std::string value(3 << 20, 'x');
  const auto replies = (*connection)->call(commands({{"SET", "k", value}, {"GET", "k"}}));
  ASSERT_TRUE(replies.is_ok()) << replies.status().text();
  EXPECT_EQ((*replies)[1].text, value);
}

TEST(RedisConnection, TlsChecksTheHostNameAndAsksForIt) {
  RedisServer server({.tls = true, .tls_subject = "DNS:localhost"});
  Endpoint endpoint = server.tls();
  endpoint.host = "localhost";
  const auto named = open(endpoint);
  EXPECT_TRUE(named.is_ok()) << named.status().text();

  const auto other = open(server.tls());  // by its address
  ASSERT_FALSE(other.is_ok());
  EXPECT_EQ(other.status().code(), Code::kInvalid);
  EXPECT_THAT(other.status().text(), HasSubstr("IP address mismatch"));
}

TEST(RedisConnection, TlsWithACertificateForAnotherNameIsRefused) {
  RedisServer server({.tls = true, .tls_subject = "DNS:elsewhere.example"});
  Endpoint endpoint = server.tls();
  endpoint.host = "localhost";
  const auto connection = open(endpoint);
  ASSERT_FALSE(connection.is_ok());
  EXPECT_EQ(connection.status().code(), Code::kInvalid);
  EXPECT_THAT(connection.status().text(),
              HasSubstr("its certificate is not to be trusted: hostname mismatch"));
}

TEST(RedisConnection, TlsWithAnotherAuthorityIsRefused) {
  RedisServer server({.tls = true});
  const Certificates others;
  Endpoint endpoint = server.tls();
  endpoint.ca_file = others.ca();
  const auto connection = open(endpoint);
  ASSERT_FALSE(connection.is_ok());
  EXPECT_EQ(connection.status().code(), Code::kInvalid);
  EXPECT_THAT(connection.status().text(), HasSubstr("not to be trusted"));

  endpoint.ca_file.clear();  // the system's do not know it either
  EXPECT_EQ(open(endpoint).status().code(), Code::kInvalid);

  endpoint.ca_file = "/no/such/file";
  EXPECT_THAT(open(endpoint).status().text(),
              HasSubstr("trusted certificates /no/such/file: No such file or directory"));
}

TEST(RedisConnection, TlsServerThatAsksForOurCertificateGetsIt) {
  RedisServer server({.tls = true, .config = {"tls-auth-clients yes"}});
  Endpoint endpoint = server.tls();
  EXPECT_FALSE(open(endpoint).is_ok());
  // Any certificate of the same authority will do; the server's own is at hand.
  endpoint.certificate_file =
      endpoint.ca_file.substr(0, endpoint.ca_file.rfind('/')) + "/server.crt";
  endpoint.key_file =
      endpoint.certificate_file.substr(0, endpoint.certificate_file.size() - 3) + "key";
  const auto connection = open(endpoint);
  EXPECT_TRUE(connection.is_ok()) << connection.status().text();
}

TEST(RedisConnection, TlsWithoutTheNameOfOneHostIsRefused) {
  RedisServer server({.tls = true});
  for (const std::string host : {"", ".0.0.1"}) {
    Endpoint endpoint = server.tls();
    endpoint.host = host;
    EXPECT_FALSE(open(endpoint).is_ok()) << host;
  }
  Endpoint socket = server.endpoint();
  socket.tls = true;
  EXPECT_THAT(open(socket).status().text(), HasSubstr("TLS needs the name of one host"));
}

TEST(RedisConnection, TlsServesAReaderAndAWriterAtTheSameTime) {
  RedisServer server({.tls = true});
  auto connection = open(server.tls());
  ASSERT_TRUE(connection.is_ok()) << connection.status().text();
  const std::string value(100'000, 'x');
  const Commands echo = commands({{"ECHO", value}});
  std::thread writer([&] {
    for (int i = 0; i < 200; ++i) EXPECT_TRUE((*connection)->send(echo).is_ok());
  });
  for (int i = 0; i < 200; ++i) {
    const auto reply = (*connection)->receive(30s);
    ASSERT_TRUE(reply.is_ok()) << reply.status().text();
    ASSERT_EQ(reply->text, value);
  }
  writer.join();
}

TEST(RedisConnection, TlsServerKilledDuringACallIsUnavailable) {
  RedisServer server({.tls = true});
  auto connection = open(server.tls());
  ASSERT_TRUE(connection.is_ok());
  std::thread killer([&] {
    eventually("a client waits", [&] {
      return server.command({"CLIENT", "LIST"}).text.find("cmd=blpop") != std::string::npos;
    });
    server.kill();
  });
  const auto replies = (*connection)->call(commands({{"BLPOP", "never", "0"}}), 30s);
  killer.join();
  EXPECT_EQ(replies.status().code(), Code::kUnavailable);
  EXPECT_FALSE((*connection)->call(commands({{"PING"}})).is_ok());
}

TEST(RedisConnection, TlsToAPortWithoutItIsUnavailable) {
  RedisServer server({.tcp = true});
  Endpoint endpoint = server.tcp();
  endpoint.tls = true;
  EXPECT_EQ(open(endpoint, {}, {.connect = 100ms}).status().code(), Code::kUnavailable);
}

TEST(RedisConnection, FrozenServerRunsIntoTheTimeout) {
  RedisServer server;
  auto connection = open(server.endpoint(), {}, {.reply = 50ms});
  ASSERT_TRUE(connection.is_ok());
  server.freeze();
  const auto replies = (*connection)->call(commands({{"PING"}}));
  ASSERT_FALSE(replies.is_ok());
  EXPECT_EQ(replies.status().code(), Code::kUnavailable);
  EXPECT_THAT(replies.status().text(), HasSubstr("no reply within"));
  EXPECT_TRUE((*connection)->is_broken());
  // The kernel takes new connections for it, which then hear nothing.
  EXPECT_EQ(open(server.endpoint(), {}, {.reply = 50ms}).status().code(), Code::kUnavailable);
  server.resume();
  EXPECT_FALSE((*connection)->call(commands({{"PING"}})).is_ok());
  EXPECT_TRUE(open(server.endpoint()).is_ok());
}

TEST(RedisConnection, ServerKilledDuringACallIsUnavailable) {
  RedisServer server;
  auto connection = open(server.endpoint());
  ASSERT_TRUE(connection.is_ok());
  std::thread killer([&] {
    eventually("a client waits", [&] {
      return server.command({"CLIENT", "LIST"}).text.find("cmd=blpop") != std::string::npos;
    });
    server.kill();
  });
  const auto replies = (*connection)->call(commands({{"BLPOP", "never", "0"}}), 30s);
  killer.join();
  ASSERT_FALSE(replies.is_ok());
  EXPECT_EQ(replies.status().code(), Code::kUnavailable);
  EXPECT_THAT(replies.status().text(), HasSubstr("the server closed the connection"));
  EXPECT_TRUE((*connection)->is_broken());
  server.start();
  EXPECT_TRUE(open(server.endpoint()).is_ok());
}

TEST(RedisConnection, ShutDownEndsACallInAnotherThread) {
  RedisServer server;
  auto connection = open(server.endpoint());
  ASSERT_TRUE(connection.is_ok());
  std::thread other([&] {
    eventually("a client waits", [&] {
      return server.command({"CLIENT", "LIST"}).text.find("cmd=blpop") != std::string::npos;
    });
    (*connection)->shut_down();
  });
  const auto replies = (*connection)->call(commands({{"BLPOP", "never", "0"}}), 30s);
  other.join();
  EXPECT_EQ(replies.status().code(), Code::kUnavailable);
}

TEST(RedisConnection, PollFindsNothingAndTheConnectionIsAsGoodAsBefore) {
  RedisServer server;
  auto connection = open(server.endpoint());
  ASSERT_TRUE(connection.is_ok());
  ASSERT_TRUE((*connection)->call(commands({{"SUBSCRIBE", "news"}})).is_ok());
  const auto nothing = (*connection)->poll(1ms);
  ASSERT_TRUE(nothing.is_ok());
  EXPECT_FALSE(nothing->has_value());
  server.command({"PUBLISH", "news", "hello"});
  const auto message = (*connection)->poll(30s);
  ASSERT_TRUE(message.is_ok());
  ASSERT_TRUE(message->has_value());
  EXPECT_EQ((*message)->items[2].text, "hello");
}

TEST(RedisConnection, ServerThatIsLoadingIsUnavailableUntilItHasLoaded) {
  RedisServer server({.config = sluice::testing::slow_loading()});
  for (int i = 0; i < 20; ++i)
    server.command({"SET", "k" + std::to_string(i), std::string(2000, static_cast<char>('a' + i))});
  server.command({"CONFIG", "SET", "rdbcompression", "no"});
  server.command({"SAVE"});
  server.kill();
  server.launch();
  bool was_loading = false;
  eventually("it has loaded", [&] {
    const auto connection = open(server.endpoint());
    if (connection) return true;
    EXPECT_EQ(connection.status().code(), Code::kUnavailable) << connection.status().text();
    if (connection.status().text().find("PING: LOADING") != std::string::npos) was_loading = true;
    return false;
  });
  EXPECT_TRUE(was_loading);
}

TEST(RedisConnection, TornWritesAndReadsChangeNothing) {
  RedisServer server;
  Faults faults;
  FaultyNetwork network(faults);
  faults.piece_bytes = 1;
  auto connection = Connection::open(network, server.endpoint(), {}, {});
  ASSERT_TRUE(connection.is_ok()) << connection.status().text();
  const auto replies = (*connection)->call(commands({{"SET", "k", "value\r\n"}, {"GET", "k"}}));
  ASSERT_TRUE(replies.is_ok());
  EXPECT_EQ((*replies)[1].text, "value\r\n");
}

TEST(RedisConnection, CutAtAnyByteIsUnavailableAndHalfACommandDoesNothing) {
  RedisServer server;
  Faults faults;
  FaultyNetwork network(faults);
  const Commands wanted = commands({{"INCR", "n"}});
  for (size_t sent = 0; sent < wanted.bytes().size(); ++sent) {
    auto connection = Connection::open(network, server.endpoint(), {}, {});
    ASSERT_TRUE(connection.is_ok());
    faults.cut_after_sent = sent;
    const auto replies = (*connection)->call(wanted);
    ASSERT_EQ(replies.status().code(), Code::kUnavailable);
    EXPECT_TRUE((*connection)->is_broken());
  }
  EXPECT_TRUE(server.command({"GET", "n"}).is_nil());

  auto connection = Connection::open(network, server.endpoint(), {}, {});
  ASSERT_TRUE(connection.is_ok());
  faults.cut_after_received = 3;  // of ":1\r\n"
  EXPECT_EQ((*connection)->call(wanted).status().code(), Code::kUnavailable);
  EXPECT_EQ(server.command({"GET", "n"}).text, "1");
}

}  // namespace
}  // namespace sluice::redis
