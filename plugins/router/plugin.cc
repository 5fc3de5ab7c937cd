#include "router/intake.h"
#include "router/router.h"
#include "router/selection.h"

SLUICE_PLUGIN("router", "1.1.0", sluice::router::Router, sluice::router::Collect,
              sluice::router::Select, sluice::router::Intake)
