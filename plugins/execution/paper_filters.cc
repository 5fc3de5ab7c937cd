#include "execution/paper_filters.h"

#include <utility>

namespace sluice::paper {
namespace {

struct Known {
  std::string_view symbol, tick, step, qty_max, notional_min;
};

// Rounded figures of the public exchange information; the smallest quantity is the step.
constexpr Known kKnown[] = {
    {"BTCUSDT", "0.1", "0.001", "120", "100"},    {"ETHUSDT", "0.01", "0.001", "2000", "20"},
    {"SOLUSDT", "0.01", "0.01", "50000", "5"},    {"BNBUSDT", "0.01", "0.01", "2000", "5"},
    {"XRPUSDT", "0.0001", "0.1", "2000000", "5"}, {"ADAUSDT", "0.0001", "1", "2000000", "5"},
    {"DOGEUSDT", "0.00001", "1", "9000000", "5"}, {"AVAXUSDT", "0.001", "0.1", "50000", "5"},
    {"LINKUSDT", "0.001", "0.01", "50000", "5"},  {"TRXUSDT", "0.00001", "1", "9000000", "5"},
};

Decimal exact(std::string_view text) { return Decimal::parse(text).value_or(Decimal()); }

Filters make(std::string_view tick, std::string_view step, std::string_view max,
             std::string_view notional) {
  return {exact(tick), exact(step), exact(step), exact(max), exact(notional)};
}

std::optional<Filters> known(std::string_view symbol) {
  for (const Known& row : kKnown) {
    if (row.symbol == symbol) return make(row.tick, row.step, row.qty_max, row.notional_min);
  }
  return std::nullopt;
}

Filters by_price(const Decimal& price) {
  if (price >= Decimal(10000)) return make("0.1", "0.0001", "1000", "5");
  if (price >= Decimal(1000)) return make("0.01", "0.001", "10000", "5");
  if (price >= Decimal(100)) return make("0.01", "0.01", "100000", "5");
  if (price >= Decimal(10)) return make("0.001", "0.1", "1000000", "5");
  if (price >= Decimal(1)) return make("0.0001", "0.1", "1000000", "5");
  if (price >= exact("0.01")) return make("0.00001", "1", "10000000", "5");
  return make("0.0000001", "10", "1000000000", "5");
}

Decimal* member(Filters& filters, std::string_view name) {
  if (name == "tick") return &filters.price_tick;
  if (name == "step") return &filters.qty_step;
  if (name == "min") return &filters.qty_min;
  if (name == "max") return &filters.qty_max;
  if (name == "notional") return &filters.notional_min;
  return nullptr;
}

// One "name=value"; false when it is not.
bool apply(Filters& filters, std::string_view part) {
  const size_t equals = part.find('=');
  if (equals == std::string_view::npos) return false;
  Decimal* target = member(filters, part.substr(0, equals));
  const auto value = Decimal::parse(part.substr(equals + 1));
  if (target == nullptr || !value || value->is_negative()) return false;
  if (value->is_zero() && target != &filters.notional_min) return false;
  *target = *value;
  return true;
}

bool parse_one(std::string_view text, FilterTable& table) {
  const size_t colon = text.find(':');
  const std::string symbol(text.substr(0, colon));
  if (symbol.empty() || colon == std::string_view::npos) return false;
  Filters filters = known(symbol).value_or(make("0.01", "0.001", "1000000", "5"));
  const Decimal step_before = filters.qty_step;
  for (std::string_view rest = text.substr(colon + 1); !rest.empty();) {
    const size_t end = std::min(rest.find(':'), rest.size());
    if (!apply(filters, rest.substr(0, end))) return false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  // A step given alone is the smallest quantity as well.
  if (filters.qty_min == step_before && text.find(":min=") == std::string_view::npos)
    filters.qty_min = filters.qty_step;
  table[symbol] = filters;
  return true;
}

}  // namespace

std::pair<FilterTable, std::string> parse_filters(const std::vector<std::string>& texts) {
  FilterTable table;
  for (const std::string& text : texts) {
    if (!parse_one(text, table))
      return {{},
              "expected SYMBOL:tick=..:step=..:min=..:max=..:notional=.., got \"" + text + "\""};
  }
  return {std::move(table), ""};
}

Filters filters_for(const FilterTable& given, std::string_view symbol,
                    const Decimal& price_typical) {
  if (const auto found = given.find(symbol); found != given.end()) return found->second;
  return known(symbol).value_or(by_price(price_typical));
}

std::optional<Refusal> check_market_order(const Filters& filters, const Decimal& quantity,
                                          const Decimal& mark_price, bool reduce_only) {
  if (!quantity.is_positive())
    return Refusal{-4003, "quantity", "Quantity less than or equal to zero."};
  if (quantity < filters.qty_min)
    return Refusal{-4004, "qty_min", "Quantity less than " + filters.qty_min.text() + "."};
  if (quantity > filters.qty_max)
    return Refusal{-4005, "qty_max", "Quantity greater than " + filters.qty_max.text() + "."};
  if (!quantity.is_multiple_of(filters.qty_step))
    return Refusal{-4023, "qty_step",
                   "Quantity not increased by step size " + filters.qty_step.text() + "."};
  const auto notional = quantity.times(mark_price);
  if (!notional) return Refusal{-4005, "qty_max", "Notional is out of range."};
  if (!reduce_only && *notional < filters.notional_min)
    return Refusal{-4164, "notional_min",
                   "Order's notional " + notional->text() + " must be no smaller than " +
                       filters.notional_min.text() + " (unless you choose reduce only)."};
  return std::nullopt;
}

std::optional<Refusal> check_stop_price(const Filters& filters, const Decimal& stop_price,
                                        const Decimal& mark_price, bool is_buy) {
  if (!stop_price.is_positive())
    return Refusal{-4006, "stop_price", "Stop price less than or equal to zero."};
  if (!stop_price.is_multiple_of(filters.price_tick))
    return Refusal{-4014, "stop_price",
                   "Price not increased by tick size " + filters.price_tick.text() + "."};
  const bool is_reached = is_buy ? mark_price >= stop_price : mark_price <= stop_price;
  if (is_reached) return Refusal{-2021, "would_trigger", "Order would immediately trigger."};
  return std::nullopt;
}

}  // namespace sluice::paper
