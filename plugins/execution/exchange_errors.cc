#include "execution/exchange_errors.h"

#include <algorithm>
#include <iterator>

namespace sluice::execution {
namespace {

// Codes from `from` down to `to` mean the same.
struct Range {
  int from, to;
  Reaction reaction;
};

// The first that fits counts; what fits none is a query.
constexpr Range kRanges[] = {
    {-1000, -1001, Reaction::kQuery},    // unknown, disconnected
    {-1003, -1003, Reaction::kBackOff},  // too many requests
    {-1006, -1007, Reaction::kQuery},    // unexpected answer, timeout
    {-1008, -1008, Reaction::kBackOff},  // system protection
    {-1010, -1010, Reaction::kQuery},   {-1015, -1015, Reaction::kBackOff},  // too many orders
    {-1016, -1016, Reaction::kBackOff},                                      // shutting down
    {-1021, -1021, Reaction::kResync},  // timestamp outside of the window
    {-1002, -1005, Reaction::kReject},  // keys, white lists
    {-1011, -1014, Reaction::kReject},  {-1020, -1023, Reaction::kReject},
    {-1099, -1136, Reaction::kReject},  // form of the request
    {-2010, -2010, Reaction::kReject},  // new order rejected
    {-2011, -2013, Reaction::kQuery},   // of cancels and queries: nothing is proved
    {-2014, -2028, Reaction::kReject},  // keys, balance, margin, reduce-only
    {-4001, -4030, Reaction::kReject},  // filters, parameters, leverage
    {-4045, -4048, Reaction::kReject},  {-4059, -4068, Reaction::kReject},
    {-4082, -4082, Reaction::kReject},  {-4083, -4083, Reaction::kQuery},
    {-4087, -4088, Reaction::kReject},  {-4109, -4109, Reaction::kReject},
    {-4116, -4117, Reaction::kQuery},  // duplicate id, triggering: an earlier try is there
    {-4118, -4120, Reaction::kReject},  {-4131, -4142, Reaction::kReject},
    {-4161, -4192, Reaction::kReject},  {-4210, -4211, Reaction::kReject},
    {-4400, -4403, Reaction::kReject},  {-4531, -4531, Reaction::kReject},
    {-5021, -5022, Reaction::kReject},  {-5024, -5029, Reaction::kReject},
    {-5037, -5041, Reaction::kReject},
};

struct Word {
  int code;
  std::string_view word;
};
constexpr Word kWords[] = {
    {-1003, "too_many_requests"},
    {-1008, "throttled"},
    {-1015, "too_many_orders"},
    {-1021, "timestamp"},
    {-1111, "qty_step"},
    {-1121, "symbol"},
    {-2010, "new_order_rejected"},
    {-2018, "margin_insufficient"},
    {-2019, "margin_insufficient"},
    {-2021, "would_trigger"},
    {-2022, "reduce_only"},
    {-2024, "reduce_only"},
    {-2026, "reduce_only"},
    {-4003, "quantity"},
    {-4004, "qty_min"},
    {-4005, "qty_max"},
    {-4006, "stop_price"},
    {-4007, "stop_price"},
    {-4014, "stop_price"},
    {-4015, "client_order_id"},
    {-4023, "qty_step"},
    {-4118, "reduce_only"},
    {-4142, "would_trigger"},
    {-4164, "notional_min"},
};

}  // namespace

Reaction reaction_to(int code) {
  for (const Range& range : kRanges) {
    if (code <= range.from && code >= range.to) return range.reaction;
  }
  return Reaction::kQuery;
}

std::string_view reason_word(int code, std::string_view given) {
  const auto found = std::find_if(std::begin(kWords), std::end(kWords),
                                  [code](const Word& row) { return row.code == code; });
  return found == std::end(kWords) ? given : found->word;
}

}  // namespace sluice::execution
