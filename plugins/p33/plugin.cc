#include "p33/ledger.h"
#include "p33/permit.h"
#include "p33/reconcile.h"
#include "p33/repair.h"
#include "p33/snapshot.h"

SLUICE_PLUGIN("p33", "1.1.0", sluice::p33::Permit, sluice::p33::LedgerStage, sluice::p33::Snapshot,
              sluice::p33::ReconcileTimer, sluice::p33::Reconcile, sluice::p33::Repair)
