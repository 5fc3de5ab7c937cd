#include "redis/url.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace sluice::redis {
namespace {

constexpr uint16_t kServerPort = 6379, kSentinelPort = 26379;

struct Scheme {
  std::string_view name;
  Target::Mode mode;
  bool tls;
};

constexpr Scheme kSchemes[] = {
    {"redis", Target::Mode::kSingle, false},
    {"rediss", Target::Mode::kSingle, true},
    {"redis+sentinel", Target::Mode::kSentinel, false},
    {"rediss+sentinel", Target::Mode::kSentinel, true},
    {"redis+cluster", Target::Mode::kCluster, false},
    {"rediss+cluster", Target::Mode::kCluster, true},
    {"unix", Target::Mode::kSingle, false},
};

Status invalid(std::string what) { return {Code::kInvalid, std::move(what)}; }

// Splits `text` at the first `mark`; without one all is in front of it.
std::pair<std::string_view, std::string_view> cut(std::string_view text, char mark) {
  const size_t place = text.find(mark);
  if (place == text.npos) return {text, {}};
  return {text.substr(0, place), text.substr(place + 1)};
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<char> hex_byte(std::string_view digits) {
  unsigned value = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || digits.size() != 2 || end != digits.data() + 2) return std::nullopt;
  return static_cast<char>(value);
}

// Turns each %XX into its byte.
Result<std::string> decoded(std::string_view text, std::string_view what) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const auto byte = hex_byte(text.substr(i + 1, 2));
    if (!byte || *byte == 0)
      return invalid(fmt::format("{}: % is not followed by the two hex digits of a byte", what));
    out += *byte;
    i += 2;
  }
  return out;
}

bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

bool is_ipv6(std::string_view text) {
  return text.find(':') != text.npos &&
         text.find_first_not_of("0123456789abcdefABCDEF:.") == text.npos;
}

class UrlReader {
 public:
  Result<Target> read(std::string_view url) {
    const size_t mark = url.find("://");
    const auto scheme = std::find_if(
        std::begin(kSchemes), std::end(kSchemes),
        [&](const Scheme& s) { return mark != url.npos && s.name == url.substr(0, mark); });
    if (scheme == std::end(kSchemes))
      return invalid(
          "expected one of redis://, rediss://, unix://, redis+sentinel:// and "
          "redis+cluster://");
    target_.mode = scheme->mode;
    model_.tls = scheme->tls;
    const auto [place, query] = cut(url.substr(mark + 3), '?');
    SLUICE_TRY(scheme->name == "unix" ? read_socket(place) : read_servers(place));
    SLUICE_TRY(read_query(query));
    for (Endpoint& endpoint : target_.endpoints) {
      endpoint.tls = model_.tls;
      endpoint.ca_file = model_.ca_file;
      endpoint.certificate_file = model_.certificate_file;
      endpoint.key_file = model_.key_file;
    }
    if (target_.mode == Target::Mode::kCluster && target_.login.database != 0)
      return invalid("a cluster has database 0 only");
    return std::move(target_);
  }

 private:
  Status read_servers(std::string_view place) {
    const auto [authority, path] = cut(place, '/');
    SLUICE_ASSIGN(hosts, read_login(authority));
    for (std::string_view left = hosts;;) {
      const auto [host, more] = cut(left, ',');
      SLUICE_TRY(read_host(host));
      if (host.size() == left.size()) break;
      left = more;
    }
    if (target_.mode != Target::Mode::kSentinel) return read_database(path);
    const auto [name, database] = cut(path, '/');
    SLUICE_ASSIGN(decoded_name, decoded(name, "name of the master"));
    if (decoded_name.empty())
      return invalid("the name of the master is missing: redis+sentinel://HOST,HOST/NAME");
    target_.master_name = std::move(decoded_name);
    return read_database(database);
  }

  Status read_socket(std::string_view place) {
    const size_t slash = place.find('/');
    if (slash == place.npos)
      return invalid("expected the path of a socket: unix:///run/redis.sock");
    SLUICE_ASSIGN(hosts, read_login(place.substr(0, slash)));
    if (!hosts.empty()) return invalid("a socket has no host: unix:///run/redis.sock");
    SLUICE_ASSIGN(path, decoded(place.substr(slash), "path"));
    target_.endpoints.push_back({.path = std::move(path)});
    return Status::ok();
  }

  // Reads what is in front of the last @ and returns what is behind it.
  Result<std::string_view> read_login(std::string_view authority) {
    const size_t at = authority.rfind('@');
    if (at == authority.npos) return authority;
    const auto [user, password] = cut(authority.substr(0, at), ':');
    SLUICE_ASSIGN(decoded_user, decoded(user, "user"));
    SLUICE_ASSIGN(decoded_password, decoded(password, "password"));
    target_.login.user = std::move(decoded_user);
    target_.login.password = std::move(decoded_password);
    return authority.substr(at + 1);
  }

  Status read_host(std::string_view text) {
    Endpoint endpoint;
    endpoint.port = target_.mode == Target::Mode::kSentinel ? kSentinelPort : kServerPort;
    const std::string which = fmt::format("host {}", target_.endpoints.size() + 1);
    const size_t bracket = text.starts_with('[') ? text.find(']') : text.npos;
    const size_t colon = text.find(':', bracket == text.npos ? 0 : bracket);
    if (bracket == text.npos)
      endpoint.host = text.substr(0, colon);
    else
      endpoint.host = text.substr(1, bracket - 1);
    const bool is_whole = bracket == text.npos || bracket + 1 == std::min(colon, text.size());
    if (!is_whole || !(bracket == text.npos ? is_host(endpoint.host) : is_ipv6(endpoint.host)))
      return invalid(which + " is neither a name nor an address (IPv6: [::1])");
    if (colon != text.npos) {
      const auto port = number<uint16_t>(text.substr(colon + 1));
      if (!port || *port == 0) return invalid(which + ": its port is not a number of 1 to 65535");
      endpoint.port = *port;
    }
    target_.endpoints.push_back(std::move(endpoint));
    return Status::ok();
  }

  // "" is database 0.
  Status read_database(std::string_view text) {
    const auto value = text.empty() ? 0 : number<uint32_t>(text);
    if (!value || *value > INT32_MAX) return invalid("the database is not a number from 0");
    target_.login.database = *value;
    return Status::ok();
  }

  Status read_query(std::string_view query) {
    while (!query.empty()) {
      const auto [pair, more] = cut(query, '&');
      query = more;
      const auto [name, value] = cut(pair, '=');
      if (name == "db" && !target_.endpoints[0].path.empty()) {
        SLUICE_TRY(read_database(value));
        continue;
      }
      std::string* const file = name == "ca_file"            ? &model_.ca_file
                                : name == "certificate_file" ? &model_.certificate_file
                                : name == "key_file"         ? &model_.key_file
                                                             : nullptr;
      if (file == nullptr || !model_.tls)
        return invalid(
            "behind the ? is what has no meaning there; expected db (unix), or ca_file, "
            "certificate_file, key_file (rediss)");
      SLUICE_ASSIGN(path, decoded(value, "file"));
      *file = std::move(path);
    }
    if (model_.certificate_file.empty() != model_.key_file.empty())
      return invalid("certificate_file and key_file belong together");
    return Status::ok();
  }

  Target target_;
  Endpoint model_;  // what all endpoints share
};

}  // namespace

Result<Target> parse_url(std::string_view url) { return UrlReader().read(url); }

}  // namespace sluice::redis
