// What hooks of permit and reconcile take and answer alike.
#pragma once

#include "sluice/abi.h"

namespace sluice::p33 {

inline constexpr sluice_arg kSymbolArg[] = {{.name = "symbol", .type = SLUICE_TEXT}};

inline constexpr sluice_param kSnapshotAgeResult[] = {{.name = "snapshot_age_max",
                                                       .doc = "Oldest snapshot believed.",
                                                       .type = SLUICE_DURATION,
                                                       .default_text = "10s",
                                                       .min_text = "1s",
                                                       .max_text = "10m"}};

}  // namespace sluice::p33
