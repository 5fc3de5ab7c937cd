#include "cli/schema_command.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "cli/schema_gate.h"
#include "graph/file_schema.h"
#include "plugin/catalog.h"

namespace sluice::cli {

namespace {

// The schema is JSON whatever --format says.
int run_schema(Common& common, const std::string& output) {
  const auto catalog = plugin::Catalog::scan(common.plugins_folder);
  if (!catalog) return fail(common, kInvalidInput, catalog.status());
  const std::string schema = graph::file_schema(*catalog);
  if (output.empty()) {
    common.out << schema;
    return kFine;
  }
  const Status written = write_file_atomically(common.disk, output, schema);
  return written.is_ok() ? static_cast<int>(kFine) : fail(common, kIoFailure, written);
}

}  // namespace

void add_schema(CLI::App& app, Common& common) {
  auto output = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "schema", "The JSON Schema of pipeline files with the installed plugins, for editors");
  command->add_option("-o,--output", *output, "File to write (default: standard output)");
  add_schema_gate(*command, common);
  command->callback([&common, command, output] {
    if (!command->get_subcommands().empty()) return;  // it has put its own work there
    common.action = [&common, output] { return run_schema(common, *output); };
  });
}

}  // namespace sluice::cli
