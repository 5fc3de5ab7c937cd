// Addresses a pipeline file lets the host listen at.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::graph {

// Reads `127.0.0.1:9100`, `[::1]:9100`, `localhost:9100`, `:9100` or `9100`; without an address it
// is the loopback one, 127.0.0.1. Port 0 stands for any that is free.
//
// Shape: address and port, in one form for all that mean the same; nullopt when it is none of
// these.
std::optional<std::string> parse_listen_address(std::string_view text);

}  // namespace sluice::graph
