#include "graph/listen_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdint>

namespace sluice::graph {
namespace {

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// The address as it is printed, or nullopt when it is none of that family.
std::optional<std::string> canonical(int family, std::string_view text) {
  in6_addr address{};  // room for either
  char printed[INET6_ADDRSTRLEN];
  if (inet_pton(family, std::string(text).c_str(), &address) != 1 ||
      inet_ntop(family, &address, printed, sizeof printed) == nullptr)
    return std::nullopt;
  return printed;
}

}  // namespace

std::optional<std::string> parse_listen_address(std::string_view text) {
  const size_t colon = text.rfind(':');
  const auto port = parse_port(colon == text.npos ? text : text.substr(colon + 1));
  if (!port) return std::nullopt;
  const std::string_view host = colon == text.npos ? "" : text.substr(0, colon);
  if (host.empty() || host == "localhost") return fmt::format("127.0.0.1:{}", *port);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    const auto address = canonical(AF_INET6, host.substr(1, host.size() - 2));
    return address ? std::optional(fmt::format("[{}]:{}", *address, *port)) : std::nullopt;
  }
  const auto address = canonical(AF_INET, host);
  return address ? std::optional(fmt::format("{}:{}", *address, *port)) : std::nullopt;
}

}  // namespace sluice::graph
