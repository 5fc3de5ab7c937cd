// What the streams and keys hold, read once and cut down to what the invariants ask.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "audit/audit.h"
#include "audit/lane.h"
#include "sluice/decimal.h"

namespace sluice::audit {

// A stream of the pipeline as it is in the store.
struct StreamState {
  const graph::StreamSpec* spec = nullptr;
  stream::StreamId id = 0;  // 0: not there yet, hence empty
  stream::StreamInfo info;
  bool trimmed = false;
  // Of a trimmed stream: milliseconds of the oldest entry kept. What happened later is all here.
  uint64_t complete_after_ms = 0;
};

// Where an entry is, for a reader.
struct Place {
  const std::string* stream = nullptr;  // name in the engine
  EntryId id;
};

// An entry of a stream that ends a story, or a dead letter of a stage on the lane.
struct Ending {
  Place place;
  std::string state;  // as the account field says, or the reason of a dead letter
};

// The share of a limit that a permit took.
struct Share {
  std::string counter;
  int64_t amount = 0;
  int64_t at_us = 0;
  std::optional<int64_t> limit;  // where the permit trail says it
};

// A permit as it travels in an order, or lies under a key.
struct Permit {
  bool readable = false;
  bool grants = false;
  std::string plan_id, plan_hash, symbol, policy;
  std::optional<Decimal> safe_qty;  // P3.3
  int64_t valid_until_us = 0;
  uint64_t digest = 0;  // of its text
  std::vector<Share> shares;
};
Permit read_permit(std::string_view text, std::string_view yes);

struct Order {
  Place place;
  std::string intent_key, intent_id;  // of an order without permits, which has no plan
  std::string plan_id, plan_hash, leg, client_order_id, symbol;
  std::optional<Decimal> quantity;
  int64_t created_us = 0;
  int64_t valid_until_us = 0;
  Permit governor, p33;
};

struct Execution {
  Place place;
  std::string plan_id, client_order_id, symbol, side, status;
  std::optional<Decimal> executed;
  int64_t sent_us = 0;  // 0: nothing was sent
  int64_t result_us = 0;
};

struct Plan {
  Place place;
  std::string plan_hash, side, intent_id;
  bool executes = false;
};

struct Duplicate {
  Place place;
  std::string decision_id, earlier;
  std::string intent_id;  // of a trade intent; `earlier` then names one too
};

// A command of an operator, as applied.
struct Act {
  Place place;
  std::string command, symbol, amount, stream, entry, plan_id, decision_id;
};

using EntryIds = std::unordered_set<std::string>;
template <typename T>
using ById = std::unordered_map<std::string, std::vector<T>>;

struct Evidence {
  explicit Evidence(const graph::Pipeline& pipeline) : lane(pipeline) {}

  // Errors: those of the store.
  static Result<Evidence> read(const graph::Pipeline& pipeline, const stream::Store& store);

  // The latest of `complete_after_ms` of these streams, and which stream it is of.
  uint64_t complete_after_ms(const Streams& which, const StreamState** why) const;

  Lane lane;
  std::vector<StreamState> streams;  // by index in the pipeline

  std::vector<Place> decisions;
  std::vector<Place> intents;                      // what the planner reads
  ById<Place> intents_by_decision;                 // by decision id
  std::map<std::string, std::vector<Plan>> plans;  // by plan id
  ById<Place> plans_by_intent;  // without copies of a plan that is to be executed
  ById<Ending> endings_by_decision;
  ById<Ending> endings_by_plan;
  ById<Ending> letters_by_origin;  // "stream id"
  ById<Ending> endings_by_intent;  // of plans that ended without an entry in the plan stream
  std::vector<Place> skipped;      // plans that ended as duplicate_plan, with their plan ids:
  std::vector<std::string> skipped_plans;
  std::vector<Order> orders;
  std::vector<Place> trade_intents;  // of the lane without permits
  std::vector<Order> intent_orders;
  ById<Ending> endings_by_trade_intent;  // by the intent's entry id
  std::vector<Execution> results;
  std::vector<Execution> fills;  // of stops; their orders have a result of their own
  // By plan: when it was known that nothing was executed, in milliseconds of that entry's id.
  std::unordered_map<std::string, int64_t> released;
  std::vector<Duplicate> duplicates, intent_duplicates;
  std::vector<Act> acts;
  EntryIds refused_acts;                               // ids of commands that became dead letters
  EntryIds replayed;                                   // "stream id" of dead letters put back
  std::unordered_map<std::string, uint64_t> consumed;  // "permit plan": events of the trail
  std::vector<std::pair<Place, Permit>> issued;        // governor's, of the trail
  EntryIds granted;                                    // "plan hash" of the same
  std::unordered_map<std::string, Permit> governor_keys;  // permits not used yet, by plan
  std::unordered_map<std::string, uint64_t> p33_keys;     // digests

  // Of entries not acked by a group on the lane.
  uint64_t open_entries = 0;
  EntryIds open_decisions, open_plans, open_intents, open_trade_intents;
};

// "quantum:stream:apply.order 1765785600000-0".
std::string place_text(const Place& place);

}  // namespace sluice::audit
