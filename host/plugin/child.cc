#include "plugin/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <new>
#include <optional>
#include <span>
#include <utility>

#include "base/clock.h"
#include "plugin/wire.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLUICE_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SLUICE_SANITIZED 1
#endif

namespace sluice::plugin {

namespace {

#ifndef SLUICE_SANITIZED
// Beyond what the parent has; sanitizers reserve terabytes of address space.
constexpr rlim_t kMemoryMax = 512ULL << 20;
#endif
constexpr uint32_t kFrameBytesMax = 16U << 20;
constexpr int kCheckTimeoutMs = 2000;

// What the child sends for each job: a `kStarted`, then a `kDone` with the job's answer.
enum FrameType : uint32_t { kStarted = 1, kDone = 2 };
struct FrameHead {
  uint32_t type;
  uint32_t size;
};

// The answer to job `index`, as bytes. Runs in the child, one after another.
using Job = std::function<std::string(size_t index)>;

// ---- In the child
// ---------------------------------------------------------------------------------

void send(int pipe, const void* data, size_t size) {
  const char* rest = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = write(pipe, rest, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(1);  // the parent is gone
    rest += n;
    size -= static_cast<size_t>(n);
  }
}

void send_frame(int pipe, FrameType type, std::string_view bytes) {
  const FrameHead head{type, static_cast<uint32_t>(bytes.size())};
  send(pipe, &head, sizeof head);
  send(pipe, bytes.data(), bytes.size());
}

void limit(int resource, rlim_t value) {
  const struct rlimit bound { value, value };
  setrlimit(static_cast<__rlimit_resource>(resource), &bound);
}

#ifndef SLUICE_SANITIZED
// Address space of this process, in bytes. A parent with many threads has much of it in their
// stacks.
rlim_t address_space() {
  std::array<char, 32> text{};
  const int file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t size = read(file, text.data(), text.size());
  close(file);
  rlim_t pages = 0;
  std::from_chars(text.data(), text.data() + std::max<ssize_t>(size, 0), pages);
  return pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE));
}
#endif

// Silent, bounded, gone with the parent, and dying as the system does it, not as our handlers do.
void enter_child(pid_t parent) {
  setpgid(0, 0);  // what a constructor starts is ended with it
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  std::set_new_handler(nullptr);
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGINT, SIGPIPE})
    std::signal(signal, SIG_DFL);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) _exit(1);
  for (const int standard : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, standard);
  limit(RLIMIT_CORE, 0);
#ifndef SLUICE_SANITIZED
  limit(RLIMIT_AS, address_space() + kMemoryMax);
#endif
}

[[noreturn]] void work_here(size_t first, size_t count, const Job& job, int pipe, pid_t parent) {
  enter_child(parent);
  for (size_t i = first; i < count; ++i) {
    send_frame(pipe, kStarted, {});
    try {
      send_frame(pipe, kDone, job(i));
    } catch (...) {
      _exit(1);  // out of memory
    }
  }
  _exit(0);
}

// ---- In the host
// ----------------------------------------------------------------------------------

