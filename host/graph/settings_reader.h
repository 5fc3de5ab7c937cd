// Settings of a stage, from `with` and the plugin's description.
#pragma once

#include "graph/paths.h"
#include "graph/pipeline.h"
#include "graph/values.h"

namespace sluice::graph {

// Fills `stage.settings` and `stage.secrets`: what `with` gives, else the description's default.
// `stage.kind` is set; `keys` are those of the stage, `owner` is where it is named. A setting that
// cannot be read is found and left out, so complete settings are as many as the description has.
void read_settings(Findings& findings, const FilePaths& paths, const Keys& keys, Spot owner,
                   StageSpec& stage);

}  // namespace sluice::graph
