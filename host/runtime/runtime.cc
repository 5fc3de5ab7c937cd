#include "runtime/runtime.h"

#include <algorithm>
#include <exception>
#include <iterator>
#include <thread>

#include "base/log.h"
#include "base/thread.h"

namespace sluice::runtime {

namespace {

constexpr Micros kLookInterval = std::chrono::milliseconds(100);
constexpr Micros kPolicyInterval = std::chrono::milliseconds(500);
// Sleeping actors look around this often in any case; nothing depends on it.
constexpr Micros kSleepMax = std::chrono::seconds(1);
constexpr size_t kRecordedLinesMax = 1000;
// Of `settle`: whoever is still busy after as many rounds at one moment never ends.
constexpr uint64_t kSettleRoundsMax = 100'000;

}  // namespace

Runtime::Runtime(const graph::Pipeline& pipeline, stream::Store& store, const Clock& clock,
                 ManualClock* manual, RunOptions options)
    : pipeline_(pipeline),
      clock_(clock),
      manual_(manual),
      options_(std::move(options)),
      given_(store),
      store_(store, {.gives_up = [this] { return gives_up(); }, .sleep = {}}) {
  if (!options_.inbox.empty()) inbox_.emplace(system_disk(), options_.inbox);
}

Runtime::~Runtime() { store_.set_listener(nullptr); }

Result<std::unique_ptr<Runtime>> Runtime::open(const graph::Pipeline& pipeline,
                                               stream::Store& store, const Clock& clock,
                                               ManualClock* manual, Observer* observer,
                                               RunOptions options) {
  std::unique_ptr<Runtime> runtime(new Runtime(pipeline, store, clock, manual, std::move(options)));
  if (manual != nullptr) manual->advance_to(store.last_commit_time());
  SLUICE_TRY(runtime->open_streams());
  SLUICE_TRY(runtime->open_stages(observer));
  SLUICE_TRY(runtime->open_inputs(observer));
  runtime->wire_bounds();
  store.set_listener(runtime.get());
  return runtime;
}

// --- Opening ---

Status Runtime::open_streams() {
  context_.pipeline = &pipeline_;
  context_.store = &store_;
  context_.clock = &clock_;
  context_.seed = manual_ != nullptr ? pipeline_.seed : system_seed();
  // A recorded day has one host: by its clock everything is idle soon.
  context_.shared = store_.shared() && manual_ == nullptr;
  context_.share = options_.share;
  for (const graph::StreamSpec& spec : pipeline_.streams) {
    SLUICE_ASSIGN(id, store_.open_stream(spec.name, {spec.keep, spec.trim_hard}));
    context_.streams.push_back(id);
  }
  return Status::ok();
}

Status Runtime::open_stages(Observer* observer) {
  context_.observer = observer;
  context_.probe = options_.probe;
  context_.metrics = options_.metrics;
  context_.real_clock = options_.real_clock;
  for (const graph::StageSpec& spec : pipeline_.stages) {
    std::shared_ptr<plugin::Library>& library = libraries_[spec.plugin->path];
    if (library == nullptr) {
      auto loaded = plugin::Library::load(spec.plugin->path, spec.plugin->file);
      if (!loaded) return loaded.status().within("stage " + spec.name);
      library = std::move(loaded).value();
    }
    if (spec.kind->type == plugin::KindType::kSource) {
      SLUICE_ASSIGN(source, Source::open(context_, spec, library));
      sources_.push_back(std::move(source));
    } else {
      SLUICE_ASSIGN(stage, Stage::open(context_, spec, library));
      stages_.push_back(std::move(stage));
    }
  }
  return Status::ok();
}

Status Runtime::open_inputs(Observer* observer) {
  for (const RunOptions::InputFile& file : options_.inputs) {
    Input::Target target;
    target.spec = &pipeline_.streams[file.stream];
    target.stream = context_.streams[file.stream];
    target.share = options_.share;
    for (const auto& stage : stages_) {
      for (const Stage::Input& input : stage->inputs()) {
        if (input.stream != target.stream) continue;
        target.readers.push_back(input.group);
        target.dead_letter = context_.streams[stage->spec().dead_letter];
      }
    }
    if (target.readers.empty())
      return Status(Code::kInvalid, "input for stream " + target.spec->key + ": no stage reads it");
    SLUICE_ASSIGN(input, Input::open(store_, clock_, system_disk(), observer, target, file.path));
    inputs_.push_back(std::move(input));
  }
  return Status::ok();
}

// Who wakes whom, whose lag stops whom, and which stages lie on the way to a terminal stream.
void Runtime::wire_bounds() {
  const auto feeds = [&](const graph::StageSpec& from, const graph::StageSpec& to) {
    for (const graph::Wire& out : from.outputs) {
      for (const graph::Wire& in : to.inputs) {
        if (in.stream == out.stream && !in.feedback) return true;
      }
    }
    return false;
  };
  for (const auto& stage : stages_) {
    for (const Stage::Input& input : stage->inputs()) {
      if (readers_.size() <= input.stream) readers_.resize(input.stream + 1);
      readers_[input.stream].push_back(stage.get());
    }
    std::vector<Stage::Bound> bounds;
    for (const auto& below : stages_) {
      if (!feeds(stage->spec(), below->spec())) continue;
      for (const Stage::Input& input : below->inputs())
        bounds.push_back({input.group, input.spec->lag_max});
    }
    stage->set_bounds(std::move(bounds));
    std::vector<Stage*> upstream;
    for (const auto& above : stages_) {
      if (feeds(above->spec(), stage->spec())) upstream.push_back(above.get());
    }
    stage->set_upstream(std::move(upstream));
  }
  // Stages stand in topological order: from the end backwards each is known when it is asked for.
  on_lane_.assign(pipeline_.stages.size(), false);
  for (size_t i = pipeline_.stages.size(); i-- > 0;) {
    const graph::StageSpec& stage = pipeline_.stages[i];
    for (const graph::Wire& out : stage.outputs) {
      if (pipeline_.streams[out.stream].account.as == graph::AccountSpec::As::kTerminal)
        on_lane_[i] = true;
    }
    for (size_t below = i + 1; below < pipeline_.stages.size(); ++below) {
      if (on_lane_[below] && feeds(stage, pipeline_.stages[below])) on_lane_[i] = true;
    }
  }
}

bool Runtime::on_lane(const graph::StageSpec& stage) const {
  return on_lane_[static_cast<size_t>(&stage - pipeline_.stages.data())];
}

uint64_t Runtime::open_entries() const {
  uint64_t open = 0;
  for (const auto& stage : stages_) {
    if (on_lane(stage->spec())) open += stage->open_entries();
  }
  return open;
}

std::vector<Actor*> Runtime::actors() {
  std::vector<Actor*> actors;
  for (const auto& source : sources_) actors.push_back(source.get());
  for (const auto& stage : stages_) {
    for (Actor* actor : stage->actors()) actors.push_back(actor);
  }
  return actors;
}

// --- Being told ---

void Runtime::stream_appended(stream::StreamId stream) {
  if (stream >= readers_.size()) return;
  for (Stage* stage : readers_[stream]) stage->stream_appended(stream);
}

void Runtime::key_changed(std::string_view key) {
  for (const auto& stage : stages_) stage->key_changed(key);
}

// --- Ends ---

bool Runtime::housekeep() {
  const Micros now = options_.real_clock->steady();
  if (now - last_look_ < kLookInterval) return stopping_;
  last_look_ = now;
  take_commands();
  if (now - last_policy_look_ >= kPolicyInterval) {
    last_policy_look_ = now;
    for (const auto& stage : stages_) stage->poll_policy();
  }
  const bool asked = stop_asked_ || (options_.should_stop && options_.should_stop());
  if (!stopping_ && asked) begin_stop();
  return stopping_;
}

void Runtime::take_commands() {
  if (!inbox_) return;
  const Status taken = inbox_->apply_all(given_);
  if (!taken.is_ok() && taken.text() != inbox_fault_)
    log::error("commands of operators cannot be taken: {}", taken.text());
  inbox_fault_ = taken.text();
  // A poisoned store ends the run; a folder that cannot be read does not.
  if (taken.is_ok()) return;
  const Status flushed = given_.flush(given_.last_commit());
  if (!flushed.is_ok() && flushed.code() != Code::kUnavailable) {
    const std::lock_guard lock(error_mutex_);
    if (error_.is_ok()) error_ = flushed;
  }
}

// Whether a call that waits for the store is to end with its error.
bool Runtime::gives_up() const {
  if (serving_) return options_.real_clock->steady() >= stop_by_.load();
  return stop_asked_ || (options_.should_stop && options_.should_stop());
}

void Runtime::begin_stop() {
  stopping_ = true;
  stop_by_ = options_.real_clock->steady() + pipeline_.drain_timeout;
  for (const auto& input : inputs_) input->stop();
  for (const auto& source : sources_) source->stop();
  for (const auto& stage : stages_) stage->stop_intake();
}

uint64_t Runtime::activity() const {
  uint64_t sum = 0;
  for (const auto& stage : stages_)
    sum += stage->counts().delivered + stage->counts().acked + stage->counts().acts;
  return sum;
}

// An entry can move from a stage that was not looked at yet to one that was: looked at twice, with
// nothing having moved in between, idle is idle.
bool Runtime::all_idle() const {
  const auto idle = [](const auto& stage) { return stage->idle(); };
  const uint64_t before = activity();
  return std::all_of(stages_.begin(), stages_.end(), idle) &&
         std::all_of(stages_.begin(), stages_.end(), idle) && activity() == before;
}

bool Runtime::settled() const {
  const auto quiet = [](const auto& stage) { return stage->quiet(); };
  const uint64_t before = activity();
  return std::all_of(stages_.begin(), stages_.end(), quiet) &&
         std::all_of(stages_.begin(), stages_.end(), quiet) && activity() == before;
}

// Real time, also while the entries' is recorded: what hangs, hangs.
Result<std::unique_ptr<Watchdog>> Runtime::watch_calls() {
  if (!options_.on_hung) return std::unique_ptr<Watchdog>();
  std::vector<Watchdog::Watched> watched;
  for (const auto& stage : stages_) {
    for (Watchdog::Watched& one : stage->watched()) watched.push_back(std::move(one));
  }
  for (const auto& source : sources_) watched.push_back(source->watched());
  auto watchdog =
      std::make_unique<Watchdog>(std::move(watched), *options_.real_clock, options_.on_hung);
  SLUICE_TRY(watchdog->start());
  return watchdog;
}

// What an operator said while nobody ran holds before anything moves.
Status Runtime::begin() { return inbox_ ? inbox_->apply_all(store_) : Status::ok(); }

// Says what is durable before anybody is told that it is done. A poisoned store says no again.
Result<RunEnd> Runtime::finish(Result<RunEnd> end) {
  const Status flushed = store_.flush(store_.last_commit());
  if (end.is_ok() && !flushed.is_ok()) return flushed;
  return end;
}

Result<RunEnd> Runtime::run_together(std::span<Runtime* const> runtimes) {
  std::vector<std::unique_ptr<Watchdog>> watchdogs;
  for (Runtime* runtime : runtimes) {
    SLUICE_ASSIGN(watchdog, runtime->watch_calls());
    watchdogs.push_back(std::move(watchdog));
  }
  for (Runtime* runtime : runtimes) SLUICE_TRY(runtime->begin());
  if (runtimes.front()->manual_ != nullptr) {
    Result<RunEnd> end = run_stepped(runtimes);
    for (Runtime* runtime : runtimes) end = runtime->finish(std::move(end));
    return end;
  }
  if (runtimes.size() == 1) return runtimes[0]->finish(runtimes[0]->run_threads());
  std::vector<Result<RunEnd>> ends(runtimes.size(), RunEnd::kDrained);
  const auto run = [&](size_t i) {
    ends[i] = runtimes[i]->finish(runtimes[i]->run_threads());
    if (ends[i].is_ok()) return;
    for (Runtime* other : runtimes) other->stop();
  };
  std::vector<std::thread> threads;
  for (size_t i = 0; i < runtimes.size(); ++i) {
    auto thread = start_thread([&run, i] { run(i); });
    if (thread) {
      threads.push_back(std::move(thread).value());
      continue;
    }
    ends[i] = thread.status();
    for (Runtime* other : runtimes) other->stop();
    break;
  }
  for (std::thread& thread : threads) thread.join();
  // One that failed tells more than those that were stopped for it.
  const auto failed = std::ranges::find_if(ends, [](const auto& end) { return !end.is_ok(); });
  if (failed != ends.end()) return std::move(*failed);
  const bool drained =
      std::ranges::all_of(ends, [](const auto& end) { return *end == RunEnd::kDrained; });
  return drained ? RunEnd::kDrained : RunEnd::kStopped;
}

// --- One thread, recorded time ---

Status Runtime::step_until_idle(std::span<Runtime* const> runtimes,
                                std::optional<WallTime>& next_due, uint64_t rounds_max) {
  std::vector<Actor*> all;
  for (Runtime* runtime : runtimes) std::ranges::copy(runtime->actors(), std::back_inserter(all));
  if (Scheduler* const scheduler = runtimes.front()->options_.scheduler)
    return step_as_scheduled(*scheduler, all, next_due, rounds_max);
  uint64_t rounds = 0;
  for (bool worked = true; worked;) {
    if (rounds++ == rounds_max)
      return Status(Code::kInvalid, "the stages do not come to rest: still busy after " +
                                        std::to_string(rounds_max) + " rounds at one moment");
    worked = false;
    next_due.reset();
    for (Actor* actor : all) {
      const Progress progress = actor->step();
      if (!progress.error.is_ok()) return progress.error.within(actor->name());
      worked = worked || progress.worked;
      if (progress.next_due && (!next_due || *progress.next_due < *next_due))
        next_due = progress.next_due;
    }
    bool stopped = true;
    for (Runtime* runtime : runtimes) stopped = runtime->housekeep() && stopped;
    if (stopped && std::ranges::all_of(runtimes, &Runtime::settled)) return Status::ok();
  }
  return Status::ok();
}

// Idle is whoever had nothing to do since anything was last done; all of them idle is the end.
Status Runtime::step_as_scheduled(Scheduler& scheduler, const std::vector<Actor*>& all,
                                  std::optional<WallTime>& next_due, uint64_t rounds_max) {
  std::vector<Actor*> ready = all;
  for (uint64_t steps = 0; !ready.empty(); ++steps) {
    if (steps / all.size() >= rounds_max)
      return Status(Code::kInvalid, "the stages do not come to rest: still busy after " +
                                        std::to_string(steps) + " steps");
    SLUICE_ASSIGN(index, scheduler.next(ready));
    Actor* const actor = ready[index];
    const Progress progress = actor->step();
    if (!progress.error.is_ok()) return progress.error.within(actor->name());
    if (progress.worked) {
      ready = all;
      next_due.reset();
      continue;
    }
    ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(index));
    if (progress.next_due && (!next_due || *progress.next_due < *next_due))
      next_due = progress.next_due;
  }
  return Status::ok();
}

