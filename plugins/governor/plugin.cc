#include "governor/governor.h"

SLUICE_PLUGIN("governor", "1.0.0", sluice::governor::Governor)
