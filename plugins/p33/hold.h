// The hold of a symbol: as long as its key has a value, P3.3 denies every plan.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sluice/plugin.h"

namespace sluice::p33 {

std::string hold_key(std::string_view symbol);

// Any value that is not empty text holds, whoever wrote it.
bool is_holding(const Value& value);

// A hold that reconcile set. Everything else under the key is an operator's.
struct OwnHold {
  std::string reason;
  int64_t until_us = 0;  // when the key expires
};
std::string own_hold_text(const OwnHold& hold);
// nullopt when the value is not reconcile's own.
std::optional<OwnHold> read_own_hold(const Value& value);

}  // namespace sluice::p33
