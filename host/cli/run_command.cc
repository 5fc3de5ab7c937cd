#include "cli/run_command.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <set>
#include <string_view>

#include "base/iso_time.h"
#include "base/log.h"
#include "cli/account.h"
#include "cli/engine.h"
#include "cli/fingerprint.h"
#include "cli/human.h"
#include "cli/pipeline_file.h"
#include "cli/supervisor.h"
#include "graph/only.h"
#include "graph/pipeline.h"
#include "ops/metrics_server.h"
#include "runtime/runtime.h"

namespace sluice::cli {

namespace {

// Set by the first SIGTERM or SIGINT; the second ends the process on the spot. What is in the store
// is whole in both cases.
std::atomic<int> g_signals{0};

extern "C" void on_signal(int) {
  if (g_signals.fetch_add(1) > 0) _exit(128 + SIGTERM);
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

struct RunRequest {
  std::string file;
  std::vector<std::string> inputs;  // PATH or STREAM=PATH
  std::string clock;                // empty: as the file says
  std::vector<std::string> only;    // stages; empty: all
  bool mixed = false;               // beside hosts that run something else
  bool supervise = false;
  Supervision supervision;
};

// A plugin that calls exit() takes the process down in the middle of its work, and would have it
// look as if it had ended in order.
std::atomic<bool> g_running{false};

extern "C" void on_exit_of_process() {
  if (!g_running) return;
  log::error("a plugin has called exit(): the process ends");
  std::abort();
}

class Running {
 public:
  Running() {
    static const int registered = std::atexit(on_exit_of_process);
    static_cast<void>(registered);
    g_running = true;
  }
  ~Running() { g_running = false; }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
};

void end_of_hung(std::string_view text) {
  log::error("{}: the process ends", text);
  std::abort();
}

using Stores = std::vector<std::unique_ptr<stream::Store>>;       // one for each shard
using Runtimes = std::vector<std::unique_ptr<runtime::Runtime>>;  // one for each shard

// One line that is rewritten: how far the input is read, what came out.
class ProgressBar {
 public:
  ProgressBar(std::ostream& out, bool enabled) : out_(out), enabled_(enabled) {}

  void draw(const Runtimes& runtimes, const Account& account, WallTime now, bool recorded) {
    if (!enabled_) return;
    uint64_t bytes = 0, total = 0, lines = 0;
    for (const auto& runtime : runtimes) {
      for (const auto& input : runtime->inputs()) {
        const runtime::InputCounts counts = input->counts();
        bytes += counts.bytes;
        total += input->total_bytes().value_or(0);
        lines += counts.lines + counts.skipped;
      }
    }
    std::string bar;
    if (total > 0) {
      constexpr size_t kWidth = 30;
      const size_t filled = std::min<size_t>(kWidth, bytes * kWidth / total);
      bar = fmt::format("[{}{}] {:3d} %  ", std::string(filled, '#'),
                        std::string(kWidth - filled, '.'),
                        std::min<uint64_t>(100, bytes * 100 / total));
    }
    out_ << "\r\x1b[K" << bar << count_text(lines) << " in, " << count_text(account.ended())
         << " ended" << (recorded ? ", " + iso_time_text(now).substr(0, 19) : "") << std::flush;
    drawn_ = true;
  }

  void clear() {
    if (drawn_) out_ << "\r\x1b[K" << std::flush;
  }

 private:
  std::ostream& out_;
  const bool enabled_;
  bool drawn_ = false;
};

// What is durable, in a word or two.
std::string promise_text(const graph::EngineSpec& spec) {
  if (on_redis(spec))
    return spec.min_replicas == 0
               ? "durable as the server is set"
               : fmt::format("acts wait for {}", plural(spec.min_replicas, "replica", "replicas"));
  switch (spec.durability) {
    case graph::Durability::kCommit:
      return "commit";
    case graph::Durability::kGroup:
      return fmt::format("group {}ms", spec.group_interval.count());
    case graph::Durability::kOs:
      break;
  }
  return "os";
}

// "FILE" is for the first external stream, "STREAM=FILE" for the one of that key or name.
Result<runtime::RunOptions::InputFile> parse_input(const graph::Pipeline& pipeline,
                                                   const std::string& text) {
  const size_t equals = text.find('=');
  const std::string wanted = equals == std::string::npos ? "" : text.substr(0, equals);
  std::string externals;
  for (size_t i = 0; i < pipeline.streams.size(); ++i) {
    const graph::StreamSpec& stream = pipeline.streams[i];
    if (!stream.external) continue;
    if (wanted.empty() || wanted == stream.key || wanted == stream.name)
      return runtime::RunOptions::InputFile{i, wanted.empty() ? text : text.substr(equals + 1)};
    externals += (externals.empty() ? "" : ", ") + stream.key;
  }
  if (wanted.empty())
    return Status(Code::kInvalid, "--input " + text + ": the pipeline has no external stream");
  return Status(Code::kInvalid, "--input " + text + ": no external stream " + wanted +
                                    ", expected one of: " + externals);
}

// Streams on which stories begin: fed from outside or by a source, and read on the way to an end.
std::set<std::string_view> entrances(const graph::Pipeline& pipeline,
                                     const runtime::Runtime& runtime) {
  std::set<size_t> fed;
  for (size_t i = 0; i < pipeline.streams.size(); ++i)
    if (pipeline.streams[i].external) fed.insert(i);
  for (const graph::StageSpec& stage : pipeline.stages) {
    if (stage.kind->type != plugin::KindType::kSource) continue;
    for (const graph::Wire& out : stage.outputs) fed.insert(out.stream);
  }
  std::set<std::string_view> names;
  for (const graph::StageSpec& stage : pipeline.stages) {
    if (!runtime.on_lane(stage)) continue;
    for (const graph::Wire& in : stage.inputs)
      if (fed.contains(in.stream)) names.insert(pipeline.streams[in.stream].name);
  }
  return names;
}

uint64_t entered_so_far(const graph::Pipeline& pipeline, const runtime::Runtime& runtime,
                        const Stores& stores) {
  const std::set<std::string_view> names = entrances(pipeline, runtime);
  uint64_t added = 0;
  for (const auto& store : stores)
    for (const stream::StreamInfo& info : store->streams())
      if (names.contains(info.name)) added += info.entries_added;
  return added;
}

uint64_t open_entries(const Runtimes& runtimes) {
  uint64_t open = 0;
  for (const auto& runtime : runtimes) open += runtime->open_entries();
  return open;
}

// What one run needs, in the order it is made.
class Run {
 public:
  // `runs`: of the whole file, on Redis.
  Run(Common& common, RunRequest request, const graph::Pipeline& pipeline, redis::Runs runs)
      : common_(common), request_(std::move(request)), pipeline_(pipeline) {
    entering_.runs = std::move(runs);
    entering_.mixed = request_.mixed;
    entering_.stop = [] { return g_signals.load() > 0; };
  }

  int run() {
    runtime::RunOptions options;
    for (const std::string& text : request_.inputs) {
      auto input = parse_input(pipeline_, text);
      if (!input) return fail(common_, kUsage, input.status());
      if (input->path == "-" && shards() > 1)
        return fail(common_, kUsage,
                    Status(Code::kInvalid,
                           "--input -: each shard reads the whole input, and standard input can be "
                           "read once; give a file"));
      options.inputs.push_back(std::move(input).value());
    }
    if (const Status clock = choose_clock(options); !clock.is_ok())
      return fail(common_, kUsage, clock);
    const Clock& clock = recorded_ ? static_cast<const Clock&>(manual_) : common_.clock;
    Stores stores;
    for (uint32_t shard = 0; shard < shards(); ++shard) {
      auto store = open_store(common_, pipeline_.engine, StoreUse::kRun, clock, recorded_,
                              &pipeline_, shard);
      if (store) store = enter_hosts(pipeline_, entering_, shard, std::move(store).value());
      if (!store) return fail(common_, store.status());
      stores.push_back(std::move(store).value());
    }

    Account account(pipeline_);
    ProgressBar progress(common_.err, common_.err_is_terminal && common_.format == Format::kHuman);
    Runtimes runtimes;
    options.real_clock = &common_.clock;
    options.on_hung = end_of_hung;
    if (!on_redis(pipeline_.engine)) options.inbox = runtime::inbox_folder(pipeline_.engine.path);
    serves_ = !options.ends_when_drained();
    ops::PluginMetrics metrics(pipeline_);
    if (ops::has_metrics(pipeline_)) options.metrics = &metrics;
    for (uint32_t shard = 0; shard < shards(); ++shard) {
      options.share = {shard, shards(), pipeline_.engine.shard_by};
      // The first draws for all of them.
      options.should_stop = [&, draws = shard == 0] {
        if (draws && running_ && !serves_) progress.draw(runtimes, account, clock.now(), recorded_);
        return g_signals.load() > 0;
      };
      auto runtime = runtime::Runtime::open(pipeline_, *stores[shard], clock,
                                            recorded_ ? &manual_ : nullptr, &account, options);
      if (!runtime) return fail(common_, runtime.status());
      runtimes.push_back(std::move(runtime).value());
    }
    running_ = true;
    account.set_runtime(runtimes.front().get());
    std::unique_ptr<ops::MetricsServer> server;
    if (serves_) {  // a replay ends before anybody scrapes it
      std::vector<ops::HostView> views;
      for (uint32_t shard = 0; shard < shards(); ++shard)
        views.push_back({pipeline_, *runtimes[shard], *stores[shard],
                         shards() > 1 ? std::to_string(shard) : std::string()});
      auto opened = ops::MetricsServer::open(std::move(views), metrics);
      if (!opened) return fail(common_, opened.status());
      server = std::move(opened).value();
    }
    const uint64_t open_before = open_entries(runtimes);
    const uint64_t entered_before = entered_so_far(pipeline_, *runtimes.front(), stores);
    announce();
    if (server != nullptr)
      for (const std::string& url : server->urls()) log::info("metrics at {}", url);

    const Micros began = common_.clock.steady();
    std::vector<runtime::Runtime*> together;
    for (const auto& runtime : runtimes) together.push_back(runtime.get());
    auto end = [&] {
      const Running guard;
      return runtime::Runtime::run_together(together);
    }();
    progress.clear();
    if (!end) return fail(common_, end.status());

    Account::Summary summary = account.summary();
    summary.open_before = open_before;
    summary.open_after = open_entries(runtimes);
    summary.entered = entered_so_far(pipeline_, *runtimes.front(), stores) - entered_before;
    for (const auto& runtime : runtimes) {
      for (const auto& input : runtime->inputs()) {
        summary.entered += input->counts().bad;
        summary.known += input->counts().skipped;
      }
    }
    summary.partial = !request_.only.empty();
    report(summary, *end, common_.clock.steady() - began);
    return summary.balanced() || summary.partial ? kFine : kFindings;
  }

 private:
  Status choose_clock(const runtime::RunOptions& options) {
    graph::ClockMode mode = pipeline_.clock;
    if (request_.clock == "wall") mode = graph::ClockMode::kWall;
    if (request_.clock == "recorded") mode = graph::ClockMode::kRecorded;
    if (mode == graph::ClockMode::kAuto)
      mode = options.inputs.empty() ? graph::ClockMode::kWall : graph::ClockMode::kRecorded;
    recorded_ = mode == graph::ClockMode::kRecorded;
    if (recorded_ && options.inputs.empty())
      return Status(Code::kInvalid,
                    "clock: recorded takes its time from --input, and there is none");
    return Status::ok();
  }

  uint32_t shards() const { return pipeline_.engine.stores(); }

  void announce() const {
    if (common_.format == Format::kJson) return;
    const std::string which = request_.only.empty()
                                  ? plural(pipeline_.stages.size(), "stage", "stages")
                                  : fmt::format("only {}", fmt::join(request_.only, ", "));
    common_.err << fmt::format("{}: {}, store {}{} ({}), {} clock{}\n", pipeline_.name, which,
                               store_name(pipeline_.engine),
                               shards() > 1 ? fmt::format(" in {} shards", shards()) : "",
                               promise_text(pipeline_.engine), recorded_ ? "recorded" : "wall",
                               serves_ ? "; stop with ctrl-c" : "");
  }

  void report(const Account::Summary& summary, runtime::RunEnd end, Micros took) const {
    if (common_.format == Format::kJson) {
      common_.out << summary_json(summary) << '\n';
      return;
    }
    common_.out << '\n' << summary_text(summary, recorded_, common_.out_style) << '\n';
    common_.out << (end == runtime::RunEnd::kDrained ? "Drained" : "Stopped") << " after "
                << age_text(took) << ". Look further:\n"
                << "  sluice dlq ls " << request_.file << "\n  sluice streams " << request_.file
                << '\n';
  }

  Common& common_;
  const RunRequest request_;
  const graph::Pipeline& pipeline_;
  Entering entering_;
  ManualClock manual_;
  bool recorded_ = false;
  bool serves_ = false;
  bool running_ = false;  // all are open
};

int run_once(Common& common, const RunRequest& request) {
  const auto file = open_pipeline(common, request.file);
  if (file == nullptr) return kInvalidInput;
  redis::Runs runs;
  if (on_redis(file->pipeline.engine)) {
    auto read = fingerprint(file->pipeline);
    if (!read) return fail(common, read.status());
    runs = std::move(read).value();
  }
  if (!request.only.empty()) {
    const Status kept = graph::keep_only(file->pipeline, request.only);
    if (!kept.is_ok()) return fail(common, kUsage, Status(kept.code(), "--only: " + kept.text()));
  }
  catch_signals();
  return Run(common, request, file->pipeline, std::move(runs)).run();
}

int run(Common& common, const RunRequest& request) {
  if (!request.supervise) return run_once(common, request);
  for (const std::string& input : request.inputs)
    if (input == "-" || input.ends_with("=-"))
      return fail(
          common, kUsage,
          Status(Code::kInvalid, "--supervise with --input " + input +
                                     ": standard input cannot be read again after a crash"));
  return supervise(common.clock, request.supervision, [&] { return run_once(common, request); });
}

}  // namespace

void add_run(CLI::App& app, Common& common) {
  const auto request = std::make_shared<RunRequest>();
  CLI::App* command = app.add_subcommand("run", "Run a pipeline");
  command->add_option("FILE", request->file, "Pipeline file")->required();
  command->add_option(
      "--input", request->inputs,
      "Read NDJSON from a file, or from standard input with -, into the first external "
      "stream, or into another with STREAM=FILE; end once everything is drained");
  command
      ->add_option(
          "--clock", request->clock,
          "wall, or recorded: time comes from the entries' timestamps. Default: as the file "
          "says, else recorded with --input and wall without")
      ->check(CLI::IsMember({"wall", "recorded"}));
  command
      ->add_option("--only", request->only,
                   "Run these stages alone, a,b,...; others read and write the other streams")
      ->delimiter(',')
      ->option_text("STAGES");
  command->add_flag("--mixed", request->mixed,
                    "On Redis: start also where other hosts run this pipeline from another file, "
                    "other plugins or another program, as in a rolling update");
  command->add_flag("--supervise", request->supervise,
                    "Run in a process of its own, and start it again when it dies");
  command
      ->add_option("--deaths-max", request->supervision.deaths_max,
                   "With --supervise: give up after so many deaths in ten minutes (20)")
      ->check(CLI::Range(1, 1000))
      ->option_text("N");
  command->callback(
      [&common, request] { common.action = [&common, request] { return run(common, *request); }; });
}

}  // namespace sluice::cli