Result<RunEnd> Runtime::run_stepped(std::span<Runtime* const> runtimes) {
  ManualClock& clock = *runtimes.front()->manual_;
  for (;;) {
    Input* next_input = nullptr;
    WallTime input_time = WallTime::max();
    for (const Runtime* runtime : runtimes) {
      for (const auto& input : runtime->inputs_) {
        SLUICE_ASSIGN(time, input->next_time());
        if (!time || *time >= input_time) continue;
        next_input = input.get();
        input_time = *time;
      }
    }
    // Time begins with the first line, not before: sources look at the world as it was then.
    if (next_input != nullptr && to_us(clock.now()) == 0) clock.advance_to(input_time);

    std::optional<WallTime> next_due;
    SLUICE_TRY(step_until_idle(runtimes, next_due));
    if (std::ranges::any_of(runtimes, &Runtime::stopping_)) return RunEnd::kStopped;
    if (next_input != nullptr && (!next_due || input_time <= *next_due)) {
      clock.advance_to(input_time);
      SLUICE_TRY(next_input->append(kRecordedLinesMax, clock.now()).status());
      continue;
    }
    if (next_input == nullptr && std::ranges::all_of(runtimes, &Runtime::all_idle))
      return RunEnd::kDrained;
    if (!next_due) return Status(Code::kInvalid, "entries are pending and nothing is due: stuck");
    clock.advance_to(*next_due);
  }
}

