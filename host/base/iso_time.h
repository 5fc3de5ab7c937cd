// ISO 8601 timestamps, as producers write them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace sluice {

// Reads `YYYY-MM-DDTHH:MM:SS[.f…][Z|±HH:MM]`; a blank may stand for the T; no zone means UTC.
// Digits of the fraction beyond microseconds are dropped. nullopt for anything else, impossible
// dates included.
std::optional<WallTime> parse_iso_time(std::string_view text);

// "2025-11-22T13:32:18.282193Z"; six digits of fraction, always.
std::string iso_time_text(WallTime time);

}  // namespace sluice
