#include "cli/dlq_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <deque>
#include <map>

#include "base/iso_time.h"
#include "cli/ctl_command.h"
#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/store_access.h"
#include "cli/tap_command.h"
#include "runtime/dead_letter.h"
#include "runtime/operator_command.h"

namespace sluice::cli {

namespace {

using runtime::kDeadLetterPrefix;

constexpr size_t kReadAtOnce = 500;
constexpr size_t kUnitsAtOnce = 200;  // of one commit; bounds memory when all letters are meant
constexpr size_t kListed = 20;        // newest, without --limit

struct DlqOptions {
  std::string file;
  std::vector<std::string> ids;
  std::string reason, stage, stream;
  std::optional<uint32_t> shard;
  uint64_t limit = 0;
  bool all = false;
};

// --- What a command works on
// -------------------------------------------------------------------------------

std::optional<DeadLetterFilter> filter_of(Common& common, const DlqOptions& options, int& exit) {
  DeadLetterFilter filter{{}, options.reason, options.stage};
  for (const std::string& text : options.ids) {
    const auto id = EntryId::parse(text);
    if (!id) {
      exit = fail(common, kUsage,
                  Status(Code::kInvalid,
                         "expected an entry id such as 1763818338282-0, got \"" + text + "\""));
      return std::nullopt;
    }
    filter.ids.push_back(*id);
  }
  return filter;
}

// Names of the streams that hold dead letters; empty after saying why.
std::vector<std::string> dead_names(Common& common, const StorePlace& place,
                                    const DlqOptions& options) {
  if (!options.stream.empty()) return {place.stream_name(options.stream)};
  if (place.pipeline() != nullptr) return dead_letter_streams(*place.pipeline());
  fail(common, kUsage,
       Status(Code::kInvalid,
              "a store alone does not say where its dead letters are: name the "
              "pipeline file, or --stream NAME"));
  return {};
}

// Streams that do not exist yet have no dead letters.
std::vector<stream::StreamId> existing(const stream::Store& store,
                                       const std::vector<std::string>& names) {
  std::vector<stream::StreamId> streams;
  for (const std::string& name : names)
    if (const auto stream = store.find_stream(name); stream != 0) streams.push_back(stream);
  return streams;
}

std::string time_text(const DeadLetterEntry& letter) {
  const std::string_view at = letter.field(runtime::kDeadAt);
  int64_t us = 0;
  const auto [end, error] = std::from_chars(at.data(), at.data() + at.size(), us);
  return error == std::errc() && end == at.data() + at.size() ? iso_time_text(from_us(us))
                                                              : std::string(at);
}

// --- Listing
// -----------------------------------------------------------------------------------------------

struct Group {
  uint64_t count = 0;
  EntryId newest;
  std::string newest_at;
};
using GroupKey = std::pair<std::string, std::string>;  // reason, stage

std::vector<std::pair<GroupKey, Group>> largest_first(const std::map<GroupKey, Group>& groups) {
  std::vector<std::pair<GroupKey, Group>> sorted(groups.begin(), groups.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second.count > b.second.count; });
  return sorted;
}

std::string groups_json(const std::map<GroupKey, Group>& groups) {
  JsonWriter json;
  json.begin_array();
  for (const auto& [key, group] : largest_first(groups)) {
    json.begin_object().member("reason", key.first).member("stage", key.second);
    json.member("count", group.count).member("newest_id", group.newest.text());
    json.member("newest_at", group.newest_at).end_object();
  }
  json.end_array();
  return std::string(json.text()) + '\n';
}

std::string groups_table(const std::map<GroupKey, Group>& groups, const std::string& file,
                         const Style& style) {
  if (groups.empty()) return "no dead letters\n";
  Table table({{"reason"}, {"stage"}, {"count", Align::kRight}, {"newest id"}, {"newest at"}});
  uint64_t sum = 0;
  for (const auto& [key, group] : largest_first(groups)) {
    table.add_row(
        {key.first, key.second, count_text(group.count), group.newest.text(), group.newest_at});
    sum += group.count;
  }
  table.add_rule();
  table.add_row({"all", "", count_text(sum)});
  return table.text(style) + "\nLook further: sluice dlq ls " + file +
         " --reason REASON, then sluice dlq show " + file + " ID\n";
}

int list_groups(Common& common, const DlqOptions& options, const stream::Store& store,
                std::span<const stream::StreamId> streams) {
  std::map<GroupKey, Group> groups;
  const Status read = visit_dead_letters(store, streams, {}, [&](DeadLetterEntry&& letter) {
    Group& group = groups[{std::string(letter.field(runtime::kDeadReason)),
                           std::string(letter.field(runtime::kDeadStage))}];
    ++group.count;
    if (group.newest < letter.entry.id) {
      group.newest = letter.entry.id;
      group.newest_at = time_text(letter);
    }
    return true;
  });
  if (!read.is_ok()) return fail(common, read);
  common.out << (common.format == Format::kJson
                     ? groups_json(groups)
                     : groups_table(groups, options.file, common.out_style));
  return kFine;
}

void add_letter(JsonWriter& json, const DeadLetterEntry& letter, bool fields) {
  json.begin_object().member("id", letter.entry.id.text());
  json.member("at", time_text(letter)).member("stage", letter.field(runtime::kDeadStage));
  json.member("reason", letter.field(runtime::kDeadReason));
  json.member("detail", letter.field(runtime::kDeadDetail));
  json.member("stream", letter.field(runtime::kDeadStream));
  json.member("entry", letter.field(runtime::kDeadId));
  json.member("deliveries", letter.field(runtime::kDeadDeliveries));
  if (fields) {
    json.key("fields").begin_object();
    for (const stream::FieldView& field : letter.entry.fields.view())
      if (!field.name.starts_with(kDeadLetterPrefix)) json.member(field.name, field.value);
    json.end_object();
  }
  json.end_object();
}

int list_letters(Common& common, const DlqOptions& options, const DeadLetterFilter& filter,
                 const stream::Store& store, std::span<const stream::StreamId> streams) {
  const size_t listed_max = options.limit == 0 ? kListed : options.limit;
  std::deque<DeadLetterEntry> newest;
  uint64_t matched = 0;
  const Status read = visit_dead_letters(store, streams, filter, [&](DeadLetterEntry&& letter) {
    ++matched;
    newest.push_back(std::move(letter));
    if (newest.size() > listed_max) newest.pop_front();
    return true;
  });
  if (!read.is_ok()) return fail(common, read);
  if (common.format == Format::kJson) {
    JsonWriter json;
    json.begin_array();
    for (const DeadLetterEntry& letter : newest) add_letter(json, letter, true);
    json.end_array();
    common.out << json.text() << '\n';
    return kFine;
  }
  if (newest.empty()) {
    common.out << "no dead letters match\n";
    return kFine;
  }
  Table table({{"id"}, {"at"}, {"stage"}, {"reason"}, {"entry"}, {"detail"}});
  for (const DeadLetterEntry& letter : newest)
    table.add_row({letter.entry.id.text(), time_text(letter),
                   std::string(letter.field(runtime::kDeadStage)),
                   std::string(letter.field(runtime::kDeadReason)),
                   std::string(letter.field(runtime::kDeadId)),
                   std::string(letter.field(runtime::kDeadDetail))});
  common.out << table.text(common.out_style);
  if (matched > newest.size())
    common.out << "the newest " << newest.size() << " of " << count_text(matched)
               << "; --limit N shows more\n";
  return kFine;
}

// The pipeline's or the folder's store, and the one shard of it that is meant.
std::optional<StorePlace> find_place(Common& common, const DlqOptions& options, int& exit) {
  auto place = find_store(common, options.file, exit);
  if (!place || !options.shard) return place;
  if (*options.shard >= place->engine.stores()) {
    exit = fail(common, kUsage,
                Status(Code::kInvalid, fmt::format("--shard {}: expected less than {}",
                                                   *options.shard, place->engine.stores())));
    return std::nullopt;
  }
  place->only = options.shard;
  return place;
}

// The parts that reading commands share.
int with_store(Common& common, const DlqOptions& options,
               const std::function<int(Common&, const stream::Store&,
                                       std::span<const stream::StreamId>)>& use) {
  int exit = kFine;
  const auto place = find_place(common, options, exit);
  if (!place) return exit;
  const auto names = dead_names(common, *place, options);
  if (names.empty()) return kUsage;
  return each_shard(common, *place, "dlq", [&](Common& to, uint32_t shard) {
    const auto store = open_for_reading(to, *place, shard);
    if (!store) return fail(to, store.status());
    return use(to, **store, existing(**store, names));
  });
}

int run_ls(Common& common, const DlqOptions& options) {
  return with_store(common, options, [&](Common& to, const auto& store, auto streams) {
    if (options.reason.empty() && options.stage.empty() && options.limit == 0)
      return list_groups(to, options, store, streams);
    return list_letters(to, options, {{}, options.reason, options.stage}, store, streams);
  });
}

// --- Showing
// -----------------------------------------------------------------------------------------------

std::string letter_text(const DeadLetterEntry& letter, const Style& style) {
  std::string text = bold("dead letter " + letter.entry.id.text(), style.color) + '\n';
  Table why({{""}, {""}});
  why.add_row({"  stage", std::string(letter.field(runtime::kDeadStage))});
  why.add_row({"  reason", std::string(letter.field(runtime::kDeadReason))});
  why.add_row({"  detail", std::string(letter.field(runtime::kDeadDetail))});
  why.add_row({"  entry", std::string(letter.field(runtime::kDeadId)) + " of " +
                              std::string(letter.field(runtime::kDeadStream))});
  why.add_row({"  deliveries", std::string(letter.field(runtime::kDeadDeliveries))});
  why.add_row({"  at", time_text(letter)});
  text += why.text() + "fields\n";
  Table fields({{""}, {""}});
  for (const stream::FieldView& field : letter.entry.fields.view())
    if (!field.name.starts_with(kDeadLetterPrefix))
      fields.add_row({"  " + std::string(field.name), std::string(field.value)});
  return text + (fields.empty() ? "  none\n" : fields.text());
}

std::vector<EntryId> missing_ids(const DeadLetterFilter& filter, std::vector<EntryId> found) {
  std::vector<EntryId> missing;
  for (const EntryId id : filter.ids)
    if (std::find(found.begin(), found.end(), id) == found.end()) missing.push_back(id);
  return missing;
}

int run_show(Common& common, const DlqOptions& options) {
  int exit = kFine;
  const auto filter = filter_of(common, options, exit);
  if (!filter) return exit;
  std::vector<EntryId> found;
  const int shown =
      with_store(common, options, [&](Common& to, const auto& store, auto streams) -> int {
        JsonWriter json;
        std::string text;
        json.begin_array();
        const Status read =
            visit_dead_letters(store, streams, *filter, [&](DeadLetterEntry&& letter) {
              found.push_back(letter.entry.id);
              add_letter(json, letter, true);
              text += (text.empty() ? "" : "\n") + letter_text(letter, to.out_style);
              return true;
            });
        if (!read.is_ok()) return fail(to, read);
        json.end_array();
        if (to.format == Format::kJson)
          to.out << json.text() << '\n';
        else
          to.out << text;
        return kFine;
      });
  if (shown != kFine) return shown;
  for (const EntryId id : missing_ids(*filter, found))
    exit = fail(common, kFindings, Status(Code::kNotFound, "no dead letter " + id.text()));
  return exit;
}

// --- Replaying and dropping
// --------------------------------------------------------------------------------

enum class Change { kReplay, kDrop };

void append(DeadLetterChange& all, DeadLetterChange&& some) {
  all.replayed.insert(all.replayed.end(), some.replayed.begin(), some.replayed.end());
  all.unmoved.insert(all.unmoved.end(), some.unmoved.begin(), some.unmoved.end());
  all.dropped += some.dropped;
}

Result<DeadLetterChange> change_all(stream::Store& store, std::span<const stream::StreamId> streams,
                                    const DeadLetterFilter& filter, Change change) {
  DeadLetterChange all;
  std::vector<EntryId> found;
  std::vector<DeadLetterEntry> batch;
  Status failed;
  const auto apply = [&] {
    auto some = change == Change::kReplay ? replay_dead_letters(store, batch)
                                          : drop_dead_letters(store, batch);
    batch.clear();
    if (some)
      append(all, std::move(*some));
    else
      failed = some.status();
    return failed.is_ok();
  };
  SLUICE_TRY(visit_dead_letters(store, streams, filter, [&](DeadLetterEntry&& letter) {
    found.push_back(letter.entry.id);
    batch.push_back(std::move(letter));
    return batch.size() < kUnitsAtOnce || apply();
  }));
  if (failed.is_ok() && !batch.empty()) apply();
  SLUICE_TRY(failed);
  for (const EntryId id : missing_ids(filter, std::move(found)))
    all.unmoved.push_back({id, "no such dead letter"});
  return all;
}

std::string change_json(const DeadLetterChange& change) {
  JsonWriter json;
  json.begin_object().key("replayed").begin_array();
  for (const Replayed& letter : change.replayed) {
    json.begin_object().member("id", letter.id.text()).member("stream", letter.stream);
    json.member("new_id", letter.new_id.text()).end_object();
  }
  json.end_array().member("dropped", change.dropped).key("unmoved").begin_array();
  for (const Unmoved& letter : change.unmoved)
    json.begin_object().member("id", letter.id.text()).member("why", letter.why).end_object();
  json.end_array().end_object();
  return std::string(json.text()) + '\n';
}

std::string change_text(const DeadLetterChange& change, Change kind, const Style& style) {
  std::string text;
  if (kind == Change::kDrop) {
    text = "dropped " + plural(change.dropped, "dead letter", "dead letters") + '\n';
  } else {
    Table table({{"dead letter"}, {"stream"}, {"new id"}});
    for (const Replayed& letter : change.replayed)
      table.add_row({letter.id.text(), letter.stream, letter.new_id.text()});
    if (!table.empty()) text = table.text(style);
    text += "replayed " + plural(change.replayed.size(), "dead letter", "dead letters") + '\n';
  }
  return text;
}

int run_change(Common& common, const DlqOptions& options, Change change) {
  int exit = kFine;
  const auto filter = filter_of(common, options, exit);
  if (!filter) return exit;
  // Everything is a lot to change by leaving something out.
  if (options.ids.empty() && options.reason.empty() && options.stage.empty() && !options.all)
    return fail(common, kUsage,
                Status(Code::kInvalid, "say which: ids, --reason, --stage or --all"));
  const auto place = find_place(common, options, exit);
  if (!place) return exit;
  // Two shards may have given the same id.
  if (!options.ids.empty() && place->engine.stores() > 1 && !place->only)
    return fail(common, kUsage,
                Status(Code::kInvalid, "say whose ids they are with --shard, as `ls` shows it"));
  const auto names = dead_names(common, *place, options);
  if (names.empty()) return kUsage;
  return each_shard(common, *place, "dlq", [&](Common& to, uint32_t shard) -> int {
    const auto opened = open_for_writing(to, *place, shard);
    if (!opened) return fail(to, opened.status());
    if (const auto records = runtime::operator_stream(*opened->store); !records)
      return fail(to, records.status());
    const auto changed =
        change_all(*opened->store, existing(*opened->store, names), *filter, change);
    if (!changed) return fail(to, changed.status());
    to.out << (to.format == Format::kJson ? change_json(*changed)
                                          : change_text(*changed, change, to.out_style));
    if (to.format == Format::kHuman)
      for (const Unmoved& letter : changed->unmoved)
        fail(to, kFindings, Status(Code::kNotFound, letter.id.text() + ": " + letter.why));
    return changed->unmoved.empty() ? kFine : kFindings;
  });
}

// Commits the units and waits until they are durable.
Result<stream::CommitResult> commit_durably(stream::Store& store,
                                            std::span<const stream::Unit> units) {
  SLUICE_ASSIGN(result, store.commit(units));
  if (result.seq != 0) SLUICE_TRY(store.flush(result.seq));
  return result;
}

stream::Effect removal(const DeadLetterEntry& letter) {
  stream::Effect effect;
  effect.kind = stream::EffectKind::kRemove;
  effect.stream = letter.stream;
  effect.entry = letter.entry.id;
  return effect;
}

// What an operator did to a letter: once it is gone, this is all that tells of its entry.
stream::Fields disposal(const DeadLetterEntry& letter, std::string_view command) {
  return {{"command", command},
          {"symbol", letter.field("symbol")},
          {"reason", letter.field(runtime::kDeadReason)},
          {"by", user_name()},
          {"stage", letter.field(runtime::kDeadStage)},
          {"stream", letter.field(runtime::kDeadStream)},
          {"entry", letter.field(runtime::kDeadId)},
          {"plan_id", letter.field("plan_id")},
          {"decision_id", letter.field("decision_id")}};
}

// Adds the record of it, in a store whose operators' stream is open.
void add_record(const stream::Store& store, const stream::Fields& record, stream::Unit& unit) {
  stream::Effect emit;
  emit.stream = store.find_stream(runtime::kOperatorStream);
  emit.bytes = record.encoded();
  if (emit.stream != 0) unit.effects.push_back(emit);
}

}  // namespace

