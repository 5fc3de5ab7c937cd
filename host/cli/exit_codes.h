// How the program ends. Scripts read these: a number never changes its meaning.
#pragma once

#include <string_view>

#include "base/status.h"

namespace sluice::cli {

enum Exit : int {
  kFine = 0,
  kFindings = 1,      // it ran, and has something to complain about
  kUsage = 2,         // the command line is not understood
  kInvalidInput = 3,  // a pipeline, a policy or a plugin is refused
  kStore = 4,         // the store is in use, or is not there
  kCorruptStore = 5,  // stored bytes are not what was written
  kIoFailure = 6,     // the device or the network failed
  kInternal = 7,      // a fault of our own
  kGaveUp = 8,        // `run --supervise`: the run died too often
};

// The lines under --help; docs/exit-codes.md has the same list, and a test compares the two.
inline constexpr std::string_view kExitCodesText =
    "Exit codes:\n"
    "  0  fine\n"
    "  1  it ran, and has something to complain about\n"
    "  2  the command line is not understood\n"
    "  3  a pipeline, a policy or a plugin is refused\n"
    "  4  the store is in use, or is not there\n"
    "  5  the store is corrupt\n"
    "  6  the device or the network failed\n"
    "  7  internal error\n"
    "  8  the run died too often, its supervisor gave up";

// The exit code for an error of a store or of a file beside it.
Exit exit_of(const Status& error);

}  // namespace sluice::cli
