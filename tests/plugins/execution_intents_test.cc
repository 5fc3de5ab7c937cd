// The lane without permits: which trade intents become orders, and that neither lane's stage sends
// the other's orders.
#include "execution/intents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>

#include "common/plan.h"
#include "common/text.h"
#include "execution/order.h"
#include "sluice/testing.h"

namespace sluice::execution {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::FakeHost;
using testing::FakeStore;
using ::testing::HasSubstr;
using testing::Ran;
using ::testing::StartsWith;

constexpr const char* kSnapshot = "quantum:position:snapshot:BTCUSDT";

std::string at(const Record& record, std::string_view name) {
  return std::string(record.find(name).value_or("(absent)"));
}

class IntentsTest : public ::testing::Test {
 protected:
  IntentsTest() { show_price(); }

  void show_price(std::string_view mark = "50000") {
    store_.put(kSnapshot, Record{{"position_amt", "0"},
                                 {"mark_price", mark},
                                 {"ts_epoch", trade::epoch_text(store_.now())},
                                 {"price_tick", "0.1"},
                                 {"qty_step", "0.001"},
                                 {"qty_min", "0.001"},
                                 {"notional_min", "50"}});
  }
  // A sound intent made `ago`; `more` are members of its payload.
  Record intent(std::string_view more = "", Duration ago = 0s,
                std::string_view action = R"("action": "BUY")") const {
    return {{"payload", R"({"symbol": "BTCUSDT", )" + std::string(action) +
                            R"(, "confidence": 0.8, "position_size_usd": 100, "timestamp": ")" +
                            trade::iso_z(store_.now() - ago) + "\"" + std::string(more) + "}"},
            {"trace_id", "t1"},
            {"decision_id", "d1"},
            {"decision_us", "1699999999000000"}};
  }
  const Record& last(const char* port) { return store_.streams[port].back(); }
  size_t count(const char* port) { return store_.streams[port].size(); }

  FakeStore store_;
  FakeHost<Intents> host_{store_};
};

TEST_F(IntentsTest, SoundIntentBecomesAnOrderThatSaysItHasNoPermits) {
  EXPECT_EQ(host_.deliver(intent()).verdict, SLUICE_ACK);
  ASSERT_EQ(count("order"), 1u);
  const Record& order = last("order");
  const std::string key = "BTCUSDT_" + trade::iso_z(store_.now());
  EXPECT_EQ(at(order, "permits"), "none");
  EXPECT_EQ(at(order, "intent_key"), key);
  EXPECT_EQ(at(order, "client_order_id"),
            trade::client_order_id("paper", key, kIntentLeg, "BTCUSDT", "BUY", "MARKET"));
  EXPECT_EQ(at(order, "quantity"), "0.002");
  EXPECT_EQ(at(order, "valid_until_us"), std::to_string(store_.now_us + 60'000'000));
  EXPECT_EQ(at(order, "decision_id"), "d1");
  EXPECT_EQ(count("result"), 0u);
  std::string why;
  const auto read = read_order([&](std::string_view name) { return order.find(name); }, "paper",
                               why, Lane::kIntents);
  EXPECT_TRUE(read) << why;
}

TEST_F(IntentsTest, OrderNeverOutlivesTheIntentsAge) {
  host_.deliver(intent("", 570s));
  EXPECT_EQ(at(last("order"), "valid_until_us"), std::to_string(store_.now_us + 30'000'000));
}

TEST_F(IntentsTest, SameIntentAgainIsADuplicateThatNamesTheFirst) {
  const Record entry = intent();
  host_.deliver(entry);
  const std::string first = at(last("order"), "intent_id");
  EXPECT_EQ(host_.deliver(entry).verdict, SLUICE_ACK);
  EXPECT_EQ(count("order"), 1u);
  EXPECT_EQ(count("result"), 0u);
  EXPECT_EQ(at(last("duplicate"), "earlier"), first);
  EXPECT_EQ(at(last("duplicate"), "key"),
            "quantum:exec:processed:BTCUSDT_" + trade::iso_z(store_.now()));
}

