// What an error of a server asks of us.
#pragma once

#include <string_view>

#include "base/status.h"

namespace sluice::redis {

enum class ErrorClass {
  // Later it may go: LOADING, BUSY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, NOREPLICAS, MISCONF, OOM.
  kRetry,
  // Another server has it: MOVED, ASK, READONLY, UNBLOCKED.
  kReroute,
  // The server does not know the script (any more).
  kNoScript,
  // Stream or group is gone.
  kNoGroup,
  // Trying again changes nothing: NOAUTH, WRONGPASS, NOPERM, WRONGTYPE and whatever is not known.
  kRefused,
};

// `error` is the text behind the minus: "MOVED 3999 127.0.0.1:6381".
ErrorClass class_of(std::string_view error);

// kRetry and kReroute as kUnavailable, others as kInvalid, with the command's name and the server's
// words.
Status error_status(std::string_view command, std::string_view error);

}  // namespace sluice::redis
