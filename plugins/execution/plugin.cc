#include "execution/execution.h"
#include "execution/fills.h"
#include "execution/refund.h"

SLUICE_PLUGIN("execution", "1.1.0", sluice::execution::Execution, sluice::execution::Fills,
              sluice::execution::Refund)
