#include "apply/gate.h"
#include "apply/plan_stage.h"

SLUICE_PLUGIN("apply", "1.0.0", sluice::apply::PlanStage, sluice::apply::Gate)
