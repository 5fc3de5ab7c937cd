#include "cli/streams_command.h"

#include "store_fixture.h"

namespace sluice::cli {
namespace {

stream::StreamInfo sample() {
  stream::StreamInfo info;
  info.name = "trade.intent";
  info.length = 1'500;
  info.entries_added = 2'000;
  info.first = {5, 0};
  info.last = {9, 1};
  info.keep = 10'000;
  info.groups = {{"apply", 1, 12, 3, {8, 0}, from_ms(1'000)}, {"audit", 2, 0, 0, {9, 1}, {}}};
  return info;
}

TEST(StreamsJson, ShapeIsAListOfStreamsWithTheirGroups) {
  EXPECT_EQ(streams_json({sample()}, from_ms(3'500)),
            R"([{"name":"trade.intent","length":1500,"entries_added":2000,"first":"5-0",)"
            R"("last":"9-1","keep":10000,"groups":[)"
            R"({"name":"apply","lag":12,"pending":3,"last_delivered":"8-0","oldest_ms":2500},)"
            R"({"name":"audit","lag":0,"pending":0,"last_delivered":"9-1","oldest_ms":0}]}])"
            "\n");
}

TEST(StreamsJson, StoreWithoutStreamsIsAnEmptyList) {
  EXPECT_EQ(streams_json({}, from_ms(0)), "[]\n");
}

TEST(StreamsJson, ClockBehindTheEntriesGivesAgeZero) {
  EXPECT_NE(streams_json({sample()}, from_ms(10)).find("\"oldest_ms\":0},"), std::string::npos);
}

TEST(StreamsTable, StreamIsNamedOnceAndCountsAreRightAligned) {
  EXPECT_EQ(streams_table({sample()}, from_ms(3'500), {}),
            "stream        length  added  group  lag  pending  oldest\n"
            "trade.intent   1,500  2,000  apply   12        3    2.5s\n"
            "                             audit    0        0       -\n");
}

using StreamsOfStore = StoreTest;

TEST_F(StreamsOfStore, FileOrderComesFirstThenNames) {
  open();
  for (const char* name : {"b", "a", "second", "first"}) stream(name);
  graph::Pipeline pipeline;
  pipeline.streams.resize(2);
  pipeline.streams[0].name = "first";
  pipeline.streams[1].name = "second";
  std::vector<std::string> names;
  for (const auto& info : ordered_streams(*store_, &pipeline)) names.push_back(info.name);
  EXPECT_EQ(names, (std::vector<std::string>{"first", "second", "a", "b"}));
}

}  // namespace
}  // namespace sluice::cli
