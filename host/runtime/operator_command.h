// What an operator may tell the trade pipeline, and what each command changes.
//
// A command is one unit: the change of a key and an entry in the operator's stream, which says who,
// when and why. Nothing here places or closes an order.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "stream/store.h"

namespace sluice::runtime {

inline constexpr std::string_view kOperatorStream = "quantum:stream:operator.command";
inline constexpr std::string_view kKillKey = "quantum:kill";
inline constexpr std::string_view kGlobalKillKey = "quantum:global:kill_switch";
inline constexpr std::string_view kDisarmKey = "quantum:apply:disarmed";
inline constexpr std::string_view kLedgerPrefix = "quantum:position:ledger:";
inline constexpr std::string_view kHoldPrefix = "quantum:reconcile:hold:";
// Text of a hold that stays until an operator takes it away.
inline constexpr std::string_view kOperatorHold = "operator";

// False for "", 0, false, no and off in any case; true for everything else, also for what nobody
// can read.
bool says_on(std::string_view text);

// Text fields as they stand in the operator's stream, in this order.
struct OperatorCommand {
  std::string command;  // kill_on, kill_off, rearm, repair_ledger, hold, unhold
  std::string symbol;   // of the last three; empty otherwise
  std::string amount;   // of repair_ledger: the position as signed decimal; empty otherwise
  std::string reason;   // never empty
  std::string by;       // who gave it
  int64_t at_us = 0;    // when it was given, by the clock of whoever gave it
  std::string id;       // letters, digits, - only; the same id is applied once, ever

  // Errors: kInvalid, naming the field, the value and what is expected.
  Status check() const;
};

// One JSON object on one line.
std::string command_text(const OperatorCommand& command);
// Errors: as `check`, and kInvalid for text that is no such object.
Result<OperatorCommand> read_command(std::string_view text);

// The operator's stream, opened when it is not there yet. One that the pipeline file declares keeps
// the options it gives there.
Result<stream::StreamId> operator_stream(stream::Store& store);

// Where the store remembers that a command was applied.
std::string applied_key(std::string_view id);

// Applies `command` unless its id was applied before. Durable on return. A repair is left to the
// stage that reads the operator's stream when there is one.
//
// Errors: as `check`; those of the store.
Status apply_command(stream::Store& store, const OperatorCommand& command);

}  // namespace sluice::runtime
