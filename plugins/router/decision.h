// An AI decision, read strictly, and the trade intent made of it. Plain values, no host.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/json.h"
#include "sluice/plugin.h"

namespace sluice::router {

inline constexpr sluice_param kSizeSetting{.name = "position_size_usd",
                                           .doc = "Size of a decision that names none.",
                                           .type = SLUICE_DECIMAL,
                                           .unit = "USD",
                                           .default_text = "100",
                                           .min_text = "0"};
inline constexpr sluice_param kLeverageSetting{.name = "leverage",
                                               .doc = "Leverage of a decision that names none.",
                                               .type = SLUICE_DECIMAL,
                                               .default_text = "1",
                                               .min_text = "1",
                                               .max_text = "125"};

// What stands in for fields the decision does not have. Texts of JSON numbers.
struct Defaults {
  std::string position_size_usd = "100.0";
  std::string leverage = "1.0";
};

// Views are of the entry it was read from, and of `payload`.
struct Decision {
  std::optional<trade::JsonDocument> payload;  // none: the entry's own fields are the decision

  std::string_view symbol;              // trimmed, case untouched; the stream's schema judges it
  std::string_view side;                // as received, trimmed
  std::string_view action;              // BUY, SELL, CLOSE or HOLD
  std::string_view confidence = "0.0";  // number as it was written
  double confidence_value = 0;          // 0..1
  std::string position_size_usd, leverage;
  std::vector<std::pair<std::string_view, std::string_view>> extras;  // numbers passed through

  // For policies only; empty when absent.
  std::string_view timestamp, model, strategy, regime;
  bool rl_gate_pass = false;  // whatever Python takes for true, and no word that means no

  // From the entry, not from the payload.
  std::string_view correlation_id, trace_id, source;
};

// Reads an entry: JSON in `payload`, in `data` where older producers put it, or, where there is
// neither, the entry's own fields.
//
// Errors: nullopt, and `why` names field and value: JSON that is not one object, missing or
//         blank symbol or side, a side nobody knows, a confidence that is no number from 0 to 1, a
//         number field that is none.
std::optional<Decision> read_decision(const Entry& entry, const Defaults& defaults,
                                      std::string& why);
std::optional<Decision> read_decision(const Record& entry, const Defaults& defaults,
                                      std::string& why);
std::optional<Decision> read_decision(Record&&, const Defaults&, std::string&) = delete;

// The id duplicates are recognised by: what the policy answered, or, when that is blank, the first
// usable of correlation id, trace id and entry id. Longer than 256 bytes: a hash of it.
std::string dedup_id(std::string_view policy_answer, const Decision& decision,
                     std::string_view entry_id);

std::string dedup_key(std::string_view id);

// What an intent of the decision would say, its moment and source apart: symbol, action and every
// number, equal ones alike however they are written. 16 hexadecimal digits. Without `sized` the
// size is left out, where it is not the producer's.
std::string content_digest(const Decision& decision, bool sized);

// JSON that `read_decision` reads back as the same decision; members it does not read are gone.
std::string decision_payload(const Decision& decision);

// JSON of the intent, keys in the order of the contract.
std::string intent_payload(const Decision& decision, std::string_view timestamp);

}  // namespace sluice::router
