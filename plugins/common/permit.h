// Permits: expiring approvals of one plan's content, each used once. None means no.
//
// Written as JSON under quantum:permit:<P> (governor) and quantum:permit:p33:<P> (P3.3); read and
// judged by the gate. Anything about a permit that cannot be read, does not name this very content
// or is over, is a no.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/plan.h"
#include "sluice/plugin.h"

namespace sluice::trade {

std::string governor_permit_key(std::string_view plan_id);
std::string p33_permit_key(std::string_view plan_id);
std::string governor_block_key(std::string_view plan_id);
// Claimed with the governor's permit and kept for longer. Text: the permit as it was granted, so
// that its share can be given back when the permit itself has run out.
std::string governor_granted_key(std::string_view plan_id);

// A share of a limit, to be given back when nothing was executed.
struct Reservation {
  std::string counter;
  int64_t amount = 0;
  int64_t at_us = 0;
};

// [{"counter", "amount", "at_us"}].
std::string reservations_text(const std::vector<Reservation>& reservations);

struct GovernorPermit {
  Decimal qty, notional;
  Time created;
  Time valid_until;
  std::string policy;
  std::vector<Reservation> reservations;
};
std::string governor_permit_text(const Plan& plan, const GovernorPermit& permit);

struct P33Permit {
  std::string side;  // BUY or SELL
  Decimal safe_qty;
  Decimal exchange_amount, ledger_amount;
  Time created;
  Time valid_until;
  std::string policy;
};
std::string p33_permit_text(const Plan& plan, const P33Permit& permit);

// `context` is a JSON object.
std::string p33_denial_text(const Plan& plan, std::string_view reason, std::string_view context,
                            Time created, std::string_view policy);

std::string block_text(const Plan& plan, std::string_view reason, Time now);

// Both permits together.
struct Judgement {
  std::string error;   // empty: go on; else an error code of the contract
  std::string reason;  // what the permit itself said, may be empty
  std::string steps_results = "[]";
  std::string side;  // BUY or SELL
  Decimal qty;
  int64_t valid_until_us = 0;  // of the permit that ends first
};

// Judges what is under both keys against this plan's content. Pure.
Judgement judge_permits(const Plan& plan, std::string_view governor, std::string_view p33,
                        Time now);

// Reservations in a governor permit that is bound to this plan; empty for anything else, so that
// foreign content never frees somebody's share.
std::vector<Reservation> permit_reservations(const Plan& plan, std::string_view governor);

// The policy named by an adopted permit.
inline constexpr std::string_view kForeignPolicy = "foreign";

// A permit of the reference's governor (or one injected by hand) or of its P3.3, made into one for
// this closing plan: the reference's name no content and no end. It holds for a minute from its
// `created_at`, and for ten seconds from now at most. Its key alone says which plan it is for, so
// whoever may write keys may close positions.
//
// Returned as it is, to be refused or judged like any other: a permit that has a plan_hash or an
// end, that names another plan or symbol, that says no, and any permit for an opening.
std::string adopt_governor_permit(const Plan& plan, std::string_view governor, Time now);
std::string adopt_p33_permit(const Plan& plan, std::string_view p33, Time now);

// The `reason` of a block record, "unknown" when there is none to read.
std::string block_reason(std::string_view text);

}  // namespace sluice::trade
