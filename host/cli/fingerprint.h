// What a host runs, so that hosts which share a pipeline can tell whether they run the same.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "graph/pipeline.h"
#include "redis/host_lease.h"

namespace sluice::cli {

// The program and its version, the files of the plugins that `pipeline` uses, and what its file
// says (graph::common_parts). `pipeline` is the whole one, whichever of its stages are run.
//
// Shape:  {"program": {"version", "file"}, "plugin router.so": {"version", "file"},
//         "pipeline": {...}, "stream intents": {...}, "stage router": {...}}; versions are text,
//         all else hexadecimal digests of files and values.
// Errors: kIo for a file that cannot be read.
Result<redis::Runs> fingerprint(const graph::Pipeline& pipeline);

// What differs between two such texts, seen from `here`, at most five things and how many more:
// "plugin router.so (here 1.1.0 of 3f2c9a10d0b4, there 1.0.0 of 8b1e0c44a1f7), stage gate (use,
// with.window), stream intents (here only)". A text that is none of ours: "version of sluice".
std::string fingerprint_difference(std::string_view here, std::string_view there);

}  // namespace sluice::cli
