// One order, one trade, one terminal record: the guards before an order is sent, and every way a
// send can end, with the process dying in between.
#include "execution/execution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "common/json.h"
#include "common/permit.h"
#include "common/plan.h"
#include "common/text.h"
#include "execution/exchange_errors.h"
#include "execution/fills.h"
#include "execution/refund.h"
#include "p33/snapshot.h"
#include "sluice/testing.h"

namespace sluice::execution {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using p33::Snapshot;
using testing::Acted;
using testing::Effect;
using testing::FakeHost;
using testing::FakeStore;
using testing::Ran;
using Texts = testing::FakeHostBase::Texts;

const std::string kId = trade::client_order_id("paper", "p1", 0, "BTCUSDT", "BUY", "MARKET");
const std::string kProcessed = "quantum:exec:processed:" + kId;
constexpr const char* kLock = "quantum:exec:lock:BTCUSDT:ENTRY_PROPOSED";
constexpr const char* kSymbolRate = "quantum:exec:rate:symbol:BTCUSDT";
constexpr const char* kGlobalRate = "quantum:exec:rate:global";
constexpr const char* kHourly = "quantum:governor:rate:hour:BTCUSDT";

std::string permit(std::string_view word, std::string_view more = "", std::string_view plan = "p1",
                   std::string_view symbol = "BTCUSDT") {
  return "{\"" + std::string(word) + "\": true, \"symbol\": \"" + std::string(symbol) +
         "\", \"plan_id\": \"" + std::string(plan) + "\", \"plan_hash\": \"h1\"" +
         std::string(more) + "}";
}

class ExecutionTest : public ::testing::Test {
 protected:
  ExecutionTest() {
    std::string name = fs::temp_directory_path() / "sluice_execution_XXXXXX";
    root_ = ::mkdtemp(name.data());
    fs::create_directory(root_ + "/klines");
    std::ofstream(root_ + "/klines/BTCUSDT-1m.csv")
        << "open_time,open,high,low,close,volume\n1765650000000,90000,90000,90000,90000,1\n";
    start();
  }
  ~ExecutionTest() override {
    host_.reset();
    fs::remove_all(root_);
  }

  Texts settings() const { return {{"state", root_ + "/state"}, {"klines", root_ + "/klines"}}; }

  // Starts the stage; an earlier one is gone, as after kill -9: keys and the journal stay.
  void start(const Texts& more = {}) {
    host_.reset();
    Texts all = settings();
    for (const auto& [name, value] : more) all[name] = value;
    host_ = std::make_unique<FakeHost<Execution>>(store_, all);
  }

  // A new account with these settings.
  void start_anew(const Texts& more) {
    host_.reset();
    fs::remove_all(root_ + "/state");
    start(more);
  }

  // An order made at `now`, permitted for 60 s and up to its quantity.
  Record order(std::string_view plan = "p1", std::string_view quantity = "0.002",
               std::string_view symbol = "BTCUSDT", std::string_view side = "BUY",
               std::string_view stop_price = "") const {
    const bool is_stop = !stop_price.empty();
    const bool reduces = is_stop || side == "SELL";
    const std::string_view type = is_stop ? "STOP_MARKET" : "MARKET";
    const std::string_view leg = is_stop ? "sl" : "0";
    return {
        {"plan_id", plan},
        {"plan_hash", "h1"},
        {"leg", leg},
        {"client_order_id", trade::client_order_id("paper", plan, leg, symbol, side, type)},
        {"symbol", symbol},
        {"side", side},
        {"type", type},
        {"quantity", quantity},
        {"stop_price", stop_price},
        {"reduceOnly", reduces ? "true" : "false"},
        {"mark_price", "90000"},
        {"notional", "180"},
        {"leverage", "5"},
        {"intent_timestamp", trade::iso_z(store_.now())},
        {"created_us", std::to_string(store_.now_us)},
        {"permit_valid_until_us", std::to_string(store_.now_us + 60'000'000)},
        {"governor_permit", permit("granted", "", plan, symbol)},
        {"p33_permit", permit("allow", ", \"safe_qty\": " + std::string(quantity), plan, symbol)},
        {"reservations", "[]"},
        {"trace_id", "t1"},
        {"decision_id", "d1"},
        {"decision_us", "1699999999000000"},
        {"action", is_stop   ? "UPDATE_SL"
                   : reduces ? "PARTIAL_50"
                             : "ENTRY_PROPOSED"},
        {"policy", "apply.lua@1"}};
  }
  Record stop(std::string_view plan, std::string_view price, std::string_view quantity = "0.002") {
    return order(plan, quantity, "BTCUSDT", "SELL", price);
  }
  // Orders of a test that is not about limits.
  void lift_limits() { host_->policy["rate_limit"] = {"1000", "60s", "1000", "60s"}; }
  void unlock() { store_.erase(kLock); }
  Record order_with(std::string_view name, std::string_view value) const {
    Record changed = order();
    changed.set(name, value);
    return changed;
  }

