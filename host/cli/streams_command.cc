#include "cli/streams_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/store_access.h"

namespace sluice::cli {

namespace {

// Not below zero: the clock of this machine may be behind the one that stamped the entry.
Micros age_of(const stream::GroupInfo& group, WallTime now) {
  return group.oldest ? std::max(Micros(0), now - *group.oldest) : Micros(0);
}

int show_streams(Common& common, const StorePlace& place, uint32_t shard) {
  const auto store = open_for_reading(common, place, shard);
  if (!store) return fail(common, store.status());
  const auto streams = ordered_streams(**store, place.pipeline());
  // Under a recorded clock an entry ages with the recording, not while nobody runs it.
  const bool recorded =
      place.pipeline() != nullptr && place.pipeline()->clock == graph::ClockMode::kRecorded;
  const WallTime now = recorded ? (*store)->last_commit_time() : common.clock.now();
  common.out << (common.format == Format::kJson ? streams_json(streams, now)
                                                : streams_table(streams, now, common.out_style));
  return kFine;
}

int run_streams(Common& common, const std::string& file) {
  int exit = kFine;
  const auto place = find_store(common, file, exit);
  if (!place) return exit;
  return each_shard(common, *place, "streams", [&place](Common& to, uint32_t shard) {
    return show_streams(to, *place, shard);
  });
}

}  // namespace

std::vector<stream::StreamInfo> ordered_streams(const stream::Store& store,
                                                const graph::Pipeline* pipeline) {
  const auto rank = [&](const stream::StreamInfo& info) {
    size_t at = 0;
    if (pipeline != nullptr)
      for (; at < pipeline->streams.size(); ++at)
        if (pipeline->streams[at].name == info.name) break;
    return at;
  };
  std::vector<stream::StreamInfo> streams = store.streams();
  std::sort(streams.begin(), streams.end(), [&](const auto& a, const auto& b) {
    const size_t rank_a = rank(a), rank_b = rank(b);
    return rank_a != rank_b ? rank_a < rank_b : a.name < b.name;
  });
  return streams;
}

std::string streams_table(const std::vector<stream::StreamInfo>& streams, WallTime now,
                          const Style& style) {
  if (streams.empty()) return "the store has no streams yet\n";
  Table table({{"stream"},
               {"length", Align::kRight},
               {"added", Align::kRight},
               {"group"},
               {"lag", Align::kRight},
               {"pending", Align::kRight},
               {"oldest", Align::kRight}});
  for (const stream::StreamInfo& stream : streams) {
    std::vector<std::string> row{stream.name, count_text(stream.length),
                                 count_text(stream.entries_added)};
    for (const stream::GroupInfo& group : stream.groups) {
      row.insert(row.end(), {group.name, count_text(group.lag), count_text(group.pending),
                             group.oldest ? age_text(age_of(group, now)) : "-"});
      table.add_row(std::move(row));
      row = {"", "", ""};  // the stream is named once
    }
    if (stream.groups.empty()) table.add_row(std::move(row));
  }
  return table.text(style);
}

std::string streams_json(const std::vector<stream::StreamInfo>& streams, WallTime now) {
  JsonWriter json;
  json.begin_array();
  for (const stream::StreamInfo& stream : streams) {
    json.begin_object().member("name", stream.name).member("length", stream.length);
    json.member("entries_added", stream.entries_added);
    json.member("first", stream.first.text()).member("last", stream.last.text());
    json.member("keep", stream.keep).key("groups").begin_array();
    for (const stream::GroupInfo& group : stream.groups) {
      json.begin_object().member("name", group.name);
      json.member("lag", group.lag).member("pending", group.pending);
      json.member("last_delivered", group.last_delivered.text());
      json.member("oldest_ms", age_of(group, now).count() / 1000).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array();
  return std::string(json.text()) + '\n';
}

void add_streams(CLI::App& app, Common& common) {
  auto file = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("streams", "Length, groups, lag, pending and oldest age of each stream");
  command->add_option("FILE", *file, "Pipeline file, or the folder of a store")->required();
  command->callback(
      [&common, file] { common.action = [&common, file] { return run_streams(common, *file); }; });
}

}  // namespace sluice::cli
