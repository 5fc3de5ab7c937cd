#include "cli/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>

#include "base/log.h"
#include "cli/exit_codes.h"

namespace sluice::cli {

namespace {

constexpr Micros kDeathsWindow = std::chrono::minutes(10);
constexpr Micros kPauseMin = std::chrono::milliseconds(20);
constexpr Micros kPauseMax = std::chrono::seconds(10);
// Who lived this long was started well: the next pause is short again.
constexpr Micros kLongLife = std::chrono::seconds(30);

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, number);
  return set;
}

class Supervisor {
 public:
  Supervisor(const Clock& clock, const Supervision& options, const std::function<int()>& work)
      : clock_(clock), options_(options), work_(work) {}

  int run() {
    const sigset_t watched = watched_signals();
    sigprocmask(SIG_BLOCK, &watched, &mask_before_);
    Micros pause = kPauseMin;
    for (;;) {
      const Micros began = clock_.steady();
      if (!start()) return kInternal;
      if (child_ == 0) return work_in_child();
      const int status = wait();
      const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      const bool in_order = has_reported();
      if (stopping_ || (in_order && code != kIoFailure && code != kInternal)) return code;
      const Micros lived = clock_.steady() - began;
      if (lived >= kLongLife) pause = kPauseMin;
      const std::string death = death_text(status, in_order);
      if (!may_die_again()) {
        log::error("{} after {:.1f} s: {} deaths within {:.0f} minutes, given up", death,
                   seconds(lived), deaths_.size(), seconds(kDeathsWindow) / 60);
        return kGaveUp;
      }
      log::warning("{} after {:.1f} s: started again in {:.2f} s, death {} of {}", death,
                   seconds(lived), seconds(pause), deaths_.size(), options_.deaths_max);
      if (stopped_within(pause)) return kFine;
      pause = std::min(2 * pause, kPauseMax);
    }
  }

 private:
  static double seconds(Micros time) { return static_cast<double>(time.count()) / 1e6; }

  // In the child, `child_` is 0.
  bool start() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
      log::error("cannot make a pipe: {}", strerror(errno));
      return false;
    }
    const pid_t parent = getpid();
    child_ = fork();
    if (child_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (getppid() != parent) _exit(kInternal);
    }
    if (child_ < 0) log::error("cannot start a process: {}", strerror(errno));
    // Each keeps its own end.
    close(ends[child_ == 0 ? 0 : 1]);
    report_ = ends[child_ == 0 ? 1 : 0];
    if (child_ < 0) close(report_);
    return child_ >= 0;
  }

  int work_in_child() const {
    sigprocmask(SIG_SETMASK, &mask_before_, nullptr);
    const int code = work_();
    // When nobody reads it any more, nobody wants to know.
    static_cast<void>(!write(report_, "", 1));
    return code;
  }

  // Until the child is gone; passes signals on.
  int wait() {
    const sigset_t watched = watched_signals();
    for (;;) {
      int status = 0;
      if (waitpid(child_, &status, WNOHANG) == child_) return status;
      siginfo_t info{};
      const int number = sigwaitinfo(&watched, &info);
      if (number != SIGTERM && number != SIGINT) continue;
      stopping_ = true;
      // A terminal's ctrl-c has reached the child as well, and two mean: at once.
      if (info.si_code != SI_KERNEL) kill(child_, number);
    }
  }

  // Whether the child came to its end.
  bool has_reported() const {
    char byte = 0;
    const bool ended = read(report_, &byte, 1) == 1;
    close(report_);
    return ended;
  }

  static std::string death_text(int status, bool in_order) {
    if (WIFSIGNALED(status))
      return fmt::format("the run died of signal {} ({})", WTERMSIG(status),
                         strsignal(WTERMSIG(status)));
    return fmt::format("the run {} with exit code {}", in_order ? "failed" : "left its work",
                       WEXITSTATUS(status));
  }

  bool may_die_again() {
    const Micros now = clock_.steady();
    deaths_.push_back(now);
    while (now - deaths_.front() > kDeathsWindow) deaths_.pop_front();
    return deaths_.size() < options_.deaths_max;
  }

  // True when somebody wants it to end meanwhile.
  bool stopped_within(Micros pause) {
    const Micros end = clock_.steady() + pause;
    const sigset_t watched = watched_signals();
    for (Micros left = pause; left > Micros(0); left = end - clock_.steady()) {
      timespec time{};
      time.tv_sec = left.count() / 1'000'000;
      time.tv_nsec = left.count() % 1'000'000 * 1000;
      const int number = sigtimedwait(&watched, nullptr, &time);
      if (number == SIGTERM || number == SIGINT) return true;
    }
    return false;
  }

  const Clock& clock_;
  const Supervision& options_;
  const std::function<int()>& work_;
  sigset_t mask_before_{};
  pid_t child_ = -1;
  int report_ = -1;
  bool stopping_ = false;
  std::deque<Micros> deaths_;  // at most deaths_max
};

}  // namespace

int supervise(const Clock& clock, const Supervision& options, const std::function<int()>& work) {
  return Supervisor(clock, options, work).run();
}

}  // namespace sluice::cli
