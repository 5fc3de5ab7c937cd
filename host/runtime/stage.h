// A running stage: takes entries, calls the plugin, commits units, and keeps what must wait.
//
// Life of an entry here: delivered -> (held behind its order key) -> called -> one of
//   ack      its unit is committed and it is gone
//   wait     parked until a key changes or a time comes, then called again
//   retry    parked with back-off; after `deliveries_max` tries a dead letter
//   reject   a dead letter, in the same commit as the ack
//   act      external: unit and request are committed and durable, then the world is touched, then
//            `settle` says what came of it
// A unit whose condition did not hold left no trace; the stage is called once more and told. The
// same condition failing twice is a dead letter.
//
// Entries of one order key may be in one batch (but not of an external stage, which has the world
// between them). Each is shown what the calls before it ask for, and its unit builds on the one
// before: where that is not applied, or its entry is not done with it, those behind it go back and
// are called again. So the outcome is as if each had been committed by itself.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "graph/pipeline.h"
#include "plugin/catalog.h"
#include "policy/policy.h"
#include "runtime/actor.h"
#include "runtime/call.h"
#include "runtime/dispatcher.h"
#include "runtime/measure.h"
#include "runtime/observer.h"
#include "runtime/probe.h"
#include "runtime/share.h"
#include "runtime/watchdog.h"

namespace sluice::runtime {

// Counts since the run began.
struct StageCounts {
  std::atomic<uint64_t> delivered{0};
  std::atomic<uint64_t> redelivered{0};  // of these, not for the first time
  std::atomic<uint64_t> acked{0};        // dead letters included
  std::atomic<uint64_t> waits{0};
  std::atomic<uint64_t> retries{0};
  std::atomic<uint64_t> dead_letters{0};
  std::atomic<uint64_t> policy_errors{0};
  std::atomic<uint64_t> exceptions{0};
  std::atomic<uint64_t> fenced{0};
  std::atomic<uint64_t> acts{0};
  std::atomic<uint64_t> slow_calls{0};
  DurationHistogram handle;  // the plugin's calls of one batch, policy included
  DurationHistogram commit;  // the store's commit of one batch
};

// What a stage shares with the rest of the run. All outlive it.
struct StageContext {
  const graph::Pipeline* pipeline = nullptr;
  stream::Store* store = nullptr;
  const Clock* clock = nullptr;
  const Clock* real_clock = nullptr;  // for how long things take
  Observer* observer = nullptr;
  MetricSink* metrics = nullptr;          // null: what stages count is dropped
  Probe* probe = nullptr;                 // of a test; null in a run
  std::vector<stream::StreamId> streams;  // by index in the pipeline
  uint64_t seed = 0;
  // Other hosts may read from the same groups: what they left is claimed, what waits is renewed.
  bool shared = false;
  Share share;  // what comes from outside is looked at: only this is handled
};

// Outputs, clock and store of a stage or source, as its calls see them.
CallSite make_call_site(const StageContext& context, const graph::StageSpec& spec);

class Stage {
 public:
  // Opens groups and instances, loads the policy. [control]
  //
  // Errors: kInvalid from the plugin's `open` (each complaint) and the policy; the store's own.
  static Result<std::unique_ptr<Stage>> open(const StageContext& context,
                                             const graph::StageSpec& spec,
                                             std::shared_ptr<plugin::Library> library);
  ~Stage();

  const graph::StageSpec& spec() const { return spec_; }
  const StageCounts& counts() const { return counts_; }
  // Entries given up on because a hook failed; `hook` is its index in the kind's hooks. [any]
  uint64_t policy_errors(size_t hook) const { return hook_errors_[hook]; }

  // One actor for each worker and, for external stages, for each act at once.
  std::vector<Actor*> actors();

  // What a watchdog looks at; goes with the stage.
  std::vector<Watchdog::Watched> watched();

  // Wakes its workers: a stage below it has room again.
  void wake() { waker_.wake(); }
  // `stream`, which it reads, has more entries.
  void stream_appended(stream::StreamId stream);
  // Entries waiting for `key` are called again. From the store's listener.
  void key_changed(std::string_view key);

  // Stops reading from streams fed from outside; what is inside runs on. [any]
  void stop_intake() { intake_stopped_ = true; }

  // Nothing delivered, nothing pending here, nothing left to read. [any]
  bool idle() const;
  // As `idle`, but entries parked or held do not count: what a stopping run may leave pending.
  bool quiet() const;
  // Lag and pending of all its groups.
  uint64_t open_entries() const;

  // Looks for a new version of the policy file; logs what it did. [any]
  void poll_policy();

  // Stages to wake when this one made room. [control]
  void set_upstream(std::vector<Stage*> upstream) { upstream_ = std::move(upstream); }
  // Groups below whose lag stops this stage from reading. [control]
  struct Bound {
    stream::GroupId group;
    uint64_t lag_max;
  };
  void set_bounds(std::vector<Bound> bounds) { bounds_ = std::move(bounds); }

