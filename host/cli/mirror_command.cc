#include "cli/mirror_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <set>

#include "base/iso_time.h"
#include "cli/engine.h"
#include "cli/human.h"
#include "cli/json_writer.h"
#include "cli/mirror_scope.h"
#include "cli/pipeline_file.h"
#include "cli/store_access.h"
#include "engine/mirror.h"
#include "redis/mirror.h"
#include "redis/network.h"
#include "runtime/operator_inbox.h"
#include "stream/mirror.h"

namespace sluice::cli {

namespace {

using redis::milliseconds;

// Consumers that nobody knows to be gone must have been silent for so long.
constexpr milliseconds kSilentMin{3000};
// Redis tells how long ago an entry was delivered, and older servers what is left of a key's life.
constexpr milliseconds kDeliverySlack{1000};
constexpr milliseconds kDeadlineSlack{10};
// How far the clocks of this machine and of a server may be apart.
constexpr Micros kClockSlack = std::chrono::seconds(1);

struct MirrorRequest {
  std::string file, from, to;
  std::string clock;     // empty: as the file says, or the store shows
  std::string consumer;  // empty: as the file says, or the host's name
  bool verify = false, dry_run = false;
};

// One line that is rewritten, once it takes longer than a second.
class MirrorBar {
 public:
  explicit MirrorBar(Common& common)
      : common_(common),
        enabled_(common.err_is_terminal && common.format == Format::kHuman),
        drawn_at_(common.clock.steady()) {}

