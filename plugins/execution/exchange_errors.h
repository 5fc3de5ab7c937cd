// What an error code of the exchange means for an order. Pure.
#pragma once

#include <string_view>

namespace sluice::execution {

enum class Reaction {
  kReject,   // not executed, for certain, and not to be tried again
  kBackOff,  // not executed, for certain; may be sent again after a wait
  kResync,   // not executed, for certain: the clock was off; may be sent again once
  kQuery     // may have been executed: ask by client order id
};

// Every code that nobody knows may have been executed.
// Source: reference/binance_usdm.md, section 7.
Reaction reaction_to(int code);

// The word that results carry and are counted by, such as "margin_insufficient". `given` is the
// exchange's own and is taken for codes without one here.
std::string_view reason_word(int code, std::string_view given);

}  // namespace sluice::execution