// EX-2: what a guard refuses has its record, in both streams.
TEST_F(IntentsTest, EachGuardEndsTheIntentWithOneRecordAndNoOrder) {
  struct Guard {
    const char* name;
    std::function<Record()> entry;
    const char* status;
    const char* reason;
  };
  const Guard guards[] = {
      {"too old", [&] { return intent("", 600s + 1us); }, "EXPIRED", "stale_intent"},
      {"future", [&] { return intent("", -(600s + 1us)); }, "EXPIRED", "stale_intent"},
      {"kill switch",
       [&] {
         store_.put("quantum:kill", "1");
         return intent();
       },
       "REJECTED", "kill_switch_active"},
      {"unreadable kill switch",
       [&] {
         store_.put("quantum:global:kill_switch", Record{{"a", "0"}});
         return intent();
       },
       "REJECTED", "kill_switch_active"},
      {"close", [&] { return intent("", 0s, R"("action": "CLOSE")"); }, "REJECTED",
       "exit_in_entry_lane"},
      {"reduces", [&] { return intent(R"(, "reduce_only": true)"); }, "REJECTED",
       "exit_in_entry_lane"},
      {"notional", [&] { return intent(R"(, "ai_size_usd": 10000, "ai_leverage": 11)"); },
       "REJECTED", "NOTIONAL_EXCEEDED"},
      {"budget", [&] { return intent(R"(, "risk_budget_usd": 99.99)"); }, "REJECTED",
       "EXCEEDS_RISK_BUDGET"},
      {"price off", [&] { return intent(R"(, "entry_price": 47499.99)"); }, "REJECTED",
       "entry_price_out_of_band"},
      {"too small",
       [&] {
         show_price("100001");
         return intent(R"(, "ai_size_usd": 50)");
       },
       "REJECTED", "qty_below_min"},
  };
  for (const Guard& guard : guards) {
    SCOPED_TRACE(guard.name);
    store_ = FakeStore();
    show_price();
    EXPECT_EQ(host_.deliver(guard.entry()).verdict, SLUICE_ACK);
    EXPECT_EQ(count("order"), 0u);
    ASSERT_EQ(count("result"), 1u);
    EXPECT_EQ(at(last("result"), "status"), guard.status);
    EXPECT_EQ(at(last("result"), "reason"), guard.reason);
    EXPECT_EQ(at(last("result"), "sent_us"), "");
    EXPECT_EQ(at(last("legacy"), "payload"), at(last("result"), "payload"));
  }
}

TEST_F(IntentsTest, EntryPriceAtTheEdgeOfItsBandCounts) {
  host_.deliver(intent(R"(, "entry_price": 47500)"));
  ASSERT_EQ(count("order"), 1u);
  EXPECT_EQ(at(last("order"), "mark_price"), "47500");
}

TEST_F(IntentsTest, KillSwitchSetBetweenLookAndCommitStopsTheOrder) {
  const Ran ran = host_.deliver(intent());
  int looked_at = 0;
  for (const testing::Condition& condition : ran.conditions)
    looked_at += condition.key == "quantum:kill" || condition.key == "quantum:global:kill_switch";
  EXPECT_EQ(looked_at, 2) << "both keys are conditions of the order";
}

TEST_F(IntentsTest, WithoutASnapshotItWaitsThenEnds) {
  store_.erase(kSnapshot);
  const Ran ran = host_.deliver(intent());
  EXPECT_EQ(ran.verdict, SLUICE_WAIT);
  EXPECT_EQ(ran.wait_until_us, store_.now_us + 6'000'000);
  EXPECT_THAT(ran.wait_keys, ::testing::ElementsAre(kSnapshot));
  FakeHost<Intents> at_once(store_, {{"snapshot_wait", "0s"}});
  at_once.deliver(intent());
  EXPECT_EQ(at(last("result"), "reason"), "no_exchange_snapshot");
}

