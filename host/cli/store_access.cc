#include "cli/store_access.h"

#include "engine/embedded_store.h"

namespace sluice::cli {

namespace {

// Changes by hand are few, and each is to be on the disk when the command says so.
engine::Options options_by_hand() {
  engine::Options options;
  options.durability = engine::Durability::kCommit;
  options.background = false;
  return options;
}

}  // namespace

Status with_remedy(const Status& error, const StorePlace& place) {
  if (error.code() == Code::kNotFound)
    return Status(Code::kNotFound,
                  "there is no store in " + place.path + " yet; " +
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
    return StorePlace{nullptr, file_or_folder};
  auto file = open_pipeline(common, file_or_folder);
  if (!file) {
    exit = kInvalidInput;
    return std::nullopt;
  }
  if (file->pipeline.engine.kind != graph::EngineKind::kEmbedded) {
    exit = fail(common, kInvalidInput,
                Status(Code::kInvalid, "this command reads embedded stores only"));
    return std::nullopt;
  }
  std::string path = file->pipeline.engine.path;
  return StorePlace{std::move(file), std::move(path)};
}

Result<std::unique_ptr<stream::Store>> open_for_reading(Common& common, const StorePlace& place) {
  auto store = engine::EmbeddedStore::open_read_only(place.path, common.disk, common.clock);
  if (!store) return with_remedy(store.status(), place);
  return std::unique_ptr<stream::Store>(std::move(*store));
}

Result<StoreAsLeft> open_as_left(Common& common, const StorePlace& place) {
  auto clock = std::make_unique<ManualClock>();
  auto store = engine::EmbeddedStore::open_read_only(place.path, common.disk, *clock);
  if (!store) return with_remedy(store.status(), place);
  clock->advance_to((*store)->last_commit_time());
  return StoreAsLeft{std::move(clock), std::move(*store)};
}

int look_as_left(
    Common& common, const std::string& file, std::string_view command,
    const std::function<Result<int>(const graph::Pipeline&, const stream::Store&)>& look) {
  constexpr int kTriesMax = 3;
  int exit = kFine;
  const auto place = find_store(common, file, exit);
  if (!place) return exit;
  if (place->pipeline() == nullptr)
    return fail(
        common, kUsage,
        Status(Code::kInvalid,
               std::string(command) + " needs the pipeline file: it says which stream is what"));
  for (int tries = 1;; ++tries) {
    const auto opened = open_as_left(common, *place);
    if (!opened) return fail(common, opened.status());
    const auto code = look(*place->pipeline(), *opened->store);
    if (code) return *code;
    if (tries == kTriesMax) return fail(common, code.status());
  }
}

Result<WritableStore> open_for_writing(Common& common, const StorePlace& place) {
  WallTime last_commit;
  {
    SLUICE_ASSIGN(seen, open_for_reading(common, place));
    last_commit = seen->last_commit_time();
  }
  WritableStore opened;
  const bool wall =
      place.pipeline() != nullptr && place.pipeline()->clock == graph::ClockMode::kWall;
  if (wall)
    opened.clock = std::make_unique<SystemClock>();
  else
    opened.clock = std::make_unique<ManualClock>(last_commit);
  auto store =
      engine::EmbeddedStore::open(place.path, options_by_hand(), common.disk, *opened.clock);
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
