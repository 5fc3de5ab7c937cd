#include <algorithm>
#include <fstream>

#include "redis/workload.h"

namespace sluice::bench {

namespace {

constexpr size_t kEntriesMax = 4'000;
// The one that Debian's packages are for; another may come first in PATH.
constexpr const char* kPython = "/usr/bin/python3";

class PythonLoop final : public Contender {
 public:
  std::string name() const override { return "python"; }
  size_t entries_of(const Workload& workload) const override {
    return std::min(workload.entries, kEntriesMax);
  }

  Cost run(testing::RedisServer& server, const redis::Endpoint& endpoint,
           const Workload& workload) override {
    const testing::TempFolder folder;
    const std::string output = folder / "output";
    Meter meter(server);
    meter.start();
    const std::string place = endpoint.path.empty() ? std::to_string(endpoint.port) : endpoint.path;
    const int exit =
        testing::Child(
            {kPython, BENCH_FOLDER "/plain_loop.py", place, std::to_string(workload.batch)}, output)
            .wait();
    Cost cost = meter.stop();
    std::ifstream said(output);
    // Its own clock: the interpreter has started by then.
    if (exit != 0 || !(said >> cost.wall_s >> cost.client_s)) {
      said.clear();
      said.seekg(0);
      throw std::runtime_error("plain_loop.py: " +
                               std::string(std::istreambuf_iterator<char>(said), {}));
    }
    return cost;
  }
};

}  // namespace

std::unique_ptr<Contender> python_loop() { return std::make_unique<PythonLoop>(); }

}  // namespace sluice::bench
