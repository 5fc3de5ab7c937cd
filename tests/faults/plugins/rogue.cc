// Stages that do what a plugin must never do, when the entry's field `do` says so; others go
// through.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>

#include "sluice/plugin.h"

namespace {

using sluice::Entry;
using sluice::Unit;
using sluice::Verdict;

volatile int* volatile nowhere = nullptr;
volatile bool forever = true;

// Until the stack is used up; not a loop in the eyes of the compiler.
int deeper(volatile char* above, int depth) {
  volatile char here[4096];
  if (!forever) return depth;
  here[0] = static_cast<char>(above[0] + depth);
  return deeper(here, depth + 1) + here[0];
}

void leak_descriptors() {
  for (int i = 0; i < 20; ++i) static_cast<void>(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

void misbehave(std::string_view what) {
  if (what == "throw") throw std::runtime_error("thrown on purpose");
  if (what == "throw_int") throw 7;
  if (what == "throw_null") throw static_cast<const char*>(nullptr);
  if (what == "segfault") *nowhere = 1;
  if (what == "abort") std::abort();
  if (what == "terminate") std::thread([] { throw 7; }).join();
  if (what == "overflow") {
    volatile char here[1] = {};
    deeper(here, 0);
  }
  if (what == "exit") std::exit(0);
  if (what == "_exit") _exit(0);
  if (what == "spin")
    while (forever) {
    }
  if (what == "deadlock") std::promise<void>().get_future().wait();
  if (what == "leak_descriptors") leak_descriptors();
}

class Rogue {
 public:
  static constexpr sluice::Info kInfo{.kind = "rogue", .doc = "Does what `do` says."};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "The entry."}};
  explicit Rogue(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit& unit) {
    misbehave(entry["do"]);
    unit.emit("out", entry);
    return sluice::ack();
  }
};

// External: misbehaves in `act`.
class Actor {
 public:
  static constexpr sluice::Info kInfo{
      .kind = "actor", .doc = "Does what `do` says, to the world.", .type = SLUICE_EXTERNAL};
  static constexpr sluice_port kOutputs[] = {{.name = "out", .doc = "What came of it."}};
  explicit Actor(const sluice::Settings&) {}

  Verdict process(const Entry& entry, Unit&) {
    return sluice::act("key-" + std::string(entry["id"]), sluice::Record{{"do", entry["do"]}});
  }
  sluice::Act act(const sluice::Request& request, sluice::World&) {
    misbehave(request["do"]);
    return sluice::done(sluice::Record{{"state", "done"}});
  }
  Verdict settle(const Entry& entry, const sluice::Request&, const sluice::Outcome&, Unit& unit) {
    unit.emit("out", entry);
    return sluice::ack();
  }
};

}  // namespace

SLUICE_PLUGIN(ROGUE_NAME, "1.0.0", Rogue, Actor)
