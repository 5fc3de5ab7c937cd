#include "redis/resp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "redis/entries.h"

namespace sluice::redis {
namespace {

using ::testing::HasSubstr;

// A reply as a server would write it.
std::string written(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::kNil:
      return "$-1\r\n";
    case Reply::Kind::kStatus:
      return "+" + reply.text + "\r\n";
    case Reply::Kind::kError:
      return "-" + reply.text + "\r\n";
    case Reply::Kind::kInteger:
      return ":" + std::to_string(reply.integer) + "\r\n";
    case Reply::Kind::kText:
      return "$" + std::to_string(reply.text.size()) + "\r\n" + reply.text + "\r\n";
    case Reply::Kind::kArray:
      break;
  }
  std::string text = "*" + std::to_string(reply.items.size()) + "\r\n";
  for (const Reply& item : reply.items) text += written(item);
  return text;
}

// What a reader makes of `bytes` when they come in pieces of `piece`.
Result<std::vector<Reply>> read(std::string_view bytes, size_t piece,
                                size_t bytes_max = ReplyReader::kReplyBytesMax) {
  ReplyReader reader(bytes_max);
  std::vector<Reply> replies;
  while (!bytes.empty()) {
    reader.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (;;) {
      SLUICE_ASSIGN(reply, reader.next());
      if (!reply) break;
      replies.push_back(std::move(*reply));
    }
  }
  return replies;
}

std::string written(const std::vector<Reply>& replies) {
  std::string text;
  for (const Reply& reply : replies) text += written(reply);
  return text;
}

rc::Gen<std::string> line() {
  return rc::gen::container<std::string>(
      rc::gen::suchThat<char>([](char c) { return c != '\r' && c != '\n'; }));
}

rc::Gen<Reply> replies_of_depth(int depth) {
  return rc::gen::exec([depth] {
    Reply reply;
    reply.kind = static_cast<Reply::Kind>(*rc::gen::inRange(0, depth > 0 ? 6 : 5));
    switch (reply.kind) {
      case Reply::Kind::kStatus:
      case Reply::Kind::kError:
        reply.text = *line();
        break;
      case Reply::Kind::kInteger:
        reply.integer = *rc::gen::arbitrary<int64_t>();
        break;
      case Reply::Kind::kText:
        reply.text = *rc::gen::arbitrary<std::string>();
        break;
      case Reply::Kind::kArray:
        reply.items = *rc::gen::container<std::vector<Reply>>(*rc::gen::inRange(0, 4),
                                                              replies_of_depth(depth - 1));
        break;
      case Reply::Kind::kNil:
        break;
    }
    return reply;
  });
}

RC_GTEST_PROP(RedisCommands, AnyArgumentsAreReadBackAsTheyWereAdded,
              (const std::vector<std::vector<std::string>>& all)) {
  Commands commands;
  std::vector<std::vector<std::string>> meant;
  for (const auto& arguments : all) {
    if (arguments.empty()) continue;
    commands.begin(arguments.size());
    for (const std::string& argument : arguments) commands.arg(argument);
    meant.push_back(arguments);
  }
  RC_ASSERT(commands.count() == meant.size());
  const auto read_back = read(commands.bytes(), 1 << 20);
  RC_ASSERT(read_back.is_ok());
  RC_ASSERT(read_back->size() == meant.size());
  for (size_t i = 0; i < meant.size(); ++i) {
    RC_ASSERT((*read_back)[i].items.size() == meant[i].size());
    for (size_t k = 0; k < meant[i].size(); ++k)
      RC_ASSERT((*read_back)[i].items[k].text == meant[i][k]);
  }
}

RC_GTEST_PROP(RedisReplyReader, AnyRepliesTornAtAnyByteAreTheSameReplies, ()) {
  const auto replies =
      *rc::gen::container<std::vector<Reply>>(*rc::gen::inRange(1, 5), replies_of_depth(4));
  const std::string text = written(replies);
  for (const size_t piece : {size_t{1}, *rc::gen::inRange<size_t>(2, 64), text.size()}) {
    const auto read_back = read(text, piece);
    RC_ASSERT(read_back.is_ok());
    RC_ASSERT(written(*read_back) == text);
  }
}

RC_GTEST_PROP(RedisReplyReader, AnyBytesGiveRepliesOrAnErrorAndNeverCrash,
              (const std::string& noise)) {
  const auto tail =
      *rc::gen::container<std::string>(rc::gen::elementOf(std::string("*$:+-019\r\n")));
  const auto result = read(noise + tail, *rc::gen::inRange<size_t>(1, 16));
  RC_ASSERT(result.is_ok() || result.status().code() == Code::kCorrupt);
}

TEST(RedisCommands, NumbersAndIdsAreWrittenAsText) {
  Commands commands;
  commands.begin(4);
  commands.arg("XADD");
  commands.arg(std::numeric_limits<int64_t>::min());
  commands.arg(EntryId{1500000000000, 7});
  commands.arg(EntryId{~uint64_t{0}, ~uint64_t{0}});
  EXPECT_EQ(commands.bytes(),
            "*4\r\n$4\r\nXADD\r\n$20\r\n-9223372036854775808\r\n$15\r\n1500000000000-7\r\n"
            "$41\r\n18446744073709551615-18446744073709551615\r\n");
}

TEST(RedisCommands, ClearedOnesAreNone) {
  Commands commands;
  commands.add({"SET", "key", ""});
  EXPECT_EQ(commands.bytes(), "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n");
  EXPECT_EQ(commands.count(), 1u);
  commands.clear();
  EXPECT_EQ(commands.count(), 0u);
  EXPECT_EQ(commands.bytes(), "");
}

TEST(RedisReply, IdIsReadFromTextAndFromNothingElse) {
  EXPECT_EQ((Reply{.kind = Reply::Kind::kText, .text = "12-3"}.id()), (EntryId{12, 3}));
  EXPECT_EQ((Reply{.kind = Reply::Kind::kText, .text = "12-3x"}.id()), std::nullopt);
  EXPECT_EQ((Reply{.kind = Reply::Kind::kError, .text = "12-3"}.id()), std::nullopt);
  EXPECT_EQ((Reply{.kind = Reply::Kind::kInteger, .integer = 12}.id()), std::nullopt);
}

TEST(RedisReplyReader, NilArrayIsNil) {
  const auto replies = read("*-1\r\n*0\r\n", 3);
  ASSERT_TRUE(replies.is_ok());
  ASSERT_EQ(replies->size(), 2u);
  EXPECT_TRUE((*replies)[0].is_nil());
  EXPECT_EQ((*replies)[1].kind, Reply::Kind::kArray);
}

TEST(RedisReplyReader, ReplyLongerThanTheBoundIsRefusedBeforeItIsWhole) {
  const std::string text = "$100\r\n" + std::string(100, 'x') + "\r\n";
  EXPECT_TRUE(read(text, 10, 108).is_ok());
  EXPECT_EQ(read("$100000\r\n" + std::string(200, 'x'), 10, 108).status().code(), Code::kCorrupt);
  // Many short ones are not one long one.
  std::string many;
  for (int i = 0; i < 100; ++i) many += "+PONG\r\n";
  EXPECT_TRUE(read(many, 5, 20).is_ok());
}

TEST(RedisReplyReader, ArrayThatOnlyClaimsToBeLongTakesNoMemory) {
  EXPECT_TRUE(read("*2147483647\r\n:1\r\n", 100).is_ok());
}

TEST(RedisReplyReader, TooManyArraysInEachOtherAreRefused) {
  std::string text;
  for (int i = 0; i < 8; ++i) text += "*1\r\n";
  EXPECT_TRUE(read(text + ":1\r\n", 100).is_ok());
  EXPECT_EQ(read(text + "*1\r\n:1\r\n", 100).status().code(), Code::kCorrupt);
}

TEST(RedisReplyReader, OtherProtocolIsNamed) {
  const auto replies = read("HTTP/1.1 400 Bad Request\r\n", 100);
  ASSERT_FALSE(replies.is_ok());
  EXPECT_EQ(replies.status().code(), Code::kCorrupt);
  EXPECT_THAT(replies.status().text(), HasSubstr("not a reply"));
}

// Ids of foreign producers are any two 64-bit numbers.
TEST(RedisEntries, TimesThatNobodyCanHaveMeantAreTheEpoch) {
  EXPECT_EQ(to_ms(time_of(1'764'000'000'123)), 1'764'000'000'123);
  EXPECT_EQ(to_ms(time_of(253'402'300'799'999)), 253'402'300'799'999);
  for (const int64_t ms :
       {int64_t{-1}, int64_t{253'402'300'800'000}, std::numeric_limits<int64_t>::max(),
        std::numeric_limits<int64_t>::min()})
    EXPECT_EQ(time_of(ms), WallTime{}) << ms;
}

}  // namespace
}  // namespace sluice::redis
