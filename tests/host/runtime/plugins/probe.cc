// Stages for tests of the runtime: each does one thing that the runtime must get right.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <stdexcept>
#include <string>

#include "sluice/plugin.h"

namespace {

using sluice::Entry;
using sluice::Record;
using sluice::Unit;
using sluice::Verdict;

constexpr sluice_port kOut[] = {
    {.name = "out", .doc = "The entry.", .flags = SLUICE_PORT_OPTIONAL}};

// Forwards each entry. A field `do` asks for something else: reject, throw, throw_int, retry,
// no_port.
class Copy {
 public:
  static constexpr sluice::Info kInfo{.kind = "copy", .doc = "Forwards entries."};
  static constexpr auto& kOutputs = kOut;
  explicit Copy(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    const std::string_view wish = entry["do"];
    if (wish == "reject") return sluice::reject("unwanted", "field \"do\" says so");
    if (wish == "throw") throw std::runtime_error("thrown on purpose");
    if (wish == "throw_int") throw 7;
    if (wish == "retry") return sluice::retry(std::chrono::milliseconds(10), "not_yet");
    if (wish == "no_port") unit.emit("nowhere", entry);
    unit.emit("out", entry);
    return sluice::ack();
  }
};

// One entry per `id`: claims it, and sends later ones to `dup` with what the first left.
class Dedup {
 public:
  static constexpr sluice::Info kInfo{.kind = "dedup", .doc = "Lets each id through once."};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "First of its id."},
                                             {.name = "dup", .doc = "Later ones."}};
  static constexpr sluice_param kSettings[] = {{.name = "ttl",
                                                .doc = "How long an id is remembered.",
                                                .type = SLUICE_DURATION,
                                                .default_text = "1h"}};
  explicit Dedup(const sluice::Settings& settings) : ttl_(settings.duration("ttl")) {}

  Verdict process(const Entry& entry, Unit& unit) {
    if (const auto failure = unit.failure()) {
      unit.emit("dup", Record{{"id", entry["id"]}, {"earlier", failure->met_text}});
      return sluice::ack();
    }
    unit.claim("seen:" + std::string(entry["id"]), entry.id(), ttl_);
    unit.emit("out", entry);
    return sluice::ack();
  }

 private:
  const sluice::Duration ttl_;
};

// Adds `n` to the text under "sum" as read and unchanged: wrong as soon as two work on one value.
class Sum {
 public:
  static constexpr sluice::Info kInfo{.kind = "sum", .doc = "Adds up."};
  explicit Sum(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    const sluice::Value sum = unit.get("sum");
    const long long before = sum ? std::stoll(std::string(sum.text())) : 0;
    unit.unchanged("sum");
    unit.put("sum", std::to_string(before + std::stoll(std::string(entry["n"]))), {});
    return sluice::ack();
  }
};

// Claims a key that is always taken: fails twice.
class Stubborn {
 public:
  static constexpr sluice::Info kInfo{.kind = "stubborn", .doc = "Never learns."};
  explicit Stubborn(const sluice::Settings&) {}
  Verdict process(const Entry&, Unit& unit) {
    unit.take("never:there");
    return sluice::ack();
  }
};

// Claims slot:0, or the next one that is free, one call after the other.
class Picky {
 public:
  static constexpr sluice::Info kInfo{.kind = "picky", .doc = "Looks for a free slot."};
  explicit Picky(const sluice::Settings&) {}
  Verdict process(const Entry& entry, Unit& unit) {
    int slot = 0;
    if (const auto failure = unit.failure())
      slot = std::stoi(std::string(failure->key.substr(failure->key.find(':') + 1))) + 1;
    unit.claim("slot:" + std::to_string(slot), entry.id(), std::chrono::hours(1));
    return sluice::ack();
  }
};

// Waits for `permit:<id>` at most `window`, takes it, forwards; without it goes to `late`.
class Gate {
 public:
  static constexpr sluice::Info kInfo{.kind = "gate", .doc = "Waits for a permit."};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "Permitted."},
                                             {.name = "late", .doc = "Not permitted in time."}};
  static constexpr sluice_param kSettings[] = {
      {.name = "window", .doc = "How long.", .type = SLUICE_DURATION, .default_text = "1200ms"}};
  explicit Gate(const sluice::Settings& settings) : window_(settings.duration("window")) {}

  Verdict process(const Entry& entry, Unit& unit) {
    const std::string key = "permit:" + std::string(entry["id"]);
    if (unit.get(key)) {
      unit.take(key);
      unit.emit("out", entry);
      return sluice::ack();
    }
    const sluice::Time until = entry.first_delivered() + window_;
    if (unit.now() < until) return sluice::wait({key}, until);
    unit.emit("late", entry);
    return sluice::ack();
  }

 private:
  const sluice::Duration window_;
};

