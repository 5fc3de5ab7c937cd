// `sluice schema gate`: do entries fit a schema? Asked before a schema, or a producer, is deployed.
#pragma once

#include <optional>
#include <string>

#include "cli/common.h"

namespace sluice::cli {

// Adds `gate` to `sluice schema`.
void add_schema_gate(CLI::App& schema, Common& common);

struct SchemaGateOptions {
  // A file of NDJSON, "-" for standard input, or a stream of the pipeline by key or name. A stream
  // wins over a file of that name; "./name" is always the file.
  std::string source;
  std::string pipeline;  // file; its streams say which schema counts
  std::string stream;    // for a file: whose schema; empty: that of the only external stream
  std::string schema;    // a schema file that counts instead
};

// Checks every entry and names each that offends: its line or id, the field, the rule. A line that
// is no entry offends as well; blank lines are passed over, as `sluice run` does. A stream is read
// as far as it was committed when the command began, also while a run writes it.
//
// Returns kFine when nothing offends, kFindings otherwise, the exit code of the error when it
// cannot be asked.
int run_schema_gate(Common& common, const SchemaGateOptions& options);

}  // namespace sluice::cli
