#include "base/entry_id.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(EntryIdParse, TextReadsBack) {
  const EntryId id{1763818338282, 17};
  EXPECT_EQ(id.text(), "1763818338282-17");
  EXPECT_EQ(EntryId::parse(id.text()), id);
  EXPECT_EQ(EntryId::parse("5"), (EntryId{5, 0}));
}

TEST(EntryIdParse, AnythingElseIsRefused) {
  for (const char* text : {"", "-", "1-", "-1", "a-1", "1-a", " 1-1", "1-1 ", "+1-1", "1--1",
                           "99999999999999999999-0"})
    EXPECT_FALSE(EntryId::parse(text)) << text;
}

TEST(NextEntryId, AscendsWhenTheClockStandsOrGoesBack) {
  EXPECT_EQ(next_entry_id({10, 3}, 11), (EntryId{11, 0}));
  EXPECT_EQ(next_entry_id({10, 3}, 10), (EntryId{10, 4}));
  EXPECT_EQ(next_entry_id({10, 3}, 2), (EntryId{10, 4}));
}

}  // namespace
}  // namespace sluice