// A child at work and the pipe it answers on. Ended and reaped when this ends.
class Child {
 public:
  static Result<Child> start(size_t first, size_t count, const Job& job) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
      return Status(Code::kUnavailable, fmt::format("pipe: {}", strerror(errno)));
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      close(ends[0]);
      work_here(first, count, job, ends[1], parent);
    }
    const int error = errno;
    close(ends[1]);
    if (pid < 0) {
      close(ends[0]);
      return Status(Code::kUnavailable, fmt::format("fork: {}", strerror(error)));
    }
    setpgid(pid, pid);  // in both, so that it holds whoever runs first
    return Child(pid, ends[0]);
  }

  ~Child() {
    if (pid_ > 0) end();
    if (pipe_ >= 0) close(pipe_);
  }
  Child(Child&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pipe_(std::exchange(other.pipe_, -1)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  Child& operator=(Child&&) = delete;

  enum class Got { kFrame, kEnd, kTimeout };

  Got next(FrameHead& head, std::string& body, Micros deadline) {
    Got got = receive(std::span(reinterpret_cast<char*>(&head), sizeof head), deadline);
    if (got != Got::kFrame) return got;
    if (head.size > kFrameBytesMax) return Got::kEnd;
    body.resize(head.size);
    return receive(body, deadline);
  }

  // Kills what is left of it. What a process that was already ending says of itself is kept.
  int end() {
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  Child(pid_t pid, int pipe) : pid_(pid), pipe_(pipe) {}

  Got receive(std::span<char> into, Micros deadline) {
    const SystemClock clock;
    while (!into.empty()) {
      const Micros left = deadline - clock.steady();
      if (left <= Micros(0)) return Got::kTimeout;
      struct pollfd waiting {
        pipe_, POLLIN, 0
      };
      const auto left_ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
      const int ready = ::poll(&waiting, 1, static_cast<int>(left_ms));
      if (ready < 0 && errno != EINTR) return Got::kEnd;
      if (ready <= 0) continue;
      const ssize_t n = read(pipe_, into.data(), into.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return Got::kEnd;
      into = into.subspan(static_cast<size_t>(n));
    }
    return Got::kFrame;
  }

  pid_t pid_;
  int pipe_;
};

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status))
    return fmt::format("crashed with signal {} ({})", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
  return fmt::format("exited with status {}", WEXITSTATUS(status));
}

// What a job answered, or how it ended the child: "crashed with signal 11 (...)".
struct Answer {
  std::string bytes;
  std::string death;  // empty: it answered
};

// Answers of jobs from `answers.size()` on, at least one: all of them, or up to and with the one
// that made the child die.
void work_on(size_t count, const Job& job, int timeout_ms, std::vector<Answer>& answers) {
  const SystemClock clock;
  auto child = Child::start(answers.size(), count, job);
  while (answers.size() < count) {
    if (!child) {
      answers.push_back({"", child.status().text()});
      continue;
    }
    const Micros deadline = clock.steady() + std::chrono::milliseconds(timeout_ms);
    FrameHead head{};
    std::string body;
    Child::Got got = child->next(head, body, deadline);
    if (got == Child::Got::kFrame && head.type == kStarted) got = child->next(head, body, deadline);
    if (got == Child::Got::kTimeout)
      return answers.push_back(
          {"", fmt::format("did not answer within {}", duration_text(int64_t{timeout_ms} * 1000))});
    if (got == Child::Got::kEnd) return answers.push_back({"", how_it_ended(child->end())});
    answers.push_back({std::move(body), head.type == kDone ? "" : "answered out of turn"});
  }
}

std::vector<Answer> run_in_children(size_t count, int timeout_ms, const Job& job) {
  std::vector<Answer> answers;
  while (answers.size() < count) work_on(count, job, timeout_ms, answers);
  return answers;
}

// Loaded in the child and kept until it ends: destructors of a library are not to run either.
Result<std::shared_ptr<Library>> load_for_good(const std::string& path) {
  static auto* const loaded = new std::map<std::string, std::shared_ptr<Library>>;
  const auto known = loaded->find(path);
  if (known != loaded->end()) return known->second;
  auto library = Library::load(path);
  if (library) loaded->emplace(path, *library);
  return library;
}

}  // namespace

std::vector<Result<Description>> describe_all(const std::vector<std::string>& paths,
                                              int timeout_ms) {
  const auto describe = [&](size_t i) {
    const auto library = load_for_good(paths[i]);
    return to_bytes(library ? Result<Description>((*library)->description())
                            : Result<Description>(library.status()));
  };
  std::vector<Result<FileId>> files;
  for (const std::string& path : paths) files.push_back(check_library_file(path));
  std::vector<Result<Description>> descriptions;
  for (const Answer& answer : run_in_children(paths.size(), timeout_ms, describe)) {
    const std::string& path = paths[descriptions.size()];
    const auto refused = [&](std::string_view text) {
      return Status(Code::kInvalid, fmt::format("{}: {}", path, text));
    };
    if (!answer.death.empty()) {
      descriptions.emplace_back(refused(answer.death + " while it was described"));
      continue;
    }
    auto described = description_from(answer.bytes);
    if (!described) {
      descriptions.emplace_back(refused("its description could not be read back"));
      continue;
    }
    // A file that changes in between is met by the load, which compares.
    const Result<FileId>& file = files[descriptions.size()];
    if (*described && file) (*described)->file = *file;
    descriptions.push_back(*std::move(described));
  }
  return descriptions;
}

Result<Description> describe_in_child(const std::string& path, int timeout_ms) {
  return describe_all({path}, timeout_ms).front();
}

std::vector<std::vector<Complaint>> check_settings_in_child(
    const std::vector<SettingsQuestion>& questions) {
  const auto ask = [&](size_t i) {
    const SettingsQuestion& question = questions[i];
    const auto library = load_for_good(question.path);
    return to_bytes(library ? check_settings(**library, question.kind, question.pipeline,
                                             question.stage, *question.settings)
                            : std::vector<Complaint>{{"", library.status().text()}});
  };
  std::vector<std::vector<Complaint>> complaints;
  for (const Answer& answer : run_in_children(questions.size(), kCheckTimeoutMs, ask)) {
    if (!answer.death.empty()) {
      complaints.push_back({{"", answer.death + " while its settings were checked"}});
      continue;
    }
    auto said = complaints_from(answer.bytes);
    complaints.push_back(said ? *std::move(said)
                              : std::vector<Complaint>{{"", "its answer could not be read"}});
  }
  return complaints;
}

}  // namespace sluice::plugin
