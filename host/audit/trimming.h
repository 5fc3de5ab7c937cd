// Invariant 7 of one stream, as a pure function: a store that keeps its promise cannot be made to
// break it in a test.
#pragma once

#include <span>

#include "audit/audit.h"

namespace sluice::audit {

// Pending entries of `group` that `stream` no longer has.
std::vector<Offence> trimmed_unacked(const stream::StreamInfo& stream,
                                     const stream::GroupInfo& group,
                                     std::span<const stream::PendingInfo> pending);

// Every entry up to the oldest kept one may have been trimmed before `group` was given it. Other
// causes look the same: the group may have had them all.
bool may_have_missed(const stream::StreamInfo& stream, const stream::GroupInfo& group);

}  // namespace sluice::audit