std::string_view DeadLetterEntry::field(std::string_view name) const {
  return entry.fields.find(name).value_or(std::string_view());
}

bool DeadLetterFilter::matches(const DeadLetterEntry& letter) const {
  if (!reason.empty() && letter.field(runtime::kDeadReason) != reason) return false;
  if (!stage.empty() && letter.field(runtime::kDeadStage) != stage) return false;
  return ids.empty() || std::find(ids.begin(), ids.end(), letter.entry.id) != ids.end();
}

Status visit_dead_letters(const stream::Store& store, std::span<const stream::StreamId> streams,
                          const DeadLetterFilter& filter,
                          const std::function<bool(DeadLetterEntry&&)>& visit) {
  for (const stream::StreamId stream : streams) {
    // Named letters are looked up; everything else is a walk over the stream.
    std::vector<EntryId> starts{EntryId{}};
    const bool named = !filter.ids.empty();
    if (named) starts = filter.ids;
    for (const EntryId start : starts) {
      EntryId after = named ? before(start) : start;
      while (true) {
        SLUICE_ASSIGN(entries, store.range(stream, after, named ? 1 : kReadAtOnce));
        if (entries.empty()) break;
        after = entries.back().id;
        for (stream::Entry& entry : entries) {
          if (named && entry.id != start) continue;
          DeadLetterEntry letter{stream, std::move(entry)};
          if (filter.matches(letter) && !visit(std::move(letter))) return Status::ok();
        }
        if (named) break;
      }
    }
  }
  return Status::ok();
}

