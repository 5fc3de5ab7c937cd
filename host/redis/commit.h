// A commit as a call of scripts/commit.lua, and what came of it.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "redis/handles.h"
#include "redis/resp.h"
#include "redis/scripts.h"
#include "stream/store.h"

namespace sluice::redis {

// What one command can hold: more than that is refused before anything is sent.
inline constexpr size_t kCommitBytesMax = 64 << 20;
inline constexpr size_t kEntryFieldsMax = 2000;  // the Lua stack of Redis ends at 8,000 values
inline constexpr milliseconds kDurationMax{int64_t{100} * 365 * 24 * 3600 * 1000};

// Whether a second try of these units is told from the first by a token: those without an ack have
// no fence that holds twice.
bool needs_token(std::span<const stream::Unit> units);

// One commit, encoded.
//
// Threads: one caller.
class CommitCall {
 public:
  // `clock`: text of the recorded time, empty under the server's. `token`: empty for none; it is
  // kept for `token_life`.
  //
  // Errors: kInvalid names what cannot be: unknown handles, wrong sizes, one name used in two ways,
  //         names in two slots of a cluster. Nothing was added to `commands` then.
  Status encode(Commands& commands, const Names& names, const Handles& handles,
                std::span<const stream::Unit> units, std::string_view clock, std::string_view token,
                milliseconds token_life);

  // Some key of the commit: all of them are on one server.
  std::string_view key() const { return key_; }

  // The groups that units ack in.
  const std::vector<OpenGroup*>& groups() const { return groups_; }

  // Reads the script's answer. Errors: kCorrupt when it does not fit the units.
  static Status read(const Reply& answer, std::span<const stream::Unit> units,
                     std::vector<stream::UnitOutcome>& outcomes, WallTime& now);

 private:
  Status collect(const Handles& handles, std::span<const stream::Unit> units);
  Status collect(const Handles& handles, const stream::Unit& unit);
  Status collect(const stream::Condition& condition);
  Status collect(const Handles& handles, const stream::Effect& effect);
  Status use_key(std::string_view key);
  Status use_counter(std::string_view key);
  Status check_names() const;
  Status check_slots() const;
  size_t index_of(const OpenStream* stream) const;
  size_t index_of(const OpenGroup* group) const;
  void add_keys(Commands& commands, const Names& names, std::span<const stream::Unit> units,
                bool recorded, std::string_view token) const;
  void add_unit(const Handles& handles, const stream::Unit& unit);
  void add(const stream::Condition& condition);
  void add(const Handles& handles, const stream::Effect& effect);
  void add_part(std::string_view letter, int64_t number);
  void add_part(std::string_view letter, int64_t number, stream::FieldsView fields);

  std::vector<OpenStream*> emitted_;  // each once
  std::vector<OpenStream*> others_;   // of groups and removals, unless emitted to
  std::vector<OpenGroup*> groups_;    // each once
  std::vector<std::string_view> keys_;
  std::vector<std::string_view> counters_;  // in the order of use, twice if used twice
  size_t written_ = 0, read_ = 0, bytes_ = 0;

  // Units in a row that differ in their values only: the form they have in common is sent once.
  struct Run {
    const std::string* form = nullptr;  // in forms_
    size_t number = 0;                  // of the form, from 1
    bool is_first = false;              // of its form
    size_t units = 0;
    size_t values_end = 0;  // in the bytes of values_
  };
  std::map<std::string, size_t, std::less<>> forms_;  // encoded, and their numbers
  std::vector<Run> runs_;
  Arguments form_;             // of the unit that is added
  Arguments values_;           // of all units
  size_t form_arguments_ = 0;  // of all forms
  std::string_view key_;
};

}  // namespace sluice::redis
