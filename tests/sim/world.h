// The whole host in a world of its own: the shipped trade pipeline with its plugins and policies,
// the embedded engine on a disk in memory, an exchange, and time that only the world moves.
//
// Everything runs on the calling thread, and everything that happens comes from the conditions and
// the steps: the same ones give the same trace. The exchange outlives every crash of the host.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/embedded_store.h"
#include "fixtures/sim_disk.h"
#include "graph/pipeline.h"
#include "runtime/probe.h"
#include "runtime/runtime.h"
#include "sim/chronicle.h"
#include "sim/exchange.h"
#include "sim/nemesis.h"
#include "sim/oracle.h"
#include "sim/workload.h"

namespace sluice::sim {

// What holds for a whole case.
struct Conditions {
  uint64_t seed = 1;  // of everything that is not a step
  FaultSet faults;
  engine::Durability durability = engine::Durability::kGroup;
  bool on_paper = false;  // the plugin's paper exchange, instead of one that steps command
  bool traced = false;    // keeps the last events as text
};

// As the seed has them.
Conditions draw_conditions(uint64_t seed);

// What was met, and how often. Names are words joined by hyphens.
class Marks {
 public:
  void hit(std::string_view name, uint64_t times = 1);
  uint64_t operator[](std::string_view name) const;
  void add(const Marks& others);
  const std::map<std::string, uint64_t, std::less<>>& all() const { return hits_; }

 private:
  std::map<std::string, uint64_t, std::less<>> hits_;
};

// A wall clock that may be wrong, on a time that never goes back.
class SkewedClock final : public Clock {
 public:
  explicit SkewedClock(const ManualClock& time) : time_(time) {}

  WallTime now() const override { return time_.now() + skew; }
  Micros steady() const override { return time_.steady(); }

  Micros skew{0};

 private:
  const ManualClock& time_;
};

class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// All members throw Broken where a rule does not hold.
class World final : private runtime::Probe {
 public:
  static constexpr size_t kEventsKept = 200;

  explicit World(const Conditions& conditions);
  ~World() override;

  // `index` is the step's place in the case, before any was left out.
  void perform(size_t index, const Step& step);
  // Lifts whatever stops the pipeline, and lets it come to rest.
  void put_right_and_drain();
  void judge();

  const Marks& marks() const { return marks_; }
  uint64_t trace_hash() const { return hash_.value(); }
  uint64_t steps_of_actors() const { return nemesis_.steps(); }
  const std::deque<std::string>& events() const { return events_; }

 private:
  struct Decided {
    std::string symbol, side, id;  // correlation id
  };

  // --- As Probe ---

  Answer act(const graph::StageSpec& stage, const runtime::Item& item) override;
  void committed(const graph::StageSpec& stage, const stream::Unit& unit,
                 std::span<const std::string> ports) override;
  void policy_called(std::string_view stage, std::string_view hook) override;

  // --- The process ---

  // Errors: what ended the run; the process is then dead, and restarted by whoever asked.
  Status run_for(Micros by);
  // Runs; a process that dies as it was told to is started again.
  void drive(Micros by);
  void settle() { drive(Micros(0)); }
  bool may_die() const;
  void restart(bool power_cut, int deaths_in_recovery = 0);
  void open();
  Status open_store();
  Status try_open();
  void begin_with_entries();
  void close();
  Result<std::unique_ptr<runtime::Runtime>> open_runtime();
  void look_at_disk();
  void begin_zombie();

  // --- Steps ---

  void decide(const std::string& symbol, const std::string& side, const std::string& id);
  void repeat_decision(int pick);
  void bad_decision(int pick);
  void propose(const Step& step);
  void repeat_plan(int pick);
  void repeat_fill(int pick);
  void set_kill(int pick);
  void strike_kill(uint64_t steps, int pick);
  void clear_kill();
  void forge_permit(const Step& step);
  void steal_permit(int pick);
  void trigger_stop(int pick);
  void advance(std::chrono::milliseconds by);
  void leap(Micros by);
  void midnight(const Step& step);
  void crash(const Step& step);
  void poison(const Step& step);
  void disk_fault(const Step& step);
  void race();
  void aim();
  void exchange_permit(const std::string& key, int pick);
  void snapshots();
  void check_killed();
  void clear_the_way();

  // --- The store, as others than the host use it ---

  // The id of the entry; none when the store failed, as it was told to.
  std::optional<EntryId> append(const std::string& key, const stream::Fields& fields);
  void put(const std::string& key, const std::string& text,
           std::chrono::milliseconds ttl = std::chrono::milliseconds(0));
  void put_fields(const std::string& key, const stream::Fields& fields);
  void erase(const std::string& key);
  std::optional<stream::UnitOutcome> change(const stream::Effect& effect);
  void command(const std::string& what, const std::string& symbol = {});
  void must(const Status& status) const;

  // None when the store has failed, as it was told to.
  std::vector<stream::Entry> entries(const std::string& key) const;
  EntryId newest(const std::string& key) const;
  int64_t now_us() const { return to_us(clock_.now()); }

  // --- The exchange ---

  const Truth& truth();
  Answer report(const Order& order) const;
  void aim_at_permit(const stream::Condition& given);
  bool has_both_permits() const;
  bool is_killed_now() const;
  std::optional<Answer> dead_answer();
  void mark_act(const runtime::Item& item, bool known);
  Decimal mark_price(const Symbol& symbol) const;

  void mark_reasons();
  void note(std::string_view text);

  const Conditions conditions_;
  const Folder folder_;  // of the paper exchange
  const graph::Pipeline pipeline_;
  engine::Options engine_options_;
  TraceHash hash_;
  Marks marks_;
  std::deque<std::string> events_;
  SeededRandom random_;  // of faults that strike now
  Nemesis nemesis_;

  Chronicle chronicle_;

  // In this order: the runtime works on the store, the store on disk and time.
  testing::SimDisk disk_;
  ManualClock time_;
  SkewedClock clock_;
  const ManualClock real_;  // stands still: nobody polls policies
  std::unique_ptr<stream::Store> store_;
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<runtime::Runtime> zombie_;
  bool zombie_runs_ = false;

  Exchange exchange_;
  std::unique_ptr<PaperWitness> paper_;
  int64_t late_us_ = 0;  // how long after its sending the exchange may take an order

  bool failing_ = false;        // the disk was told to fail
  bool dead_ = false;           // the process is gone, and has not noticed yet
  int crash_in_act_ = 0;        // 1: before the exchange is asked, 2: after
  std::string poisoned_;        // the stage whose policy kills the process
  std::optional<int> race_in_;  // calls of policies until then
  int race_pick_ = 0;
  std::optional<int> kill_at_intent_;    // at the next act that begins
  std::optional<Step> exchange_permit_;  // the next one that is given is exchanged
  std::optional<int> kill_at_gate_;      // when the gate has looked at both permits
  bool tampered_ = false;                // with permits, which carry the shares of limits
  Micros delay_left_{0};                 // that may pass between steps, in this one

  bool snapshots_come_ = true;
  std::optional<EntryId> killed_at_;  // newest order when the kill switch was set
  size_t sent_when_killed_ = 0;
  int64_t killed_us_ = 0;
  int made_ = 0;  // decisions, proposals, commands: for ids
  std::vector<Decided> decided_;
  std::vector<EntryId> accepted_;
  std::vector<stream::Fields> proposed_;
};

}  // namespace sluice::sim