Result<DeadLetterChange> replay_dead_letters(stream::Store& store,
                                             std::span<const DeadLetterEntry> letters) {
  DeadLetterChange change;
  std::vector<stream::Unit> units;
  std::vector<stream::Fields> originals;
  std::vector<stream::Fields> records;
  originals.reserve(letters.size());  // the units hold views
  records.reserve(letters.size());
  for (const DeadLetterEntry& letter : letters) {
    const std::string_view origin = letter.field(runtime::kDeadStream);
    const stream::StreamId stream = origin.empty() ? 0 : store.find_stream(origin);
    if (stream == 0) {
      change.unmoved.push_back({letter.entry.id, origin.empty()
                                                     ? "does not say which stream it came from"
                                                     : "came from \"" + std::string(origin) +
                                                           "\", which is not in the store"});
      continue;
    }
    stream::Fields& original = originals.emplace_back();
    for (const stream::FieldView& field : letter.entry.fields.view())
      if (!field.name.starts_with(kDeadLetterPrefix)) original.add(field.name, field.value);
    stream::Unit unit;
    stream::Effect emit;
    emit.kind = stream::EffectKind::kEmit;
    emit.stream = stream;
    emit.bytes = original.encoded();
    unit.effects = {emit, removal(letter)};
    add_record(store, records.emplace_back(disposal(letter, "dlq_replay")), unit);
    units.push_back(std::move(unit));
    change.replayed.push_back({letter.entry.id, std::string(origin), {}});
  }
  if (units.empty()) return change;
  SLUICE_ASSIGN(committed, commit_durably(store, units));
  for (size_t i = 0; i < change.replayed.size(); ++i)
    change.replayed[i].new_id = committed.outcomes[i].emitted.front();
  return change;
}

