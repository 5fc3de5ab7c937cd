// sluice-sim: tries seeds until one breaks a rule, and makes that one small.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/random.h"
#include "sim/case.h"
#include "sim/marks.h"
#include "sim/pipeline.h"

namespace sluice::sim {
namespace {

enum Exit : int { kFine = 0, kBroken = 1, kUsage = 2 };

constexpr const char* kExitCodes =
    "Exit codes:\n"
    "  0  every rule held\n"
    "  1  a rule was broken, a seed gave two traces, or a mark was never met\n"
    "  2  the command line or a list of seeds is not understood\n"
    "  3  the trade pipeline cannot be loaded";

constexpr uint64_t kSeedsOneIn = 100;  // is run twice
constexpr uint64_t kFirstSeedBelow = 1'000'000'000;
constexpr size_t kEventsShown = 40;

struct Options {
  std::optional<uint64_t> seed;
  std::optional<uint64_t> seeds;
  std::optional<double> seconds;
  std::string list;  // file of seeds
  std::vector<std::string> without;
  std::optional<size_t> plans;
  std::string steps;
  bool trace = false, shrink = true, marks = false, twice = false, log = false;
  uint64_t need_marks = 2000;
};

// What the command line says of one seed; the lines of a list of seeds have no others.
void add_selection(CLI::App& app, Options& options) {
  app.add_option("--seed", options.seed, "The first seed; drawn when not given")->option_text("S");
  app.add_option("--without", options.without, "Faults to leave out")
      ->delimiter(',')
      ->option_text("FAULT,...")
      ->check([](const std::string& name) {
        return fault_named(name) ? std::string() : "no such fault: " + name;
      });
  app.add_option("--plans", options.plans, "At most so many decisions and proposals")
      ->option_text("N");
  app.add_option("--steps", options.steps, "Only these steps of the seed, such as 0,3-7")
      ->option_text("LIST")
      ->check([](const std::string& text) {
        return read_list(text) ? std::string() : "expected ascending numbers such as 0,3-7";
      });
}

void add_options(CLI::App& app, Options& options) {
  add_selection(app, options);
  app.add_option("--seeds", options.seeds, "How many seeds, one after the other (1 with --seed)")
      ->option_text("N");
  app.add_option("--seconds", options.seconds, "Seeds for so long")->option_text("T");
  app.add_option("--list", options.list, "First the seeds of this file, one line of options each")
      ->option_text("FILE");
  app.add_flag("--trace", options.trace, "Print the last events of the last seed");
  app.add_flag("--shrink,!--no-shrink", options.shrink, "Make a seed that fails small (default)");
  app.add_flag("--marks", options.marks, "Print what was met, and how often");
  app.add_option("--need-marks", options.need_marks,
                 "Fail when a mark was never met after so many seeds (2000)")
      ->option_text("N");
  app.add_flag("--check-determinism", options.twice, "Run each seed twice, not one in 100");
  app.add_flag("--log", options.log, "Let the host's log through to standard error");
  app.footer(kExitCodes);
}

Selection selection_of(const Options& options) {
  Selection selection;
  for (const std::string& name : options.without) selection.without.push_back(*fault_named(name));
  if (options.plans) selection.plans_max = *options.plans;
  if (!options.steps.empty()) selection.steps = read_list(options.steps);
  return selection;
}

// 1234567 as 1,234,567.
std::string grouped(uint64_t number) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

void print_indented(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) std::cout << "  " << line << '\n';
}

class Run {
 public:
  Run(const Options& options, std::string program)
      : options_(options), program_(std::move(program)), began_(Timer::now()) {}

  // False when it fails, which is then said.
  bool try_seed(uint64_t seed, const Selection& selection, bool twice) {
    Outcome outcome = run_case(seed, selection, options_.trace);
    ++seeds_;
    events_ += outcome.events;
    last_hash_ = outcome.trace_hash;
    marks_.add(outcome.marks);
    for (int i = 0; i < kFaults; ++i)
      if (outcome.conditions.faults.has(static_cast<Fault>(i)))
        ++with_fault_[static_cast<size_t>(i)];
    if (outcome.broken) return tell_broken(seed, selection, outcome), false;
    if (twice && run_case(seed, selection).trace_hash != outcome.trace_hash) {
      std::cout << fmt::format(
          "seed {}: two runs gave two traces\n  repeat: {} {} "
          "--check-determinism\n",
          seed, program_, options_text(seed, selection));
      return false;
    }
    last_trace_ = std::move(outcome.trace);
    return true;
  }

  void tell_account() const {
    const double seconds = std::chrono::duration<double>(Timer::now() - began_).count();
    std::cout << fmt::format(
        "{} seeds in {:.1f} s, {} a minute; {} steps of actors\n", grouped(seeds_), seconds,
        grouped(static_cast<uint64_t>(static_cast<double>(seeds_) * 60 / std::max(seconds, 0.001))),
        grouped(events_));
    std::cout << fmt::format("  {} decisions, {} orders, {} filled, {} stops, {} of them met\n",
                             grouped(marks_["decision"]), grouped(marks_["order"]),
                             grouped(marks_["filled"]), grouped(marks_["stop"]),
                             grouped(marks_["stop-met"]));
    std::string faults;
    for (size_t i = 0; i < with_fault_.size(); ++i)
      if (with_fault_[i] > 0)
        faults += fmt::format(" {} {},", name_of(static_cast<Fault>(i)), with_fault_[i]);
    if (!faults.empty()) faults.pop_back();
    std::cout << "  faults, and seeds that met them:" << (faults.empty() ? " none" : faults)
              << '\n';
    if (seeds_ == 1) std::cout << fmt::format("  trace hash {:016x}\n", last_hash_);
  }

