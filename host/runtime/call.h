// The host's side of one plugin call: what it may ask, and the unit it builds.
//
// The C functions behind `sluice_host` land here. Nothing a plugin does in a call reaches the
// store: it fills conditions and effects, and the stage commits them after the verdict.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "graph/pipeline.h"
#include "policy/policy.h"
#include "runtime/arena.h"
#include "runtime/item.h"
#include "runtime/measure.h"
#include "sluice/abi.h"
#include "stream/store.h"

namespace sluice::runtime {

class Probe;

// What a stage asks for on behalf of an entry, and for those before it of the same order key in one
// batch. The units are applied in this order or not at all, so each call sees what the calls before
// it did.
struct UnitChain {
  const stream::Unit* unit;
  const UnitChain* before;  // null: the first
};

// Where a stage's output goes.
struct OutputPort {
  std::string name;
  size_t stream_index = 0;  // in the pipeline
  stream::StreamId stream = 0;
  const graph::Schema* schema = nullptr;  // checked at the gate, before anything is committed
};

// Fixed for the life of a stage.
struct CallSite {
  std::string stage;
  const plugin::Kind* kind = nullptr;
  const stream::Store* store = nullptr;
  const Clock* clock = nullptr;
  Probe* probe = nullptr;                // of a test; null in a run
  std::vector<std::string> input_ports;  // by wire
  std::vector<OutputPort> outputs;
  std::vector<std::string> unwired;  // optional ports nobody wired: emits there are dropped
};

// One call. Reused: `begin` forgets the last one. Threads: one at a time.
class Call {
 public:
  // `policy` may be null (act, poll); `random` may be null (process, settle).
  Call(const CallSite& site, Arena& arena);

  // `item` is null for a source. `before`: units of this batch that this one builds on; they
  // outlive the call. The arena is not reset here: units of a batch share it.
  void begin(Item* item, policy::State* policy, Random* random, const UnitChain* before = nullptr);

  sluice_call raw() { return {host_table(), this}; }

  // The one time this call sees, however long it takes.
  WallTime now() const { return now_; }

  // What the call left behind

  // Moves conditions and effects out; texts live in the arena.
  stream::Unit take_unit();

  struct Emission {
    const OutputPort* port;
    std::string_view fields;  // encoded, in the arena
  };
  std::vector<Emission> take_emissions();

  // Of a call whose commit is over, to be filled again.
  void give_back(stream::Unit unit, std::vector<Emission> emissions);

  // A fault of what the stage asked for, whatever its verdict says: reason and detail of a dead
  // letter. Set by a failing policy, a schema at the gate, `unchanged` without `get`, a
  // metric that is not described so.
  struct Fault {
    std::string reason;
    std::string detail;
    std::string hook = {};  // that failed
  };
  const std::optional<Fault>& fault() const { return fault_; }

  // What was said of metrics, in order; texts live in the arena.
  std::vector<Measure> take_measures() { return std::exchange(measures_, {}); }

  const Status& store_error() const { return store_error_; }

  std::string reason, detail;          // explain
  std::vector<std::string> wait_keys;  // wait_on
  int64_t until_us = 0;
  int64_t after_us = 0;         // retry_after
  std::string idempotency_key;  // act_request
  stream::Fields request;
  stream::Fields outcome;        // act
  std::deque<ShownValue> shown;  // every `get`, in order; a deque, since views into it are out

 private:
  friend struct HostCalls;
  static const sluice_host* host_table();

  const ShownValue& show(std::string_view key);
  // Takes a measure that fits the description; anything else is a fault.
  void measure(Measure::Kind kind, std::string_view name, std::span<const sluice_field> labels,
               double value, std::string_view counter);

  const CallSite& site_;
  Arena& arena_;
  Item* item_ = nullptr;
  // The field that `field_at` is likely to be asked for next, so that asking for all is one walk.
  size_t next_field_index_ = 0;
  std::optional<stream::FieldsView::Iterator> next_field_;
  policy::State* policy_ = nullptr;
  Random* random_ = nullptr;
  const UnitChain* before_ = nullptr;
  WallTime now_{};
  std::optional<EntryId::Text> entry_id_;  // once it was asked for
  // Empty, for their memory.
  std::vector<stream::Unit> spare_units_;
  std::vector<std::vector<Emission>> spare_emissions_;
  std::vector<stream::Condition> conditions_;
  std::vector<stream::Effect> effects_;
  std::vector<Emission> emissions_;
  std::vector<Measure> measures_;
  stream::Fields encoded_;  // of the emit or put at hand; keeps its memory
  std::optional<Fault> fault_;
  Status store_error_;
};

// Milliseconds of a duration that crossed the C table, rounded up so that nothing expires early.
stream::milliseconds to_milliseconds(int64_t us);

}  // namespace sluice::runtime