  // An order whose governor reserved one of an hour's orders.
  Record reserved_order() {
    const std::vector<testing::Condition> share = {
        {SLUICE_RESERVE, kHourly, "", 0, 1, 3, SLUICE_WINDOW_SLIDING, 3'600'000'000}};
    EXPECT_FALSE(store_.apply(share, {}, {}));
    return order_with("reservations", trade::reservations_text({{kHourly, 1, store_.now_us}}));
  }

  // Runs `act` until it is done, with the clock where it asks to be called again.
  Record act_to_end(const Ran& ran, bool recovered = false) {
    for (int calls = 0; calls < 100; ++calls) {
      const Acted acted = host_->act(ran, recovered);
      if (acted.code == SLUICE_ACT_DONE) return acted.outcome;
      EXPECT_EQ(acted.code, SLUICE_ACT_LATER) << acted.error;
      store_.advance(Duration(acted.retry_after_us));
      recovered = true;
    }
    ADD_FAILURE() << "act never ended";
    return {};
  }

  // Process, act, settle; the terminal record.
  Record run(const Record& entry) {
    const Ran ran = host_->deliver(entry);
    if (ran.verdict == SLUICE_ACK) return only_result();
    EXPECT_EQ(ran.verdict, SLUICE_ACT) << ran.reason << ran.detail;
    EXPECT_EQ(host_->settle(ran, act_to_end(ran)).verdict, SLUICE_ACK);
    return only_result();
  }

  Record only_result() {
    EXPECT_EQ(store_.streams["result"].size(), 1u);
    EXPECT_EQ(store_.streams["legacy"].size(), 1u);
    return store_.streams["result"].empty() ? Record() : store_.streams["result"].back();
  }

  static std::string at(const Record& record, std::string_view name) {
    return std::string(record.find(name).value_or("(absent)"));
  }
  static void expect_end(const Record& result, std::string_view status, std::string_view reason) {
    EXPECT_EQ(at(result, "status"), status);
    EXPECT_EQ(at(result, "reason"), reason);
  }

  // What the exchange's journal holds, visible or not.
  Decimal position() const {
    paper::AccountView view(root_ + "/state", "paper");
    return view.at(store_.now_us + 1'000'000'000).position("BTCUSDT").amount;
  }

  std::string root_;
  FakeStore store_;
  std::unique_ptr<FakeHost<Execution>> host_;
};

using ExecutionGuards = ExecutionTest;
using ExecutionRates = ExecutionTest;
using ExecutionAct = ExecutionTest;
using ExecutionSettle = ExecutionTest;
using SnapshotSource = ExecutionTest;

TEST_F(ExecutionSettle, FilledOrderHasEveryFieldOfItsRecord) {
  const int64_t sent = store_.now_us;
  const Record result = run(order());
  expect_end(result, "FILLED", "");
  EXPECT_EQ(at(result, "event_type"), "execution.result");
  EXPECT_EQ(at(result, "source"), "execution-service");
  EXPECT_EQ(at(result, "plan_id"), "p1");
  EXPECT_EQ(at(result, "plan_hash"), "h1");
  EXPECT_EQ(at(result, "client_order_id"), kId);
  EXPECT_EQ(at(result, "order_id"), "1");
  EXPECT_EQ(at(result, "action"), "ENTRY_PROPOSED");
  EXPECT_EQ(at(result, "executed_qty"), "0.002");
  EXPECT_EQ(at(result, "avg_price"), "90000");
  EXPECT_EQ(at(result, "fee"), "0.072");
  EXPECT_EQ(at(result, "trace_id"), "t1");
  EXPECT_EQ(at(result, "decision_id"), "d1");
  EXPECT_EQ(at(result, "decision_us"), "1699999999000000");
  EXPECT_EQ(at(result, "sent_us"), std::to_string(sent));
  EXPECT_EQ(at(result, "result_us"), std::to_string(sent + 20'000));
  EXPECT_EQ(at(result, "reduceOnly"), "false");
  EXPECT_EQ(at(result, "policy"), "test.lua@0");
  EXPECT_EQ(at(result, "payload"),
            "{\"symbol\": \"BTCUSDT\", \"action\": \"ENTRY_PROPOSED\", \"entry_price\": 90000.0, "
            "\"position_size_usd\": 180.0, \"leverage\": 5.0, \"timestamp\": \"" +
                trade::iso_z(store_.now()) +
                "\", \"order_id\": \"1\", \"status\": \"filled\", \"slippage_pct\": 0.0, "
                "\"fee_usd\": 0.072}");
  EXPECT_EQ(at(store_.streams["legacy"].back(), "payload"), at(result, "payload"));
  EXPECT_EQ(position().text(), "0.002");
}

TEST_F(ExecutionSettle, FilledOrderKeepsItsReservations) {
  run(reserved_order());
  EXPECT_EQ(store_.counter(kHourly), 1);
  EXPECT_EQ(store_.counter(kSymbolRate), 1);
  EXPECT_EQ(store_.counter(kGlobalRate), 1);
}

TEST_F(ExecutionSettle, RefusedOrderGivesGovernorAndRateSharesBack) {
  start({{"reject_rate", "1"}});
  const Record result = run(reserved_order());
  expect_end(result, "REJECTED", "new_order_rejected");
  EXPECT_EQ(at(result, "detail"), "-2010 New order rejected.");
  EXPECT_EQ(at(result, "executed_qty"), "0");
  EXPECT_THAT(at(result, "payload"), ::testing::HasSubstr("\"order_id\": \"REJECTED\""));
  EXPECT_EQ(store_.counter(kHourly), 0);
  EXPECT_EQ(store_.counter(kSymbolRate), 0);
  EXPECT_EQ(store_.counter(kGlobalRate), 0);
  EXPECT_TRUE(position().is_zero());
}

TEST_F(ExecutionSettle, PartialFillExpiresWithWhatWasExecutedAndKeepsShares) {
  start({{"partial_fill_rate", "1"}});
  Record entry = reserved_order();
  entry.set("quantity", "0.010");
  entry.set("p33_permit", permit("allow", ", \"safe_qty\": 0.01"));
  const Record result = run(entry);
  expect_end(result, "EXPIRED", "partial_fill");
  const auto executed = Decimal::parse(at(result, "executed_qty"));
  EXPECT_TRUE(executed->is_positive() && *executed < *Decimal::parse("0.010"));
  EXPECT_EQ(position(), *executed);
  EXPECT_EQ(store_.counter(kHourly), 1);
}

TEST_F(ExecutionSettle, SlippageIsWorseThanMarkInPerCent) {
  start({{"slippage", "10"}});
  EXPECT_THAT(at(run(order()), "payload"), ::testing::HasSubstr("\"slippage_pct\": 0.1"));
}

TEST_F(ExecutionSettle, ExchangeFilterIsReportedInItsOwnWord) {
  const Record result = run(order_with("quantity", "0.001"));
  expect_end(result, "REJECTED", "notional_min");
  EXPECT_THAT(at(result, "detail"), ::testing::StartsWith("-4164"));
}

struct End {
  const char *status, *reason, *order_id, *executed;
  const char* line;     // between "TERMINAL STATE: " and the trace
  const char* payload;  // its end, from the order id on
  const char* price_and_size;
};

// Sections 7.3 and 7.5: the line and the payload of each terminal state.
TEST_F(ExecutionSettle, EachTerminalStateHasItsLineAndItsPayload) {
  const char* const kNothing = "\"entry_price\": 90000.0, \"position_size_usd\": 0.0,";
  const End ends[] = {
      {"FILLED", "", "7", "0.002", "FILLED | BTCUSDT ENTRY_PROPOSED | OrderID=7",
       R"("order_id": "7", "status": "filled", "slippage_pct": 0.0, "fee_usd": 0.072})",
       R"("entry_price": 90000.0, "position_size_usd": 180.0,)"},
      {"REJECTED", "qty_min", "", "0", "REJECTED | BTCUSDT ENTRY_PROPOSED | Reason: qty_min",
       R"("order_id": "REJECTED", "status": "rejected", "slippage_pct": 0.0, "fee_usd": 0.0})",
       kNothing},
      {"REJECTED", "margin_insufficient", "", "0",
       "REJECTED_MARGIN | BTCUSDT ENTRY_PROPOSED | Reason: margin_insufficient",
       R"("order_id": "REJECTED", "status": "rejected", "slippage_pct": 0.0, "fee_usd": 0.0})",
       kNothing},
      {"FAILED", "client_order_id_conflict", "", "0",
       "FAILED | BTCUSDT ENTRY_PROPOSED | Reason: client_order_id_conflict",
       R"("order_id": "FAILED", "status": "failed", "slippage_pct": 0.0, "fee_usd": 0.0})",
       kNothing},
      {"EXPIRED", "fill_timeout", "8", "0.001",
       "EXPIRED | BTCUSDT ENTRY_PROPOSED | Reason: fill_timeout",
       R"("order_id": "8", "status": "expired", "slippage_pct": 0.0, "fee_usd": 0.072})",
       R"("entry_price": 90000.0, "position_size_usd": 90.0,)"}};
  for (const End& end : ends) {
    SCOPED_TRACE(end.line);
    store_ = FakeStore();
    const Ran ran = host_->deliver(order());
    const bool traded = std::string_view(end.executed) != "0";
    const Ran settled = host_->settle(ran, Record{{"status", end.status},
                                                  {"reason", end.reason},
                                                  {"order_id", end.order_id},
                                                  {"executed_qty", end.executed},
                                                  {"avg_price", traded ? "90000" : "0"},
                                                  {"fee", traded ? "0.072" : "0"}});
    EXPECT_THAT(settled.log,
                ::testing::Contains("TERMINAL STATE: " + std::string(end.line) + " | trace_id=t1"));
    const std::string payload = at(only_result(), "payload");
    EXPECT_THAT(payload, ::testing::HasSubstr(end.price_and_size));
    EXPECT_THAT(payload, ::testing::EndsWith(end.payload));
    EXPECT_EQ(at(store_.streams["legacy"].back(), "payload"), payload);
  }
}

struct Guard {
  const char* name;
  std::function<void(Record&, FakeStore&)> change;
  const char* status;
  const char* reason;
};

TEST_F(ExecutionGuards, EachEndsTheOrderWithItsRecordAndSendsNothing) {
  const Guard guards[] = {
      {"kill switch", [](Record&, FakeStore& store) { store.put("quantum:kill", "1"); }, "REJECTED",
       "kill_switch_active"},
      {"global kill switch",
       [](Record&, FakeStore& store) { store.put("quantum:global:kill_switch", "TRUE"); },
       "REJECTED", "kill_switch_active"},
      {"unreadable kill switch",
       [](Record&, FakeStore& store) { store.put("quantum:kill", "maybe"); }, "REJECTED",
       "kill_switch_active"},
      {"kill switch that is a hash",
       [](Record&, FakeStore& store) {
         store.put("quantum:kill", Record{{"a", "0"}});
       },
       "REJECTED", "kill_switch_active"},
      {"permit ends now",
       [](Record& entry, FakeStore& store) {
         entry.set("permit_valid_until_us", std::to_string(store.now_us));
       },
       "EXPIRED", "permit_expired_before_send"},
      {"intent too old",
       [](Record& entry, FakeStore& store) {
         entry.set("intent_timestamp", trade::iso_z(store.now() - 600s - 1us));
       },
       "EXPIRED", "stale_intent"},
      {"order without intent too old",
       [](Record& entry, FakeStore& store) {
         entry.set("intent_timestamp", "");
         entry.set("created_us", std::to_string(store.now_us - 600'000'001));
       },
       "EXPIRED", "stale_intent"},
  };
  for (const Guard& guard : guards) {
    SCOPED_TRACE(guard.name);
    store_ = FakeStore();
    Record entry = reserved_order();
    guard.change(entry, store_);
    EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACK);
    const Record result = only_result();
    expect_end(result, guard.status, guard.reason);
    EXPECT_EQ(at(result, "sent_us"), "");
    EXPECT_EQ(store_.counter(kHourly), 0);
    EXPECT_EQ(store_.counter(kSymbolRate), 0);
    EXPECT_TRUE(store_.has(kProcessed));
    EXPECT_TRUE(position().is_zero());
  }
}

TEST_F(ExecutionGuards, KillSwitchOffWordsLetOrdersThrough) {
  for (const char* word : {"", "0", "false", "No", "OFF"}) {
    store_.put("quantum:kill", word);
    host_->apply = false;
    EXPECT_EQ(host_->deliver(order()).verdict, SLUICE_ACT) << word;
  }
}

TEST_F(ExecutionGuards, IntentExactlyAsOldAsAllowedIsSent) {
  const Record entry = order_with("intent_timestamp", trade::iso_z(store_.now() - 600s));
  expect_end(run(entry), "FILLED", "");
}

TEST_F(ExecutionGuards, PolicySeesTheIntentAndDecidesItsAge) {
  host_->policy["intent_age_max"] = {"5s"};
  const Record entry = order_with("intent_timestamp", trade::iso_z(store_.now() - 6s));
  expect_end(run(entry), "EXPIRED", "stale_intent");
  EXPECT_EQ(host_->policy_args["intent_age_max"]["symbol"], "BTCUSDT");
  EXPECT_EQ(host_->policy_args["intent_age_max"]["side"], "BUY");
}

TEST_F(ExecutionGuards, FailingPolicyRejectsTheOrder) {
  for (const char* hook : {"intent_age_max", "rate_limit"}) {
    host_->policy_fails = {hook};
    const Ran ran = host_->deliver(order());
    EXPECT_EQ(ran.verdict, SLUICE_REJECT);
    EXPECT_EQ(ran.reason, "policy_error");
  }
  EXPECT_TRUE(position().is_zero());
}

struct Unsound {
  const char* field;
  std::string value;
  const char* detail;
};

TEST_F(ExecutionGuards, UnsoundOrderIsRejectedWithFieldAndRule) {
  const Unsound rows[] = {
      {"plan_id", "", "plan_id"},
      {"plan_hash", "", "plan_hash"},
      {"client_order_id", "", "client_order_id"},
      {"symbol", "", "symbol"},
      {"side", "LONG", "expected BUY or SELL"},
      {"type", "LIMIT", "expected MARKET"},
      {"quantity", "0", "a decimal above 0"},
      {"quantity", "-1", "a decimal above 0"},
      {"quantity", "nan", "a decimal above 0"},
      {"quantity", "0.003", "at most the permitted 0.002"},
      {"reduceOnly", "True", "expected true or false"},
      {"permit_valid_until_us", "soon", "microseconds"},
      {"intent_timestamp", "yesterday", "ISO 8601"},
      {"governor_permit", "", "governor_permit"},
      {"governor_permit", "{", "JSON"},
      {"governor_permit", permit("granter"), "granted to be true"},
      {"governor_permit", "{\"granted\": false, \"plan_id\": \"p1\"}", "granted to be true"},
      {"governor_permit",
       "{\"granted\": true, \"symbol\": \"BTCUSDT\", \"plan_id\": \"p1\", \"plan_hash\": \"h2\"}",
       "plan_hash of this order"},
      {"governor_permit",
       "{\"granted\": true, \"symbol\": \"BTCUSDT\", \"plan_id\": \"p2\", \"plan_hash\": \"h1\"}",
       "of this order"},
      {"p33_permit", "", "p33_permit"},
      {"p33_permit", "[]", "allow to be true"},
      {"p33_permit", permit("allow"), "at most the permitted"},
      {"reservations", "{}", "a JSON array"},
      {"reservations", "[{\"counter\": \"quantum:exec:rate:global\", \"amount\": 1, \"at_us\": 1}]",
       "counter of the governor"},
  };
  for (const Unsound& row : rows) {
    SCOPED_TRACE(std::string(row.field) + "=" + row.value);
    const Ran ran = host_->deliver(order_with(row.field, row.value));
    EXPECT_EQ(ran.verdict, SLUICE_REJECT);
    EXPECT_EQ(ran.reason, "invalid_order");
    EXPECT_THAT(ran.detail, ::testing::HasSubstr(row.detail));
  }
  EXPECT_FALSE(store_.has(kProcessed));
}

TEST_F(ExecutionGuards, OrderOfTheGateIsSound) {
  trade::Plan plan;
  plan.plan_id = "p1";
  plan.plan_hash = "h1";
  plan.symbol = "BTCUSDT";
  plan.decision = "EXECUTE";
  trade::P33Permit p33;
  p33.side = "BUY";
  p33.safe_qty = *Decimal::parse("0.002");
  Record entry = order_with("p33_permit", trade::p33_permit_text(plan, p33));
  entry.set("governor_permit", trade::governor_permit_text(plan, {}));
  EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACT);
}

TEST_F(ExecutionGuards, SameOrderAgainIsAckedWithoutSecondRecord) {
  run(order());
  const Ran again = host_->deliver(order());
  EXPECT_EQ(again.verdict, SLUICE_ACK);
  EXPECT_TRUE(again.emitted("result").empty());
  only_result();
  EXPECT_EQ(position().text(), "0.002");
}

TEST_F(ExecutionRates, FullWindowWaitsUntilItOpens) {
  const int64_t opens_us = store_.now_us + 30'000'000;
  host_->deliver(order());
  unlock();
  Record second = order("p2");
  store_.advance(7s);
  const Ran ran = host_->deliver(second);
  ASSERT_EQ(ran.verdict, SLUICE_WAIT);
  EXPECT_EQ(ran.wait_until_us, opens_us);
  EXPECT_TRUE(ran.wait_keys.empty());
  store_.now_us = opens_us - 1;
  EXPECT_EQ(host_->deliver(second).wait_until_us, opens_us);
  store_.now_us = opens_us;
  EXPECT_EQ(host_->deliver(second).verdict, SLUICE_ACT);
}

TEST_F(ExecutionRates, OtherSymbolsShareTheGlobalWindowOnly) {
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(host_->deliver(order("p2", "0.002", "S" + std::to_string(i))).verdict, SLUICE_ACT);
  Record sixth = order();
  sixth.set("permit_valid_until_us", std::to_string(store_.now_us + 60'000'001));
  EXPECT_EQ(host_->deliver(sixth).wait_until_us, store_.now_us + 60'000'000);
  // The window opens as the permit ends: there is nothing to wait for.
  sixth.set("permit_valid_until_us", std::to_string(store_.now_us + 60'000'000));
  EXPECT_EQ(host_->deliver(sixth).verdict, SLUICE_ACK);
  expect_end(only_result(), "EXPIRED", "rate_limited");
}

TEST_F(ExecutionRates, ExpiredByRateLimitGivesGovernorShareBackAndKeepsOthersSlots) {
  host_->deliver(order("p2"));
  unlock();
  Record entry = reserved_order();
  entry.set("permit_valid_until_us", std::to_string(store_.now_us + 1'000'000));
  EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACK);
  expect_end(only_result(), "EXPIRED", "rate_limited");
  EXPECT_EQ(store_.counter(kHourly), 0);
  EXPECT_EQ(store_.counter(kSymbolRate), 1);
}

TEST_F(ExecutionRates, PolicyGivesWindows) {
  host_->policy["rate_limit"] = {"10", "60s", "2", "30s"};
  host_->deliver(order());
  unlock();
  EXPECT_EQ(host_->deliver(order("p2")).verdict, SLUICE_ACT);
  unlock();
  EXPECT_EQ(host_->deliver(order("p3")).verdict, SLUICE_WAIT);
  EXPECT_EQ(host_->policy_args["rate_limit"]["symbol"], "BTCUSDT");
}

TEST_F(ExecutionAct, AnswersLaterUntilTheFillShows) {
  const Ran ran = host_->deliver(order());
  EXPECT_EQ(ran.act_key, kId);
  const Acted first = host_->act(ran);
  EXPECT_EQ(first.code, SLUICE_ACT_LATER);
  EXPECT_EQ(first.retry_after_us, 20'000);
  store_.advance(19'999us);
  EXPECT_EQ(host_->act(ran, true).retry_after_us, 1);
  store_.advance(1us);
  const Acted last = host_->act(ran, true);
  EXPECT_EQ(last.code, SLUICE_ACT_DONE);
  EXPECT_EQ(last.outcome.find("status"), "FILLED");
  EXPECT_EQ(position().text(), "0.002");
}

struct Late {
  const char* name;
  std::function<void(FakeStore&)> change;
  const char* status;
  const char* reason;
};

TEST_F(ExecutionAct, WhatChangedSinceTheDecisionStopsTheSend) {
  const Late rows[] = {
      {"kill switch", [](FakeStore& store) { store.put("quantum:kill", "on"); }, "REJECTED",
       "kill_switch_active"},
      {"unreadable", [](FakeStore& store) { store.put("quantum:kill", "?"); }, "REJECTED",
       "kill_switch_active"},
      {"permit over", [](FakeStore& store) { store.advance(60s); }, "EXPIRED",
       "permit_expired_before_send"},
  };
  for (const bool recovered : {false, true}) {
    for (const Late& row : rows) {
      SCOPED_TRACE(std::string(row.name) + (recovered ? ", recovered" : ""));
      store_ = FakeStore();
      const Ran ran = host_->deliver(reserved_order());
      row.change(store_);
      host_->settle(ran, act_to_end(ran, recovered));
      expect_end(only_result(), row.status, row.reason);
      EXPECT_EQ(store_.counter(kHourly), 0);
      EXPECT_EQ(store_.counter(kSymbolRate), 0);
      EXPECT_TRUE(position().is_zero());
    }
  }
}

TEST_F(ExecutionAct, StaleByTheTimeOfTheSendIsNotSent) {
  host_->policy["intent_age_max"] = {"10s"};
  const Ran ran = host_->deliver(order());
  store_.advance(10s + 1us);
  EXPECT_EQ(host_->act(ran).outcome.find("reason"), "stale_intent");
}

TEST_F(ExecutionAct, KilledBetweenCommitAndSendSendsOnceAfterRestart) {
  const Ran ran = host_->deliver(order());
  start();
  EXPECT_EQ(act_to_end(ran, true).find("status"), "FILLED");
  EXPECT_EQ(position().text(), "0.002");
}

TEST_F(ExecutionAct, KilledAfterTheSendFindsTheOrderAndSendsNothing) {
  const Ran ran = host_->deliver(order());
  const int64_t sent = store_.now_us;
  host_->act(ran);
  start();
  store_.put("quantum:kill", "1");  // too late for what the exchange already has
  store_.advance(120s);
  const Record outcome = act_to_end(ran, true);
  EXPECT_EQ(outcome.find("status"), "FILLED");
  EXPECT_EQ(outcome.find("sent_us"), std::to_string(sent));
  EXPECT_EQ(position().text(), "0.002");
}

TEST_F(ExecutionAct, UnknownOutcomeIsQueriedAndEndsAsOneTradePlacedOrLost) {
  start({{"timeout_rate", "1"}, {"query_wait", "3s"}});
  host_->policy["rate_limit"] = {"1000", "60s", "1000", "60s"};
  int placed = 0;
  for (int i = 0; i < 12; ++i) {
    const Ran ran = host_->deliver(order("p" + std::to_string(i)));
    unlock();
    const Decimal before = position();
    const Acted first = host_->act(ran);
    EXPECT_EQ(first.code, SLUICE_ACT_LATER);
    EXPECT_EQ(first.retry_after_us, 3'000'000);
    if (!(position() == before)) ++placed;
    EXPECT_EQ(act_to_end(ran, true).find("status"), "FILLED");
    EXPECT_EQ(position(), before.plus(*Decimal::parse("0.002")));
  }
  EXPECT_GT(placed, 0);
  EXPECT_LT(placed, 12);
}

TEST_F(ExecutionAct, LostOrderIsNotSentAgainOnceItsPermitIsOver) {
  start({{"timeout_rate", "1"}, {"query_wait", "60s"}});
  host_->policy["rate_limit"] = {"1000", "60s", "1000", "60s"};
  int lost = 0;
  for (int i = 0; i < 12; ++i) {
    const Ran ran = host_->deliver(order("p" + std::to_string(i)));
    unlock();
    const Record outcome = act_to_end(ran);
    if (outcome.find("status") == "FILLED") continue;
    ++lost;
    EXPECT_EQ(outcome.find("reason"), "permit_expired_before_send");
  }
  EXPECT_GT(lost, 0);
  EXPECT_EQ(position(), Decimal(12 - lost).times(*Decimal::parse("0.002")));
}

TEST_F(ExecutionAct, KnownClientIdIsAdoptedNotSentAgain) {
  const Ran ran = host_->deliver(order());
  act_to_end(ran);
  const Record outcome = act_to_end(ran, false);  // a host that lost its store
  EXPECT_EQ(outcome.find("status"), "FILLED");
  EXPECT_EQ(outcome.find("order_id"), "1");
  EXPECT_EQ(position().text(), "0.002");
}

TEST_F(ExecutionAct, KnownClientIdOfAnotherOrderFails) {
  act_to_end(host_->deliver(order()));
  store_.erase(kProcessed);
  store_.advance(60s);
  const Ran other = host_->deliver(order("p1", "0.003"));
  const Acted acted = host_->act(other);
  ASSERT_EQ(acted.code, SLUICE_ACT_DONE);
  EXPECT_EQ(acted.outcome.find("status"), "FAILED");
  EXPECT_EQ(acted.outcome.find("reason"), "client_order_id_conflict");
  EXPECT_EQ(position().text(), "0.002");
}

// --- Unknown outcomes: lost, late, doubled ---

TEST_F(ExecutionAct, LateOrderIsWaitedForAndNeverSentTwice) {
  start({{"late_rate", "1"}, {"query_wait", "500ms"}});
  lift_limits();
  for (int i = 0; i < 12; ++i) {
    const Ran ran = host_->deliver(order("p" + std::to_string(i)));
    unlock();
    const Decimal before = position();
    const int64_t sent = store_.now_us;
    const Record outcome = act_to_end(ran);
    EXPECT_EQ(outcome.find("status"), "FILLED");
    EXPECT_GT(std::stoll(at(outcome, "sent_us")), sent);
    EXPECT_LE(std::stoll(at(outcome, "sent_us")), sent + 2'000'001);
    EXPECT_EQ(position(), before.plus(*Decimal::parse("0.002")));
  }
}

TEST_F(ExecutionAct, AfterACrashTheOrderIsSentOnlyOnceItCannotArriveAnyMore) {
  const Ran ran = host_->deliver(order());
  const int64_t restarted = store_.now_us;
  start({{"recv_window", "2s"}, {"query_wait", "1s"}});
  const Record outcome = act_to_end(ran, true);
  EXPECT_EQ(outcome.find("status"), "FILLED");
  EXPECT_GE(std::stoll(at(outcome, "sent_us")), restarted + 3'000'000);
  EXPECT_EQ(position().text(), "0.002");
}

TEST_F(ExecutionAct, AnswerThatComesTwiceEndsTheSameOrder) {
  const Ran ran = host_->deliver(order());
  const Record first = act_to_end(ran);
  const Record again = act_to_end(ran, true);
  EXPECT_EQ(first.fields(), again.fields());
  EXPECT_EQ(position().text(), "0.002");
}

TEST_F(ExecutionAct, ThrottledOrderIsSentAgainAfterItsWait) {
  start({{"throttle_rate", "1"}, {"query_wait", "100ms"}});
  lift_limits();
  std::set<int64_t> waits;
  for (int i = 0; i < 16; ++i) {
    const Ran ran = host_->deliver(order("p" + std::to_string(i)));
    unlock();
    const Acted first = host_->act(ran);
    ASSERT_EQ(first.code, SLUICE_ACT_LATER);
    waits.insert(first.retry_after_us);
    EXPECT_EQ(act_to_end(ran, true).find("status"), "FILLED");
  }
  // -1008 and -1021 at once, -1003 and -1015 when the exchange says so.
  EXPECT_EQ(waits, (std::set<int64_t>{100'000, 1'000'000, 2'000'000}));
  EXPECT_EQ(position().text(), "0.032");
}

TEST_F(ExecutionAct, OrderOlderThanTheExchangesMemoryIsNeverCalledAbsent) {
  start({{"journal_lines", "100"}});
  lift_limits();
  const Ran ran = host_->deliver(order("forgotten"));
  unlock();
  store_.advance(60s);
  host_->policy["intent_age_max"] = {"1d"};
  // Enough orders, over nine days, for the journal to be compacted.
  for (int i = 0; i < 110; ++i) {
    const Ran other = host_->deliver(order("p" + std::to_string(i)));
    act_to_end(other);
    unlock();
    store_.advance(std::chrono::hours(2));
  }
  const int64_t now = store_.now_us;
  store_.now_us = 1'700'000'000'000'000;  // when the request became durable
  const Acted acted = host_->act(ran, true);
  store_.now_us = now;
  EXPECT_EQ(acted.code, SLUICE_ACT_FAILED);
  EXPECT_THAT(acted.error, ::testing::HasSubstr("remembers"));
}

struct Code {
  int code;
  Reaction reaction;
  const char* word;
};

TEST(ExchangeErrors, EachCodeHasTheReactionOfTheReference) {
  const Code rows[] = {
      {-1000, Reaction::kQuery, "x"},
      {-1001, Reaction::kQuery, "x"},
      {-1002, Reaction::kReject, "x"},
      {-1003, Reaction::kBackOff, "too_many_requests"},
      {-1004, Reaction::kReject, "x"},
      {-1006, Reaction::kQuery, "x"},
      {-1007, Reaction::kQuery, "x"},
      {-1008, Reaction::kBackOff, "throttled"},
      {-1010, Reaction::kQuery, "x"},
      {-1013, Reaction::kReject, "x"},
      {-1015, Reaction::kBackOff, "too_many_orders"},
      {-1016, Reaction::kBackOff, "x"},
      {-1021, Reaction::kResync, "timestamp"},
      {-1022, Reaction::kReject, "x"},
      {-1100, Reaction::kReject, "x"},
      {-1111, Reaction::kReject, "qty_step"},
      {-1121, Reaction::kReject, "symbol"},
      {-1136, Reaction::kReject, "x"},
      {-2010, Reaction::kReject, "new_order_rejected"},
      {-2011, Reaction::kQuery, "x"},
      {-2012, Reaction::kQuery, "x"},
      {-2013, Reaction::kQuery, "x"},
      {-2014, Reaction::kReject, "x"},
      {-2018, Reaction::kReject, "margin_insufficient"},
      {-2019, Reaction::kReject, "margin_insufficient"},
      {-2021, Reaction::kReject, "would_trigger"},
      {-2022, Reaction::kReject, "reduce_only"},
      {-2027, Reaction::kReject, "x"},
      {-4003, Reaction::kReject, "quantity"},
      {-4004, Reaction::kReject, "qty_min"},
      {-4005, Reaction::kReject, "qty_max"},
      {-4014, Reaction::kReject, "stop_price"},
      {-4015, Reaction::kReject, "client_order_id"},
      {-4023, Reaction::kReject, "qty_step"},
      {-4061, Reaction::kReject, "x"},
      {-4083, Reaction::kQuery, "x"},
      {-4116, Reaction::kQuery, "x"},
      {-4117, Reaction::kQuery, "x"},
      {-4118, Reaction::kReject, "reduce_only"},
      {-4131, Reaction::kReject, "x"},
      {-4164, Reaction::kReject, "notional_min"},
      {-4400, Reaction::kReject, "x"},
      {-5022, Reaction::kReject, "x"},
      {-5028, Reaction::kReject, "x"},
      {-5041, Reaction::kReject, "x"},
      {0, Reaction::kQuery, "x"},
      {-9999, Reaction::kQuery, "x"},
  };
  for (const Code& row : rows) {
    EXPECT_EQ(reaction_to(row.code), row.reaction) << row.code;
    EXPECT_EQ(reason_word(row.code, "x"), row.word) << row.code;
  }
}

// --- Partial fills ---

TEST_F(ExecutionAct, SlowFillIsFollowedAndReportedWholeWithItsAveragePrice) {
  start({{"slow_fill_rate", "1"}, {"latency", "10s"}});
  const Ran ran = host_->deliver(order());
  EXPECT_EQ(host_->act(ran).code, SLUICE_ACT_LATER);
  store_.advance(10s);
  paper::AccountView view(root_ + "/state", "paper");
  EXPECT_EQ(view.at(store_.now_us).position("BTCUSDT").amount.text(), "0.001");
  EXPECT_EQ(host_->act(ran, true).retry_after_us, 10'000'000);
  store_.advance(10s);
  const Acted last = host_->act(ran, true);
  ASSERT_EQ(last.code, SLUICE_ACT_DONE);
  EXPECT_EQ(at(last.outcome, "status"), "FILLED");
  EXPECT_EQ(at(last.outcome, "executed_qty"), "0.002");
  EXPECT_EQ(at(last.outcome, "avg_price"), "90000");
  EXPECT_EQ(at(last.outcome, "fee"), "0.072");
}

TEST_F(ExecutionAct, OrderThatStaysOpenIsCancelledAndCountsForWhatWasFilled) {
  for (const char* timeouts : {"0", "1"}) {
    SCOPED_TRACE(timeouts);
    start({{"stall_rate", "1"},
           {"timeout_rate", timeouts},
           {"query_wait", "1s"},
           {"account", std::string("a") + timeouts}});
    store_ = FakeStore();
    Record entry = order("p1", "0.010");
    entry.set("client_order_id", trade::client_order_id(std::string("a") + timeouts, "p1", 0,
                                                        "BTCUSDT", "BUY", "MARKET"));
    const int64_t sent = store_.now_us;
    const Record result = run(entry);
    expect_end(result, "EXPIRED", "fill_timeout");
    const auto executed = Decimal::parse(at(result, "executed_qty"));
    EXPECT_TRUE(executed->is_positive() && *executed < *Decimal::parse("0.010"));
    EXPECT_GE(store_.now_us, sent + 30'000'000);
    paper::AccountView view(root_ + "/state", std::string("a") + timeouts);
    EXPECT_EQ(view.at(store_.now_us).position("BTCUSDT").amount, *executed);
  }
}

// --- Guards of the contract's table ---

TEST_F(ExecutionGuards, EX2LimitedOrderIsNotGoneButWaitsWhileItsPermitHolds) {
  run(order());
  store_.streams.clear();
  Record second = order("p2");
  EXPECT_EQ(host_->deliver(second).verdict, SLUICE_WAIT);
  EXPECT_FALSE(store_.has("quantum:exec:processed:" + at(second, "client_order_id")));
  store_.advance(30s);
  expect_end(run(second), "FILLED", "");
}

TEST_F(ExecutionGuards, SecondOrderOfSymbolAndActionWaitsForTheFirst) {
  lift_limits();
  const Ran first = host_->deliver(order());
  EXPECT_TRUE(store_.has(kLock));
  EXPECT_EQ(store_.ttl_us(kLock), 30'000'000);
  const Ran second = host_->deliver(order("p2"));
  ASSERT_EQ(second.verdict, SLUICE_WAIT);
  EXPECT_EQ(second.wait_keys, std::vector<std::string>{kLock});
  EXPECT_EQ(second.wait_until_us, store_.now_us + 30'000'000);
  host_->settle(first, act_to_end(first));
  EXPECT_FALSE(store_.has(kLock));
  EXPECT_EQ(host_->deliver(order("p2")).verdict, SLUICE_ACT);
}

TEST_F(ExecutionGuards, LockThatShouldBeGoneAndIsNotIsLookedAtAgainALittleLater) {
  store_.put(kLock, "other " + std::to_string(store_.now_us - 1));
  const Ran ran = host_->deliver(order());
  ASSERT_EQ(ran.verdict, SLUICE_WAIT);
  EXPECT_EQ(ran.wait_until_us, store_.now_us + 100'000);
}

TEST_F(ExecutionGuards, LockThatRanOutAndIsAnothersStays) {
  lift_limits();
  const Ran first = host_->deliver(order());
  store_.advance(31s);
  const Ran second = host_->deliver(order("p2"));
  EXPECT_EQ(second.verdict, SLUICE_ACT);
  host_->settle(first, act_to_end(first));
  EXPECT_TRUE(store_.has(kLock));
}

TEST_F(ExecutionGuards, NotionalTimesLeverageAboveTheLimitIsRefusedForOpeningsOnly) {
  start({{"notional_max", "899.9"}});
  EXPECT_EQ(host_->deliver(reserved_order()).verdict, SLUICE_ACK);  // 180 x 5
  expect_end(only_result(), "REJECTED", "notional_exceeded");
  EXPECT_EQ(store_.counter(kHourly), 0);
  EXPECT_EQ(host_->deliver(order("p2", "0.002", "BTCUSDT", "SELL")).verdict, SLUICE_ACT);
  store_.streams.clear();
  Record unpriced = order("p3");
  unpriced.set("mark_price", "");
  EXPECT_EQ(host_->deliver(unpriced).verdict, SLUICE_ACK);
  expect_end(only_result(), "REJECTED", "notional_exceeded");
}

TEST_F(ExecutionGuards, EX5LeverageIsCutToFiveToEightyWhereTheOrderIsJudged) {
  start({{"notional_max", "899.9"}});
  Record entry = order();
  entry.set("leverage", "1");  // judged as 5
  host_->deliver(entry);
  expect_end(only_result(), "REJECTED", "notional_exceeded");
}

TEST_F(ExecutionGuards, OpeningWithoutMarginIsRejectedAndTheFifthSetsSafeMode) {
  start_anew({{"balance", "44.9"}});  // 180 / 5 x 1.25 = 45
  lift_limits();
  for (int i = 1; i <= 5; ++i) {
    store_.streams.clear();
    const Ran ran = host_->deliver(order("p" + std::to_string(i)));
    const Ran settled = host_->settle(ran, act_to_end(ran));
    expect_end(only_result(), "REJECTED", "margin_insufficient");
    EXPECT_THAT(settled.log,
                ::testing::Contains(::testing::HasSubstr("TERMINAL STATE: REJECTED_MARGIN |")));
    EXPECT_EQ(store_.text("quantum:exec:margin_fails"), std::to_string(i));
    EXPECT_EQ(store_.ttl_us("quantum:safety:cooldown_global"), 300'000'000);
    EXPECT_EQ(store_.ttl_us("quantum:safety:cooldown_symbol:BTCUSDT"), 300'000'000);
    EXPECT_EQ(store_.has("quantum:safety:safe_mode"), i == 5);
    EXPECT_EQ(store_.counter(kSymbolRate), 0);
  }
  EXPECT_EQ(store_.ttl_us("quantum:safety:safe_mode"), 900'000'000);
  EXPECT_TRUE(position().is_zero());
}

TEST_F(ExecutionGuards, GlobalRateLimitSetsTheCooldownAndSaysHowFullTheWindowIs) {
  host_->policy["rate_limit"] = {"1", "60s", "9", "30s"};
  host_->deliver(order());
  unlock();
  store_.advance(10s);
  Record second = order("p2");
  second.set("permit_valid_until_us", std::to_string(store_.now_us + 1'000'000));
  const Ran ran = host_->deliver(second);
  expect_end(only_result(), "EXPIRED", "rate_limited");
  EXPECT_EQ(store_.ttl_us("quantum:safety:cooldown_global"), 300'000'000);
  EXPECT_THAT(ran.log, ::testing::Contains("GLOBAL_RATE_LIMIT: BTCUSDT quantum:exec:rate:global "
                                           "count=1 resets_in=50s"));
}

TEST_F(ExecutionGuards, EX22IntentWithoutReadableTimeOrFromTheFutureIsNotSent) {
  const Ran ran = host_->deliver(order_with("intent_timestamp", "soon"));
  EXPECT_EQ(ran.reason, "invalid_order");
  const Time ahead = store_.now() + 5s;
  expect_end(run(order_with("intent_timestamp", trade::iso_z(ahead + Duration(1)))), "REJECTED",
             "future_intent");
  EXPECT_TRUE(position().is_zero());
  Record near = order("p2");
  near.set("intent_timestamp", trade::iso_z(ahead));
  EXPECT_EQ(host_->deliver(near).verdict, SLUICE_ACT);
}

TEST_F(ExecutionGuards, ClocksMayBeAsFarAheadAsTheSettingSays) {
  start({{"clock_ahead_max", "0s"}});
  expect_end(run(order_with("intent_timestamp", trade::iso_z(store_.now() + Duration(1)))),
             "REJECTED", "future_intent");
}

TEST_F(ExecutionGuards, StaleOrdersHaveARecordEachAndOneLogLineIn30Seconds) {
  std::vector<std::string> lines;
  for (int i = 0; i < 4; ++i) {
    if (i == 3) store_.advance(30s);
    Record entry = order("p" + std::to_string(i));
    entry.set("intent_timestamp", trade::iso_z(store_.now() - 601s));
    for (const std::string& line : host_->deliver(entry).log) {
      if (line.starts_with("STALE_INTENT_DROP")) lines.push_back(line);
    }
  }
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "STALE_INTENT_DROP: BTCUSDT age=601s (>600s) | Total stale: 1",
                       "STALE_INTENT_DROP: BTCUSDT age=601s (>600s) | Total stale: 4"}));
  EXPECT_EQ(store_.streams["result"].size(), 4u);
}

TEST_F(ExecutionGuards, EX6SideThatIsNeitherBuyNorSellIsNeverSold) {
  for (const char* side : {"", "buy", "CLOSE", "HOLD"})
    EXPECT_EQ(host_->deliver(order_with("side", side)).reason, "invalid_order");
  EXPECT_TRUE(position().is_zero());
}

TEST_F(ExecutionGuards, EX21UnreadableOrderLeavesTheStageWorking) {
  EXPECT_EQ(host_->deliver(Record{}).verdict, SLUICE_REJECT);
  expect_end(run(order()), "FILLED", "");
}

TEST_F(ExecutionGuards, EX7OrderHasOneTerminalLine) {
  const Ran ran = host_->deliver(order());
  const Ran settled = host_->settle(ran, act_to_end(ran));
  const auto is_terminal = [](const std::string& line) {
    return line.starts_with("TERMINAL STATE: ");
  };
  EXPECT_EQ(std::count_if(settled.log.begin(), settled.log.end(), is_terminal), 1);
  EXPECT_THAT(settled.log, ::testing::Contains("TERMINAL STATE: FILLED | BTCUSDT ENTRY_PROPOSED | "
                                               "OrderID=1 | trace_id=t1"));
}

TEST_F(ExecutionGuards, EX13QuantityIsSentAsItIsNotCutByHalfAStep) {
  start_anew({{"balance", "10000000"}, {"notional_max", "100000000"}});
  lift_limits();
  for (const char* quantity : {"2", "1", "0.043", "0.3"}) {
    store_.streams.clear();
    unlock();
    store_.advance(60s);
    EXPECT_EQ(at(run(order(std::string("p") + quantity, quantity)), "executed_qty"), quantity);
  }
}

TEST_F(ExecutionAct, EX1OrderIsNeverCalledFilledBeforeItsFillShows) {
  const Ran ran = host_->deliver(order());
  EXPECT_EQ(host_->act(ran).code, SLUICE_ACT_LATER);
  const Record outcome = act_to_end(ran, true);
  EXPECT_EQ(at(outcome, "status"), "FILLED");
  EXPECT_EQ(at(outcome, "executed_qty"), "0.002");
  EXPECT_EQ(at(outcome, "avg_price"), "90000");
}

TEST_F(ExecutionAct, EX8OrdersOfTwoSymbolsAreAtTheExchangeAtOnce) {
  const Ran first = host_->deliver(order());
  const Ran second = host_->deliver(order("p2", "0.002", "S1"));
  EXPECT_EQ(first.verdict, SLUICE_ACT);
  EXPECT_EQ(second.verdict, SLUICE_ACT);
  EXPECT_EQ(host_->act(first).code, SLUICE_ACT_LATER);
  EXPECT_EQ(host_->act(second).code, SLUICE_ACT_DONE);  // no price: refused at once
  EXPECT_EQ(act_to_end(first, true).find("status"), "FILLED");
}

TEST_F(ExecutionAct, EB1OrderUnderWayAtARestartIsFinished) {
  const Ran ran = host_->deliver(order());
  host_->act(ran);
  start();
  host_->settle(ran, act_to_end(ran, true));
  expect_end(only_result(), "FILLED", "");
}

TEST_F(ExecutionGuards, ClientOrderIdThatIsNotThatOfThePlanIsRefused) {
  const std::string others[] = {
      "sl1-0123456789abcdef0123456789",
      trade::client_order_id("live", "p1", 0, "BTCUSDT", "BUY", "MARKET"),
      trade::client_order_id("paper", "p2", 0, "BTCUSDT", "BUY", "MARKET"),
      trade::client_order_id("paper", "p1", 1, "BTCUSDT", "BUY", "MARKET"),
      trade::client_order_id("paper", "p1", 0, "BTCUSDT", "SELL", "MARKET")};
  for (const std::string& id : others) {
    const Ran ran = host_->deliver(order_with("client_order_id", id));
    EXPECT_EQ(ran.reason, "invalid_order");
    EXPECT_THAT(ran.detail, ::testing::HasSubstr(kId));
  }
}

TEST_F(ExecutionGuards, DiagTellsEveryStepAndAHeartbeat) {
  start({{"diag", "true"}, {"timeout_rate", "1"}});
  const Ran ran = host_->deliver(order());
  EXPECT_THAT(ran.log, ::testing::Contains(::testing::StartsWith("[DIAG] heartbeat: ended=0")));
  EXPECT_THAT(ran.log,
              ::testing::Contains(::testing::StartsWith("P0.D.5 Config: TTL=600s, COUNT=")));
  store_.advance(10s);
  EXPECT_THAT(host_->deliver(order()).log,
              ::testing::Not(::testing::Contains(::testing::HasSubstr("heartbeat"))));
}

// --- Orders that died ---

TEST_F(ExecutionGuards, PolicyFailureGivesTheShareBackOnceAndTheOrderIsNeverSent) {
  host_->policy_fails = {"rate_limit"};
  Record entry = reserved_order();
  EXPECT_EQ(host_->deliver(entry).reason, "policy_error");
  EXPECT_EQ(store_.counter(kHourly), 1);
  reserved_order();  // somebody else's, a moment later

  FakeHost<Refund> refund(store_);
  Record dead = entry;
  dead.add("sluice.stage", "execution");
  dead.add("sluice.reason", "policy_error");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(refund.deliver(dead).verdict, SLUICE_ACK);
    EXPECT_EQ(store_.counter(kHourly), 1);
  }
  host_->policy_fails.clear();
  EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACK);  // replayed
  EXPECT_TRUE(store_.streams["result"].empty());
  EXPECT_TRUE(position().is_zero());
}

TEST_F(ExecutionGuards, UnfilledOrderGivesItsShareBackOnceHoweverOftenItComes) {
  const Record refused_at_once = reserved_order();
  const auto come_again = [&](const Record& entry) {
    EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACK);
    FakeHost<Refund> refund(store_);
    Record dead = entry;
    dead.add("sluice.stage", "execution");
    refund.deliver(dead);
  };
  const auto reserve_anothers = [&] { reserved_order(); };

  reserve_anothers();
  store_.put("quantum:kill", "1");
  run(refused_at_once);
  EXPECT_EQ(store_.counter(kHourly), 1);
  come_again(refused_at_once);
  EXPECT_EQ(store_.counter(kHourly), 1);
  store_.erase("quantum:kill");

  start({{"reject_rate", "1"}});
  Record refused_there = order("p2");
  reserve_anothers();
  refused_there.set("reservations", trade::reservations_text({{kHourly, 1, store_.now_us}}));
  const Ran ran = host_->deliver(refused_there);
  host_->settle(ran, act_to_end(ran));
  EXPECT_EQ(at(store_.streams["result"].back(), "status"), "REJECTED");
  EXPECT_EQ(store_.counter(kHourly), 1);
  come_again(refused_there);
  EXPECT_EQ(store_.counter(kHourly), 1);
}

TEST_F(ExecutionGuards, DeadLettersOfOthersAndOrdersTakenUpKeepTheirShares) {
  FakeHost<Refund> refund(store_);
  Record entry = reserved_order();
  Record dead = entry;
  dead.add("sluice.stage", "gate");
  refund.deliver(dead);
  dead.set("sluice.stage", "execution");
  Record unsound = dead;
  unsound.set("quantity", "0");
  refund.deliver(unsound);
  EXPECT_EQ(store_.counter(kHourly), 1);
  EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACT);
  refund.deliver(dead);
  EXPECT_EQ(store_.counter(kHourly), 1);
}

// --- Stops ---

class ExecutionStops : public ExecutionTest {
 protected:
  // BTCUSDT stands at 90000 for ten minutes, then at 80000.
  ExecutionStops() {
    std::ofstream(root_ + "/klines/BTCUSDT-1m.csv")
        << "1765650000000,90000,90000,90000,90000,1\n1765650600000,80000,80000,80000,80000,1\n";
    start();
    lift_limits();
    run(order());
    store_.streams.clear();
    fills_ = std::make_unique<FakeHost<Fills>>(store_, where());
    opened_ = store_.now();
  }
  ~ExecutionStops() override { fills_.reset(); }