  // False when one had to be met and was not.
  bool tell_marks() const {
    std::string missing;
    size_t met = 0;
    for (const std::string_view mark : kMarks) {
      if (marks_[mark] > 0) ++met;
      if (marks_[mark] == 0) missing += fmt::format("{}{}", missing.empty() ? "" : ", ", mark);
    }
    std::cout << fmt::format("  {} of {} marks met{}\n", met, std::size(kMarks),
                             missing.empty() ? "" : "; not: " + missing);
    if (options_.marks)
      for (const auto& [name, times] : marks_.all())
        std::cout << fmt::format("    {:>10}  {}\n", grouped(times), name);
    return missing.empty() || seeds_ < options_.need_marks;
  }

  void tell_trace() const {
    for (const std::string& event : last_trace_) std::cout << "  " << event << '\n';
  }

  bool is_time_over() const {
    return options_.seconds &&
           Timer::now() - began_ >= std::chrono::duration<double>(*options_.seconds);
  }

 private:
  using Timer = std::chrono::steady_clock;

  void tell_broken(uint64_t seed, const Selection& selection, const Outcome& outcome) const {
    std::cout << fmt::format("seed {}: broken: {}\n", seed, outcome.broken->rule);
    print_indented(outcome.broken->what);
    std::cout << fmt::format("  repeat: {} {} --trace\n", program_, options_text(seed, selection))
              << std::flush;
    Shrunk shrunk{selection, {}, 0};
    if (options_.shrink) {
      shrunk = shrink(seed, selection, outcome);
      std::cout << fmt::format("  shrunk: {} {} --trace\n", program_,
                               options_text(seed, shrunk.selection));
    } else {
      shrunk.outcome = run_case(seed, selection, true);
    }
    const auto steps = draw_steps(seed);
    if (options_.shrink)
      for (const size_t i : shrunk.outcome.steps)
        std::cout << fmt::format("    step {}: {}\n", i, text_of(steps[i]));
    std::cout << "  last events:\n";
    const auto& trace = shrunk.outcome.trace;
    const size_t shown = std::min(options_.trace ? trace.size() : kEventsShown, trace.size());
    for (size_t i = trace.size() - shown; i < trace.size(); ++i)
      std::cout << "    " << trace[i] << '\n';
    if (shrunk.outcome.broken) print_indented(shrunk.outcome.broken->what);
  }

  const Options& options_;
  const std::string program_;
  const Timer::time_point began_;
  uint64_t seeds_ = 0, events_ = 0, last_hash_ = 0;
  std::array<uint64_t, kFaults> with_fault_{};
  Marks marks_;
  std::vector<std::string> last_trace_;
};

struct Listed {
  uint64_t seed;
  Selection selection;
};

// Throws std::runtime_error, naming file and line.
std::vector<Listed> read_seeds(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path + ": cannot be read");
  std::vector<Listed> listed;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t") == std::string::npos) continue;
    Options options;
    CLI::App app;
    add_selection(app, options);
    try {
      app.parse(line);
    } catch (const CLI::ParseError& error) {
      throw std::runtime_error(fmt::format("{}:{}: {}", path, number, error.what()));
    }
    if (!options.seed)
      throw std::runtime_error(fmt::format("{}:{}: expected --seed", path, number));
    listed.push_back({*options.seed, selection_of(options)});
  }
  return listed;
}

int run(const Options& options, const std::string& program) {
  std::vector<Listed> listed;
  try {
    if (!options.list.empty()) listed = read_seeds(options.list);
  } catch (const std::runtime_error& error) {
    std::cerr << error.what() << '\n';
    return kUsage;
  }
  shipped_pipeline();  // says on standard error why it cannot be loaded
  // What the host logs of disks that fail is what was asked for.
  if (!options.log)
    if (const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0)
      dup2(nowhere, STDERR_FILENO);

  Run run(options, program);
  for (const Listed& one : listed)
    if (!run.try_seed(one.seed, one.selection, true)) return kBroken;
  const uint64_t first = options.seed.value_or(system_seed() % kFirstSeedBelow);
  const bool only_listed = !listed.empty() && !options.seed && !options.seeds && !options.seconds;
  const uint64_t count = options.seeds     ? *options.seeds
                         : options.seconds ? UINT64_MAX
                         : options.seed    ? 1
                         : only_listed     ? 0
                                           : 100;
  if (count > 1) std::cout << "first seed " << first << '\n' << std::flush;
  const Selection selection = selection_of(options);
  for (uint64_t i = 0; i < count && !run.is_time_over(); ++i)
    if (!run.try_seed(first + i, selection, options.twice || (first + i) % kSeedsOneIn == 0)) {
      run.tell_account();
      return kBroken;
    }
  if (options.trace) run.tell_trace();
  run.tell_account();
  return run.tell_marks() ? kFine : kBroken;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  using namespace sluice::sim;
  Options options;
  CLI::App app("Runs the whole host in a simulated world, seed after seed, until a rule is broken.",
               "sluice-sim");
  add_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error, std::cout, std::cerr) == 0 ? kFine : kUsage;
  }
  return run(options, argv[0]);
}
