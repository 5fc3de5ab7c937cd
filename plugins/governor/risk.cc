#include "governor/risk.h"

#include "common/text.h"

namespace sluice::governor {

std::string_view broken_bound(const trade::Plan& plan, const Decimal& size,
                              const RiskBounds& bounds) {
  if (size > bounds.size_max) return "SIZE_OUT_OF_BOUNDS";
  const auto leverage = Decimal::parse(plan.leverage);
  if (!leverage || !leverage->is_positive() || *leverage > bounds.leverage_max)
    return "LEVERAGE_OUT_OF_BOUNDS";
  const auto notional = size.times(*leverage);
  if (!notional || *notional > bounds.notional_max) return "NOTIONAL_EXCEEDED";
  if (bounds.confidence_min > 0) {
    const auto confidence = trade::read_double(plan.confidence);
    if (!confidence || *confidence < bounds.confidence_min) return "CONFIDENCE_BELOW_FLOOR";
  }
  if (!plan.risk_budget_usd.empty()) {
    const auto budget = Decimal::parse(plan.risk_budget_usd);
    if (!budget || size > *budget) return "EXCEEDS_RISK_BUDGET";
  }
  return {};
}

}  // namespace sluice::governor