// EX-22: a time nobody can read is no reason to go on.
TEST_F(IntentsTest, UnsoundIntentIsRejectedByFieldAndRule) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "symbol"},
      {"[]", "not a JSON object"},
      {"nonsense", "not a JSON object"},
      {R"({"symbol": "BTCUSDT", "confidence": 0.8, "timestamp": "2026-01-01T00:00:00Z"})", "side"},
      {R"({"symbol": "BTCUSDT", "action": "buy", "confidence": 0.8, "timestamp": "t"})",
       "BUY, SELL or CLOSE, got buy"},
      {R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 1.1, "timestamp": "t"})",
       "confidence"},
      {R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": true, "timestamp": "t"})",
       "confidence"},
      {R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.8, "timestamp": "t"})",
       "ISO 8601 time, got t"},
      {R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.8,)"
       R"( "timestamp": "2026-01-01T00:00:00Z", "position_size_usd": -1})",
       "position_size_usd"},
      {R"({"symbol": "BTCUSDT", "action": "BUY", "confidence": 0.8,)"
       R"( "timestamp": "2026-01-01T00:00:00Z", "reduce_only": "no"})",
       "reduce_only"},
  };
  for (const auto& [payload, what] : cases) {
    const Ran ran = host_.deliver(Record{{"payload", payload}});
    EXPECT_EQ(ran.verdict, SLUICE_REJECT) << payload;
    EXPECT_EQ(ran.reason, "invalid_intent");
    EXPECT_THAT(ran.detail, HasSubstr(what));
  }
  EXPECT_EQ(host_.deliver(Record{{"symbol", "BTCUSDT"}}).detail, "payload is missing");
  EXPECT_EQ(count("order") + count("result"), 0u);
}

TEST_F(IntentsTest, StaleIntentsHaveARecordEachAndOneLogLineIn30Seconds) {
  std::vector<std::string> lines;
  for (int i = 0; i < 4; ++i) {
    if (i == 3) store_.advance(30s);
    for (const std::string& line : host_.deliver(intent("", 601s)).log)
      if (line.starts_with("STALE_INTENT_DROP")) lines.push_back(line);
  }
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "STALE_INTENT_DROP: BTCUSDT age=601s (>600s) | Total stale: 1",
                       "STALE_INTENT_DROP: BTCUSDT age=601s (>600s) | Total stale: 4"}));
  EXPECT_EQ(count("result"), 4u);
}

TEST_F(IntentsTest, TerminalLineIsTheOneOperatorsSearchFor) {
  const Ran ran = host_.deliver(intent("", 0s, R"("action": "CLOSE")"));
  EXPECT_THAT(ran.log, ::testing::Contains(StartsWith("TERMINAL STATE: REJECTED | BTCUSDT CLOSE")));
}

TEST(IntentsSettings, BoundsThatCannotBeAreRefusedByName) {
  const auto refused = [](const FakeHost<Intents>::Texts& settings) -> std::string {
    try {
      FakeHost<Intents> host(settings);
    } catch (const SettingError& error) {
      return error.setting();
    }
    return "nothing";
  };
  EXPECT_EQ(refused({{"size_min", "2"}, {"size_max", "1"}}), "size_min");
  EXPECT_EQ(refused({{"leverage_min", "9"}, {"leverage_max", "8"}}), "leverage_min");
  EXPECT_EQ(refused({{"account", "a b"}}), "account");
}

