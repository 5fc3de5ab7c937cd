// Accounts for every entry of a run: what went in, and where each one ended.
//
// An entry ends on a stream that the pipeline file marks `account: { as: terminal }`, or as a dead
// letter of a stage on the way there. What went in must equal what ended plus what is still open;
// `print` says whether it does.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "cli/table.h"
#include "runtime/observer.h"
#include "runtime/runtime.h"

namespace sluice::cli {

// Counts of durations in buckets of at most 3 % width, from 1 us to about 36 years.
class LatencyHistogram {
 public:
  void add(int64_t us);
  uint64_t count() const { return count_; }
  // Upper edge of the bucket in which the given share (0..1) of all values is reached; 0 when
  // empty.
  int64_t quantile(double share) const;

 private:
  static constexpr int kSubBits = 5;
  static constexpr int kMagnitudes = 45;
  static size_t bucket_of(uint64_t us);
  static int64_t upper_edge(size_t bucket);

  std::array<uint64_t, static_cast<size_t>(kMagnitudes) << kSubBits> buckets_{};
  uint64_t count_ = 0;
};

// Threads: [any].
class Account final : public runtime::Observer {
 public:
  explicit Account(const graph::Pipeline& pipeline) : pipeline_(pipeline) {}

  // Needed to tell dead letters on the way from those beside it. Before the run. [control]
  void set_runtime(const runtime::Runtime* runtime) { runtime_ = runtime; }

  void emitted(const graph::StreamSpec& stream, stream::FieldsView fields, WallTime now) override;
  void dead_lettered(const graph::StageSpec* stage, std::string_view reason,
                     std::string_view detail) override;

  struct Ending {
    std::string state;   // "FILLED", "duplicate", "rejected"
    std::string place;   // dead letters: the stage
    std::string reason;  // may be empty
    std::string sample;  // dead letters: the detail of one of them
    uint64_t count = 0;
  };
  struct Summary {
    uint64_t open_before = 0;  // on the way when the run began
    uint64_t entered = 0;      // lines of input and entries of other producers
    uint64_t known = 0;        // lines an earlier run had read: duplicates, not entered again
    uint64_t open_after = 0;
    bool partial = false;         // only some stages ran: others end what these hand on
    std::vector<Ending> endings;  // most first within a state
    std::vector<Ending> beside;   // dead letters off the way: permits, ledgers
    std::vector<std::pair<std::string, uint64_t>> milestones;
    uint64_t latency_count = 0;
    int64_t latency_p50_us = 0, latency_p99_us = 0;

    uint64_t ended() const;
    bool balanced() const { return open_before + entered == ended() + open_after; }
  };
  Summary summary() const;  // without open_* and entered: the caller knows them

  uint64_t ended() const;

 private:
  const graph::Pipeline& pipeline_;
  const runtime::Runtime* runtime_ = nullptr;

  using Key = std::tuple<std::string, std::string, std::string>;  // state, place, reason
  struct Tally {
    uint64_t count = 0;
    std::string sample;
  };

  mutable std::mutex mutex_;  // guards all below
  std::map<Key, Tally> endings_;
  std::map<Key, Tally> beside_;
  std::map<std::string, uint64_t> milestones_;
  LatencyHistogram latency_;
  uint64_t ended_ = 0;
};

std::string summary_json(const Account::Summary& summary);

// The same for a person: a table whose last line says whether the sums add up.
// `recorded`: times are those of the recording.
std::string summary_text(const Account::Summary& summary, bool recorded, const Style& style);

}  // namespace sluice::cli
