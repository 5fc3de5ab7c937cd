// What a foreign writer may leave where the trade stages read: each form in each place is a no with
// a reason, or values within their ranges.
#include <gmock/gmock.h>
#include <malloc.h>

#include "common/json.h"
#include "common/permit.h"
#include "execution/intent.h"
#include "plugins/trade_fixtures.h"
#include "router/decision.h"
#include "router/window.h"

namespace sluice {
namespace {

using trade::Json;

const Time kNow = Time(std::chrono::seconds(1'764'000'000));

struct Form {
  const char* name;
  std::string text;  // of a JSON document
  const char* why;   // part of what Json::parse says; null: it is sound JSON
};

std::string repeated(std::string_view text, size_t count) {
  std::string out;
  out.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

// Members m0, m1, ... of an object, without its braces.
std::string numbered(size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += (i == 0 ? "\"m" : ",\"m") + std::to_string(i) + "\":0";
  return out;
}

const std::vector<Form>& forms() {
  using namespace std::string_literals;
  static const std::vector<Form> kForms = {
      {"10 MB", "{\"a\":\"" + std::string(10'000'000, 'x') + "\"}", "at most 262144"},
      {"a million members", "{" + repeated("\"a\":0,", 1'000'000) + "\"b\":0}", "at most 262144"},
      {"members without end", "{" + repeated("\"a\":0,", 40'000) + "\"b\":0}", "10000 values"},
      {"values without end", "[" + repeated("0,", 100'000) + "0]", "more than 10000 values"},
      {"depth 10^6", repeated("[", 1'000'000), "at most 262144"},
      {"depth 200,000", repeated("{\"a\":", 50'000), "deeper than 32"},
      {"depth 33", repeated("[", 33) + repeated("]", 33), "deeper than 32"},
      {"not UTF-8", "{\"a\":\"\xff\"}", "Invalid encoding"},
      {"overlong", "{\"a\":\"\xc0\xaf\"}", "Invalid encoding"},
      {"zero byte", "{\"a\":1}\0{\"allow\":true}"s, "zero byte"},
      {"escaped zero byte", "{\"a\":\"x\\u0000\"}", "zero byte"},
      {"escaped zero byte in a key", "{\"a\\u0000\":1}", "zero byte"},
      {"control character in a long text",
       "{\"a\":\"0123456789012345\x1f"
       "0123456789012345\"}",
       "at offset"},
      {"doubled key", "{\"allow\":false,\"allow\":true}", "stands twice"},
      {"doubled key of many", "{" + numbered(20) + ",\"m13\":0}", "stands twice"},
      {"doubled key, escaped", "{\"allow\":false,\"\\u0061llow\":true}", "stands twice"},
      {"first half of a pair", "{\"a\":\"\\ud800\"}", "surrogate"},
      {"second half of a pair", "{\"a\":\"\\udc00\"}", "surrogate"},
      {"truncated", "{\"a\":{\"b\":[1,2", "at offset"},
      {"trailing", "{} {}", "at offset"},
      {"byte order mark", "\xef\xbb\xbf{}", "at offset"},
      {"NaN", "{\"a\":NaN}", "at offset"},
      {"leading zero", "{\"a\":01}", "at offset"},
      {"empty", "", "empty"},
      {"a list", "[1]", nullptr},
      {"a number", "5", nullptr},
      {"1e400", "{\"qty\":1e400,\"valid_until_us\":1e400,\"confidence\":1e400}", "too big"},
      {"30 digits",
       "{\"safe_qty\":123456789012345678901234567890,\"valid_until_us\":"
       "123456789012345678901234567890}",
       nullptr},
      {"minus zero", "{\"safe_qty\":-0,\"confidence\":-0}", nullptr}};
  return kForms;
}

TEST(HostileJson, EachFormIsRefusedWithItsReasonOrRead) {
  for (const Form& form : forms()) {
    std::string why;
    const auto json = Json::parse(form.text, why);
    EXPECT_EQ(json.has_value(), form.why == nullptr) << form.name << ": " << why;
    EXPECT_LT(why.size(), 300u) << form.name;
    if (form.why == nullptr) continue;
    EXPECT_THAT(why, ::testing::HasSubstr(form.why)) << form.name;
  }
}

TEST(HostileJson, ALargeTreeTakesLittleMoreThanItsText) {
  const auto in_use = [] { return mallinfo2().uordblks; };
  const std::string widest = "[" + repeated("\"\",", 9'998) + "0]";
  std::string why;
  const size_t before = in_use();
  const auto json = Json::parse(widest, why);
  ASSERT_TRUE(json) << why;
  EXPECT_LT(in_use() - before, 4u << 20);
}

TEST(HostilePermits, EachFormUnderEitherKeyIsNoPermit) {
  const trade::Plan plan = trade::opening_plan(kNow);
  for (const Form& form : forms()) {
    const auto judged = trade::judge_permits(plan, form.text, form.text, kNow);
    EXPECT_NE(judged.error, "") << form.name;
    EXPECT_TRUE(trade::permit_reservations(plan, form.text).empty()) << form.name;
    EXPECT_EQ(trade::block_reason(form.text), "unknown") << form.name;
  }
}

TEST(HostileControl, EachFormOnTheKillSwitchMeansItIsSet) {
  for (const Form& form : forms())
    EXPECT_EQ(trade::kill_word_set(form.text), !form.text.empty()) << form.name;
}

TEST(HostileControl, EachFormInASnapshotOrALedgerIsNone) {
  for (const Form& form : forms()) {
    for (const char* odd : {"position_amt", "ts_epoch", "last_known_amt", "updated_at"}) {
      const trade::Look look = [&](std::string_view name) -> std::optional<std::string_view> {
        if (name == odd) return form.text;
        return name == "mark_price" ? "90000" : "1";
      };
      const std::string_view field = odd;
      // An empty time of a ledger is one that nobody wrote.
      const bool is_number = form.text == "5" || (form.text.empty() && field == "updated_at");
      const bool is_of_snapshot = field == "position_amt" || field == "ts_epoch";
      const bool is_read = is_of_snapshot ? trade::read_position(look).has_value()
                                          : trade::read_ledger(look).has_value();
      EXPECT_EQ(is_read, is_number) << odd << " " << form.name;
    }
  }
}

TEST(HostileControl, NumbersAtTheEdgeAreStaleOrOutOfRangeAndNothingWraps) {
  for (const char* seconds : {"-9223372036854775808", "9223372036854775807", "0", "-1"}) {
    const trade::Look look = [&](std::string_view name) -> std::optional<std::string_view> {
      return name == "ts_epoch" ? seconds : "1";
    };
    const auto position = trade::read_position(look);
    ASSERT_TRUE(position) << seconds;
    EXPECT_TRUE(trade::is_stale(*position, kNow, std::chrono::seconds(10))) << seconds;
  }
  const trade::Look last = [](std::string_view name) -> std::optional<std::string_view> {
    return name == "version" ? "9223372036854775807" : "1";
  };
  EXPECT_FALSE(trade::read_ledger(last));
  for (const char* us : {"-1", "-9223372036854775808", "9223372036854775807"})
    EXPECT_FALSE(router::read_window(R"({"ends_us":)" + std::string(us) +
                                     R"(,"candidates_max":1,"candidates":[]})"));
  for (const char* number : {"1e400", "-1e400", "NaN", "inf", "0x10", "1_000", "",
                             "123456789012345678901234567890123456789"})
    EXPECT_FALSE(Decimal::parse(number)) << number;
}

TEST(HostileEntries, EachFormAsAPayloadIsRefusedWithAReason) {
  for (const Form& form : forms()) {
    const Record entry{{"payload", form.text}};
    std::string why;
    EXPECT_FALSE(router::read_decision(entry, {}, why)) << form.name;
    EXPECT_NE(why, "") << form.name;
    EXPECT_LT(why.size(), 400u) << form.name;
    why.clear();
    EXPECT_FALSE(execution::read_trade_intent(entry, why)) << form.name;
    EXPECT_NE(why, "") << form.name;
    EXPECT_LT(why.size(), 400u) << form.name;
    EXPECT_FALSE(router::read_window(form.text)) << form.name;
  }
}

TEST(HostileEntries, DecisionInPlainFieldsWithAZeroByteIsRefused) {
  using namespace std::string_literals;
  Record entry{{"symbol", "BTCUSDT"}, {"side", "BUY"}, {"confidence", "0.5"}};
  std::string why;
  EXPECT_TRUE(router::read_decision(entry, {}, why)) << why;
  entry.set("symbol", "BTC\0USDT"s);
  EXPECT_FALSE(router::read_decision(entry, {}, why));
  EXPECT_EQ(why, "symbol holds a zero byte");
}

TEST(HostileEntries, EachFormInAFieldOfAPlanIsRefused) {
  const Record sound = trade::plan_record(trade::opening_plan(kNow));
  std::string why;
  ASSERT_TRUE(trade::read_plan(sound, why)) << why;
  for (const Form& form : forms()) {
    for (const char* field : {"plan_id", "symbol", "side", "qty", "plan_hash"}) {
      Record odd = sound;
      odd.set(field, form.text);
      why.clear();
      EXPECT_FALSE(trade::read_plan(odd, why)) << form.name << " in " << field;
      EXPECT_NE(why, "") << form.name;
    }
  }
}

}  // namespace
}  // namespace sluice
