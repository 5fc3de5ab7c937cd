// Reads a whole stream, a few entries at a time.
#pragma once

#include "stream/store.h"

namespace sluice::stream {

// Calls `visit(const Entry&)` for each entry of the stream, oldest first, those included that are
// written meanwhile. Errors: those of `range`; nothing after it is visited.
template <typename Visit>
Status each_entry(const Store& store, StreamId stream, Visit visit) {
  constexpr size_t kReadAtOnce = 256;
  EntryId after;
  for (;;) {
    SLUICE_ASSIGN(entries, store.range(stream, after, kReadAtOnce));
    if (entries.empty()) return Status::ok();
    for (const Entry& entry : entries) visit(entry);
    after = entries.back().id;
  }
}

}  // namespace sluice::stream
