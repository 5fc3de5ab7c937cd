// Findings of `check` in the forms people and programs read.
#pragma once

#include <string>
#include <vector>

#include "graph/pipeline.h"

namespace sluice::cli {

class JsonWriter;

// Each with its source line and the way out; ends with where to read more. Empty for none.
std::string findings_text(const std::vector<graph::Finding>& findings);

// One list.
void write_findings(JsonWriter& json, const std::vector<graph::Finding>& findings);
std::string findings_json(const std::vector<graph::Finding>& findings);

// A log that code hosts show beside the lines. Columns count bytes, fixes are included.
// Source: SARIF 2.1.0, docs.oasis-open.org/sarif/sarif/v2.1.0.
std::string findings_sarif(const std::vector<graph::Finding>& findings);

// Lines that GitHub Actions turn into annotations: "::error file=...,line=...::text".
std::string findings_github(const std::vector<graph::Finding>& findings);

}  // namespace sluice::cli
