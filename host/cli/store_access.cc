#include "cli/store_access.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "cli/table.h"

namespace sluice::cli {

Status with_remedy(const Status& error, const StorePlace& place) {
  if (error.code() == Code::kNotFound)
    return Status(Code::kNotFound,
                  "there is no store in " + place.name() + " yet; " +
                      (place.file ? "`sluice run " + place.file->pipeline.file + "` creates it"
                                  : "name the pipeline file, or the folder its run writes"));
  if (error.code() == Code::kConflict)
    return Status(Code::kConflict,
                  error.text() +
                      ": a run has the store open and only one process may write it; stop that run "
                      "(kill -TERM and its process id) and try again");
  return error;
}

std::string StorePlace::stream_name(const std::string& name) const {
  const graph::StreamSpec* stream =
      pipeline() == nullptr ? nullptr : find_stream(*pipeline(), name);
  return stream == nullptr ? name : stream->name;
}

std::optional<StorePlace> find_store(Common& common, const std::string& file_or_folder, int& exit) {
  // Only a folder can be listed. What is not there at all is called after what it looks like.
  const auto listed = common.disk.list(file_or_folder);
  const bool yaml = file_or_folder.ends_with(".yaml") || file_or_folder.ends_with(".yml");
  if (listed || (listed.status().code() == Code::kNotFound && !yaml))
    return StorePlace{nullptr,
                      {.path = file_or_folder,
                       .url = {},
                       .shard_by = {},
                       .per_shard = {},
                       .pipeline = {},
                       .consumer = {},
                       .place = {}}};
  auto file = open_pipeline(common, file_or_folder);
  if (!file) {
    exit = kInvalidInput;
    return std::nullopt;
  }
  graph::EngineSpec engine = file->pipeline.engine;
  return StorePlace{std::move(file), std::move(engine)};
}

std::optional<StorePlace> find_files(Common& common, const std::string& file_or_folder, int& exit) {
  auto place = find_store(common, file_or_folder, exit);
  if (!place || !on_redis(place->engine)) return place;
  exit = fail(common, kInvalidInput,
              Status(Code::kInvalid,
                     "this command is about the files of an embedded store; Redis "
                     "keeps its own, see redis-check-aof and redis-check-rdb"));
  return std::nullopt;
}

Result<std::unique_ptr<stream::Store>> open_for_reading(Common& common, const StorePlace& place,
                                                        uint32_t shard) {
  auto store = open_store(common, place.engine, StoreUse::kLook, common.clock, false,
                          place.pipeline(), shard);
  if (!store) return with_remedy(store.status(), place);
  return store;
}

int each_shard(Common& common, const StorePlace& place, std::string_view name,
               const std::function<int(Common& common, uint32_t shard)>& each) {
  const uint32_t count = place.engine.stores();
  if (count == 1) return each(common, 0);
  int exit = kFine;
  for (uint32_t shard = place.only.value_or(0); shard < count; ++shard) {
    std::ostringstream text;
    Common part{.format = common.format,
                .plugins_folder = common.plugins_folder,
                .log_level = common.log_level,
                .log_format = common.log_format,
                .out = text,
                .err = common.err,
                .out_style = common.out_style,
                .err_color = common.err_color,
                .err_is_terminal = common.err_is_terminal,
                .disk = common.disk,
                .clock = common.clock,
                .action = {}};
    exit = std::max(exit, each(part, shard));
    const std::string said = text.str();
    if (!said.empty() && common.format == Format::kJson) {
      common.out << "{\"shard\":" << shard << ",\"" << name
                 << "\":" << said.substr(0, said.find_last_not_of('\n') + 1) << "}\n";
    } else if (!said.empty()) {
      common.out << bold(fmt::format("shard {} of {}", shard, count), common.out_style.color)
                 << '\n'
                 << said << '\n';
    }
    if (place.only) break;
  }
  return exit;
}

Result<StoreAsLeft> open_as_left(Common& common, const StorePlace& place, uint32_t shard) {
  auto clock = std::make_unique<ManualClock>();
  auto store =
      open_store(common, place.engine, StoreUse::kLook, *clock, false, place.pipeline(), shard);
  if (!store) return with_remedy(store.status(), place);
  clock->advance_to((*store)->last_commit_time());
  return StoreAsLeft{std::move(clock), std::move(*store)};
}

int look_as_left(
    Common& common, const std::string& file, std::string_view command,
    const std::function<Result<int>(Common&, const graph::Pipeline&, const stream::Store&)>& look) {
  constexpr int kTriesMax = 3;
  int exit = kFine;
  const auto place = find_store(common, file, exit);
  if (!place) return exit;
  if (place->pipeline() == nullptr)
    return fail(
        common, kUsage,
        Status(Code::kInvalid,
               std::string(command) + " needs the pipeline file: it says which stream is what"));
  if (on_redis(place->engine) && common.format == Format::kHuman)
    common.err << command << ": " << place->name()
               << " is read as it is now; what hosts and others commit meanwhile may look "
                  "unfinished, and looking again tells\n";
  return each_shard(common, *place, command, [&](Common& to, uint32_t shard) {
    for (int tries = 1;; ++tries) {
      const auto opened = open_as_left(to, *place, shard);
      if (!opened) return fail(to, opened.status());
      const auto code = look(to, *place->pipeline(), *opened->store);
      if (code) return *code;
      if (tries == kTriesMax) return fail(to, code.status());
    }
  });
}

Result<WritableStore> open_for_writing(Common& common, const StorePlace& place, uint32_t shard) {
  WritableStore opened;
  const bool wall = on_redis(place.engine) || (place.pipeline() != nullptr &&
                                               place.pipeline()->clock == graph::ClockMode::kWall);
  WallTime last_commit{};
  if (!on_redis(place.engine)) {
    SLUICE_ASSIGN(seen, open_for_reading(common, place, shard));
    last_commit = seen->last_commit_time();
  }
  if (wall)
    opened.clock = std::make_unique<SystemClock>();
  else
    opened.clock = std::make_unique<ManualClock>(last_commit);
  auto store = open_store(common, place.engine, StoreUse::kChange, *opened.clock, false,
                          place.pipeline(), shard);
  if (!store) return with_remedy(store.status(), place);
  opened.store = std::move(*store);
  // How much a stream keeps is said at each start, not stored.
  if (place.pipeline() != nullptr)
    for (const graph::StreamSpec& spec : place.pipeline()->streams)
      if (opened.store->find_stream(spec.name) != 0)
        SLUICE_TRY(opened.store->open_stream(spec.name, {spec.keep, spec.trim_hard}).status());
  return opened;
}

}  // namespace sluice::cli