// Takes `permit:<id>` without looking, and when it is not there waits for it, again without
// looking.
class Taker {
 public:
  static constexpr sluice::Info kInfo{.kind = "taker", .doc = "Takes a permit unseen."};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "Permitted."}};
  explicit Taker(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    const std::string key = "permit:" + std::string(entry["id"]);
    if (unit.failure()) return sluice::wait({key}, unit.now() + std::chrono::seconds(1));
    unit.take(key);
    unit.emit("out", entry);
    return sluice::ack();
  }
};

// Puts `permit:<id>`.
class Permit {
 public:
  static constexpr sluice::Info kInfo{.kind = "permit", .doc = "Permits everything."};
  explicit Permit(const sluice::Settings&) {}
  Verdict process(const Entry& entry, Unit& unit) {
    unit.put("permit:" + std::string(entry["id"]), "yes", std::chrono::seconds(60));
    return sluice::ack();
  }
};

// Asks the policy hook `answer(entry)` and emits what it said.
class Asker {
 public:
  static constexpr sluice::Info kInfo{.kind = "asker", .doc = "Asks its policy."};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "The answer."}};
  static constexpr sluice_arg kArgs[] = {{.name = "entry", .type = SLUICE_RECORD}};
  static constexpr sluice_param kAnswer[] = {{.name = "answer",
                                              .doc = "A duration.",
                                              .type = SLUICE_DURATION,
                                              .default_text = "1200ms",
                                              .min_text = "0ms",
                                              .max_text = "60s"}};
  static constexpr sluice_hook kHooks[] = {{"answer", "Any duration.", kArgs, 1, kAnswer, 1}};
  explicit Asker(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    sluice::PolicyRecord record;
    record.text("id", entry["id"]);
    const auto answer = unit.policy("answer", {record.raw()});
    unit.emit("out", Record{{"us", std::to_string(answer.duration().count())},
                            {"policy", unit.policy_version()}});
    return sluice::ack();
  }
};

// External: appends a line with its idempotency key to the file `world`, once; answers after 20 ms.
class Sender {
 public:
  static constexpr sluice::Info kInfo{
      .kind = "sender", .doc = "Touches the world.", .type = SLUICE_EXTERNAL};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "What came of it."}};
  static constexpr sluice_param kSettings[] = {
      {.name = "world", .doc = "File to append to.", .type = SLUICE_TEXT},
      {.name = "die",
       .doc = "Ends the process in `act`.",
       .type = SLUICE_BOOLEAN,
       .default_text = "false"}};
  explicit Sender(const sluice::Settings& settings)
      : world_(settings.text("world")), die_(settings.boolean("die")) {}

  Verdict process(const Entry& entry, Unit& unit) {
    if (unit.failure()) return sluice::ack();  // sent, as far as it knows
    if (entry["do"] == "claim") unit.claim("sent:" + std::string(entry["id"]), "x", {});
    unit.put("sending:" + std::string(entry["id"]), "1", {});
    return sluice::act("key-" + std::string(entry["id"]), Record{{"what", entry["id"]}});
  }

  sluice::Act act(const sluice::Request& request, sluice::World&) {
    const std::string key(request.idempotency_key());
    if (request.recovered()) {
      if (known(key)) return sluice::done(Record{{"state", "found"}, {"what", request["what"]}});
    } else if (request["what"] == "bad") {
      throw std::runtime_error("the line is dead");
    }
    const int fd = open(world_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const std::string line = key + "\n";
    const bool written = write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
    close(fd);
    if (!written) throw std::runtime_error("world is full");
    if (die_) _exit(9);
    return sluice::later(std::chrono::milliseconds(20));
  }

  Verdict settle(const Entry& entry, const sluice::Request&, const sluice::Outcome& outcome,
                 Unit& unit) {
    unit.erase("sending:" + std::string(entry["id"]));
    unit.emit("out", Record{{"id", entry["id"]}, {"state", outcome["state"]}});
    return sluice::ack();
  }

 private:
  bool known(const std::string& key) const {
    std::ifstream lines(world_);
    for (std::string line; std::getline(lines, line);) {
      if (line == key) return true;
    }
    return false;
  }

  const std::string world_;
  const bool die_;
};