  stream::MirrorProgress of(std::string what) {
    return [this, what = std::move(what)](uint64_t entries, uint64_t keys) {
      const Micros now = common_.clock.steady();
      if (!enabled_ || now - drawn_at_ < (drawn_ ? Micros(100'000) : Micros(1'000'000))) return;
      drawn_at_ = now;
      drawn_ = true;
      common_.err << "\r\x1b[K" << what << ": " << plural(entries, "entry", "entries")
                  << (keys == 0 ? "" : ", " + plural(keys, "key", "keys")) << std::flush;
    };
  }
  void clear() {
    if (drawn_) common_.err << "\r\x1b[K" << std::flush;
  }

 private:
  Common& common_;
  const bool enabled_;
  bool drawn_ = false;
  Micros drawn_at_;
};

class Mirror {
 public:
  Mirror(Common& common, MirrorRequest request, const graph::Pipeline& pipeline)
      : common_(common),
        request_(std::move(request)),
        pipeline_(pipeline),
        names_(names_of(pipeline)),
        bar_(common) {}

  int run() {
    if (const Status asked = settle_places(); !asked) return fail(common_, kUsage, asked);
    const auto exit = go();
    bar_.clear();
    if (exit) return *exit;
    const int code = fail(common_, exit.status());
    if (unfinished_ != nullptr && common_.format == Format::kHuman)
      common_.err
          << store_name(*unfinished_)
          << " is marked as unfinished: no run starts there. Remove it and mirror again:\n  "
          << removal(*unfinished_) << '\n';
    return code;
  }

 private:
  // --- What is asked for

  graph::EngineSpec place(const std::string& text) const {
    graph::EngineSpec engine = pipeline_.engine;
    if (text.empty()) return engine;
    const bool url = text.find("://") != std::string::npos;
    engine.kind = url ? graph::EngineKind::kRedis : graph::EngineKind::kEmbedded;
    engine.url = url ? text : std::string();
    engine.path = url ? std::string() : text;
    return engine;
  }

  Status settle_places() {
    if (request_.from.empty() && request_.to.empty())
      return Status(Code::kInvalid,
                    "--from or --to is missing: a folder or a url; the other one is the engine of "
                    "the pipeline file, " +
                        store_name(pipeline_.engine));
    from_ = place(request_.from);
    to_ = place(request_.to);
    for (graph::EngineSpec* engine : {&from_, &to_}) {
      const bool redis = on_redis(*engine);
      if (redis && (engine->shards > 0 || engine->divides_on_redis))
        return Status(Code::kInvalid,
                      "engine.shards is set: a pipeline in shards cannot be mirrored");
      if (!request_.consumer.empty()) engine->consumer = request_.consumer;
      while (!redis && engine->path.size() > 1 && engine->path.ends_with('/'))
        engine->path.pop_back();
    }
    if (from_.kind == to_.kind && from_.path == to_.path && from_.url == to_.url)
      return Status(Code::kInvalid, "--from and --to are both " + store_name(from_));
    return Status::ok();
  }

  // --- The work

  Result<int> go() {
    // A store of files comes before any server: its streams and counters are asked for there as
    // well.
    if (!on_redis(from_)) SLUICE_TRY(open_embedded(from_, false, from_store_));
    if (request_.verify && !on_redis(to_)) SLUICE_TRY(open_embedded(to_, false, to_store_));
    SLUICE_TRY(settle_names());
    SLUICE_TRY(connect_all());
    SLUICE_TRY(settle_clock());
    if (!request_.verify) SLUICE_TRY(note_strangers());
    if (request_.dry_run) return dry_run();
    if (!request_.verify) SLUICE_TRY(copy());
    SLUICE_ASSIGN(compared, compare());
    SLUICE_TRY(check_quiet_since());
    if (writer_ && compared.is_same()) {
      SLUICE_TRY(writer_->finish());
      unfinished_ = nullptr;
    }
    bar_.clear();
    report(compared);
    return compared.is_same() ? kFine : kFindings;
  }

  Status open_embedded(const graph::EngineSpec& engine, bool unfinished,
                       std::unique_ptr<engine::StoreMirrorReader>& store) {
    auto opened = engine::StoreMirrorReader::open(engine.path, common_.disk, clock_, unfinished);
    if (!opened) {
      if (opened.status().code() == Code::kConflict)
        return with_remedy(opened.status(), StorePlace{nullptr, engine});
      if (opened.status().code() == Code::kNotFound)
        return Status(Code::kNotFound, "there is no store in " + engine.path);
      return opened.status();
    }
    store = std::move(*opened);
    // What an operator has said must not stay behind.
    const std::string inbox = runtime::inbox_folder(engine.path);
    const auto waiting = common_.disk.list(inbox);
    if (waiting && std::ranges::any_of(
                       *waiting, [](const std::string& name) { return name.ends_with(".json"); }))
      return Status(Code::kConflict, inbox +
                                         " holds commands that no run has applied yet; start "
                                         "and stop a run, or remove them");
    return Status::ok();
  }

  // What files hold beyond the names of the pipeline goes along, and is asked for by name.
  Status settle_names() {
    for (engine::StoreMirrorReader* store : {from_store_.get(), to_store_.get()}) {
      if (store == nullptr) continue;
      SLUICE_ASSIGN(streams, store->streams());
      for (const stream::StreamState& stream : streams) {
        if (std::ranges::find(names_.streams, stream.name) != names_.streams.end()) continue;
        names_.streams.push_back(stream.name);
        strangers_.push_back("stream " + stream.name);
      }
      SLUICE_ASSIGN(counters, store->counters());
      for (const stream::CounterState& counter : counters) {
        if (names_.counters.matches(counter.name)) continue;
        strangers_.push_back("counter " + counter.name);
        names_.counters.add(counter.name);
      }
    }
    return Status::ok();
  }

  Status note_strangers() {
    if (on_redis(from_) || !on_redis(to_)) return Status::ok();
    SLUICE_ASSIGN(keys, from_store_->key_names());
    for (const std::string& key : keys)
      if (!names_.is_key(key)) strangers_.push_back("key " + key);
    return Status::ok();
  }

  Status connect_all() {
    SLUICE_TRY(connect(from_, from_server_).within(store_name(from_)));
    if (from_server_)
      SLUICE_TRY(from_server_->check_unused(kSilentMin, milliseconds(0)).within(store_name(from_)));
    quiet_since_ = common_.clock.steady();
    SLUICE_TRY(connect(to_, to_server_).within(store_name(to_)));
    if (to_server_ && request_.verify)
      SLUICE_TRY(to_server_->check_unused(kSilentMin, milliseconds(0)).within(store_name(to_)));
    return Status::ok();
  }

  Status connect(const graph::EngineSpec& engine, std::unique_ptr<redis::MirrorServer>& server) {
    if (!on_redis(engine)) return Status::ok();
    SLUICE_ASSIGN(options, redis_options(engine, StoreUse::kChange));
    SLUICE_ASSIGN(opened, redis::MirrorServer::open(
                              options.servers, mirror_scope(pipeline_, names_, options.consumer),
                              redis::system_network()));
    const Status mirrored = opened->check_mirrored();
    if (mirrored.code() == Code::kCorrupt) unfinished_ = &engine;
    server = std::move(opened);
    return mirrored;
  }

  // Under a recorded clock time stands where the source has left it. Which clock a store of files
  // had is not in it; a replay leaves how far it read.
  Status settle_clock() {
    std::optional<WallTime> recorded;
    bool replayed = false;
    if (from_server_) {
      SLUICE_ASSIGN(time, from_server_->recorded_time());
      recorded = time;
      replayed = time.has_value();
    } else {
      recorded = from_store_->last_commit_time();
      SLUICE_ASSIGN(keys, from_store_->key_names());
      replayed = std::ranges::any_of(
          keys, [](const std::string& key) { return key.starts_with("sluice:input:"); });
    }
    recorded_ = request_.clock.empty()
                    ? pipeline_.clock == graph::ClockMode::kRecorded ||
                          (pipeline_.clock == graph::ClockMode::kAuto && replayed)
                    : request_.clock == "recorded";
    if (!recorded_) {
      clock_.advance_to(common_.clock.now());
      return Status::ok();
    }
    if (!recorded)
      return Status(Code::kInvalid,
                    store_name(from_) + " was never run under a recorded clock; see --clock");
    clock_.advance_to(*recorded);
    for (redis::MirrorServer* server : {from_server_.get(), to_server_.get()})
      if (server != nullptr) server->set_recorded(*recorded);
    return Status::ok();
  }

  std::unique_ptr<stream::MirrorReader> server_reader(redis::MirrorServer& server) {
    return std::make_unique<redis::ServerMirrorReader>(server);
  }

  stream::MirrorReader& from_reader() {
    if (!from_server_) return *from_store_;
    if (!from_reader_) from_reader_ = server_reader(*from_server_);
    return *from_reader_;
  }

  Result<int> dry_run() {
    SLUICE_ASSIGN(count, stream::copy(from_reader(), nullptr, bar_.of("reading")));
    Status room;
    if (!to_server_) {
      room = engine::check_empty(common_.disk, to_.path);
    } else {
      SLUICE_ASSIGN(found, to_server_->found());
      if (!found.empty())
        room = Status(
            Code::kConflict,
            fmt::format("{} is not empty under the names of the pipeline: {}{}", store_name(to_),
                        found.front(),
                        found.size() > 1 ? fmt::format(" and {} more", found.size() - 1) : ""));
    }
    bar_.clear();
    SLUICE_TRY(room);
    stream::MirrorComparison would;
    would.count = std::move(count);
    report(would);
    return kFine;
  }

  Status copy() {
    SLUICE_TRY(expect_something());
    if (to_server_)
      writer_ = std::make_unique<redis::ServerMirrorWriter>(*to_server_, store_name(from_));
    else
      writer_ = std::make_unique<engine::StoreMirrorWriter>(
          to_.path, store_name(from_), common_.disk,
          recorded_ ? static_cast<const Clock&>(clock_) : common_.clock);
    const Status begun = writer_->begin();
    if (!begun) return to_server_ ? begun.within(store_name(to_)) : begun;
    unfinished_ = &to_;
    return stream::copy(from_reader(), writer_.get(), bar_.of("copying")).status();
  }

  Status expect_something() {
    SLUICE_ASSIGN(streams, from_reader().streams());
    if (!streams.empty()) return Status::ok();
    SLUICE_ASSIGN(keys, from_reader().key_names());
    if (!keys.empty()) return Status::ok();
    return Status(Code::kNotFound,
                  "there is nothing of " + pipeline_.name + " in " + store_name(from_));
  }

  Result<stream::MirrorComparison> compare() {
    std::unique_ptr<stream::MirrorReader> reader;
    stream::MirrorReader* to = nullptr;
    if (to_server_) {
      reader = server_reader(*to_server_);
      to = reader.get();
    } else {
      if (!to_store_) SLUICE_TRY(open_embedded(to_, true, to_store_));
      to = to_store_.get();
    }
    stream::MirrorTerms terms;
    const bool server = from_server_ || to_server_;
    if (server && !recorded_) terms.delivery_slack = kDeliverySlack;
    if (server && !recorded_) terms.deadline_slack = kDeadlineSlack;
    terms.now = [this] { return recorded_ ? clock_.now() : common_.clock.now() + kClockSlack; };
    return stream::compare(from_reader(), *to, terms, bar_.of("comparing"));
  }

  Status check_quiet_since() {
    const auto since =
        std::chrono::duration_cast<milliseconds>(common_.clock.steady() - quiet_since_);
    if (from_server_)
      SLUICE_TRY(from_server_->check_unused(since, since)
                     .within(store_name(from_) + " was in use meanwhile"));
    if (to_server_ && request_.verify)
      SLUICE_TRY(
          to_server_->check_unused(since, since).within(store_name(to_) + " was in use meanwhile"));
    return Status::ok();
  }

  // --- What is said

  // Without `paper`: the account of the paper exchange goes on whatever holds the streams.
  std::string removal(const graph::EngineSpec& engine) const {
    return on_redis(engine)
               ? removal_command(engine.url, names_, recorded_)
               : "find " + engine.path + " -mindepth 1 -maxdepth 1 ! -name paper -exec rm -r {} +";
  }

  void report(const stream::MirrorComparison& compared) const {
    common_.out << (common_.format == Format::kJson ? json(compared) : text(compared));
  }

  std::string json(const stream::MirrorComparison& compared) const {
    JsonWriter json;
    json.begin_object().member("from", store_name(from_)).member("to", store_name(to_));
    json.member("clock", recorded_ ? "recorded" : "wall");
    json.member("did", request_.dry_run ? "nothing" : request_.verify ? "verify" : "mirror");
    json.key("streams").begin_array();
    for (const auto& of : compared.count.streams) {
      json.begin_object().member("name", of.stream).member("entries", of.entries);
      json.member("groups", of.groups).member("pending", of.pending).end_object();
    }
    json.end_array().member("keys", compared.count.keys);
    json.member("counters", compared.count.counters);
    if (!request_.dry_run) {
      json.member("same", compared.is_same()).member("differences", compared.differences);
      json.key("shown").begin_array();
      for (const std::string& difference : compared.shown) json.value(difference);
      json.end_array();
    }
    json.end_object();
    return std::string(json.text()) + '\n';
  }

  std::string text(const stream::MirrorComparison& compared) const {
    const std::string from = store_name(from_), to = store_name(to_);
    std::string text =
        fmt::format("{} {} {}, {}\n", from, request_.verify ? "and" : "to", to,
                    recorded_ ? "recorded clock at " + iso_time_text(clock_.now()) : "wall clock");
    Table table({{"stream"},
                 {"entries", Align::kRight},
                 {"groups", Align::kRight},
                 {"pending", Align::kRight}});
    for (const auto& of : compared.count.streams)
      table.add_row(
          {of.stream, count_text(of.entries), count_text(of.groups), count_text(of.pending)});
    if (!table.empty()) text += table.text(common_.out_style);
    text += fmt::format("{}, {}\n", plural(compared.count.keys, "key", "keys"),
                        plural(compared.count.counters, "counter", "counters"));
    if (!strangers_.empty() && !request_.verify)
      text += fmt::format(
          "{} of no stage of {}, the first is {}; a mirror from Redis does not know {}\n",
          plural(strangers_.size(), "name belongs to", "names are"), pipeline_.file,
          strangers_.front(), strangers_.size() == 1 ? "it" : "them");
    if (request_.dry_run) return text + "nothing was done; " + to + " has room for it\n";
    for (const std::string& difference : compared.shown)
      text += red("differs:", common_.out_style.color) + ' ' + difference + '\n';
    if (compared.differences > compared.shown.size())
      text += fmt::format("and {} more\n", compared.differences - compared.shown.size());
    if (!compared.is_same()) {
      text += plural(compared.differences, "difference", "differences");
      text += request_.verify
                  ? " (first: " + from + ", second: " + to + ")\n"
                  : "; " + to + " stays marked as unfinished. Remove it and mirror again:\n  " +
                        removal(to_) + '\n';
      return text;
    }
    text += green("both say the same", common_.out_style.color) + '\n';
    if (request_.verify) return text;
    text += "Keys keep their deadlines: what was left of their lives goes on running.\n";
    const bool names_target = store_name(pipeline_.engine) == to;
    text += names_target
                ? fmt::format("`sluice run {}` goes on there.\n", pipeline_.file)
                : fmt::format("{} still names {}: have its engine be {} before the next run.\n",
                              pipeline_.file, store_name(pipeline_.engine), to);
    return text + "Nothing was changed in " + from +
           ". Once the pipeline runs on the other, remove what is left:\n  " + removal(from_) +
           '\n';
  }

  Common& common_;
  const MirrorRequest request_;
  const graph::Pipeline& pipeline_;
  PipelineNames names_;
  std::vector<std::string> strangers_;
  graph::EngineSpec from_, to_;
  ManualClock clock_;  // stands still: keys are judged by one moment
  bool recorded_ = false;
  const graph::EngineSpec* unfinished_ = nullptr;  // holds half of a mirror
  Micros quiet_since_{0};
  MirrorBar bar_;

  std::unique_ptr<engine::StoreMirrorReader> from_store_, to_store_;
  std::unique_ptr<redis::MirrorServer> from_server_, to_server_;
  std::unique_ptr<stream::MirrorReader> from_reader_;
  std::unique_ptr<stream::MirrorWriter> writer_;
};

int run_mirror(Common& common, const MirrorRequest& request) {
  const auto file = open_pipeline(common, request.file);
  if (file == nullptr) return kInvalidInput;
  return Mirror(common, request, file->pipeline).run();
}

}  // namespace

void add_store_mirror(CLI::App& store, Common& common) {
  const auto request = std::make_shared<MirrorRequest>();
  CLI::App* command = store.add_subcommand(
      "mirror", "Move a pipeline from one engine to another, with everything pending");
  command->add_option("FILE", request->file, "Pipeline file")->required();
  command
      ->add_option("--from", request->from,
                   "Folder of an embedded store, or url of a Redis server; the file's engine "
                   "unless given")
      ->option_text("PLACE");
  command
      ->add_option("--to", request->to,
                   "The same, and nothing of the pipeline may be there yet; the file's engine "
                   "unless given")
      ->option_text("PLACE");
  auto* verify = command->add_flag("--verify", request->verify, "Compare the two, change nothing");
  command->add_flag("--dry-run", request->dry_run, "Say what would go, change nothing")
      ->excludes(verify);
  command
      ->add_option("--clock", request->clock,
                   "wall, or recorded: as the runs had it. Default: as the file says, else "
                   "recorded where one was replayed with --input")
      ->check(CLI::IsMember({"wall", "recorded"}));
  command
      ->add_option("--consumer", request->consumer,
                   "Host that takes up on Redis what is pending. Default: as the file says, else "
                   "this host's name")
      ->option_text("NAME");
  command->callback([&common, request] {
    common.action = [&common, request] { return run_mirror(common, *request); };
  });
}

}  // namespace sluice::cli
