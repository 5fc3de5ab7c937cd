// Mutants: wrong versions of this program, one for each promise, that the tests must catch.
//
// A place where a programmer would really get it wrong asks `SLUICE_MUTANT(name)`. In a build for
// people that is the constant false and leaves no code. In a build with -DSLUICE_MUTANTS=ON it is
// true where the environment variable SLUICE_MUTANT holds the name, so that one build has them all;
// `make mutants` tells which test catches which. Such a build cannot be installed.
//
// Plugins find this file as "common/mutant.h". It stands alone: the standard library and nothing
// else.
#pragma once

#ifdef SLUICE_MUTANTS
#include <cstdio>
#include <cstdlib>
#include <string_view>
#endif

// X(name, what the wrong version does). tests/mutants/run.py reads this list, one mutant a line.
// clang-format off
#define SLUICE_MUTANT_LIST(X)                                                                      \
  X(ack_before_sync, "a commit is answered when the one before it is on disk")                     \
  X(no_sync, "files are never synced")                                                             \
  X(retry_failed_sync, "after a failed sync the store goes on and syncs again")                    \
  X(directory_not_synced, "a new segment's name is not made durable")                              \
  X(bad_record_skipped, "recovery passes over a record whose checksum is wrong")                   \
  X(damage_taken_for_torn, "a bad record with good ones behind it is cut off as a torn tail")      \
  X(torn_tail_kept, "what a crash left behind the last good record stays in the file")             \
  X(checkpoint_unchecked, "a checkpoint is loaded whatever its checksums say")                     \
  X(ack_without_fence, "a unit applies although its entry is not pending any more")                \
  X(half_a_unit, "a condition is carried out before the next one is looked at")                    \
  X(unchanged_ignored, "a value that changed since the stage saw it is not noticed")               \
  X(limit_off_by_one, "a counter may pass its limit by one")                                       \
  X(expiry_ignored, "keys never expire")                                                           \
  X(trim_below_unacked, "entries that were delivered and not acked are trimmed")                   \
  X(claim_not_counted, "an entry that is taken over counts no delivery")                           \
  X(redis_ack_without_fence, "as ack_without_fence, in the script on Redis")                       \
  X(redis_without_token, "a commit without a reply is made again as if it had not been done")      \
  X(redis_wait_skipped, "on Redis acts do not wait for replicas")                                  \
  X(group_at_end, "a new group begins at the end of its stream")                                   \
  X(no_claim_at_start, "a start does not take up what was pending")                                \
  X(dedup_outside_commit, "claims are committed first, the rest of the unit after them")           \
  X(dead_letter_lost, "a rejected entry is acked without its record")                              \
  X(act_before_flush, "an act does not wait until its record is durable")                          \
  X(act_forgotten, "after a restart an act that was begun is taken for one that was not")          \
  X(order_of_key_ignored, "entries of one order key are handled side by side")                     \
  X(unit_behind_ignored, "a unit is applied although the one it builds on was not")                \
  X(batch_mate_unseen, "a stage is not shown what it did for the entry before in one batch")       \
  X(wake_missed, "a change between the look and the wait wakes nobody")                            \
  X(policy_failure_is_default, "a policy that fails counts as one that gives its defaults")        \
  X(policy_range_unchecked, "a policy may answer beyond the range of its hook")                    \
  X(permit_not_bound, "a permit of another plan's content counts")                                 \
  X(missing_permit_is_yes, "permits that did not come in time count as given")                     \
  X(foreign_permit_opens, "an unbound permit of the reference counts for an opening")              \
  X(expired_permit_counts, "a permit counts beyond its time")                                      \
  X(permit_not_taken, "an order leaves its permits for another one")                               \
  X(send_not_rechecked, "what changed while an order waited does not stop its send")               \
  X(kill_switch_cached, "the kill switch is looked at once a second")                              \
  X(kill_switch_unguarded, "a kill switch set between the look and the commit stops nothing")      \
  X(unreadable_kill_is_off, "a kill switch of another type counts as off")                         \
  X(counter_after_send, "a rate counts an order once it was sent")                                 \
  X(share_not_released, "an order that traded nothing keeps its share of the limits")              \
  X(order_sent_again, "an order whose outcome is unknown is sent again at once")                   \
  X(client_id_random, "each send has a client order id of its own")                                \
  X(reduce_only_ignored, "an order that only closes is sent as one that may open")                 \
  X(stale_drop_silent, "an order that is too old is dropped without a record")                     \
  X(snapshot_age_ignored, "a position snapshot of any age counts")                                 \
  X(unreadable_ledger_is_none, "a ledger that cannot be read counts as no ledger")                 \
  X(fills_applied_twice, "a fill that comes again is added to the ledger again")                   \
  X(fill_not_guarded, "a fill booked by somebody else meanwhile is written over")                  \
  X(quantity_rounded_up, "a quantity is rounded up to the symbol's step")
// clang-format on

namespace sluice::mutants {

#define SLUICE_MUTANT_NAME(name, text) name,
enum class Mutant { none, SLUICE_MUTANT_LIST(SLUICE_MUTANT_NAME) };
#undef SLUICE_MUTANT_NAME

#ifdef SLUICE_MUTANTS
// The one asked for; a name that nobody knows ends the process, or it would seem to be caught by
// none.
inline Mutant from_environment() {
  const char* const asked = std::getenv("SLUICE_MUTANT");
  const std::string_view wanted = asked == nullptr ? "" : asked;
#define SLUICE_MUTANT_IS(name, text) \
  if (wanted == #name) return Mutant::name;
  SLUICE_MUTANT_LIST(SLUICE_MUTANT_IS)
#undef SLUICE_MUTANT_IS
  if (wanted.empty()) return Mutant::none;
  std::fprintf(stderr, "SLUICE_MUTANT: no mutant is called \"%s\"\n", asked);
  std::_Exit(64);
}

inline bool is_on(Mutant mutant) {
  static const Mutant chosen = from_environment();
  return chosen == mutant;
}
#else
consteval bool is_on(Mutant) { return false; }
#endif

}  // namespace sluice::mutants

#define SLUICE_MUTANT(name) (::sluice::mutants::is_on(::sluice::mutants::Mutant::name))
