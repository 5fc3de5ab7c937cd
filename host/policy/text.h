// Small pieces of wording for messages.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice::policy {

// `, did you mean "per_hour"?` when one of `names` is close to `met`, otherwise "".
std::string suggestion(std::string_view met, const std::vector<std::string>& names);

// The first `bytes_max` bytes, with "..." when something was left out; control characters become
// spaces, so that a message stays on one line.
std::string cut(std::string_view text, size_t bytes_max);

// Names with a comma between.
std::string listed(const std::vector<std::string>& names);

// FNV-1a, 64 bits folded to eight hex digits. Tells versions apart; no protection against
// somebody who looks for two texts with one digest.
std::string digest(std::string_view text);

// What follows the last slash.
std::string_view file_name(std::string_view path);

// The line (from 1) on which `key` is first assigned in a table constructor or by a field; 0 when
// it is not found.
int line_of_key(std::string_view source, std::string_view key);

// The line (from 1) on which the source holds a zero byte or an escape for one; 0 when there is
// none.
int line_of_zero_byte(std::string_view source);

}  // namespace sluice::policy
