#include "apply/gate.h"
#include "apply/plan_stage.h"
#include "apply/proposals.h"
#include "apply/result.h"

SLUICE_PLUGIN("apply", "1.0.0", sluice::apply::PlanStage, sluice::apply::Gate,
              sluice::apply::ResultStage, sluice::apply::Proposals)