// External: holds `slot` while it acts, for `hold`; one at a time. `do: leave` is done when the
// slot is free. Tells how often it was called so far.
class Holder {
 public:
  static constexpr sluice::Info kInfo{
      .kind = "holder", .doc = "Holds the slot.", .type = SLUICE_EXTERNAL};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "Had it."}};
  static constexpr sluice_param kSettings[] = {
      {.name = "hold", .doc = "How long.", .type = SLUICE_DURATION, .default_text = "20ms"}};
  explicit Holder(const sluice::Settings& settings) : hold_(settings.duration("hold")) {}

  Verdict process(const Entry& entry, Unit& unit) {
    ++calls_;
    if (entry["do"] == "leave" && !unit.get("slot")) return sluice::ack();
    if (unit.failure()) return sluice::wait({"slot"}, unit.now() + std::chrono::seconds(60));
    unit.claim("slot", entry.id(), std::chrono::seconds(60));
    return sluice::act("key-" + std::string(entry["id"]), Record{});
  }

  sluice::Act act(const sluice::Request& request, sluice::World&) {
    if (request.recovered() || hold_ == sluice::Duration(0)) return sluice::done(Record{});
    return sluice::later(hold_);
  }

  Verdict settle(const Entry& entry, const sluice::Request&, const sluice::Outcome&, Unit& unit) {
    unit.erase("slot");
    unit.emit("out", Record{{"id", entry["id"]}, {"calls", std::to_string(calls_)}});
    return sluice::ack();
  }

 private:
  const sluice::Duration hold_;
  std::atomic<int> calls_{0};
};

// A source: emits numbers from its position on, `count` of them, one every `interval`.
class Ticker {
 public:
  static constexpr sluice::Info kInfo{.kind = "ticker", .doc = "Counts.", .type = SLUICE_SOURCE};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "n"}};
  static constexpr sluice_param kSettings[] = {
      {.name = "count", .doc = "How many.", .type = SLUICE_INTEGER, .default_text = "3"},
      {.name = "interval", .doc = "Pause.", .type = SLUICE_DURATION, .default_text = "10ms"}};
  explicit Ticker(const sluice::Settings& settings)
      : count_(settings.integer("count")), interval_(settings.duration("interval")) {}

  sluice::Poll poll(Unit& unit) {
    const sluice::Value at = unit.get("ticker:at");
    const long long n = at ? std::stoll(std::string(at.text())) : 0;
    if (n >= count_) return sluice::end();
    unit.unchanged("ticker:at");
    unit.put("ticker:at", std::to_string(n + 1), {});
    unit.emit("out", Record{{"n", std::to_string(n)}});
    return sluice::idle(interval_);
  }

 private:
  const long long count_;
  const sluice::Duration interval_;
};

constexpr const char* kSymbolLabel[] = {"symbol", nullptr};

// Reserves one of each `symbol` and counts it, and how often it was told of a failure. A field `do`
// asks for something else: reject, retry, undeclared, unlabelled, gauge_counter, shrink.
class Counting {
 public:
  static constexpr sluice::Info kInfo{.kind = "counting", .doc = "Counts entries."};
  static constexpr sluice_metric kMetrics[] = {
      {.name = "seen_total", .doc = "Entries.", .labels = kSymbolLabel},
      {.name = "full_total", .doc = "Entries above the limit."},
      {.name = "last_n", .doc = "Newest n.", .type = SLUICE_GAUGE},
      {.name = "reserved_now",
       .doc = "Entries of this window.",
       .type = SLUICE_GAUGE,
       .labels = kSymbolLabel}};
  explicit Counting(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    const std::string_view wish = entry["do"], symbol = entry["symbol"];
    unit.count("seen_total", {{"symbol", symbol}});
    if (wish == "reject") return sluice::reject("unwanted");
    if (wish == "retry") return sluice::retry(std::chrono::milliseconds(10), "not_yet");
    if (wish == "undeclared") unit.count("unheard_of");
    if (wish == "unlabelled") unit.count("seen_total");
    if (wish == "gauge_counter") unit.gauge("full_total", {}, 1);
    if (wish == "shrink") unit.count("full_total", {}, -1);
    unit.gauge("last_n", {}, std::stod(std::string(entry["n"])));
    const std::string counter = "window:" + std::string(symbol);
    unit.gauge_reserved("reserved_now", {{"symbol", symbol}}, counter);
    if (unit.failure())
      unit.count("full_total");
    else
      unit.reserve(counter, 1, 2, sluice::WindowKind::kFixed, std::chrono::hours(1));
    return sluice::ack();
  }
};

// Describes `seen_total` as Counting does not, and counts in it.
class Tally {
 public:
  static constexpr sluice::Info kInfo{.kind = "tally", .doc = "Counts entries."};
  static constexpr sluice_metric kMetrics[] = {{.name = "seen_total", .doc = "Entries."}};
  explicit Tally(const sluice::Settings&) {}
  Verdict process(const Entry&, Unit& unit) {
    unit.count("seen_total");
    return sluice::ack();
  }
};

}  // namespace

SLUICE_PLUGIN("probe", "1.0.0", Copy, Dedup, Sum, Stubborn, Picky, Gate, Taker, Permit, Asker,
              Sender, Holder, Ticker, Counting, Tally)
