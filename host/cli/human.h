// Numbers and times as people read them.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"

namespace sluice::cli {

// "1,430,000".
std::string count_text(uint64_t count);

// "1 entry", "2 entries": `many` is the plural.
std::string plural(uint64_t count, const char* one, const char* many);

// The two largest units that say something: "850us", "3.2ms", "12.5s", "3m 12s", "2h 5m", "4d 3h".
std::string age_text(Micros age);

}  // namespace sluice::cli
