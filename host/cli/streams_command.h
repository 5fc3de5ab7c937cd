// `sluice streams`: length, groups, lag, pending and oldest age.
#pragma once

#include <string>
#include <vector>

#include "cli/common.h"
#include "graph/pipeline.h"
#include "stream/store.h"

namespace sluice::cli {

void add_streams(CLI::App& app, Common& common);

// The streams of a store in the order of the pipeline file, which may be null, then by name.
std::vector<stream::StreamInfo> ordered_streams(const stream::Store& store,
                                                const graph::Pipeline* pipeline);

// `now` is what ages count to.
std::string streams_table(const std::vector<stream::StreamInfo>& streams, WallTime now,
                          const Style& style);

// A list of {name, length, entries_added, first, last, keep, groups: [{name, lag, pending,
// last_delivered, oldest_ms}]}. Ids are text; `oldest_ms` is 0 when the group has acked everything.
std::string streams_json(const std::vector<stream::StreamInfo>& streams, WallTime now);

}  // namespace sluice::cli
