#include "apply/audit.h"

#include "common/json.h"
#include "common/text.h"

namespace sluice::apply {

Record audit_record(const trade::Plan& plan, const PermitUse& use, std::string_view reason,
                    std::string_view inputs, const Unit& unit) {
  std::string why;
  const auto permit = trade::Json::parse(use.text, why);
  return {{"event", use.event},
          {"permit", use.permit},
          {"plan_id", plan.plan_id},
          {"plan_hash", plan.plan_hash},
          {"symbol", plan.symbol},
          {"action", plan.action},
          {"reason", reason},
          {"inputs", inputs},
          {"policy", unit.policy_version()},
          {"valid_until_us", permit ? permit->number_of("valid_until_us") : std::string_view()},
          {"at_us", trade::micros_text(unit.now())},
          {"trace_id", plan.trace_id},
          {"decision_id", plan.decision_id}};
}

}  // namespace sluice::apply
