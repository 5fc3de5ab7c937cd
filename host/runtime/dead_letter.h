// What a dead letter looks like: the original fields, then why and from where.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/entry_id.h"
#include "stream/fields.h"

namespace sluice::runtime {

// Names of the fields the host adds. Replaying an entry drops them again.
inline constexpr std::string_view kDeadLetterPrefix = "sluice.";
inline constexpr std::string_view kDeadStage = "sluice.stage";
inline constexpr std::string_view kDeadReason = "sluice.reason";  // a short word, counted by
inline constexpr std::string_view kDeadDetail = "sluice.detail";  // object, value and rule
inline constexpr std::string_view kDeadStream = "sluice.stream";  // where the entry came from
inline constexpr std::string_view kDeadId = "sluice.id";
inline constexpr std::string_view kDeadDeliveries = "sluice.deliveries";
inline constexpr std::string_view kDeadAt = "sluice.at";  // microseconds since the epoch

struct DeadLetter {
  std::string_view stage;
  std::string_view reason;
  std::string_view detail;
  std::string_view stream;
  EntryId id;
  uint32_t deliveries = 1;
  WallTime at{};
};

stream::Fields dead_letter_fields(stream::FieldsView original, const DeadLetter& letter);

}  // namespace sluice::runtime
