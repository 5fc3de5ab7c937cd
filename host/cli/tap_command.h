// `sluice tap`: the entries of any stream as NDJSON.
#pragma once

#include <optional>
#include <string>

#include "cli/common.h"
#include "stream/store.h"

namespace sluice::cli {

void add_tap(CLI::App& app, Common& common);

// One entry as a line of JSON: {"id": "ms-seq", field: value, ...} in the entry's order, each value
// a text, also where it holds JSON. A field called `id` comes out as `field.id`. With a shard, a
// number `shard` stands behind the id.
std::string entry_line(const stream::Entry& entry, std::optional<uint32_t> shard = {});

// Writes entries from `from` on, at most `limit` (0: all), to `out`.
Status tap(const stream::Store& store, stream::StreamId stream, EntryId from, uint64_t limit,
           std::ostream& out, std::optional<uint32_t> shard = {});

// The id just before `id`, for reading from it on.
EntryId before(EntryId id);

}  // namespace sluice::cli
