#include "cli/tap_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>

#include "cli/json_writer.h"
#include "cli/store_access.h"

namespace sluice::cli {

namespace {

constexpr size_t kReadAtOnce = 500;

struct TapOptions {
  std::string file;
  std::string stream;
  std::string from;
  uint64_t limit = 0;
};

int run_tap(Common& common, const TapOptions& options) {
  EntryId from;
  if (!options.from.empty()) {
    const auto parsed = EntryId::parse(options.from);
    if (!parsed)
      return fail(
          common, kUsage,
          Status(Code::kInvalid, "--from: expected an entry id such as 1763818338282-0, got \"" +
                                     options.from + "\""));
    from = *parsed;
  }
  int exit = kFine;
  const auto place = find_store(common, options.file, exit);
  if (!place) return exit;
  const std::string name = place->stream_name(options.stream);
  const uint32_t shards = place->engine.stores();
  bool found = false;
  for (uint32_t shard = 0; shard < shards; ++shard) {
    const auto store = open_for_reading(common, *place, shard);
    if (!store) return fail(common, store.status());
    const stream::StreamId stream = (*store)->find_stream(name);
    if (stream == 0) continue;
    found = true;
    const Status done = tap(**store, stream, from, options.limit, common.out,
                            shards > 1 ? std::optional(shard) : std::nullopt);
    if (!done.is_ok()) return fail(common, done);
  }
  if (found) return kFine;
  return fail(common, kStore,
              Status(Code::kNotFound, "no stream \"" + name + "\" in " + place->name() +
                                          "; `sluice streams " + options.file + "` lists them"));
}

}  // namespace

EntryId before(EntryId id) {
  if (id.seq > 0) return {id.ms, id.seq - 1};
  if (id.ms > 0) return {id.ms - 1, std::numeric_limits<uint64_t>::max()};
  return id;
}

std::string entry_line(const stream::Entry& entry, std::optional<uint32_t> shard) {
  JsonWriter json;
  json.begin_object().member("id", entry.id.text());
  if (shard) json.member("shard", *shard);
  for (const stream::FieldView& field : entry.fields.view()) {
    const bool taken = field.name == "id" || (shard && field.name == "shard");
    json.member(taken ? "field." + std::string(field.name) : std::string(field.name), field.value);
  }
  json.end_object();
  return std::string(json.text()) + '\n';
}

Status tap(const stream::Store& store, stream::StreamId stream, EntryId from, uint64_t limit,
           std::ostream& out, std::optional<uint32_t> shard) {
  EntryId after = before(from);
  uint64_t left = limit == 0 ? std::numeric_limits<uint64_t>::max() : limit;
  while (left > 0) {
    SLUICE_ASSIGN(entries, store.range(stream, after,
                                       static_cast<size_t>(std::min<uint64_t>(left, kReadAtOnce))));
    if (entries.empty()) break;
    for (const stream::Entry& entry : entries) out << entry_line(entry, shard);
    if (!out) return Status(Code::kIo, "cannot write to the output");
    after = entries.back().id;
    left -= entries.size();
  }
  return Status::ok();
}

void add_tap(CLI::App& app, Common& common) {
  auto options = std::make_shared<TapOptions>();
  CLI::App* command = app.add_subcommand("tap", "Entries of a stream as NDJSON");
  command->add_option("FILE", options->file, "Pipeline file, or the folder of a store")->required();
  command->add_option("STREAM", options->stream, "Key of the stream in the file, or its name")
      ->required();
  command->add_option("--from", options->from, "First entry id (default: the oldest)");
  command->add_option("--limit", options->limit,
                      "At most this many entries, of each shard (default: all)");
  command->callback([&common, options] {
    common.action = [&common, options] { return run_tap(common, *options); };
  });
}

}  // namespace sluice::cli
