// What an error of a server asks of us.
#pragma once

#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"

namespace sluice::redis {

enum class ErrorClass {
  kRetry,    // LOADING, BUSY, MASTERDOWN, CLUSTERDOWN, TRYAGAIN, NOREPLICAS, MISCONF, OOM: later it
             // may go
  kReroute,  // MOVED, ASK, READONLY: another server has it
  kNoScript,  // the server does not know the script (any more)
  kNoGroup,   // stream or group is gone
  kRefused  // NOAUTH, WRONGPASS, NOPERM, WRONGTYPE and whatever is not known: trying again changes
            // nothing
};

// `error` is the text behind the minus: "MOVED 3999 127.0.0.1:6381".
ErrorClass class_of(std::string_view error);

// kRetry as kUnavailable, others as kInvalid, with the command's name and the server's words.
Status error_status(std::string_view command, std::string_view error);

// Pauses that double from `first` to `max`, each shortened by up to half at random, so that hosts
// do not come back together.
class Backoff {
 public:
  explicit Backoff(Random& random, std::chrono::milliseconds first = std::chrono::milliseconds(1),
                   std::chrono::milliseconds max = std::chrono::milliseconds(1000));
  std::chrono::milliseconds next();
  void reset();
};

}  // namespace sluice::redis
