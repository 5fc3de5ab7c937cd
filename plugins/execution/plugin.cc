#include "execution/execution.h"

SLUICE_PLUGIN("execution", "1.0.0", sluice::execution::Execution)
