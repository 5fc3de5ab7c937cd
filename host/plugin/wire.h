// Descriptions and complaints as bytes, for the pipe between the host and a child that runs the
// code of a library.
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

std::string to_bytes(const std::vector<Complaint>& complaints);

// nullopt when the bytes are not what to_bytes wrote.
std::optional<Result<Description>> description_from(std::string_view bytes);
std::optional<std::vector<Complaint>> complaints_from(std::string_view bytes);

}  // namespace sluice::plugin
