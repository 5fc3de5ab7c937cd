// SLUICE_MUTANT for plugins. A relative path on purpose: what else the host has stays out of reach,
// and a plugin built elsewhere has no such file.
#pragma once

#include "../../host/base/mutant.h"  // IWYU pragma: export
