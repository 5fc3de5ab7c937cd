// Stages for the bench.
#include <atomic>
#include <chrono>
#include <string>

#include "sluice/plugin.h"

namespace {

using sluice::Entry;
using sluice::Record;
using sluice::Unit;
using sluice::Verdict;

constexpr sluice_port kOut[] = {{.name = "out", .doc = "The entry."}};

// Claims the entry's id, forwards it.
class Once {
 public:
  static constexpr sluice::Info kInfo{.kind = "once", .doc = "Lets each id through once."};
  static constexpr auto& kOutputs = kOut;
  explicit Once(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    if (unit.failure()) return sluice::reject("duplicate", "field \"id\": seen before");
    unit.claim("bench:seen:" + std::string(entry["id"]), entry.id(), std::chrono::hours(1));
    unit.emit("out", entry);
    return sluice::ack();
  }
};

// Forwards the entry, and nothing else.
class Relay {
 public:
  static constexpr sluice::Info kInfo{.kind = "relay", .doc = "Forwards each entry."};
  static constexpr auto& kOutputs = kOut;
  explicit Relay(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    unit.emit("out", entry);
    return sluice::ack();
  }
};

// As Once, after a policy said how long an id is remembered.
class Asked {
 public:
  static constexpr sluice::Info kInfo{.kind = "asked", .doc = "As once, and asks its policy."};
  static constexpr auto& kOutputs = kOut;
  static constexpr sluice_arg kArgs[] = {{.name = "entry", .type = SLUICE_RECORD}};
  static constexpr sluice_param kAnswer[] = {{.name = "ttl",
                                              .doc = "How long the id is remembered.",
                                              .type = SLUICE_DURATION,
                                              .default_text = "1h",
                                              .min_text = "1s",
                                              .max_text = "24h"}};
  static constexpr sluice_hook kHooks[] = {{"ttl", "1s to 24h.", kArgs, 1, kAnswer, 1}};
  explicit Asked(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    if (unit.failure()) return sluice::reject("duplicate", "field \"id\": seen before");
    sluice::PolicyRecord record;
    record.text("id", entry["id"]).text("payload", entry["payload"]);
    const auto answer = unit.policy("ttl", {record.raw()});
    unit.claim("bench:seen:" + std::string(entry["id"]), entry.id(), answer.duration());
    unit.emit("out", entry);
    return sluice::ack();
  }
};

// Waits for the key `bench:permit:<id>`, takes it, and emits the steady time in nanoseconds at
// which it was called with the permit there, and how often it was called.
class Gate {
 public:
  static constexpr sluice::Info kInfo{.kind = "gate", .doc = "Waits for a permit."};
  static constexpr auto& kOutputs = kOut;
  explicit Gate(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    const auto called = std::chrono::steady_clock::now().time_since_epoch();
    ++calls_;
    const std::string key = "bench:permit:" + std::string(entry["id"]);
    if (!unit.get(key)) return sluice::wait({key}, unit.now() + std::chrono::seconds(30));
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(called).count();
    unit.take(key);
    unit.emit("out", Record{{"id", entry["id"]},
                            {"called_ns", std::to_string(ns)},
                            {"calls", std::to_string(calls_)}});
    calls_ = 0;  // one entry at a time
    return sluice::ack();
  }

 private:
  int calls_ = 0;
};

}  // namespace

SLUICE_PLUGIN("bench", "1.0.0", Once, Asked, Gate, Relay)
