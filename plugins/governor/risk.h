// Bounds of an opening whatever was traded before. Plain values, no host.
//
// Source: reference contract, section 4.3. There the bounds are clamps on values that are then not
// used; a plan is bound to its content, so what is out of bounds is refused here.
#pragma once

#include <string_view>

#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::governor {

// Bounds of one symbol and side.
struct RiskBounds {
  Decimal size_max;           // USD of one opening
  Decimal leverage_max;       // times
  Decimal notional_max;       // USD: size times leverage
  double confidence_min = 0;  // 0: no floor
};

// The first bound the opening breaks, or empty: SIZE_OUT_OF_BOUNDS, LEVERAGE_OUT_OF_BOUNDS,
// NOTIONAL_EXCEEDED, CONFIDENCE_BELOW_FLOOR, EXCEEDS_RISK_BUDGET. `size`: its notional in USD.
//
// A value that is needed and cannot be read breaks its bound. A plan without risk budget has none
// to exceed.
std::string_view broken_bound(const trade::Plan& plan, const Decimal& size,
                              const RiskBounds& bounds);

}  // namespace sluice::governor
