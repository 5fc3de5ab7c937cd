#include "common/child.h"

#include <cstdio>
#include <fstream>
#include <iterator>

#include "fixtures/redis_server.h"

namespace sluice::bench {

void run_again(const std::vector<std::string>& arguments) {
  const testing::TempFolder folder;
  const std::string output = folder / "output";
  std::vector<std::string> command = {"/proc/self/exe"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const int exit = testing::Child(command, output).wait();
  std::ifstream file(output);
  const std::string said{std::istreambuf_iterator<char>(file), {}};
  if (exit != 0)
    throw std::runtime_error(arguments[0] + " ended with " + std::to_string(exit) + ": " + said);
  std::fwrite(said.data(), 1, said.size(), stdout);
  std::fflush(stdout);
}

}  // namespace sluice::bench