Status Runtime::settle() { return advance(Micros(0)); }

Status Runtime::advance(Micros by) {
  const WallTime until = manual_->now() + by;
  Runtime* const self = this;
  for (;;) {
    std::optional<WallTime> next_due;
    SLUICE_TRY(step_until_idle({&self, 1}, next_due, kSettleRoundsMax));
    if (manual_->now() >= until) return Status::ok();
    // Nothing is due at or before now: it was just done.
    manual_->advance_to(next_due ? std::min(*next_due, until) : until);
  }
}

// --- Threads, wall time ---

void Runtime::thread_main(Actor& actor) {
  try {
    while (!quit_) {
      const uint64_t seen = actor.waker().generation();
      const Progress progress = actor.step();
      if (!progress.error.is_ok()) {
        const std::lock_guard lock(error_mutex_);
        if (error_.is_ok()) error_ = progress.error.within(actor.name());
        break;
      }
      if (progress.worked) continue;
      Micros sleep = kSleepMax;
      if (progress.next_due)
        sleep = std::clamp<Micros>(*progress.next_due - clock_.now(), Micros(0), kSleepMax);
      actor.waker().wait(seen, sleep);
    }
  } catch (const std::exception& error) {
    const std::lock_guard lock(error_mutex_);
    if (error_.is_ok()) error_ = Status(Code::kInvalid, actor.name() + ": " + error.what());
  }
  main_waker_.wake();
}

