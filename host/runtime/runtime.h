// A checked pipeline on a store, running: stages, sources and inputs, and what drives them.
//
// With a wall clock each actor has a thread and sleeps until there is work. With a recorded clock
// one thread steps all actors in a fixed order and moves time itself: to the next line of input or
// the next timer, whichever is first, and only when nothing is left to do. So a recorded day runs
// in seconds, and twice the same.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "graph/pipeline.h"
#include "plugin/catalog.h"
#include "runtime/input.h"
#include "runtime/observer.h"
#include "runtime/operator_inbox.h"
#include "runtime/patient_store.h"
#include "runtime/scheduler.h"
#include "runtime/source.h"
#include "runtime/stage.h"
#include "runtime/watchdog.h"
#include "stream/store.h"

namespace sluice::runtime {

struct RunOptions {
  struct InputFile {
    size_t stream = 0;  // index into the pipeline's streams
    std::string path;   // "-": standard input
  };
  std::vector<InputFile> inputs;

  // With inputs a run ends once they are read and everything is drained; without, it serves until
  // told to stop.
  bool ends_when_drained() const { return !inputs.empty(); }

  // Called now and then from the driving thread, about ten times a second; true stops the run.
  std::function<bool()> should_stop;

  // Folder in which an operator's commands arrive; empty: none are taken.
  std::string inbox;

  // Its part of the entries, when several runtimes divide them; each has a store of its own.
  Share share;

  // Real time, for things that are not part of the recorded world: policy files, progress.
  const Clock* real_clock = nullptr;

  // Gets what stages count; null: dropped. Outlives the runtime.
  MetricSink* metrics = nullptr;

  // Told of a call that takes longer than its stage's `call_max`, from a thread of its own; ends
  // the process. Not set: calls are not watched.
  std::function<void(std::string_view text)> on_hung;

  // Answers for the world and looks on, in a test; needs recorded time. Outlives the runtime.
  Probe* probe = nullptr;

  // Orders the steps of actors, in a simulation; needs recorded time. Outlives the runtime.
  Scheduler* scheduler = nullptr;
};

enum class RunEnd {
  kDrained,  // all input read, nothing pending
  kStopped,  // told to stop; what was open stays pending in the store and goes on at the next start
};

class Runtime final : private stream::Listener {
 public:
  // Opens streams, groups, instances and inputs. Nothing runs yet.
  //
  // `manual` is the clock the store was opened with when time is recorded, null for a wall clock.
  // All references outlive the runtime. Errors: those of the parts; nothing is left running.
  static Result<std::unique_ptr<Runtime>> open(const graph::Pipeline& pipeline,
                                               stream::Store& store, const Clock& clock,
                                               ManualClock* manual, Observer* observer,
                                               RunOptions options);
  ~Runtime() override;

  // Runs until drained or stopped. [control]
  //
  // Errors: the first fatal one of any actor; kIo means the store is poisoned and the process
  // should exit. Whatever was not committed happens again at the next start.
  Result<RunEnd> run() {
    Runtime* const self = this;
    return run_together({&self, 1});
  }
  // The same for runtimes that divide the entries of one pipeline, and have one clock when time is
  // recorded. What ends one with an error ends all. [control]
  static Result<RunEnd> run_together(std::span<Runtime* const> runtimes);

  // Ends a run as `should_stop` does. [any]
  void stop() { stop_asked_ = true; }

  // Instead of `run`, with recorded time: does all that is due now. [control]
  //
  // Errors: as `run`; kInvalid when there is no end to what is due.
  Status settle();
  // Settles, then moves time on by `by`, stopping wherever something is due. [control]
  Status advance(Micros by);

  // Entries of the lane to a terminal stream that are neither there nor in a dead letter.
  uint64_t open_entries() const;
  // True for stages whose output can reach a stream that ends the story of an entry.
  bool on_lane(const graph::StageSpec& stage) const;

  const std::vector<std::unique_ptr<Stage>>& stages() const { return stages_; }
  const std::vector<std::unique_ptr<Input>>& inputs() const { return inputs_; }

 private:
  Runtime(const graph::Pipeline& pipeline, stream::Store& store, const Clock& clock,
          ManualClock* manual, RunOptions options);

  Status open_streams();
  Status open_stages(Observer* observer);
  Status open_inputs(Observer* observer);
  void wire_bounds();

  void stream_appended(stream::StreamId stream) override;
  void key_changed(std::string_view key) override;

  Status begin();
  Result<RunEnd> finish(Result<RunEnd> end);
  Result<RunEnd> run_threads();
  static Result<RunEnd> run_stepped(std::span<Runtime* const> runtimes);
  static Status step_until_idle(std::span<Runtime* const> runtimes,
                                std::optional<WallTime>& next_due,
                                uint64_t rounds_max = UINT64_MAX);
  static Status step_as_scheduled(Scheduler& scheduler, const std::vector<Actor*>& all,
                                  std::optional<WallTime>& next_due, uint64_t rounds_max);
  void thread_main(Actor& actor);
  void begin_stop();
  bool all_idle() const;
  bool settled() const;
  uint64_t activity() const;
  // Commands, policies and the stop question, at most ten times a second. True once the run is to
  // stop.
  bool housekeep();
  void take_commands();
  std::vector<Actor*> actors();

  bool gives_up() const;
  Result<std::unique_ptr<Watchdog>> watch_calls();

  const graph::Pipeline& pipeline_;
  const Clock& clock_;
  ManualClock* const manual_;
  const RunOptions options_;
  std::atomic<bool> serving_{false};            // threads run
  std::atomic<Micros> stop_by_{Micros::max()};  // real time; what has not ended then is left
  stream::Store& given_;  // for the driving thread, which goes on when the store is gone
  PatientStore store_;    // for all others
  StageContext context_;
  std::map<std::string, std::shared_ptr<plugin::Library>> libraries_;  // by path
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<std::unique_ptr<Input>> inputs_;
  std::vector<bool> on_lane_;                 // by index in the pipeline's stages
  std::vector<std::vector<Stage*>> readers_;  // by StreamId

  std::optional<OperatorInbox> inbox_;
  std::string inbox_fault_;  // said last, so that it is said once
  Micros last_look_{0};
  Micros last_policy_look_{0};
  bool stopping_ = false;
  std::atomic<bool> stop_asked_{false};

  // With threads.
  std::atomic<bool> quit_{false};
  Waker main_waker_;
  std::mutex error_mutex_;
  Status error_;  // guarded by error_mutex_
};

}  // namespace sluice::runtime
