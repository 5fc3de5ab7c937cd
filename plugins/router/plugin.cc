#include "router/router.h"

SLUICE_PLUGIN("router", "1.0.0", sluice::router::Router)
