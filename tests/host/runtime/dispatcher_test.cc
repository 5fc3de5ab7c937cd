#include "runtime/dispatcher.h"

#include <gtest/gtest.h>

namespace sluice::runtime {
namespace {

ItemPtr item(uint64_t seq, std::string order_key = {}) {
  auto item = std::make_unique<Item>();
  item->delivery.entry.id = {1, seq};
  item->order_key = std::move(order_key);
  return item;
}

std::vector<uint64_t> take_ids(Dispatcher& dispatcher, std::vector<ItemPtr>& out, size_t max = 10) {
  out.clear();
  dispatcher.take(out, max);
  std::vector<uint64_t> ids;
  for (const ItemPtr& taken : out) ids.push_back(taken->delivery.entry.id.seq);
  return ids;
}

using Ids = std::vector<uint64_t>;

TEST(DispatcherTake, OneOfAnOrderKeyAtATime) {
  Dispatcher dispatcher;
  dispatcher.add(item(1, "BTC"));
  dispatcher.add(item(2, "BTC"));
  dispatcher.add(item(3, "ETH"));
  std::vector<ItemPtr> out;
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{1, 3}));
  std::vector<ItemPtr> none;
  EXPECT_EQ(take_ids(dispatcher, none), Ids{});
  dispatcher.finish(std::move(out[0]));
  EXPECT_EQ(take_ids(dispatcher, none), (Ids{2}));
  dispatcher.finish(std::move(none[0]));
  dispatcher.finish(std::move(out[1]));
  EXPECT_EQ(dispatcher.size(), 0u);
}

TEST(DispatcherTake, AnItemThatMustBeAloneComesAlone) {
  Dispatcher dispatcher;
  dispatcher.add(item(1));
  dispatcher.add(item(2));
  dispatcher.add(item(3));
  std::vector<ItemPtr> out;
  dispatcher.take(out, 3);
  out[1]->alone = true;
  dispatcher.again(std::move(out[2]));
  dispatcher.again(std::move(out[1]));
  dispatcher.again(std::move(out[0]));
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{1}));
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{2}));
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{3}));
}

// A batch of all that may be taken, done as a whole.
Ids take_and_finish(Dispatcher& dispatcher) {
  std::vector<ItemPtr> out;
  Ids ids = take_ids(dispatcher, out);
  for (ItemPtr& item : out)
    if (item->behind) std::swap(item->holds_order, out[*item->behind]->holds_order);
  for (const ItemPtr& item : out) dispatcher.run_done(*item);
  for (ItemPtr& item : out) dispatcher.finish(std::move(item));
  return ids;
}

TEST(DispatcherRuns, DoubleWhileTheyAreDoneWholeAndBeginAnewWhenOneIsBroken) {
  Dispatcher dispatcher(true);
  for (uint64_t i = 1; i <= 12; ++i) dispatcher.add(item(i, "BTC"));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{1}));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{2, 3}));
  std::vector<ItemPtr> out;
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{4, 5, 6, 7}));
  EXPECT_EQ(dispatcher.held_behind(*out[0]), 5u);
  EXPECT_EQ(out[0]->behind, std::nullopt);
  EXPECT_EQ(out[3]->behind, 2u);

  dispatcher.run_broken(*out[0]);
  for (size_t i = 3; i > 0; --i) dispatcher.hold(std::move(out[i]));
  dispatcher.again(std::move(out[0]));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{4}));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{5, 6}));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{7, 8, 9, 10}));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{11, 12}));
  EXPECT_EQ(dispatcher.size(), 0u);
}

TEST(DispatcherRuns, TakeTheRoomThatOthersLeaveOldestFirst) {
  Dispatcher dispatcher(true);
  for (uint64_t i = 1; i <= 9; ++i) dispatcher.add(item(i, i % 3 == 0 ? "BTC" : "ETH"));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{1, 3}));
  dispatcher.add(item(10));
  // Ready are 2, 6 and 10; behind them are 4, 5, 7, 8 and 9.
  std::vector<ItemPtr> out;
  EXPECT_EQ(take_ids(dispatcher, out, 4), (Ids{2, 6, 10, 4}));
  EXPECT_EQ(out[3]->behind, 0u);
}