Result<DeadLetterChange> drop_dead_letters(stream::Store& store,
                                           std::span<const DeadLetterEntry> letters) {
  DeadLetterChange change;
  std::vector<stream::Unit> units;
  std::vector<stream::Fields> records;
  records.reserve(letters.size());  // the units hold views
  for (const DeadLetterEntry& letter : letters) {
    stream::Unit unit;
    unit.effects = {removal(letter)};
    add_record(store, records.emplace_back(disposal(letter, "dlq_drop")), unit);
    units.push_back(std::move(unit));
  }
  if (units.empty()) return change;
  SLUICE_TRY(commit_durably(store, units).status());
  change.dropped = units.size();
  return change;
}

void add_dlq(CLI::App& app, Common& common) {
  auto options = std::make_shared<DlqOptions>();
  CLI::App* command = app.add_subcommand("dlq", "Dead letters: what stages gave up on, and why");
  command->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& help, auto run) {
    CLI::App* sub = command->add_subcommand(name, help);
    sub->add_option("FILE", options->file, "Pipeline file, or the folder of a store")->required();
    sub->add_option("--stream", options->stream, "Stream to look on (default: those of the file)");
    sub->add_option("--shard", options->shard, "Only this shard, from 0 (default: all)");
    sub->callback([&common, options, run] {
      common.action = [&common, options, run] { return run(common, *options); };
    });
    return sub;
  };
  const auto add_filters = [&](CLI::App* sub) {
    sub->add_option("--reason", options->reason, "Only those with this reason");
    sub->add_option("--stage", options->stage, "Only those of this stage");
  };

  CLI::App* ls = add("ls", "Count by reason; with a filter or --limit, list", run_ls);
  add_filters(ls);
  ls->add_option("--limit", options->limit, "List the newest N (default with a filter: 20)");

  CLI::App* show = add("show", "All fields of dead letters, and why they are there", run_show);
  show->add_option("ID", options->ids, "Ids as `ls` prints them")->required();

  CLI::App* replay =
      add("replay", "Send dead letters to their stage again",
          [](Common& c, const DlqOptions& o) { return run_change(c, o, Change::kReplay); });
  CLI::App* drop = add("drop", "Remove dead letters for good", [](Common& c, const DlqOptions& o) {
    return run_change(c, o, Change::kDrop);
  });
  for (CLI::App* sub : {replay, drop}) {
    sub->add_option("ID", options->ids, "Ids as `ls` prints them");
    add_filters(sub);
    sub->add_flag("--all", options->all, "All of them");
  }
}

}  // namespace sluice::cli
