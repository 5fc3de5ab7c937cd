// `sluice dlq`: what stages gave up on, why, and what to do with it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/common.h"
#include "stream/store.h"

namespace sluice::cli {

void add_dlq(CLI::App& app, Common& common);

// A dead letter: the entry as stored, and what the host said of it. Texts are views into `entry`
// and empty when the field is missing.
struct DeadLetterEntry {
  stream::StreamId stream = 0;  // it lies on
  stream::Entry entry;

  std::string_view field(std::string_view name) const;
};

// Which dead letters a command means. Ids and filters narrow together; nothing set means all.
struct DeadLetterFilter {
  std::vector<EntryId> ids;
  std::string reason;
  std::string stage;

  bool matches(const DeadLetterEntry& letter) const;
};

// Calls `visit` for each match on `streams`, oldest first on each; stops when it returns false.
Status visit_dead_letters(const stream::Store& store, std::span<const stream::StreamId> streams,
                          const DeadLetterFilter& filter,
                          const std::function<bool(DeadLetterEntry&&)>& visit);

// One letter that was replayed.
struct Replayed {
  EntryId id;          // of the dead letter, gone now
  std::string stream;  // it came from and is on again
  EntryId new_id;      // there
};

// One letter that was left where it is.
struct Unmoved {
  EntryId id;
  std::string why;
};

struct DeadLetterChange {
  std::vector<Replayed> replayed;
  uint64_t dropped = 0;
  std::vector<Unmoved> unmoved;
};

// Appends the original fields of each letter to the stream it came from and removes the letter,
// both in one unit: a crash leaves the letter or the replayed entry, never both or none.
//
// Durable: all of it on return.
Result<DeadLetterChange> replay_dead_letters(stream::Store& store,
                                             std::span<const DeadLetterEntry> letters);

// Removes the letters. Durable on return.
Result<DeadLetterChange> drop_dead_letters(stream::Store& store,
                                           std::span<const DeadLetterEntry> letters);

}  // namespace sluice::cli
