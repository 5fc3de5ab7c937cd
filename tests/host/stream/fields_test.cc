#include "stream/fields.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::stream {
namespace {

TEST(Fields, KeepsNamesAndValuesInOrder) {
  Fields fields{{"symbol", "BTCUSDT"}, {"side", "BUY"}};
  fields.add("note", "");
  std::vector<FieldView> seen;
  for (const FieldView& field : fields.view()) seen.push_back(field);
  const std::vector<FieldView> expected{{"symbol", "BTCUSDT"}, {"side", "BUY"}, {"note", ""}};
  EXPECT_EQ(seen, expected);
  EXPECT_EQ(fields.count(), 3u);
}

TEST(Fields, FindGivesTheFirstOfTwo) {
  const Fields fields{{"a", "1"}, {"a", "2"}};
  EXPECT_EQ(fields.find("a"), "1");
  EXPECT_EQ(fields.find("b"), std::nullopt);
}

TEST(Fields, LongValuesComeBackWhole) {
  const std::string value(100'000, 'x');
  const Fields fields{{"long", value}, {"after", "1"}};
  EXPECT_EQ(fields.find("long"), value);
  EXPECT_EQ(fields.find("after"), "1");
}

TEST(FieldsDecode, AcceptsWhatWasEncodedAndRefusesEveryPrefixThatIsNotWhole) {
  const Fields fields{{"name", "value"}, {"other", std::string(200, 'y')}};
  const std::string& encoded = fields.encoded();
  const auto whole = Fields::decode(encoded);
  ASSERT_TRUE(whole.is_ok());
  EXPECT_EQ(*whole, fields);
  const size_t first_field = Fields{{"name", "value"}}.encoded().size();
  for (size_t size = 1; size < encoded.size(); ++size) {
    EXPECT_EQ(Fields::decode(encoded.substr(0, size)).is_ok(), size == first_field) << size;
  }
}

TEST(FieldsDecode, RefusesASizeThatDoesNotFit) {
  EXPECT_FALSE(FieldsView::is_whole(std::string("\xff\xff\xff\xff\x7f", 5)));
  EXPECT_FALSE(FieldsView::is_whole(std::string(12, '\xff')));
}

}  // namespace
}  // namespace sluice::stream