TEST(DispatcherRuns, LeaveOutWhoMustBeAlone) {
  Dispatcher dispatcher(true);
  for (uint64_t i = 1; i <= 4; ++i) dispatcher.add(item(i, "BTC"));
  dispatcher.add(item(5, "BTC"));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{1}));
  std::vector<ItemPtr> out;
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{2, 3}));
  out[1]->alone = true;
  dispatcher.hold(std::move(out[1]));
  dispatcher.again(std::move(out[0]));
  EXPECT_EQ(take_and_finish(dispatcher), (Ids{2}));
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{3}));
  dispatcher.finish(std::move(out[0]));
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{4, 5}));
}

TEST(DispatcherRuns, OfFewKeysEachWorkerGetsItsShare) {
  Dispatcher dispatcher(true, 2);
  for (uint64_t i = 1; i <= 6; ++i) dispatcher.add(item(i, std::to_string(i % 3)));
  std::vector<ItemPtr> first, second;
  EXPECT_EQ(take_ids(dispatcher, first), (Ids{1, 2}));
  EXPECT_EQ(take_ids(dispatcher, second), (Ids{3}));
}

TEST(DispatcherWait, AKeyOrTheTimeReleasesOnce) {
  Dispatcher dispatcher;
  for (uint64_t i = 1; i <= 3; ++i) dispatcher.add(item(i));
  std::vector<ItemPtr> out;
  dispatcher.take(out, 3);
  out[0]->wait_keys = {"a", "b"};
  out[1]->wait_keys = {"b"};
  dispatcher.wait(std::move(out[0]), from_ms(100));
  dispatcher.wait(std::move(out[1]), from_ms(200));
  dispatcher.wait(std::move(out[2]), from_ms(50));
  EXPECT_EQ(dispatcher.next_due(), from_ms(50));

  std::vector<std::string> released;
  dispatcher.release_due(from_ms(60), released);
  EXPECT_TRUE(released.empty());
  dispatcher.release_key("a", released);
  EXPECT_EQ(released, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{3, 1}));
  EXPECT_EQ(dispatcher.next_due(), from_ms(200));
  dispatcher.release_due(from_ms(200), released);
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{2}));
  EXPECT_FALSE(dispatcher.next_due());
}

TEST(DispatcherWait, ThoseThatContestAKeyGetItInTurnAndFirst) {
  Dispatcher dispatcher;
  for (uint64_t i = 1; i <= 4; ++i) dispatcher.add(item(i));
  std::vector<ItemPtr> out;
  dispatcher.take(out, 3);
  for (ItemPtr& waits : out) {
    waits->wait_keys = {"other", "lock"};
    if (waits->delivery.entry.id.seq != 2) waits->contested_key = "lock";
    dispatcher.wait(std::move(waits), from_ms(100));
  }
  EXPECT_TRUE(dispatcher.is_contested("lock"));
  EXPECT_FALSE(dispatcher.is_contested("other"));

  std::vector<std::string> released;
  dispatcher.release_key("lock", released);
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{4, 2}));
  dispatcher.add(item(5));
  EXPECT_TRUE(dispatcher.release_turn("lock", released));
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{1, 5}));
  EXPECT_EQ(out[0]->turn_key, "lock");
  EXPECT_FALSE(dispatcher.release_turn("other", released));
  dispatcher.release_key("other", released);
  EXPECT_EQ(take_ids(dispatcher, out), (Ids{3}));
  EXPECT_FALSE(dispatcher.is_contested("lock"));
  EXPECT_FALSE(dispatcher.release_turn("lock", released));
  EXPECT_FALSE(dispatcher.next_due());
}

TEST(DispatcherTakeAct, ActsHaveTheirOwnQueueAlsoAfterAWait) {
  Dispatcher dispatcher;
  dispatcher.add(item(1));
  std::vector<ItemPtr> out;
  dispatcher.take(out, 1);
  out[0]->phase = Phase::kAct;
  dispatcher.wait(std::move(out[0]), from_ms(5));
  EXPECT_EQ(dispatcher.take_act(), nullptr);
  std::vector<std::string> released;
  dispatcher.release_due(from_ms(5), released);
  std::vector<ItemPtr> none;
  EXPECT_EQ(take_ids(dispatcher, none), Ids{});
  EXPECT_NE(dispatcher.take_act(), nullptr);
}

}  // namespace
}  // namespace sluice::runtime
