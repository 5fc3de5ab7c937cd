#include "cli/dlq_command.h"

#include "store_fixture.h"

namespace sluice::cli {
namespace {

class DlqTest : public StoreTest {
 protected:
  void SetUp() override {
    open();
    stream("intents");
    stream("dead");
  }

  std::vector<DeadLetterEntry> matching(const DeadLetterFilter& filter) {
    const stream::StreamId dead = store_->find_stream("dead");
    std::vector<DeadLetterEntry> found;
    const Status read =
        visit_dead_letters(*store_, {&dead, 1}, filter, [&](DeadLetterEntry&& letter) {
          found.push_back(std::move(letter));
          return true;
        });
    EXPECT_TRUE(read.is_ok()) << read.text();
    return found;
  }
};

TEST_F(DlqTest, FiltersNarrowTogether) {
  append_dead("schema", "BTCUSDC");
  const EntryId wanted = append_dead("schema", "ETHUSDC", "plans", "gate");
  append_dead("policy_error", "ETHUSDT", "plans", "gate");
  EXPECT_EQ(matching({}).size(), 3u);
  EXPECT_EQ(matching({{}, "schema", ""}).size(), 2u);
  EXPECT_EQ(matching({{}, "", "gate"}).size(), 2u);
  const auto both = matching({{}, "schema", "gate"});
  ASSERT_EQ(both.size(), 1u);
  EXPECT_EQ(both[0].entry.id, wanted);
  EXPECT_TRUE(matching({{wanted}, "policy_error", ""}).empty());
}

TEST_F(DlqTest, LettersAreFoundByIdAloneAndOthersAreNot) {
  append_dead("schema", "A");
  const EntryId second = append_dead("schema", "B");
  const auto found = matching({{second, EntryId{1, 1}}, "", ""});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].field("symbol"), "B");
}

TEST_F(DlqTest, VisitReadsBeyondOneBlock) {
  for (int i = 0; i < 1'203; ++i) append_dead("schema", "S" + std::to_string(i));
  EXPECT_EQ(matching({}).size(), 1'203u);
}

TEST_F(DlqTest, ReplayPutsOriginalFieldsBackAndRemovesTheLetter) {
  const EntryId first = append_dead("schema", "BTCUSDC");
  append_dead("schema", "ETHUSDC");
  const auto change = replay_dead_letters(*store_, matching({{first}, "", ""}));
  ASSERT_TRUE(change) << change.status().text();
  ASSERT_EQ(change->replayed.size(), 1u);
  EXPECT_EQ(change->replayed[0].id, first);
  EXPECT_EQ(change->replayed[0].stream, "intents");

  const auto back = entries("intents");
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].id, change->replayed[0].new_id);
  EXPECT_EQ(back[0].fields, (stream::Fields{{"symbol", "BTCUSDC"}}));
  ASSERT_EQ(entries("dead").size(), 1u);
  EXPECT_EQ(entries("dead")[0].fields.find("symbol"), "ETHUSDC");
}

TEST_F(DlqTest, ReplayIsOneCommitAndOutlivesTheProcess) {
  append_dead("schema", "BTCUSDC");
  const stream::CommitSeq before_replay = store_->last_commit();
  ASSERT_TRUE(replay_dead_letters(*store_, matching({})));
  EXPECT_EQ(store_->last_commit(), before_replay + 1);
  close();
  open();
  EXPECT_EQ(entries("intents").size(), 1u);
  EXPECT_TRUE(entries("dead").empty());
}

TEST_F(DlqTest, LetterOfUnknownStreamStaysAndSaysWhy) {
  append_dead("schema", "A", "gone");
  append_dead("schema", "B", "");
  append_dead("schema", "C");
  const auto change = replay_dead_letters(*store_, matching({}));
  ASSERT_TRUE(change) << change.status().text();
  EXPECT_EQ(change->replayed.size(), 1u);
  ASSERT_EQ(change->unmoved.size(), 2u);
  EXPECT_NE(change->unmoved[0].why.find("\"gone\""), std::string::npos);
  EXPECT_EQ(entries("dead").size(), 2u);
}

TEST_F(DlqTest, DropRemovesTheLetterAndNothingElse) {
  const EntryId first = append_dead("schema", "A");
  const EntryId second = append_dead("schema", "B");
  const auto change = drop_dead_letters(*store_, matching({{first}, "", ""}));
  ASSERT_TRUE(change) << change.status().text();
  EXPECT_EQ(change->dropped, 1u);
  ASSERT_EQ(entries("dead").size(), 1u);
  EXPECT_EQ(entries("dead")[0].id, second);
  EXPECT_TRUE(entries("intents").empty());
}

}  // namespace
}  // namespace sluice::cli
