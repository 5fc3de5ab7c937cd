// Descriptions as bytes, for the pipe between the host and the child that describes a library.
//
// Both ends are the same program: no versions, host byte order. The bytes may still be anything,
// because the library's code ran beside the writer; reading checks every length.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "plugin/catalog.h"

namespace sluice::plugin {

std::string to_bytes(const Result<Description>& described);

// nullopt when the bytes are not what to_bytes wrote.
std::optional<Result<Description>> from_bytes(std::string_view bytes);

}  // namespace sluice::plugin
