#include "common/permit_trail.h"

#include "common/text.h"

namespace sluice::trade {

Record trail_record(const Plan& plan, const TrailEvent& event, const Unit& unit) {
  return {{"event", event.event},
          {"permit", event.permit},
          {"plan_id", plan.plan_id},
          {"plan_hash", plan.plan_hash},
          {"symbol", plan.symbol},
          {"action", plan.action},
          {"reason", event.reason},
          {"inputs", event.inputs},
          {"policy", unit.policy_version()},
          {"valid_until_us", event.valid_until_us},
          {"at_us", micros_text(unit.now())},
          {"trace_id", plan.trace_id},
          {"decision_id", plan.decision_id}};
}

}  // namespace sluice::trade
