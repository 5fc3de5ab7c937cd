// `sluice audit`: whether what the store holds keeps the promises of the trade pipeline.
#pragma once

#include <string>

#include "audit/audit.h"
#include "cli/common.h"

namespace sluice::cli {

void add_audit(CLI::App& app, Common& common);

// A table of the invariants, then each offence, then what was not judged and why.
std::string audit_text(const audit::Report& report, const Style& style);

// {holds, invariants: [{number, name, looked_at, open, verdict, offences: [{subject, stream, id,
// what}], offences_more, notes}]}; verdict is holds, broken or not_judged.
std::string audit_json(const audit::Report& report);

}  // namespace sluice::cli
