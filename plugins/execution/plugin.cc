#include "execution/execution.h"
#include "execution/fills.h"

SLUICE_PLUGIN("execution", "1.1.0", sluice::execution::Execution, sluice::execution::Fills)