  struct Input {
    stream::StreamId stream = 0;
    stream::GroupId group = 0;
    const graph::StreamSpec* spec = nullptr;
    bool recovered = false;     // own pending entries of an earlier process were taken up
    EntryId recovered_after{};  // how far
    std::set<EntryId> held;     // delivered and not done, when the groups are shared
  };
  const std::vector<Input>& inputs() const { return inputs_; }

 private:
  class Worker;
  class Acting;
  struct Planned;
  struct Committing;
  // An item on its way into a wait, while the keys it waits for are looked at once more.
  struct Parking {
    const Item& item;
    bool changed = false;
  };
  struct NextRead {
    size_t wire;
    stream::ReadRequest request;
  };

  Stage(const StageContext& context, const graph::StageSpec& spec);

  Status open_inputs();

  // Under mutex_
  bool begin_reading();
  void finish(ItemPtr item);
  void unwatch(const std::vector<std::string>& keys);

  // Of the worker that reads
  void end_reading();
  Status fill(size_t count_max);
  Status tend();
  Status claim_left();
  std::optional<NextRead> next_read(const Worker& worker, const Committing& committing);
  size_t items_max() const;
  bool is_tend_due() const;
  bool may_read(const Input& input, size_t emitted = 0) const;
  void accept(std::vector<stream::Delivery> deliveries, size_t wire);
  ItemPtr make_item(stream::Delivery delivery, size_t wire) const;

  // Of workers
  Progress step(Worker& worker);
  Status give_turns();
  Status recall_request(Item& item) const;
  Status mark_in_flight(Item& item);
  Planned evaluate(Worker& worker, ItemPtr item, std::span<const Planned> earlier);
  Planned call(Worker& worker, ItemPtr item, const UnitChain* before);
  Planned judge(Worker& worker, ItemPtr item, int32_t code);
  Planned reject(Worker& worker, ItemPtr item, std::string_view reason, std::string_view detail);
  Planned retry(Worker& worker, ItemPtr item, std::string reason, std::string detail);
  Planned begin_act(Worker& worker, ItemPtr item);
  Status commit(Worker& worker, std::vector<Planned> planned);
  Status finish_commit(Worker& worker, bool reads_on = false);
  void add_units(Worker& worker, Committing& committing);
  Status concluded(Worker& worker, Committing& committing, Result<stream::CommitResult> committed,
                   bool reads_on = false);
  Status conclude(Worker& worker, Committing& committing,
                  std::span<const stream::UnitOutcome> outcomes, stream::CommitSeq seq);
  struct HandedBack;
  void pass_order_on(std::vector<Planned>& planned);
  void hand_back(HandedBack back);
  void end_turns(std::vector<Planned>& planned);
  void apply(Planned& planned, HandedBack& back);
  void unmet(Item& item, const stream::Unit& unit, const stream::UnitOutcome& outcome);
  void park(ItemPtr item, std::span<const ShownValue> shown, WallTime until);
  bool has_changed(const Item& item, std::span<const ShownValue> shown);
  void report(const Planned& planned);
  void count_policy_error(std::string_view hook);
  Progress act(Acting& acting);
  int32_t ask_world(const Item& item, Call& call);

  std::string act_key(const Item& item) const;
  std::string marker_key(const Item& item) const;
  Micros backoff(uint32_t tries) const;

  // Fixed after `open`.
  const StageContext context_;
  const graph::StageSpec& spec_;
  const bool external_;
  // The next batch is called while the commit of one is under way. Not in an engine of this
  // process, which has nobody to wait for; not where others work meanwhile anyway, or the world
  // waits.
  const bool overlaps_;
  const std::string consumer_;
  std::vector<Input> inputs_;  // `recovered*` is the reader's, and changed under mutex_
  CallSite site_;
  stream::StreamId dead_letter_ = 0;
  std::unique_ptr<policy::Live> policy_;  // null: defaults
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Acting>> actings_;
  std::vector<Stage*> upstream_;
  std::vector<Bound> bounds_;

  StageCounts counts_;
  std::vector<std::atomic<uint64_t>> hook_errors_;  // by index in the kind's hooks
  Waker waker_;       // of the workers; whoever takes a batch and sees more wakes another
  Waker acts_waker_;  // of the acts; whoever takes one and sees more wakes another
  // By wire: entries may be there that nobody has asked for.
  std::vector<std::atomic<bool>> has_more_;
  std::atomic<bool> intake_stopped_{false};
  std::atomic<bool> blocked_{false};  // by a bound below; woken when there is room

  size_t next_input_ = 0;  // the reader's

  // Not held while the store is asked. Guards what follows.
  mutable std::mutex mutex_;
  Dispatcher dispatcher_;
  size_t out_ = 0;  // items with a worker or an act
  // One worker reads at a time: what it gets is dispatched in the order of the stream.
  bool reading_ = false;
  bool reading_missed_ = false;  // another one wanted to meanwhile
  Micros tend_at_{0};
  std::vector<Parking*> parking_;
  std::set<std::string> turns_due_;  // contested keys to look at
  std::set<std::string> turns_out_;  // contested keys for which an item is called
};

}  // namespace sluice::runtime
