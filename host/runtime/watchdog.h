// Looks at the plugins' calls from the side: names those that take long, and ends the process for
// those that do not come back.
//
// A call says that it began and that it ended; how long it takes is summed up over the watchdog's
// own looks. So a call costs a few stores, and time in which the whole process stood still
// (SIGSTOP, a suspended machine, a debugger) was not spent in a call.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/entry_id.h"
#include "graph/pipeline.h"

namespace sluice::runtime {

// What one actor has its plugin do, one call at a time.
// Threads: calls by the actor's; looked at by the watchdog's.
class CallWatch {
 public:
  enum class Kind : uint8_t { kProcess, kSettle, kAct, kPoll };

  // A call, from construction to destruction. `entry` is zero for a poll.
  class Call {
   public:
    Call(CallWatch& watch, Kind kind, EntryId entry) : watch_(watch) {
      // Releases, so that whoever reads them finds the end of the call before as well.
      watch_.kind_.store(kind, std::memory_order_release);
      watch_.entry_ms_.store(entry.ms, std::memory_order_release);
      watch_.entry_seq_.store(entry.seq, std::memory_order_release);
      watch_.next_turn();
    }
    ~Call() { watch_.next_turn(); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    CallWatch& watch_;
  };

  struct Seen {
    uint64_t turn = 0;  // odd: in a call; a number of its own for each
    Kind kind = Kind::kProcess;
    EntryId entry;

    bool in_call() const { return turn % 2 == 1; }
  };
  // Not in a call when one began or ended meanwhile.
  Seen look() const;

 private:
  void next_turn() {
    turn_.store(turn_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }

  std::atomic<uint64_t> turn_{0};
  std::atomic<Kind> kind_{Kind::kProcess};
  std::atomic<uint64_t> entry_ms_{0};
  std::atomic<uint64_t> entry_seq_{0};
};

class Watchdog {
 public:
  struct Watched {
    std::string actor;  // "gate/0"
    const graph::StageSpec* spec = nullptr;
    const CallWatch* watch = nullptr;
    std::atomic<uint64_t>* slow_calls = nullptr;  // of the stage; null for a source
  };

  // `on_hung` gets the sentence about a call that is over `call_max`; it ends the process, but in a
  // test. All outlive the watchdog.
  Watchdog(std::vector<Watched> watched, const Clock& real_clock,
           std::function<void(std::string_view text)> on_hung);
  ~Watchdog();

  // Looks around on a thread of its own from now on. [control]
  //
  // Errors: those of start_thread.
  Status start();

  // One look at every actor.
  void look();

  // Between two looks; a quarter of the shortest limit there is.
  Micros interval() const { return interval_; }

 private:
  struct Known {
    uint64_t turn = 0;
    Micros spent{0};
    bool named = false;
  };

  void judge(const Watched& watched, Known& known, Micros passed);

  const std::vector<Watched> watched_;
  const Clock& clock_;
  const std::function<void(std::string_view)> on_hung_;
  Micros interval_;
  std::vector<Known> known_;  // by index in watched_
  Micros last_look_;

  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stopping_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice::runtime
