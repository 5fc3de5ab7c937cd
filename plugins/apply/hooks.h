// Hooks of both apply kinds, so that one policy file serves both stages.
#pragma once

#include "common/plan.h"
#include "sluice/abi.h"

namespace sluice::apply {

inline constexpr sluice_arg kPlanArg[] = {
    {.name = "plan", .type = SLUICE_RECORD, .fields = trade::kPlanPolicyFields}};

inline constexpr sluice_param kPermitWaitResult[] = {
    {.name = "permit_wait",
     .doc = "From the plan's first delivery to the gate. 0 never lets a plan through.",
     .type = SLUICE_DURATION,
     .default_text = "1200ms",
     .min_text = "0s",
     .max_text = "60s"}};
inline constexpr sluice_param kPlanAgeResult[] = {{.name = "plan_age",
                                                   .doc = "From the plan's making.",
                                                   .type = SLUICE_DURATION,
                                                   .default_text = "600s",
                                                   .min_text = "1s",
                                                   .max_text = "1d"}};
inline constexpr sluice_param kDedupeTtlResult[] = {{.name = "dedupe_ttl",
                                                     .doc = "From the plan's making.",
                                                     .type = SLUICE_DURATION,
                                                     .default_text = "21600s",
                                                     .min_text = "1m",
                                                     .max_text = "30d"}};
inline constexpr const char* kProposalPolicyFields[] = {"symbol", "action", "kill_score", nullptr};
inline constexpr sluice_arg kProposalArg[] = {
    {.name = "proposal", .type = SLUICE_RECORD, .fields = kProposalPolicyFields}};
inline constexpr sluice_param kProposalAgeResult[] = {{.name = "proposal_age_max",
                                                       .doc = "From the proposal's last refresh.",
                                                       .type = SLUICE_DURATION,
                                                       .default_text = "120s",
                                                       .min_text = "1s",
                                                       .max_text = "1d"}};

inline constexpr sluice_hook kApplyHooks[] = {
    {.name = "proposal_age_max",
     .doc = "How old a proposal may be when it is planned.",
     .args = kProposalArg,
     .arg_count = 1,
     .results = kProposalAgeResult,
     .result_count = 1},
    {.name = "permit_wait",
     .doc = "How long the gate waits for both permits of a plan.",
     .args = kPlanArg,
     .arg_count = 1,
     .results = kPermitWaitResult,
     .result_count = 1},
    {.name = "plan_age",
     .doc = "How old a plan may be when the gate gets to it.",
     .args = kPlanArg,
     .arg_count = 1,
     .results = kPlanAgeResult,
     .result_count = 1},
    {.name = "dedupe_ttl",
     .doc = "How long a plan id is used up after it was planned for execution.",
     .args = kPlanArg,
     .arg_count = 1,
     .results = kDedupeTtlResult,
     .result_count = 1}};

}  // namespace sluice::apply
