#include "base/memory.h"

#include <cxxabi.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <new>
#include <string_view>
#include <typeinfo>

namespace sluice {

namespace {

int exit_code_when_out = 0;
std::terminate_handler otherwise = nullptr;

// Nothing here allocates, and nothing of the process is taken down in order.
[[noreturn]] void end() {
  constexpr std::string_view kText =
      "error: out of memory; the process ends here, the next run goes on from what was committed\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kText.data(), kText.size());
  _exit(exit_code_when_out);
}

void no_memory() {
  if (MayRunOut::is_alive()) throw std::bad_alloc();
  end();
}

void uncaught() {
  const std::type_info* const thrown = abi::__cxa_current_exception_type();
  if (thrown != nullptr && *thrown == typeid(std::bad_alloc)) end();
  otherwise();
  std::abort();
}

}  // namespace

void found_no_memory() {
  if (std::get_new_handler() == no_memory) end();
}

thread_local int MayRunOut::depth_ = 0;

void end_when_out_of_memory(int exit_code) {
  exit_code_when_out = exit_code;
  std::set_new_handler(no_memory);
  otherwise = std::set_terminate(uncaught);
}

}  // namespace sluice
