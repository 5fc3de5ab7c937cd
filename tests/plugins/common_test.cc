// Shared trade code: texts, JSON, plans, permits, control data.
#include <gtest/gtest.h>

#include <limits>

#include "common/control.h"
#include "common/digest.h"
#include "common/json.h"
#include "common/permit.h"
#include "common/plan.h"
#include "common/text.h"
#include "plugins/trade_fixtures.h"

namespace sluice::trade {
namespace {

TEST(Sha256, EmptyTextHasTheStandardDigest) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

// Golden vectors of the reference contract, section 14.1.
TEST(ProposalPlanId, EqualsTheReferencesIds) {
  const auto id = [](const char* symbol, const char* action, double kill, std::optional<double> sl,
                     const char* at) { return proposal_plan_id(symbol, action, kill, sl, at); };
  EXPECT_EQ(id("BTCUSDT", "PARTIAL_75", 0.539, 100.2, "2026-01-24T23:33:31.123456"),
            "8f118a0942251e6d");
  EXPECT_EQ(id("BTCUSDT", "FULL_CLOSE_PROPOSED", 0.7000005, std::nullopt, "2026-01-24T23:33:31"),
            "8a1de331aca7957f");
  EXPECT_EQ(id("ETHUSDT", "PARTIAL_50", 0.5, 3000.0, ""), "65c4f7d9b7fec3ba");
  EXPECT_EQ(id("SOLUSDT", "UPDATE_SL", 0.123457, 1e-05, "2026-01-24T00:00:00.000001"),
            "8cd078f28614a1c2");
  EXPECT_EQ(id("SOLUSDT", "UPDATE_SL", 0.61, 1e16, "t"), "778f37ca8dcae08c");
  EXPECT_EQ(id("SOLUSDT", "UPDATE_SL", 0.61, 123456789012345.0, "t"), "0e346d62feb7bdf4");
  EXPECT_EQ(id("SOLUSDT", "HOLD", 1.0, 0.30000000000000004, "t"), "1fab689af48127df");
  EXPECT_EQ(id("BTCUSDT", "HOLD", 0.5, 0.0, "t"), "30dc516f688e268b");
  EXPECT_EQ(id("BTCUSDT", "HOLD", 2.5e-7, -0.0, "t"), "55eb93d7deebf65a");
}

TEST(FloatText, IsTheShortestTextInThePythonForm) {
  EXPECT_EQ(float_text(7), "7.0");
  EXPECT_EQ(float_text(100.2), "100.2");
  EXPECT_EQ(float_text(0.0001), "0.0001");
  EXPECT_EQ(float_text(0.00001), "1e-05");
  EXPECT_EQ(float_text(1.5e-7), "1.5e-07");
  EXPECT_EQ(float_text(9999999999999998.0), "9999999999999998.0");
  EXPECT_EQ(float_text(1e16), "1e+16");
  EXPECT_EQ(float_text(1.25e300), "1.25e+300");
  EXPECT_EQ(float_text(-0.0), "-0.0");
  EXPECT_EQ(float_text(5e-324), "5e-324");
}

TEST(UsableId, BlankZeroNullAndNoneDoNotCount) {
  for (const char* text : {"", "  ", "0", " 0 ", "null", "NULL", "None", "nOnE"})
    EXPECT_FALSE(usable_id(text)) << text;
  EXPECT_EQ(usable_id(" T1 "), "T1");
  EXPECT_EQ(usable_id("nonesuch"), "nonesuch");
  EXPECT_EQ(first_usable("None", "0", "5-0"), "5-0");
}

TEST(ParseIso, ReadsZonesAndFractions) {
  const auto us = [](const char* text) { return micros(parse_iso(text).value()); };
  EXPECT_EQ(us("1970-01-01T00:00:01Z"), 1'000'000);
  EXPECT_EQ(us("2025-11-22T13:32:18.282193+00:00"), 1'763'818'338'282'193);
  EXPECT_EQ(us("2025-11-22T14:32:18.282193+01:00"), 1'763'818'338'282'193);
  EXPECT_EQ(us("2025-11-22 08:02:18.2821939-0530"), 1'763'818'338'282'193);
  EXPECT_EQ(us("1970-01-01T00:01"), 60'000'000);
}

TEST(ParseIso, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2025-11-22", "2025-02-30T00:00:00", "2025-11-22T25:00:00", "2025-11-22T00:60:00",
        "2025-11-22T00:00:00.", "2025-11-22T00:00:00Zz", "2025-11-22T00:00:00+1", "25-11-22T00:00",
        "2025-11-22T00:00:00+99:00", "1969-12-31T23:59:59Z"})
    EXPECT_FALSE(parse_iso(text)) << text;
}

TEST(Iso, LeavesAWholeSecondsFractionOut) {
  EXPECT_EQ(iso(*parse_iso("2026-01-24T23:33:31Z")), "2026-01-24T23:33:31");
  EXPECT_EQ(iso_z(*parse_iso("2026-01-24T23:33:31.000100")), "2026-01-24T23:33:31.000100Z");
  EXPECT_EQ(epoch_fraction_text(Time(Duration(1'769'297'714'196'000))), "1769297714.196");
}

TEST(JsonParse, KeepsNumbersAsWritten) {
  std::string why;
  const auto json = Json::parse(R"({"a": 1e2, "b": 0.10, "c": [1, {"d": null}], "e": "ö"})", why);
  ASSERT_TRUE(json) << why;
  EXPECT_EQ(json->number_of("a"), "1e2");
  EXPECT_EQ(json->number_of("b"), "0.10");
  EXPECT_EQ(json->text_of("e"), "ö");
  EXPECT_EQ(json->find("c")->items().size(), 2u);
}

TEST(JsonParse, RefusesWithAReason) {
  const auto refuses = [](std::string_view text) {
    std::string why;
    return !Json::parse(text, why, {.bytes_max = 200, .depth_max = 3}) && !why.empty();
  };
  EXPECT_TRUE(refuses(""));
  EXPECT_TRUE(refuses("{"));
  EXPECT_TRUE(refuses("{} x"));
  EXPECT_TRUE(refuses(R"({"a":1,"a":2})"));
  EXPECT_TRUE(refuses(R"({"a":01})"));
  EXPECT_TRUE(refuses(R"({"a":NaN})"));
  EXPECT_TRUE(refuses("{\"a\":\"\xff\"}"));
  EXPECT_TRUE(refuses("\xef\xbb\xbf{}"));
  EXPECT_TRUE(refuses(std::string_view("{}\0{}", 5)));
  EXPECT_TRUE(refuses("[[[[1]]]]"));
  EXPECT_FALSE(refuses("[[[1]]]"));
  EXPECT_TRUE(refuses("[" + std::string(300, ' ') + "]"));
}

// Readers are kept from one document to the next.
TEST(JsonParse, DocumentsStandApartAndOutliveARefusedOne) {
  std::string why;
  std::string dense = "[";
  for (int i = 0; i < 2000; ++i) dense += i == 0 ? "[]" : ",[{}]";
  const auto first = Json::parse(dense + "]", why);
  ASSERT_TRUE(first) << why;
  EXPECT_FALSE(Json::parse(R"({"a": {"b": [1, 2, {"c)", why));
  const auto second = Json::parse(R"({"a": "x\ny", "b": {"a": 7}})", why);
  ASSERT_TRUE(second) << why;
  ASSERT_EQ(first->items().size(), 2000u);
  for (const Json& item : first->items().subspan(1)) {
    ASSERT_EQ(item.items().size(), 1u);
    EXPECT_TRUE(item.items()[0].is_object());
  }
  EXPECT_EQ(second->text_of("a"), "x\ny");
  EXPECT_EQ(second->find("b")->number_of("a"), "7");
}

TEST(JsonQuoted, EscapesWhatIsNotPlain) {
  EXPECT_EQ(json_quoted("a\"b\\c\n"), R"("a\"b\\c\n")");
  EXPECT_EQ(json_quoted("ö€😀"), R"("\u00f6\u20ac\ud83d\ude00")");
  EXPECT_EQ(json_quoted("\xff\xc3"), R"("\ufffd\ufffd")");
  EXPECT_EQ(json_quoted("\x01"), R"("\u0001")");
}

TEST(JsonQuoted, EscapesEachByteWhereverItStands) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    const std::string quoted = json_quoted(one), escaped = quoted.substr(1, quoted.size() - 2);
    EXPECT_EQ(escaped == one, byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') << byte;
    for (size_t before = 0; before < 18; ++before) {
      for (size_t behind = 0; behind < 18; ++behind) {
        const std::string left(before, 'a'), right(behind, '~');
        EXPECT_EQ(json_quoted(left + one + right), '"' + left + escaped + right + '"') << byte;
      }
    }
  }
}

TEST(KillWord, OnlyWordsForOffAreOff) {
  for (const char* off : {"", "0", "false", "FALSE", "no", "Off"}) EXPECT_FALSE(kill_word_set(off));
  for (const char* on : {"1", "true", "YES", "on", "x", "{}", "00"}) EXPECT_TRUE(kill_word_set(on));
}

TEST(PlanRecord, ReadsBackWithTheSameHash) {
  const Plan plan = opening_plan(Time(Duration(1'700'000'000'000'000)));
  std::string why;
  const auto read = read_plan(plan_record(plan), why);
  ASSERT_TRUE(read) << why;
  EXPECT_EQ(read->plan_hash, plan.plan_hash);
  EXPECT_EQ(plan.plan_hash.size(), 64u);
}

TEST(PlanRecord, AnyChangeOfContentIsNoticed) {
  const Record record = plan_record(opening_plan(Time(Duration(1'700'000'000'000'000))));
  for (const char* field :
       {"plan_id", "symbol", "action", "kill_score", "new_sl_proposed", "decision", "steps", "side",
        "qty", "reduceOnly", "notional", "mark_price", "leverage", "confidence", "risk_budget_usd",
        "plan_hash"}) {
    Record changed = record;
    changed.set(field, "other");
    std::string why;
    EXPECT_FALSE(read_plan(changed, why)) << field;
  }
}

TEST(PlanHash, FieldsCannotRunIntoEachOther) {
  Plan a = opening_plan(Time(Duration(1'700'000'000'000'000)));
  Plan b = a;
  a.qty = "1\nreduceOnly:5:false";
  b.qty = "1";
  EXPECT_NE(plan_hash(a), plan_hash(b));
}

TEST(ReadPosition, MissingFiltersLeaveNone) {
  Record record = snapshot("0.062", Time(Duration(5'000'000)));
  const auto read = [](const Record& from) {
    return read_position([&from](std::string_view name) { return from.find(name); });
  };
  EXPECT_TRUE(read(record)->filters);
  EXPECT_EQ(read(record)->amount, decimal("0.062"));
  record.set("qty_step", "0");
  EXPECT_FALSE(read(record)->filters);
  record.set("position_amt", "many");
  EXPECT_FALSE(read(record));
}

TEST(IsStale, FutureSnapshotsAreNotBelievedEither) {
  const Position position{Decimal(), std::nullopt, 1000, std::nullopt};
  const auto at = [](int64_t seconds) { return Time(std::chrono::seconds(seconds)); };
  EXPECT_FALSE(is_stale(position, at(1010), std::chrono::seconds(10)));
  EXPECT_TRUE(is_stale(position, at(1011), std::chrono::seconds(10)));
  EXPECT_TRUE(is_stale(position, at(989), std::chrono::seconds(10)));
}

TEST(ReadLedger, PrefersLastKnownAmountAndRefusesUnreadable) {
  const auto read = [](const Record& from) {
    return read_ledger([&from](std::string_view name) { return from.find(name); });
  };
  EXPECT_EQ(read({{"last_known_amt", "0.5"}, {"ledger_amt", "9"}})->amount, decimal("0.5"));
  EXPECT_EQ(read({{"ledger_amt", "-1.0"}, {"ts_epoch", "7"}})->updated_at, 7);
  EXPECT_FALSE(read({{"updated_at", "7"}}));
  EXPECT_FALSE(read({{"last_known_amt", "x"}, {"ledger_amt", "1"}}));
  EXPECT_FALSE(read({{"last_known_amt", "1"}, {"updated_at", "soon"}}));
}

TEST(PermitReservations, ForeignContentFreesNothing) {
  const Time now(Duration(1'700'000'000'000'000));
  const Plan plan = opening_plan(now);
  const std::string permit = governor_permit(plan, now);
  EXPECT_EQ(permit_reservations(plan, permit).size(), 1u);
  EXPECT_TRUE(permit_reservations(plan, with(permit, plan.plan_hash, "0")).empty());
  EXPECT_TRUE(permit_reservations(plan, with(permit, "quantum:governor:", "quantum:x:")).empty());
  EXPECT_TRUE(permit_reservations(plan, with(permit, "\"amount\": 1", "\"amount\": -1")).empty());
  EXPECT_TRUE(permit_reservations(plan, "").empty());
}

TEST(ClientOrderId, IsDerivedFromPlanAndLeg) {
  const std::string id = client_order_id("paper", "p", 0, "BTCUSDT", "BUY", "MARKET");
  EXPECT_EQ(id, "sl1-" + sha256_hex("v1|paper|p|leg=0|BTCUSDT|BUY|MARKET").substr(0, 26));
  EXPECT_NE(id, client_order_id("paper", "p", 1, "BTCUSDT", "BUY", "MARKET"));
}

}  // namespace
}  // namespace sluice::trade