// EX-5, EX-13: whatever is asked for, an order is worth no more than the clamped size, on the step.
RC_GTEST_PROP(IntentSizing, NeverMoreThanTheClampedSizeAndAlwaysOnTheStep, ()) {
  TradeIntent intent;
  intent.symbol = "BTCUSDT";
  intent.action = "BUY";
  intent.size_usd = Decimal::from_scaled(*rc::gen::inRange<int64_t>(1, 2'000'000'000), 4);
  if (*rc::gen::arbitrary<bool>())
    intent.leverage = Decimal::from_scaled(*rc::gen::inRange<int64_t>(1, 20'000), 2);
  const RiskBounds bounds{Decimal(50), Decimal(10000), Decimal(5), Decimal(80), Decimal(800000), 0};
  const Risk risk = judge_risk(intent, bounds);
  RC_ASSERT(risk.refusal.empty());
  RC_ASSERT(risk.size >= bounds.size_min && risk.size <= bounds.size_max);
  RC_ASSERT(risk.leverage >= bounds.leverage_min && risk.leverage <= bounds.leverage_max);

  trade::Position position;
  position.mark_price = Decimal::from_scaled(*rc::gen::inRange<int64_t>(1, 1'000'000'000), 4);
  const Decimal step = Decimal::from_scaled(1, *rc::gen::inRange(0, 4));
  position.filters = trade::SymbolFilters{step, step, step, Decimal(5)};
  const EntrySize size = size_entry(intent, risk.size, position, Time{}, 10s, Decimal(5));
  if (!size.refusal.empty()) {
    RC_ASSERT(size.refusal == "qty_below_min");
    return;
  }
  RC_ASSERT(size.notional <= risk.size);
  RC_ASSERT(size.quantity.towards_zero_to(step) == size.quantity);
  RC_ASSERT(size.quantity.plus(step)->times(*position.mark_price) > risk.size);
}

// --- The lanes' stages

class LanesTest : public IntentsTest {
 protected:
  LanesTest() {
    std::string name = fs::temp_directory_path() / "sluice_lanes_XXXXXX";
    root_ = ::mkdtemp(name.data());
    entries_ = std::make_unique<FakeHost<Entries>>(
        store_, FakeHost<Entries>::Texts{{"state", root_ + "/state"}, {"permits", "none"}});
    exits_ = std::make_unique<FakeHost<Execution>>(
        store_, FakeHost<Execution>::Texts{{"state", root_ + "/state"}});
    host_.deliver(intent());
    order_ = last("order");
  }
  ~LanesTest() override {
    entries_.reset();
    exits_.reset();
    fs::remove_all(root_);
  }
  Record with(std::string_view name, std::string_view value) const {
    Record changed = order_;
    changed.set(name, value);
    return changed;
  }

  std::string root_;
  std::unique_ptr<FakeHost<Entries>> entries_;
  std::unique_ptr<FakeHost<Execution>> exits_;
  Record order_;
};

TEST_F(LanesTest, OrderOfAnIntentPassesTheEntryStageAlone) {
  const Ran refused = exits_->deliver(order_);
  EXPECT_EQ(refused.verdict, SLUICE_REJECT);
  EXPECT_EQ(refused.reason, "invalid_order");
  EXPECT_THAT(refused.detail, StartsWith("permits \"none\": expected both"));
  EXPECT_EQ(entries_->deliver(order_).verdict, SLUICE_ACT);
}

TEST_F(LanesTest, EntryStageRefusesWhatIsNotAnOpeningOfAnIntent) {
  const std::pair<const char*, const char*> changes[] = {{"permits", ""},
                                                         {"permits", "both"},
                                                         {"plan_id", "p1"},
                                                         {"plan_hash", "h1"},
                                                         {"governor_permit", "{}"},
                                                         {"p33_permit", "{}"},
                                                         {"reservations", "[]"},
                                                         {"stop_price", "1"},
                                                         {"permit_valid_until_us", "1"},
                                                         {"reduceOnly", "true"},
                                                         {"type", "STOP_MARKET"},
                                                         {"side", "CLOSE"},
                                                         {"quantity", "0"},
                                                         {"quantity", "-1"},
                                                         {"intent_key", ""},
                                                         {"intent_id", ""},
                                                         {"valid_until_us", "soon"},
                                                         {"client_order_id", "sl1-0"},
                                                         {"intent_key", "BTCUSDT_other"}};
  for (const auto& [name, value] : changes) {
    const Ran ran = entries_->deliver(with(name, value));
    EXPECT_EQ(ran.verdict, SLUICE_REJECT) << name << " " << value;
    EXPECT_EQ(ran.reason, "invalid_order");
  }
  EXPECT_EQ(count("result"), 0u);
}

TEST_F(LanesTest, OrderWhoseTimeIsOverIsNotSent) {
  store_.advance(60s);
  EXPECT_EQ(entries_->deliver(order_).verdict, SLUICE_ACK);
  EXPECT_EQ(at(last("result"), "status"), "EXPIRED");
  EXPECT_EQ(at(last("result"), "reason"), "order_expired_before_send");
  EXPECT_EQ(at(last("result"), "intent_id"), at(order_, "intent_id"));
}

TEST_F(LanesTest, KillSwitchStopsTheOrderAtTheLastLook) {
  const Ran ran = entries_->deliver(order_);
  ASSERT_EQ(ran.verdict, SLUICE_ACT);
  store_.put("quantum:kill", "1");
  const testing::Acted acted = entries_->act(ran);
  EXPECT_EQ(at(acted.outcome, "reason"), "kill_switch_active");
}

}  // namespace
}  // namespace sluice::execution