Result<RunEnd> Runtime::run_threads() {
  std::vector<Actor*> all = actors();
  for (const auto& input : inputs_) all.push_back(input.get());
  std::vector<std::thread> threads;
  serving_ = true;
  for (Actor* actor : all) {
    auto thread = start_thread([this, actor] { thread_main(*actor); });
    if (thread) {
      threads.push_back(std::move(thread).value());
      continue;
    }
    const std::lock_guard lock(error_mutex_);
    if (error_.is_ok()) error_ = thread.status().within(actor->name());
    break;
  }

  const auto failed = [&] {
    const std::lock_guard lock(error_mutex_);
    return error_;
  };
  RunEnd end = RunEnd::kStopped;
  while (failed().is_ok()) {
    const uint64_t seen = main_waker_.generation();
    housekeep();
    if (stopping_ && (settled() || options_.real_clock->steady() >= stop_by_.load())) break;
    const bool read = std::all_of(inputs_.begin(), inputs_.end(),
                                  [](const auto& input) { return input->done(); });
    if (!stopping_ && options_.ends_when_drained() && read && all_idle()) {
      end = RunEnd::kDrained;
      break;
    }
    main_waker_.wait(seen, options_.ends_when_drained() ? kLookInterval / 10 : kLookInterval);
  }
  quit_ = true;
  stop_by_ = Micros::min();
  for (Actor* actor : all) actor->waker().wake();
  for (std::thread& thread : threads) thread.join();
  if (const Status error = failed(); !error.is_ok()) return error;
  return end;
}

}  // namespace sluice::runtime
