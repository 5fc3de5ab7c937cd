// Libraries described in child processes, so that their constructors can do no harm here.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "plugin/catalog.h"

namespace sluice::plugin {

// One answer for each path, in that order: a description or why there is none.
//
// One child describes all; when a library makes it die, that library is refused and another child
// goes on with the rest. Each library has `timeout_ms`.
//
// Threads: [control], before any other thread starts: a fork copies only the calling thread.
std::vector<Result<Description>> describe_all(const std::vector<std::string>& paths,
                                              int timeout_ms);

}  // namespace sluice::plugin
