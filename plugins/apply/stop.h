// The stop order a moved stop becomes. Plain values, no host.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/control.h"

namespace sluice::apply {

// Price of a STOP_MARKET order, or why there can be none.
struct Stop {
  std::string error;  // error code, or empty
  Decimal price;      // a multiple of the symbol's tick
};

// `new_sl` cut to the symbol's tick, towards zero. `side` is that of the order: SELL guards a long
// position, so its stop lies below the mark price; BUY guards a short one.
//
// Errors: missing_new_sl (no price above 0 is left), no_exchange_snapshot (none, or without price
//   or tick), stop_would_trigger (it lies on the mark price or on its wrong side: the exchange
//   would close at once, which nobody permitted).
Stop shape_stop(std::string_view new_sl, std::string_view side,
                const std::optional<trade::Position>& position);

}  // namespace sluice::apply