  Texts where() const { return {{"state", root_ + "/state"}}; }

  std::vector<Record> told() {
    store_.streams.clear();
    fills_->poll();
    return store_.streams["fill"];
  }
  void restart() {
    fills_.reset();
    start();
    lift_limits();
    fills_ = std::make_unique<FakeHost<Fills>>(store_, where());
  }

  std::unique_ptr<FakeHost<Fills>> fills_;
  Time opened_;
};

TEST_F(ExecutionStops, StopIsPlacedThenFilledWhenThePriceReachesItAndToldOnce) {
  Record entry = stop("s1", "85000");
  const Record placed = run(entry);
  expect_end(placed, "PLACED", "");
  EXPECT_EQ(at(placed, "executed_qty"), "0");
  EXPECT_EQ(at(placed, "order_id"), "2");
  EXPECT_TRUE(store_.has("quantum:exec:stop:" + at(entry, "client_order_id")));
  EXPECT_TRUE(told().empty());
  EXPECT_EQ(position().text(), "0.002");

  store_.set_now(opened_ + 11min);
  fills_->poll();  // triggered in the tenth minute, by the exchange's own clock
  const auto& fill = store_.streams["fill"];
  ASSERT_EQ(fill.size(), 1u);
  expect_end(fill[0], "FILLED", "");
  EXPECT_EQ(at(fill[0], "client_order_id"), at(entry, "client_order_id"));
  EXPECT_EQ(at(fill[0], "executed_qty"), "0.002");
  EXPECT_EQ(at(fill[0], "avg_price"), "80000");
  EXPECT_EQ(at(fill[0], "side"), "SELL");
  EXPECT_EQ(at(fill[0], "reduceOnly"), "true");
  EXPECT_EQ(at(fill[0], "plan_id"), "s1");
  EXPECT_EQ(at(fill[0], "trace_id"), "t1");
  EXPECT_EQ(position().text(), "0");
  EXPECT_FALSE(store_.has("quantum:exec:stop:" + at(entry, "client_order_id")));
  EXPECT_TRUE(told().empty());
  restart();
  EXPECT_TRUE(told().empty());
}

TEST_F(ExecutionStops, StopTriggersAlsoWhileNobodyRan) {
  run(stop("s1", "85000"));
  fills_.reset();
  host_.reset();
  store_.set_now(opened_ + 15min);
  restart();
  const auto fill = told();
  ASSERT_EQ(fill.size(), 1u);
  expect_end(fill[0], "FILLED", "");
  EXPECT_EQ(position().text(), "0");
}

TEST_F(ExecutionStops, NewStopTakesThePlaceOfTheOldAlsoWithAnswersLost) {
  for (const char* timeouts : {"0", "1"}) {
    fills_.reset();
    start({{"timeout_rate", timeouts}});
    lift_limits();
    store_.streams.clear();
    const std::string mark = timeouts;
    run(stop("s1" + mark, "85000"));
    store_.streams.clear();
    expect_end(run(stop("s2" + mark, "86000")), "PLACED", "");
    fills_ = std::make_unique<FakeHost<Fills>>(store_, where());
    store_.advance(1s);
    const auto ended = told();
    ASSERT_FALSE(ended.empty());
    for (const Record& end : ended) expect_end(end, "CANCELED", "cancelled");
    EXPECT_EQ(at(ended.back(), "plan_id"), "s1" + mark);
  }
}

TEST_F(ExecutionStops, StopOfAClosedPositionIsCancelled) {
  run(stop("s1", "85000"));
  store_.streams.clear();
  run(order("p2", "0.002", "BTCUSDT", "SELL"));
  store_.advance(1s);
  const auto ended = told();
  ASSERT_EQ(ended.size(), 1u);
  expect_end(ended[0], "CANCELED", "position_closed");
  EXPECT_EQ(at(ended[0], "executed_qty"), "0");
}

TEST_F(ExecutionStops, KilledAfterPlacingIsAdoptedAndReplacesTheOldOneThen) {
  run(stop("s1", "85000"));
  store_.streams.clear();
  Record entry = stop("s2", "86000");
  const Ran ran = host_->deliver(entry);
  host_->act(ran);
  restart();
  host_->settle(ran, act_to_end(ran, true));
  expect_end(only_result(), "PLACED", "");
  store_.advance(1s);
  EXPECT_EQ(told().size(), 1u);
}

TEST_F(ExecutionStops, StopTheExchangeRefusesGivesSharesBackAndKeepsTheOldOne) {
  run(stop("s1", "85000"));
  struct Row {
    const char* price;
    const char* reason;
  };
  for (const Row& row : {Row{"90000", "would_trigger"}, Row{"85000.05", "stop_price"}}) {
    store_.streams.clear();
    Record entry = stop(std::string("bad") + row.price, row.price);
    entry.set("reservations", reserved_order().find("reservations").value());
    expect_end(run(entry), "REJECTED", row.reason);
    EXPECT_EQ(store_.counter(kHourly), 0);
    EXPECT_FALSE(store_.has("quantum:exec:stop:" + at(entry, "client_order_id")));
  }
  store_.advance(1s);
  EXPECT_TRUE(told().empty());
}

TEST_F(ExecutionStops, PlacedStopKeepsWhatWasReservedForIt) {
  Record entry = stop("s1", "85000");
  entry.set("reservations", reserved_order().find("reservations").value());
  run(entry);
  EXPECT_EQ(store_.counter(kHourly), 1);
}

TEST_F(ExecutionStops, KillSwitchStopsNewStops) {
  store_.put("quantum:kill", "1");
  expect_end(run(stop("s1", "85000")), "REJECTED", "kill_switch_active");
}

TEST_F(ExecutionStops, UnsoundStopIsRefusedByFieldAndRule) {
  const Unsound rows[] = {{"stop_price", "", "stop_price"},
                          {"stop_price", "0", "a decimal above 0"},
                          {"reduceOnly", "false", "true for STOP_MARKET"}};
  for (const Unsound& row : rows) {
    Record entry = stop("s1", "85000");
    entry.set(row.field, row.value);
    const Ran ran = host_->deliver(entry);
    EXPECT_EQ(ran.reason, "invalid_order");
    EXPECT_THAT(ran.detail, ::testing::HasSubstr(row.detail));
  }
  EXPECT_THAT(host_->deliver(order_with("stop_price", "85000")).detail,
              ::testing::HasSubstr("none for MARKET"));
}

TEST_F(ExecutionStops, WithoutAnOpenExchangeThereIsNothingToTell) {
  run(stop("s1", "85000"));
  fills_.reset();
  host_.reset();
  store_.set_now(opened_ + 15min);
  fills_ = std::make_unique<FakeHost<Fills>>(store_, where());
  EXPECT_TRUE(told().empty());
}

TEST_F(ExecutionStops, StagesOfOneAccountWithOtherSettingsAreRefused) {
  Texts other = settings();
  other["fee_rate"] = "0";
  EXPECT_THROW(FakeHost<Execution> host(other), SettingError);
}

TEST_F(ExecutionAct, SettingsThatCannotBeAreRefusedByName) {
  for (const auto& [name, value] :
       Texts{{"account", "a/b"}, {"filters", "BTCUSDT"}, {"state", ""}}) {
    Texts all = settings();
    all[name] = value;
    try {
      FakeHost<Execution> host(all);
      ADD_FAILURE() << name << " was taken";
    } catch (const SettingError& error) {
      EXPECT_EQ(error.setting(), name);
    }
  }
}

TEST_F(SnapshotSource, ShowsPositionPriceAndFiltersAndWaitsItsInterval) {
  Texts all = settings();
  all["symbols"] = "BTCUSDT,NEARUSDT";
  FakeHost<Snapshot> source(store_, all);
  const Ran first = source.poll();
  EXPECT_EQ(first.verdict, SLUICE_POLL_IDLE);
  EXPECT_EQ(first.retry_after_us, 5'000'000);
  const char* key = "quantum:position:snapshot:BTCUSDT";
  EXPECT_EQ(store_.field(key, "position_amt"), "0.0");
  EXPECT_EQ(store_.field(key, "side"), "NONE");
  EXPECT_EQ(store_.field(key, "mark_price"), "90000.0");
  EXPECT_EQ(store_.field(key, "price_tick"), "0.1");
  EXPECT_EQ(store_.field(key, "qty_step"), "0.001");
  EXPECT_EQ(store_.field(key, "qty_min"), "0.001");
  EXPECT_EQ(store_.field(key, "notional_min"), "100");
  EXPECT_EQ(store_.ttl_us(key), 3'600'000'000);
  EXPECT_THAT(first.log, ::testing::Contains(::testing::HasSubstr("klines of 1 symbols")));
  EXPECT_THAT(first.log, ::testing::Contains(::testing::HasSubstr("NEARUSDT")));
  EXPECT_FALSE(store_.has("quantum:position:snapshot:NEARUSDT"));

  run(order());
  store_.advance(5s);
  source.poll();
  EXPECT_EQ(store_.field(key, "position_amt"), "0.002");
  EXPECT_EQ(store_.field(key, "side"), "LONG");
  EXPECT_EQ(store_.field(key, "entry_price"), "90000.0");
  EXPECT_EQ(store_.field(key, "unrealized_pnl"), "0.0");
  EXPECT_EQ(store_.field(key, "leverage"), "10");
  EXPECT_EQ(store_.field(key, "ts_us"), std::to_string(store_.now_us));
  EXPECT_EQ(store_.field(key, "ts_epoch"), std::to_string(store_.now_us / 1'000'000));
  EXPECT_EQ(store_.field(key, "source"), "paper");
}

TEST_F(SnapshotSource, DamagedJournalFailsThePollAndWritesNothing) {
  run(order());
  const std::string path = paper::journal_path(root_ + "/state", "paper");
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).put('x');
  Texts all = settings();
  all["symbols"] = "BTCUSDT";
  FakeHost<Snapshot> source(store_, all);
  EXPECT_EQ(source.poll().verdict, SLUICE_POLL_FAILED);
  EXPECT_FALSE(store_.has("quantum:position:snapshot:BTCUSDT"));
}

}  // namespace
}  // namespace sluice::execution
