#include "cli/tap_command.h"

#include <sstream>

#include "store_fixture.h"

namespace sluice::cli {
namespace {

TEST(EntryLine, JsonInFieldsStaysText) {
  const stream::Entry entry{{7, 1}, {{"payload", R"({"a":1})"}, {"n", "5"}}};
  EXPECT_EQ(entry_line(entry), "{\"id\":\"7-1\",\"payload\":\"{\\\"a\\\":1}\",\"n\":\"5\"}\n");
}

TEST(EntryLine, FieldCalledIdDoesNotHideTheEntryId) {
  const stream::Entry entry{{7, 1}, {{"id", "x"}}};
  EXPECT_EQ(entry_line(entry), "{\"id\":\"7-1\",\"field.id\":\"x\"}\n");
}

TEST(Before, IsTheLargestSmallerId) {
  EXPECT_EQ(before({5, 2}), (EntryId{5, 1}));
  EXPECT_EQ(before({5, 0}), (EntryId{4, UINT64_MAX}));
  EXPECT_EQ(before({0, 0}), (EntryId{0, 0}));
}

class TapTest : public StoreTest {
 protected:
  void SetUp() override {
    open();
    for (int i = 0; i < 1'100; ++i) ids_.push_back(append("s", {{"n", std::to_string(i)}}));
  }
  std::string tapped(EntryId from, uint64_t limit) {
    std::ostringstream out;
    const Status done = tap(*store_, store_->find_stream("s"), from, limit, out);
    EXPECT_TRUE(done.is_ok()) << done.text();
    return out.str();
  }
  std::vector<EntryId> ids_;
};

TEST_F(TapTest, AllEntriesComeOutAcrossBlocks) {
  const std::string text = tapped({}, 0);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1'100);
}

TEST_F(TapTest, FromIsIncludedAndLimitHolds) {
  EXPECT_EQ(tapped(ids_[3], 2), "{\"id\":\"" + ids_[3].text() + "\",\"n\":\"3\"}\n{\"id\":\"" +
                                    ids_[4].text() + "\",\"n\":\"4\"}\n");
}

}  // namespace
}  // namespace sluice::cli
