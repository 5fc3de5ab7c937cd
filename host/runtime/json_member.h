// One member of a JSON object, without building a tree.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::runtime {

// The text of the top-level member `name`: a string's content, or the literal of a number or
// boolean. nullopt when the text is not a JSON object, lacks the member, or holds an object, array
// or null there.
std::optional<std::string> json_member(std::string_view json, std::string_view name);

}  // namespace sluice::runtime
