// Symbol filters of the paper exchange: what a quantity and a price must be multiples of.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/decimal.h"

namespace sluice::paper {

// Units: price in quote currency, quantities in base asset, notional in quote currency.
struct Filters {
  Decimal price_tick;
  Decimal qty_step;
  Decimal qty_min;
  Decimal qty_max;  // of one market order
  Decimal notional_min;

  friend bool operator==(const Filters&, const Filters&) = default;
};

// Why the exchange does not take an order: its number, a word to count by, and a sentence.
// Source: error codes of Binance USD-M futures.
struct Refusal {
  int code = 0;
  std::string word;
  std::string text;
};

// Filters by symbol: the ones given, then a small built-in table, then a rule on the price.
using FilterTable = std::map<std::string, Filters, std::less<>>;

// Reads "BTCUSDT:tick=0.1:step=0.001:min=0.001:max=120:notional=100", one text for each symbol;
// what a text leaves out stays at the built-in value, or at 0.01, 0.001, the step, 1000000 and 5.
//
// Errors: the faulty text and what was expected, as the second member.
std::pair<FilterTable, std::string> parse_filters(const std::vector<std::string>& texts);

// The symbol's filters. `price_typical` decides for symbols that no table has: a tick near one part
// in a hundred thousand of it and a step worth a tenth to one unit of quote currency.
Filters filters_for(const FilterTable& given, std::string_view symbol,
                    const Decimal& price_typical);

// The filters of a market order, in the exchange's order. A reducing order needs no minimum
// notional. Quantities are never changed to fit.
std::optional<Refusal> check_market_order(const Filters& filters, const Decimal& quantity,
                                          const Decimal& mark_price, bool reduce_only);

// Trigger price of a stop: above 0, on the tick, and not reached yet.
std::optional<Refusal> check_stop_price(const Filters& filters, const Decimal& stop_price,
                                        const Decimal& mark_price, bool is_buy);

}  // namespace sluice::paper
