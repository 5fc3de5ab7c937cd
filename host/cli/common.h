// What every subcommand shares: the global options, where output goes, and the seams.
#pragma once

#include <functional>
#include <ostream>
#include <string>

#include "base/clock.h"
#include "base/disk.h"
#include "base/status.h"
#include "cli/exit_codes.h"
#include "cli/table.h"

namespace CLI {
class App;
}

namespace sluice::cli {

enum class Format { kHuman, kJson };

// Filled by `main` before any command runs; commands change only `action`.
//
// A command registers itself with `add_<command>(app, common)` and, when it was chosen on the
// command line, puts its work into `action`; `main` runs it once the whole line is parsed, so
// global options may stand after the command.
struct Common {
  Format format = Format::kHuman;
  std::string plugins_folder;
  std::string log_level;  // empty: info for a service, warning for the rest
  std::string log_format = "text";

  std::ostream& out;       // what was asked for
  std::ostream& err;       // errors and progress
  Style out_style;         // of `out`
  bool err_color = false;  // of `err`
  bool err_is_terminal = false;

  Disk& disk;
  const Clock& clock;

  std::function<int()> action;
};

// Says on `err` what went wrong, as text or as {"error": {"code", "text"}}; returns `exit`.
int fail(Common& common, Exit exit, const Status& error);

// The same with the exit code that fits the error.
int fail(Common& common, const Status& error);

}  // namespace sluice::cli
