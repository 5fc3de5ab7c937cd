#include "apply/stop.h"

namespace sluice::apply {

Stop shape_stop(std::string_view new_sl, std::string_view side,
                const std::optional<trade::Position>& position) {
  if (!position || !position->mark_price || !position->filters) return {"no_exchange_snapshot", {}};
  if (!position->filters->price_tick.is_positive()) return {"no_exchange_snapshot", {}};
  const auto asked = Decimal::parse(new_sl);
  const auto price = asked ? asked->towards_zero_to(position->filters->price_tick) : std::nullopt;
  if (!price || !price->is_positive()) return {"missing_new_sl", {}};
  const bool waits =
      side == "SELL" ? *price < *position->mark_price : *price > *position->mark_price;
  if (!waits) return {"stop_would_trigger", {}};
  return {"", *price};
}

}  // namespace sluice::apply
