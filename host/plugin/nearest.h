// The word somebody probably meant: for "did you mean" in refusals.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::plugin {

// The choice closest to `word` by edits (insert, delete, replace, swap of neighbours; case does not
// count), the first of several; nullopt when even that one differs in more than a third of its
// letters.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& choices);

// The one of `choices` that `word` is a slip of the pen of: at most 2 edits away (1 in words of up
// to 4 characters), and no other choice as near. Safe to put in its place unasked.
std::optional<std::string> slip_of(std::string_view word, const std::vector<std::string>& choices);

}  // namespace sluice::plugin
