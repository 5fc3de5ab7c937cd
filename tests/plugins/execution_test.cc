// One order, one trade, one terminal record: the guards before an order is sent, and every way a
// send can end, with the process dying in between.
#include "execution/execution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "common/json.h"
#include "common/permit.h"
#include "common/text.h"
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

constexpr const char* kId = "sl1-0123456789abcdef0123456789";
constexpr const char* kProcessed = "quantum:exec:processed:sl1-0123456789abcdef0123456789";
constexpr const char* kSymbolRate = "quantum:exec:rate:symbol:BTCUSDT";
constexpr const char* kGlobalRate = "quantum:exec:rate:global";
constexpr const char* kHourly = "quantum:governor:rate:hour:BTCUSDT";

std::string permit(std::string_view word, std::string_view more = "") {
  return "{\"" + std::string(word) +
         "\": true, \"symbol\": \"BTCUSDT\", \"plan_id\": \"p1\", \"plan_hash\": \"h1\"" +
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

  // An order made at `now`, permitted for 60 s, for a decision of a second before.
  Record order() const {
    return {{"plan_id", "p1"},
            {"plan_hash", "h1"},
            {"leg", "0"},
            {"client_order_id", kId},
            {"symbol", "BTCUSDT"},
            {"side", "BUY"},
            {"type", "MARKET"},
            {"quantity", "0.002"},
            {"reduceOnly", "false"},
            {"mark_price", "90000"},
            {"notional", "180"},
            {"leverage", "5"},
            {"intent_timestamp", trade::iso_z(store_.now())},
            {"created_us", std::to_string(store_.now_us)},
            {"permit_valid_until_us", std::to_string(store_.now_us + 60'000'000)},
            {"governor_permit", permit("granted")},
            {"p33_permit", permit("allow", ", \"safe_qty\": 0.002")},
            {"reservations", "[]"},
            {"trace_id", "t1"},
            {"decision_id", "d1"},
            {"decision_us", "1699999999000000"},
            {"action", "ENTRY_PROPOSED"},
            {"policy", "apply.lua@1"}};
  }
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
    for (int calls = 0; calls < 10; ++calls) {
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
  Record second = order_with("client_order_id", "sl1-second");
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
  for (int i = 0; i < 5; ++i) {
    Record entry = order_with("symbol", "S" + std::to_string(i));
    for (const char* name : {"governor_permit", "p33_permit"}) {
      std::string text = at(entry, name);
      text.replace(text.find("BTCUSDT"), 7, "S" + std::to_string(i));
      entry.set(name, text);
    }
    entry.set("client_order_id", "sl1-" + std::to_string(i));
    EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACT);
  }
  Record sixth = order();
  sixth.set("permit_valid_until_us", std::to_string(store_.now_us + 60'000'001));
  EXPECT_EQ(host_->deliver(sixth).wait_until_us, store_.now_us + 60'000'000);
  // The window opens as the permit ends: there is nothing to wait for.
  sixth.set("permit_valid_until_us", std::to_string(store_.now_us + 60'000'000));
  EXPECT_EQ(host_->deliver(sixth).verdict, SLUICE_ACK);
  expect_end(only_result(), "EXPIRED", "rate_limited");
}

TEST_F(ExecutionRates, ExpiredByRateLimitGivesGovernorShareBackAndKeepsOthersSlots) {
  Record entry = reserved_order();
  entry.set("client_order_id", "sl1-second");
  host_->deliver(order());
  entry.set("permit_valid_until_us", std::to_string(store_.now_us + 1'000'000));
  EXPECT_EQ(host_->deliver(entry).verdict, SLUICE_ACK);
  expect_end(only_result(), "EXPIRED", "rate_limited");
  EXPECT_EQ(store_.counter(kHourly), 0);
  EXPECT_EQ(store_.counter(kSymbolRate), 1);
}

TEST_F(ExecutionRates, PolicyGivesWindows) {
  host_->policy["rate_limit"] = {"10", "60s", "2", "30s"};
  host_->deliver(order());
  EXPECT_EQ(host_->deliver(order_with("client_order_id", "sl1-2")).verdict, SLUICE_ACT);
  EXPECT_EQ(host_->deliver(order_with("client_order_id", "sl1-3")).verdict, SLUICE_WAIT);
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
      const Acted acted = host_->act(ran, recovered);
      ASSERT_EQ(acted.code, SLUICE_ACT_DONE);
      host_->settle(ran, acted.outcome);
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
    const Ran ran = host_->deliver(order_with("client_order_id", "sl1-" + std::to_string(i)));
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
    const Ran ran = host_->deliver(order_with("client_order_id", "sl1-" + std::to_string(i)));
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
  const Ran other = host_->deliver(order_with("side", "SELL"));
  const Acted acted = host_->act(other);
  ASSERT_EQ(acted.code, SLUICE_ACT_DONE);
  EXPECT_EQ(acted.outcome.find("status"), "FAILED");
  EXPECT_EQ(acted.outcome.find("reason"), "client_order_id_conflict");
  EXPECT_EQ(position().text(), "0.002");
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
