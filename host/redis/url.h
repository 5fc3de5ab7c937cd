// Where servers are and who we are to them, as one line of text.
//
//   redis://[user[:password]@]host[:port][,host[:port]...][/database]
//   unix://[user[:password]@]/path/of/socket[?db=database]
//   redis+sentinel://[user[:password]@]host[:port][,...]/master-name[/database]
//   redis+cluster://[user[:password]@]host[:port][,...]
//
// `rediss` in place of `redis` is TLS; then `?ca_file=`, `?certificate_file=` and `?key_file=` name
// files, joined by `&`. An address of IPv6 stands in brackets. Bytes that mean something here are
// written %XX in user, password, paths and names.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "redis/connection.h"

namespace sluice::redis {

struct Target {
  enum class Mode {
    kSingle,    // the first of `endpoints` that is a master and answers
    kSentinel,  // `endpoints` are sentinels, which know the master
    kCluster,   // `endpoints` are some of the nodes
  };
  Mode mode = Mode::kSingle;
  std::vector<Endpoint> endpoints;  // at least one
  std::string master_name;          // kSentinel
  Login login;                      // to the servers; sentinels are asked without
};

// Errors: kInvalid says what is wrong ("host 2: its port is not ...") and shows nothing of the url,
//         as a password may be anywhere in it.
Result<Target> parse_url(std::string_view url);

}  // namespace sluice::redis
