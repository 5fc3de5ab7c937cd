// Threads that may not be had.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "base/status.h"

namespace sluice {

// Runs `work` on a thread of its own.
//
// Errors: kUnavailable, where the system has no more threads to give; nothing runs then.
template <typename Work>
Result<std::thread> start_thread(Work work) {
  try {
    return std::thread(std::move(work));
  } catch (const std::system_error& error) {
    return Status(Code::kUnavailable, "a thread cannot be started: " + error.code().message());
  }
}

}  // namespace sluice
