// The program: global options, subcommands, exit codes.

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <system_error>

#include "base/log.h"
#include "base/memory.h"
#include "cli/audit_command.h"
#include "cli/check_command.h"
#include "cli/common.h"
#include "cli/completion_command.h"
#include "cli/ctl_command.h"
#include "cli/dlq_command.h"
#include "cli/explain_command.h"
#include "cli/graph_command.h"
#include "cli/new_command.h"
#include "cli/plugin_command.h"
#include "cli/policy_command.h"
#include "cli/print_command.h"
#include "cli/run_command.h"
#include "cli/schema_command.h"
#include "cli/store_command.h"
#include "cli/streams_command.h"
#include "cli/tap_command.h"
#include "cli/test_command.h"
#include "cli/why_command.h"

namespace sluice::cli {

namespace {

// The environment is read here and nowhere else in the program.
std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// $SLUICE_PLUGINS; beside the program as a build tree has it; where `cmake --install` puts them.
std::string default_plugins_folder() {
  namespace fs = std::filesystem;
  if (std::string folder = environment("SLUICE_PLUGINS"); !folder.empty()) return folder;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return "plugins";
  const fs::path beside = program.parent_path() / "plugins";
  if (fs::is_directory(beside, error)) return beside.string();
  const fs::path installed = (program.parent_path() / SLUICE_PLUGINS_FROM_BIN).lexically_normal();
  return fs::is_directory(installed, error) ? installed.string() : beside.string();
}

size_t terminal_width(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

Common system_common() {
  static const SystemClock clock;
  const bool color = environment("NO_COLOR").empty() && environment("TERM") != "dumb";
  Common common{.out = std::cout, .err = std::cerr, .disk = system_disk(), .clock = clock};
  const bool out_is_terminal = isatty(STDOUT_FILENO) == 1;
  common.out_style.color = color && out_is_terminal;
  common.out_style.width_max = out_is_terminal ? terminal_width(STDOUT_FILENO) : 0;
  common.err_is_terminal = isatty(STDERR_FILENO) == 1;
  common.err_color = color && common.err_is_terminal;
  return common;
}

// A service tells what it does; over a file the account at the end says it, and lines in between
// would tear the progress bar.
bool is_service(const CLI::App& app) {
  const auto chosen = app.get_subcommands();
  return !chosen.empty() && chosen.front()->get_name() == "run" &&
         chosen.front()->count("--input") == 0;
}

void configure_log(const Common& common, bool service) {
  static const std::map<std::string, log::Level> kLevels{{"debug", log::Level::kDebug},
                                                         {"info", log::Level::kInfo},
                                                         {"warning", log::Level::kWarning},
                                                         {"error", log::Level::kError}};
  const auto level = kLevels.find(common.log_level);
  const log::Level usual = service ? log::Level::kInfo : log::Level::kWarning;
  log::configure(level == kLevels.end() ? usual : level->second,
                 common.log_format == "json" ? log::Format::kJson : log::Format::kText);
}

void add_globals(CLI::App& app, Common& common) {
  app.add_option("--format", common.format, "Output for people or for programs: human, json")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, Format>{{"human", Format::kHuman}, {"json", Format::kJson}}))
      ->option_text("FORMAT");
  app.add_option("--plugins", common.plugins_folder,
                 "Folder of the plugins (default: $SLUICE_PLUGINS, else beside the program)")
      ->option_text("DIR");
  app.add_option("--log-level", common.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->option_text("LEVEL");
  app.add_option("--log-format", common.log_format, "Log lines on standard error: text, json")
      ->check(CLI::IsMember({"text", "json"}))
      ->option_text("FORMAT");
  app.add_flag_callback(
      "--version", [] { throw CLI::CallForVersion("sluice " SLUICE_VERSION, 0); },
      "Print the version and end");
}

void add_version(CLI::App& app, Common& common) {
  app.add_subcommand("version", "Print the version")->callback([&common] {
    common.action = [&common] {
      if (common.format == Format::kJson)
        common.out << "{\"version\":\"" SLUICE_VERSION "\"}\n";
      else
        common.out << "sluice " SLUICE_VERSION "\n";
      return kFine;
    };
  });
}

void add_commands(CLI::App& app, Common& common) {
  add_run(app, common);
  add_check(app, common);
  add_test(app, common);
  add_explain(app, common);
  add_print(app, common);
  add_graph(app, common);
  add_new(app, common);
  add_streams(app, common);
  add_tap(app, common);
  add_dlq(app, common);
  add_schema(app, common);
  add_audit(app, common);
  add_why(app, common);
  add_ctl(app, common);
  add_plugin(app, common);
  add_policy(app, common);
  add_store(app, common);
  add_version(app, common);
  add_completion(app, common);
}

int main_of(int argc, char** argv) {
  Common common = system_common();
  CLI::App app("sluice: runs pipelines of stage plugins over durable streams", "sluice");
  app.footer(std::string(kExitCodesText));
  app.require_subcommand(1);
  app.fallthrough();  // global options may stand after the command
  add_globals(app, common);
  add_commands(app, common);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Success is --help and --version; everything else CLI11 has a code of its own for.
    return app.exit(error, std::cout, std::cerr) == 0 ? kFine : kUsage;
  }
  if (common.plugins_folder.empty()) common.plugins_folder = default_plugins_folder();
  configure_log(common, is_service(app));
  const int exit = common.action();
  common.out.flush();
  if (!common.out) return fail(common, kIoFailure, Status(Code::kIo, "cannot write the output"));
  return exit;
}

}  // namespace

}  // namespace sluice::cli

int main(int argc, char** argv) {
  sluice::end_when_out_of_memory(sluice::cli::kIoFailure);
  try {
    return sluice::cli::main_of(argc, argv);
  } catch (const std::system_error& error) {
    std::cerr << "error: " << error.what() << '\n';
    return sluice::cli::kIoFailure;
  } catch (const std::exception& error) {
    std::cerr << "internal error: " << error.what() << '\n';
  } catch (...) {
    std::cerr << "internal error\n";
  }
  return sluice::cli::kInternal;
}
