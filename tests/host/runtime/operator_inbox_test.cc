#include "runtime/operator_inbox.h"

#include <gmock/gmock.h>

#include "base/memory_disk.h"
#include "common/control.h"
#include "engine/embedded_store.h"

namespace sluice::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OperatorInboxTest : public ::testing::Test {
 protected:
  OperatorInboxTest() { open(); }

  void open() {
    store_.reset();
    engine::Options options;
    options.background = false;
    auto opened = engine::EmbeddedStore::open("store", options, disk_, clock_);
    EXPECT_TRUE(opened) << opened.status().text();
    store_ = std::move(*opened);
  }

  static OperatorCommand command(const std::string& what, const std::string& id,
                                 const std::string& symbol = {}, const std::string& amount = {}) {
    return {what, symbol, amount, "because", "ada", 1'700'000'000'000'000, id};
  }
  void submit(const OperatorCommand& given) {
    const Status put = inbox_.submit(given);
    ASSERT_TRUE(put.is_ok()) << put.text();
  }
  void apply_all() {
    const Status applied = inbox_.apply_all(*store_);
    ASSERT_TRUE(applied.is_ok()) << applied.text();
  }

  std::optional<stream::KeyValue> key(const std::string& name) {
    auto value = store_->get(name);
    EXPECT_TRUE(value);
    return value ? *value : std::nullopt;
  }
  std::vector<std::string> recorded() {
    const stream::StreamId id = store_->find_stream(kOperatorStream);
    if (id == 0) return {};
    auto entries = store_->range(id, {}, 100);
    EXPECT_TRUE(entries);
    std::vector<std::string> commands;
    for (const stream::Entry& entry : *entries)
      commands.emplace_back(entry.fields.find("command").value_or(""));
    return commands;
  }
  std::vector<std::string> files() {
    const auto names = disk_.list("store/inbox");
    return names ? *names : std::vector<std::string>{};
  }

  MemoryDisk disk_;
  ManualClock clock_{from_ms(1'700'000'000'000)};
  std::unique_ptr<engine::EmbeddedStore> store_;
  OperatorInbox inbox_{disk_, inbox_folder("store")};
};

TEST_F(OperatorInboxTest, FolderThatIsNotThereIsAnEmptyOne) {
  apply_all();
  EXPECT_THAT(recorded(), IsEmpty());
  const auto has = inbox_.has("1");
  ASSERT_TRUE(has);
  EXPECT_FALSE(*has);
}

TEST_F(OperatorInboxTest, KillSwitchIsSetAndClearedWithARecordOfEach) {
  submit(command("kill_on", "1"));
  EXPECT_TRUE(*inbox_.has("1"));
  apply_all();
  EXPECT_EQ(key("quantum:kill")->bytes, "1");
  EXPECT_THAT(files(), IsEmpty());
  submit(command("kill_off", "2"));
  apply_all();
  EXPECT_FALSE(key("quantum:kill").has_value());
  EXPECT_THAT(recorded(), ElementsAre("kill_on", "kill_off"));
}

TEST_F(OperatorInboxTest, RecordSaysWhoWhenAndWhy) {
  submit(command("hold", "7", "BTCUSDT"));
  apply_all();
  const auto entries = store_->range(store_->find_stream(kOperatorStream), {}, 10);
  ASSERT_TRUE(entries);
  EXPECT_EQ(entries->at(0).fields, (stream::Fields{{"command", "hold"},
                                                   {"symbol", "BTCUSDT"},
                                                   {"amount", ""},
                                                   {"reason", "because"},
                                                   {"by", "ada"},
                                                   {"at_us", "1700000000000000"},
                                                   {"id", "7"}}));
}

TEST_F(OperatorInboxTest, CommandsAreAppliedInTheOrderOfTheirIds) {
  submit(command("kill_on", "2"));
  submit(command("kill_off", "1"));
  apply_all();
  EXPECT_THAT(recorded(), ElementsAre("kill_off", "kill_on"));
  EXPECT_TRUE(key("quantum:kill").has_value());
}

// The process died after the commit and before the file was gone.
TEST_F(OperatorInboxTest, FileOfAnAppliedCommandChangesNothingMore) {
  submit(command("kill_on", "1"));
  ASSERT_TRUE(apply_command(*store_, command("kill_on", "1")));
  ASSERT_TRUE(apply_command(*store_, command("kill_off", "2")));
  open();
  apply_all();
  EXPECT_FALSE(key("quantum:kill").has_value());
  EXPECT_THAT(recorded(), ElementsAre("kill_on", "kill_off"));
  EXPECT_THAT(files(), IsEmpty());
}

TEST_F(OperatorInboxTest, WhatIsNoCommandIsPutAsideAndTheOthersAreApplied) {
  ASSERT_TRUE(disk_.make_directory("store/inbox"));
  ASSERT_TRUE(write_file_atomically(disk_, "store/inbox/1.json", "kill it"));
  ASSERT_TRUE(write_file_atomically(disk_, "store/inbox/2.json",
                                    command_text(command("kill_on", "other"))));
  submit(command("rearm", "3"));
  apply_all();
  EXPECT_THAT(recorded(), ElementsAre("rearm"));
  EXPECT_THAT(files(), ElementsAre("1.json.refused", "2.json.refused"));
  apply_all();
  EXPECT_THAT(recorded(), ElementsAre("rearm"));
}

TEST_F(OperatorInboxTest, RearmTakesTheDisarmAwayAndUnholdTheHold) {
  for (const auto& [what, id] : {std::pair("hold", "1"), std::pair("unhold", "2")}) {
    submit(command(what, id, "ETHUSDT"));
    apply_all();
    EXPECT_EQ(key("quantum:reconcile:hold:ETHUSDT").has_value(), std::string(what) == "hold");
  }
  stream::Unit unit;
  stream::Effect effect;
  effect.kind = stream::EffectKind::kPut;
  effect.key = kDisarmKey;
  effect.bytes = "{}";
  unit.effects = {effect};
  ASSERT_TRUE(static_cast<stream::Store&>(*store_).commit({&unit, 1}));
  submit(command("rearm", "3"));
  apply_all();
  EXPECT_FALSE(key("quantum:apply:disarmed").has_value());
}

TEST_F(OperatorInboxTest, RepairSetsBothNamesOfTheAmountAndKeepsTheRest) {
  stream::Unit unit;
  stream::Effect effect;
  const stream::Fields before{{"last_known_amt", "1.0"}, {"last_order_id", "9"}, {"version", "4"}};
  effect.kind = stream::EffectKind::kPutFields;
  effect.key = "quantum:position:ledger:BTCUSDT";
  effect.bytes = before.encoded();
  unit.effects = {effect};
  ASSERT_TRUE(static_cast<stream::Store&>(*store_).commit({&unit, 1}));
  submit(command("repair_ledger", "1", "BTCUSDT", "-0.031"));
  apply_all();
  const auto after = key("quantum:position:ledger:BTCUSDT");
  ASSERT_TRUE(after.has_value());
  const auto field = [&](std::string_view name) { return after->fields().find(name).value_or(""); };
  EXPECT_EQ(field("last_known_amt"), "-0.031");
  EXPECT_EQ(field("ledger_amt"), "-0.031");
  EXPECT_EQ(field("ledger_side"), "SHORT");
  EXPECT_EQ(field("last_order_id"), "9");
  EXPECT_EQ(field("version"), "5");
  EXPECT_EQ(field("source"), "operator");
}

// The stage knows which fills the amount has in it; the inbox does not.
TEST_F(OperatorInboxTest, RepairIsLeftToAStageThatReadsTheStream) {
  const auto stream = operator_stream(*store_);
  ASSERT_TRUE(stream);
  ASSERT_TRUE(store_->open_group(*stream, "repair", stream::GroupStart::kBeginning));
  submit(command("repair_ledger", "1", "BTCUSDT", "-0.031"));
  submit(command("kill_on", "2"));
  apply_all();
  EXPECT_THAT(recorded(), ElementsAre("repair_ledger", "kill_on"));
  EXPECT_FALSE(key("quantum:position:ledger:BTCUSDT").has_value());
  EXPECT_TRUE(key("quantum:kill").has_value());
}

TEST(OperatorCommand, UnsoundOnesNameFieldValueAndRule) {
  struct Case {
    OperatorCommand command;
    const char* text;
  };
  const Case cases[] = {
      {{"kill", "", "", "r", "b", 1, "1"}, "command \"kill\": expected kill_on"},
      {{"kill_on", "BTCUSDT", "", "r", "b", 1, "1"}, "symbol \"BTCUSDT\": expected none"},
      {{"hold", "btc", "", "r", "b", 1, "1"}, "symbol \"btc\": expected a symbol"},
      {{"hold", "BTC:USDT", "", "r", "b", 1, "1"}, "symbol \"BTC:USDT\": expected a symbol"},
      {{"repair_ledger", "BTCUSDT", "much", "r", "b", 1, "1"}, "amount \"much\": expected"},
      {{"rearm", "", "1", "r", "b", 1, "1"}, "amount \"1\": expected none"},
      {{"rearm", "", "", " \t", "b", 1, "1"}, "reason \" \t\": expected why"},
      {{"rearm", "", "", "r", "b", 0, "1"}, "at_us \"0\": expected"},
      {{"rearm", "", "", "r", "b", 1, "../x"}, "id \"../x\": expected"},
  };
  for (const Case& one : cases) EXPECT_THAT(one.command.check().text(), HasSubstr(one.text));
}

// A host does not know the stages, nor they it: what both call a set kill switch is held together
// here.
TEST(OperatorCommand, HostAndStagesMeanTheSameByAKillSwitch) {
  EXPECT_EQ(kKillKey, trade::kKillKey);
  EXPECT_EQ(kGlobalKillKey, trade::kGlobalKillKey);
  EXPECT_EQ(kDisarmKey, trade::kDisarmKey);
  for (const char* off : {"", " ", "0", "false", "False", "NO", "\tno\r\n", "off"}) {
    EXPECT_FALSE(says_on(off)) << off;
    EXPECT_FALSE(trade::kill_word_set(off)) << off;
  }
  for (const char* on : {"1", "true", "yes", "on", "00", "falsch", "\f", "\xff"}) {
    EXPECT_TRUE(says_on(on)) << on;
    EXPECT_TRUE(trade::kill_word_set(on)) << on;
  }
}

TEST(OperatorCommand, TextIsReadBackAsItWas) {
  const OperatorCommand given{"repair_ledger", "BTCUSDT", "-1.5", "said \"so\"\n\xc3\xa9",
                              "ada",           42,        "a-1"};
  const auto back = read_command(command_text(given));
  ASSERT_TRUE(back) << back.status().text();
  EXPECT_EQ(back->reason, given.reason);
  EXPECT_EQ(back->amount, given.amount);
  EXPECT_EQ(back->at_us, 42);
}

}  // namespace
}  // namespace sluice::runtime
