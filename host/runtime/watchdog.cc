#include "runtime/watchdog.h"

#include <algorithm>

#include "base/log.h"
#include "base/thread.h"

namespace sluice::runtime {

namespace {

constexpr Micros kIntervalMin = std::chrono::milliseconds(10);
constexpr Micros kIntervalMax = std::chrono::milliseconds(250);
// A look that comes later than this was not late: the process stood still.
constexpr int kLateLooks = 2;

std::string_view call_name(CallWatch::Kind kind) {
  switch (kind) {
    case CallWatch::Kind::kSettle:
      return "settle";
    case CallWatch::Kind::kAct:
      return "act";
    case CallWatch::Kind::kPoll:
      return "poll";
    case CallWatch::Kind::kProcess:
      break;
  }
  return "process";
}

// "gate/0: process of entry 17-0".
std::string subject(const Watchdog::Watched& watched, const CallWatch::Seen& seen) {
  std::string text = fmt::format("{}: {}", watched.actor, call_name(seen.kind));
  if (seen.kind != CallWatch::Kind::kPoll) text += " of entry " + seen.entry.text();
  return text;
}

double seconds(Micros time) { return static_cast<double>(time.count()) / 1e6; }

}  // namespace

CallWatch::Seen CallWatch::look() const {
  Seen seen;
  seen.turn = turn_.load(std::memory_order_acquire);
  seen.kind = kind_.load(std::memory_order_acquire);
  seen.entry.ms = entry_ms_.load(std::memory_order_acquire);
  seen.entry.seq = entry_seq_.load(std::memory_order_acquire);
  if (turn_.load(std::memory_order_relaxed) != seen.turn) seen.turn = 0;
  return seen;
}

Watchdog::Watchdog(std::vector<Watched> watched, const Clock& real_clock,
                   std::function<void(std::string_view)> on_hung)
    : watched_(std::move(watched)),
      clock_(real_clock),
      on_hung_(std::move(on_hung)),
      interval_(kIntervalMax),
      known_(watched_.size()),
      last_look_(real_clock.steady()) {
  for (const Watched& one : watched_)
    interval_ =
        std::min<Micros>(interval_, Micros(std::min(one.spec->call_slow, one.spec->call_max)) / 4);
  interval_ = std::max(interval_, kIntervalMin);
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stopped_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status Watchdog::start() {
  SLUICE_ASSIGN(thread, start_thread([this] {
                  std::unique_lock lock(mutex_);
                  while (!stopped_.wait_for(lock, interval_, [this] { return stopping_; })) look();
                }));
  thread_ = std::move(thread);
  return Status::ok();
}

void Watchdog::look() {
  const Micros now = clock_.steady();
  const Micros passed = std::min(now - last_look_, kLateLooks * interval_);
  last_look_ = now;
  for (size_t i = 0; i < watched_.size(); ++i) judge(watched_[i], known_[i], passed);
}

void Watchdog::judge(const Watched& watched, Known& known, Micros passed) {
  const CallWatch::Seen seen = watched.watch->look();
  if (seen.turn != known.turn || !seen.in_call()) {
    if (known.named)
      log::warning("{}: the slow call is over after {:.1f} s", watched.actor, seconds(known.spent));
    known = {seen.turn, Micros(0), false};
    return;
  }
  known.spent += passed;
  const graph::StageSpec& spec = *watched.spec;
  if (known.spent >= spec.call_max) {
    on_hung_(fmt::format("{} has not come back for {:.1f} s, and call_max is {:.1f} s",
                         subject(watched, seen), seconds(known.spent), seconds(spec.call_max)));
  } else if (known.spent >= spec.call_slow && !known.named) {
    known.named = true;
    if (watched.slow_calls != nullptr) ++*watched.slow_calls;
    log::warning("{} takes more than {:.1f} s", subject(watched, seen), seconds(spec.call_slow));
  }
}

}  // namespace sluice::runtime
