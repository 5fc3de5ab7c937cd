#include "execution/execution.h"
#include "execution/fills.h"
#include "execution/intents.h"
#include "execution/refund.h"

SLUICE_PLUGIN("execution", "1.2.0", sluice::execution::Execution, sluice::execution::Fills,
              sluice::execution::Refund, sluice::execution::Intents, sluice::execution::Entries)
