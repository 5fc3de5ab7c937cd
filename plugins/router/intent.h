// The rules of trade intents in words: what the schemas pipelines/schemas/trade_intent*.json say,
// with the messages that producers know. Plain values, no host.
//
// Source: reference contract, sections 3.3 and 3.4.
#pragma once

#include <string>
#include <vector>

#include "common/json.h"

namespace sluice::router {

// v1.0 requires size and leverage as well; whatever is sound there is sound in v1.1.
enum class IntentVersion { k1_0, k1_1 };

// Every rule that `payload` breaks, in the order of the contract; empty when it is sound. A value
// of the wrong type breaks the rule of its field, a boolean is no number, and `side` does not stand
// for `action`. A payload that is no object breaks all that is required.
std::vector<std::string> intent_faults(const trade::Json& payload,
                                       IntentVersion version = IntentVersion::k1_1);

// `payload` with the member `side` called `action`; other members, their order and the texts of
// numbers stay.
std::string with_action(const trade::Json& payload);

}  // namespace sluice::router
