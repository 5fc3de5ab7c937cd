// The C table of a library, checked and copied out. Used by the loader only.
#pragma once

#include "base/status.h"
#include "plugin/catalog.h"
#include "sluice/abi.h"

namespace sluice::plugin {

// Reads all that `table` describes.
//
// Checks sizes and versions first and touches nothing behind them that the table's own sizes do not
// cover, so a table of another version is refused and not misread.
//
// Errors: kInvalid; the text lists every fault of the description, without the path.
Result<Description> read_table(const sluice_plugin& table);

// What to say of a library that exports the table of another major version.
Status other_major(uint32_t built_for);

// The kind at `index`, by the table's own element size. `table` was accepted by read_table.
const sluice_kind& kind_at(const sluice_plugin& table, size_t index);

}  // namespace sluice::plugin
