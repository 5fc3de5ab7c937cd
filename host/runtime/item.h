// An entry in a stage's hands, from its delivery to its ack.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "stream/store.h"

namespace sluice::runtime {

// A condition that did not hold, and what it met.
struct ConditionFailure {
  stream::ConditionKind kind = stream::ConditionKind::kClaim;
  std::string key;
  std::optional<stream::KeyValue> met_value;
  int64_t met_count = 0;
  WallTime met_until{};

  bool same_condition(const ConditionFailure& other) const {
    return kind == other.kind && key == other.key;
  }
};

// A value a stage was shown under a key; nothing when the key was absent.
struct ShownValue {
  std::string key;
  std::optional<stream::KeyValue> value;
};

enum class Phase : uint8_t {
  kProcess,  // to be handled by `process`
  kAct,      // external: the request is durable, the world is to be touched
  kSettle,   // external: the outcome is known
};

struct Item {
  stream::Delivery delivery;
  size_t wire = 0;        // index into the stage's inputs
  std::string order_key;  // empty: not ordered
  // Nobody else of its order key is out, but those taken behind it in the same batch.
  bool holds_order = false;
  std::optional<size_t> behind;  // index in its batch of the one of its order key before it

  Phase phase = Phase::kProcess;
  uint32_t retries = 0;                    // in this process, for back-off and deliveries_max
  std::string retry_reason;                // of the last one
  std::vector<ConditionFailure> failures;  // the last one is shown to the stage
  bool alone = false;   // commit by itself, so that no batch mate changes what it read
  bool marked = false;  // an in-flight marker stands in the store while the stage is called

  // Set when no call can help any more: the next step writes the dead letter.
  struct Doom {
    std::string reason;
    std::string detail;
  };
  std::optional<Doom> doom;

  // Waiting. Those that lost a claim and wait for its key get it one after the other: called all
  // at once, all but one would lose it again.
  std::vector<std::string> wait_keys;
  std::string contested_key;  // one of wait_keys; empty: any change is for all who wait
  std::string turn_key;       // it was called for this one, others wait behind it

  // External stages.
  std::string idempotency_key;
  stream::Fields request;
  stream::Fields outcome;
  WallTime requested_at{};
  stream::CommitSeq request_seq = 0;  // of the commit that holds the request
  bool recovered = false;
  uint32_t act_failures = 0;
};

using ItemPtr = std::unique_ptr<Item>;

}  // namespace sluice::runtime
