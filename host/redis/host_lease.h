// Which hosts run a pipeline on a server, and that they all run the same.
//
// Each host has a lease there, which it renews as long as it lives, beside what it runs. A host
// that runs something else than one that lives is refused.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "redis/servers.h"
#include "stream/forwarding_store.h"

namespace sluice::redis {

// What a host runs: hosts with one digest run the same. The text is for whoever explains a
// difference.
struct Runs {
  std::string digest;  // hexadecimal
  std::string text;
};

// A living host, as the server has it.
struct Host {
  std::string name;         // "host7/3f2c9a10": its consumer, and what tells processes apart
  std::string consumer;     // "host7"
  Runs runs;                // empty when it is of a version that says it in another form
  bool mixed = false;       // entered whatever others ran
  int64_t deadline_ms = 0;  // by the server's clock; when its lease ends unless it is renewed
};

// `pipeline`: its name, behind the prefix of the shard where it has several.
//
// Errors: as RedisStore.
Result<std::vector<Host>> find_hosts(Servers& servers, const Target& target,
                                     std::string_view pipeline);

// That this host may work on the pipeline, for as long as it says so.
//
// Threads: `join` and the end [control], `check` [any]. A thread of its own renews.
class HostLease {
 public:
  struct Options {
    Servers::Options servers;
    std::string pipeline;  // as of `find_hosts`
    std::string consumer;  // of this host
    Runs runs;

    // Enters also where other hosts run something else.
    bool mixed = false;

    // Without renewal another host may take over after this long. Longer rides out longer pauses
    // of a server, and makes a changed host wait longer for one that was killed. The same on all
    // hosts.
    milliseconds length{5000};
    milliseconds interval{1000};  // between two renewals

    // What of `there` differs from what runs here, in a few words.
    std::function<std::string(std::string_view there)> difference;
    // Asked while `join` waits; true ends it.
    std::function<bool()> gives_up;
  };

  // Enters this host. `network` outlives it.
  //
  // Where a host that runs something else has a lease, waits until that is renewed, which shows
  // that it lives, or ends: at most `length`. Errors: kInvalid when it lives, with its consumer,
  // what differs and what to do; else as RedisStore.
  static Result<std::unique_ptr<HostLease>> join(Options options, Network& network);
  // Takes this host out, unless the server is away.
  ~HostLease();

  // Whether the lease holds now. Waits where it must be renewed first, since this process or the
  // machine stood still.
  //
  // Errors: kUnavailable when it could not be renewed yet; kInvalid for good, once a host that
  //         runs something else has taken over.
  Status check();

 private:
  enum class State { kKept, kEntered, kRefused };
  struct Answer {
    State state = State::kRefused;
    std::vector<Host> others;  // that run something else
    int64_t now_ms = 0;
  };

  HostLease(Options options, Network& network);
  Result<Answer> ask(milliseconds length);
  Status enter();
  void keep();
  void take(const Answer& answer);
  void tell_others(const std::vector<Host>& others);
  Status refused(const std::vector<Host>& others) const;
  std::string others_text(const std::vector<Host>& others) const;

  // Fixed after construction.
  const Options options_;
  const std::string key_, name_;

  Servers servers_;
  std::atomic<int64_t> held_until_us_{0};  // by a clock that goes on while the machine is suspended

  std::mutex mutex_;
  std::condition_variable wake_;     // of the thread
  std::condition_variable renewed_;  // it has tried
  // Guarded by mutex_.
  bool stopping_ = false;
  bool wanted_ = false;  // somebody waits for a renewal
  uint64_t tries_ = 0;
  Status trouble_;                           // of the last try
  Status lost_;                              // for good
  std::set<std::string, std::less<>> told_;  // names of hosts that run something else

  std::thread thread_;
};

// A store for as long as a lease holds: reads, claims, commits and flushes wait for it, and fail
// with its errors.
class LeasedStore final : public stream::ForwardingStore {
 public:
  LeasedStore(std::unique_ptr<stream::Store> store, std::unique_ptr<HostLease> lease);

  Result<std::vector<stream::Delivery>> read(const stream::ReadRequest& request) override;
  Result<std::vector<stream::Delivery>> claim(const stream::ReadRequest& request,
                                              milliseconds idle_min, EntryId after) override;
  Status renew(stream::GroupId group, std::string_view consumer,
               std::span<const EntryId> ids) override;
  Result<stream::CommitResult> commit(std::span<const stream::Unit> units,
                                      const stream::ReadRequest* next) override;
  std::unique_ptr<stream::CommitUnderWay> begin_commit(std::span<const stream::Unit> units,
                                                       const stream::ReadRequest* next,
                                                       stream::CommitUnderWay* behind) override;
  Status flush(stream::CommitSeq seq) override;

 private:
  class UnderWay;

  // Declared first: the host is taken out once nothing works on the store any more.
  const std::unique_ptr<HostLease> lease_;
  const std::unique_ptr<stream::Store> owned_;
};

}  // namespace sluice::redis
